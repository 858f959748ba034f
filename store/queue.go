package store

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/weir-run/weir/lambda"
)

// A QueueConfig is the record of a queue: what the store acts on, and beside it what only
// the service that answers for the queue reads.
type QueueConfig struct {
	Number   uint64 // of the queue; set by Create
	Created  time.Time
	Modified time.Time

	FIFO          bool
	ContentDedup  bool // set by the service, which makes the deduplication ids
	DedupPerGroup bool // a deduplication id counts within its message group
	Delay         time.Duration
	Visibility    time.Duration
	Retention     time.Duration

	// After MaxReceives receives a message goes to the queue DeadLetter of the same scope.
	// 0: never.
	MaxReceives int    `json:",omitempty"`
	DeadLetter  string `json:",omitempty"`

	Attributes map[string]string `json:",omitempty"` // as the client set them
	Tags       map[string]string `json:",omitempty"`
}

// A Message is what is sent to a queue.
type Message struct {
	ID         string // empty: Send gives it a UUID
	Body       string
	Attributes []MessageAttribute
	Sender     string
	Trace      string // X-Ray header
	Group      string // MessageGroupId; orders the messages of a FIFO queue
	Dedup      string // MessageDeduplicationId; a FIFO queue takes it once in five minutes
	Source     string // ARN of the queue that this one is the dead-letter queue of

	// Delay is that of this message; negative: the queue's.
	Delay time.Duration

	// Once, if not empty, makes the message a duplicate of one that was sent with it within
	// five minutes. Unlike Dedup it works for every queue and is not delivered.
	Once string

	sent  int64    // keeps the age of a moved message; 0: now
	moved *receipt // where the message comes from, to be marked as moved along with it
}

// A MessageAttribute is a custom attribute of a message.
type MessageAttribute struct {
	Name  string
	Type  string // String, Number or Binary, and a custom type behind a dot
	Value string // text or bytes
}

// Sent is what a queue answers to a message.
type Sent struct {
	ID       string // that of the first of its kind, if the message is a duplicate
	Sequence string // twenty digits that grow with each message
}

// Received is a delivery of a message.
type Received struct {
	Message
	Receipt  string
	Sequence string
	Sent     time.Time
	First    time.Time // first receive
	Receives int
}

// Counts tells how many messages a queue holds.
type Counts struct {
	Visible  int
	InFlight int
	Delayed  int
	Oldest   time.Duration // age of the oldest message; 0: none
}

// Bounds of queues.
const (
	MaxInFlight   = 120_000 // messages of a queue
	MaxVisibility = 12 * time.Hour
	DedupWindow   = 5 * time.Minute
)

// Errors of queues.
var (
	ErrQueueExists   = errors.New("the queue exists")
	ErrNoQueue       = errors.New("the queue does not exist")
	ErrBadReceipt    = errors.New("not a receipt of this queue")
	ErrOldReceipt    = errors.New("the receipt has expired")
	ErrNotInFlight   = errors.New("the message is not in flight")
	ErrVisibilityMax = errors.New("the message would be in flight for more than 12 hours")
)

// A Queue holds messages until they are deleted. An acknowledged Send is never lost, and a
// deleted message does not come back. A message is delivered at least once: the lease of a
// receive goes to disk with the queue's next commit, or after leaseDelay, so after a crash a
// message may be delivered again that was received just before.
type Queue struct {
	Scope lambda.Scope
	Name  string

	queues *Queues
	number uint64

	mu struct {
		sync.Mutex
		*queueState
		config   *QueueConfig
		closed   error     // why nothing can be done any more
		waiters  list.List // of *waiter, the first to come first
		wake     *time.Timer
		wakeAt   int64
		attempts map[string]attempt

		dedup  map[dedupKey]dedup
		dedups []dedupKey // in the order of their times

		writing bool // write runs
		pending []*queueWork
		dirty   []*queued
		flush   *time.Timer // of dirty
		due     bool        // dirty is to be written without waiting
		removed int         // since the low-water mark was written
	}
}

// ARN returns the queue's ARN.
func (q *Queue) ARN() string { return q.Scope.ARN("sqs", q.Name) }

// Config returns the queue's record, which must not be changed.
func (q *Queue) Config() *QueueConfig {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.config
}

// Send adds messages, all or none, in their order. It returns when they are durable.
func (q *Queue) Send(ctx context.Context, messages []Message) ([]Sent, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("send to %s: %w", q.Name, err)
	}
	w := &queueWork{done: make(chan error, 1), sends: make([]sending, len(messages))}
	for i := range messages {
		m := &messages[i]
		if m.ID == "" {
			m.ID = uuid.NewString()
		}
		w.sends[i] = sending{message: m, body: encodeMessage(m)}
		w.bytes += len(w.sends[i].body)
	}
	if w.bytes > maxSend {
		return nil, fmt.Errorf("send %d bytes to %s: %w", w.bytes, q.Name, ErrTooLarge)
	}
	if err := q.do(w); err != nil {
		return nil, fmt.Errorf("send to %s: %w", q.Name, err)
	}
	sent := make([]Sent, len(messages))
	for i, s := range w.sends {
		sent[i] = Sent{s.id, sequenceText(s.seq)}
	}
	return sent, nil
}

// sequenceText makes a SequenceNumber of AWS's length.
func sequenceText(seq uint64) string { return strconv.FormatUint(1e19+seq, 10) }

// Delete removes the messages of receipts and returns when that is durable, with an error
// for each receipt that is none or has expired. One whose message is gone already is fine. A
// standard queue takes the receipt of an earlier receive as well; a FIFO queue only that
// of the last, until the message is visible again.
func (q *Queue) Delete(ctx context.Context, receipts ...string) ([]error, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("delete from %s: %w", q.Name, err)
	}
	errs := make([]error, len(receipts))
	var works []*queueWork
	for i := 0; i < len(receipts); i += maxRemoves {
		end := min(i+maxRemoves, len(receipts))
		w, err := q.remove(receipts[i:end], errs[i:end])
		if err != nil {
			return nil, fmt.Errorf("delete from %s: %w", q.Name, err)
		}
		works = append(works, w)
	}
	var failed error
	for _, w := range works {
		failed = errors.Join(failed, <-w.done)
	}
	if failed != nil {
		return nil, fmt.Errorf("delete from %s: %w", q.Name, failed)
	}
	return errs, nil
}

// remove has the messages of at most maxRemoves receipts removed.
func (q *Queue) remove(receipts []string, errs []error) (*queueWork, error) {
	w := &queueWork{done: make(chan error, 1)}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed != nil {
		return nil, q.mu.closed
	}
	q.mu.advance(q.queues.now())
	for i, text := range receipts {
		m, err := q.named(text)
		if err != nil {
			errs[i] = err
		} else if m != nil {
			q.mu.leave(m)
			w.removes = append(w.removes, m)
		}
	}
	if len(w.removes) == 0 {
		w.done <- nil
		return w, nil
	}
	return w, q.enqueue(w)
}

// named returns the message that a receipt allows to delete; nil if it is gone.
func (q *Queue) named(text string) (*queued, error) {
	r, ok := parseReceipt(text)
	if !ok || r.queue != q.number {
		return nil, ErrBadReceipt
	}
	m, ok := q.mu.messages.Get(r.seq)
	if !ok || m.state == messageLeaving {
		return nil, nil
	}
	if q.mu.config.FIFO && (m.receives != r.receives || m.state != messageInFlight) {
		return nil, ErrOldReceipt
	}
	return m, nil
}

// ChangeVisibility makes a message that is in flight visible after d, and returns when that
// is durable.
func (q *Queue) ChangeVisibility(ctx context.Context, text string, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("change the visibility in %s: %w", q.Name, err)
	}
	r, ok := parseReceipt(text)
	if !ok || r.queue != q.number {
		return ErrBadReceipt
	}
	w := &queueWork{done: make(chan error, 1)}
	q.mu.Lock()
	now := q.queues.now()
	q.mu.advance(now)
	m, ok := q.mu.messages.Get(r.seq)
	var err error
	switch {
	case !ok || m.state != messageInFlight || m.receives != r.receives:
		err = ErrNotInFlight
	case now+int64(d) > m.leased+int64(MaxVisibility):
		err = ErrVisibilityMax
	default:
		q.mu.detach(m)
		m.visibleAt = now + int64(d)
		q.mu.place(m, now)
		q.touch(m)
		err = q.enqueue(w)
		q.match(now)
	}
	q.mu.Unlock()
	if err == nil {
		err = <-w.done
	}
	return err
}

// Purge deletes every message that was sent before.
func (q *Queue) Purge(ctx context.Context) error {
	err := ctx.Err()
	if err == nil {
		err = q.do(&queueWork{done: make(chan error, 1), purge: true})
	}
	if err != nil {
		return fmt.Errorf("purge %s: %w", q.Name, err)
	}
	return nil
}

// Counts returns how many messages there are now.
func (q *Queue) Counts() Counts {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.queues.now()
	q.mu.advance(now)
	q.expire(now)
	c := Counts{Visible: q.mu.count[messageVisible], InFlight: q.mu.count[messageInFlight], Delayed: q.mu.count[messageDelayed]}
	if _, m, ok := q.mu.messages.Min(); ok {
		c.Oldest = max(0, time.Duration(now-m.sent))
	}
	return c
}
