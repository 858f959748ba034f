package store_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/weir-run/weir/store"
)

// A ledger is what was acknowledged of a queue's messages, kept apart from the store.
type ledger struct {
	mu    sync.Mutex
	state map[string]fate // by body
}

type fate uint8

const (
	unsure  fate = iota // being sent or deleted
	sent                // must be there
	deleted             // must not be there
)

func (l *ledger) set(body string, f fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state[body] = f
}

func (l *ledger) copy() map[string]fate {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.state)
}

// receiveNow returns the visible messages, at most ten.
func receiveNow(q *store.Queue, visibility time.Duration) []store.Received {
	got := make(chan []store.Received, 1)
	q.Receive(store.ReceiveRequest{Max: 10, Visibility: visibility}, func(m []store.Received) { got <- m })
	return <-got
}

// live sends messages and receives some, which deletes them, or else takes them to the
// dead-letter queue.
func (l *ledger) live(t *testing.T, q *store.Queue, name string, deletes bool) {
	ctx := context.Background()
	for i := range 10 {
		var messages []store.Message
		for j := range 1 + i%3 {
			body := fmt.Sprint(name, ".", i, ".", j)
			l.set(body, unsure)
			messages = append(messages, store.Message{Body: body})
		}
		if _, err := q.Send(ctx, messages); err != nil {
			t.Error(err)
			return
		}
		for _, m := range messages {
			l.set(m.Body, sent)
		}
		if i%2 == 0 {
			continue
		}
		got := receiveNow(q, 0)
		if !deletes || len(got) == 0 {
			continue
		}
		m := got[i%len(got)]
		l.set(m.Body, unsure)
		if errs, err := q.Delete(ctx, m.Receipt); err != nil || errs[0] != nil {
			t.Error(errs, err)
			return
		}
		l.set(m.Body, deleted)
	}
}

// TestQueuePowerCuts cuts the power before and after every fsync of a life of queues, with
// what was not synced lost at random.
func TestQueuePowerCuts(t *testing.T) {
	mem := vfs.NewCrashableMem()
	known := &ledger{state: map[string]fate{}}
	r := rand.New(rand.NewPCG(7, 8))
	type cut struct {
		fs    vfs.FS
		known map[string]fate
	}
	var cuts []cut
	var mu sync.Mutex
	watching := false
	fs := &watchedFS{FS: mem, atSync: func() {
		mu.Lock()
		defer mu.Unlock()
		if !watching {
			return
		}
		state := known.copy() // first the ledger, then the cut
		cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[r.IntN(3)], RNG: r}
		cuts = append(cuts, cut{mem.CrashClone(cfg), state})
	}}
	s := open(t, store.Options{Dir: "data", FS: fs})
	ctx := context.Background()
	config := store.QueueConfig{Visibility: time.Hour, Retention: time.Hour}
	if _, err := s.Queues().Create(ctx, scope, "dead", config); err != nil {
		t.Fatal(err)
	}
	plain, err := s.Queues().Create(ctx, scope, "plain", config)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxReceives, config.DeadLetter = 2, "dead"
	q, err := s.Queues().Create(ctx, scope, "q", config)
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	watching = true
	mu.Unlock()
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() { known.live(t, q, fmt.Sprint("q", w), false) })
	}
	// Alone, so that nobody deletes what another has just deleted.
	wg.Go(func() { known.live(t, plain, "plain", true) })
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	moved := 0
	for i, c := range cuts {
		moved += verifyQueues(t, c.fs, c.known)
		if t.Failed() {
			t.Fatalf("at cut %d of %d", i, len(cuts))
		}
	}
	gone := 0
	for _, f := range known.copy() {
		if f == deleted {
			gone++
		}
	}
	if gone == 0 || len(cuts) < 40 || moved == 0 {
		t.Errorf("%d cuts, %d moved and %d deleted messages: they show nothing", len(cuts), moved, gone)
	}
}

// verifyQueues opens what a power cut left, and returns how many messages were moved.
func verifyQueues(t *testing.T, fs vfs.FS, known map[string]fate) (moved int) {
	t.Helper()
	s := open(t, store.Options{Dir: "data", FS: fs})
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	found := map[string]int{}
	for _, name := range []string{"q", "dead", "plain"} {
		q, ok := s.Queues().Get(scope, name)
		if !ok {
			t.Fatalf("the queue %s is lost", name)
		}
		if err := s.Queues().Update(context.Background(), q, func(c *store.QueueConfig) error {
			c.MaxReceives = 0
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for got := receiveNow(q, time.Hour); len(got) > 0; got = receiveNow(q, time.Hour) {
			for _, m := range got {
				found[m.Body]++
				if name == "dead" {
					moved++
				}
			}
		}
	}
	for body, f := range known {
		switch n := found[body]; {
		case f == sent && n == 0:
			t.Errorf("%s was acknowledged and is lost", body)
		case f == deleted && n > 0:
			t.Errorf("%s was deleted and is back", body)
		case n > 1:
			t.Errorf("%s is there %d times", body, n)
		}
	}
	return moved
}
