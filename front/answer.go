package front

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// smallAnswer is up to how many bytes of a body are copied behind the head, so that one
	// plain write sends both. Larger ones go out by writev.
	smallAnswer = 16 << 10
	// keepBuffer is up to how many bytes a buffer is kept for the next answer.
	keepBuffer = 64 << 10
)

// An answer is the http.ResponseWriter of a short request. It holds what is written until that is
// all: as many bytes as Content-Length says, or when the handler has returned.
type answer struct {
	conn   *conn
	header http.Header

	status   int   // 0: not yet written
	declared int64 // by Content-Length; -1: not
	size     int64 // of the body, as far as it is written
	sent     bool
	err      error
	head     []byte // without its end
	body     []byte
}

func (a *answer) reset() {
	clear(a.header)
	if cap(a.head) > keepBuffer {
		a.head = nil
	}
	if cap(a.body) > keepBuffer {
		a.body = nil
	}
	*a = answer{conn: a.conn, header: a.header, declared: -1, head: a.head[:0], body: a.body[:0]}
}

// Header returns the fields of the answer, which WriteHeader fixes.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader fixes the status and the fields. Informational answers are not sent.
func (a *answer) WriteHeader(status int) {
	if a.status != 0 || status < 200 {
		return
	}
	a.status = status
	if v := a.header["Content-Length"]; len(v) > 0 {
		n, err := strconv.ParseUint(v[0], 10, 63)
		if err != nil {
			a.conn.server.logf("front: the handler's Content-Length is %q", v[0])
			delete(a.header, "Content-Length")
		} else {
			a.declared = int64(n)
		}
	}
	b := append(a.head, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(append(b, ' '), http.StatusText(status)...)
	for name, values := range a.header {
		for _, v := range values {
			b = append(append(append(b, "\r\n"...), name...), ": "...)
			b = appendValue(b, v)
		}
	}
	if a.header["Date"] == nil {
		b = append(append(b, "\r\nDate: "...), date()...)
	}
	if a.conn.server.closing.Load() {
		b = append(b, "\r\nConnection: close"...)
	}
	a.head = b
}

// appendValue appends a field's value, which no handler can end before its time.
func appendValue(b []byte, v string) []byte {
	if strings.ContainsAny(v, "\r\n") {
		v = strings.NewReplacer("\r", " ", "\n", " ").Replace(v)
	}
	return append(b, v...)
}

// Write adds to the body.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	switch {
	case a.status == http.StatusNoContent || a.status == http.StatusNotModified:
		return 0, http.ErrBodyNotAllowed
	case a.declared >= 0 && a.size+int64(len(p)) > a.declared:
		return 0, http.ErrContentLength
	}
	a.size += int64(len(p))
	if a.size == int64(len(p)) && a.size == a.declared {
		a.send(p)
		return len(p), a.err
	}
	a.body = append(a.body, p...)
	return len(p), nil
}

// finish sends what is not sent yet. It reports whether the connection can go on.
func (a *answer) finish() bool {
	a.WriteHeader(http.StatusOK)
	if !a.sent {
		a.send(a.body)
	}
	return a.err == nil && (a.declared < 0 || a.declared == a.size)
}

func (a *answer) send(body []byte) {
	a.sent = true
	b := a.head
	if a.header["Content-Type"] == nil && len(body) > 0 {
		b = append(append(b, "\r\nContent-Type: "...), http.DetectContentType(body)...)
	}
	if a.declared < 0 && a.status != http.StatusNoContent && a.status != http.StatusNotModified {
		b = append(b, "\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(body)), 10)
	}
	b = append(b, "\r\n\r\n"...)
	if len(body) > smallAnswer {
		_, a.err = (&net.Buffers{b, body}).WriteTo(a.conn.nc)
	} else {
		b = append(b, body...)
		_, a.err = a.conn.nc.Write(b)
	}
	a.head = b
}

// A stamp is a text of the field Date.
type stamp struct {
	second int64
	text   string
}

var lastDate atomic.Pointer[stamp]

// date returns the time as the field Date has it.
func date() string {
	now := time.Now()
	s := lastDate.Load()
	if s == nil || s.second != now.Unix() {
		s = &stamp{now.Unix(), now.UTC().Format(http.TimeFormat)}
		lastDate.Store(s)
	}
	return s.text
}
