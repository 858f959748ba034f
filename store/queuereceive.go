package store

import (
	"container/list"
	"errors"
	"fmt"
	"time"
)

// A ReceiveRequest asks for messages.
type ReceiveRequest struct {
	Max        int           // messages, at least 1
	Wait       time.Duration // how long to wait for the first one
	Visibility time.Duration // how long they are in flight; negative: the queue's

	// Attempt, if not empty, gives a request that is repeated within five minutes the
	// messages it got before, as long as none of them was deleted or became visible.
	Attempt string
}

// A waiter is a Receive that has no messages yet.
type waiter struct {
	request ReceiveRequest
	deliver func([]Received)
	place   *list.Element // nil: it was answered
	timer   *time.Timer
}

// A lease is what a Receive got, before it is read.
type lease struct {
	receipt
	sent, first int64
}

// An attempt is what a Receive with an attempt id got.
type attempt struct {
	at     int64
	leases []lease
}

const maxAttempts = 20_000 // that a queue remembers

// Receive asks for messages and calls deliver exactly once, from another goroutine: with
// messages as soon as there are any, or with none when the wait is over or the request was
// cancelled. No goroutine waits. Requests are served in their order.
func (q *Queue) Receive(r ReceiveRequest, deliver func([]Received)) (cancel func()) {
	w := &waiter{request: r, deliver: deliver}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed != nil {
		go deliver(nil)
		return func() {}
	}
	now := q.queues.now()
	if q.repeat(w, now) {
		return func() {}
	}
	w.place = q.mu.waiters.PushBack(w)
	q.match(now)
	if w.place != nil && r.Wait <= 0 {
		q.answer(w, nil)
	}
	if w.place != nil {
		w.timer = time.AfterFunc(r.Wait, func() { q.give(w) })
	}
	return func() { q.give(w) }
}

// give ends a wait.
func (q *Queue) give(w *waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.place != nil {
		q.answer(w, nil)
	}
}

// answer delivers leases to a waiter.
func (q *Queue) answer(w *waiter, leases []lease) {
	if w.place != nil {
		q.mu.waiters.Remove(w.place)
		w.place = nil
	}
	if w.timer != nil {
		w.timer.Stop()
	}
	q.queues.work.Go(func() { w.deliver(q.read(leases)) })
}

// match serves the waiters, as far as there are messages, and arms the timer for the next.
func (q *Queue) match(now int64) {
	if q.mu.closed != nil {
		return
	}
	q.mu.advance(now)
	for e := q.mu.waiters.Front(); e != nil; e = q.mu.waiters.Front() {
		w := e.Value.(*waiter)
		leases := q.take(&w.request, now)
		if len(leases) == 0 {
			break
		}
		q.answer(w, leases)
	}
	if q.mu.waiters.Len() > 0 {
		q.arm(now)
	}
}

// arm has match called when a message becomes visible.
func (q *Queue) arm(now int64) {
	next, ok := q.mu.next()
	if !ok || q.mu.wakeAt > now && q.mu.wakeAt <= next {
		return
	}
	q.mu.wakeAt = next
	if q.mu.wake == nil {
		q.mu.wake = time.AfterFunc(time.Duration(next-now), q.awake)
	} else {
		q.mu.wake.Reset(time.Duration(next - now))
	}
}

func (q *Queue) awake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.wakeAt = 0
	q.match(q.queues.now())
}

// take puts messages in flight. Those that are too old leave, and those that were received
// too often go to the dead-letter queue.
func (q *Queue) take(r *ReceiveRequest, now int64) []lease {
	config := q.mu.config
	var target *Queue
	if config.MaxReceives > 0 {
		target, _ = q.queues.Get(q.Scope, config.DeadLetter)
	}
	born := now - int64(config.Retention)
	var expired, dead []*queued
	taken, left := q.mu.take(min(r.Max, MaxInFlight-q.mu.count[messageInFlight]), maxRemoves, func(m *queued) verdict {
		switch {
		case m.sent <= born || m.moved:
			return verdictLeave
		case target != nil && int(m.receives) >= config.MaxReceives:
			return verdictLeaveInOrder
		}
		return verdictDeliver
	})
	for _, m := range left {
		if m.sent <= born || m.moved {
			expired = append(expired, m)
		} else {
			dead = append(dead, m)
		}
	}
	if len(expired) > 0 {
		_ = q.enqueue(&queueWork{removes: expired}) // it is not closed
	}
	if len(dead) > 0 {
		q.queues.work.Go(func() { q.redrive(dead, target) })
	}
	visibility := r.Visibility
	if visibility < 0 {
		visibility = config.Visibility
	}
	leases := make([]lease, len(taken))
	for i, m := range taken {
		m.receives++
		if m.first == 0 {
			m.first = now
		}
		m.leased, m.visibleAt = now, now+int64(visibility)
		leases[i] = lease{receipt{q.number, m.seq, m.receives}, m.sent, m.first}
		q.mu.place(m, now)
		q.touch(m)
	}
	if r.Attempt != "" && len(leases) > 0 && len(q.mu.attempts) < maxAttempts {
		q.mu.attempts[r.Attempt] = attempt{now, leases}
	}
	return leases
}

// repeat answers a request that was made before, and reports whether it did.
func (q *Queue) repeat(w *waiter, now int64) bool {
	a, ok := q.mu.attempts[w.request.Attempt]
	if !ok || a.at <= now-int64(DedupWindow) {
		return false
	}
	q.mu.advance(now)
	messages := make([]*queued, len(a.leases))
	for i, l := range a.leases {
		m, ok := q.mu.messages.Get(l.seq)
		if !ok || m.state != messageInFlight || m.receives != l.receives {
			delete(q.mu.attempts, w.request.Attempt)
			return false
		}
		messages[i] = m
	}
	visibility := w.request.Visibility
	if visibility < 0 {
		visibility = q.mu.config.Visibility
	}
	for _, m := range messages {
		q.mu.detach(m)
		m.visibleAt = now + int64(visibility)
		q.mu.place(m, now)
		q.touch(m)
	}
	q.answer(w, a.leases)
	return true
}

// read returns the messages of leases. One that cannot be read stays in flight.
func (q *Queue) read(leases []lease) []Received {
	var found []Received
	for _, l := range leases {
		m, err := q.body(l.seq)
		if err != nil {
			q.queues.log.Error("a message could not be read", "queue", q.ARN(), "error", err)
			continue
		}
		if m == nil {
			continue // purged meanwhile
		}
		found = append(found, Received{
			Message: *m, Receipt: l.receipt.String(), Sequence: sequenceText(l.seq),
			Sent: time.Unix(0, l.sent), First: time.Unix(0, l.first), Receives: int(l.receives),
		})
	}
	return found
}

func (q *Queue) body(seq uint64) (*Message, error) {
	value, version, err := q.queues.slot.Get(queueKey(queueBody, q.number, seq))
	if errors.Is(err, ErrClosed) || err == nil && version == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read message %d: %w", seq, err)
	}
	return decodeMessage(value)
}
