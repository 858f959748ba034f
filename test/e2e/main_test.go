//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// scratch is the directory of everything that a run makes: binaries, data directories, logs.
var scratch string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if scratch, err = os.MkdirTemp("", "weir-e2e-"); err != nil {
		return 0, err
	}
	// Functions run as other users and must reach what the tests share with them.
	if err := os.Chmod(scratch, 0o755); err != nil {
		return 0, err
	}
	defer func() {
		if code != 0 || err != nil {
			fmt.Fprintf(os.Stderr, "e2e: the logs of the servers are kept in %s\n", logDir())
			_ = os.RemoveAll(filepath.Join(scratch, "bin"))
			return
		}
		err = os.RemoveAll(scratch)
	}()
	for _, dir := range []string{"bin", "log", "data"} {
		if err := os.Mkdir(filepath.Join(scratch, dir), 0o755); err != nil {
			return 0, err
		}
	}
	// Whatever a server leaves behind becomes a child of this process, where it is found.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("become the reaper of orphans: %w", err)
	}
	if err := build("weir", "./cmd/weir"); err != nil {
		return 0, err
	}
	code = m.Run()
	return code, errors.Join(stopShared(), nothingLeft())
}

func logDir() string { return filepath.Join(scratch, "log") }

func binary(name string) string { return filepath.Join(scratch, "bin", name) }

// build compiles a command of this module.
func build(name, pkg string) error {
	began := time.Now()
	cmd := exec.Command("go", "build", "-o", binary(name), pkg)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	fmt.Printf("e2e: built %s in %.1f s\n", pkg, time.Since(began).Seconds())
	return nil
}

// nothingLeft looks for what servers that have stopped left behind: processes, mounts.
func nothingLeft() error {
	var errs []error
	err := poll(10*time.Second, func() error {
		left, err := orphans()
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return fmt.Errorf("servers left processes behind: %v", left)
		}
		return nil
	})
	errs = append(errs, err)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, scratch) {
			errs = append(errs, fmt.Errorf("a server left a mount behind: %s", line))
		}
	}
	loops, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return err
	}
	for _, loop := range loops {
		// A loop device may end at this moment: its file cannot be read then.
		if file, err := os.ReadFile(loop); err == nil && strings.HasPrefix(string(file), scratch) {
			errs = append(errs, fmt.Errorf("a server left %s behind: %s", loop, file))
		}
	}
	return errors.Join(errs...)
}

// poll calls f until it returns nil, and returns its last error when time is up.
func poll(limit time.Duration, f func() error) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return fmt.Errorf("after %v: %w", limit, err)
		}
	}
}

// eventually fails the test if f does not return nil within a limit.
func eventually(t testing.TB, limit time.Duration, f func() error) {
	t.Helper()
	if err := poll(limit, f); err != nil {
		t.Fatal(err)
	}
}

// need ends a test that lacks something this machine may not have: it is skipped, or fails
// where WEIR_E2E_STRICT says that nothing may lack.
func need(t testing.TB, has bool, format string, args ...any) {
	t.Helper()
	switch {
	case has:
	case os.Getenv("WEIR_E2E_STRICT") != "":
		t.Fatalf("WEIR_E2E_STRICT: "+format, args...)
	default:
		t.Skipf(format, args...)
	}
}

// once builds commands that only some tests need.
var once sync.Map // of name to func() error

// built returns the file of a command of the suite, which it builds if it is not there yet.
func built(t testing.TB, name string) string {
	t.Helper()
	f, _ := once.LoadOrStore(name, sync.OnceValue(func() error { return build(name, "./test/e2e/functions/"+name) }))
	if err := f.(func() error)(); err != nil {
		t.Fatal(err)
	}
	return binary(name)
}
