package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
)

// ErrNoSource tells that a message did not come to its queue from another one.
var ErrNoSource = errors.New("the message has no source queue")

// Move moves at most limit visible messages, the earliest first, to another queue, or if
// that is nil each to the queue that it came from, and returns how many it moved. A message is in the other queue durably before it leaves this
// one, and a crash in between neither loses nor doubles it.
func (q *Queue) Move(to *Queue, limit int) (int, error) {
	q.mu.Lock()
	if q.mu.closed != nil {
		defer q.mu.Unlock()
		return 0, q.mu.closed
	}
	now := q.queues.now()
	q.mu.advance(now)
	_, left := q.mu.take(1, min(limit, maxRemoves), func(*queued) verdict { return verdictLeave })
	q.mu.Unlock()
	return q.move(left, to)
}

// move moves messages out of a dead-letter queue: they are as if sent anew.
func (q *Queue) move(messages []*queued, to *Queue) (int, error) {
	return q.relocate(messages, func(_ *queued, m *Message) *Queue {
		source := m.Source
		m.ID, m.Source = uuid.NewString(), ""
		if to != nil {
			return to
		}
		name := source[strings.LastIndexByte(source, ':')+1:]
		from, _ := q.queues.Get(q.Scope, name)
		return from
	})
}

// redrive moves messages to the dead-letter queue: they keep their ids and, but for FIFO
// queues, their age.
func (q *Queue) redrive(messages []*queued, to *Queue) {
	_, err := q.relocate(messages, func(at *queued, m *Message) *Queue {
		m.Source = q.ARN()
		if !to.Config().FIFO {
			m.sent = at.sent
		}
		return to
	})
	if err != nil {
		q.queues.log.Error("messages did not reach the dead-letter queue", "from", q.ARN(), "to", to.ARN(), "error", err)
	}
}

// relocate moves messages that have left to where pick says, which also changes what must
// be changed of them. Those that could not be moved come back.
func (q *Queue) relocate(messages []*queued, pick func(*queued, *Message) *Queue) (int, error) {
	n, failed := q.copyOut(messages, pick)
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.queues.now()
	for _, m := range messages[n:] {
		if m.state == messageLeaving {
			m.visibleAt = now + int64(moveRetry)
			q.mu.place(m, now)
		}
	}
	q.match(now)
	if n == 0 {
		return 0, failed
	}
	return n, errors.Join(failed, q.enqueue(&queueWork{removes: messages[:n]}))
}

// Bounds of moving.
const (
	moveRetry    = time.Second // until a message that could not be moved or removed is visible again
	moveMessages = 100         // in one Send
	moveBytes    = 128 << 10   // bytes of bodies in one Send, its last message not counted
)

// copyOut sends messages to other queues, marked as moved, and returns how many were sent.
func (q *Queue) copyOut(messages []*queued, pick func(*queued, *Message) *Queue) (int, error) {
	var chunk []Message
	var to *Queue // of the chunk
	sent, bytes := 0, 0
	flush := func(end int) error {
		if len(chunk) > 0 {
			if _, err := to.Send(context.Background(), chunk); err != nil {
				return err
			}
		}
		for _, m := range messages[sent:end] {
			m.moved = true // nobody else changes a message that leaves
		}
		sent, chunk, bytes = end, nil, 0
		return nil
	}
	for i, m := range messages {
		message, err := q.body(m.seq)
		if err != nil {
			return sent, err
		}
		if message == nil {
			continue // purged meanwhile
		}
		target := pick(m, message)
		if target == nil {
			err := flush(i)
			return sent, errors.Join(ErrNoSource, err)
		}
		if target != to || len(chunk) == moveMessages || bytes >= moveBytes {
			if err := flush(i); err != nil {
				return sent, err
			}
			to = target
		}
		message.moved = &receipt{queue: q.number, seq: m.seq}
		chunk = append(chunk, *message)
		bytes += len(message.Body)
	}
	err := flush(len(messages))
	return sent, err
}
