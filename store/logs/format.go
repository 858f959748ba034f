package logs

import (
	"bytes"
	"errors"
	"strconv"
	"time"
)

const (
	formatLine = "weir-logs 1\n"
	timeLayout = "2006-01-02T15:04:05.000Z"
)

// The range of the times that a segment can hold, in ms: the years 1 to 9999 have four digits.
const (
	minTime = -62135596800000
	maxTime = 253402300799999
)

// A record is one line of a segment: an event, or what is known of a stream.
type record struct {
	kind    byte // '.': event, '=': a stream's number, 'x': a stream is gone
	time    int64
	ingest  int64
	number  int
	name    []byte // of the stream, escaped
	message []byte // escaped
}

var errRecord = errors.New("malformed line")

// appendTime appends a time in ms.
func appendTime(b []byte, ms int64) []byte {
	return time.UnixMilli(ms).UTC().AppendFormat(b, timeLayout)
}

// appendEvent appends the line of an event.
func appendEvent(b []byte, number int, e Event) []byte {
	b = appendTime(b, e.Time)
	b = append(b, " +"...)
	b = strconv.AppendInt(b, e.Ingested-e.Time, 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(number), 10)
	b = append(b, ' ')
	message, ended := bytes.CutSuffix(e.Message, []byte{'\n'})
	b = appendEscaped(b, message)
	if !ended {
		b = append(b, `\c`...)
	}
	return append(b, '\n')
}

// appendStream appends the line that gives a stream its number in a segment.
func appendStream(b []byte, number int, created int64, name string) []byte {
	b = strconv.AppendInt(append(b, "= "...), int64(number), 10)
	b = appendTime(append(b, ' '), created)
	return append(appendEscaped(append(b, ' '), []byte(name)), '\n')
}

// appendGone appends the line that ends a stream.
func appendGone(b []byte, name string) []byte {
	return append(appendEscaped(append(b, "x "...), []byte(name)), '\n')
}

func appendEscaped(b, s []byte) []byte {
	for {
		i := bytes.IndexAny(s, "\\\n\r")
		if i < 0 {
			return append(b, s...)
		}
		b = append(b, s[:i]...)
		switch s[i] {
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		default:
			b = append(b, `\\`...)
		}
		s = s[i+1:]
	}
}

// unescape returns the text of an escaped name or message; nothing stands behind \c.
func unescape(s []byte) (text []byte, ended bool) {
	i := bytes.IndexByte(s, '\\')
	if i < 0 {
		return bytes.Clone(s), true
	}
	text = append(make([]byte, 0, len(s)+1), s[:i]...)
	for ; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			text = append(text, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			text = append(text, '\n')
		case 'r':
			text = append(text, '\r')
		case 'c':
			return text, false
		default:
			text = append(text, s[i])
		}
	}
	return text, true
}

// text returns the message of an event.
func (r *record) text() []byte {
	text, ended := unescape(r.message)
	if ended {
		text = append(text, '\n')
	}
	return text
}

// parseRecord reads a line without its end. The record's bytes are parts of the line.
func parseRecord(line []byte) (r record, err error) {
	ok := true
	switch {
	case bytes.HasPrefix(line, []byte("x ")):
		return record{kind: 'x', name: line[2:]}, nil
	case bytes.HasPrefix(line, []byte("= ")):
		r.kind = '='
		var n int64
		n, line, ok = parseNumber(line[2:])
		r.number = int(n)
		if ok {
			r.time, r.name, ok = parseTime(line)
		}
	default:
		r.kind = '.'
		var delay, n int64
		if r.time, line, ok = parseTime(line); !ok || len(line) == 0 || line[0] != '+' {
			return r, errRecord
		}
		if delay, line, ok = parseNumber(line[1:]); ok {
			n, r.message, ok = parseNumber(line)
		}
		r.ingest, r.number = r.time+delay, int(n)
	}
	if !ok || r.number < 0 || r.number > maxStreams {
		return r, errRecord
	}
	return r, nil
}

// parseNumber reads a decimal number and the blank behind it.
func parseNumber(b []byte) (n int64, rest []byte, ok bool) {
	i := bytes.IndexByte(b, ' ')
	if i <= 0 || i > 20 {
		return 0, nil, false
	}
	n, err := strconv.ParseInt(string(b[:i]), 10, 64)
	return n, b[i+1:], err == nil
}

// parseTime reads a time and the blank behind it.
func parseTime(b []byte) (ms int64, rest []byte, ok bool) {
	const n = len(timeLayout)
	if len(b) <= n || b[n] != ' ' {
		return 0, nil, false
	}
	var v [7]int
	for i, at := range [...]struct{ from, to int }{{0, 4}, {5, 7}, {8, 10}, {11, 13}, {14, 16}, {17, 19}, {20, 23}} {
		for _, c := range b[at.from:at.to] {
			if c < '0' || c > '9' {
				return 0, nil, false
			}
			v[i] = v[i]*10 + int(c-'0')
		}
	}
	t := time.Date(v[0], time.Month(v[1]), v[2], v[3], v[4], v[5], v[6]*int(time.Millisecond), time.UTC)
	return t.UnixMilli(), b[n+1:], true
}
