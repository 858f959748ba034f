package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-run/weir/sandbox"
)

// The test binary is what its servers start: a part of the sandbox, or the demo's function.
func TestMain(m *testing.M) {
	sandbox.Reexec()
	if os.Getenv(demoVariable) != "" {
		fmt.Fprintln(os.Stderr, demoFunction())
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// run runs a command line to its end.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	m := Main{Args: args, Stdout: &out, Stderr: &errs}
	code = m.Run(t.Context())
	return code, out.String(), errs.String()
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string // parts of what is printed; nothing is if empty
	}{
		{"", 2, "", "Usage:\n\n\tweir demo"},
		{"help", 0, "weir serve      start a server", ""},
		{"-h", 0, "weir serve      start a server", ""},
		{"--help", 0, "weir serve      start a server", ""},
		{"start", 2, "", `there is no command "start"`},
		{"version", 0, "weir ", ""},
		{"version now", 2, "", `what is "now"?`},
		{"version -x", 2, "", "flag provided but not defined: -x"},
		{"demo -h", 0, "", "Usage: weir demo"},
		{"demo fast", 2, "", `what is "fast"?`},
		{"serve -h", 0, "", "Usage: weir serve [flags]"},
		{"serve here", 2, "", `what is "here"?`},
		{"serve -port 80", 2, "", "flag provided but not defined: -port"},
		{"serve -account-concurrency many", 2, "", "invalid value"},
		{"serve -account-concurrency -1", 2, "", "account concurrency -1 is negative"},
		{"serve -idle-timeout 0s", 2, "", "idle timeout 0s is not positive"},
		{"serve -scaling-profile fast", 2, "", "fast"},
		{"serve -scaling-profile classic:atlantis", 2, "", "atlantis"},
		{"serve -log-level loud", 2, "", `log level "loud" is none of debug, info, warn, error`},
		{"serve -auth basic", 2, "", `-auth "basic" is neither none nor sigv4`},
		{"serve -auth sigv4", 2, "", "-auth sigv4 needs -credentials"},
		{"serve -listen 0.0.0.0:0", 2, "", "that needs -auth sigv4"},
		{"serve -listen nonsense", 2, "", "that needs -auth sigv4"},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Chdir(t.TempDir())
			code, stdout, stderr := run(t, strings.Fields(c.args)...)
			if code != c.code || !prints(stdout, c.stdout) || !prints(stderr, c.stderr) {
				t.Errorf("exit code %d, want %d\nstdout: %q, want %q\nstderr: %q, want %q", code, c.code, stdout, c.stdout, stderr, c.stderr)
			}
			if entries, err := os.ReadDir("."); err != nil || len(entries) > 0 {
				t.Errorf("it left %v, %v", entries, err)
			}
		})
	}
}

func prints(text, part string) bool {
	return strings.Contains(text, part) && (part != "" || text == "")
}

func TestVersion(t *testing.T) {
	_, out, _ := run(t, "version")
	if fields := strings.Fields(out); len(fields) != 4 || fields[0] != "weir" || !strings.HasPrefix(fields[2], "go1.") {
		t.Errorf("version prints %q", out)
	}
}

// A running server is "weir serve" in this process.
type running struct {
	url    string
	data   string
	cancel context.CancelFunc
	code   chan int
	stderr *syncBuffer
}

// A syncBuffer is a buffer that a server writes and a test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// serve starts a server on a free port and waits until it says that it is ready.
func serve(t *testing.T, flags ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{data: t.TempDir(), cancel: cancel, code: make(chan int, 1), stderr: new(syncBuffer)}
	out, in := io.Pipe()
	m := Main{Args: append([]string{"serve", "-listen", "127.0.0.1:0", "-data", r.data}, flags...), Stdout: in, Stderr: r.stderr}
	go func() {
		code := m.Run(ctx)
		in.Close()
		r.code <- code
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := isReady(line)
	if err != nil || !ok {
		cancel()
		t.Fatalf("serve said %q, %v, exit code %d\n%s", line, err, <-r.code, r.stderr)
	}
	r.url = url
	t.Cleanup(func() { r.stop(t) })
	return r
}

// stop ends the server, if it runs, which must exit with 0.
func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	select {
	case code, ok := <-r.code:
		if ok && code != 0 {
			t.Errorf("serve exited with %d\n%s", code, r.stderr)
		}
		if ok {
			close(r.code)
		}
	case <-time.After(drainLimit + 10*time.Second):
		t.Fatalf("serve does not end\n%s", r.stderr)
	}
}
