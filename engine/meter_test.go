package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

// sums drains a recorder: the sum of each metric by its name and dimensions, and the maximum
// behind "max".
func sums(r *store.Recorder) map[string]float64 {
	all := make(map[string]float64)
	r.Drain(func(s *store.Series, _ metric.Instant, set *metric.Set) {
		name := s.Metric.Name
		for _, d := range s.Metric.Dimensions {
			name += " " + d.Value
		}
		all[name] += set.Sum
		all[name+" max"] = max(all[name+" max"], set.Max)
	})
	return all
}

// TestMetricsBalance drives three functions past their limits: what was asked for is what ran
// and what was throttled, by function and for the account.
func TestMetricsBalance(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		createActive(t, s, "g")
		createActive(t, s, "h")
		h := &house{handler: func(_ *fake, inv *lambda.Invocation) lambda.Outcome {
			time.Sleep(300 * time.Millisecond)
			if inv.Function == "h" {
				return lambda.Outcome{FunctionError: "Unhandled", Duration: 300 * time.Millisecond}
			}
			return lambda.Outcome{Duration: 300 * time.Millisecond}
		}}
		var recorder store.Recorder
		e, err := Open(Options{
			Store: s, Start: h.start, Logger: slog.New(slog.DiscardHandler), Recorder: &recorder,
			Account: admission.Account{Limit: 130, IdleTimeout: time.Hour, MaxAge: 24 * time.Hour},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		reserve(t, s, "g", 10)
		requests := map[string]int{"f": 150, "g": 40, "h": 5}
		refused := make(map[string]int)
		var mu sync.Mutex
		var all sync.WaitGroup
		for name, n := range requests {
			for range n {
				all.Go(func() {
					_, err := e.Invoke(context.Background(), call(name, ""))
					var throttle *Throttle
					mu.Lock()
					defer mu.Unlock()
					if errors.As(err, &throttle) {
						refused[name]++
					} else if err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		pass(2 * time.Second)
		got := sums(&recorder)
		total := 0
		for name, n := range requests {
			total += n
			if ran := got["Invocations "+name]; ran+got["Throttles "+name] != float64(n) || got["Throttles "+name] != float64(refused[name]) {
				t.Errorf("%s: %v ran and %v were throttled, of %d; %d were refused", name, ran, got["Throttles "+name], n, refused[name])
			}
		}
		if sum := got["Invocations"] + got["Throttles"]; sum != float64(total) {
			t.Errorf("account: %v ran or were throttled, of %d", sum, total)
		}
		if ran := got["Invocations h"]; got["Errors h"] != ran || got["Errors"] != ran || got["Errors g"] != 0 || got["Duration h"] != 300*ran || got["Invocations h h"] != ran {
			t.Errorf("h: %v ran, %v errors, %v ms", ran, got["Errors h"], got["Duration h"])
		}
		if got["ConcurrentExecutions g max"] != 10 || got["ConcurrentExecutions max"] != got["Invocations"] {
			t.Errorf("at the same time: g %v, all %v of %v", got["ConcurrentExecutions g max"], got["ConcurrentExecutions max"], got["Invocations"])
		}
		if claimed := got["ClaimedAccountConcurrency max"]; claimed > 130 {
			t.Errorf("claimed: %v", claimed)
		}
	})
}

// TestProvisionedMetrics uses three of four provisioned environments by an alias, and spills.
func TestProvisionedMetrics(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		v := *latest(t, s, "f")
		v.Number = "1"
		update(t, s, func(tx *store.Tx) {
			store.Versions.Put(tx, scope, store.QualifiedName("f", "1"), &v)
			store.Aliases.Put(tx, scope, store.QualifiedName("f", "live"), &lambda.Alias{Function: "f", Name: "live", Version: "1"})
			store.Provisioned.Put(tx, scope, store.QualifiedName("f", "live"), &lambda.Provisioned{Function: "f", Qualifier: "live", Concurrency: 4})
		})
		h := &house{handler: func(*fake, *lambda.Invocation) lambda.Outcome {
			time.Sleep(100 * time.Millisecond)
			return lambda.Outcome{}
		}}
		var recorder store.Recorder
		e, err := Open(Options{
			Store: s, Start: h.start, Logger: slog.New(slog.DiscardHandler), Recorder: &recorder,
			Account: admission.Account{Limit: 200, IdleTimeout: time.Hour, MaxAge: 24 * time.Hour},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		pass(5 * time.Second)
		for _, n := range []int{3, 6} {
			for range n {
				go e.Invoke(context.Background(), call("f", "live"))
			}
			pass(2 * time.Second)
			got := sums(&recorder)
			busy := min(n, 4)
			if got["ProvisionedConcurrencyInvocations 1 f f:live"] != float64(busy) || got["ProvisionedConcurrencySpilloverInvocations f"] != float64(n-busy) {
				t.Errorf("%d calls: %v", n, got)
			}
			if got["ProvisionedConcurrentExecutions f f:live max"] != float64(busy) || got["ProvisionedConcurrencyUtilization f f:live max"] != float64(busy)/4 {
				t.Errorf("%d calls: %v", n, got)
			}
		}
		if got := sums(&recorder); len(got) != 0 {
			t.Errorf("idle: %v", got)
		}
		synctest.Wait()
	})
}
