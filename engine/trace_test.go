package engine

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// traces writes down what is traced.
type traces struct {
	mu  sync.Mutex
	all []*Traced
}

func (x *traces) add(t *Traced) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all = append(x.all, t)
}

func (x *traces) take() []*Traced {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := x.all
	x.all = nil
	return all
}

func newTracingEngine(t testing.TB, s *store.Store, h *house, x *traces, limit int) *Engine {
	t.Helper()
	opt := Options{
		Store: s, Start: h.start, Logger: slog.New(slog.DiscardHandler),
		Account: admission.Account{Limit: limit, IdleTimeout: time.Minute, MaxAge: time.Hour},
	}
	if x != nil {
		opt.Trace = x.add
	}
	e, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func makeActive(t testing.TB, s *store.Store, function string) {
	t.Helper()
	err := s.Catalog().Update(context.Background(), func(tx *store.Tx) error {
		name := store.QualifiedName(function, lambda.Latest)
		v, _ := store.Versions.Get(tx, scope, name)
		next := *v
		next.TracesActive = true
		next.Generation++
		store.Versions.Put(tx, scope, name, &next)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Catalog().Settle()
}

const (
	testRoot = "1-5759e988-bd862e3fe1be46a994272793"
	no       = "Root=" + testRoot + ";Parent=aaaaaaaaaaaaaaaa;Sampled=0"
	yes      = "Root=" + testRoot + ";Parent=aaaaaaaaaaaaaaaa;Sampled=1"
	open     = "Root=" + testRoot + ";Parent=aaaaaaaaaaaaaaaa"
)

// Whether an invocation is sampled: both modes follow the caller; a new trace, or one that leaves
// it open, is decided by an Active function, at first by the reservoir.
func TestTraceDecision(t *testing.T) {
	for _, row := range []struct {
		name, header   string
		active, sample bool
	}{
		{"PassThrough follows yes", yes, false, true}, {"PassThrough follows no", no, false, false},
		{"PassThrough does not decide", open, false, false}, {"PassThrough does not sample a new trace", "", false, false},
		{"Active follows yes", yes, true, true}, {"Active follows no", no, true, false},
		{"Active decides", open, true, true}, {"Active samples a new trace", "", true, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *store.Store) {
				seen := ""
				h := &house{handler: func(_ *fake, inv *lambda.Invocation) lambda.Outcome {
					seen = inv.TraceID
					return lambda.Outcome{}
				}}
				if row.active {
					makeActive(t, s, "f")
				}
				x := new(traces)
				e := newTracingEngine(t, s, h, x, 10)
				defer e.Close()
				inv := &lambda.Invocation{Scope: scope, Function: "f", Type: lambda.RequestResponse, RequestID: "r", TraceID: row.header}
				if row.header == "" {
					inv.TraceID = NewTrace(time.Now())
				}
				if _, err := e.Invoke(context.Background(), inv); err != nil {
					t.Fatal(err)
				}
				all := x.take()
				if got := len(all) == 1; got != row.sample {
					t.Fatalf("sampled: %v", got)
				}
				if !row.sample {
					if strings.Contains(seen, "Sampled=1") {
						t.Errorf("the function sees %s", seen)
					}
					return
				}
				got := all[0]
				if !strings.Contains(seen, "Sampled=1") || part(seen, "Parent") != got.Child || part(seen, "Root") != got.Root || !strings.Contains(seen, "Lineage=1:") {
					t.Errorf("the function sees %s; traced is %+v", seen, got)
				}
				if want := part(row.header, "Parent"); got.Parent != want {
					t.Errorf("the parent is %q, want %q", got.Parent, want)
				}
			})
		})
	}
}

// The default rule: the first of a second, and 5 % of the others.
func TestTraceRate(t *testing.T) {
	p := new(pool)
	const n = 20_000
	sampled := 0
	for i := range n {
		if p.samples(lambda.Instant(time.Hour + time.Duration(i)*time.Microsecond)) {
			sampled++
		} else if i == 0 {
			t.Error("the first is not sampled")
		}
	}
	if sampled < n/25 || sampled > n/16 {
		t.Errorf("%d of %d are sampled", sampled, n)
	}
}

// A throttled invocation is traced; the attempts of an event share the decision of its arrival.
func TestTraceThrottleAndEvent(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		makeActive(t, s, "f")
		x := new(traces)
		attempts := 0
		e := newTracingEngine(t, s, &house{handler: func(*fake, *lambda.Invocation) lambda.Outcome {
			if attempts++; attempts < 3 {
				return lambda.Outcome{FunctionError: "Unhandled"}
			}
			return lambda.Outcome{}
		}}, x, 10)
		defer e.Close()
		inv := &lambda.Invocation{Scope: scope, Function: "f", Type: lambda.Event, RequestID: "r", TraceID: NewTrace(time.Now()), Payload: []byte("{}")}
		if err := e.Enqueue(context.Background(), inv); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		all := x.take()
		if len(all) != 3 {
			t.Fatalf("%d attempts are traced of %d", len(all), attempts)
		}
		for _, a := range all {
			if a.Root != all[0].Root || a.Parent != "" {
				t.Errorf("an attempt in %s below %q", a.Root, a.Parent)
			}
		}
		reserve(t, s, "f", 0)
		_, err := e.Invoke(context.Background(), &lambda.Invocation{Scope: scope, Function: "f", Type: lambda.RequestResponse, RequestID: "r", TraceID: yes})
		all = x.take()
		if err == nil || len(all) != 1 || !all[0].Throttled || all[0].Root != testRoot || all[0].Parent != "aaaaaaaaaaaaaaaa" {
			t.Errorf("throttled: %v, %v", err, all)
		}
	})
}

// What an invocation that is not traced pays: no allocation.
func BenchmarkUntraced(b *testing.B) {
	x := new(traces)
	p := &pool{engine: &Engine{opt: Options{Trace: x.add}}}
	inv := &lambda.Invocation{TraceID: NewTrace(time.Now())}
	b.ReportAllocs()
	g := Grant{pool: p, inv: inv}
	for b.Loop() {
		g.verdict = verdict(inv.TraceID)
		if g.begin() != nil {
			b.Fatal("traced")
		}
	}
}
