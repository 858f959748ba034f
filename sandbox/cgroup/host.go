//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	removeWait  = 2 * time.Second      // for killed processes to leave a group
	removePause = 2 * time.Millisecond // between two attempts to remove it
)

// A Host makes groups, all of them inside one group per hierarchy.
type Host struct {
	unified string            // directory in the unified hierarchy, or ""
	dirs    []string          // every directory, the unified one first
	at      map[string]string // controller → directory
	mkdir   func(string) error
}

// Open prepares a group called name in every hierarchy that can be used, inside this process's
// own group where possible. What is left of an earlier Host of that name is killed and removed.
// It is not an error if controllers are missing: see Has.
func Open(name string) (*Host, error) {
	unified, v1, err := readHost()
	if err != nil {
		return nil, err
	}
	return open(name, unified, v1, func(dir string) error { return os.Mkdir(dir, 0o755) })
}

func open(name string, unified *hierarchy, v1 []hierarchy, mkdir func(string) error) (*Host, error) {
	h := &Host{at: make(map[string]string), mkdir: mkdir}
	if err := clear(everyPlace(name, unified, v1)); err != nil {
		return nil, err
	}
	var missing []string // in version 1
	for _, c := range controllers {
		if !slices.ContainsFunc(v1, func(v hierarchy) bool { return slices.Contains(v.controllers, c) }) {
			missing = append(missing, c)
		}
	}
	if unified != nil {
		h.openUnified(name, unified, missing)
	}
	for _, v := range v1 {
		h.openV1(name, v)
	}
	h.weigh()
	return h, nil
}

// weightPerCPU is what all groups together weigh when CPU time is short, in processes for each
// CPU: without it, however many they are, they would count as one.
const weightPerCPU = 2

// weigh sets the share of CPU time of the groups together. It is no error if that fails: the
// limits of each group hold all the same.
func (h *Host) weigh() {
	dir := h.at["cpu"]
	if dir == "" {
		return
	}
	processes := weightPerCPU * runtime.NumCPU()
	if dir == h.unified {
		write(filepath.Join(dir, "cpu.weight"), strconv.Itoa(min(100*processes, 10_000)))
		return
	}
	write(filepath.Join(dir, "cpu.shares"), strconv.Itoa(min(1024*processes, 1<<18)))
}

func everyPlace(name string, unified *hierarchy, v1 []hierarchy) []string {
	var places []string
	all := v1
	if unified != nil {
		all = append([]hierarchy{*unified}, v1...)
	}
	for _, v := range all {
		places = append(places, filepath.Join(v.own, name))
		if v.own != v.mount {
			places = append(places, filepath.Join(v.mount, name))
		}
	}
	return places
}

// openUnified makes the group in the unified hierarchy. A group with processes of its own
// cannot give controllers to its children, unless it is the root: then this process moves
// into a leaf beside them, and if that is not enough (others share the group), the root of
// the hierarchy is tried.
func (h *Host) openUnified(name string, u *hierarchy, want []string) {
	for _, parent := range slices.Compact([]string{u.own, u.mount}) {
		have := available(parent)
		want := slices.DeleteFunc(slices.Clone(want), func(c string) bool { return !slices.Contains(have, c) })
		dir := filepath.Join(parent, name)
		if !h.enable(parent, name, want) || h.mkdir(dir) != nil {
			continue
		}
		if len(want) > 0 && !enableIn(dir, want) {
			os.Remove(dir)
			continue
		}
		h.unified = dir
		h.dirs = append(h.dirs, dir)
		for _, c := range want {
			h.at[c] = dir
		}
		return
	}
}

func available(dir string) []string {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text))
}

func (h *Host) enable(parent, name string, want []string) bool {
	if len(want) == 0 || enableIn(parent, want) {
		return true
	}
	leaf := filepath.Join(parent, name+"-server")
	if err := h.mkdir(leaf); err != nil && !errors.Is(err, os.ErrExist) {
		return false
	}
	if write(filepath.Join(leaf, "cgroup.procs"), strconv.Itoa(os.Getpid())) != nil {
		os.Remove(leaf)
		return false
	}
	if enableIn(parent, want) {
		return true
	}
	write(filepath.Join(parent, "cgroup.procs"), strconv.Itoa(os.Getpid()))
	os.Remove(leaf)
	return false
}

func enableIn(dir string, want []string) bool {
	return write(filepath.Join(dir, "cgroup.subtree_control"), "+"+strings.Join(want, " +")) == nil
}

func (h *Host) openV1(name string, v hierarchy) {
	// The unified hierarchy freezes and counts CPU time without any controller.
	skip := func(c string) bool { return h.unified != "" && (c == "freezer" || c == "cpuacct") }
	if !slices.ContainsFunc(v.controllers, func(c string) bool { return !skip(c) }) {
		return
	}
	for _, parent := range slices.Compact([]string{v.own, v.mount}) {
		dir := filepath.Join(parent, name)
		if h.mkdir(dir) != nil {
			continue
		}
		h.dirs = append(h.dirs, dir)
		for _, c := range v.controllers {
			h.at[c] = dir
		}
		return
	}
}

// Has tells whether the groups of this host have the power of a controller: memory, cpu,
// cpuacct, pids or freezer. The unified hierarchy freezes and counts CPU time without any.
func (h *Host) Has(controller string) bool {
	return h.at[controller] != "" || h.unified != "" && (controller == "freezer" || controller == "cpuacct")
}

// Dirs returns the directories that hold the groups, one per hierarchy.
func (h *Host) Dirs() []string { return slices.Clone(h.dirs) }

// Freezers returns the directory whose children are groups of the version 1 freezer, or "".
func (h *Host) Freezers() string {
	if h.unified != "" {
		return ""
	}
	return h.at["freezer"]
}

// ThawAll thaws every group of the directory that Freezers returned.
func ThawAll(freezers string) {
	if freezers == "" {
		return
	}
	entries, err := os.ReadDir(freezers)
	if err != nil {
		return // gone, and all that was frozen with it
	}
	for _, e := range entries {
		if e.IsDir() {
			write(filepath.Join(freezers, e.Name(), "freezer.state"), "THAWED")
		}
	}
}

// Home opens the tasks files of this process's own groups in the hierarchies of version 1: a
// thread writes "0" to them to come back from a Group's Seats.
func Home() ([]*os.File, error) {
	_, v1, err := readHost()
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, v := range v1 {
		f, err := os.OpenFile(filepath.Join(v.own, "tasks"), os.O_WRONLY, 0)
		if errors.Is(err, os.ErrPermission) {
			continue // nor will there be a seat to come back from
		}
		if err != nil {
			return nil, fmt.Errorf("cgroup: open own group: %w", err)
		}
		files = append(files, f)
	}
	return files, nil
}

// Close kills what is left in the groups and removes them.
func (h *Host) Close() error {
	return clear(h.dirs)
}

// clear thaws and kills whatever is in the groups at dirs and the groups inside them, and
// removes them. A group that does not exist is clear. Everything is thawed before anything is
// killed: a process may be frozen in one hierarchy and looked for in another.
func clear(dirs []string) error {
	var groups []string
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				groups = append(groups, path)
				write(filepath.Join(path, "cgroup.freeze"), "0")
				write(filepath.Join(path, "freezer.state"), "THAWED")
			}
			return ignoreMissing(err)
		})
		if err != nil {
			return fmt.Errorf("cgroup: look for old groups: %w", err)
		}
	}
	for _, group := range slices.Backward(groups) { // children before their parents
		if err := remove(group); err != nil {
			return err
		}
	}
	return nil
}

// remove kills the processes of the group at dir until it can be removed.
func remove(dir string) error {
	for deadline := time.Now().Add(removeWait); ; time.Sleep(removePause) {
		err := syscall.Rmdir(dir)
		if err == nil || err == syscall.ENOENT {
			return nil
		}
		if err != syscall.EBUSY || time.Now().After(deadline) {
			return fmt.Errorf("cgroup: remove %s: %w", dir, err)
		}
		killProcs(dir)
	}
}

// killProcs kills the processes of one group.
func killProcs(dir string) {
	if write(filepath.Join(dir, "cgroup.kill"), "1") == nil {
		return
	}
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return
	}
	for _, field := range strings.Fields(string(text)) {
		// 0 stands for a process that this one cannot see.
		if pid, err := strconv.Atoi(field); err == nil && pid > 1 && pid != os.Getpid() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// write writes to an existing interface file.
func write(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
