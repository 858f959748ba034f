package sns

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/weir-run/weir/store"
)

func TestDelays(t *testing.T) {
	sec := func(list ...float64) []time.Duration {
		var d []time.Duration
		for _, s := range list {
			d = append(d, time.Duration(s*float64(time.Second)))
		}
		return d
	}
	for _, x := range []struct {
		name   string
		policy retryPolicy
		want   []time.Duration
	}{
		{"http", httpRetries, sec(20, 20, 20)},
		{"four phases", retryPolicy{MinDelay: 1, MaxDelay: 5, Retries: 8, NoDelayRetries: 1, MinDelayRetries: 2, MaxDelayRetries: 2, Backoff: "linear"}, sec(0, 1, 1, 1, 3, 5, 5, 5)},
		{"exponential", retryPolicy{MinDelay: 1, MaxDelay: 16, Retries: 3, Backoff: "exponential"}, sec(1, 4, 16)},
		{"arithmetic", retryPolicy{MinDelay: 1, MaxDelay: 9, Retries: 3, Backoff: "arithmetic"}, sec(1, 3, 9)},
	} {
		var got []time.Duration
		for i := 1; ; i++ {
			d, ok := x.policy.delay(i)
			if !ok {
				break
			}
			got = append(got, d)
		}
		if !slices.Equal(got, x.want) {
			t.Errorf("%s: %v, want %v", x.name, got, x.want)
		}
	}
	var total time.Duration
	for i := range managedRetries.Retries {
		d, ok := managedRetries.delay(i + 1)
		if !ok || i < 3 && d != 0 || i >= 15 && d != 20*time.Second {
			t.Fatalf("retry %d of a function: %v, %t", i+1, d, ok)
		}
		total += d
	}
	if days := total.Hours() / 24; days < 23 || days > 24 {
		t.Errorf("the retries of a function take %v days", days)
	}
}

func TestRefusedDeliveryPolicies(t *testing.T) {
	for _, text := range []string{
		`{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":101}}`,
		`{"healthyRetryPolicy":{"minDelayTarget":5,"maxDelayTarget":1,"numRetries":1}}`,
		`{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":1,"numNoDelayRetries":2}}`,
		`{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":1,"backoffFunction":"quadratic"}}`,
		`{"healthyRetryPolicy":{"minDelayTarget":3600,"maxDelayTarget":3600,"numRetries":2}}`,
		`{"throttlePolicy":{}}`, `{"unknown":1}`, `x`,
	} {
		if _, err := parseDelivery(text); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

// TestCarrierTimes sees the attempts of a delivery at the times that its retries say, and the
// deliveries of a group in their order.
func TestCarrierTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(store.Options{Dir: "data", FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		type try struct {
			message uint64
			at      time.Duration
		}
		tries := make(chan try, 100)
		c := newCarrier(s.FanOut(), func(_ context.Context, d store.Delivery) (time.Duration, bool) {
			tries <- try{d.Message, time.Since(begin).Round(time.Second)}
			return 20 * time.Second, d.Attempts < 3 && d.Number == 0
		}, slog.New(slog.DiscardHandler))
		var added []store.Added
		for _, targets := range [][]string{{"a/b/c\ngroup"}, {"a/b/other", "a/b/c\ngroup"}} {
			x, err := s.FanOut().Add(t.Context(), []byte("{}"), targets, nil, time.Now().UnixNano())
			if err != nil {
				t.Fatal(err)
			}
			added = append(added, x)
		}
		c.take(added[0].Deliveries[0])
		c.take(added[1].Deliveries[1]) // behind it in the group
		var got []try
		for range 5 {
			got = append(got, <-tries)
		}
		first, second := added[0].Message, added[1].Message
		want := []try{{first, 0}, {first, 20 * time.Second}, {first, 40 * time.Second}, {first, 60 * time.Second}, {second, 60 * time.Second}}
		if !slices.Equal(got, want) {
			t.Errorf("attempts %v, want %v", got, want)
		}
		c.close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestWorkersAreBounded holds every attempt back and counts them.
func TestWorkersAreBounded(t *testing.T) {
	h := newHarness(t)
	hold, started := make(chan struct{}), make(chan struct{}, maxWaiting/1000)
	c := newCarrier(h.store.FanOut(), func(context.Context, store.Delivery) (time.Duration, bool) {
		started <- struct{}{}
		<-hold
		return 0, false
	}, slog.New(slog.DiscardHandler))
	for range 8 {
		var targets []string
		for i := range 20 {
			targets = append(targets, "a/b/"+string(rune('a'+i)))
		}
		x, err := h.store.FanOut().Add(t.Context(), []byte("{}"), targets, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range x.Deliveries {
			c.take(d)
		}
	}
	for range maxWorkers {
		<-started
	}
	if n := len(started); n != 0 {
		t.Errorf("%d attempts more than %d", n, maxWorkers)
	}
	close(hold)
	h.until("all are settled", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.mu.count == 0 && len(c.mu.lanes) == 0
	})
	c.close()
}

func TestFinalErrors(t *testing.T) {
	if isFinal(errors.New("x")) || !isFinal(invalid("x")) || !isFinal(final{errors.New("x")}) {
		t.Error("which errors are final")
	}
}
