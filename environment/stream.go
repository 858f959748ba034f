package environment

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weir-run/weir/lambda"
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
	json        *jsonLog // nil: the format is text
	initialized string   // the type of the environment's INIT

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
	if len(buf) == len(s.mu.buf) {
		return // of a level that is not logged
	}
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

// initStart writes the INIT_START line.
func (s *stream) initStart(r Runtime, scope lambda.Scope, v *lambda.Version) {
	if s.json == nil {
		s.line("INIT_START Runtime Version: " + r.initVersion() + "\tRuntime Version ARN: " + r.VersionARN(scope))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.event(s.json.appendEvent(s.mu.buf, lambda.LogInfo, "platform.initStart", initStartRecord{
		s.initialized, "init", r.initVersion(), r.VersionARN(scope), v.Function, v.Number,
	}))
}

// warn writes a warning about the environment.
func (s *stream) warn(text string) {
	if s.json == nil {
		s.line("WARN " + text)
		return
	}
	s.line(string(mustJSON(struct {
		Timestamp string          `json:"timestamp"`
		Level     lambda.LogLevel `json:"level"`
		Message   string          `json:"message"`
	}{time.Now().UTC().Format(jsonTime), lambda.LogWarn, text})))
}

// fault writes how an invocation failed.
func (s *stream) fault(lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.json != nil && len(lines) > 0 {
		s.endPartial()
		s.event(s.json.appendEvent(s.mu.buf, lambda.LogWarn, "platform.fault", strings.Join(lines, "\n")))
		return
	}
	for _, line := range lines {
		s.event(append(append(s.mu.buf, line...), '\n'))
	}
}

// start writes the START line.
func (s *stream) start(requestID, version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.json != nil {
		s.event(s.json.appendEvent(s.mu.buf, lambda.LogInfo, "platform.start", startRecord{requestID, version}))
		return
	}
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
	if s.json != nil {
		s.event(s.json.appendEnd(s.mu.buf, r, memoryMB))
		s.flushLocked()
		return
	}
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

// initReport writes the INIT_REPORT line. A success has neither phase nor status, and AWS writes
// it for provisioned concurrency only.
func (s *stream) initReport(d time.Duration, phase string, status Status, errorType string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.json != nil {
		s.endPartial()
		s.event(s.json.appendInit(s.mu.buf, initDoneRecord{s.initialized, phase, status, errorType}, d))
		s.flushLocked()
		return
	}
	if status == Success && s.initialized == onDemand {
		return
	}
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
		if s.json != nil {
			s.mu.partial = append(s.mu.partial, p[:end]...)
			s.endJSON()
		} else {
			b := append(s.mu.buf, s.mu.partial...)
			s.mu.partial = s.mu.partial[:0]
			s.event(append(b, p[:end]...))
		}
		p = p[end:]
	}
}

// endPartial ends a line of output that has no line end yet.
func (s *stream) endPartial() {
	if len(s.mu.partial) == 0 {
		return
	}
	if s.json != nil {
		s.mu.partial = append(s.mu.partial, '\n')
		s.endJSON()
		return
	}
	b := append(s.mu.buf, s.mu.partial...)
	s.mu.partial = s.mu.partial[:0]
	if cap(s.mu.partial) > keepBuffer {
		s.mu.partial = nil
	}
	s.event(append(b, '\n'))
}

// endJSON takes over the lines of output in partial, which end there.
func (s *stream) endJSON() {
	b := s.json.appendOutput(s.mu.buf, s.mu.partial)
	s.mu.partial = s.mu.partial[:0]
	if cap(s.mu.partial) > keepBuffer {
		s.mu.partial = nil
	}
	s.event(b)
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
