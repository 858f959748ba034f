//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"golang.org/x/sys/unix"

	"github.com/weir-run/weir/test/e2e/tally"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	h, err := shared(t).health()
	if err != nil {
		t.Fatal(err)
	}
	if h.Status != "ok" || h.Version == "" || h.Sandbox.Reason == "" || len(h.Sandbox.Isolated)+len(h.Sandbox.Exposed) == 0 {
		t.Errorf("health says %+v", h)
	}
	if m := h.Sandbox.Mechanism; m != "namespace" && m != "process" {
		t.Errorf("isolation by %q", m)
	}
}

// TestDrain stops a server while a function works: the invocation is answered, nobody new gets
// in, and the server exits with 0.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := start(t, "-sandbox", "process")
	a := newAccount(s.url)
	a.create(t, function{name: "slow", language: golang, code: program(t, "light"), timeout: 30})
	page := filepath.Join(t.TempDir(), "tally")
	count, err := tally.Open(page)
	if err != nil {
		t.Fatal(err)
	}
	defer count.Close()
	answered := make(chan error, 1)
	go func() {
		_, err := a.call(t.Context(), "slow", map[string]any{"ms": 2000, "tally": page}, &struct{}{})
		answered <- err
	}()
	eventually(t, patience, func() error { return expect(count.Count().Begun, 1, "invocations have begun") })
	began := time.Now()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if err := <-answered; err != nil {
		t.Errorf("the invocation in progress: %v", err)
	}
	if n := count.Count().Ended; n != 1 {
		t.Errorf("%d invocations have ended", n)
	}
	if took := time.Since(began); took < time.Second || took > 10*time.Second {
		t.Errorf("the server drained 2 s of work in %v", took)
	}
	if c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://")); err == nil {
		c.Close()
		t.Error("the server that has stopped takes connections")
	}
}

func expect[T comparable](got, want T, what string) error {
	if got != want {
		return fmt.Errorf("%v %s, want %v", got, what, want)
	}
	return nil
}

// TestRestart stops a server and starts it again: its functions are there and run.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := start(t, "-sandbox", "process")
	a := newAccount(s.url)
	a.create(t, function{name: "kept", language: golang, code: program(t, "light"), reserved: aws.Int32(3)})
	a.do(t, "kept", struct{}{}, &struct{}{})
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s = startIn(t, s.data, "-sandbox", "process")
	again := accountOf(s.url, a.id)
	again.do(t, "kept", struct{}{}, &struct{}{})
	got, err := again.GetFunctionConcurrency(t.Context(), &lambda.GetFunctionConcurrencyInput{FunctionName: aws.String("kept")})
	if err != nil || aws.ToInt32(got.ReservedConcurrentExecutions) != 3 {
		t.Errorf("%d is reserved, %v", aws.ToInt32(got.ReservedConcurrentExecutions), err)
	}
	// Control-C stops it as SIGTERM does.
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := s.ended(stopLimit); err != nil {
		t.Error(err)
	}
}

// refused runs "weir serve", which must end by itself with an exit code and say why.
func refused(t testing.TB, exit int, why string, flags ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readyLimit)
	defer cancel()
	c := exec.CommandContext(ctx, binary("weir"), append([]string{"serve"}, flags...)...)
	c.Dir = t.TempDir()
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	var e *exec.ExitError
	if !errors.As(err, &e) || e.ExitCode() != exit || !strings.Contains(stderr.String(), why) || stdout.Len() > 0 {
		t.Errorf("weir serve %s: %v, want exit status %d and %q\nstdout: %s\nstderr: %s", strings.Join(flags, " "), err, exit, why, stdout.String(), stderr.String())
	}
}

func TestSecondServer(t *testing.T) {
	t.Parallel()
	s := shared(t)
	refused(t, 1, "another server uses the data directory "+s.data, "-listen", "127.0.0.1:0", "-data", s.data)
	refused(t, 1, "address already in use", "-listen", strings.TrimPrefix(s.url, "http://"), "-data", t.TempDir())
	if _, err := s.health(); err != nil {
		t.Errorf("the first server: %v", err)
	}
}

func TestFlagAccountConcurrency(t *testing.T) {
	t.Parallel()
	s := start(t, "-sandbox", "process", "-account-concurrency", "3")
	a := newAccount(s.url)
	a.create(t, function{name: "busy", language: golang, code: program(t, "light"), timeout: 30})
	settings, err := a.GetAccountSettings(t.Context(), &lambda.GetAccountSettingsInput{})
	if err != nil {
		t.Fatal(err)
	}
	if n := settings.AccountLimit.ConcurrentExecutions; n != 3 {
		t.Errorf("the account's limit is %d", n)
	}
	gathers(t, s, a, 3, 10)
}

// TestFlagScalingProfile checks a profile in which a Region allows 500 environments at first.
func TestFlagScalingProfile(t *testing.T) {
	s := start(t, "-sandbox", "process", "-scaling-profile", "classic:sa-east-1", "-log-level", "error")
	a := newAccount(s.url)
	a.create(t, function{name: "busy", language: golang, code: program(t, "light"), timeout: 60})
	gathers(t, s, a, 500, 700)
}

// gathers checks that of so many calls at once so many run, all at the same time.
func gathers(t *testing.T, s *server, a *account, limit, calls int) {
	t.Helper()
	event, count := together(t, limit)
	seen := outcomes(volley(t, s.url, a.id, "busy", event, calls))
	if seen["200"] != limit || seen[overAccount] != calls-limit {
		t.Errorf("of %d calls: %v, want %d to run", calls, seen, limit)
	}
	if c := count.Count(); c.Peak != int64(limit) || c.Begun != int64(limit) {
		t.Errorf("in the function: %+v", c)
	}
}

func TestFlagIdleTimeout(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[string]int{"300ms": 0, "1h": 1} {
		s := start(t, "-sandbox", "process", "-idle-timeout", timeout)
		a := newAccount(s.url)
		a.create(t, function{name: "idle", language: golang, code: program(t, "light")})
		var first, second struct{ Stream string }
		a.do(t, "idle", struct{}{}, &first)
		eventually(t, patience, func() error {
			h, err := s.health()
			if err != nil {
				return err
			}
			return expect(h.Environments, want, "environments with -idle-timeout "+timeout)
		})
		a.do(t, "idle", struct{}{}, &second)
		if same := first.Stream == second.Stream; same != (want == 1) {
			t.Errorf("with -idle-timeout %s two invocations ran in %s and %s", timeout, first.Stream, second.Stream)
		}
	}
}

func TestFlagSandbox(t *testing.T) {
	t.Parallel()
	if m := start(t, "-sandbox", "process").mechanism(t); m != "process" {
		t.Errorf("-sandbox process isolates by %s", m)
	}
	refused(t, 1, `unknown mechanism "docker"`, "-listen", "127.0.0.1:0", "-data", t.TempDir(), "-sandbox", "docker")
}

// TestFlagEgress lets a function call a server of this machine, which it may only with the
// host's network.
func TestFlagEgress(t *testing.T) {
	t.Parallel()
	python.on(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	outside := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "outside") })}
	go outside.Serve(listener)
	defer outside.Close()
	for egress, want := range map[string]string{"none": "", "host": "outside"} {
		s := start(t, "-egress", egress)
		need(t, s.mechanism(t) == "namespace", "egress is of no account: isolation is by %s", s.mechanism(t))
		a := newAccount(s.url)
		a.create(t, function{name: "fetch", language: python, code: script(t, "hostile.py"), timeout: 10})
		var got struct{ Text, Error string }
		a.do(t, "fetch", map[string]string{"do": "fetch", "url": "http://" + listener.Addr().String()}, &got)
		if got.Text != want || (want == "") != (got.Error != "") {
			t.Errorf("with -egress %s the function got %+v", egress, got)
		}
	}
	refused(t, 1, `unknown egress "all"`, "-listen", "127.0.0.1:0", "-data", t.TempDir(), "-egress", "all")
}

func TestFlagLogLevel(t *testing.T) {
	t.Parallel()
	for level, want := range map[string][2]bool{"debug": {true, true}, "info": {false, true}, "error": {false, false}} {
		s := start(t, "-sandbox", "process", "-log-level", level)
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(s.log)
		if err != nil {
			t.Fatal(err)
		}
		got := [2]bool{bytes.Contains(text, []byte("level=DEBUG")), bytes.Contains(text, []byte("level=INFO"))}
		if got != want {
			t.Errorf("with -log-level %s debug and info lines are there: %v, want %v\n%s", level, got, want, text)
		}
	}
}

// TestFileLimit starts a server whose soft limit of open files is low, as a login shell's often
// is. A thousand environments need more: the server raises it to the hard limit.
func TestFileLimit(t *testing.T) {
	t.Parallel()
	s, err := launchBy([]string{"sh", "-c", `ulimit -Sn 256; exec "$0" "$@"`}, "", "-sandbox", "process")
	if err != nil {
		t.Fatal(err)
	}
	var l unix.Rlimit
	if err := unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_NOFILE, nil, &l); err != nil {
		t.Fatal(err)
	}
	if l.Cur < l.Max-1 { // Go's runtime leaves a mark of one
		t.Errorf("the server's limit of open files is %d, where it may be %d", l.Cur, l.Max)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
