package environment

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"strconv"
	"time"
)

// A conn is one connection of a sandbox's processes to the Runtime API. Its goroutine reads the
// requests and writes the answers, but for the answer to GET next, which the goroutine inside
// Invoke writes: between the two, the connection is parked.
type conn struct {
	env   *Environment
	nc    net.Conn
	in    reader
	start int    // of which start of the command its client is
	owed  bool   // a 202 waits to be sent with what comes next; guarded by env.mu while parked
	out   []byte // scratch
}

const (
	apiPrefix        = "/2018-06-01/runtime/"
	nextTarget       = apiPrefix + "invocation/next"
	invocationPrefix = apiPrefix + "invocation/"
	initErrorTarget  = apiPrefix + "init/error"
	pipelinedNext    = "GET " + nextTarget + " HTTP/1.1\r\n"
)

// accept serves connections until the sandbox is closed.
func (e *Environment) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err == nil {
			e.serve(nc)
			continue
		}
		select {
		case <-e.done:
			return
		case <-time.After(10 * time.Millisecond): // out of file descriptors, or closed any moment
			e.log.Debug("accepting a connection to the Runtime API", "err", err)
		}
	}
}

// serve starts the goroutine of a connection.
func (e *Environment) serve(nc net.Conn) {
	c := &conn{env: e, nc: nc}
	c.in.src = nc
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.phase == closed || len(e.mu.conns) >= maxConns {
		nc.Close()
		return
	}
	c.start = e.mu.starts
	e.mu.conns[c] = struct{}{}
	e.workers.Go(c.run)
}

// run reads requests until the connection ends.
func (c *conn) run() {
	defer c.drop()
	var q request
	for {
		if err := c.in.next(&q); err != nil {
			c.refuse(err)
			return
		}
		if c.wasParked() || !c.handle(&q) {
			return
		}
	}
}

// wasParked reports whether the request in hand came while the answer to GET next was still
// to be written. No client has reason to send one; the connection is given up.
func (c *conn) wasParked() bool {
	c.env.mu.Lock()
	defer c.env.mu.Unlock()
	return c.env.mu.parked == c
}

// drop forgets the connection.
func (c *conn) drop() {
	c.nc.Close()
	e := c.env
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.mu.conns, c)
	if e.mu.parked == c {
		e.mu.parked = nil
	}
	if e.mu.run.to == c {
		e.mu.run.to = nil
	}
	if e.mu.drained != nil && len(e.mu.conns) == 0 {
		close(e.mu.drained)
		e.mu.drained = nil
	}
}

// closeConns ends every connection; their goroutines notice.
func (e *Environment) closeConns() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.mu.conns {
		c.nc.Close()
	}
}

// handle serves one request. It reports whether the connection goes on.
func (c *conn) handle(q *request) bool {
	if string(q.method) == "GET" && string(q.target) == nextTarget {
		return c.next(q)
	}
	if string(q.method) == "POST" && bytes.HasPrefix(q.target, []byte(invocationPrefix)) {
		id, what, ok := bytes.Cut(q.target[len(invocationPrefix):], []byte("/"))
		switch {
		case ok && string(what) == "response":
			return c.response(q, id, false)
		case ok && string(what) == "error":
			return c.response(q, id, true)
		}
	}
	return c.other(q)
}

// next serves GET next: it parks the connection, or says why not.
func (c *conn) next(q *request) bool {
	if !c.skip(q) {
		return false
	}
	answer := c.env.poll(c)
	if answer == nil {
		return true
	}
	if !c.payOwed() {
		return false
	}
	return c.send(q, answer)
}

// skip reads the body of a request that should have none.
func (c *conn) skip(q *request) bool {
	b := c.in.body(q)
	if b.done {
		return true
	}
	c.goOn(q)
	return b.drain() == nil
}

// goOn asks a client that waits for it to send the body.
func (c *conn) goOn(q *request) {
	if q.expect && c.in.buffered() == 0 {
		// If the client is gone, reading the body says so.
		_, _ = io.WriteString(c.nc, "HTTP/1.1 100 Continue\r\n\r\n")
	}
}

// accepted answers a POST with 202. If the client has sent its next GET along, it does not wait
// for the 202, which then goes out together with the next event.
func (c *conn) accepted(q *request) bool {
	if q.close {
		c.send(q, &apiAccepted)
		return false
	}
	rest := c.in.buf[c.in.r:c.in.w]
	if bytes.HasPrefix(rest, []byte(pipelinedNext)) && headerEnd(rest, 0) == len(rest) {
		c.owed = true
		return true
	}
	runtime.Gosched() // whoever waits for the function's answer goes first
	_, err := io.WriteString(c.nc, acceptedAnswer)
	return err == nil
}

// payOwed sends a 202 that was held back.
func (c *conn) payOwed() bool {
	if !c.owed {
		return true
	}
	c.owed = false
	_, err := io.WriteString(c.nc, acceptedAnswer)
	return err == nil
}

// send writes an answer. It reports whether the connection goes on.
func (c *conn) send(q *request, a *apiAnswer) bool {
	b := append(c.out[:0], "HTTP/1.1 "...)
	b = append(b, a.status...)
	b = append(b, "\r\nContent-Type: "...)
	b = append(b, a.contentType()...)
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(a.body)), 10)
	if q.close {
		b = append(b, "\r\nConnection: close"...)
	}
	b = append(b, "\r\n\r\n"...)
	b = append(b, a.body...)
	c.out = b
	_, err := c.nc.Write(b)
	return err == nil && !q.close
}

// refuse answers a request that could not be read, if there is someone to answer.
func (c *conn) refuse(err error) {
	var a apiAnswer
	switch err {
	case errHeaderTooLarge:
		a = apiError("431 Request Header Fields Too Large", "RequestHeaderTooLarge", err.Error())
	case errMalformed:
		a = apiError("400 Bad Request", "InvalidRequest", err.Error())
	case errVersion:
		a = apiError("505 HTTP Version Not Supported", "InvalidRequest", err.Error())
	case errEncoding:
		a = apiError("501 Not Implemented", "InvalidRequest", err.Error())
	default:
		return // the connection ended
	}
	if !c.wasParked() {
		c.send(&request{close: true}, &a)
	}
}
