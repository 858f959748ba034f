package engine

import (
	"archive/zip"
	"bytes"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/environment"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

var scope = lambda.Scope{Account: "111111111111", Region: "us-east-1"}

// A house starts fake environments, which behave: they boot when boot lets them, run handler
// one invocation at a time, and can be killed.
type house struct {
	handler func(*fake, *lambda.Invocation) lambda.Outcome
	boot    func(*fake) // nil: ready at once
	idle    func(*fake) // reports that an invocation is finished; nil: at once

	running atomic.Int32
	peak    atomic.Int32

	mu    sync.Mutex
	fakes []*fake
}

type fake struct {
	house  *house
	spec   environment.Spec
	closed atomic.Bool
}

func (h *house) start(spec environment.Spec) Environment {
	f := &fake{house: h, spec: spec}
	h.mu.Lock()
	h.fakes = append(h.fakes, f)
	h.mu.Unlock()
	go func() {
		if h.boot != nil {
			h.boot(f)
			return
		}
		f.ready()
	}()
	return f
}

func (f *fake) ready() {
	if !f.closed.Load() {
		f.spec.Events.Ready(nil, environment.Init{})
	}
}

func (f *fake) Invoke(inv *lambda.Invocation) lambda.Outcome {
	n := f.house.running.Add(1)
	for p := f.house.peak.Load(); n > p && !f.house.peak.CompareAndSwap(p, n); p = f.house.peak.Load() {
	}
	out := lambda.Outcome{Payload: inv.Payload, Version: f.spec.Version.Number}
	if f.house.handler != nil {
		out = f.house.handler(f, inv)
	}
	f.house.running.Add(-1)
	switch {
	case f.closed.Load():
	case f.house.idle != nil:
		go f.house.idle(f)
	default:
		f.finished()
	}
	return out
}

func (f *fake) finished() { f.spec.Events.Idle(nil, environment.Report{}) }

func (f *fake) InvokeStream(inv *lambda.Invocation, w lambda.Response) lambda.Outcome {
	out := f.Invoke(inv)
	if _, err := w.Write(out.Payload); err != nil {
		panic(err) // a test's buffer takes everything
	}
	out.Payload = nil
	return out
}

func (f *fake) Close() { f.closed.Store(true) }

func (h *house) all() []*fake {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*fake(nil), h.fakes...)
}

func (h *house) open() int {
	n := 0
	for _, f := range h.all() {
		if !f.closed.Load() {
			n++
		}
	}
	return n
}

func openStore(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(store.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newEngine(t testing.TB, s *store.Store, h *house, limit int) *Engine {
	t.Helper()
	e, err := Open(Options{
		Store:   s,
		Start:   h.start,
		Account: admission.Account{Limit: limit, IdleTimeout: time.Minute, MaxAge: time.Hour},
		Logger:  slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// setUp opens a store and an engine of their own.
func setUp(t testing.TB, h *house, limit int) (*Engine, *store.Store) {
	s := openStore(t, t.TempDir())
	t.Cleanup(func() { s.Close() })
	return newEngine(t, s, h, limit), s
}

func update(t testing.TB, s *store.Store, f func(tx *store.Tx)) {
	t.Helper()
	if err := s.Catalog().Update(context.Background(), func(tx *store.Tx) error { f(tx); return nil }); err != nil {
		t.Fatal(err)
	}
}

// create puts a function into the catalogue as CreateFunction does, and waits until it is
// active.
func create(t testing.TB, s *store.Store, name string) {
	t.Helper()
	code := testCode(t, s)
	update(t, s, func(tx *store.Tx) {
		store.Functions.Put(tx, scope, name, &lambda.Function{Name: name})
		store.Versions.Put(tx, scope, store.QualifiedName(name, lambda.Latest), &lambda.Version{
			Function: name, Number: lambda.Latest, Generation: 1, State: lambda.Pending, RevisionID: "r0",
			Code: code,
		})
	})
	until(t, "the function is active", func() bool { return latest(t, s, name).State == lambda.Active })
}

// createActive puts a function into the catalogue that needs no engine to become active.
func createActive(t testing.TB, s *store.Store, name string) {
	t.Helper()
	code := testCode(t, s)
	update(t, s, func(tx *store.Tx) {
		store.Functions.Put(tx, scope, name, &lambda.Function{Name: name})
		store.Versions.Put(tx, scope, store.QualifiedName(name, lambda.Latest), &lambda.Version{
			Function: name, Number: lambda.Latest, Generation: 1, State: lambda.Active, Code: code,
		})
	})
}

// testCode stores a deployment package.
func testCode(t testing.TB, s *store.Store) lambda.Code {
	t.Helper()
	var z bytes.Buffer
	w := zip.NewWriter(&z)
	f, err := w.Create("bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("#!/bin/sh")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	blob, err := s.Blobs().Put(&z)
	if err != nil {
		t.Fatal(err)
	}
	return lambda.Code{SHA256: blob.Digest.Base64(), Size: blob.Size}
}

func latest(t testing.TB, s *store.Store, name string) *lambda.Version {
	t.Helper()
	v, ok := store.Versions.Get(s.Catalog().Snapshot(), scope, store.QualifiedName(name, lambda.Latest))
	if !ok {
		t.Fatalf("%s is not in the catalogue", name)
	}
	return v
}

// publish makes version 1 of a function.
func publish(t testing.TB, s *store.Store, name string) {
	v := *latest(t, s, name)
	v.Number = "1"
	update(t, s, func(tx *store.Tx) { store.Versions.Put(tx, scope, store.QualifiedName(name, "1"), &v) })
}

func provision(t testing.TB, s *store.Store, name, qualifier string, n int) {
	update(t, s, func(tx *store.Tx) {
		store.Provisioned.Put(tx, scope, store.QualifiedName(name, qualifier), &lambda.Provisioned{Function: name, Qualifier: qualifier, Concurrency: n})
	})
}

func reserve(t testing.TB, s *store.Store, name string, n int) {
	update(t, s, func(tx *store.Tx) { store.Reserved.Put(tx, scope, name, &lambda.Reserved{Concurrency: n}) })
}

// until polls a condition.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("10 s have passed, and not: %s", what)
		case <-tick.C:
		}
	}
}

func call(name, qualifier string) *lambda.Invocation {
	return &lambda.Invocation{Scope: scope, Function: name, Qualifier: qualifier, Type: lambda.RequestResponse, Payload: []byte(`"event"`)}
}
