package logs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Bounds of a segment.
const (
	segmentBytes = 16 << 20      // a segment of this size is followed by a new one
	segmentAge   = 24 * 3600_000 // ms after its beginning, likewise
	reuseBytes   = 1 << 20       // one smaller than this is written on after a restart
	blockBytes   = 64 << 10      // of a segment for each entry of the index
	maxStreams   = 1 << 16       // of one segment
	maxLine      = 4 << 20       // bytes of a line; PutLogEvents takes 1 MiB, which escapes double
)

// A segment is a file of a group.
type segment struct {
	seq     int
	path    string
	size    int64
	began   int64 // ms; when its first event or stream came
	blocks  []block
	members []member // by number
	sealed  bool     // takes no more
	synced  bool     // its name is durable
}

// reusable reports whether a segment that was closed can be written on.
func (g *segment) reusable() bool {
	return !g.sealed && 0 < g.size && g.size < reuseBytes && len(g.members) < maxStreams
}

// A block is a part of a segment: where it begins, and its first and last time in ms.
type block struct{ at, min, max int64 }

// A member is a stream in a segment: what part of it holds its events.
type member struct {
	stream      *stream
	first, last int // blocks; last < first: no events
	min, max    int64
	bytes       int64
	gone        bool // deleted later
}

// note adds an event, whose line begins at an offset, to the index.
func (g *segment) note(at int64, number int, t, size int64) {
	if len(g.blocks) == 0 || at-g.blocks[len(g.blocks)-1].at >= blockBytes {
		g.blocks = append(g.blocks, block{at, t, t})
	}
	i := len(g.blocks) - 1
	b := &g.blocks[i]
	b.min, b.max = min(b.min, t), max(b.max, t)
	m := &g.members[number]
	if m.last < m.first {
		m.first, m.min, m.max = i, t, t
	}
	m.last, m.min, m.max = i, min(m.min, t), max(m.max, t)
	m.bytes += size
}

// add gives a stream the next number.
func (g *segment) add(s *stream) int {
	g.members = append(g.members, member{stream: s, last: -1})
	s.segments++
	return len(g.members) - 1
}

// load reads a segment into the index of its group. What is behind the last whole line is a
// line that a crash cut off: it is removed.
func (g *segment) load(of *group) error {
	f, err := os.OpenFile(g.path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("load a segment: %w", err)
	}
	defer f.Close()
	if err := g.scan(f, of); err != nil {
		return fmt.Errorf("load %s: %w", g.path, err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() > g.size {
		err = f.Truncate(g.size)
	}
	if err != nil {
		return fmt.Errorf("load a segment: %w", err)
	}
	return nil
}

// errFormat is a segment of an unknown format.
var errFormat = errors.New("this is no segment of a format that this weir knows")

func (g *segment) scan(f io.Reader, of *group) error {
	r := bufio.NewReaderSize(f, 256<<10)
	numbers := make(map[int]int) // of the file to those of the index
	g.size = 0
	for first := true; ; first = false {
		line, err := readLine(r)
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case first && string(line) != formatLine:
			return errFormat
		}
		at := g.size
		g.size += int64(len(line))
		if first {
			continue
		}
		rec, err := parseRecord(line[:len(line)-1])
		if err != nil {
			of.malformed++
			continue
		}
		switch rec.kind {
		case '=':
			name, _ := unescape(rec.name)
			numbers[rec.number] = g.add(of.known(string(name), rec.time))
		case 'x':
			name, _ := unescape(rec.name)
			of.forget(string(name))
		case '.':
			number, ok := numbers[rec.number]
			if !ok {
				of.malformed++
				continue
			}
			if g.began == 0 || rec.ingest < g.began {
				g.began = rec.ingest
			}
			g.note(at, number, rec.time, int64(len(rec.message)))
			g.members[number].stream.note(rec.time, rec.ingest)
		}
	}
}

// readLine returns the next line with its end. A line that is cut off, or longer than any that
// was ever written, is the end.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err == nil || err != bufio.ErrBufferFull {
		return line, err
	}
	long := slices.Clone(line)
	for err == bufio.ErrBufferFull && len(long) < maxLine {
		line, err = r.ReadSlice('\n')
		long = append(long, line...)
	}
	if err == bufio.ErrBufferFull {
		err = io.EOF
	}
	return long, err
}

// end returns where block i ends.
func (g *segment) end(i int) int64 {
	if i+1 < len(g.blocks) {
		return g.blocks[i+1].at
	}
	return g.size
}

// lines calls f with the offset and the record of each line of a part of a segment.
func lines(part []byte, at int64, f func(at int64, r record)) {
	for len(part) > 0 {
		i := bytes.IndexByte(part, '\n')
		if i < 0 {
			return
		}
		if r, err := parseRecord(part[:i]); err == nil {
			f(at, r)
		}
		part, at = part[i+1:], at+int64(i)+1
	}
}
