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

// peakMemory returns the highest resident set of a live process, or 0.
func peakMemory(pid int) int64 {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
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

// cpuTime returns what a live process has used, or 0.
func cpuTime(pid int) time.Duration {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The name in parentheses may hold anything; utime and stime are the 12th and 13th
	// fields behind it.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick
}
