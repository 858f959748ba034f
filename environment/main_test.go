package environment

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Reexec()
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" && os.Getenv("LAMBDA_TASK_ROOT") != "" {
		goFunction()
	}
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// runTests runs the tests and closes the drivers they have opened.
func runTests(m *testing.M) (code int, err error) {
	if scratch, err = os.MkdirTemp("", "environment-test-*"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(scratch)
	code = m.Run()
	for _, d := range drivers {
		if err := d.Close(); err != nil {
			return 1, err
		}
	}
	return code, nil
}

var testLogger = slog.New(slog.DiscardHandler)

var (
	scratch string // directory of the drivers and of the unpacked bootstraps
	drivers []sandbox.Driver
)

// hosts opens a Host on each mechanism, once.
var hosts = map[sandbox.Mechanism]func() (*Host, error){
	sandbox.Process:   sync.OnceValues(func() (*Host, error) { return openHost(sandbox.Process) }),
	sandbox.Namespace: sync.OnceValues(func() (*Host, error) { return openHost(sandbox.Namespace) }),
}

func openHost(m sandbox.Mechanism) (*Host, error) {
	d, err := sandbox.Open(sandbox.Options{Mechanism: m, Dir: filepath.Join(scratch, string(m)), Logger: testLogger})
	if err != nil {
		return nil, err
	}
	drivers = append(drivers, d)
	return Open(Options{
		Sandboxes:   d,
		Dir:         filepath.Join(scratch, "runtime"),
		Credentials: func(lambda.Scope) (string, string, string) { return "AKID", "secret", "token" },
		EndpointURL: "http://127.0.0.1:4566",
		Logger:      testLogger,
	})
}

// hostOn returns the Host of a mechanism; where that does not work the test is skipped.
func hostOn(t testing.TB, m sandbox.Mechanism) *Host {
	t.Helper()
	h, err := hosts[m]()
	if err != nil {
		t.Skipf("no %s sandboxes here: %v", m, err)
	}
	return h
}

// eachHost runs a test on every mechanism.
func eachHost(t *testing.T, test func(t *testing.T, h *Host)) {
	t.Helper()
	for _, m := range []sandbox.Mechanism{sandbox.Process, sandbox.Namespace} {
		t.Run(string(m), func(t *testing.T) { test(t, hostOn(t, m)) })
	}
}

// with returns a Host like h with other options.
func (h *Host) with(change func(*Options)) *Host {
	c := &Host{opt: h.opt, interpreters: h.interpreters, runtimeDir: h.runtimeDir, endpoint: h.endpoint}
	c.calls.New = newCall
	change(&c.opt)
	return c
}
