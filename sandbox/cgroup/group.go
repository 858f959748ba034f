//go:build linux

package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// cpuPeriod is the time over which a CPU quota is counted.
const cpuPeriod = 100 * time.Millisecond

// minQuota is the smallest quota the kernel takes.
const minQuota = time.Millisecond

// A Group is a set of processes that is limited, measured, frozen and killed together. It is
// one directory in each hierarchy.
type Group struct {
	host *Host
	name string
}

// New makes a group of at most pids processes and threads.
func (h *Host) New(name string, pids int) (*Group, error) {
	g := &Group{h, name}
	for i, dir := range h.dirs {
		if err := h.mkdir(filepath.Join(dir, name)); err != nil {
			for _, made := range h.dirs[:i] {
				os.Remove(filepath.Join(made, name))
			}
			return nil, fmt.Errorf("cgroup: make group: %w", err)
		}
	}
	err := g.set("pids", "pids.max", strconv.Itoa(pids))
	if g.v2("memory") {
		err = errors.Join(err, g.set("memory", "memory.oom.group", "1"))
	}
	if err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// file names an interface file of a controller, or returns "" if the host lacks it.
func (g *Group) file(controller, name string) string {
	dir := g.host.at[controller]
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, g.name, name)
}

// v2 tells whether the controller is that of the unified hierarchy.
func (g *Group) v2(controller string) bool {
	return g.host.unified != "" && g.host.at[controller] == g.host.unified
}

// set writes to an interface file; without the controller it does nothing.
func (g *Group) set(controller, name, value string) error {
	file := g.file(controller, name)
	if file == "" {
		return nil
	}
	if err := write(file, value); err != nil {
		return fmt.Errorf("cgroup: set %s: %w", name, err)
	}
	return nil
}

// Seats opens what puts a process into the group: the unified group's directory, for
// CLONE_INTO_CGROUP, or nil; and the tasks files of version 1, to which a thread writes "0"
// before it makes the process.
func (g *Group) Seats() (unified *os.File, tasks []*os.File, err error) {
	for _, dir := range g.host.dirs {
		var f *os.File
		if dir == g.host.unified {
			f, err = os.Open(filepath.Join(dir, g.name))
			unified = f
		} else {
			f, err = os.OpenFile(filepath.Join(dir, g.name, "tasks"), os.O_WRONLY, 0)
			tasks = append(tasks, f)
		}
		if err != nil {
			unified.Close()
			for _, f := range tasks {
				f.Close()
			}
			return nil, nil, fmt.Errorf("cgroup: open seat: %w", err)
		}
	}
	return unified, tasks, nil
}

// LimitMemory sets the limit of memory and swap together, in bytes.
func (g *Group) LimitMemory(limit int64) error {
	text := strconv.FormatInt(limit, 10)
	if g.v2("memory") {
		err := g.set("memory", "memory.max", text)
		if err == nil {
			err = ignoreMissing(g.set("memory", "memory.swap.max", "0"))
		}
		return err
	}
	if err := g.set("memory", "memory.limit_in_bytes", text); err != nil {
		return err
	}
	return ignoreMissing(g.set("memory", "memory.memsw.limit_in_bytes", text))
}

// ignoreMissing is for files that a kernel without swap accounting does not have.
func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// LimitCPU sets the CPU time per time that passes, in thousandths of a CPU; 0 is no limit.
func (g *Group) LimitCPU(milli int) error {
	quota := max(minQuota, cpuPeriod*time.Duration(milli)/1000).Microseconds()
	if g.v2("cpu") {
		value := "max"
		if milli > 0 {
			value = fmt.Sprintf("%d %d", quota, cpuPeriod.Microseconds())
		}
		return g.set("cpu", "cpu.max", value)
	}
	if milli == 0 {
		quota = -1
	}
	return g.set("cpu", "cpu.cfs_quota_us", strconv.FormatInt(quota, 10))
}

// Freeze stops every process of the group; it does not wait for the last one to stop.
func (g *Group) Freeze() error {
	if g.host.unified != "" {
		return g.writeUnified("cgroup.freeze", "1")
	}
	return g.set("freezer", "freezer.state", "FROZEN")
}

// Thaw undoes Freeze.
func (g *Group) Thaw() error {
	if g.host.unified != "" {
		return g.writeUnified("cgroup.freeze", "0")
	}
	return g.set("freezer", "freezer.state", "THAWED")
}

// Kill kills every process of the group, frozen or not. One that is being created may escape.
func (g *Group) Kill() error {
	if g.host.unified != "" && g.writeUnified("cgroup.kill", "1") == nil {
		return nil
	}
	if len(g.host.dirs) == 0 {
		return nil
	}
	err := g.Thaw()
	killProcs(filepath.Join(g.host.dirs[0], g.name))
	return err
}

func (g *Group) writeUnified(name, value string) error {
	if err := write(filepath.Join(g.host.unified, g.name, name), value); err != nil {
		return fmt.Errorf("cgroup: set %s: %w", name, err)
	}
	return nil
}

// Empty tells whether no process is left.
func (g *Group) Empty() bool {
	for _, dir := range g.host.dirs {
		text, err := os.ReadFile(filepath.Join(dir, g.name, "cgroup.procs"))
		if err == nil && len(text) > 0 {
			return false
		}
	}
	return true
}

// OOMKills counts the processes the kernel has killed for exceeding the memory limit.
func (g *Group) OOMKills() (int, error) {
	name := "memory.oom_control"
	if g.v2("memory") {
		name = "memory.events"
	}
	n, err := g.count("memory", name, "oom_kill")
	return int(n), err
}

// CPU returns the CPU time used so far.
func (g *Group) CPU() (time.Duration, error) {
	if g.host.unified != "" {
		n, err := counter(filepath.Join(g.host.unified, g.name, "cpu.stat"), "usage_usec")
		return time.Duration(n) * time.Microsecond, err
	}
	n, err := g.count("cpuacct", "cpuacct.usage", "")
	return time.Duration(n), err
}

// PeakMemory estimates the most memory that was needed at once, in bytes: the kernel's highest
// count less the file cache that is in it now, since the kernel would drop that before it
// refuses anything.
func (g *Group) PeakMemory() (int64, error) {
	name := "memory.max_usage_in_bytes"
	if g.v2("memory") {
		name = "memory.peak"
	}
	peak, err := g.count("memory", name, "")
	if errors.Is(err, os.ErrNotExist) { // memory.peak came with Linux 5.19
		peak, err = g.count("memory", "memory.current", "")
	}
	if err != nil {
		return 0, err
	}
	cache, err := g.count("memory", "memory.stat", "inactive_file", "active_file")
	if err != nil {
		return 0, err
	}
	return max(peak-cache, 0), nil
}

// count reads a counter of a controller; without the controller it is 0.
func (g *Group) count(controller, name string, keys ...string) (int64, error) {
	file := g.file(controller, name)
	if file == "" {
		return 0, nil
	}
	return counter(file, keys...)
}

// counter adds up the numbers behind keys; the key "" is that of a file of one number only.
func counter(file string, keys ...string) (int64, error) {
	var room [8 << 10]byte // more than any of the files has
	text, err := read(file, room[:])
	if err != nil {
		return 0, fmt.Errorf("cgroup: read %s: %w", file, err)
	}
	var sum int64
	left := len(keys)
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		key, number, ok := bytes.Cut(line, []byte(" "))
		if !ok {
			key, number = nil, line
		}
		if !slices.Contains(keys, string(key)) {
			continue
		}
		n, err := strconv.ParseInt(string(number), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("cgroup: read %s: %w", file, err)
		}
		sum += n
		if left--; left == 0 {
			return sum, nil
		}
	}
	return 0, fmt.Errorf("cgroup: not all of %q in %s", keys, file)
}

// read reads an interface file, which the kernel gives whole, with a third of the system calls
// of os.ReadFile: that is done for every environment many times a second.
func read(file string, to []byte) ([]byte, error) {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, to)
	if err != nil {
		return nil, err
	}
	return to[:n], nil
}

// Close kills what is left in the group and removes it.
func (g *Group) Close() error {
	var errs []error
	if g.host.unified == "" {
		errs = append(errs, ignoreMissing(g.Thaw())) // a frozen process of version 1 does not die
	}
	for _, dir := range g.host.dirs {
		errs = append(errs, remove(filepath.Join(dir, g.name)))
	}
	return errors.Join(errs...)
}
