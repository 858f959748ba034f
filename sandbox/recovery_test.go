//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir-run/weir/sandbox/cgroup"
)

// holdings counts what a driver holds of the host, but for spare volumes.
type holdings struct {
	Groups, Devices, Processes, Descriptors, Directories int
}

func held(t testing.TB, d *namespaceDriver) holdings {
	t.Helper()
	var h holdings
	for _, g := range d.groups.Dirs() {
		h.Groups += len(entries(t, g, func(e os.DirEntry) bool { return e.IsDir() }))
	}
	spare := 0
	if d.volumes != nil {
		spare = len(d.volumes.spare) + len(d.volumes.used)
	}
	h.Devices = devicesOf(t, d.opts.Dir) - spare
	h.Processes = len(processes(t, d))
	h.Descriptors = len(entries(t, "/proc/self/fd", nil)) +
		len(entries(t, fmt.Sprintf("/proc/%d/fd", d.mu.link.cmd.Process.Pid), nil)) - spare
	h.Directories = len(entries(t, filepath.Join(d.opts.Dir, "tmp"), nil)) + len(entries(t, filepath.Join(d.opts.Dir, "volumes"), nil))
	return h
}

func entries(t testing.TB, dir string, like func(os.DirEntry) bool) []os.DirEntry {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(e os.DirEntry) bool { return like != nil && !like(e) })
}

// devicesOf counts loop devices before files in dir.
func devicesOf(t testing.TB, dir string) int {
	t.Helper()
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil && strings.HasPrefix(string(text), dir) {
			n++
		}
	}
	return n
}

func TestNothingIsLeft(t *testing.T) {
	d := ownNamespaces(t)
	use := func() {
		var boxes []*box
		for range 5 {
			b := start(t, d, deeds("next"))
			b.next().Close()
			boxes = append(boxes, b)
		}
		for i, b := range boxes {
			if i%2 == 0 {
				if err := b.Freeze(); err != nil {
					t.Fatal(err)
				}
			}
			if i == 3 {
				if err := b.Restart(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}
		bad := deeds("exit=0")
		bad.Code = "/nonexistent"
		if _, err := d.Start(t.Context(), bad); err == nil {
			t.Error("a missing directory is shown")
		}
	}
	use() // what is made once stays
	before := settled(t, d)
	use()
	if after := settled(t, d); after != before {
		t.Errorf("held %+v after, %+v before", after, before)
	}
	groups, dir := d.groups.Dirs(), d.opts.Dir
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		if _, err := os.Stat(g); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", g, err)
		}
	}
	eventually(t, "loop devices are detached", func() bool { return devicesOf(t, dir) == 0 })
}

// settled returns the holdings once they have not changed for longer than output lingers.
func settled(t testing.TB, d *namespaceDriver) holdings {
	t.Helper()
	var last holdings
	since := time.Now()
	eventually(t, "the holdings settle", func() bool {
		if now := held(t, d); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > outputLinger+outputLinger/2
	})
	return last
}

func TestSpawnerDies(t *testing.T) {
	d := ownNamespaces(t)
	frozen, running := start(t, d, deeds("next")), start(t, d, deeds("next"))
	frozen.next()
	running.next()
	if err := frozen.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := d.mu.link.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, b := range []*box{frozen, running} {
		if e := b.exit(); e.Signal != "killed" || e.OutOfMem {
			t.Errorf("exit %+v", e)
		}
		if err := b.Restart(t.Context()); err == nil {
			t.Error("restarted without its namespaces")
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := len(processes(t, d)); n != 0 {
		t.Errorf("%d processes are left", n)
	}
	start(t, d, deeds("next")).next() // by a new spawner
}

// TestServerIsKilled runs itself as a server that is killed in the middle of things.
func TestServerIsKilled(t *testing.T) {
	if dir := os.Getenv("SANDBOX_TEST_SERVER"); dir != "" {
		serveUntilKilled(t, dir)
	}
	namespaces(t) // or skip
	dir := scratch(t)
	server := exec.Command(os.Args[0], "-test.run=^TestServerIsKilled$")
	server.Env = append(os.Environ(), "SANDBOX_TEST_SERVER="+dir)
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "serving" {
	}
	if err := server.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	server.Wait()
	d, err := Open(Options{Mechanism: Namespace, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	n := d.(*namespaceDriver)
	eventually(t, "nothing of the killed server is left", func() bool {
		h := held(t, n)
		return h.Groups == 0 && h.Devices == 0 && h.Processes == 0 && h.Directories == 0
	})
	start(t, d, deeds("next")).next()
}

func serveUntilKilled(t *testing.T, dir string) {
	d, err := Open(Options{Mechanism: Namespace, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		b := start(t, d, deeds("next"))
		b.next()
		if i == 0 {
			if err := b.Freeze(); err != nil {
				t.Fatal(err)
			}
		}
	}
	fmt.Println("serving")
	select {}
}

func TestTwoDriversOfOneHost(t *testing.T) {
	a := namespaces(t)
	b := start(t, a, deeds("next"))
	b.next()
	other := ownNamespaces(t)
	start(t, other, deeds("next")).next()
	if a.users != nil && a.users.base == other.users.base {
		t.Error("they share user ids")
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.next()
	if _, err := Open(Options{Mechanism: Namespace, Dir: a.opts.Dir}); err == nil {
		t.Error("two drivers in one directory")
	}
}

func TestGroupsOfAKilledServerAreCleared(t *testing.T) {
	namespaces(t) // or skip
	host, err := cgroup.Open("weir-test-recovery")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := host.New("left", 10); err != nil {
		t.Fatal(err)
	}
	again, err := cgroup.Open("weir-test-recovery")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range again.Dirs() {
		if n := len(entries(t, dir, func(e os.DirEntry) bool { return e.IsDir() })); n != 0 {
			t.Errorf("%d groups in %s", n, dir)
		}
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}
