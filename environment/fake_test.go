package environment

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/sandbox"
)

// A fakeDriver makes sandboxes whose command is a function of the test. Everything is in
// memory, so that a test in a synctest bubble decides what time it is.
type fakeDriver struct {
	command func(*fakeProcess)
	listen  func() (net.Listener, error) // nil: connections in memory
	started chan *fakeSandbox
	failure error // of Start
}

func (d *fakeDriver) Report() sandbox.Report { return sandbox.Report{} }
func (d *fakeDriver) Close() error           { return nil }

func (d *fakeDriver) Start(_ context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if d.failure != nil {
		return nil, d.failure
	}
	s := &fakeSandbox{driver: d, spec: spec, exited: make(chan sandbox.Exit, 1), closed: make(chan struct{})}
	s.outR, s.outW = io.Pipe()
	if d.listen != nil {
		l, err := d.listen()
		if err != nil {
			return nil, err
		}
		s.lis = l
	} else {
		s.lis = &memoryListener{conns: make(chan net.Conn), closed: s.closed}
	}
	s.run()
	if d.started != nil {
		d.started <- s
	}
	return s, nil
}

// A fakeSandbox counts what is done to it.
type fakeSandbox struct {
	driver *fakeDriver
	spec   sandbox.Spec
	lis    net.Listener
	outR   *io.PipeReader
	outW   *io.PipeWriter
	exited chan sandbox.Exit
	closed chan struct{}
	once   sync.Once

	mu       sync.Mutex
	process  *fakeProcess
	steps    []string // Settle, Freeze, Thaw, Restart, in order
	memory   int64
	failNext error // of the next Thaw or Restart
}

func (s *fakeSandbox) run() {
	ctx, cancel := context.WithCancel(context.Background())
	p := &fakeProcess{sandbox: s, ctx: ctx, cancel: cancel, done: make(chan struct{})}
	s.process = p
	go func() {
		defer close(p.done)
		s.driver.command(p)
	}()
}

// A fakeProcess is one life of the command.
type fakeProcess struct {
	sandbox *fakeSandbox
	ctx     context.Context // done when the process is killed
	cancel  context.CancelFunc
	done    chan struct{}

	mu    sync.Mutex
	conns []net.Conn
}

func (s *fakeSandbox) Listener() net.Listener      { return s.lis }
func (s *fakeSandbox) Endpoint() net.Listener      { return nil }
func (s *fakeSandbox) Daemon() *net.UDPConn        { return nil }
func (s *fakeSandbox) Output() io.Reader           { return s.outR }
func (s *fakeSandbox) Exited() <-chan sandbox.Exit { return s.exited }
func (s *fakeSandbox) Terminate() error            { return nil }
func (s *fakeSandbox) Settle() error               { return s.step("settle") }
func (s *fakeSandbox) Freeze() error               { return s.step("freeze") }
func (s *fakeSandbox) Thaw() error                 { return s.step("thaw") }

func (s *fakeSandbox) step(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = append(s.steps, name)
	if name == "thaw" || name == "restart" {
		err := s.failNext
		s.failNext = nil
		return err
	}
	return nil
}

func (s *fakeSandbox) done() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.steps, " ")
}

func (s *fakeSandbox) Restart(context.Context) error {
	s.process.kill()
	if err := s.step("restart"); err != nil {
		return err
	}
	select {
	case <-s.exited:
	default:
	}
	s.run()
	return nil
}

func (s *fakeSandbox) Usage() (sandbox.Usage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sandbox.Usage{MaxMemory: s.memory}, nil
}

func (s *fakeSandbox) Close() error {
	s.once.Do(func() {
		s.process.kill()
		close(s.closed)
		close(s.exited)
		s.lis.Close()
		s.outW.Close()
	})
	return nil
}

// kill ends the process as SIGKILL does.
func (p *fakeProcess) kill() {
	p.cancel()
	p.hangUp()
	<-p.done
}

func (p *fakeProcess) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// exit ends the process by itself; the command returns after it.
func (p *fakeProcess) exit(x sandbox.Exit) {
	p.hangUp()
	p.sandbox.exited <- x
}

// print writes a line of output and, in a bubble, waits until it has been taken note of.
func (p *fakeProcess) print(text string) {
	fmt.Fprintln(p.sandbox.outW, text)
	time.Sleep(time.Nanosecond)
}

// dial connects to the Runtime API.
func (p *fakeProcess) dial() (net.Conn, error) {
	var c net.Conn
	var err error
	if l, ok := p.sandbox.lis.(*memoryListener); ok {
		c, err = l.dial(p.ctx)
	} else {
		c, err = net.Dial("tcp", p.sandbox.lis.Addr().String())
	}
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
	return c, nil
}

// A memoryListener accepts connections in memory.
type memoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error   { return nil }
func (l *memoryListener) Addr() net.Addr { return &net.IPAddr{} }

func (l *memoryListener) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return &bufferedConn{Conn: client, w: newPump(client)}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// A bufferedConn is the client's end of a pipe that takes what is written without waiting for
// the reader, as a socket does.
type bufferedConn struct {
	net.Conn
	w *pump
}

func (c *bufferedConn) Write(p []byte) (int, error) { return c.w.Write(p) }

func (c *bufferedConn) Close() error {
	c.w.close()
	return nil
}

// A pump writes to a pipe from a goroutine of its own, and closes it when all is written.
type pump struct {
	mu     sync.Mutex
	cond   sync.Cond
	data   []byte
	closed bool
}

func newPump(c net.Conn) *pump {
	p := new(pump)
	p.cond.L = &p.mu
	go func() {
		defer c.Close()
		for {
			p.mu.Lock()
			for len(p.data) == 0 && !p.closed {
				p.cond.Wait()
			}
			data := p.data
			p.data = nil
			p.mu.Unlock()
			if len(data) == 0 {
				return
			}
			if _, err := c.Write(data); err != nil {
				return
			}
		}
	}()
	return p
}

func (p *pump) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, io.ErrClosedPipe
	}
	p.data = append(p.data, b...)
	p.cond.Signal()
	return len(b), nil
}

func (p *pump) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.cond.Signal()
}

// A fakeRuntime is a runtime client on one connection that takes every byte in hand.
type fakeRuntime struct {
	c net.Conn
	r *bufio.Reader
}

// An apiReply is an answer of the Runtime API.
type apiReply struct {
	status int
	header http.Header
	body   string
}

// runtime opens a connection to the Runtime API. It returns nil if the process has been killed.
func (p *fakeProcess) runtime() *fakeRuntime {
	c, err := p.dial()
	if err != nil {
		return nil
	}
	return &fakeRuntime{c: c, r: bufio.NewReader(c)}
}

func (r *fakeRuntime) send(text string) {
	io.WriteString(r.c, strings.ReplaceAll(text, "\n", "\r\n"))
}

// raw sends bytes as they are.
func (r *fakeRuntime) raw(text string) { io.WriteString(r.c, text) }

// reply reads one answer.
func (r *fakeRuntime) reply() (apiReply, error) {
	line, err := r.r.ReadString('\n')
	if err != nil {
		return apiReply{}, err
	}
	fields := strings.SplitN(strings.TrimSpace(line), " ", 3)
	if len(fields) < 2 {
		return apiReply{}, errors.New("malformed status line " + line)
	}
	status, err := strconv.Atoi(fields[1])
	if err != nil {
		return apiReply{}, err
	}
	header, err := textproto.NewReader(r.r).ReadMIMEHeader()
	if err != nil {
		return apiReply{}, err
	}
	n, err := strconv.Atoi(header.Get("Content-Length"))
	if status != 100 && err != nil {
		return apiReply{}, err
	}
	body := make([]byte, n)
	_, err = io.ReadFull(r.r, body)
	return apiReply{status, http.Header(header), string(body)}, err
}

const askNext = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\nHost: x\n\n"

// next asks for an invocation and returns it.
func (r *fakeRuntime) next() (apiReply, error) {
	r.send(askNext)
	return r.reply()
}

// post sends an answer and returns what the Runtime API says to it.
func (r *fakeRuntime) post(path, body string, headers ...string) (apiReply, error) {
	r.send(postText(path, body, headers...))
	return r.reply()
}

func postText(path, body string, headers ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "POST /2018-06-01/runtime/%s HTTP/1.1\nHost: x\nContent-Length: %d\n", path, len(body))
	for _, h := range headers {
		b.WriteString(h + "\n")
	}
	return b.String() + "\n" + body
}

func (a apiReply) id() string { return a.header.Get("Lambda-Runtime-Aws-Request-Id") }

// echo is a runtime that answers every event with itself.
func echo(p *fakeProcess) {
	r := p.runtime()
	if r == nil {
		return
	}
	for {
		event, err := r.next()
		if err != nil {
			return
		}
		if _, err := r.post("invocation/"+event.id()+"/response", event.body); err != nil {
			return
		}
	}
}

// fakeHost opens a Host whose functions are command.
func fakeHost(t testing.TB, command func(*fakeProcess), change ...func(*Options)) (*Host, *fakeDriver) {
	t.Helper()
	d := &fakeDriver{command: command, started: make(chan *fakeSandbox, 100)}
	opt := Options{Sandboxes: d, Logger: slog.New(slog.DiscardHandler), FreezeAfter: 100 * time.Millisecond}
	for _, f := range change {
		f(&opt)
	}
	opt.EndpointURL = "http://" + sandbox.EndpointAddr
	h := &Host{opt: opt, runtimeDir: "/nowhere"}
	h.calls.New = newCall
	return h, d
}

// startFake starts an environment of a provided.al2023 function with a timeout in seconds.
func startFake(t testing.TB, h *Host, timeoutSec int) *liveEnvironment {
	t.Helper()
	return startSpec(t, h, Spec{Scope: testScope, Version: &lambda.Version{
		Runtime: "provided.al2023", Handler: "bootstrap", TimeoutSec: timeoutSec, MemoryMB: 128,
	}})
}

// A sink collects a streamed answer.
type sink struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
