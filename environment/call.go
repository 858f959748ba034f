package environment

import (
	"net"
	"strconv"
	"time"

	"github.com/weir-run/weir/lambda"
)

// smallPayload is the size in bytes up to which an event is copied behind its header, so that
// one plain write sends both. Larger ones go out by writev, uncopied.
const smallPayload = 8 << 10

// A call is the waiting side of an invocation: the goroutine inside Invoke. It is reused; the
// environment forgets it with the answer.
type call struct {
	inv  *lambda.Invocation
	sink lambda.Response // receives a streamed answer; nil: the answer is buffered
	wake chan struct{}   // 1-buffered: look again

	// Guarded by the environment's mu until answered is set; the caller's alone afterwards.
	answered bool
	outcome  lambda.Outcome
	chunk    []byte        // of a streamed answer, to be written to sink
	taken    chan struct{} // 1-buffered: chunk has been written
	left     chan struct{} // closed when the caller has gone; nil without sink

	broken   bool // sink has failed
	deadline time.Time
	attempt  uint64
	owed     bool // a 202 goes in front of the event
	again    bool // START has been written: the event is delivered a second time
	header   []byte
	parts    [2][]byte
	vector   net.Buffers
}

func newCall() any {
	return &call{wake: make(chan struct{}, 1), taken: make(chan struct{}, 1)}
}

// A task is what the goroutine inside Invoke does next.
type task uint8

const (
	waitTask    task = iota // for a wake
	returnTask              // the answer
	chunkTask               // pass a chunk on
	thawTask                // the sandbox
	restartTask             // the runtime
	deliverTask             // the event
)

// Invoke runs one invocation and returns its outcome as soon as the runtime has answered; with
// inv.LogTail, when the REPORT line has been written. The environment must be ready and idle:
// between Ready or Idle and the next Idle there is one Invoke.
//
// The outcome's payload is the caller's; see Recycle.
func (e *Environment) Invoke(inv *lambda.Invocation) lambda.Outcome {
	return e.invoke(inv, nil)
}

// InvokeStream is Invoke for an answer that the caller wants while it is produced. What a
// runtime streams is written to w, on the calling goroutine, and the outcome's payload is
// empty; if the stream breaks off with an error, the outcome has the error and its JSON. An
// answer that is not streamed is in the outcome as usual and nothing is written to w. An error
// of w does not disturb the function.
func (e *Environment) InvokeStream(inv *lambda.Invocation, w lambda.Response) lambda.Outcome {
	return e.invoke(inv, w)
}

func (e *Environment) invoke(inv *lambda.Invocation, w lambda.Response) lambda.Outcome {
	c := e.host.calls.Get().(*call)
	c.inv, c.sink = inv, w
	if w != nil {
		c.left = make(chan struct{})
	}
	<-e.booted
	if !e.begin(c) {
		c.outcome = e.sandboxFailure(inv.RequestID)
		return e.release(c)
	}
	for {
		do, to := e.look(c)
		switch do {
		case returnTask:
			return e.release(c)
		case chunkTask:
			e.passChunk(c)
		case thawTask:
			e.thaw()
		case restartTask:
			e.restart()
		case deliverTask:
			e.deliver(c, to)
		case waitTask:
			<-c.wake
		}
	}
}

// begin makes c's invocation the one in progress. It reports false if the environment cannot
// take it.
func (e *Environment) begin(c *call) bool {
	now := time.Now()
	if c.inv.LogTail {
		e.stream.startTail()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.phase != idle {
		return false
	}
	e.mu.phase = busy
	e.mu.attempts++
	c.deadline, c.attempt = now.Add(e.limit), e.mu.attempts
	e.mu.run = run{
		call:      c,
		requestID: c.inv.RequestID,
		attempt:   c.attempt,
		start:     now,
		deadline:  c.deadline,
		init:      e.mu.init,
		tail:      c.inv.LogTail,
	}
	e.mu.init = 0
	e.arm(alarmFlush, now.Add(startVisible)) // then the deadline
	return true
}

// look decides what the goroutine inside Invoke does next.
func (e *Environment) look(c *call) (task, *conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := &e.mu.run
	switch {
	case c.answered:
		return returnTask, nil
	case c.chunk != nil:
		return chunkTask, nil
	case e.mu.process == stopped && !r.ending:
		return restartTask, nil
	case e.mu.power != running && !r.ending:
		return thawTask, nil
	case e.mu.parked != nil && !r.delivered:
		to := e.mu.parked
		e.mu.parked = nil
		r.delivered, r.to = true, to
		c.owed, to.owed = to.owed, false
		c.again, r.started = r.started, true
		return deliverTask, to
	}
	return waitTask, nil
}

// answerLocked gives the waiting caller its outcome, if there is one.
func (e *Environment) answerLocked(o lambda.Outcome) {
	c := e.mu.run.call
	if c == nil {
		return
	}
	e.mu.run.call = nil
	c.outcome, c.answered = o, true
	c.rouse()
}

// rouseLocked makes the waiting caller look again, if there is one.
func (e *Environment) rouseLocked() {
	if e.mu.run.call != nil {
		e.mu.run.call.rouse()
	}
}

// rouse makes the caller look again.
func (c *call) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// release returns the outcome and puts the call away.
func (e *Environment) release(c *call) lambda.Outcome {
	o := c.outcome
	if c.left != nil {
		close(c.left)
		return o // a connection may still look at it
	}
	select {
	case <-c.wake:
	default:
	}
	if cap(c.header) > 4*smallPayload {
		c.header = nil
	}
	*c = call{wake: c.wake, taken: c.taken, header: c.header[:0]}
	e.host.calls.Put(c)
	return o
}

// deliver writes the event to the connection that waits for it.
func (e *Environment) deliver(c *call, to *conn) {
	if !c.again {
		e.stream.start(c.inv.RequestID, e.spec.Version.Number)
	}
	c.header = e.appendEvent(c.header[:0], c)
	var err error
	if len(c.inv.Payload) <= smallPayload {
		c.header = append(c.header, c.inv.Payload...)
		_, err = to.nc.Write(c.header)
	} else {
		c.parts = [2][]byte{c.header, c.inv.Payload}
		c.vector = c.parts[:]
		_, err = c.vector.WriteTo(to.nc)
	}
	if err != nil {
		to.nc.Close() // its goroutine notices; the next GET gets the event
	}
}

// appendEvent appends the header of the answer to GET next.
func (e *Environment) appendEvent(b []byte, c *call) []byte {
	inv := c.inv
	if c.owed {
		b = append(b, acceptedAnswer...)
	}
	b = append(b, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: "...)
	b = append(b, inv.RequestID...)
	b = append(b, "\r\nLambda-Runtime-Invocation-Id: "...)
	b = e.appendInvocationID(b, c.attempt)
	b = append(b, "\r\nLambda-Runtime-Deadline-Ms: "...)
	b = strconv.AppendInt(b, c.deadline.UnixMilli(), 10)
	b = append(b, "\r\nLambda-Runtime-Invoked-Function-Arn: "...)
	b = append(b, e.arn...)
	if inv.Qualifier != "" {
		b = append(b, ':')
		b = append(b, inv.Qualifier...)
	}
	if inv.TraceID != "" {
		b = appendValue(append(b, "\r\nLambda-Runtime-Trace-Id: "...), inv.TraceID)
	}
	if inv.ClientContext != "" {
		b = appendValue(append(b, "\r\nLambda-Runtime-Client-Context: "...), inv.ClientContext)
	}
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(inv.Payload)), 10)
	return append(b, "\r\n\r\n"...)
}

// appendInvocationID appends what names one attempt to run an invocation: retries of an event
// share the request id.
func (e *Environment) appendInvocationID(b []byte, attempt uint64) []byte {
	b = append(append(b, e.id...), '-')
	return strconv.AppendUint(b, attempt, 10)
}

// appendValue appends a header's value without the line ends it may hold.
func appendValue(b []byte, value string) []byte {
	for i := range len(value) {
		c := value[i]
		if c == '\r' || c == '\n' || c == 0 {
			c = ' '
		}
		b = append(b, c)
	}
	return b
}
