package logs

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Bounds of what is taken and not yet written.
const (
	// FlushDelay is how long events wait at most until they are written.
	FlushDelay = 100 * time.Millisecond

	writerBytes = 24 << 20  // of one stream; a function's burst of output fits
	storeBytes  = 256 << 20 // of all streams
	hurryBytes  = 1 << 20   // of one stream, at which writing begins at once
	keepBytes   = 64 << 10  // of a buffer that is kept for the next events
	batchEvents = 4096      // that are written and told at once
)

// A Writer takes the events of one stream without waiting. It is safe for concurrent use.
type Writer struct {
	store   *Store
	group   GroupID
	name    string
	created int64

	mu struct {
		sync.Mutex
		buf     []byte // lines
		marks   []mark
		queued  bool
		dropped int   // events since the last mark in the stream
		lost    int64 // their bytes
	}
}

// A mark is where the lines of one moment end.
type mark struct {
	end  int
	time int64
}

// Writer returns a writer of a stream, which is made with the first event.
func (s *Store) Writer(id GroupID, stream string) *Writer {
	return &Writer{store: s, group: id, name: stream, created: time.Now().UnixMilli()}
}

// Append takes events of one moment, each of them ended by a line feed. It copies them and does
// not wait. When more than 24 MiB of a stream or 256 MiB of all wait to be written, the events
// are dropped, and an event that counts them takes their place.
func (w *Writer) Append(at time.Time, lines []byte) {
	w.mu.Lock()
	size := int64(len(lines))
	if len(w.mu.buf)+len(lines) > writerBytes || w.store.pending.Add(size) > storeBytes {
		if len(w.mu.buf)+len(lines) <= writerBytes {
			w.store.pending.Add(-size)
		}
		w.mu.dropped += bytes.Count(lines, []byte{'\n'})
		w.mu.lost += size
	} else {
		w.mu.buf = append(w.mu.buf, lines...)
		w.mu.marks = append(w.mu.marks, mark{len(w.mu.buf), at.UnixMilli()})
	}
	first, hurry := !w.mu.queued, len(w.mu.buf) > hurryBytes
	w.mu.queued = true
	w.mu.Unlock()
	if first {
		w.store.queue(w)
	}
	if hurry {
		w.store.hurry()
	}
}

// queue adds a writer to those that have something to be written.
func (s *Store) queue(w *Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.dirty[w.group] = append(s.mu.dirty[w.group], w)
}

// hurry has the goroutine that writes begin at once.
func (s *Store) hurry() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// taken is what a writer had.
type taken struct {
	buf     []byte
	marks   []mark
	dropped int
	lost    int64
}

func (w *Writer) take() taken {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := taken{w.mu.buf, w.mu.marks, w.mu.dropped, w.mu.lost}
	w.mu.buf, w.mu.marks, w.mu.queued, w.mu.dropped, w.mu.lost = nil, nil, false, 0, 0
	w.store.pending.Add(-int64(len(t.buf)))
	return t
}

// giveBack returns small buffers, if no others took their place.
func (w *Writer) giveBack(t taken) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.buf == nil && cap(t.buf) <= keepBytes {
		w.mu.buf, w.mu.marks = t.buf[:0], t.marks[:0]
	}
}

// drop counts events that could not be written.
func (w *Writer) drop(events int, size int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.dropped += events
	w.mu.lost += size
}

// run writes what the writers took, at least every FlushDelay, and removes what is too old or
// too much.
func (s *Store) run() {
	tick := time.NewTicker(FlushDelay)
	defer tick.Stop()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case <-s.wake:
		case <-tick.C:
		case <-sweep.C:
			s.sweep(time.Now())
		case <-s.stop:
			return
		}
		s.flushAll()
		if s.written.Load() > s.opt.MaxBytes/sweepShare {
			s.sweep(time.Now())
		}
	}
}

// flushAll writes what all writers have.
func (s *Store) flushAll() {
	s.mu.Lock()
	ids := make([]GroupID, 0, len(s.mu.dirty))
	for id := range s.mu.dirty {
		ids = append(ids, id)
	}
	s.mu.Unlock()
	for _, id := range ids {
		g := s.group(id)
		g.mu.Lock()
		switch err := g.load(); {
		case errors.Is(err, ErrGone): // what came meanwhile is for the group that takes its place
		case err != nil:
			s.opt.Logger.Error("a log group cannot be used; what is logged there is lost", "group", id.Name, "err", err)
			s.discardAll(id)
		default:
			s.flushLocked(g)
		}
		g.mu.Unlock()
	}
}

// discardAll forgets what the writers of a group have.
func (s *Store) discardAll(id GroupID) {
	for _, w := range s.takeDirty(id) {
		w.take()
	}
}

func (s *Store) takeDirty(id GroupID) []*Writer {
	s.mu.Lock()
	defer s.mu.Unlock()
	writers := s.mu.dirty[id]
	delete(s.mu.dirty, id)
	return writers
}

// flushLocked writes what the writers of a group have; the group is locked.
func (s *Store) flushLocked(g *group) {
	for _, w := range s.takeDirty(g.id) {
		t := w.take()
		if events, size := s.write(g, w, &t); events > 0 {
			w.drop(events, size)
		}
		w.giveBack(t)
	}
}

// write writes events of a stream and tells of them. It returns how many could not be written,
// and their bytes.
func (s *Store) write(g *group, w *Writer, t *taken) (lost int, size int64) {
	now := time.Now().UnixMilli()
	events := make([]Event, 0, min(batchEvents, len(t.marks)+1))
	from := 0
	put := func() {
		if len(events) == 0 {
			return
		}
		if _, err := g.append(w.name, w.created, events, now); err != nil {
			s.opt.Logger.Error("writing a log; events are lost", "group", g.id.Name, "stream", w.name, "events", len(events), "err", err)
			lost += len(events)
			for _, e := range events {
				size += int64(len(e.Message))
			}
		} else {
			s.tell(g, w.name, events)
		}
		events = events[:0]
	}
	for _, m := range t.marks {
		for from < m.end {
			n := bytes.IndexByte(t.buf[from:m.end], '\n') + 1
			if n == 0 {
				n = m.end - from
			}
			events = append(events, Event{Time: m.time, Ingested: now, Message: t.buf[from : from+n]})
			from += n
			if len(events) == batchEvents {
				put()
			}
		}
	}
	if t.dropped > 0 {
		text := fmt.Sprintf("[weir] %d log events (%d bytes) were dropped here: they could not be written in time\n", t.dropped, t.lost)
		events = append(events, Event{Time: now, Ingested: now, Message: []byte(text)})
	}
	put()
	return lost, size
}
