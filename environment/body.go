package environment

import (
	"bytes"
	"errors"
	"io"
)

// maxDrain is how many bytes of an unwanted body are read so that its connection stays usable;
// beyond, the connection is closed.
const maxDrain = 64 << 20

var errBodyTooLarge = errors.New("request body too large")

// A body is the unread rest of a request's body.
type body struct {
	d    *reader
	q    *request
	left int64 // bytes of the body, or of the chunk in hand, not yet read
	open bool  // a chunk is in hand: its line end is still to come
	done bool
}

func (d *reader) body(q *request) body {
	return body{d: d, q: q, left: q.length, done: !q.chunked && q.length == 0}
}

// piece returns the next bytes of the body: what has arrived, at least one byte. They are valid
// until the next call. It returns io.EOF after the last one.
func (b *body) piece() ([]byte, error) {
	if err := b.chunk(); err != nil {
		return nil, err
	}
	if b.d.buffered() == 0 {
		if err := b.fill(); err != nil {
			return nil, err
		}
	}
	n := min(int64(b.d.buffered()), b.left)
	p := b.d.buf[b.d.r : b.d.r+int(n)]
	b.d.r += int(n)
	b.took(n)
	return p, nil
}

// took accounts for n bytes that were read.
func (b *body) took(n int64) {
	b.left -= n
	if b.left == 0 && !b.q.chunked {
		b.done = true
	}
}

// chunk moves on to a chunk with bytes left, reading the lines between chunks and, at the end,
// the trailer. It returns io.EOF at the end of the body.
func (b *body) chunk() error {
	if b.done {
		return io.EOF
	}
	if b.left > 0 {
		return nil
	}
	if b.open {
		line, err := b.line(maxChunkLine)
		if err != nil {
			return err
		}
		if len(line) != 0 {
			return errMalformed
		}
		b.open = false
	}
	line, err := b.line(maxChunkLine)
	if err != nil {
		return err
	}
	size, _, _ := bytes.Cut(line, []byte(";")) // chunk extensions mean nothing here
	n, ok := parseHex(bytes.TrimRight(size, " \t"))
	if !ok {
		return errMalformed
	}
	if n > 0 {
		b.left, b.open = n, true
		return nil
	}
	if err := b.trailer(); err != nil {
		return err
	}
	b.done = true
	return io.EOF
}

// trailer reads the trailer lines of a chunked body.
func (b *body) trailer() error {
	for size := 0; ; {
		line, err := b.line(maxTrailer)
		if err != nil || len(line) == 0 {
			return err
		}
		if size += len(line); size > maxTrailer {
			return errHeaderTooLarge
		}
		name, value, ok := cutHeader(line)
		switch {
		case !ok:
			return errMalformed
		case is(name, "lambda-runtime-function-error-type"):
			b.q.trailerErrorType = string(value)
		case is(name, "lambda-runtime-function-error-body"):
			b.q.trailerErrorBody = string(value)
		}
	}
}

// line reads one line of at most limit bytes, without its end. It is valid until the next read.
func (b *body) line(limit int) ([]byte, error) {
	d := b.d
	for seen := 0; ; {
		if i := bytes.IndexByte(d.buf[d.r+seen:d.w], '\n'); i >= 0 {
			line := d.buf[d.r : d.r+seen+i]
			d.r += seen + i + 1
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		seen = d.buffered()
		if seen > limit {
			return nil, errHeaderTooLarge
		}
		if err := b.fill(); err != nil {
			return nil, err
		}
	}
}

func (b *body) fill() error {
	err := b.d.fill(max(maxTrailer, bodyBuffer))
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readAll reads the whole body of at most limit bytes into memory of its own; see Recycle. A
// longer body is errBodyTooLarge, the rest of it unread.
func (b *body) readAll(limit int64) ([]byte, error) {
	if !b.q.chunked {
		if b.left > limit {
			return nil, errBodyTooLarge
		}
		p := makePayload(int(b.left))
		return p, b.readFull(p)
	}
	p := []byte{}
	for {
		err := b.chunk()
		if err == io.EOF {
			return p, nil
		}
		if err == nil && int64(len(p))+b.left > limit {
			err = errBodyTooLarge
		}
		if err != nil {
			Recycle(p)
			return nil, err
		}
		n := len(p)
		p = growPayload(p, int(b.left))
		if err := b.readFull(p[n:]); err != nil {
			Recycle(p)
			return nil, err
		}
	}
}

// readFull fills p with the next len(p) bytes of the body, or of the chunk in hand: first those
// that have arrived, then straight from the connection.
func (b *body) readFull(p []byte) error {
	n := copy(p, b.d.buf[b.d.r:b.d.w])
	b.d.r += n
	b.took(int64(len(p)))
	if n == len(p) {
		return nil
	}
	_, err := io.ReadFull(b.d.src, p[n:])
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// drain reads the rest of the body and drops it. More than maxDrain bytes are errBodyTooLarge.
func (b *body) drain() error {
	for total := 0; ; {
		p, err := b.piece()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if total += len(p); total > maxDrain {
			return errBodyTooLarge
		}
	}
}

// parseHex parses the size of a chunk.
func parseHex(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 15 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		n = n<<4 | int64(c)
	}
	return n, true
}
