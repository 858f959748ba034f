package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"
)

// All that changes a queue on disk goes through one writer, which takes whatever waits,
// commits it in one batch and then shows it in memory. So a message's rows are written in
// the order of what happened to it, and the messages of a queue become visible in the
// order of their sequence numbers. Two queues are independent; they share fsyncs.

// A queueWork is a change that waits for its commit.
type queueWork struct {
	sends   []sending
	bytes   int // of sends
	removes []*queued
	purge   bool
	forgets int64      // drops the deduplication ids before this time; 0: none
	done    chan error // receives the outcome; capacity 1; nil: nobody waits

	purged uint64 // sequence number that the purge reached
}

// A sending is a message on its way into the queue.
type sending struct {
	message *Message
	body    []byte // encoded
	id      string
	seq     uint64
	queued  *queued // nil: a duplicate
	dedup   dedupKey
}

type dedupKey [16]byte

// A dedup is a message that was sent lately with a deduplication id.
type dedup struct {
	sent int64
	seq  uint64
	id   string
}

// Bounds of one commit of a queue.
const (
	maxSend     = 1<<20 + 256<<10 // bytes of one Send
	workBytes   = 1 << 20         // of the sends in one commit, its first Send not counted
	workChanges = 1000            // messages in one commit, its last work not counted
	maxRemoves  = 1000            // messages that one work removes
)

// do has a change made and waits for it.
func (q *Queue) do(w *queueWork) error {
	q.mu.Lock()
	err := q.enqueue(w)
	q.mu.Unlock()
	if err != nil {
		return err
	}
	return <-w.done
}

func (q *Queue) enqueue(w *queueWork) error {
	if q.mu.closed != nil {
		return q.mu.closed
	}
	q.mu.pending = append(q.mu.pending, w)
	q.startWriter()
	return nil
}

// touch has a message's row written: with the next commit, or soon on its own. Most leases
// end by a delete before that, and need not be written at all.
func (q *Queue) touch(m *queued) {
	if m.dirty || q.mu.closed != nil {
		return
	}
	m.dirty = true
	q.mu.dirty = append(q.mu.dirty, m)
	if !q.mu.writing && len(q.mu.dirty) == 1 {
		q.armFlush()
	}
}

func (q *Queue) armFlush() {
	if q.mu.flush == nil {
		q.mu.flush = time.AfterFunc(leaseDelay, q.flush)
	} else {
		q.mu.flush.Reset(leaseDelay)
	}
}

// leaseDelay is how long a lease waits for a commit to go out with.
const leaseDelay = 5 * time.Millisecond

func (q *Queue) flush() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.mu.dirty) > 0 && q.mu.closed == nil {
		q.mu.due = true
		q.startWriter()
	}
}

func (q *Queue) startWriter() {
	if !q.mu.writing {
		q.mu.writing = true
		q.queues.work.Go(q.write)
	}
}

// write commits until nothing waits. Leases alone wait for leaseDelay.
func (q *Queue) write() {
	var b Batch
	for {
		q.mu.Lock()
		if len(q.mu.pending) == 0 && (len(q.mu.dirty) == 0 || !q.mu.due) {
			q.mu.writing = false
			if len(q.mu.dirty) > 0 {
				q.armFlush()
			}
			q.mu.Unlock()
			return
		}
		works := q.gather(&b)
		q.mu.due = len(q.mu.dirty) > 0 && q.mu.due
		q.mu.Unlock()
		var err error
		if len(b.ops) > 0 {
			_, err = q.queues.slot.Commit(context.Background(), &b)
		}
		q.mu.Lock()
		now := q.queues.now()
		for _, w := range works {
			q.apply(w, now, err)
		}
		q.match(now)
		q.mu.Unlock()
		for _, w := range works {
			if w.done != nil {
				w.done <- err
			}
		}
		if err != nil {
			q.queues.log.Error("a queue could not be written", "queue", q.ARN(), "error", err)
		}
		b.Reset()
	}
}

// gather moves what waits into a batch.
func (q *Queue) gather(b *Batch) []*queueWork {
	now, low := q.queues.now(), q.queues.last.Load()+1
	n, changes, bytes := 0, 0, 0
	for _, w := range q.mu.pending {
		if n > 0 && (bytes+w.bytes > workBytes || changes > workChanges) {
			break
		}
		n++
		changes += len(w.sends) + len(w.removes)
		bytes += w.bytes
		q.put(b, w, now)
	}
	works := q.mu.pending[:n:n]
	if q.mu.pending = q.mu.pending[n:]; len(q.mu.pending) == 0 {
		q.mu.pending = nil
	}
	// A lease is written as it is now; that of a message that leaves is not worth it.
	d := min(len(q.mu.dirty), workChanges)
	for _, m := range q.mu.dirty[:d] {
		m.dirty = false
		if m.state != messageLeaving && m.state != messageAbsent {
			b.Set(queueKey(queueIndex, q.number, m.seq), encodeQueued(m))
		}
	}
	if q.mu.dirty = q.mu.dirty[d:]; len(q.mu.dirty) == 0 {
		q.mu.dirty = nil
	}
	if q.mu.removed >= lowEvery {
		q.mu.removed = 0
		if seq, _, ok := q.mu.messages.Min(); ok {
			low = min(low, seq)
		}
		b.Set(queueKey(queueLow, q.number), append([]byte{queueVersion}, queueKey("", low)...))
	}
	return works
}

func (q *Queue) put(b *Batch, w *queueWork, now int64) {
	for i := range w.sends {
		q.putSend(b, &w.sends[i], now)
	}
	for _, m := range w.removes {
		q.mu.removed++
		b.Delete(queueKey(queueIndex, q.number, m.seq))
		b.Delete(queueKey(queueBody, q.number, m.seq))
		if m.moved {
			b.Delete(queueKey(queueMoved, q.number, m.seq))
		}
	}
	if w.forgets > 0 {
		b.DeleteRange(queueKey(queueDedup, q.number), queueKey(queueDedup, q.number, uint64(w.forgets)))
	}
	if w.purge {
		w.purged = q.queues.last.Add(1)
		for _, prefix := range []string{queueIndex, queueBody} {
			b.DeleteRange(queueKey(prefix, q.number), queueKey(prefix, q.number, w.purged))
		}
	}
}

func (q *Queue) putSend(b *Batch, s *sending, now int64) {
	m := s.message
	fifo := q.mu.config.FIFO
	if m.moved == nil && (m.Once != "" || fifo && m.Dedup != "") {
		s.dedup = newDedupKey(m, q.mu.config.DedupPerGroup)
		if d, ok := q.mu.dedup[s.dedup]; ok && d.sent > now-int64(DedupWindow) {
			s.id, s.seq = d.id, d.seq
			return
		}
	}
	s.id, s.seq = m.ID, q.queues.last.Add(1)
	delay := m.Delay
	if delay < 0 {
		delay = q.mu.config.Delay
	}
	s.queued = &queued{seq: s.seq, sent: now, visibleAt: now + int64(delay), at: outside}
	if m.sent != 0 {
		s.queued.sent = m.sent
	}
	row := *s.queued
	if fifo {
		row.group = &messageGroup{name: m.Group}
	}
	b.Set(queueKey(queueIndex, q.number, s.seq), encodeQueued(&row))
	b.Set(queueKey(queueBody, q.number, s.seq), s.body)
	if m.moved != nil {
		b.Set(queueKey(queueMoved, m.moved.queue, m.moved.seq), []byte{queueVersion})
	}
	if s.dedup != (dedupKey{}) {
		q.mu.dedup[s.dedup] = dedup{now, s.seq, s.id}
		q.mu.dedups = append(q.mu.dedups, s.dedup)
		b.Set(queueKey(queueDedup, q.number, uint64(now), s.seq), encodeDedup(s.dedup, s.id))
	}
}

func newDedupKey(m *Message, perGroup bool) dedupKey {
	text := m.Dedup
	switch {
	case m.Once != "":
		text = "\x00" + m.Once
	case perGroup:
		text = fmt.Sprintf("%d/%s%s", len(m.Group), m.Group, m.Dedup)
	}
	sum := sha256.Sum256([]byte(text))
	return dedupKey(sum[:16])
}

// apply shows in memory what was committed, or takes back what was not.
func (q *Queue) apply(w *queueWork, now int64, err error) {
	for i := range w.sends {
		s := &w.sends[i]
		switch {
		case s.queued == nil:
		case err == nil:
			q.mu.add(s.queued, q.mu.config.FIFO, s.message.Group, now)
		case s.dedup != (dedupKey{}):
			delete(q.mu.dedup, s.dedup)
		}
	}
	for _, m := range w.removes {
		switch {
		case m.state == messageAbsent: // purged meanwhile
		case err == nil:
			q.mu.remove(m)
		default:
			m.visibleAt = max(m.visibleAt, now+int64(moveRetry))
			q.mu.place(m, now)
		}
	}
	if !w.purge || err != nil {
		return
	}
	var gone []*queued
	q.mu.messages.Scan(func(seq uint64, m *queued) bool {
		if seq < w.purged {
			gone = append(gone, m)
		}
		return seq < w.purged
	})
	for _, m := range gone {
		q.mu.remove(m)
	}
	q.mu.removed = lowEvery
}

// expire drops messages that are older than the retention period, from the oldest on.
func (q *Queue) expire(now int64) {
	born := now - int64(q.mu.config.Retention)
	if _, m, ok := q.mu.messages.Min(); !ok || m.sent > born || q.mu.closed != nil {
		return
	}
	w := new(queueWork)
	q.mu.messages.Scan(func(_ uint64, m *queued) bool {
		if m.sent <= born && m.state != messageLeaving {
			w.removes = append(w.removes, m)
		}
		return m.sent <= born && len(w.removes) < maxRemoves
	})
	for _, m := range w.removes {
		q.mu.leave(m)
	}
	if len(w.removes) > 0 {
		_ = q.enqueue(w) // it is not closed
	}
}

// forget drops deduplication ids whose time is over.
func (q *Queue) forget(now int64) {
	end := now - int64(DedupWindow)
	n := 0
	for _, key := range q.mu.dedups {
		if d, ok := q.mu.dedup[key]; ok {
			if d.sent > end {
				break
			}
			delete(q.mu.dedup, key)
		}
		n++
	}
	q.mu.dedups = q.mu.dedups[n:]
	if n > 0 && q.mu.closed == nil {
		_ = q.enqueue(&queueWork{forgets: end}) // it is not closed
	}
}
