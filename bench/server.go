package main

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Bounds on what a server may take.
const (
	readyLimit  = 30 * time.Second
	stopLimit   = 40 * time.Second
	activeLimit = 20 * time.Second
)

// A server is a "weir serve" of its own process.
type server struct {
	cmd       *exec.Cmd
	addr      string
	mechanism string
	signed    bool
	done      chan error // of the process
}

// serve starts a server. Its functions are isolated as strongly as the machine allows.
func (b *bench) serve(signed bool) (*server, error) {
	data, err := os.MkdirTemp(b.dir, "data-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(data, 0o755); err != nil {
		return nil, err
	}
	args := []string{"serve", "-listen", "127.0.0.1:0", "-data", data, "-account-concurrency", "100000", "-log-level", "warn"}
	if signed {
		file := filepath.Join(data, "credentials")
		if err := os.WriteFile(file, []byte(keyID+" "+secret+"\n"), 0o600); err != nil {
			return nil, err
		}
		args = append(args, "-auth", "sigv4", "-credentials", file)
	}
	s := &server{cmd: exec.Command(b.weir, args...), signed: signed, done: make(chan error, 1)}
	s.cmd.Stderr = os.Stderr
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	timer := time.AfterFunc(readyLimit, func() { _ = s.cmd.Process.Kill() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	timer.Stop()
	go func() { s.done <- s.cmd.Wait() }()
	rest, ok := strings.CutPrefix(line, "weir is ready at http://")
	if err != nil || !ok {
		s.stop()
		return nil, fmt.Errorf("the server said %q: %w", line, err)
	}
	s.addr, s.mechanism, _ = strings.Cut(strings.TrimSpace(rest), " ")
	return s, nil
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended already
	select {
	case <-s.done:
	case <-time.After(stopLimit):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

// call calls the API and decodes the answer, if out is not nil.
func (s *server) call(method, path string, in, out any) error {
	return s.callWith(http.Header{}, method, path, in, out)
}

// sqs calls an operation of SQS.
func (s *server) sqs(operation string, in, out any) error {
	h := http.Header{}
	h.Set("X-Amz-Target", "AmazonSQS."+operation)
	h.Set("Content-Type", "application/x-amz-json-1.0")
	return s.callWith(h, "POST", "/", in, out)
}

func (s *server) callWith(header http.Header, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequest(method, "http://"+s.addr+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = header
	if s.signed {
		if err := sign(req, body); err != nil {
			return err
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// invokePath is where a function is invoked.
func invokePath(name string) string { return "/2015-03-31/functions/" + name + "/invocations" }

// create makes a function and waits until it is active.
func (s *server) create(f function) error {
	var z bytes.Buffer
	w := zip.NewWriter(&z)
	h := &zip.FileHeader{Name: f.file, Method: zip.Store}
	h.SetMode(0o755)
	part, err := w.CreateHeader(h)
	if err != nil {
		return err
	}
	if _, err := part.Write(f.content); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	err = s.call("POST", "/2015-03-31/functions", map[string]any{
		"FunctionName": f.name, "Runtime": f.runtime, "Handler": "app.handler", "Role": "arn:aws:iam::000000000000:role/bench",
		"Timeout": 30, "MemorySize": memoryMB, "Code": map[string]any{"ZipFile": base64.StdEncoding.EncodeToString(z.Bytes())},
	}, nil)
	if err != nil {
		return err
	}
	for from := time.Now(); time.Since(from) < activeLimit; time.Sleep(10 * time.Millisecond) {
		var state struct{ State string }
		if err := s.call("GET", "/2015-03-31/functions/"+f.name+"/configuration", nil, &state); err != nil {
			return err
		}
		if state.State == "Active" {
			return nil
		}
	}
	return fmt.Errorf("%s is not active after %v", f.name, activeLimit)
}
