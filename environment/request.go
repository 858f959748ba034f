package environment

import (
	"bytes"
	"errors"
	"io"
)

// Bounds of a request of the Runtime API, in bytes. A header may be large: runtimes put the
// cause of an error, up to 1 MiB of JSON, in Lambda-Runtime-Function-XRay-Error-Cause.
const (
	maxHeader    = 1<<20 + 64<<10 // request line and all headers
	maxChunkLine = 4 << 10        // size line of a chunk
	maxTrailer   = maxHeader
	readBuffer   = 4 << 10  // of an idle connection
	bodyBuffer   = 64 << 10 // largest that a connection keeps
)

// Errors of the reader. Each is answered with a status where the client can still be answered.
var (
	errHeaderTooLarge = errors.New("request header too large")
	errMalformed      = errors.New("malformed request")
	errVersion        = errors.New("unsupported HTTP version")
	errEncoding       = errors.New("unsupported transfer encoding")
)

// A reader reads HTTP/1.1 requests from a connection: the subset that clients of the Runtime
// API use, read strictly where sizes are concerned and leniently elsewhere.
type reader struct {
	src  io.Reader
	buf  []byte
	r, w int // buf[r:w] is unread
	base int // buf[:base] holds the header of the request in hand and stays as it is
}

// A request is a parsed header. Its slices point into the reader's buffer and are valid until
// the next call of next.
type request struct {
	method, target []byte
	errorType      []byte // Lambda-Runtime-Function-Error-Type
	responseMode   []byte // Lambda-Runtime-Function-Response-Mode
	invocationID   []byte // Lambda-Runtime-Invocation-Id
	length         int64  // of the body; meaningless if chunked
	hasLength      bool
	chunked        bool
	expect         bool // Expect: 100-continue
	close          bool // the connection ends with the answer

	trailerErrorType string // set when a chunked body has been read
	trailerErrorBody string
}

// buffered reports how many bytes have arrived that no one has read.
func (d *reader) buffered() int { return d.w - d.r }

// next reads the header of the next request. The body of the previous one must have been read.
// It returns io.EOF if the connection ended between two requests.
func (d *reader) next(q *request) error {
	*q = request{}
	d.base = 0
	if d.r == d.w {
		d.r, d.w = 0, 0
		if len(d.buf) > bodyBuffer { // a huge header has passed
			d.buf = make([]byte, readBuffer)
		}
	}
	d.skipEmptyLines()
	seen := 0
	for {
		if end := headerEnd(d.buf[d.r:d.w], seen); end > maxHeader {
			return errHeaderTooLarge
		} else if end >= 0 {
			head := d.buf[d.r : d.r+end]
			d.r += end
			d.base = d.r
			return q.parse(head)
		}
		seen = max(0, d.buffered()-3)
		if d.buffered() >= maxHeader {
			return errHeaderTooLarge
		}
		empty := d.buffered() == 0
		if err := d.fill(maxHeader); err != nil {
			if err == io.EOF && !empty {
				return io.ErrUnexpectedEOF
			}
			return err
		}
		if empty {
			d.skipEmptyLines()
		}
	}
}

// skipEmptyLines drops line ends in front of a request, which some clients leave behind a body.
func (d *reader) skipEmptyLines() {
	for d.r < d.w && (d.buf[d.r] == '\r' || d.buf[d.r] == '\n') {
		d.r++
	}
}

// fill reads once from the connection. The unread bytes may move to the front of the free
// space; the buffer doubles up to limit bytes when it is full.
func (d *reader) fill(limit int) error {
	if d.w == len(d.buf) {
		switch {
		case d.r > d.base:
			d.w = d.base + copy(d.buf[d.base:], d.buf[d.r:d.w])
			d.r = d.base
		default:
			grown := make([]byte, min(max(2*len(d.buf), readBuffer), d.base+limit+readBuffer))
			if len(grown) <= len(d.buf) {
				return errHeaderTooLarge
			}
			copy(grown, d.buf[:d.w])
			d.buf = grown
		}
	}
	n, err := d.src.Read(d.buf[d.w:])
	d.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// headerEnd returns the length of the header in b, its empty line included, or -1. The first
// from bytes are known not to hold its end.
func headerEnd(b []byte, from int) int {
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return -1
		}
		from += i + 1
		switch {
		case from < len(b) && b[from] == '\n':
			return from + 1
		case from+1 < len(b) && b[from] == '\r' && b[from+1] == '\n':
			return from + 2
		}
	}
}

// parse takes a header apart.
func (q *request) parse(head []byte) error {
	line, rest := cutLine(head)
	method, line, ok := bytes.Cut(line, []byte(" "))
	target, version, ok2 := bytes.Cut(line, []byte(" "))
	if !ok || !ok2 || len(method) == 0 || len(target) == 0 || bytes.IndexByte(version, ' ') >= 0 {
		return errMalformed
	}
	q.method, q.target = method, target
	var keep bool
	switch string(version) {
	case "HTTP/1.1":
		keep = true
	case "HTTP/1.0":
	default:
		return errVersion
	}
	for len(rest) > 0 {
		line, rest = cutLine(rest)
		if len(line) == 0 {
			break
		}
		name, value, ok := cutHeader(line)
		if !ok {
			return errMalformed
		}
		if err := q.header(name, value, &keep); err != nil {
			return err
		}
	}
	if q.chunked {
		q.length = 0 // RFC 9112, 6.3: Transfer-Encoding overrides Content-Length
	}
	q.close = !keep
	return nil
}

// header takes note of a header this server cares about.
func (q *request) header(name, value []byte, keep *bool) error {
	switch {
	case is(name, "content-length"):
		n, ok := parseDecimal(value)
		if !ok || q.hasLength && n != q.length {
			return errMalformed
		}
		q.length, q.hasLength = n, true
	case is(name, "transfer-encoding"):
		if is(value, "identity") {
			return nil
		}
		if q.chunked || !is(value, "chunked") {
			return errEncoding
		}
		q.chunked = true
	case is(name, "connection"):
		for token := range bytes.SplitSeq(value, []byte(",")) {
			switch token = bytes.TrimSpace(token); {
			case is(token, "close"):
				*keep = false
			case is(token, "keep-alive"):
				*keep = true
			}
		}
	case is(name, "expect"):
		q.expect = is(value, "100-continue")
	case is(name, "lambda-runtime-function-error-type"):
		q.errorType = value
	case is(name, "lambda-runtime-function-response-mode"):
		q.responseMode = value
	case is(name, "lambda-runtime-invocation-id"):
		q.invocationID = value
	}
	return nil
}

// cutLine returns the first line of b without its end, and what follows.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return b, nil
	}
	return bytes.TrimSuffix(b[:i], []byte("\r")), b[i+1:]
}

// cutHeader splits a header line. A name with white space in it, and so a folded line, is refused.
func cutHeader(line []byte) (name, value []byte, ok bool) {
	name, value, ok = bytes.Cut(line, []byte(":"))
	if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t") {
		return nil, nil, false
	}
	return name, bytes.Trim(value, " \t"), true
}

// is reports whether b equals an ASCII text of lower case, whatever its case.
func is(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// parseDecimal parses the digits of a length.
func parseDecimal(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
