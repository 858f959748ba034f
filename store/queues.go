package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-run/weir/lambda"
)

// QueueConfigs are the records of queues.
var QueueConfigs = Kind[QueueConfig]{"queue"}

// Queues are the message queues of all accounts. Their configuration is in the catalogue,
// their messages in the slot, and an index of the messages in memory.
type Queues struct {
	slot    Slot
	catalog *Catalog
	log     *slog.Logger
	start   time.Time
	last    atomic.Uint64  // sequence number or number of a queue
	work    sync.WaitGroup // writers, deliveries and moves

	changing chan struct{} // holds a token while queues are made, changed or deleted

	mu struct {
		sync.RWMutex
		queues map[queueName]*Queue
		tick   *time.Timer
		closed bool
	}
}

type queueName struct {
	scope lambda.Scope
	name  string
}

// queueTick is how often queues look for messages and deduplication ids that are too old.
const queueTick = time.Minute

// openQueues reads the index of every queue. It numbers from the epoch on: no number is
// ever given twice.
func openQueues(slot Slot, catalog *Catalog, log *slog.Logger) (*Queues, error) {
	x := &Queues{slot: slot, catalog: catalog, log: log, start: time.Now(), changing: make(chan struct{}, 1)}
	x.last.Store(slot.Epoch() << 40)
	x.mu.queues = make(map[queueName]*Queue)
	var all []*Queue
	QueueConfigs.ScanAll(catalog.Snapshot(), func(s lambda.Scope, name string, c *QueueConfig) bool {
		all = append(all, x.add(s, name, c))
		return true
	})
	slices.SortFunc(all, func(a, b *Queue) int { return int(int64(a.number - b.number)) })
	if err := x.load(all); err != nil {
		return nil, fmt.Errorf("open the queues: %w", err)
	}
	x.mu.tick = time.AfterFunc(queueTick, x.look)
	return x, nil
}

// now is the time in nanoseconds since 1970, and does not jump with the machine's clock.
func (x *Queues) now() int64 { return x.start.UnixNano() + int64(time.Since(x.start)) }

func (x *Queues) add(s lambda.Scope, name string, c *QueueConfig) *Queue {
	q := &Queue{Scope: s, Name: name, queues: x, number: c.Number}
	q.mu.queueState = newQueueState()
	q.mu.config = c
	q.mu.attempts = make(map[string]attempt)
	q.mu.dedup = make(map[dedupKey]dedup)
	x.mu.queues[queueName{s, name}] = q
	return q
}

// Create makes a queue, or fails with ErrQueueExists.
func (x *Queues) Create(ctx context.Context, s lambda.Scope, name string, c QueueConfig) (*Queue, error) {
	if err := x.lock(ctx); err != nil {
		return nil, fmt.Errorf("create the queue %s: %w", name, err)
	}
	defer x.unlock()
	if _, ok := x.Get(s, name); ok {
		return nil, fmt.Errorf("create the queue %s: %w", name, ErrQueueExists)
	}
	c.Number = x.last.Add(1)
	c.Created = time.Unix(0, x.now()).UTC()
	c.Modified = c.Created
	err := x.catalog.Update(ctx, func(tx *Tx) error {
		QueueConfigs.Put(tx, s, name, &c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("create the queue %s: %w", name, err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.add(s, name, &c), nil
}

// Get returns a queue, or false if there is none of the name.
func (x *Queues) Get(s lambda.Scope, name string) (*Queue, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	q, ok := x.mu.queues[queueName{s, name}]
	return q, ok
}

// List calls f with the queues of a scope whose names begin with prefix and sort after a
// name, in order, until f returns false.
func (x *Queues) List(s lambda.Scope, prefix, after string, f func(*Queue) bool) {
	QueueConfigs.ScanPrefix(x.catalog.Snapshot(), s, prefix, after, func(name string, _ *QueueConfig) bool {
		q, ok := x.Get(s, name)
		return !ok || f(q)
	})
}

// All returns the queues of all scopes, in no order.
func (x *Queues) All() []*Queue {
	x.mu.RLock()
	defer x.mu.RUnlock()
	all := make([]*Queue, 0, len(x.mu.queues))
	for _, q := range x.mu.queues {
		all = append(all, q)
	}
	return all
}

// Update changes the configuration of a queue by what f makes of a copy. An error of f
// changes nothing and is returned as it is.
func (x *Queues) Update(ctx context.Context, q *Queue, f func(*QueueConfig) error) error {
	if err := x.lock(ctx); err != nil {
		return fmt.Errorf("change the queue %s: %w", q.Name, err)
	}
	defer x.unlock()
	if now, ok := x.Get(q.Scope, q.Name); !ok || now != q {
		return fmt.Errorf("change the queue %s: %w", q.Name, ErrNoQueue)
	}
	c := *q.Config()
	if err := f(&c); err != nil {
		return err
	}
	c.Modified = time.Unix(0, x.now()).UTC()
	err := x.catalog.Update(ctx, func(tx *Tx) error {
		QueueConfigs.Put(tx, q.Scope, q.Name, &c)
		return nil
	})
	if err != nil {
		return fmt.Errorf("change the queue %s: %w", q.Name, err)
	}
	q.mu.Lock()
	q.mu.config = &c
	q.mu.Unlock()
	return nil
}

// Delete deletes a queue with its messages. Who waits for messages gets none.
func (x *Queues) Delete(ctx context.Context, q *Queue) error {
	if err := x.lock(ctx); err != nil {
		return fmt.Errorf("delete the queue %s: %w", q.Name, err)
	}
	defer x.unlock()
	if now, ok := x.Get(q.Scope, q.Name); !ok || now != q {
		return fmt.Errorf("delete the queue %s: %w", q.Name, ErrNoQueue)
	}
	err := x.catalog.Update(ctx, func(tx *Tx) error {
		QueueConfigs.Delete(tx, q.Scope, q.Name)
		return nil
	})
	if err != nil {
		return fmt.Errorf("delete the queue %s: %w", q.Name, err)
	}
	x.mu.Lock()
	delete(x.mu.queues, queueName{q.Scope, q.Name})
	x.mu.Unlock()
	q.close(ErrNoQueue)
	// What a writer still adds, or a crash leaves, is dropped when the store is opened.
	if err := x.drop(q.number, q.number); err != nil {
		x.log.Error("a deleted queue's messages were not dropped", "queue", q.ARN(), "error", err)
	}
	return nil
}

func (x *Queues) lock(ctx context.Context) error {
	select {
	case x.changing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (x *Queues) unlock() { <-x.changing }

// look drops what is too old, in all queues.
func (x *Queues) look() {
	for _, q := range x.All() {
		q.look()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.mu.closed {
		x.mu.tick.Reset(queueTick)
	}
}

func (q *Queue) look() {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.queues.now()
	q.mu.advance(now)
	q.expire(now)
	q.forget(now)
	for id, a := range q.mu.attempts {
		if a.at <= now-int64(DedupWindow) {
			delete(q.mu.attempts, id)
		}
	}
}

// close ends what a queue does: who waits gets nothing, and later calls fail.
func (q *Queue) close(why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed != nil {
		return
	}
	for e := q.mu.waiters.Front(); e != nil; e = q.mu.waiters.Front() {
		q.answer(e.Value.(*waiter), nil)
	}
	if q.mu.wake != nil {
		q.mu.wake.Stop()
	}
	if q.mu.flush != nil {
		q.mu.flush.Stop()
	}
	if len(q.mu.dirty) > 0 {
		q.mu.due = true
		q.startWriter()
	}
	q.mu.closed = why
}

// close ends all queues and waits for their work.
func (x *Queues) close() {
	x.mu.Lock()
	x.mu.closed = true
	x.mu.tick.Stop()
	all := x.mu.queues
	x.mu.Unlock()
	for _, q := range all {
		q.close(ErrClosed)
	}
	x.work.Wait()
}

// load fills the queues, in the order of their numbers, and drops what belongs to none.
func (x *Queues) load(all []*Queue) error {
	from := uint64(0)
	for _, q := range all {
		if err := x.drop(from, q.number-1); err != nil {
			return err
		}
		if err := q.load(); err != nil {
			return fmt.Errorf("load %s: %w", q.ARN(), err)
		}
		from = q.number + 1
	}
	if err := x.drop(from, ^uint64(0)-1); err != nil {
		return err
	}
	return x.finishMoves(all)
}

// drop deletes the rows of the queues with these numbers, if there are any.
func (x *Queues) drop(first, last uint64) error {
	var b Batch
	for _, prefix := range []string{queueIndex, queueBody, queueLow, queueMoved, queueDedup} {
		lo, hi := queueKey(prefix, first), queueKey(prefix, last+1)
		found := false
		err := x.slot.Scan(lo, hi, 1, func(_, _ []byte, _ Version) bool {
			found = true
			return false
		})
		if err != nil {
			return err
		}
		if found {
			b.DeleteRange(lo, hi)
		}
	}
	if len(b.ops) == 0 {
		return nil
	}
	_, err := x.slot.Commit(context.Background(), &b)
	return err
}

// load reads a queue's index and deduplication ids.
func (q *Queue) load() error {
	low := uint64(0)
	value, version, err := q.queues.slot.Get(queueKey(queueLow, q.number))
	if err != nil {
		return err
	}
	if version != 0 && len(value) == 9 && value[0] == queueVersion {
		low = binary.BigEndian.Uint64(value[1:])
	}
	now := q.queues.now()
	err = scanPages(q.queues.slot, queueKey(queueIndex, q.number, low), queueKey(queueIndex, q.number+1), func(key, value []byte) error {
		m, group, err := decodeQueued(key, value)
		if err == nil {
			m.leased = now // not stored: the 12 hours of a lease begin anew
			q.mu.add(m, q.mu.config.FIFO, group, now)
		}
		return err
	})
	if err != nil {
		return err
	}
	fresh := queueKey(queueDedup, q.number, uint64(now-int64(DedupWindow)))
	return scanPages(q.queues.slot, fresh, queueKey(queueDedup, q.number+1), func(key, value []byte) error {
		k, d, err := decodeDedup(key, value)
		if err == nil {
			q.mu.dedup[k] = d
			q.mu.dedups = append(q.mu.dedups, k)
		}
		return err
	})
}

// finishMoves deletes the messages that were moved before a crash and not deleted.
func (x *Queues) finishMoves(all []*Queue) error {
	byNumber := make(map[uint64]*Queue, len(all))
	for _, q := range all {
		byNumber[q.number] = q
	}
	lo := queueKey(queueMoved)
	hi := []byte(strings.TrimSuffix(queueMoved, "/") + "0")
	return scanPages(x.slot, lo, hi, func(key, _ []byte) error {
		if len(key) != len(queueMoved)+16 {
			return fmt.Errorf("%q is no mark of a moved message", key)
		}
		number, seq := binary.BigEndian.Uint64(key[len(queueMoved):]), binary.BigEndian.Uint64(key[len(queueMoved)+8:])
		q := byNumber[number]
		if q == nil {
			return nil
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		m, ok := q.mu.messages.Get(seq)
		if !ok {
			return nil
		}
		m.moved = true
		q.mu.leave(m)
		return q.enqueue(&queueWork{removes: []*queued{m}})
	})
}

// scanPages calls f with every entry from lo to hi.
func scanPages(slot Slot, lo, hi []byte, f func(key, value []byte) error) error {
	for rows := MaxScan; rows == MaxScan; {
		rows = 0
		var bad error
		err := slot.Scan(lo, hi, MaxScan, func(key, value []byte, _ Version) bool {
			rows++
			lo = append(append(lo[:0:0], key...), 0)
			bad = f(key, value)
			return bad == nil
		})
		if err = errors.Join(err, bad); err != nil {
			return err
		}
	}
	return nil
}
