package sandbox

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// maxRSSUnit is what a Rusage counts memory in, in bytes.
const maxRSSUnit = 1024

// clockTick is the unit of the times in /proc/PID/stat; the kernel's interface fixes it.
const clockTick = time.Second / 100

// killStrays kills the processes whose temporary directory is a sandbox's in dir.
func killStrays(dir string) {
	mark := regexp.MustCompile(`(^|\x00)TMPDIR=` + regexp.QuoteMeta(dir) + `/[0-9]+[/\x00]`)
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return
	}
	for _, path := range environs {
		env, err := os.ReadFile(path)
		if err != nil || !mark.Match(env) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && pid != os.Getpid() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// treeUsage estimates what a live process and its descendants have used, without the help of
// a control group: the sum of their highest resident sets, and the CPU time of all that live
// or were waited for. What cannot be read counts nothing.
func treeUsage(pid int) Usage {
	dir := "/proc/" + strconv.Itoa(pid)
	u := Usage{MaxMemory: peakMemory(dir), CPU: cpuTime(dir)}
	lists, err := filepath.Glob(dir + "/task/*/children")
	if err != nil {
		return u
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue
		}
		for _, field := range bytes.Fields(text) {
			if child, err := strconv.Atoi(string(field)); err == nil {
				below := treeUsage(child)
				u.MaxMemory += below.MaxMemory
				u.CPU += below.CPU
			}
		}
	}
	return u
}

func peakMemory(dir string) int64 {
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return 0
	}
	_, after, ok := bytes.Cut(status, []byte("VmHWM:"))
	fields := bytes.Fields(after)
	if !ok || len(fields) == 0 {
		return 0
	}
	kb, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0
	}
	return kb * 1024
}

func cpuTime(dir string) time.Duration {
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return 0
	}
	// The name in parentheses may hold anything; utime, stime, cutime and cstime are the 12th
	// to 15th fields behind it.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 15 {
		return 0
	}
	var ticks int64
	for _, f := range fields[11:15] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick
}
