package logs

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// A group is the segments and streams of a log group.
type group struct {
	id      GroupID
	dir     string
	written *atomic.Int64 // the store's
	log     *slog.Logger

	// mu is held during the I/O of the group: a writer's caller never takes it.
	mu        sync.Mutex
	loaded    bool
	removed   bool // the group was dropped
	segments  []*segment
	streams   map[string]*stream
	numbers   map[*stream]int // in the last segment
	file      *os.File        // the last segment, if it is written to
	used      int64           // when file was used last, in ms
	retention int64           // ms; 0: for ever
	malformed int             // lines that could not be read
}

// A stream is what is known of a log stream. It is guarded by its group's mu.
type stream struct {
	name     string
	created  int64
	first    int64 // times of events; first > last: none
	last     int64
	ingested int64
	segments int // that name it
}

func (s *stream) note(t, ingested int64) {
	s.first, s.last, s.ingested = min(s.first, t), max(s.last, t), max(s.ingested, ingested)
}

// known returns a stream by its name, and makes it if it is new.
func (g *group) known(name string, created int64) *stream {
	s, ok := g.streams[name]
	if !ok {
		s = &stream{name: name, created: created, first: math.MaxInt64, last: math.MinInt64}
		g.streams[name] = s
	}
	return s
}

// forget removes a stream from the index.
func (g *group) forget(name string) {
	s, ok := g.streams[name]
	if !ok {
		return
	}
	delete(g.streams, name)
	delete(g.numbers, s)
	for _, seg := range g.segments {
		for i := range seg.members {
			if seg.members[i].stream == s {
				seg.members[i].gone = true
			}
		}
	}
}

// load builds the index when the group is first used.
func (g *group) load() error {
	if g.removed {
		return ErrGone
	}
	if g.loaded {
		return nil
	}
	names, err := segmentFiles(g.dir)
	if err != nil {
		return err
	}
	g.malformed = 0
	g.segments, g.streams, g.numbers = nil, make(map[string]*stream), make(map[*stream]int)
	for _, seq := range names {
		s := &segment{seq: seq, path: segmentPath(g.dir, seq)}
		g.segments = append(g.segments, s)
		err := s.load(g)
		if errors.Is(err, os.ErrNotExist) { // the sweep was faster
			g.segments = g.segments[:len(g.segments)-1]
			continue
		}
		if err != nil {
			return err
		}
	}
	g.loaded = true
	if g.malformed > 0 {
		g.log.Warn("lines of a log cannot be read; they are passed over", "group", g.id.Name, "lines", g.malformed)
	}
	return nil
}

func segmentPath(dir string, seq int) string { return filepath.Join(dir, fmt.Sprintf("%08d.log", seq)) }

// segmentFiles returns the numbers of the segments of a directory, in order.
func segmentFiles(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list the segments: %w", err)
	}
	var seqs []int
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".log")
		if seq, err := strconv.Atoi(name); ok && err == nil && seq > 0 {
			seqs = append(seqs, seq)
		}
	}
	slices.Sort(seqs)
	return seqs, nil
}

// room opens the segment that is written next.
func (g *group) room(now int64) (*segment, error) {
	var last *segment
	if n := len(g.segments); n > 0 {
		last = g.segments[n-1]
	}
	g.used = now
	if last != nil && g.file != nil {
		if last.size < segmentBytes && now-last.began < segmentAge && len(last.members) < maxStreams {
			return last, nil
		}
		if err := g.seal(); err != nil {
			return nil, err
		}
	} else if last != nil && last.reusable() {
		return last, g.reopen(last)
	}
	return g.extend(last, now)
}

// reopen continues a segment of an earlier time.
func (g *group) reopen(last *segment) error {
	f, err := os.OpenFile(last.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("open a segment: %w", err)
	}
	g.file = f
	clear(g.numbers)
	for i, m := range last.members {
		if !m.gone {
			g.numbers[m.stream] = i
		}
	}
	return nil
}

// extend begins a new segment.
func (g *group) extend(last *segment, now int64) (*segment, error) {
	if err := os.MkdirAll(g.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a log group: %w", err)
	}
	s := &segment{seq: 1, began: now}
	if last != nil {
		s.seq = last.seq + 1
	}
	s.path = segmentPath(g.dir, s.seq)
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("make a segment: %w", err)
	}
	n, err := f.WriteString(formatLine)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a segment: %w", err), f.Close(), os.Remove(s.path))
	}
	s.size = int64(n)
	g.file = f
	g.segments = append(g.segments, s)
	clear(g.numbers)
	return s, nil
}

// seal closes the last segment: what comes next goes to another, or opens it again.
func (g *group) seal() error {
	if g.file == nil {
		return nil
	}
	f := g.file
	g.file = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("close a segment: %w", err)
	}
	return nil
}

// append writes events of a stream, in order. On an error none is in the index.
func (g *group) append(name string, created int64, events []Event, now int64) (*segment, error) {
	seg, err := g.room(now)
	if err != nil {
		return nil, err
	}
	s := g.known(name, created)
	var buf []byte
	number, ok := g.numbers[s]
	if !ok {
		number = len(seg.members)
		buf = appendStream(buf, number, s.created, name)
	}
	starts := make([]int64, len(events))
	for i, e := range events {
		starts[i] = seg.size + int64(len(buf))
		buf = appendEvent(buf, number, e)
	}
	if err := g.write(seg, buf); err != nil {
		return nil, err
	}
	if !ok {
		g.numbers[s] = seg.add(s)
	}
	for i, e := range events {
		seg.note(starts[i], number, e.Time, int64(len(e.Message)))
		s.note(e.Time, e.Ingested)
		events[i].at = position{e.Time, seg.seq, starts[i]}
	}
	seg.size += int64(len(buf))
	return seg, nil
}

// write writes lines at the end of the last segment. One that fails may be cut off, and so the
// segment ends there.
func (g *group) write(seg *segment, buf []byte) error {
	if _, err := g.file.Write(buf); err != nil {
		seg.sealed = true
		return errors.Join(fmt.Errorf("write a segment: %w", err), g.file.Truncate(seg.size), g.seal())
	}
	g.written.Add(int64(len(buf)))
	return nil
}

// sync makes what was written durable.
func (g *group) sync(seg *segment) error {
	if err := g.file.Sync(); err != nil {
		seg.sealed = true // what the disk kept is unknown: nothing more goes there
		return errors.Join(fmt.Errorf("sync a segment: %w", err), g.seal())
	}
	if seg.synced {
		return nil
	}
	seg.synced = true
	return syncDir(g.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync a log group: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync a log group: %w", err)
	}
	return nil
}

// remove deletes a segment. Streams that no other segment names go with it.
func (g *group) remove(seg *segment) error {
	if len(g.segments) > 0 && g.segments[len(g.segments)-1] == seg {
		if err := g.seal(); err != nil {
			return err
		}
		clear(g.numbers)
	}
	if err := os.Remove(seg.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove a segment: %w", err)
	}
	g.segments = slices.DeleteFunc(g.segments, func(s *segment) bool { return s == seg })
	for _, m := range seg.members {
		if m.stream.segments--; m.stream.segments == 0 && !m.gone {
			delete(g.streams, m.stream.name)
		}
	}
	return nil
}

// list returns the streams in the order of their names.
func (g *group) list() []Stream {
	all := make([]Stream, 0, len(g.streams))
	for _, s := range g.streams {
		x := Stream{Name: s.name, Created: s.created}
		if s.first <= s.last {
			x.First, x.Last, x.Ingested, x.HasEvents = s.first, s.last, s.ingested, true
		}
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b Stream) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
