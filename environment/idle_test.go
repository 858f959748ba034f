package environment

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/sandbox"
)

// An environment is frozen when it has been idle for a while, and only then.
func TestFreeze(t *testing.T) {
	bubble(t, echo, func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
		e.waitReady()
		for range 20 {
			time.Sleep(90 * time.Millisecond)
			e.call(`1`)
		}
		if got := s.done(); got != "settle" {
			t.Errorf("while busy: %s", got)
		}
		time.Sleep(150 * time.Millisecond)
		if got := s.done(); got != "settle freeze" {
			t.Errorf("idle: %s", got)
		}
		time.Sleep(time.Hour)
		e.call(`1`)
		time.Sleep(time.Hour)
		if got := s.done(); got != "settle freeze thaw freeze" {
			t.Errorf("an hour later: %s", got)
		}
	})
}

// The START line of an invocation that prints nothing is seen while it runs.
func TestStartVisible(t *testing.T) {
	bubble(t, serves(func(p *fakeProcess, r *fakeRuntime, event apiReply) {
		time.Sleep(2 * time.Second)
		r.post("invocation/"+event.id()+"/response", `1`)
	}), func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
		e.waitReady()
		go e.Invoke(e.invocation(`1`))
		time.Sleep(time.Second)
		checkLog(t, e, "START RequestId: ID1 Version: $LATEST\n")
		e.waitIdle()
	})
}

func TestGone(t *testing.T) {
	broken := errors.New("broken")
	synctest.Test(t, func(t *testing.T) {
		h, d := fakeHost(t, echo)
		d.failure = broken
		e := startFake(t, h, 3)
		if err := <-e.gone; !errors.Is(err, broken) {
			t.Error(err)
		}
		checkOutcome(t, e.Invoke(e.invocation(`1`)), "Sandbox.Failure",
			`{"errorType":"Sandbox.Failure","errorMessage":"RequestId: 00000000-0000-4000-8000-000000000001 Error: the execution environment is gone"}`)
		e.Close()
	})
	for _, when := range []string{"thaw", "restart"} {
		bubble(t, lives(serves(func(p *fakeProcess, r *fakeRuntime, event apiReply) {
			if when == "restart" {
				p.exit(sandbox.Exit{})
				return
			}
			r.post("invocation/"+event.id()+"/response", `1`)
		})), func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
			e.waitReady()
			e.call(`1`)
			time.Sleep(time.Second)
			s.mu.Lock()
			s.failNext = broken
			s.mu.Unlock()
			if o := e.Invoke(e.invocation(`1`)); o.ErrorType != "Sandbox.Failure" || o.FunctionError != unhandled {
				t.Errorf("%s: %+v", when, o)
			}
			if err := <-e.gone; !errors.Is(err, broken) {
				t.Error(err)
			}
			if o := e.Invoke(e.invocation(`1`)); o.ErrorType != "Sandbox.Failure" {
				t.Errorf("%s: %+v", when, o)
			}
			if len(e.gone) != 0 || len(e.ready) != 0 || len(e.idle) != 0 {
				t.Error("more events")
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		h, _ := fakeHost(t, echo)
		e := startSpec(t, h, Spec{Scope: testScope, Version: &lambda.Version{Runtime: "cobol85"}})
		var refusal *lambda.Error
		if err := <-e.gone; !errors.As(err, &refusal) || !strings.Contains(refusal.Message, "cobol85") {
			t.Error(err)
		}
		e.Close()
	})
}

func TestClose(t *testing.T) {
	when := map[string]func(t *testing.T, e *liveEnvironment){
		"booting": func(t *testing.T, e *liveEnvironment) {
			go func() {
				if o := e.Invoke(e.invocation(`1`)); o.ErrorType != "Sandbox.Failure" {
					t.Errorf("booting: %+v", o)
				}
			}()
			synctest.Wait()
		},
		"busy": func(t *testing.T, e *liveEnvironment) {
			e.waitReady()
			go func() {
				if o := e.Invoke(e.invocation(`1`)); o.ErrorType != "Sandbox.Failure" {
					t.Errorf("busy: %+v", o)
				}
			}()
			synctest.Wait()
		},
		"idle":   func(t *testing.T, e *liveEnvironment) { e.waitReady() },
		"frozen": func(t *testing.T, e *liveEnvironment) { e.waitReady(); time.Sleep(time.Second) },
		"failed": func(t *testing.T, e *liveEnvironment) { e.waitReady(); e.call(`1`) },
	}
	for name, prepare := range when {
		command := serves(func(p *fakeProcess, r *fakeRuntime, event apiReply) { <-p.ctx.Done() })
		if name == "booting" {
			command = hangs
		}
		bubble(t, command, func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
			prepare(t, e)
			for len(e.idle)+len(e.ready) > 0 {
				select {
				case <-e.idle:
				case <-e.ready:
				}
			}
			e.Close()
			e.Close()
			select {
			case <-s.closed:
			default:
				t.Errorf("%s: the sandbox is open", name)
			}
			if o := e.Invoke(e.invocation(`1`)); o.ErrorType != "Sandbox.Failure" {
				t.Errorf("%s: %+v", name, o)
			}
			time.Sleep(time.Hour)
			if len(e.idle)+len(e.ready)+len(e.gone) > 0 {
				t.Errorf("%s: an event after Close", name)
			}
		})
	}
}

// Invoke before Ready waits for the end of INIT.
func TestInvokeBeforeReady(t *testing.T) {
	bubble(t, func(p *fakeProcess) {
		time.Sleep(time.Second)
		echo(p)
	}, func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
		o, r := e.call(`1`)
		if string(o.Payload) != `1` || o.InitDuration != time.Second || r.Duration != 0 {
			t.Errorf("%+v %+v", o, r)
		}
	})
}

// A second invocation at the same time is refused, not mixed up.
func TestOneAtATime(t *testing.T) {
	bubble(t, serves(func(p *fakeProcess, r *fakeRuntime, event apiReply) {
		time.Sleep(time.Second)
		r.post("invocation/"+event.id()+"/response", `1`)
	}), func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
		e.waitReady()
		first := make(chan lambda.Outcome)
		go func() { first <- e.Invoke(e.invocation(`1`)) }()
		synctest.Wait()
		if o := e.Invoke(e.invocation(`2`)); o.ErrorType != "Sandbox.Failure" {
			t.Errorf("%+v", o)
		}
		if o := <-first; string(o.Payload) != `1` {
			t.Errorf("%+v", o)
		}
	})
}

// A process that ends while idle is started again by the next invocation.
func TestExitWhileIdle(t *testing.T) {
	bubble(t, lives(func(p *fakeProcess) {
		r := p.runtime()
		r.send(askNext)
		time.Sleep(10 * time.Millisecond)
		p.exit(sandbox.Exit{Code: 1})
	}, echo), func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
		e.waitReady()
		time.Sleep(50 * time.Millisecond)
		o, r := e.call(`1`)
		if string(o.Payload) != `1` || r.Status != Success {
			t.Errorf("%+v %+v", o, r)
		}
	})
}
