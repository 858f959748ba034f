//go:build linux

package cgroup

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const hybrid = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`

const hybridSelf = `9:name=systemd:/user.slice
6:freezer:/
4:memory:/api/44d3
1:cpu,cpuacct:/a:b
0::/user.slice/session
`

func TestFind(t *testing.T) {
	for name, c := range map[string]struct {
		mounts, self string
		unified      *hierarchy
		v1           []hierarchy
	}{
		"hybrid": {hybrid, hybridSelf,
			&hierarchy{"/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified/user.slice/session", nil},
			[]hierarchy{
				{"/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/a:b", []string{"cpu", "cpuacct"}},
				{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/api/44d3", []string{"memory"}},
				{"/sys/fs/cgroup/freezer", "/sys/fs/cgroup/freezer", []string{"freezer"}},
			}},
		"version 2": {"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n", "0::/system.slice/weir.service\n",
			&hierarchy{"/sys/fs/cgroup", "/sys/fs/cgroup/system.slice/weir.service", nil}, nil},
		"container without a namespace of groups": {"30 23 0:26 /docker/1f /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "0::/docker/1f/inner\n",
			&hierarchy{"/sys/fs/cgroup", "/sys/fs/cgroup/inner", nil}, nil},
		"another's group": {"30 23 0:26 /docker/1f /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "0::/docker/1fff\n",
			&hierarchy{"/sys/fs/cgroup", "/sys/fs/cgroup", nil}, nil},
		"blank in the path": {"30 23 0:26 / /sys/my\\040groups ro - cgroup2 cgroup rw\n", "0::/\n",
			&hierarchy{"/sys/my groups", "/sys/my groups", nil}, nil},
		"nothing": {"22 1 8:1 / / rw - ext4 /dev/root rw\n\nshort line\n", "x\n", nil, nil},
	} {
		unified, v1 := find(c.mounts, c.self)
		if !equal(unified, c.unified) {
			t.Errorf("%s: unified %+v, want %+v", name, unified, c.unified)
		}
		if !slices.EqualFunc(v1, c.v1, func(a, b hierarchy) bool { return equal(&a, &b) }) {
			t.Errorf("%s: version 1 %+v, want %+v", name, v1, c.v1)
		}
	}
}

func equal(a, b *hierarchy) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.mount == b.mount && a.own == b.own && slices.Equal(a.controllers, b.controllers)
}

// A fake is a hierarchy of version 2 made of plain files, to see what is written to them.
type fake struct {
	t    *testing.T
	root string
}

func newFake(t *testing.T, controllers string) *fake {
	f := &fake{t, filepath.Join(t.TempDir(), "fs")}
	if err := os.Mkdir(f.root, 0o755); err != nil {
		t.Fatal(err)
	}
	f.fill(f.root)
	f.set("cgroup.controllers", controllers)
	return f
}

// mkdir makes a group with the files that the kernel would put there.
func (f *fake) mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	f.fill(dir)
	return nil
}

func (f *fake) fill(dir string) {
	for _, name := range []string{
		"cgroup.procs", "cgroup.subtree_control", "cgroup.freeze", "memory.max", "memory.swap.max", "memory.oom.group",
		"memory.events", "memory.peak", "memory.current", "memory.stat", "cpu.max", "cpu.stat", "pids.max",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *fake) set(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.root, name), []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fake) want(name, text string) {
	f.t.Helper()
	got, err := os.ReadFile(filepath.Join(f.root, name))
	if err != nil || string(got) != text {
		f.t.Errorf("%s is %q, %v, want %q", name, got, err, text)
	}
}

func TestVersion2(t *testing.T) {
	f := newFake(t, "cpuset cpu io memory pids\n")
	h, err := open("weir", &hierarchy{mount: f.root, own: f.root}, nil, f.mkdir)
	if err != nil {
		t.Fatal(err)
	}
	f.want("cgroup.subtree_control", "+memory +cpu +pids")
	f.want("weir/cgroup.subtree_control", "+memory +cpu +pids")
	for _, c := range []string{"memory", "cpu", "cpuacct", "pids", "freezer"} {
		if !h.Has(c) {
			t.Errorf("no %s", c)
		}
	}
	g, err := h.New("7", 1025)
	if err != nil {
		t.Fatal(err)
	}
	f.want("weir/7/pids.max", "1025")
	f.want("weir/7/memory.oom.group", "1")
	unified, tasks, err := g.Seats()
	if err != nil || unified == nil || len(tasks) != 0 {
		t.Fatalf("seats %v, %v, %v", unified, tasks, err)
	}
	unified.Close()
	for _, step := range []struct {
		do         func() error
		file, want string
	}{
		{func() error { return g.LimitMemory(128 << 20) }, "memory.max", "134217728"},
		{func() error { return nil }, "memory.swap.max", "0"},
		{func() error { return g.LimitCPU(72) }, "cpu.max", "7200 100000"},
		{func() error { return g.LimitCPU(5) }, "cpu.max", "1000 100000"}, // the least there is
		{func() error { return g.LimitCPU(5788) }, "cpu.max", "578800 100000"},
		{g.Freeze, "cgroup.freeze", "1"},
		{g.Thaw, "cgroup.freeze", "0"},
	} {
		f.set("weir/7/"+step.file, "")
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if step.file != "memory.swap.max" {
			f.want("weir/7/"+step.file, step.want)
		}
	}
	f.set("weir/7/memory.events", "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 1\n")
	if n, err := g.OOMKills(); n != 2 || err != nil {
		t.Errorf("%d kills, %v", n, err)
	}
	f.set("weir/7/cpu.stat", "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n")
	if cpu, err := g.CPU(); cpu != 1500*time.Microsecond || err != nil {
		t.Errorf("CPU %v, %v", cpu, err)
	}
	f.set("weir/7/memory.peak", "5000\n")
	f.set("weir/7/memory.current", "4000\n")
	f.set("weir/7/memory.stat", "anon 1000\nfile 2900\ninactive_file 1500\nactive_file 1400\n")
	if n, err := g.PeakMemory(); n != 2100 || err != nil {
		t.Errorf("peak %d, %v", n, err)
	}
	if err := os.Remove(filepath.Join(f.root, "weir/7/memory.peak")); err != nil {
		t.Fatal(err)
	}
	if n, err := g.PeakMemory(); n != 1100 || err != nil { // before Linux 5.19
		t.Errorf("peak %d, %v", n, err)
	}
	f.set("weir/7/memory.events", "low x\n")
	if _, err := g.OOMKills(); err == nil {
		t.Error("a missing counter is 0")
	}
}

func TestVersion2WithoutControllers(t *testing.T) {
	f := newFake(t, "")
	h, err := open("weir", &hierarchy{mount: f.root, own: f.root}, nil, f.mkdir)
	if err != nil {
		t.Fatal(err)
	}
	f.want("cgroup.subtree_control", "")
	if h.Has("memory") || !h.Has("freezer") {
		t.Errorf("memory %v, freezer %v", h.Has("memory"), h.Has("freezer"))
	}
	g, err := h.New("7", 1025)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(g.LimitMemory(1), g.LimitCPU(1), g.Freeze()); err != nil {
		t.Error(err)
	}
	f.want("weir/7/cgroup.freeze", "1")
	f.want("weir/7/memory.max", "")
	if n, err := g.OOMKills(); n != 0 || err != nil {
		t.Errorf("%d kills, %v", n, err)
	}
}

// Where the group has processes besides this one, its children get no controllers: the root
// of the hierarchy is used.
func TestVersion2FallsBackToTheRoot(t *testing.T) {
	f := newFake(t, "memory pids\n")
	own := filepath.Join(f.root, "session")
	if err := f.mkdir(own); err != nil {
		t.Fatal(err)
	}
	f.set("session/cgroup.controllers", "memory pids\n")
	if err := os.Remove(filepath.Join(own, "cgroup.subtree_control")); err != nil { // refuses
		t.Fatal(err)
	}
	h, err := open("weir", &hierarchy{mount: f.root, own: own}, nil, f.mkdir)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(f.root, "weir"); !slices.Equal(h.Dirs(), []string{want}) || !h.Has("memory") {
		t.Errorf("groups in %v, want %s", h.Dirs(), want)
	}
	// It tried to make room first.
	f.want("session/weir-server/cgroup.procs", strconv.Itoa(os.Getpid()))
	f.want("session/cgroup.procs", strconv.Itoa(os.Getpid()))
}

// realHost opens groups of this machine.
func realHost(t *testing.T) *Host {
	t.Helper()
	h, err := Open("weir-cgroup-test")
	if err != nil {
		t.Skip("no control groups here: ", err)
	}
	if len(h.Dirs()) == 0 {
		t.Skip("no control groups may be made here")
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		for _, dir := range h.Dirs() {
			if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is left: %v", dir, err)
			}
		}
	})
	return h
}

// inside starts a program in a group, by writing cgroup.procs: a test has the time.
func inside(t *testing.T, h *Host, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{"-c", "read go; exec \"$@\"", "sh"}, args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range h.Dirs() {
		if err := write(filepath.Join(dir, name, "cgroup.procs"), strconv.Itoa(cmd.Process.Pid)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestRealGroup(t *testing.T) {
	h := realHost(t)
	g, err := h.New("1", 20)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(g.LimitMemory(64<<20), g.LimitCPU(100), g.LimitCPU(0)); err != nil {
		t.Fatal(err)
	}
	cmd := inside(t, h, "1", "sleep", "600")
	if g.Empty() {
		t.Error("the group is empty")
	}
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := g.Kill(); err != nil { // though it is frozen
		t.Fatal(err)
	}
	err = cmd.Wait()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
		t.Errorf("it ended with %v", err)
	}
	if _, err := g.PeakMemory(); err != nil {
		t.Error(err)
	}
	if _, err := g.CPU(); err != nil {
		t.Error(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}

// TestRealWeight is about the groups together, against the rest of the machine.
func TestRealWeight(t *testing.T) {
	h := realHost(t)
	dir := h.at["cpu"]
	if dir == "" {
		t.Skip("no cpu controller")
	}
	file, want := filepath.Join(dir, "cpu.shares"), 2048*runtime.NumCPU()
	if dir == h.unified {
		file, want = filepath.Join(dir, "cpu.weight"), 200*runtime.NumCPU()
	}
	text, err := os.ReadFile(file)
	if got := strings.TrimSpace(string(text)); err != nil || got != strconv.Itoa(want) {
		t.Errorf("%s: %s, %v; want %d", file, got, err, want)
	}
}

func TestRealOutOfMemory(t *testing.T) {
	h := realHost(t)
	if !h.Has("memory") {
		t.Skip("no memory controller here")
	}
	g, err := h.New("1", 20)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.LimitMemory(16 << 20); err != nil {
		t.Fatal(err)
	}
	if n, err := g.OOMKills(); n != 0 || err != nil {
		t.Errorf("%d kills, %v", n, err)
	}
	// tail keeps all it reads while there is no end of line.
	cmd := inside(t, h, "1", "tail", "-n1", "/dev/zero")
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("it ended with %v", err)
	}
	if n, err := g.OOMKills(); n != 1 || err != nil {
		t.Errorf("%d kills, %v", n, err)
	}
	if n, err := g.PeakMemory(); n < 8<<20 || n > 16<<20 || err != nil {
		t.Errorf("peak %d, %v", n, err)
	}
}

// Open clears what a killed server has left, frozen as it may be.
func TestOpenClears(t *testing.T) {
	h := realHost(t)
	g, err := h.New("left", 20)
	if err != nil {
		t.Fatal(err)
	}
	cmd := inside(t, h, "left", "sleep", "600")
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	again, err := Open("weir-cgroup-test")
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("what was left is alive")
	}
	for _, dir := range again.Dirs() {
		if _, err := os.Stat(filepath.Join(dir, "left")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a group is left in %s", dir)
		}
	}
}
