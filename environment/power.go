package environment

import (
	"context"
	"fmt"
	"time"
)

// alarm is what the environment's one timer is set for.
type alarm uint8

const (
	noAlarm       alarm = iota
	alarmInit           // INIT takes too long
	alarmFlush          // START of a silent invocation should be seen; alarmDeadline follows
	alarmDeadline       // the invocation takes too long
	alarmFreeze         // idle for long enough
)

// arm sets the alarm. The timer is left alone if it fires earlier: it is set again then. So a
// busy environment sets its timer a few times a second, not twice per invocation. The caller
// holds mu.
func (e *Environment) arm(a alarm, at time.Time) {
	e.mu.alarm, e.mu.alarmAt = a, at
	if e.mu.timerAt.IsZero() || at.Before(e.mu.timerAt) {
		e.mu.timerAt = at
		e.timer.Reset(time.Until(at))
	}
}

// onAlarm runs when the timer fires.
func (e *Environment) onAlarm() {
	now := time.Now()
	e.mu.Lock()
	e.mu.timerAt = time.Time{}
	if e.mu.phase > busy || e.mu.alarm == noAlarm {
		e.mu.Unlock()
		return
	}
	a := e.mu.alarm
	e.mu.alarm = noAlarm
	if now.Before(e.mu.alarmAt) {
		e.arm(a, e.mu.alarmAt)
		e.mu.Unlock()
		return
	}
	e.workers.Add(1)
	defer e.workers.Done()
	switch {
	case a == alarmInit && e.mu.phase == booting && e.mu.process == starting:
		e.initTimedOut(now)
	case a == alarmFlush && e.mu.phase == busy:
		e.arm(alarmDeadline, e.mu.run.deadline)
		e.mu.Unlock()
		e.stream.flush()
	case a == alarmDeadline && e.mu.phase == busy && !e.mu.run.ending:
		e.runTimedOut(now)
	case a == alarmFreeze && e.mu.phase == idle:
		e.mu.Unlock()
		e.freeze()
	default:
		e.mu.Unlock()
	}
}

// initTimedOut ends an INIT that takes too long. The caller holds mu, which is released.
func (e *Environment) initTimedOut(now time.Time) {
	e.mu.process = stopped
	e.mu.parked = nil
	took := now.Sub(e.mu.initStart)
	e.mu.Unlock()
	e.halt()
	e.initFailed(took, Timeout, "", fmt.Errorf("INIT took longer than %v", e.initLimit()))
}

// runTimedOut ends an invocation that takes too long. The caller holds mu, which is released.
func (e *Environment) runTimedOut(now time.Time) {
	e.mu.process = stopped
	e.mu.parked = nil
	f := timedOut(e.mu.run.requestID, e.limit, now)
	r := e.endRunLocked(&f)
	e.mu.Unlock()
	e.halt()
	e.fail(&r, &f)
}

// halt stops a runtime that will be started again. It stays frozen until Restart kills it.
func (e *Environment) halt() {
	e.closeConns()
	e.power.Lock()
	defer e.power.Unlock()
	if err := e.sb.Freeze(); err != nil {
		e.log.Error("stopping a runtime", "err", err)
		return
	}
	e.setPower(frozen)
}

func (e *Environment) setPower(p power) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.power = p
}

// freeze stops the processes of an idle environment.
func (e *Environment) freeze() {
	e.power.Lock()
	defer e.power.Unlock()
	e.mu.Lock()
	if e.mu.phase != idle || e.mu.power != running {
		e.mu.Unlock()
		return
	}
	e.mu.power = freezing // from here on Invoke waits for the lock on power
	c := e.mu.parked
	owed := c != nil && c.owed
	if owed {
		c.owed = false
	}
	e.mu.Unlock()
	if owed {
		// If the client is gone its connection's goroutine finds out.
		_, _ = c.nc.Write([]byte(acceptedAnswer))
	}
	if err := e.sb.Freeze(); err != nil {
		e.log.Error("freezing an environment", "err", err)
		e.setPower(running)
		return
	}
	e.setPower(frozen)
}

// thaw lets the processes run on.
func (e *Environment) thaw() {
	err := e.thawLocked()
	if err != nil {
		e.lose(fmt.Errorf("thawing a sandbox: %w", err))
	}
}

func (e *Environment) thawLocked() error {
	e.power.Lock()
	defer e.power.Unlock()
	e.mu.Lock()
	p, ended := e.mu.power, e.mu.phase > busy
	e.mu.Unlock()
	if p == running || ended {
		return nil
	}
	if err := e.sb.Thaw(); err != nil {
		return err
	}
	e.setPower(running)
	return nil
}

// restart starts the runtime again, in the same sandbox. Meanwhile no exit is looked at: one
// that comes before is of the old run, one that comes after of the new.
func (e *Environment) restart() {
	select {
	case e.hold <- struct{}{}:
	case <-e.done:
		return
	}
	err := e.restartHeld()
	select {
	case e.resume <- struct{}{}:
	case <-e.done:
	}
	if err != nil {
		e.lose(fmt.Errorf("starting a runtime again: %w", err))
	}
}

func (e *Environment) restartHeld() error {
	e.closeConns()
	e.power.Lock()
	defer e.power.Unlock()
	e.mu.Lock()
	if e.mu.phase != busy || e.mu.run.ending { // closed, or timed out
		e.mu.Unlock()
		return nil
	}
	e.mu.process = starting
	e.mu.starts++
	e.mu.initStart = time.Now()
	e.mu.run.suppressed = true
	e.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	err := e.sb.Restart(ctx)
	e.setPower(running)
	return err
}
