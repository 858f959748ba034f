package front

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
)

// Where a connection is in its life, for Shutdown.
const (
	idle   int32 = iota // between requests
	active              // a request has begun to arrive
	closed
)

// A conn is a connection that is served here. Its goroutine reads one request after the other,
// calls the handler, and sends the answer.
type conn struct {
	server *Server
	nc     net.Conn
	remote string
	state  atomic.Int32

	buf  []byte
	r, w int // buf[r:w] is unread

	head    head
	request http.Request
	left    int64 // bytes of the body that are unread
	answer  answer
}

const firstBuffer = 4 << 10

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{server: s, nc: nc, remote: nc.RemoteAddr().String(), buf: make([]byte, firstBuffer)}
	c.head.header = make(http.Header)
	c.answer = answer{conn: c, header: make(http.Header)}
	return c
}

// run serves the connection until it ends or is handed over.
func (c *conn) run() {
	s := c.server
	switch handed, err := c.serve(); {
	case handed:
		// Shutdown has no hold on it between here and there, as on one not yet accepted.
		s.forget(c)
		s.others.give(&resumed{c.nc, bytes.Clone(c.buf[c.r:c.w])})
	default:
		if err != nil {
			s.logf("front: %s: %v", c.remote, err)
		}
		c.nc.Close()
		s.forget(c)
	}
}

// serve serves short requests. It reports whether one came that is not.
func (c *conn) serve() (handed bool, err error) {
	for first := true; ; first = false {
		size, err := c.arrive(first)
		switch {
		case err != nil:
			return false, nil // the client has gone, or Shutdown closed the connection
		case size == 0 || !c.parse(size):
			return true, nil
		}
		c.r += size
		if more, err := c.handle(); !more || err != nil {
			return false, err
		}
		c.state.Store(idle)
		if c.server.closing.Load() {
			return false, nil
		}
	}
}

// closeIdle closes the connection if no request is in progress.
func (c *conn) closeIdle() {
	if c.state.CompareAndSwap(idle, closed) {
		c.nc.Close()
	}
}

// arrive waits for a request and returns the size of its head, or 0 for one that is not to be
// served here. Time counts from the first bytes; on a new connection from its beginning.
func (c *conn) arrive(first bool) (size int, err error) {
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	timed := first && c.limit()
	least := 1
	if !first {
		least = 4 // fewer are no beginning of a request, net/http thinks
	}
	for c.w-c.r < least {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	if !c.state.CompareAndSwap(idle, active) {
		return 0, net.ErrClosed
	}
	for i := 0; !first && i < 4 && c.r < c.w && (c.buf[c.r] == '\r' || c.buf[c.r] == '\n'); i++ {
		c.r++ // some clients leave line ends behind a body
	}
	size, timed, err = c.awaitHead(timed)
	if timed {
		c.unlimit()
	}
	return size, err
}

// awaitHead is arrive when something is there. It reports whether a time is set for reading.
func (c *conn) awaitHead(timed bool) (size int, _ bool, err error) {
	for seen := 0; ; {
		if i := bytes.Index(c.buf[c.r+seen:c.w], []byte("\r\n\r\n")); i >= 0 {
			return seen + i + len("\r\n\r\n"), timed, nil
		}
		if !mayBeShort(c.buf[c.r:c.w]) {
			return 0, timed, nil
		}
		seen = max(0, c.w-c.r-3)
		timed = timed || c.limit()
		switch err := c.fill(); {
		case err == io.EOF:
			return 0, timed, nil // net/http has an answer to half a request
		case err != nil:
			return 0, timed, err
		}
	}
}

// mayBeShort reports whether what has arrived may be a part of the head of a short request.
func mayBeShort(b []byte) bool {
	const begin = "POST /"
	if len(b) >= maxHead || !strings.HasPrefix(begin, string(b[:min(len(b), len(begin))])) {
		return false
	}
	return bytes.Count(b, []byte("\n")) == bytes.Count(b, []byte("\r\n")) // some clients end lines with \n alone
}

// limit sets a time for what is to be read. It reports whether there is one.
func (c *conn) limit() bool {
	d := c.server.HTTP.ReadHeaderTimeout
	if d > 0 {
		c.nc.SetReadDeadline(time.Now().Add(d))
	}
	return d > 0
}

func (c *conn) unlimit() { c.nc.SetReadDeadline(time.Time{}) }

// fill reads what has arrived, at least one byte, behind what is unread.
func (c *conn) fill() error {
	if c.w == len(c.buf) && c.r > 0 {
		c.r, c.w = 0, copy(c.buf, c.buf[c.r:c.w])
	}
	if c.w == len(c.buf) {
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	n, err := c.nc.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// parse makes a request of the head that is next. It reports false if it is not to be served here.
func (c *conn) parse(size int) bool {
	h := &c.head
	if !h.parse(string(c.buf[c.r:c.r+size]), c.server.Short) {
		return false
	}
	u, err := url.ParseRequestURI(h.target)
	if err != nil {
		return false
	}
	c.left = h.length
	c.request = http.Request{
		Method: http.MethodPost, URL: u, RequestURI: h.target,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h.header, Host: h.host, RemoteAddr: c.remote,
		Body: (*body)(c), ContentLength: h.length,
	}
	return true
}

// handle has the request served and the answer sent. It reports whether the connection goes on.
func (c *conn) handle() (more bool, err error) {
	c.answer.reset()
	defer func() {
		if v := recover(); v != nil {
			more, err = false, nil
			if e, ok := v.(error); !ok || !errors.Is(e, http.ErrAbortHandler) {
				c.server.logf("front: panic serving %s: %v\n%s", c.remote, v, debug.Stack())
			}
		}
	}()
	c.server.HTTP.Handler.ServeHTTP(&c.answer, &c.request)
	c.request = http.Request{}
	if !c.answer.finish() {
		return false, nil
	}
	if c.left > 0 {
		_, err = io.Copy(io.Discard, (*body)(c))
	}
	return err == nil, nil
}

// A body is the unread rest of a request's body.
type body conn

func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n := copy(p, b.buf[b.r:b.w])
	b.r += n
	var err error
	if n == 0 {
		if n, err = b.nc.Read(p); err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
	}
	b.left -= int64(n)
	return n, err
}

func (b *body) Close() error { return nil }
