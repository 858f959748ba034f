package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// eachDriver runs a test with every mechanism that works on this machine.
func eachDriver(t *testing.T, test func(t *testing.T, d Driver)) {
	for _, m := range []Mechanism{Process, Namespace} {
		t.Run(string(m), func(t *testing.T) { test(t, sharedDriver(t, m)) })
	}
}

// shared are the drivers that tests share, by mechanism: opening one takes long with the race
// detector. TestMain closes them.
var shared = map[Mechanism]Driver{}

func sharedDriver(t testing.TB, m Mechanism) Driver {
	t.Helper()
	if payload == "" {
		t.Skip("the payload could not be built")
	}
	if shared[m] == nil {
		// Not in payload: without root that is not writable.
		dir, err := os.MkdirTemp("", "sandbox-")
		if err == nil {
			err = os.Chmod(dir, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
		d, err := Open(Options{Mechanism: m, Dir: filepath.Join(dir, "scratch")})
		if err != nil {
			t.Skip("this machine does not allow it: ", err)
		}
		shared[m] = d
	}
	return shared[m]
}

// openDriver opens a driver for a test, which is skipped if the mechanism does not work here.
func openDriver(t testing.TB, o Options) Driver {
	t.Helper()
	if payload == "" {
		t.Skip("the payload could not be built")
	}
	o.Dir = scratch(t)
	d, err := Open(o)
	if err != nil {
		t.Skip("this machine does not allow it: ", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close driver: %v", err)
		}
	})
	return d
}

// scratch returns a directory whose parents every user may pass.
func scratch(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sandbox-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(dir, "scratch")
}

// A box is a sandbox under test and what it has written.
type box struct {
	Sandbox
	t  testing.TB
	mu struct {
		sync.Mutex
		lines []string
		eof   bool
	}
}

// deeds is the Spec of the payload with what it shall do.
func deeds(args ...string) Spec {
	return Spec{
		Name: "test", Command: append([]string{"/var/task/payload"}, args...), Code: payload,
		MemoryMB: 256, EphemeralMB: 512,
	}
}

// start starts a sandbox that is closed with the test.
func start(t testing.TB, d Driver, spec Spec) *box {
	t.Helper()
	s, err := d.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	b := &box{Sandbox: s, t: t}
	go b.read()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func (b *box) read() {
	lines := bufio.NewScanner(b.Output())
	for lines.Scan() {
		b.mu.Lock()
		b.mu.lines = append(b.mu.lines, lines.Text())
		b.mu.Unlock()
	}
	b.mu.Lock()
	b.mu.eof = true
	b.mu.Unlock()
}

// written returns the lines so far.
func (b *box) written() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.mu.lines)
}

// line waits for a line that begins with prefix and returns the rest.
func (b *box) line(prefix string) string {
	b.t.Helper()
	var rest string
	eventually(b.t, fmt.Sprintf("a line %q", prefix), func() bool {
		for _, l := range b.written() {
			if after, ok := strings.CutPrefix(l, prefix); ok {
				rest = after
				return true
			}
		}
		return false
	})
	return rest
}

// exit waits for the end of the command.
func (b *box) exit() Exit {
	b.t.Helper()
	select {
	case e, ok := <-b.Exited():
		if !ok {
			b.t.Fatal("the sandbox was closed")
		}
		return e
	case <-time.After(patience):
		b.t.Fatalf("the command does not end; it wrote %q", b.written())
	}
	panic("unreachable")
}

// next accepts the connection of a payload that asks for an invocation.
func (b *box) next() net.Conn {
	b.t.Helper()
	if l, ok := b.Listener().(*net.TCPListener); ok {
		l.SetDeadline(time.Now().Add(patience))
	}
	c, err := b.Listener().Accept()
	if err != nil {
		b.t.Fatalf("no connection: %v; it wrote %q", err, b.written())
	}
	b.t.Cleanup(func() { c.Close() })
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "GET /2018-06-01/runtime/invocation/next ") {
		b.t.Fatalf("request %q, %v", line, err)
	}
	return c
}

// eventually polls until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come true: %s", what)
		}
	}
}

func TestExits(t *testing.T) {
	eachDriver(t, func(t *testing.T, d Driver) {
		for _, c := range []struct {
			deed string
			want Exit
		}{
			{"exit=0", Exit{}},
			{"exit=42", Exit{Code: 42}},
			{"kill=9", Exit{Code: -1, Signal: "killed"}},
			{"kill=15", Exit{Code: -1, Signal: "terminated"}},
		} {
			if got := start(t, d, deeds(c.deed)).exit(); got != c.want {
				t.Errorf("%s: %+v, want %+v", c.deed, got, c.want)
			}
		}
	})
}

func TestCommandThatCannotRun(t *testing.T) {
	eachDriver(t, func(t *testing.T, d Driver) {
		for command, want := range map[string]error{
			"/var/task/missing": os.ErrNotExist,
			"/var/task":         os.ErrPermission, // a directory
		} {
			spec := deeds()
			spec.Command = []string{command}
			if e := start(t, d, spec).exit(); !errors.Is(e.Err, want) || e.Code != -1 {
				t.Errorf("%s: %+v, want %v", command, e, want)
			}
		}
	})
}

func TestBadSpecs(t *testing.T) {
	eachDriver(t, func(t *testing.T, d Driver) {
		for name, change := range map[string]func(*Spec){
			"no command":       func(s *Spec) { s.Command = nil },
			"relative command": func(s *Spec) { s.Command = []string{"payload"} },
			"NUL in argument":  func(s *Spec) { s.Command = append(s.Command, "a\x00b") },
			"no = in variable": func(s *Spec) { s.Env = []string{"A"} },
			"relative code":    func(s *Spec) { s.Code = "code" },
			"no memory":        func(s *Spec) { s.MemoryMB = 0 },
			"no /tmp":          func(s *Spec) { s.EphemeralMB = 0 },
			"unknown egress":   func(s *Spec) { s.Egress = "some" },
			"preboot w/o key":  func(s *Spec) { s.Preboot = &Preboot{Command: s.Command} },
		} {
			spec := deeds("exit=0")
			change(&spec)
			if s, err := d.Start(t.Context(), spec); err == nil {
				t.Errorf("%s: accepted", name)
				s.Close()
			}
		}
	})
}

func TestEnvironmentAndOutput(t *testing.T) {
	t.Setenv("OF_THE_SERVER", "secret")
	eachDriver(t, func(t *testing.T, d Driver) {
		spec := deeds("env", "say=that is all")
		spec.Env = []string{"A=1", "EMPTY=", "PATH=/var/task/bin:/usr/bin"}
		b := start(t, d, spec)
		b.exit()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the output ends", func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.mu.eof
		})
		lines := b.written()
		if len(lines) == 0 || lines[len(lines)-1] != "that is all" {
			t.Fatalf("output %q", lines)
		}
		for _, want := range []string{"A=1", "EMPTY=", "AWS_LAMBDA_RUNTIME_API=" + b.Listener().Addr().String()} {
			if !slices.Contains(lines, want) {
				t.Errorf("no %s in %q", want, lines)
			}
		}
		if slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "OF_THE_SERVER") }) {
			t.Errorf("the server's variables are inherited: %q", lines)
		}
		// The process driver replaces the roots.
		path := "PATH=/var/task/bin:/usr/bin"
		if d.Report().Mechanism == Process {
			path = "PATH=" + payload + "/bin:/usr/bin"
		}
		if !slices.Contains(lines, path) {
			t.Errorf("no %s in %q", path, lines)
		}
	})
}

func TestListener(t *testing.T) {
	eachDriver(t, func(t *testing.T, d Driver) {
		a, b := start(t, d, deeds("next")), start(t, d, deeds("next"))
		a.next()
		b.next()
	})
}

func TestRestart(t *testing.T) {
	eachDriver(t, func(t *testing.T, d Driver) {
		spec := deeds("read=$DIR/kept", "write=$DIR/kept", "next")
		spec.Env = []string{"DIR=/tmp"}
		b := start(t, d, spec)
		b.line("read no such file")
		b.line("write ok")
		b.next()
		if err := b.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.line("read ok")
		b.line("written")
		b.next()
		select {
		case e := <-b.Exited():
			t.Errorf("the exit that Restart caused is delivered: %+v", e)
		default:
		}
	})
}

func TestRestartAfterExit(t *testing.T) {
	eachDriver(t, func(t *testing.T, d Driver) {
		b := start(t, d, deeds("say=up", "exit=3"))
		for i := range 3 {
			eventually(t, "it has run again", func() bool { return len(b.written()) == i+1 })
			if i == 1 { // whether it was asked for or not
				if e := b.exit(); e.Code != 3 {
					t.Errorf("exit %+v", e)
				}
			}
			if err := b.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if e := b.exit(); e.Code != 3 {
			t.Errorf("exit %+v", e)
		}
	})
}

func TestTerminate(t *testing.T) {
	eachDriver(t, func(t *testing.T, d Driver) {
		b := start(t, d, deeds("say=up", "sleep"))
		b.line("up")
		if err := b.Terminate(); err != nil {
			t.Fatal(err)
		}
		if e := b.exit(); e.Signal != "terminated" {
			t.Errorf("exit %+v", e)
		}
		if err := b.Terminate(); err != nil {
			t.Errorf("terminate what has ended: %v", err)
		}
	})
}

func TestCloseKillsWhatIgnoresSIGTERM(t *testing.T) {
	eachDriver(t, func(t *testing.T, d Driver) {
		b := start(t, d, deeds("ignore", "say=up", "sleep"))
		b.line("up")
		if err := b.Terminate(); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if e, ok := <-b.Exited(); !ok || e.Signal != "killed" {
			t.Errorf("exit %+v, %v", e, ok)
		}
		if _, ok := <-b.Exited(); ok {
			t.Error("a second exit")
		}
		if err := b.Close(); err != nil {
			t.Errorf("close again: %v", err)
		}
		for what, err := range map[string]error{
			"freeze": b.Freeze(), "thaw": b.Thaw(), "terminate": b.Terminate(), "restart": b.Restart(t.Context()),
		} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("%s of a closed sandbox: %v", what, err)
			}
		}
	})
}

func TestTreeEndsWithCommand(t *testing.T) {
	eachDriver(t, func(t *testing.T, d Driver) {
		spec := deeds()
		spec.Command = []string{"/bin/sh", "-c", "(while :; do echo child; sleep 0.01; done) & sleep 0.1; echo parent"}
		b := start(t, d, spec)
		b.exit()
		b.line("parent")
		if err := b.Restart(t.Context()); err != nil { // keeps the output open
			t.Fatal(err)
		}
		n := len(b.written())
		b.exit()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the output ends", func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.mu.eof
		})
		if n == len(b.written()) {
			t.Error("the second run wrote nothing")
		}
	})
}

func TestFreeze(t *testing.T) {
	eachDriver(t, func(t *testing.T, d Driver) {
		b := start(t, d, deeds("say=up", "spin"))
		b.line("up")
		for range 2 { // the second of each changes nothing
			if err := b.Freeze(); err != nil {
				t.Fatal(err)
			}
		}
		used := func() time.Duration {
			u, err := b.Usage()
			if err != nil {
				t.Fatal(err)
			}
			return u.CPU
		}
		// It may take a moment to stop; then it uses nothing for a long time.
		const still = 300 * time.Millisecond
		var last time.Duration
		since := time.Now()
		eventually(t, "it uses no CPU", func() bool {
			if now := used(); now != last {
				last, since = now, time.Now()
			}
			return time.Since(since) > still
		})
		for range 2 {
			if err := b.Thaw(); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "it runs again", func() bool { return used() > last })
	})
}

func TestCloseAndRestartOfFrozen(t *testing.T) {
	eachDriver(t, func(t *testing.T, d Driver) {
		b := start(t, d, deeds("next"))
		b.next()
		if err := b.Freeze(); err != nil {
			t.Fatal(err)
		}
		if err := b.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.next()
		if err := b.Freeze(); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
