package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// Bounds of the group commit.
const (
	queueRequests = 8_192   // commits that wait for their turn; more block
	groupOps      = 8_192   // operations and checks of one group, its last batch not counted
	groupBytes    = 8 << 20 // keys and values of one group, its last batch not counted
)

// A request is one Commit that waits for its outcome.
type request struct {
	batch   *Batch
	version Version
	err     error
	answer  chan struct{} // receives once version or err is set; capacity 1
}

var requests = sync.Pool{New: func() any { return &request{answer: make(chan struct{}, 1)} }}

// Commit implements Slot.
func (e *engine) Commit(ctx context.Context, b *Batch) (Version, error) {
	if err := b.validate(); err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	r := requests.Get().(*request)
	r.batch = b
	select {
	case e.queue <- r:
	case <-ctx.Done():
		return 0, fmt.Errorf("commit: %w", ctx.Err())
	case <-e.stop:
		return 0, fmt.Errorf("commit: %w", ErrClosed)
	}
	select {
	case <-r.answer:
	case <-e.done:
		// The writer has ended. It may have answered before.
		select {
		case <-r.answer:
		default:
			return 0, fmt.Errorf("commit: %w", ErrClosed)
		}
	}
	version, err := r.version, r.err
	r.batch, r.version, r.err = nil, 0, nil
	requests.Put(r)
	if err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	return version, nil
}

// DropBefore implements Slot.
func (e *engine) DropBefore(log, key []byte) error {
	if len(key) < len(log) || string(key[:len(log)]) != string(log) {
		return fmt.Errorf("drop before %.64q: it is not in the log %.64q", key, log)
	}
	var b Batch
	b.DeleteRange(log, key)
	_, err := e.Commit(context.Background(), &b)
	return err
}

// write is the one goroutine that changes the slot: it takes whatever waits, commits it as
// one group with one fsync, and answers each caller.
func (e *engine) write() {
	defer close(e.done)
	var group []*request
	for {
		select {
		case <-e.stop:
			return
		case r := <-e.queue:
			// The callers of the last group are just waking. Let them queue up again, so
			// that they share this fsync rather than wait for the next.
			runtime.Gosched()
			group = e.collect(append(group[:0], r))
			e.commit(group)
			for i, r := range group {
				group[i] = nil
				r.answer <- struct{}{}
			}
		}
	}
}

func (e *engine) collect(group []*request) []*request {
	ops, bytes := group[0].batch.size()
	for ops < groupOps && bytes < groupBytes {
		select {
		case r := <-e.queue:
			o, b := r.batch.size()
			ops, bytes = ops+o, bytes+b
			group = append(group, r)
		default:
			return group
		}
	}
	return group
}

func (b *Batch) size() (ops, bytes int) { return len(b.ops) + len(b.checks), b.bytes }

// commit decides the outcome of every request of a group.
func (e *engine) commit(group []*request) {
	err := e.refusal()
	if err == nil {
		err = e.apply(group)
	}
	if err != nil {
		for _, r := range group {
			if r.err == nil {
				r.version, r.err = 0, err
			}
		}
	}
}

// refusal returns why nothing can be committed now.
func (e *engine) refusal() error {
	if err := e.broken.err(); err != nil {
		return err
	}
	if err := e.dir.fenced(); err != nil {
		return err
	}
	return e.dir.checkRoom(0)
}

// apply writes the batches whose checks hold as one batch of the engine, and makes them
// visible. It sets the outcome of each request, or returns the error of all.
func (e *engine) apply(group []*request) error {
	// Checks read through the group's batch, so that they see the commits before them in
	// the same group. That needs an index, which costs; a group without checks has none.
	var batch *pebble.Batch
	if checksAfterFirst(group) {
		batch = e.db.NewIndexedBatch()
	} else {
		batch = e.db.NewBatch()
	}
	defer batch.Close()
	sequence := e.sequence
	for _, r := range group {
		if r.err = e.judge(batch, r.batch.checks); r.err != nil {
			continue
		}
		sequence++
		r.version = sequence
		if err := put(batch, r.batch.ops, sequence); err != nil {
			return err
		}
	}
	if sequence == e.sequence {
		return nil
	}
	if err := batch.Set(sequenceKey, binary.BigEndian.AppendUint64(nil, uint64(sequence)), nil); err != nil {
		return fmt.Errorf("number the commit: %w", err)
	}
	if err := batch.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("write the group: %w", err)
	}
	if err := e.broken.err(); err != nil {
		return err
	}
	e.sequence = sequence
	e.publish()
	return nil
}

func checksAfterFirst(group []*request) bool {
	for _, r := range group[1:] {
		if len(r.batch.checks) > 0 {
			return true
		}
	}
	return false
}

// judge returns nil if all checks hold in the state with the group so far.
func (e *engine) judge(batch *pebble.Batch, checks []check) error {
	var r pebble.Reader = e.db
	if batch.Indexed() {
		r = batch
	}
	for _, c := range checks {
		stored, closer, err := r.Get(c.key)
		var at Version
		switch {
		case errors.Is(err, pebble.ErrNotFound):
		case err != nil:
			return fmt.Errorf("check %.64q: %w", c.key, err)
		default:
			_, at, err = splitValue(c.key, stored)
			if err = errors.Join(err, closer.Close()); err != nil {
				return fmt.Errorf("check %.64q: %w", c.key, err)
			}
		}
		if at != c.version {
			return fmt.Errorf("%.64q is at version %d, not %d: %w", c.key, at, c.version, ErrConflict)
		}
	}
	return nil
}

// put appends operations to the engine's batch, values behind their version.
func put(batch *pebble.Batch, ops []op, v Version) error {
	for _, o := range ops {
		var err error
		switch o.kind {
		case opSet:
			d := batch.SetDeferred(len(o.key), 8+len(o.value))
			copy(d.Key, o.key)
			binary.BigEndian.PutUint64(d.Value, uint64(v))
			copy(d.Value[8:], o.value)
			err = d.Finish()
		case opDelete:
			err = batch.Delete(o.key, nil)
		case opDeleteRange:
			err = batch.DeleteRange(o.key, o.value, nil)
		}
		if err != nil {
			return fmt.Errorf("batch: %w", err)
		}
	}
	return nil
}
