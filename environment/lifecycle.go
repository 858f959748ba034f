package environment

import (
	"errors"
	"fmt"
	"time"

	"github.com/weir-run/weir/sandbox"
)

// poll serves a runtime's request for the next invocation. It parks the connection and returns
// nil, or returns what to answer at once.
func (e *Environment) poll(c *conn) *apiAnswer {
	e.mu.Lock()
	r := &e.mu.run
	switch {
	case c.start != e.mu.starts || e.mu.phase == gone || e.mu.phase == closed || r.ending && e.mu.phase == busy:
		e.mu.Unlock()
		return &apiGone
	case e.mu.process == stopped:
		defer e.mu.Unlock()
		return e.refuseLocked("Ready")
	case e.mu.process == starting:
		e.mu.Unlock()
		return e.endInit(c)
	case e.mu.phase == idle:
		if old := e.mu.parked; old != nil && old != c {
			old.nc.Close() // an abandoned poll: the newest counts
		}
		e.mu.parked = c
		e.mu.Unlock()
		return nil
	case r.responded:
		r.ending = true
		ended := *r
		e.mu.Unlock()
		e.finish(&ended, c, Success, "")
		return nil
	case !r.delivered || r.to == nil: // the connection that had the event is gone: once more
		r.delivered = false
		e.mu.parked = c
		e.rouseLocked()
		e.mu.Unlock()
		return nil
	}
	defer e.mu.Unlock()
	return e.refuseLocked("Ready")
}

// endInit ends INIT: the runtime asks for its first invocation.
func (e *Environment) endInit(c *conn) *apiAnswer {
	e.mu.Lock()
	took := time.Since(e.mu.initStart)
	booted := e.mu.phase == booting
	e.mu.Unlock()
	if err := e.sb.Settle(); err != nil {
		e.log.Error("limiting the CPU of an environment", "err", err)
	}
	e.output.catchUp() // what INIT printed stands before the first START
	if booted {
		e.stream.initReport(took, "init", Success, "")
	}
	e.mu.Lock()
	if e.mu.process != starting || c.start != e.mu.starts || e.mu.phase > busy {
		e.mu.Unlock()
		return &apiGone
	}
	e.mu.process = ready
	e.mu.parked = c
	if !booted { // inside an invocation, which has been waiting for this
		e.rouseLocked()
		e.mu.Unlock()
		return nil
	}
	e.leaveBootingLocked(idle)
	if !e.spec.Provisioned {
		e.mu.init = took
	}
	e.mu.Unlock()
	e.ready(Init{Duration: took})
	return nil
}

// ready announces the end of INIT.
func (e *Environment) ready(i Init) {
	if e.spec.Events.Ready != nil {
		e.spec.Events.Ready(e, i)
	}
}

// leaveBootingLocked ends the phase booting, for which Invoke waits.
func (e *Environment) leaveBootingLocked(p phase) {
	if e.mu.phase == booting {
		close(e.booted)
	}
	e.mu.phase = p
	if p == idle {
		e.arm(alarmFreeze, time.Now().Add(e.host.opt.FreezeAfter))
	}
}

// initFailed ends INIT without a runtime. The caller has set process to stopped.
func (e *Environment) initFailed(took time.Duration, status Status, errorType string, err error) {
	e.output.catchUp()
	e.stream.initReport(took, "init", status, errorType)
	e.mu.Lock()
	if e.mu.phase != booting {
		e.mu.Unlock()
		return
	}
	e.leaveBootingLocked(idle)
	e.mu.Unlock()
	e.ready(Init{Duration: took, Err: err, ErrorType: errorType})
}

// rejectInit takes the runtime's own report that its INIT failed. It returns what is left to do
// once the runtime has its answer, or the answer to a report that does not fit.
func (e *Environment) rejectInit(c *conn, errorType string, payload []byte) (rest func(), refusal *apiAnswer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.start != e.mu.starts || e.mu.process != starting {
		return nil, e.refuseLocked("InitError")
	}
	e.mu.process = stopped
	took := time.Since(e.mu.initStart)
	switch e.mu.phase {
	case booting:
		err := fmt.Errorf("INIT failed: %.1000s", payload)
		return func() { e.initFailed(took, Failed, errorType, err) }, nil
	case busy:
		f := failure{status: Failed, errorType: errorType, payload: payload, answer: payloadType(payload)}
		r := e.endRunLocked(&f)
		return func() { e.fail(&r, &f) }, nil
	}
	return nil, &apiGone
}

// watch takes note of every end of the command, but not while it is started again.
func (e *Environment) watch() {
	for {
		select {
		case x, ok := <-e.sb.Exited():
			if !ok {
				return
			}
			e.exited(x)
		case <-e.hold:
			select {
			case <-e.resume:
			case <-e.done:
				return
			}
		case <-e.done:
			return
		}
	}
}

// exited handles the end of the command. It is no news if the runtime had failed before.
func (e *Environment) exited(x sandbox.Exit) {
	e.mu.Lock()
	known, took := e.mu.process == stopped, time.Since(e.mu.initStart)
	e.mu.Unlock()
	if known {
		return
	}
	e.drainConns()
	x = e.wrapperExit(x)
	e.mu.Lock()
	if e.mu.process == stopped || e.mu.phase > busy {
		e.mu.Unlock()
		return
	}
	e.mu.process = stopped
	e.mu.parked = nil
	switch {
	case e.mu.phase == booting:
		e.mu.Unlock()
		errorType, text := e.describe(x)
		if x.OutOfMem {
			errorType = typeOutOfMemory
		}
		e.initFailed(took, Failed, errorType, errors.New(text))
	case e.mu.phase == busy && !e.mu.run.ending:
		f := e.ended(e.mu.run.requestID, x)
		r := e.endRunLocked(&f)
		e.mu.Unlock()
		e.fail(&r, &f)
	default:
		e.mu.Unlock()
	}
}

// drainConns waits until what an ended process had sent has been read: its connections end
// behind it. A child that holds one open is not waited for longer than exitDrain.
func (e *Environment) drainConns() {
	e.mu.Lock()
	if len(e.mu.conns) == 0 {
		e.mu.Unlock()
		return
	}
	drained := make(chan struct{})
	e.mu.drained = drained
	e.mu.Unlock()
	select {
	case <-drained:
	case <-e.done:
	case <-time.After(exitDrain):
		e.closeConns()
	}
}

// endRunLocked begins to end the invocation in progress by a failure: its caller gets the
// answer, unless the runtime has given one. The caller of endRunLocked goes on with fail.
func (e *Environment) endRunLocked(f *failure) run {
	r := &e.mu.run
	r.ending = true
	if !r.responded {
		o := e.outcome(f.payload, f.answer)
		o.Duration, o.InitDuration = time.Since(r.start), r.init
		if f.status == Timeout {
			o.Duration = e.limit
		}
		if r.tail {
			r.outcome = o
		} else {
			e.answerLocked(o)
		}
	}
	return *r
}

// fail writes the log of an invocation that ended by a failure, and ends it.
func (e *Environment) fail(r *run, f *failure) {
	e.output.catchUp()
	if r.suppressed && !r.started {
		e.mu.Lock()
		took := time.Since(e.mu.initStart)
		e.mu.Unlock()
		e.stream.initReport(took, "invoke", f.status, f.errorType)
	}
	if !r.started {
		e.stream.start(r.requestID, e.spec.Version.Number)
	}
	e.stream.fault(f.lines)
	e.finish(r, nil, f.status, f.errorType)
}

// finish ends an invocation: its last lines are written, then the environment is idle. c is the
// connection on which the runtime asked for the next one, or nil if the runtime is stopped.
// The caller has set ending.
func (e *Environment) finish(r *run, c *conn, status Status, errorType string) {
	e.output.catchUp()
	report := e.report(r, status, errorType)
	e.stream.end(&report, e.spec.Version.MemoryMB)
	if r.tail {
		r.outcome.LogTail = e.stream.takeTail()
	}
	e.mu.Lock()
	if r.tail {
		e.answerLocked(r.outcome)
	}
	if e.mu.phase != busy {
		e.mu.Unlock()
		return
	}
	e.mu.phase = idle
	e.mu.run = run{}
	e.mu.parked = c
	e.arm(alarmFreeze, time.Now().Add(e.host.opt.FreezeAfter))
	e.mu.Unlock()
	if e.spec.Events.Idle != nil {
		e.spec.Events.Idle(e, report)
	}
}

// report measures an invocation that ends now.
func (e *Environment) report(r *run, status Status, errorType string) Report {
	now := time.Now()
	d := now.Sub(r.start)
	if status == Timeout {
		d = e.limit
	}
	memory := e.maxMemory(now, r.attempt == 1 || r.tail || status != Success)
	mb := int((memory + 1<<20 - 1) >> 20)
	if errorType == typeOutOfMemory {
		mb = e.spec.Version.MemoryMB // the limit is what it reached for
	}
	return Report{
		RequestID:    r.requestID,
		Duration:     d,
		Billed:       billed(d + r.init),
		InitDuration: r.init,
		MaxMemoryMB:  mb,
		Status:       status,
		ErrorType:    errorType,
	}
}

// memoryAge is how old the peak memory in a REPORT line may be: reading it costs several
// microseconds, and a peak only grows.
const memoryAge = 100 * time.Millisecond

// maxMemory returns the peak memory of the environment in bytes.
func (e *Environment) maxMemory(now time.Time, exact bool) int64 {
	e.mu.Lock()
	known, at := e.mu.memory, e.mu.memoryAt
	e.mu.Unlock()
	if !exact && now.Sub(at) < memoryAge {
		return known
	}
	u, err := e.sb.Usage()
	if err != nil {
		e.log.Debug("reading the memory usage of an environment", "err", err)
		return known
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.memory, e.mu.memoryAt = max(known, u.MaxMemory), now
	return e.mu.memory
}
