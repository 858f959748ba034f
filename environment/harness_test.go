package environment

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-run/weir/lambda"
)

var testScope = lambda.Scope{Account: "123456789012", Region: "us-east-1"}

// patience is how long a test waits for what should happen soon.
const patience = 20 * time.Second

// needRuntime skips a test of a runtime this machine cannot run.
func needRuntime(t testing.TB, h *Host, id string) {
	t.Helper()
	if _, err := h.Resolve(id); err != nil {
		t.Skip(err)
	}
}

// A logBook keeps the log streams that a Host writes.
type logBook struct {
	mu      sync.Mutex
	streams map[string]*logStream
}

type logStream struct {
	mu sync.Mutex
	b  bytes.Buffer
	at []time.Time
}

func (l *logBook) open(_ lambda.Scope, group, stream string) (func(time.Time, []byte), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams == nil {
		l.streams = make(map[string]*logStream)
	}
	s := new(logStream)
	l.streams[group+" "+stream] = s
	return s.take, nil
}

// text returns everything logged so far.
func (l *logBook) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, s := range l.streams {
		s.mu.Lock()
		b.Write(s.b.Bytes())
		s.mu.Unlock()
	}
	return b.String()
}

func (s *logStream) take(at time.Time, lines []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b.Write(lines)
	s.at = append(s.at, at)
}

// A liveEnvironment is an environment under test, with what it announced.
type liveEnvironment struct {
	*Environment
	t       testing.TB
	logs    *logBook
	ready   chan Init
	idle    chan Report
	gone    chan error
	counter int
}

// startFunction starts an environment of a function made of files.
func startFunction(t testing.TB, h *Host, v lambda.Version, files map[string]string) *liveEnvironment {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(content, "#!") {
			mode = 0o755
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	return startSpec(t, h, Spec{Scope: testScope, Version: &v, Code: dir})
}

// startSpec starts an environment.
func startSpec(t testing.TB, h *Host, spec Spec) *liveEnvironment {
	t.Helper()
	v := spec.Version
	if v.Function == "" {
		v.Function = "fn"
	}
	if v.Number == "" {
		v.Number = lambda.Latest
	}
	if v.TimeoutSec == 0 {
		v.TimeoutSec = 10
	}
	if v.MemoryMB == 0 {
		v.MemoryMB = 512
	}
	v.EphemeralMB = 512
	le := &liveEnvironment{
		t:     t,
		logs:  new(logBook),
		ready: make(chan Init, 10),
		idle:  make(chan Report, 1000),
		gone:  make(chan error, 10),
	}
	if h.opt.OpenLog == nil {
		h = h.with(func(o *Options) { o.OpenLog = le.logs.open })
	}
	spec.Events = Events{
		Ready: func(_ *Environment, i Init) { le.ready <- i },
		Idle: func(_ *Environment, r Report) {
			select {
			case le.idle <- r:
			default:
			}
		},
		Gone: func(_ *Environment, err error) { le.gone <- err },
	}
	le.Environment = h.Start(spec)
	t.Cleanup(le.Close)
	return le
}

// waitReady waits for the end of INIT.
func (e *liveEnvironment) waitReady() Init {
	e.t.Helper()
	select {
	case i := <-e.ready:
		return i
	case err := <-e.gone:
		e.t.Fatalf("environment gone: %v\n%s", err, e.logs.text())
	case <-time.After(patience):
		e.t.Fatalf("environment not ready\n%s", e.logs.text())
	}
	panic("unreachable")
}

// waitIdle waits for the end of an invocation.
func (e *liveEnvironment) waitIdle() Report {
	e.t.Helper()
	select {
	case r := <-e.idle:
		return r
	case err := <-e.gone:
		e.t.Fatalf("environment gone: %v\n%s", err, e.logs.text())
	case <-time.After(patience):
		e.t.Fatalf("environment not idle\n%s", e.logs.text())
	}
	panic("unreachable")
}

// invocation returns an invocation with a request id of its own.
func (e *liveEnvironment) invocation(payload string) *lambda.Invocation {
	e.counter++
	return &lambda.Invocation{
		Scope:     testScope,
		Function:  "fn",
		Type:      lambda.RequestResponse,
		RequestID: fmt.Sprintf("00000000-0000-4000-8000-%012d", e.counter),
		TraceID:   "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
		Payload:   []byte(payload),
	}
}

// call runs one invocation with the log tail and waits until the environment is idle again.
func (e *liveEnvironment) call(payload string) (lambda.Outcome, Report) {
	e.t.Helper()
	inv := e.invocation(payload)
	inv.LogTail = true
	o := e.Invoke(inv)
	return o, e.waitIdle()
}

var timePattern = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ`)

// lineOf returns the number of the line of a file that holds a text.
func lineOf(t *testing.T, file, text string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, _, ok := strings.Cut(string(content), text)
	if !ok {
		t.Fatalf("%s does not have %s", file, text)
	}
	return strconv.Itoa(strings.Count(before, "\n") + 1)
}
