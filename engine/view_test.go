package engine

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// TestViewTellsWhoStarvedWhom lets one function use up the pool and another be throttled.
func TestViewTellsWhoStarvedWhom(t *testing.T) {
	release := make(chan struct{})
	h := &house{handler: func(_ *fake, inv *lambda.Invocation) lambda.Outcome {
		if inv.Function == "batch" {
			<-release
		}
		return lambda.Outcome{FunctionError: "Unhandled"}
	}}
	e, s := setUp(t, h, 3)
	for _, name := range []string{"batch", "checkout", "idle"} {
		create(t, s, name)
	}
	ended := make(chan error, 3)
	for range 3 {
		go func() { _, err := e.Invoke(t.Context(), call("batch", "")); ended <- err }()
	}
	until(t, "the pool is in use", func() bool { return e.View(scope).Functions[0].Concurrency == 3 })
	for range 5 {
		if _, err := e.Invoke(t.Context(), call("checkout", "")); err == nil {
			t.Fatal("checkout was not throttled")
		}
	}
	e.sampleAll(time.Now())
	v := e.View(scope)
	if p := v.Pool; p.Limit != 3 || p.Unreserved != 3 || p.InUse != 3 {
		t.Errorf("the pool: %+v", p)
	}
	batch, checkout := v.Functions[0], v.Functions[1]
	if batch.Name != "batch" || batch.Running != 3 || batch.Invocations != 3 || batch.Cold != 3 || len(batch.ColdStarts) != 3 {
		t.Errorf("batch: %+v", batch)
	}
	if len(batch.Environments) != 1 || batch.Environments[0] != (Environments{Version: "$LATEST", Busy: 3}) {
		t.Errorf("the environments of batch: %+v", batch.Environments)
	}
	if checkout.Invocations != 0 || checkout.Throttled[0].Holder != "batch" || checkout.Throttles[1] != 5 || len(checkout.Throttled) != 5 {
		t.Errorf("checkout: %+v", checkout)
	}
	if len(v.Starvings) != 1 {
		t.Fatalf("who starved whom: %+v", v.Starvings)
	}
	x := v.Starvings[0]
	if x.Victim != "checkout" || x.Holder != "batch" || x.Count != 5 || x.Held != 3 || x.Value != 3 || x.Limit != "AccountConcurrency" ||
		!strings.HasPrefix(x.Why, "3 of 3 unreserved concurrency in use, 3 by batch; reserve") || time.Since(x.At) > time.Minute || x.First.After(x.At) {
		t.Errorf("who starved whom: %+v", x)
	}
	past := e.History(scope, 0)
	last := past.Samples[len(past.Samples)-1]
	if last.Concurrency != 3 || last.InUse != 3 || last.Limit != 3 {
		t.Errorf("the last second: %+v", last)
	}
	throttles, peak := int32(0), int32(0)
	for i := range past.Samples {
		throttles += past.Functions["checkout"][i].Throttles
		peak = max(peak, past.Functions["batch"][i].Concurrency)
	}
	if throttles != 5 || peak != 3 || past.Functions["idle"] != nil {
		t.Errorf("throttles %d, peak %d in %+v", throttles, peak, past.Functions)
	}
	close(release)
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	until(t, "all is counted", func() bool {
		f := e.View(scope).Functions[0]
		return f.Concurrency == 0 && f.Errors == 3 && f.Environments[0].Idle == 3 && f.Durations.Counts[0] == 3
	})
}

// TestSampleKeepsPeaks holds that a second tells what was used in it, not what is used at its end.
func TestSampleKeepsPeaks(t *testing.T) {
	var together sync.WaitGroup
	together.Add(3)
	h := &house{handler: func(*fake, *lambda.Invocation) lambda.Outcome {
		together.Done()
		together.Wait()
		return lambda.Outcome{}
	}}
	e, s := setUp(t, h, 5)
	create(t, s, "batch")
	var ended sync.WaitGroup
	for range 3 {
		ended.Go(func() {
			if _, err := e.Invoke(t.Context(), call("batch", "")); err != nil {
				t.Error(err)
			}
		})
	}
	ended.Wait()
	until(t, "nothing runs", func() bool { return e.View(scope).Pool.InUse == 0 })
	e.sampleAll(time.Now())
	e.sampleAll(time.Now())
	samples := e.History(scope, 0).Samples
	running, used := 0, 0
	for _, x := range samples {
		running, used = max(running, x.Concurrency), max(used, x.InUse)
	}
	if running != 3 || used != 3 {
		t.Errorf("at most %d ran and %d of the pool were used, want 3 and 3", running, used)
	}
	if last := samples[len(samples)-1]; last.Concurrency != 0 || last.InUse != 0 {
		t.Errorf("a second without invocations: %+v", last)
	}
}

// TestStarvings holds what makes a new one: another cause, or a pause.
func TestStarvings(t *testing.T) {
	var f tally
	second := func(n int) incident { return incident{at: lambda.Instant(0).Add(time.Duration(n) * time.Second)} }
	by := func(holder string, n int) incident { x := second(n); x.holder = holder; return x }
	for _, c := range []struct {
		name   string
		x      incident
		begins bool
	}{
		{"the first", by("a", 0), true},
		{"again", by("a", 59), false},
		{"another holder", by("b", 60), true},
		{"the first goes on", by("a", 118), false},
		{"after a minute", by("a", 178), true},
		{"and on", by("a", 179), false},
	} {
		if got := f.starve("f", c.x) != nil; got != c.begins {
			t.Errorf("%s: begins %v", c.name, got)
		}
	}
}

// TestRings holds the bounds of what is remembered.
func TestRings(t *testing.T) {
	var r ring
	for i := range 3*maxIncidents + 5 {
		r.add(incident{at: lambda.Instant(i)})
	}
	p := &pool{engine: &Engine{}}
	all := p.words(&r)
	if len(all) != maxIncidents || all[0].At.UnixNano() != 3*maxIncidents+4 || all[maxIncidents-1].At.UnixNano() != 2*maxIncidents+5 {
		t.Errorf("%d incidents, from %v to %v", len(all), all[0].At.UnixNano(), all[len(all)-1].At.UnixNano())
	}
}

// TestHistoryWraps takes more samples than are kept.
func TestHistoryWraps(t *testing.T) {
	e, s := setUp(t, &house{}, 3)
	createActive(t, s, "f")
	until(t, "it is known", func() bool { return len(e.View(scope).Functions) == 1 })
	began := time.Now().Add(time.Hour)
	for i := range historyLen + 10 {
		if i == 20 {
			if _, err := e.Invoke(t.Context(), call("f", "")); err != nil {
				t.Fatal(err)
			}
		}
		e.sampleAll(began.Add(time.Duration(i) * time.Second))
	}
	h := e.History(scope, began.Unix()+9)
	if len(h.Samples) < historyLen-10 || h.Samples[0].Time < began.Unix()+10 {
		t.Fatalf("%d samples from %d", len(h.Samples), h.Samples[0].Time-began.Unix())
	}
	ran := 0
	for i, f := range h.Functions["f"] {
		if f.Invocations > 0 {
			ran++
			if h.Samples[i].Invocations != 1 {
				t.Errorf("the account's sample: %+v", h.Samples[i])
			}
		}
	}
	if ran != 1 {
		t.Errorf("%d samples hold the invocation", ran)
	}
	for i := range historyLen {
		e.sampleAll(began.Add(time.Duration(historyLen+10+i) * time.Second))
	}
	if h := e.History(scope, 0); len(h.Functions) != 0 || len(h.Samples) != historyLen {
		t.Errorf("a quiet quarter of an hour later: %v, %d samples", h.Functions, len(h.Samples))
	}
}

// TestAsyncDepth counts events, those of an earlier engine too.
func TestAsyncDepth(t *testing.T) {
	release := make(chan struct{})
	h := &house{handler: func(*fake, *lambda.Invocation) lambda.Outcome { <-release; return lambda.Outcome{} }}
	dir := t.TempDir()
	s := openStore(t, dir)
	e := newEngine(t, s, h, 1)
	create(t, s, "f")
	for range 5 {
		inv := call("f", "")
		inv.Type = lambda.Event
		if err := e.Enqueue(t.Context(), inv); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "one runs", func() bool { return h.running.Load() == 1 })
	if a := e.View(scope).Functions[0].Async; a.Queued != 5 || a.Oldest <= 0 {
		t.Errorf("five events were sent: %+v", a)
	}
	n, err := s.Events().Count(store.EventQueue{Scope: scope, Function: "f"})
	if err != nil || n != 5 {
		t.Errorf("the store counts %d: %v", n, err)
	}
	close(release)
	until(t, "all are settled", func() bool { return e.View(scope).Functions[0].Async == Async{} })
	e.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkCounting is what counting adds to an invocation, under the lock that it takes anyway.
func BenchmarkCounting(b *testing.B) {
	p := &pool{engine: &Engine{began: time.Now()}}
	t := new(tally)
	s := &slot{boot: &boot{tally: t}}
	x := &admission.Effect{Do: admission.Grant}
	b.ReportAllocs()
	for b.Loop() {
		s.busy = true
		p.grantLocked(t, x)
		p.endLocked(s)
		t.Durations.add(time.Millisecond)
	}
}
