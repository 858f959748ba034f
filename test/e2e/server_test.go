//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Bounds on what a server may take.
const (
	readyLimit = 30 * time.Second
	stopLimit  = 40 * time.Second // its own bound for what is in progress is 30 s
)

// A server is a "weir serve" of its own process.
type server struct {
	url  string
	data string // directory
	log  string // file
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // of the end, once done is closed
}

var servers atomic.Int64

// launch starts a server on a free port and waits until it says that it is ready. Without a
// directory it gets an empty one.
func launch(data string, flags ...string) (*server, error) {
	return launchBy(nil, data, flags...)
}

// launchBy is launch by way of another command, which becomes the server.
func launchBy(by []string, data string, flags ...string) (*server, error) {
	s, ready, err := begin(by, data, flags...)
	if err != nil {
		return nil, err
	}
	limit := time.NewTimer(readyLimit)
	defer limit.Stop()
	select {
	case line := <-ready:
		rest, ok := strings.CutPrefix(line, "weir is ready at ")
		s.url, _, _ = strings.Cut(rest, " ")
		if ok && strings.HasPrefix(s.url, "http://") {
			return s, nil
		}
		s.kill()
		return nil, fmt.Errorf("the server said %q instead of being ready: %v\n%s", line, s.err, s.tail())
	case <-limit.C:
		s.kill()
		return nil, fmt.Errorf("the server was not ready after %v\n%s", readyLimit, s.tail())
	}
}

// begin starts the process of a server, whose first line of output will be delivered.
func begin(by []string, data string, flags ...string) (*server, <-chan string, error) {
	n := servers.Add(1)
	if data == "" {
		data = filepath.Join(scratch, "data", fmt.Sprint(n))
	}
	s := &server{data: data, log: filepath.Join(logDir(), fmt.Sprintf("%d.log", n)), done: make(chan struct{})}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	args := slices.Concat(by, []string{binary("weir"), "serve", "-listen", "127.0.0.1:0", "-data", data}, flags)
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.Stderr = log
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, nil, err
	}
	know(s.cmd.Process.Pid)
	ready := make(chan string, 1)
	go s.wait(stdout, ready)
	return s, ready, nil
}

// wait delivers the first line of the server's output, drops the rest and waits for the end.
func (s *server) wait(stdout io.Reader, ready chan<- string) {
	r := bufio.NewReader(stdout)
	line, err := r.ReadString('\n')
	if err == nil {
		ready <- line
		_, err = io.Copy(io.Discard, r)
	}
	s.err = s.cmd.Wait()
	if s.err == nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	forget(s.cmd.Process.Pid)
	close(s.done)
	close(ready)
}

// stop ends the server by SIGTERM, as an operator does. It must exit with 0.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the server: %w", err)
	}
	return s.ended(stopLimit)
}

// ended waits for the server's exit and checks that it is one with 0.
func (s *server) ended(limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.done:
	case <-timer.C:
		s.kill()
		return fmt.Errorf("the server did not stop within %v\n%s", limit, s.tail())
	}
	if s.err != nil {
		return fmt.Errorf("the server stopped with: %w\n%s", s.err, s.tail())
	}
	return nil
}

// kill ends the server as a crash does.
func (s *server) kill() {
	// An error means that it has ended already.
	_ = s.cmd.Process.Kill()
	<-s.done
}

// tail returns the end of the server's log.
func (s *server) tail() string {
	const size = 8 << 10
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-size):])
}

// start starts a server that lasts as long as the test.
func start(t testing.TB, flags ...string) *server {
	t.Helper()
	return startIn(t, "", flags...)
}

// startIn is start with a data directory.
func startIn(t testing.TB, data string, flags ...string) *server {
	t.Helper()
	s, err := launch(data, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-s.done: // the test stopped it
		default:
			if err := s.stop(); err != nil {
				t.Error(err)
			}
		}
		if t.Failed() {
			t.Logf("%s ends with:\n%s", s.log, s.tail())
		}
	})
	return s
}

// Most tests share one server; each has an account of its own there.
var common struct {
	sync.Once
	server *server
	err    error
}

func shared(t testing.TB) *server {
	t.Helper()
	common.Do(func() { common.server, common.err = launch("") })
	if common.err != nil {
		t.Fatal(common.err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server's log is %s", common.server.log)
		}
	})
	return common.server
}

func stopShared() error {
	if common.server == nil {
		return nil
	}
	return common.server.stop()
}

// A health is what a server says about itself.
type health struct {
	Status       string
	Version      string
	Environments int
	Sandbox      struct {
		Mechanism, Reason string
		Isolated, Exposed []string
	}
}

func (s *server) health() (health, error) {
	var h health
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get(s.url + "/_weir/health")
	if err != nil {
		return h, err
	}
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || kind != "application/json" {
		return h, fmt.Errorf("health: %s, %s", resp.Status, kind)
	}
	return h, json.NewDecoder(resp.Body).Decode(&h)
}

// mechanism is what isolates the server's environments.
func (s *server) mechanism(t testing.TB) string {
	t.Helper()
	h, err := s.health()
	if err != nil {
		t.Fatal(err)
	}
	return h.Sandbox.Mechanism
}
