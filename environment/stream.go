package environment

import (
	"bytes"
	"math"
	"strconv"
	"sync"
	"time"
)

// Bounds of a log stream, in bytes where nothing else is said.
const (
	maxEvent    = 256 << 10 // one line of a function's output; a longer one is cut in several
	maxTail     = 4 << 10   // what X-Amz-Log-Type: Tail returns
	flushBuffer = 32 << 10  // what is held back at most
	keepBuffer  = 64 << 10  // what an environment keeps to use again
	keepMarks   = 256       // and how many marks
)

// A stream is the log stream of an environment: the platform's lines and the function's output,
// in the order in which they happened. Lines are held back for a moment: START goes out
// together with END and REPORT unless the function prints something or takes long.
type stream struct {
	mu struct {
		sync.Mutex
		out     func(time.Time, []byte) // nil: nobody takes it
		buf     []byte                  // whole events, not yet written
		marks   []mark                  // when they happened
		partial []byte                  // output without its line end
		tailing bool
		tail    []byte // the last events since tailing began, at least maxTail of them
	}
}

// A mark is where the events of one moment end.
type mark struct {
	end int
	at  time.Time
}

// attach sets where the stream is written; without, or with nil, everything is dropped.
func (s *stream) attach(out func(time.Time, []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.out = out
}

// line writes one line of the platform.
func (s *stream) line(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.event(append(append(s.mu.buf, text...), '\n'))
}

// event takes over buf, grown by whole events.
func (s *stream) event(buf []byte) {
	if s.mu.tailing {
		s.keep(buf[len(s.mu.buf):])
	}
	s.mu.buf = buf
	s.mu.marks = append(s.mu.marks, mark{len(buf), time.Now()})
	if len(buf) >= flushBuffer {
		s.flushLocked()
	}
}

// keep appends to the tail, which is cut to its last maxTail bytes once in a while.
func (s *stream) keep(p []byte) {
	if len(p) > maxTail {
		p = p[len(p)-maxTail:]
	}
	if len(s.mu.tail)+len(p) > 2*maxTail {
		s.mu.tail = append(s.mu.tail[:0], s.mu.tail[len(s.mu.tail)-maxTail:]...)
	}
	s.mu.tail = append(s.mu.tail, p...)
}

// startTail begins to collect the log tail of an invocation.
func (s *stream) startTail() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.tailing, s.mu.tail = true, s.mu.tail[:0]
}

// takeTail ends the collection and returns the last maxTail bytes.
func (s *stream) takeTail() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.tailing = false
	return bytes.Clone(s.mu.tail[max(0, len(s.mu.tail)-maxTail):])
}

// start writes the START line.
func (s *stream) start(requestID, version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := append(s.mu.buf, "START RequestId: "...)
	b = append(b, requestID...)
	b = append(b, " Version: "...)
	b = append(b, version...)
	s.event(append(b, '\n'))
}

// end writes the END and REPORT lines and everything held back.
func (s *stream) end(r *Report, memoryMB int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endPartial()
	b := append(s.mu.buf, "END RequestId: "...)
	b = append(b, r.RequestID...)
	b = append(b, "\nREPORT RequestId: "...)
	b = append(b, r.RequestID...)
	b = appendMillis(append(b, "\tDuration: "...), r.Duration)
	b = append(b, " ms\tBilled Duration: "...)
	b = strconv.AppendInt(b, r.Billed.Milliseconds(), 10)
	b = append(b, " ms\tMemory Size: "...)
	b = strconv.AppendInt(b, int64(memoryMB), 10)
	b = append(b, " MB\tMax Memory Used: "...)
	b = strconv.AppendInt(b, int64(r.MaxMemoryMB), 10)
	b = append(b, " MB\t"...)
	if r.InitDuration > 0 {
		b = appendMillis(append(b, "Init Duration: "...), r.InitDuration)
		b = append(b, " ms\t"...)
	}
	b = appendStatus(b, r.Status, r.ErrorType)
	s.event(append(b, '\n'))
	s.flushLocked()
}

// initReport writes the INIT_REPORT line. A success has neither phase nor status (AWS writes it
// for provisioned concurrency only).
func (s *stream) initReport(d time.Duration, phase string, status Status, errorType string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endPartial()
	b := appendMillis(append(s.mu.buf, "INIT_REPORT Init Duration: "...), d)
	b = append(b, " ms"...)
	if status != Success {
		b = append(append(b, "\tPhase: "...), phase...)
		b = appendStatus(append(b, '\t'), status, errorType)
	}
	s.event(append(b, '\n'))
	s.flushLocked()
}

// appendStatus appends how something failed.
func appendStatus(b []byte, status Status, errorType string) []byte {
	switch status {
	case Success:
		return b
	case Timeout:
		return append(b, "Status: timeout"...)
	}
	b = append(b, "Status: error"...)
	if errorType != "" {
		b = append(append(b, "\tError Type: "...), errorType...)
	}
	return b
}

// appendMillis appends a duration in milliseconds with two decimals.
func appendMillis(b []byte, d time.Duration) []byte {
	hundredths := (d + 5*time.Microsecond) / (10 * time.Microsecond)
	b = strconv.AppendInt(b, int64(hundredths/100), 10)
	return append(b, '.', byte('0'+hundredths/10%10), byte('0'+hundredths%10))
}

// billed is a duration as it is billed: in whole milliseconds, rounded up.
func billed(d time.Duration) time.Duration {
	return time.Duration(math.Ceil(float64(d)/float64(time.Millisecond))) * time.Millisecond
}

// output takes over what the function printed.
func (s *stream) output(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outputLocked(p)
}

func (s *stream) outputLocked(p []byte) {
	for len(p) > 0 {
		end := bytes.LastIndexByte(p, '\n') + 1
		if end == 0 {
			room := maxEvent - len(s.mu.partial)
			n := min(len(p), room)
			s.mu.partial = append(s.mu.partial, p[:n]...)
			if p = p[n:]; n == room {
				s.endPartial()
			}
			continue
		}
		b := append(s.mu.buf, s.mu.partial...)
		s.mu.partial = s.mu.partial[:0]
		s.event(append(b, p[:end]...))
		p = p[end:]
	}
}

// endPartial ends a line of output that has no line end yet.
func (s *stream) endPartial() {
	if len(s.mu.partial) == 0 {
		return
	}
	b := append(s.mu.buf, s.mu.partial...)
	s.mu.partial = s.mu.partial[:0]
	if cap(s.mu.partial) > keepBuffer {
		s.mu.partial = nil
	}
	s.event(append(b, '\n'))
}

// flush writes what is held back.
func (s *stream) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushLocked()
}

func (s *stream) flushLocked() {
	if len(s.mu.buf) == 0 {
		return
	}
	if s.mu.out != nil {
		from := 0
		for _, m := range s.mu.marks {
			s.mu.out(m.at, s.mu.buf[from:m.end])
			from = m.end
		}
	}
	s.mu.marks = s.mu.marks[:0]
	if cap(s.mu.marks) > keepMarks {
		s.mu.marks = nil
	}
	s.mu.buf = s.mu.buf[:0]
	if cap(s.mu.buf) > keepBuffer {
		s.mu.buf = nil
	}
}

// close writes what is held back; what comes later is dropped.
func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endPartial()
	s.flushLocked()
	s.mu.out = nil
}
