package environment

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/sandbox"
)

// bubble runs a test in virtual time with an environment of a function of 3 seconds.
func bubble(t *testing.T, command func(*fakeProcess), test func(t *testing.T, e *liveEnvironment, s *fakeSandbox)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h, d := fakeHost(t, command)
		e := startFake(t, h, 3)
		test(t, e, <-d.started)
		e.Close()
	})
}

// lives returns a command that behaves differently each time it is started.
func lives(commands ...func(*fakeProcess)) func(*fakeProcess) {
	n := 0
	return func(p *fakeProcess) {
		n++
		commands[min(n, len(commands))-1](p)
	}
}

// hangs is a command that never does anything.
func hangs(p *fakeProcess) { <-p.ctx.Done() }

// exits is a command that ends at once.
func exits(x sandbox.Exit) func(*fakeProcess) {
	return func(p *fakeProcess) { p.exit(x) }
}

// rejects is a command that reports an error of INIT and ends.
func rejects(body, errorType string) func(*fakeProcess) {
	return func(p *fakeProcess) {
		r := p.runtime()
		p.print("cannot start")
		r.post("init/error", body, "Lambda-Runtime-Function-Error-Type: "+errorType)
		p.exit(sandbox.Exit{Code: 1})
	}
}

// serves is a command that hands every event to handle.
func serves(handle func(p *fakeProcess, r *fakeRuntime, event apiReply)) func(*fakeProcess) {
	return func(p *fakeProcess) {
		r := p.runtime()
		for r != nil {
			event, err := r.next()
			if err != nil {
				return
			}
			handle(p, r, event)
		}
	}
}

// checkLog compares the log behind the INIT_START line, in which ID stands for the id of the
// invocation counted n.
func checkLog(t *testing.T, e *liveEnvironment, want string) {
	t.Helper()
	e.output.catchUp()
	synctest.Wait()
	_, got, _ := strings.Cut(e.logs.text(), "\n")
	got = strings.ReplaceAll(got, "00000000-0000-4000-8000-00000000000", "ID")
	if got != want {
		t.Errorf("log:\n%s\nwant:\n%s", got, want)
	}
}

func checkOutcome(t *testing.T, o lambda.Outcome, errorType, payload string) {
	t.Helper()
	if o.FunctionError != unhandled || o.ErrorType != errorType || string(o.Payload) != payload {
		t.Errorf("outcome %s %s %s, want %s %s", o.FunctionError, o.ErrorType, o.Payload, errorType, payload)
	}
}

// Billed Duration is Duration and Init Duration, rounded up (figures: AWS documentation).
func TestReport(t *testing.T) {
	bubble(t, func(p *fakeProcess) {
		time.Sleep(80 * time.Millisecond)
		serves(func(p *fakeProcess, r *fakeRuntime, event apiReply) {
			time.Sleep(133610 * time.Microsecond)
			r.post("invocation/"+event.id()+"/response", `{}`)
		})(p)
	}, func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
		if i := e.waitReady(); i != (Init{Duration: 80 * time.Millisecond}) {
			t.Errorf("%+v", i)
		}
		s.memory = 75<<20 + 1
		o, r := e.call(`{}`)
		if o.Duration != 133610*time.Microsecond || o.InitDuration != 80*time.Millisecond {
			t.Errorf("%+v", o)
		}
		want := Report{RequestID: "00000000-0000-4000-8000-000000000001", Duration: o.Duration, InitDuration: o.InitDuration, Billed: 214 * time.Millisecond, MaxMemoryMB: 76, Status: Success}
		if r != want {
			t.Errorf("%+v\n%+v", r, want)
		}
		s.memory = 60 << 20 // a peak does not fall
		o, _ = e.call(`{}`)
		if o.InitDuration != 0 {
			t.Errorf("%+v", o)
		}
		if got := s.done(); got != "settle" {
			t.Error(got)
		}
		checkLog(t, e, ""+
			"START RequestId: ID1 Version: $LATEST\n"+
			"END RequestId: ID1\n"+
			"REPORT RequestId: ID1\tDuration: 133.61 ms\tBilled Duration: 214 ms\tMemory Size: 128 MB\tMax Memory Used: 76 MB\tInit Duration: 80.00 ms\t\n"+
			"START RequestId: ID2 Version: $LATEST\n"+
			"END RequestId: ID2\n"+
			"REPORT RequestId: ID2\tDuration: 133.61 ms\tBilled Duration: 134 ms\tMemory Size: 128 MB\tMax Memory Used: 76 MB\t\n")
	})
}

// The answer reaches the caller when the runtime posts it; the invocation ends, and its
// duration with it, when the runtime asks for the next one.
func TestAnswerBeforeEnd(t *testing.T) {
	bubble(t, serves(func(p *fakeProcess, r *fakeRuntime, event apiReply) {
		time.Sleep(time.Second)
		r.post("invocation/"+event.id()+"/response", `1`)
		time.Sleep(time.Second)
	}), func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
		e.waitReady()
		start := time.Now()
		o := e.Invoke(e.invocation(`{}`))
		if d := time.Since(start); d != time.Second || o.Duration != time.Second {
			t.Errorf("answered after %v, %v", d, o.Duration)
		}
		r := e.waitIdle()
		if d := time.Since(start); d != 2*time.Second || r.Duration != d {
			t.Errorf("idle after %v, %v", d, r.Duration)
		}
	})
}

func TestFunctionTimeout(t *testing.T) {
	bubble(t, lives(serves(func(p *fakeProcess, r *fakeRuntime, event apiReply) {
		p.print("working")
		<-p.ctx.Done()
	}), echo), func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
		e.waitReady()
		start := time.Now()
		o, r := e.call(`{}`)
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("after %v", d)
		}
		checkOutcome(t, o, "Sandbox.Timedout",
			`{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 00000000-0000-4000-8000-000000000001 Error: Task timed out after 3.00 seconds"}`)
		if r.Status != Timeout || r.Duration != 3*time.Second || r.Billed != 3*time.Second {
			t.Errorf("%+v", r)
		}
		if o, _ := e.call(`"again"`); string(o.Payload) != `"again"` || o.InitDuration != 0 {
			t.Errorf("next invocation: %+v", o)
		}
		if got := s.done(); got != "settle freeze restart settle" {
			t.Error(got)
		}
		checkLog(t, e, ""+
			"START RequestId: ID1 Version: $LATEST\n"+
			"working\n"+
			"2000-01-01T00:00:03.000Z ID1 Task timed out after 3.00 seconds\n"+
			"END RequestId: ID1\n"+
			"REPORT RequestId: ID1\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB\tMax Memory Used: 0 MB\tStatus: timeout\n"+
			"START RequestId: ID2 Version: $LATEST\n"+
			"END RequestId: ID2\n"+
			"REPORT RequestId: ID2\tDuration: 0.00 ms\tBilled Duration: 0 ms\tMemory Size: 128 MB\tMax Memory Used: 0 MB\t\n")
	})
}

// A runtime that has answered but does not ask for the next invocation is stopped at the
// deadline; the caller has had its answer.
func TestTimeoutAfterAnswer(t *testing.T) {
	bubble(t, lives(serves(func(p *fakeProcess, r *fakeRuntime, event apiReply) {
		r.post("invocation/"+event.id()+"/response", `1`)
		<-p.ctx.Done()
	}), echo), func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
		e.waitReady()
		start := time.Now()
		if o := e.Invoke(e.invocation(`{}`)); string(o.Payload) != `1` || time.Since(start) != 0 {
			t.Errorf("%+v after %v", o, time.Since(start))
		}
		if r := e.waitIdle(); r.Status != Timeout || time.Since(start) != 3*time.Second {
			t.Errorf("%+v after %v", r, time.Since(start))
		}
		if o, _ := e.call(`2`); string(o.Payload) != `2` {
			t.Errorf("%+v", o)
		}
	})
}

// How a runtime ends during an invocation (concurrency: failure payloads).
func TestExit(t *testing.T) {
	tests := []struct {
		exit       sandbox.Exit
		text       string
		reportType string
	}{
		{sandbox.Exit{}, "Runtime exited without providing a reason", "Runtime.ExitError"},
		{sandbox.Exit{Code: 3}, "Runtime exited with error: exit status 3", "Runtime.ExitError"},
		{sandbox.Exit{Code: -1, Signal: "segmentation fault"}, "Runtime exited with error: signal: segmentation fault", "Runtime.ExitError"},
		{sandbox.Exit{Code: -1, Signal: "killed"}, "Runtime exited with error: signal: killed", "Runtime.ExitError"},
		{sandbox.Exit{Code: -1, Signal: "killed", OutOfMem: true}, "Runtime exited with error: signal: killed", "Runtime.OutOfMemory"},
	}
	for _, tt := range tests {
		memory := "1"
		if tt.exit.OutOfMem {
			memory = "128"
		}
		bubble(t, lives(serves(func(p *fakeProcess, r *fakeRuntime, event apiReply) {
			p.print("last words")
			p.exit(tt.exit)
		}), echo), func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
			e.waitReady()
			s.memory = 1 << 20
			o, r := e.call(`{}`)
			checkOutcome(t, o, "Runtime.ExitError",
				`{"errorType":"Runtime.ExitError","errorMessage":"RequestId: 00000000-0000-4000-8000-000000000001 Error: `+tt.text+`"}`)
			if r.Status != Failed || r.ErrorType != tt.reportType {
				t.Errorf("%+v", r)
			}
			checkLog(t, e, ""+
				"START RequestId: ID1 Version: $LATEST\n"+
				"last words\n"+
				"RequestId: ID1 Error: "+tt.text+"\n"+
				"Runtime.ExitError\n"+
				"END RequestId: ID1\n"+
				"REPORT RequestId: ID1\tDuration: 0.00 ms\tBilled Duration: 1 ms\tMemory Size: 128 MB\tMax Memory Used: "+memory+" MB\tStatus: error\tError Type: "+tt.reportType+"\n")
			if o, _ := e.call(`"again"`); string(o.Payload) != `"again"` {
				t.Errorf("next invocation: %+v", o)
			}
			if got := s.done(); got != "settle restart settle" {
				t.Error(got)
			}
		})
	}
}

// A runtime that answers and ends, as a Go function that panics does: the answer counts.
func TestExitAfterAnswer(t *testing.T) {
	bubble(t, lives(serves(func(p *fakeProcess, r *fakeRuntime, event apiReply) {
		r.send(postText("invocation/"+event.id()+"/error", `{"errorMessage":"x","errorType":"string"}`))
		p.exit(sandbox.Exit{Code: 1})
	}), echo), func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
		e.waitReady()
		o, r := e.call(`{}`)
		checkOutcome(t, o, "string", `{"errorMessage":"x","errorType":"string"}`)
		if r.Status != Failed || r.ErrorType != "Runtime.ExitError" {
			t.Errorf("%+v", r)
		}
		if o, _ := e.call(`1`); string(o.Payload) != `1` {
			t.Errorf("%+v", o)
		}
	})
}

// An error that the handler returns leaves the runtime alone.
func TestHandlerError(t *testing.T) {
	const body = `{"errorMessage": "boom", "errorType": "ValueError", "requestId": "x", "stackTrace": []}`
	bubble(t, serves(func(p *fakeProcess, r *fakeRuntime, event apiReply) {
		r.post("invocation/"+event.id()+"/error", body, "Lambda-Runtime-Function-Error-Type: ValueError")
	}), func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
		e.waitReady()
		for range 2 {
			o, r := e.call(`{}`)
			checkOutcome(t, o, "ValueError", body)
			if r.Status != Success || r.ErrorType != "" {
				t.Errorf("%+v", r)
			}
		}
		if got := s.done(); got != "settle" {
			t.Error(got)
		}
	})
}

// INIT that takes longer than 10 s is repeated inside the first invocation.
func TestInitTimeout(t *testing.T) {
	bubble(t, lives(hangs, func(p *fakeProcess) {
		time.Sleep(time.Second)
		echo(p)
	}), func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
		start := time.Now()
		i := e.waitReady()
		if d := time.Since(start); d != 10*time.Second || i.Duration != d || i.Err == nil || i.ErrorType != "" {
			t.Errorf("%+v after %v", i, d)
		}
		o, r := e.call(`1`)
		if string(o.Payload) != `1` || o.InitDuration != 0 || r.Duration != time.Second || r.Status != Success {
			t.Errorf("%+v %+v", o, r)
		}
		if got := s.done(); got != "freeze restart settle" {
			t.Error(got)
		}
		checkLog(t, e, ""+
			"INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout\n"+
			"START RequestId: ID1 Version: $LATEST\n"+
			"END RequestId: ID1\n"+
			"REPORT RequestId: ID1\tDuration: 1000.00 ms\tBilled Duration: 1000 ms\tMemory Size: 128 MB\tMax Memory Used: 0 MB\t\n")
	})
}

// INIT that never succeeds: the function's timeout ends the invocation that repeats it.
func TestInitTimeoutTwice(t *testing.T) {
	bubble(t, hangs, func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
		e.waitReady()
		for range 2 {
			o, r := e.call(`1`)
			if o.ErrorType != "Sandbox.Timedout" || r.Status != Timeout || r.Duration != 3*time.Second {
				t.Errorf("%+v %+v", o, r)
			}
		}
		if got := s.done(); got != "freeze restart freeze restart freeze" {
			t.Error(got)
		}
		checkLog(t, e, ""+
			"INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout\n"+
			"INIT_REPORT Init Duration: 3000.00 ms\tPhase: invoke\tStatus: timeout\n"+
			"START RequestId: ID1 Version: $LATEST\n"+
			"2000-01-01T00:00:13.000Z ID1 Task timed out after 3.00 seconds\n"+
			"END RequestId: ID1\n"+
			"REPORT RequestId: ID1\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB\tMax Memory Used: 0 MB\tStatus: timeout\n"+
			"INIT_REPORT Init Duration: 3000.00 ms\tPhase: invoke\tStatus: timeout\n"+
			"START RequestId: ID2 Version: $LATEST\n"+
			"2000-01-01T00:00:16.000Z ID2 Task timed out after 3.00 seconds\n"+
			"END RequestId: ID2\n"+
			"REPORT RequestId: ID2\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB\tMax Memory Used: 0 MB\tStatus: timeout\n")
	})
}

// An error of INIT that the runtime reports: the second one, inside the invocation, is the
// answer (log lines: recorded on AWS).
func TestInitError(t *testing.T) {
	const body = `{"errorMessage": "no module", "errorType": "Runtime.ImportModuleError", "requestId": "", "stackTrace": []}`
	tests := []struct{ given, reported string }{
		{"Runtime.ImportModuleError", "Runtime.ImportModuleError"},
		{"NameError", "Runtime.Unknown"},
		{"Function.", "Function.Unknown"},
		{"", "Runtime.Unknown"},
	}
	for _, tt := range tests {
		bubble(t, rejects(body, tt.given), func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
			i := e.waitReady()
			if i.Err == nil || i.ErrorType != tt.reported {
				t.Errorf("%+v", i)
			}
			for range 2 {
				o, r := e.call(`1`)
				checkOutcome(t, o, "Runtime.ImportModuleError", body)
				if r.Status != Failed || r.ErrorType != tt.reported {
					t.Errorf("%+v", r)
				}
			}
			if got := s.done(); got != "restart restart" {
				t.Error(got)
			}
			again := "cannot start\n" +
				"INIT_REPORT Init Duration: 0.00 ms\tPhase: invoke\tStatus: error\tError Type: " + tt.reported + "\n" +
				"START RequestId: ID0 Version: $LATEST\n" +
				"END RequestId: ID0\n" +
				"REPORT RequestId: ID0\tDuration: 0.00 ms\tBilled Duration: 1 ms\tMemory Size: 128 MB\tMax Memory Used: 0 MB\tStatus: error\tError Type: " + tt.reported + "\n"
			checkLog(t, e, ""+
				"cannot start\n"+
				"INIT_REPORT Init Duration: 0.00 ms\tPhase: init\tStatus: error\tError Type: "+tt.reported+"\n"+
				strings.ReplaceAll(again, "ID0", "ID1")+strings.ReplaceAll(again, "ID0", "ID2"))
		})
	}
}

// A runtime that ends during INIT.
func TestInitExit(t *testing.T) {
	bubble(t, exits(sandbox.Exit{Code: 1}), func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
		if i := e.waitReady(); i.Err == nil || i.ErrorType != "Runtime.ExitError" {
			t.Errorf("%+v", i)
		}
		o, r := e.call(`1`)
		checkOutcome(t, o, "Runtime.ExitError",
			`{"errorType":"Runtime.ExitError","errorMessage":"RequestId: 00000000-0000-4000-8000-000000000001 Error: Runtime exited with error: exit status 1"}`)
		if r.Status != Failed {
			t.Errorf("%+v", r)
		}
		checkLog(t, e, ""+
			"INIT_REPORT Init Duration: 0.00 ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError\n"+
			"INIT_REPORT Init Duration: 0.00 ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ExitError\n"+
			"START RequestId: ID1 Version: $LATEST\n"+
			"RequestId: ID1 Error: Runtime exited with error: exit status 1\n"+
			"Runtime.ExitError\n"+
			"END RequestId: ID1\n"+
			"REPORT RequestId: ID1\tDuration: 0.00 ms\tBilled Duration: 0 ms\tMemory Size: 128 MB\tMax Memory Used: 0 MB\tStatus: error\tError Type: Runtime.ExitError\n")
	})
}

func TestInvalidEntrypoint(t *testing.T) {
	const text = "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
	for _, errno := range []syscall.Errno{syscall.ENOENT, syscall.EACCES} {
		x := sandbox.Exit{Code: -1, Err: &os.PathError{Op: "fork/exec", Path: "/some/where", Err: errno}}
		bubble(t, exits(x), func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
			if i := e.waitReady(); i.ErrorType != "Runtime.InvalidEntrypoint" {
				t.Errorf("%+v", i)
			}
			o, r := e.call(`1`)
			checkOutcome(t, o, "Runtime.InvalidEntrypoint",
				`{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: 00000000-0000-4000-8000-000000000001 Error: `+text+`"}`)
			if r.Status != Failed || r.ErrorType != "Runtime.InvalidEntrypoint" {
				t.Errorf("%+v", r)
			}
		})
	}
}

// INIT for provisioned concurrency may take 130 s, is reported, and is not billed with an
// invocation.
func TestProvisioned(t *testing.T) {
	for _, takes := range []time.Duration{100 * time.Second, 200 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			h, d := fakeHost(t, func(p *fakeProcess) {
				select {
				case <-time.After(takes):
					echo(p)
				case <-p.ctx.Done():
				}
			})
			e := startSpec(t, h, Spec{Scope: testScope, Provisioned: true, Version: &lambda.Version{
				Number: "7", Runtime: "provided.al2023", TimeoutSec: 3, MemoryMB: 128,
			}})
			i := <-e.ready
			if takes > lambda.ProvisionedInitLimit {
				if i.Err == nil || i.Duration != lambda.ProvisionedInitLimit {
					t.Errorf("%+v", i)
				}
				checkLog(t, e, "INIT_REPORT Init Duration: 130000.00 ms\tPhase: init\tStatus: timeout\n")
				e.Close()
				return
			}
			if i != (Init{Duration: takes}) {
				t.Errorf("%+v", i)
			}
			o, r := e.call(`1`)
			if !o.Provisioned || o.Version != "7" || o.InitDuration != 0 || r.InitDuration != 0 || r.Billed != 0 {
				t.Errorf("%+v %+v", o, r)
			}
			if !strings.Contains(strings.Join((<-d.started).spec.Env, "\n"), "AWS_LAMBDA_INITIALIZATION_TYPE=provisioned-concurrency") {
				t.Error("wrong initialization type")
			}
			checkLog(t, e, ""+
				"INIT_REPORT Init Duration: 100000.00 ms\n"+
				"START RequestId: ID1 Version: 7\n"+
				"END RequestId: ID1\n"+
				"REPORT RequestId: ID1\tDuration: 0.00 ms\tBilled Duration: 0 ms\tMemory Size: 128 MB\tMax Memory Used: 0 MB\t\n")
			e.Close()
		})
	}
}
