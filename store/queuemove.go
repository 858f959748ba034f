package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// A Moving says what becomes of a message that moves to another queue.
type Moving uint8

const (
	// Redrive is the way to the dead-letter queue: the message keeps its id, and, but for
	// FIFO queues, its age.
	Redrive Moving = iota
	// Restart is the way out of it: the message is as if it were sent anew.
	Restart
)

// Move moves at most limit visible messages to another queue, the earliest first, and
// returns how many it moved. A message is in the other queue durably before it leaves this
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
	return q.move(left, to, Restart)
}

// move moves messages that have left. Those that could not be moved come back.
func (q *Queue) move(messages []*queued, to *Queue, how Moving) (int, error) {
	n, failed := q.copyTo(to, messages, how)
	if failed != nil {
		q.queues.log.Error("messages could not be moved", "from", q.ARN(), "to", to.ARN(), "error", failed)
	}
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
	moveRetry    = time.Second // until a message that could not be moved is visible again
	moveMessages = 100         // in one Send
	moveBytes    = 128 << 10   // bytes of bodies in one Send, its last message not counted
)

// copyTo sends messages to another queue, marked as moved, and returns how many were sent.
func (q *Queue) copyTo(to *Queue, messages []*queued, how Moving) (int, error) {
	var chunk []Message
	sent, bytes := 0, 0
	for i, m := range messages {
		message, err := q.body(m.seq)
		if err != nil {
			return sent, err
		}
		if message != nil { // else it was purged meanwhile
			chunk = append(chunk, q.moving(to, m, message, how))
			bytes += len(message.Body)
		}
		if i+1 < len(messages) && len(chunk) < moveMessages && bytes < moveBytes {
			continue
		}
		if len(chunk) > 0 {
			if _, err := to.Send(context.Background(), chunk); err != nil {
				return sent, err
			}
		}
		for _, m := range messages[sent : i+1] {
			m.moved = true // nobody else changes a message that leaves
		}
		sent, chunk, bytes = i+1, nil, 0
	}
	return sent, nil
}

// moving returns what a message becomes in the other queue.
func (q *Queue) moving(to *Queue, m *queued, message *Message, how Moving) Message {
	message.moved = &receipt{queue: q.number, seq: m.seq}
	if how == Restart {
		message.ID, message.Source = uuid.NewString(), ""
		return *message
	}
	message.Source = q.ARN()
	if !to.Config().FIFO {
		message.sent = m.sent
	}
	return *message
}
