package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/environment"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

func TestColdThenWarm(t *testing.T) {
	e, s := setUp(t, &house{}, 10)
	create(t, s, "f")
	out, err := e.Invoke(context.Background(), call("f", ""))
	if err != nil || !out.Cold || !strings.Contains(out.Why, "first invocation") || string(out.Payload) != `"event"` {
		t.Errorf("first: %+v, %v", out, err)
	}
	out, err = e.Invoke(context.Background(), call("f", lambda.Latest))
	if err != nil || out.Cold || out.Why != "" {
		t.Errorf("second: %+v, %v", out, err)
	}
	if n := e.Environments(); n != 1 {
		t.Errorf("%d environments, want 1", n)
	}
}

func TestNothingToRun(t *testing.T) {
	h := &house{}
	e, s := setUp(t, h, 10)
	create(t, s, "f")
	update(t, s, func(tx *store.Tx) {
		store.Functions.Put(tx, scope, "failed", &lambda.Function{Name: "failed"})
		store.Versions.Put(tx, scope, store.QualifiedName("failed", lambda.Latest), &lambda.Version{Function: "failed", Number: lambda.Latest, State: lambda.Failed})
	})
	for _, c := range []struct{ name, qualifier, code, text string }{
		{"g", "", lambda.CodeResourceNotFound, "Function not found: arn:aws:lambda:us-east-1:111111111111:function:g:$LATEST"},
		{"f", "7", lambda.CodeResourceNotFound, "Function not found: arn:aws:lambda:us-east-1:111111111111:function:f:7"},
		{"f", "prod", lambda.CodeResourceNotFound, "Function not found: arn:aws:lambda:us-east-1:111111111111:function:f:prod"},
		{"failed", "", lambda.CodeResourceConflict, "The operation cannot be performed at this time. The function is currently in the following state: Failed"},
	} {
		_, err := e.Invoke(context.Background(), call(c.name, c.qualifier))
		var known *lambda.Error
		if !errors.As(err, &known) || known.Code != c.code || known.Message != c.text {
			t.Errorf("%s:%s: %v", c.name, c.qualifier, err)
		}
	}
}

// TestAccountLimit sends more invocations at once than may run.
func TestAccountLimit(t *testing.T) {
	const limit, sent = 20, 60
	release := make(chan struct{})
	h := &house{handler: func(*fake, *lambda.Invocation) lambda.Outcome { <-release; return lambda.Outcome{} }}
	e, s := setUp(t, h, limit)
	create(t, s, "f")
	var mu sync.Mutex
	var ran, throttled int
	var all sync.WaitGroup
	for range sent {
		all.Go(func() {
			_, err := e.Invoke(context.Background(), call("f", ""))
			mu.Lock()
			defer mu.Unlock()
			var refused *Throttle
			switch {
			case err == nil:
				ran++
			case errors.As(err, &refused) && refused.Reason == admission.ConcurrentInvocationLimitExceeded && strings.Contains(refused.Why, "20 of 20 unreserved concurrency in use, 20 by f"):
				throttled++
			default:
				t.Errorf("an invocation failed: %v", err)
			}
		})
	}
	until(t, "the others are throttled", func() bool { mu.Lock(); defer mu.Unlock(); return throttled == sent-limit })
	close(release)
	all.Wait()
	if ran != limit || h.peak.Load() > limit {
		t.Errorf("%d ran, %d at once; want %d, at most %d", ran, h.peak.Load(), limit, limit)
	}
}

// TestGrantedLimit raises the limit of one account and region while its old one is used up, and
// holds after a restart; another region keeps the default.
func TestGrantedLimit(t *testing.T) {
	release := make(chan struct{})
	h := &house{handler: func(*fake, *lambda.Invocation) lambda.Outcome { <-release; return lambda.Outcome{} }}
	e, s := setUp(t, h, 1)
	create(t, s, "f")
	var all sync.WaitGroup
	invoke := func() {
		all.Go(func() {
			if _, err := e.Invoke(context.Background(), call("f", "")); err != nil {
				t.Errorf("an invocation failed: %v", err)
			}
		})
	}
	invoke()
	until(t, "one runs", func() bool { return h.running.Load() == 1 })
	var refused *Throttle
	if _, err := e.Invoke(context.Background(), call("f", "")); !errors.As(err, &refused) {
		t.Errorf("before the grant: %v", err)
	}
	update(t, s, func(tx *store.Tx) { store.GrantConcurrency(tx, scope, 2) })
	invoke()
	until(t, "two run", func() bool { return h.running.Load() == 2 })
	if _, err := e.Invoke(context.Background(), call("f", "")); !errors.As(err, &refused) || !strings.Contains(refused.Why, "2 of 2") {
		t.Errorf("after the grant: %v", err)
	}
	close(release)
	all.Wait()
	elsewhere := lambda.Scope{Account: scope.Account, Region: "eu-west-1"}
	again := newEngine(t, s, h, 1)
	for at, want := range map[lambda.Scope]int{scope: 2, elsewhere: 1} {
		if got := again.account(s.Catalog().Snapshot(), at).Limit; got != want {
			t.Errorf("the limit of %v is %d, want %d", at, got, want)
		}
	}
}

func TestReservedZeroAndBack(t *testing.T) {
	e, s := setUp(t, &house{}, 10)
	create(t, s, "f")
	reserve(t, s, "f", 0)
	_, err := e.Invoke(context.Background(), call("f", ""))
	var refused *Throttle
	if !errors.As(err, &refused) || refused.Reason != admission.ReservedFunctionConcurrentInvocationLimitExceeded {
		t.Errorf("with the brake on: %v", err)
	}
	update(t, s, func(tx *store.Tx) { store.Reserved.Delete(tx, scope, "f") })
	if _, err := e.Invoke(context.Background(), call("f", "")); err != nil {
		t.Errorf("with the brake off: %v", err)
	}
}

func TestProvisionedServesAndSpills(t *testing.T) {
	release := make(chan struct{})
	h := &house{handler: func(*fake, *lambda.Invocation) lambda.Outcome { <-release; return lambda.Outcome{} }}
	e, s := setUp(t, h, 1000)
	create(t, s, "f")
	publish(t, s, "f")
	update(t, s, func(tx *store.Tx) {
		store.Aliases.Put(tx, scope, store.QualifiedName("f", "prod"), &lambda.Alias{Function: "f", Name: "prod", Version: "1"})
	})
	provision(t, s, "f", "prod", 2)
	until(t, "the environments are up", func() bool { return e.Provisioned(scope, "f", "prod").Status == admission.Ready })

	outs := make(chan lambda.Outcome, 3)
	for i := range 3 {
		go func() {
			out, err := e.Invoke(context.Background(), call("f", "prod"))
			if err != nil {
				t.Error(err)
			}
			outs <- out
		}()
		until(t, "it runs", func() bool { return h.running.Load() == int32(i+1) })
	}
	close(release)
	provisioned, cold := 0, 0
	for range 3 {
		out := <-outs
		if out.Provisioned {
			provisioned++
		}
		if out.Cold {
			cold++
		}
	}
	if provisioned != 2 || cold != 1 {
		t.Errorf("%d on provisioned concurrency and %d cold; want 2 and 1", provisioned, cold)
	}
	for _, f := range h.all()[:2] {
		if !f.spec.Provisioned {
			t.Error("an environment does not know that it is provisioned")
		}
	}
}

func TestProvisionedFails(t *testing.T) {
	h := &house{boot: func(f *fake) {
		i := environment.Init{}
		if f.spec.Provisioned {
			i.Err = errors.New("the handler cannot be imported")
		}
		f.spec.Events.Ready(nil, i)
	}}
	e, s := setUp(t, h, 1000)
	create(t, s, "f")
	publish(t, s, "f")
	provision(t, s, "f", "1", 1)
	until(t, "it has failed", func() bool { return e.Provisioned(scope, "f", "1").Status == admission.StatusFailed })
	until(t, "the failed environments are closed", func() bool { return h.open() == 0 })
	if n := len(h.all()); n != lambda.ProvisionedAttempts {
		t.Errorf("%d attempts, want %d", n, lambda.ProvisionedAttempts)
	}
	if _, err := e.Invoke(context.Background(), call("f", "1")); err != nil {
		t.Errorf("on demand: %v", err)
	}
}

// TestUpdate changes the code while an invocation runs: it ends on the old code, the next one
// runs on the new.
func TestUpdate(t *testing.T) {
	release := make(chan struct{})
	h := &house{handler: func(f *fake, inv *lambda.Invocation) lambda.Outcome {
		if string(inv.Payload) == `"wait"` {
			<-release
		}
		return lambda.Outcome{Payload: []byte(f.spec.Version.Description)}
	}}
	e, s := setUp(t, h, 10)
	create(t, s, "f")
	old := make(chan string)
	go func() {
		inv := call("f", "")
		inv.Payload = []byte(`"wait"`)
		out, err := e.Invoke(context.Background(), inv)
		if err != nil {
			t.Error(err)
		}
		old <- string(out.Payload)
	}()
	until(t, "it runs", func() bool { return h.running.Load() == 1 })
	v := *latest(t, s, "f")
	v.Description, v.UpdateStatus = "new", lambda.UpdateInProgress
	update(t, s, func(tx *store.Tx) { store.Versions.Put(tx, scope, store.QualifiedName("f", lambda.Latest), &v) })
	until(t, "the update is complete", func() bool { return latest(t, s, "f").UpdateStatus == lambda.UpdateSuccessful })
	out, err := e.Invoke(context.Background(), call("f", ""))
	if err != nil || string(out.Payload) != "new" || !out.Cold {
		t.Errorf("after the update: %+v, %v", out, err)
	}
	close(release)
	if got := <-old; got != "" {
		t.Errorf("the invocation in progress ran on %q", got)
	}
	until(t, "the old environment is closed", func() bool { return h.all()[0].closed.Load() })
}

// TestCallerGivesUp cancels an invocation that waits for a boot; the environment serves the
// next one.
func TestCallerGivesUp(t *testing.T) {
	boot := make(chan struct{})
	h := &house{boot: func(f *fake) { <-boot; f.ready() }}
	e, s := setUp(t, h, 1)
	create(t, s, "f")
	ctx, cancel := context.WithCancel(context.Background())
	gaveUp := make(chan error, 1)
	go func() {
		_, err := e.Invoke(ctx, call("f", ""))
		gaveUp <- err
	}()
	until(t, "it boots", func() bool { return len(h.all()) == 1 })
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	close(boot)
	if _, err := e.Invoke(context.Background(), call("f", "")); err != nil {
		t.Errorf("the next: %v", err)
	}
	if n := len(h.all()); n != 1 {
		t.Errorf("%d environments were made, want 1", n)
	}
}

// TestCallsInTurn makes calls one after the other, each sooner than the environment has asked
// for it: they use one environment and are not throttled.
func TestCallsInTurn(t *testing.T) {
	s := openStore(t, t.TempDir())
	defer s.Close()
	createActive(t, s, "f")
	reserve(t, s, "f", 1)
	synctest.Test(t, func(t *testing.T) {
		more := make(chan *fake, 1)
		h := &house{idle: func(f *fake) { more <- f }}
		e := newEngine(t, s, h, 1000)
		if _, err := e.Invoke(context.Background(), call("f", "")); err != nil {
			t.Fatal(err)
		}
		for range 9 { // ten in a second is the rate of one unit
			second := make(chan error)
			go func() {
				_, err := e.Invoke(context.Background(), call("f", ""))
				second <- err
			}()
			synctest.Wait() // it waits
			(<-more).finished()
			if err := <-second; err != nil {
				t.Fatal(err)
			}
		}
		if n := len(h.all()); n != 1 {
			t.Errorf("%d environments were made, want 1", n)
		}
		e.Close()
	})
}

func TestEnvironmentCannotBeMade(t *testing.T) {
	h := &house{boot: func(f *fake) { f.spec.Events.Gone(nil, errors.New("no sandbox")) }}
	e, s := setUp(t, h, 1)
	create(t, s, "f")
	_, err := e.Invoke(context.Background(), call("f", ""))
	var known *lambda.Error
	if err == nil || errors.As(err, &known) || !strings.Contains(err.Error(), "could not be made") {
		t.Errorf("%v; want an internal error", err)
	}
	until(t, "nothing is left", func() bool { return e.Environments() == 0 && h.open() == 0 })
}

// TestProvisionedCannotBeMade loses every provisioned environment while it boots. The next one
// boots in the same step; those lost must have given up their turn to boot all the same.
func TestProvisionedCannotBeMade(t *testing.T) {
	h := &house{boot: func(f *fake) {
		if f.spec.Provisioned {
			f.spec.Events.Gone(nil, errors.New("no sandbox"))
			return
		}
		f.ready()
	}}
	e, s := setUp(t, h, 1000)
	create(t, s, "f")
	publish(t, s, "f")
	for n := 1; len(h.all()) <= cap(e.boots); n++ {
		before := len(h.all())
		provision(t, s, "f", "1", n)
		until(t, "it has failed", func() bool {
			return len(h.all()) > before && e.Provisioned(scope, "f", "1").Status == admission.StatusFailed
		})
	}
	until(t, "nothing is left", func() bool { return e.Environments() == 0 && h.open() == 0 })
	if _, err := e.Invoke(t.Context(), call("f", "")); err != nil {
		t.Errorf("on demand: %v", err)
	}
}

// TestRestart opens an engine on what another one left: the function is there, and its
// provisioned environments are booted again.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	first := newEngine(t, s, &house{}, 1000)
	create(t, s, "f")
	publish(t, s, "f")
	provision(t, s, "f", "1", 3)
	reserve(t, s, "f", 4)
	first.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	h := &house{}
	s = openStore(t, dir)
	defer s.Close()
	second := newEngine(t, s, h, 1000)
	defer second.Close()
	until(t, "the environments are up", func() bool { return second.Provisioned(scope, "f", "1").Available == 3 })
	out, err := second.Invoke(context.Background(), call("f", "1"))
	if err != nil || !out.Provisioned {
		t.Errorf("after the restart: %+v, %v", out, err)
	}
}

func TestIdleEnvironmentsAreReaped(t *testing.T) {
	s := openStore(t, t.TempDir())
	defer s.Close()
	createActive(t, s, "f")
	synctest.Test(t, func(t *testing.T) {
		h := &house{}
		e := newEngine(t, s, h, 10)
		if _, err := e.Invoke(context.Background(), call("f", "")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if n := e.Environments(); n != 1 {
			t.Errorf("%d environments after 59 s, want 1", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := e.Environments(); n != 0 || h.open() != 0 {
			t.Errorf("%d environments after a minute, %d of them open; want none", n, h.open())
		}
		e.Close()
	})
}

// TestClose ends the engine while invocations wait and run.
func TestClose(t *testing.T) {
	release := make(chan struct{})
	h := &house{
		boot:    func(f *fake) { <-release },
		handler: func(*fake, *lambda.Invocation) lambda.Outcome { return lambda.Outcome{} },
	}
	e, s := setUp(t, h, 10)
	create(t, s, "f")
	waiting := make(chan error)
	go func() {
		_, err := e.Invoke(context.Background(), call("f", ""))
		waiting <- err
	}()
	until(t, "it boots", func() bool { return len(h.all()) == 1 })
	e.Close()
	if err := <-waiting; err == nil {
		t.Error("an invocation that waited succeeded")
	}
	if h.open() != 0 {
		t.Errorf("%d environments are open", h.open())
	}
	close(release)
	if _, err := e.Invoke(context.Background(), call("f", "")); err == nil {
		t.Error("a closed engine takes invocations")
	}
}

// BenchmarkInvoke is a warm invocation through the driver, without an environment's work.
func BenchmarkInvoke(b *testing.B) {
	e, s := setUp(b, &house{}, 100_000)
	create(b, s, "f")
	inv := call("f", "")
	inv.Type = lambda.Event // not limited by rate
	b.ReportAllocs()
	for b.Loop() {
		once := *inv // each counts as a new chain of events
		if _, err := e.Invoke(context.Background(), &once); err != nil {
			b.Fatal(err)
		}
	}
}
