package logs

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of one read.
const (
	// MaxRead is the bytes of segments that one Read looks at, as long as it can end between
	// two times; it may return nothing and still be continued.
	MaxRead = 64 << 20

	eventCost = 26 // bytes that count for every event beside its message (AWS: PutLogEvents)
)

// A position is the place of an event among all of its group.
type position struct {
	time int64
	seq  int
	at   int64
}

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.time, q.time), cmp.Compare(p.seq, q.seq), cmp.Compare(p.at, q.at))
}

// String returns 56 digits that sort as the position does, for times since 1970.
func (p position) String() string { return fmt.Sprintf("%020d%016d%020d", p.time, p.seq+1, p.at+1) }

// A Position is where a Read ended, and where another can go on.
type Position struct{ p position }

// At is the position in front of all events of a time.
func At(ms int64) Position { return Position{position{ms, -1, -1}} }

// String is the form that ParsePosition reads.
func (p Position) String() string { return p.p.String() }

// Before is the place in front of what is at p: a read forward from there finds it.
func (p Position) Before() Position {
	if p.p.at >= 0 { // else nothing is at p
		p.p.at--
	}
	return p
}

// Behind is the place behind what is at p: a read backward from there finds it.
func (p Position) Behind() Position {
	if p.p.at >= 0 {
		p.p.at++
	}
	return p
}

// ParsePosition reads a position.
func ParsePosition(s string) (Position, error) {
	if len(s) != 56 || strings.Trim(s, "0123456789") != "" {
		return Position{}, fmt.Errorf("%q is no position in a log", s)
	}
	time, err1 := strconv.ParseInt(s[:20], 10, 64)
	seq, err2 := strconv.ParseInt(s[20:36], 10, 32)
	at, err3 := strconv.ParseInt(s[36:], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return Position{}, fmt.Errorf("%q is no position in a log", s)
	}
	return Position{position{time, int(seq) - 1, at - 1}}, nil
}

// A Query says what to read.
type Query struct {
	// From and To bound the times: From ≤ time < To, in ms.
	From, To int64

	// After continues a read: forward with the events behind it, backward with those before
	// it. Nil begins at the edge of the times.
	After    *Position
	Backward bool

	Stream func(name string) bool    // that are read; nil: all
	Match  func(message []byte) bool // that are returned; nil: all

	Limit    int // events, ≥ 1
	MaxBytes int // of their messages, and 26 for each
}

// A Page is what a Read returns: events in the order of their times.
type Page struct {
	Events []Event
	First  Position // of the first event, or where the read began
	Next   Position // where a read in the same direction goes on
	More   bool     // there may be more behind Next
}

// Read returns events of a group. Events that have expired are not returned.
func (s *Store) Read(id GroupID, q Query) (Page, error) {
	r := reader{q: q, most: s.maxRead}
	err := s.use(id, func(g *group) error {
		r.plan(g, time.Now().UnixMilli())
		return nil
	})
	if err != nil {
		return Page{}, err
	}
	return r.run()
}

// A reader carries out one Read.
type reader struct {
	q      Query
	from   position // events behind it
	to     position // and before it
	todo   []span
	found  []Event
	cut    bool  // found had more than was asked for
	looked int64 // bytes
	most   int64 // of them
}

// A span is a block to be read.
type span struct {
	block
	end   int64
	seq   int
	path  string
	names map[int]string // of the streams that are read
}

// plan finds the blocks that may hold what is asked for.
func (r *reader) plan(g *group, now int64) {
	r.from, r.to = position{r.q.From, -1, -1}, position{r.q.To, -1, -1}
	if g.retention > 0 {
		r.from = position{max(r.q.From, now-g.retention), -1, -1}
	}
	if a := r.q.After; a != nil && r.q.Backward && a.p.compare(r.to) < 0 {
		r.to = a.p
	} else if a != nil && !r.q.Backward && a.p.compare(r.from) > 0 {
		r.from = a.p
	}
	for _, seg := range g.segments {
		r.planSegment(seg)
	}
	slices.SortStableFunc(r.todo, func(a, b span) int {
		if r.q.Backward {
			return cmp.Compare(b.max, a.max)
		}
		return cmp.Compare(a.min, b.min)
	})
}

func (r *reader) planSegment(seg *segment) {
	names := make(map[int]string)
	first, last := len(seg.blocks), -1
	for number, m := range seg.members {
		if m.gone || m.last < m.first || r.q.Stream != nil && !r.q.Stream(m.stream.name) {
			continue
		}
		names[number] = m.stream.name
		first, last = min(first, m.first), max(last, m.last)
	}
	for i := first; i <= last; i++ {
		b := seg.blocks[i]
		if b.max >= r.from.time && b.min <= r.to.time {
			r.todo = append(r.todo, span{b, seg.end(i), seg.seq, seg.path, names})
		}
	}
}

// run reads blocks until what is behind them cannot belong to the page.
func (r *reader) run() (Page, error) {
	for i, b := range r.todo {
		if i > 0 && r.ends(b) {
			return r.page(&b), nil
		}
		if err := r.read(b); err != nil {
			return Page{}, err
		}
	}
	return r.page(nil), nil
}

// ends reports whether the page can end in front of a block.
func (r *reader) ends(b span) bool {
	if len(r.found) >= r.q.Limit || r.cost() >= r.q.MaxBytes {
		r.trim()
	}
	edge := r.edge(b)
	if r.q.Backward {
		return edge.compare(r.from) <= 0 || r.looked >= r.most && edge.compare(r.to) < 0
	}
	return edge.compare(r.to) >= 0 || r.looked >= r.most && edge.compare(r.from) > 0
}

// edge is the place in front of everything in a block, and in all blocks behind it.
func (r *reader) edge(b span) position {
	if r.q.Backward {
		return position{b.max + 1, -1, -1}
	}
	return position{b.min, -1, -1}
}

// cost is what the events that were found count for.
func (r *reader) cost() (n int) {
	for _, e := range r.found {
		n += len(e.Message) + eventCost
	}
	return n
}

// trim sorts what was found and drops what does not fit on the page. What is behind the first
// event that was dropped is of no interest any more.
func (r *reader) trim() {
	slices.SortFunc(r.found, func(a, b Event) int { return a.at.compare(b.at) })
	all := len(r.found)
	nth := func(i int) *Event {
		if r.q.Backward {
			i = all - 1 - i
		}
		return &r.found[i]
	}
	n := 0
	for size := 0; n < all && n < r.q.Limit; n++ {
		size += len(nth(n).Message) + eventCost
		if size > r.q.MaxBytes && n > 0 {
			break
		}
	}
	if n == all {
		return
	}
	r.cut = true
	if r.q.Backward {
		r.from, r.found = nth(n).at, r.found[all-n:]
	} else {
		r.to, r.found = nth(n).at, r.found[:n]
	}
}

// page returns the page. The blocks from b on, if there is one, were not read any more.
func (r *reader) page(b *span) Page {
	start := Position{r.from}
	if r.q.Backward {
		start = Position{r.to}
	}
	r.trim()
	p := Page{Events: r.found, More: r.cut, First: start, Next: start}
	if b != nil && r.within(r.edge(*b)) {
		// It has looked at enough: what may still come is behind the edge.
		edge := r.edge(*b)
		p.Events = slices.DeleteFunc(p.Events, func(e Event) bool {
			return e.at.compare(edge) > 0 != r.q.Backward
		})
		p.Next, p.More = Position{edge}, true
	}
	n := len(p.Events)
	if n == 0 {
		return p
	}
	p.First = Position{p.Events[0].at}
	last := Position{p.Events[n-1].at}
	if r.q.Backward {
		p.First, last = last, p.First
	}
	if b == nil || !r.within(r.edge(*b)) {
		p.Next = last
	}
	return p
}

// within reports whether there may be events of the page behind a place.
func (r *reader) within(p position) bool {
	return r.from.compare(p) < 0 && p.compare(r.to) < 0
}

// read adds what a block holds to what was found. A segment that was removed meanwhile held
// events that have expired.
func (r *reader) read(b span) error {
	f, err := os.Open(b.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read a log: %w", err)
	}
	defer f.Close()
	part := make([]byte, b.end-b.at)
	if _, err := io.ReadFull(io.NewSectionReader(f, b.at, b.end-b.at), part); err != nil {
		return fmt.Errorf("read a log: %w", err)
	}
	r.looked += int64(len(part))
	lines(part, b.at, func(at int64, rec record) {
		name, ok := b.names[rec.number]
		place := position{rec.time, b.seq, at}
		if rec.kind != '.' || !ok || place.compare(r.from) <= 0 || place.compare(r.to) >= 0 {
			return
		}
		message := rec.text()
		if r.q.Match != nil && !r.q.Match(message) {
			return
		}
		r.found = append(r.found, Event{Time: rec.time, Ingested: rec.ingest, Message: message, Stream: name, at: place})
	})
	return nil
}
