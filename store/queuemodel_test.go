package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A queueModel is a queue as dumb as can be: a list.
type queueModel struct {
	fifo     bool
	messages []*modelMessage
}

type modelMessage struct {
	body, group, receipt string
	receives             int
	inFlight, delayed    bool
}

// receive returns what may come next, and in which order.
func (m *queueModel) receive(limit int) []*modelMessage {
	blocked := map[string]bool{}
	if m.fifo {
		for _, x := range m.messages {
			blocked[x.group] = blocked[x.group] || x.inFlight
		}
	}
	var got []*modelMessage
	if !m.fifo {
		for _, x := range m.messages {
			if len(got) < limit && !x.inFlight && !x.delayed {
				got = append(got, x)
			}
		}
		return got
	}
	// A FIFO queue empties one group after the other, the one with the earliest first.
	for len(got) < limit {
		first := slices.IndexFunc(m.messages, func(x *modelMessage) bool { return !blocked[x.group] })
		if first < 0 {
			break
		}
		group := m.messages[first].group
		for _, x := range m.messages {
			if x.group == group && len(got) < limit {
				got = append(got, x)
			}
		}
		blocked[group] = true
	}
	return got
}

// TestQueueModel does at random what can be done with a queue, and compares with a dumb
// model; now and then the store is closed and opened again.
func TestQueueModel(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { runQueueModel(t, seed) })
	}
}

func runQueueModel(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 5))
	dir := t.TempDir()
	s := openDir(t, dir)
	model := &queueModel{fifo: seed%2 == 1}
	q := createQueue(t, s.Queues(), "q", func(c *QueueConfig) { c.FIFO, c.Visibility = model.fifo, time.Hour })
	for step := range 400 {
		switch op := r.IntN(100); {
		case op < 35:
			modelSend(t, r, q, model, step)
		case op < 65:
			modelReceive(t, r, q, model)
		case op < 85:
			modelDelete(t, r, q, model)
		case op < 95:
			modelVisible(t, r, q, model)
		case op < 97:
			if err := q.Purge(context.Background()); err != nil {
				t.Fatal(err)
			}
			model.messages = nil
		default:
			s = reopen(t, s, dir)
			q = getQueue(t, s, "q")
		}
		var want Counts
		for _, m := range model.messages {
			switch {
			case m.inFlight:
				want.InFlight++
			case m.delayed:
				want.Delayed++
			default:
				want.Visible++
			}
		}
		got := q.Counts()
		if got.Oldest = 0; got != want {
			t.Fatalf("step %d: %+v, want %+v", step, got, want)
		}
		if err := q.checkState(); err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
	}
}

func modelSend(t *testing.T, r *rand.Rand, q *Queue, model *queueModel, step int) {
	var messages []Message
	for i := range 1 + r.IntN(10) {
		m := &modelMessage{body: fmt.Sprint(step, ".", i)}
		if model.fifo {
			m.group = fmt.Sprint("g", r.IntN(4))
		} else {
			m.delayed = r.IntN(5) == 0
		}
		message := Message{Body: m.body, Group: m.group, Dedup: m.body}
		if m.delayed {
			message.Delay = 15 * time.Minute
		}
		messages = append(messages, message)
		model.messages = append(model.messages, m)
	}
	send(t, q, messages...)
}

func modelReceive(t *testing.T, r *rand.Rand, q *Queue, model *queueModel) {
	limit := 1 + r.IntN(10)
	want := model.receive(limit)
	got := receive(t, q, short(limit))
	if len(got) != len(want) {
		t.Fatalf("received %q, want %d messages", bodies(got), len(want))
	}
	for i, m := range want {
		m.receives++
		m.inFlight = true
		m.receipt = got[i].Receipt
		if got[i].Body != m.body || got[i].Group != m.group || got[i].Receives != m.receives {
			t.Fatalf("received %+v, want %+v", got[i], m)
		}
	}
}

// flying returns a message that is in flight, or nil.
func (m *queueModel) flying(r *rand.Rand) *modelMessage {
	var flying []*modelMessage
	for _, x := range m.messages {
		if x.inFlight {
			flying = append(flying, x)
		}
	}
	if len(flying) == 0 {
		return nil
	}
	return flying[r.IntN(len(flying))]
}

func modelDelete(t *testing.T, r *rand.Rand, q *Queue, model *queueModel) {
	var gone []Received
	for range 1 + r.IntN(10) {
		if m := model.flying(r); m != nil {
			gone = append(gone, Received{Receipt: m.receipt})
			model.messages = slices.DeleteFunc(model.messages, func(x *modelMessage) bool { return x == m })
		}
	}
	remove(t, q, gone...)
}

func modelVisible(t *testing.T, r *rand.Rand, q *Queue, model *queueModel) {
	m := model.flying(r)
	if m == nil {
		return
	}
	m.inFlight = false
	if err := q.ChangeVisibility(context.Background(), m.receipt, 0); err != nil {
		t.Fatal(err)
	}
}

// checkState checks the numbered invariants of a queueState.
func (q *Queue) checkState() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	var count [messageStates]int
	var err error
	q.mu.messages.Scan(func(_ uint64, m *queued) bool {
		count[m.state]++
		waits := m.at != outside && int(m.at) < len(q.mu.waiting.items) && q.mu.waiting.items[m.at] == m
		ready := m.at != outside && int(m.at) < len(q.mu.ready.items) && q.mu.ready.items[m.at] == m
		if waits != (m.state == messageDelayed || m.state == messageInFlight) || ready != (m.state == messageVisible && m.group == nil) {
			err = fmt.Errorf("message %d in state %d: waiting %v, ready %v", m.seq, m.state, waits, ready)
		}
		return err == nil
	})
	if count != q.mu.count {
		return fmt.Errorf("the counts are %v, should be %v", q.mu.count, count)
	}
	for name, g := range q.mu.groups {
		blocking := 0
		for _, m := range g.messages {
			if m.state.blocks() {
				blocking++
			}
		}
		ready := blocking == 0 && g.messages[0].state == messageVisible
		if blocking != g.blocking || ready != (g.at != outside) {
			return fmt.Errorf("group %s: blocking %d and not %d, ready %v at %d", name, g.blocking, blocking, ready, g.at)
		}
	}
	return err
}
