package environment

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-run/weir/lambda"
)

// script runs a runtime that is a script of requests, in a bubble, until it returns.
func script(t *testing.T, runtime func(t *testing.T, p *fakeProcess), test func(t *testing.T, e *liveEnvironment)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h, _ := fakeHost(t, func(p *fakeProcess) { runtime(t, p) })
		e := startFake(t, h, 3)
		test(t, e)
		e.Close()
	})
}

// expect checks an answer of the Runtime API.
func expect(t *testing.T, what string, got apiReply, err error, status int, body string) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if got.status != status || got.body != body {
		t.Errorf("%s:\n got %d %s\nwant %d %s", what, got.status, got.body, status, body)
	}
}

const okBody = `{"status":"OK"}`

func TestNextHeaders(t *testing.T) {
	events := make(chan apiReply, 1)
	script(t, func(t *testing.T, p *fakeProcess) {
		r := p.runtime()
		event, err := r.next()
		if err != nil {
			return
		}
		events <- event
		got, err := r.post("invocation/"+event.id()+"/response", `{}`)
		expect(t, "response", got, err, 202, okBody)
		r.next()
	}, func(t *testing.T, e *liveEnvironment) {
		e.waitReady()
		inv := e.invocation(`{"k":"v"}`)
		inv.Qualifier = "live"
		inv.ClientContext = "{\"a\":\r\n1}"
		deadline := time.Now().Add(3 * time.Second).UnixMilli()
		e.Invoke(inv)
		e.waitIdle()
		event := <-events
		if event.status != 200 || event.body != `{"k":"v"}` {
			t.Errorf("event %d %s", event.status, event.body)
		}
		for name, want := range map[string]string{
			"Content-Type":                        "application/json",
			"Content-Length":                      "9",
			"Lambda-Runtime-Aws-Request-Id":       inv.RequestID,
			"Lambda-Runtime-Deadline-Ms":          fmt.Sprint(deadline),
			"Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:123456789012:function:fn:live",
			"Lambda-Runtime-Trace-Id":             inv.TraceID,
			"Lambda-Runtime-Client-Context":       `{"a":  1}`,
			"Lambda-Runtime-Invocation-Id":        e.id + "-1",
		} {
			if got := event.header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
			event.header.Del(name)
		}
		if len(event.header) != 0 {
			t.Errorf("more headers: %v", event.header)
		}
	})
}

// The invoked ARN carries the caller's qualifier and nothing else; a missing trace id or client
// context is a missing header.
func TestNextHeadersLeftOut(t *testing.T) {
	events := make(chan apiReply, 1)
	script(t, func(t *testing.T, p *fakeProcess) {
		r := p.runtime()
		event, err := r.next()
		if err != nil {
			return
		}
		events <- event
		r.post("invocation/"+event.id()+"/response", `{}`)
		r.next()
	}, func(t *testing.T, e *liveEnvironment) {
		e.waitReady()
		inv := e.invocation(``)
		inv.TraceID = ""
		e.Invoke(inv)
		e.waitIdle()
		event := <-events
		if arn := event.header.Get("Lambda-Runtime-Invoked-Function-Arn"); arn != "arn:aws:lambda:us-east-1:123456789012:function:fn" {
			t.Error(arn)
		}
		for _, name := range []string{"Lambda-Runtime-Trace-Id", "Lambda-Runtime-Client-Context"} {
			if _, ok := event.header[name]; ok {
				t.Errorf("%s is there", name)
			}
		}
	})
}

func TestStateErrors(t *testing.T) {
	const (
		invalidID    = `{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}`
		invalidTry   = `{"errorMessage":"Invalid invocation ID","errorType":"InvalidInvocationId"}`
		invalidMode  = `{"errorMessage":"Invalid function response mode","errorType":"InvalidFunctionResponseMode"}`
		sentResponse = `{"errorMessage":"State transition from RuntimeResponseSentState to InvocationResponse failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}`
		sentError    = `{"errorMessage":"State transition from RuntimeResponseSentState to InvocationErrorResponse failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}`
		busyNext     = `{"errorMessage":"State transition from Running to Ready failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}`
		lateInit     = `{"errorMessage":"State transition from Running to InitError failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}`
	)
	script(t, func(t *testing.T, p *fakeProcess) {
		r := p.runtime()
		got, err := r.post("invocation/00000000-0000-4000-8000-000000000001/response", `1`)
		expect(t, "response in INIT", got, err, 400, invalidID)
		event, err := r.next()
		if err != nil {
			return
		}
		path := "invocation/" + event.id() + "/"
		got, err = r.next()
		expect(t, "next while busy", got, err, 403, busyNext)
		other := p.runtime()
		got, err = other.next()
		expect(t, "next while busy, other connection", got, err, 403, busyNext)
		got, err = r.post("invocation/other/response", `1`)
		expect(t, "wrong id", got, err, 400, invalidID)
		got, err = r.post("init/error", `{}`)
		expect(t, "init error when ready", got, err, 403, lateInit)
		got, err = r.post(path+"response", `1`, "Lambda-Runtime-Invocation-Id: x")
		expect(t, "wrong attempt", got, err, 400, invalidTry)
		got, err = other.post(path+"response", `"answer"`, "lambda-runtime-invocation-id: "+event.header.Get("Lambda-Runtime-Invocation-Id"))
		expect(t, "response", got, err, 202, okBody)
		got, err = r.post(path+"response", `2`)
		expect(t, "second response", got, err, 403, sentResponse)
		got, err = r.post(path+"error", `{}`)
		expect(t, "error after response", got, err, 403, sentError)
		event, err = r.next()
		if err != nil {
			return
		}
		got, err = r.post(path+"response", `3`)
		expect(t, "response to the one before", got, err, 400, invalidID)
		got, err = r.post("invocation/"+event.id()+"/response", `4`, "Lambda-Runtime-Function-Response-Mode: shouting")
		expect(t, "unknown response mode", got, err, 400, invalidMode)
		r.next()
	}, func(t *testing.T, e *liveEnvironment) {
		e.waitReady()
		o, _ := e.call(`{}`)
		if string(o.Payload) != `"answer"` {
			t.Errorf("answer %s", o.Payload)
		}
		o, _ = e.call(`{}`)
		if string(o.Payload) != `{"errorMessage":"Invalid function response mode","errorType":"Runtime.InvalidResponseModeHeader"}` || o.FunctionError != unhandled {
			t.Errorf("answer %+v %s", o, o.Payload)
		}
	})
}

// Forms of a request that clients send. %s is the path of the answer.
func TestRequestForms(t *testing.T) {
	tests := []struct {
		name    string
		request string
		want    string // the caller's answer
	}{
		{"content length", "POST /2018-06-01/runtime/%s HTTP/1.1\r\nContent-Length: 4\r\n\r\n\"cl\"", `"cl"`},
		{"empty body", "POST /2018-06-01/runtime/%s HTTP/1.1\r\nHost: x\r\n\r\n", ``},
		{"bare line feeds", "POST /2018-06-01/runtime/%s HTTP/1.1\nContent-Length: 4\n\n\"lf\"", `"lf"`},
		{"names in any case", "POST /2018-06-01/runtime/%s HTTP/1.1\r\ncONTENT-lENGTH:4\r\n\r\n\"an\"", `"an"`},
		{"chunked", "POST /2018-06-01/runtime/%s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\"ch\r\n4;ext=1\r\nunk\"\r\n0\r\n\r\n", `"chunk"`},
		{"chunked with trailer", "POST /2018-06-01/runtime/%s HTTP/1.1\r\nTransfer-Encoding: Chunked\r\nTrailer: X\r\n\r\nA\r\n\"trailer\" \r\n0\r\nX: y\r\n\r\n", `"trailer" `},
		{"chunked over content length", "POST /2018-06-01/runtime/%s HTTP/1.1\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\"\"\r\n0\r\n\r\n", `""`},
		{"query", "POST /2018-06-01/runtime/%s?a=b HTTP/1.1\r\nContent-Length: 4\r\n\r\n\"qu\"", `"qu"`},
		{"as to a proxy", "POST http://127.0.0.1:9001/2018-06-01/runtime/%s HTTP/1.1\r\nContent-Length: 4\r\n\r\n\"px\"", `"px"`},
		{"empty lines in front", "\r\n\r\nPOST /2018-06-01/runtime/%s HTTP/1.1\r\nContent-Length: 4\r\n\r\n\"el\"", `"el"`},
		{"1 MiB of error cause", "POST /2018-06-01/runtime/%s HTTP/1.1\r\nLambda-Runtime-Function-XRay-Error-Cause: " + strings.Repeat("c", 1<<20) + "\r\nContent-Length: 4\r\n\r\n\"hd\"", `"hd"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			script(t, func(t *testing.T, p *fakeProcess) {
				r := p.runtime()
				for range 2 { // the second one sees what the first one left behind
					event, err := r.next()
					if err != nil {
						return
					}
					r.raw(fmt.Sprintf(tt.request, "invocation/"+event.id()+"/response"))
					got, err := r.reply()
					expect(t, "answer", got, err, 202, okBody)
				}
				r.next()
			}, func(t *testing.T, e *liveEnvironment) {
				e.waitReady()
				for range 2 {
					if o, _ := e.call(`{}`); string(o.Payload) != tt.want {
						t.Errorf("caller got %s", o.Payload)
					}
				}
			})
		})
	}
}

func TestExpectContinue(t *testing.T) {
	script(t, func(t *testing.T, p *fakeProcess) {
		r := p.runtime()
		event, err := r.next()
		if err != nil {
			return
		}
		r.send("POST /2018-06-01/runtime/invocation/" + event.id() + "/response HTTP/1.1\nExpect: 100-continue\nContent-Length: 2\n\n")
		got, err := r.reply()
		expect(t, "expect", got, err, 100, "")
		r.raw("{}")
		got, err = r.reply()
		expect(t, "response", got, err, 202, okBody)
		r.next()
	}, func(t *testing.T, e *liveEnvironment) {
		e.waitReady()
		if o, _ := e.call(`{}`); string(o.Payload) != `{}` {
			t.Errorf("caller got %s", o.Payload)
		}
	})
}

// A client in the manner of curl opens a connection for each request, in HTTP/1.0 or with
// Connection: close.
func TestConnectionPerRequest(t *testing.T) {
	for _, form := range []string{"HTTP/1.0\n", "HTTP/1.1\nConnection: close\n"} {
		script(t, func(t *testing.T, p *fakeProcess) {
			for {
				r := p.runtime()
				r.send("GET /2018-06-01/runtime/invocation/next " + form + "\n")
				event, err := r.reply()
				if err != nil {
					return
				}
				r.c.Close()
				r = p.runtime()
				r.send("POST /2018-06-01/runtime/invocation/" + event.id() + "/response " + form + "Content-Length: 2\n\n[]")
				got, err := r.reply()
				expect(t, "response", got, err, 202, okBody)
				if got.header.Get("Connection") != "close" {
					t.Error("no Connection: close")
				}
				if _, err := r.r.ReadByte(); err == nil {
					t.Error("the connection stays open")
				}
			}
		}, func(t *testing.T, e *liveEnvironment) {
			e.waitReady()
			for range 3 {
				if o, _ := e.call(`{}`); string(o.Payload) != `[]` {
					t.Errorf("caller got %s", o.Payload)
				}
			}
		})
	}
}

// A runtime that sends its answer and the next GET at once gets the 202 with the next event,
// or, if none comes, before it is frozen.
func TestPipelining(t *testing.T) {
	replies := make(chan int, 100)
	script(t, func(t *testing.T, p *fakeProcess) {
		r := p.runtime()
		r.send(askNext)
		for {
			got, err := r.reply()
			if err != nil {
				return
			}
			replies <- got.status
			if got.status == 200 {
				r.send(postText("invocation/"+got.id()+"/response", `{}`) + askNext)
			}
		}
	}, func(t *testing.T, e *liveEnvironment) {
		e.waitReady()
		e.call(`{}`)
		synctest.Wait()
		if len(replies) != 1 {
			t.Errorf("%d replies: the 202 was not held back", len(replies))
		}
		e.call(`{}`)
		synctest.Wait()
		if len(replies) != 3 {
			t.Errorf("%d replies", len(replies))
		}
		time.Sleep(time.Second)
		if len(replies) != 4 {
			t.Errorf("%d replies: the 202 was not sent before the freeze", len(replies))
		}
		e.call(`{}`)
		for _, want := range []int{200, 202, 200, 202, 200} {
			if got := <-replies; got != want {
				t.Errorf("status %d, want %d", got, want)
			}
		}
	})
}

// An event that was lost with its connection is delivered again when the runtime asks again.
func TestLostConnection(t *testing.T) {
	script(t, func(t *testing.T, p *fakeProcess) {
		r := p.runtime()
		event, err := r.next()
		if err != nil {
			return
		}
		r.c.Close()
		time.Sleep(time.Millisecond)
		r = p.runtime()
		again, err := r.next()
		if err != nil || again.id() != event.id() || again.body != event.body {
			t.Errorf("second delivery: %v %v", again, err)
			return
		}
		got, err := r.post("invocation/"+again.id()+"/response", `"second"`)
		expect(t, "response", got, err, 202, okBody)
		r.next()
	}, func(t *testing.T, e *liveEnvironment) {
		e.waitReady()
		o, _ := e.call(`{}`)
		if string(o.Payload) != `"second"` {
			t.Errorf("caller got %s", o.Payload)
		}
		if n := strings.Count(string(o.LogTail), "START"); n != 1 {
			t.Errorf("%d START lines", n)
		}
	})
}

// A poll that was given up while nothing came is forgotten; an abandoned one that was not
// closed gives way to a newer one.
func TestRepeatedPoll(t *testing.T) {
	script(t, func(t *testing.T, p *fakeProcess) {
		gone := p.runtime()
		gone.send(askNext)
		time.Sleep(time.Millisecond)
		gone.c.Close()
		old := p.runtime()
		old.send(askNext)
		time.Sleep(time.Millisecond)
		r := p.runtime()
		event, err := r.next()
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := old.reply(); err == nil {
			t.Error("the abandoned poll was answered")
		}
		r.post("invocation/"+event.id()+"/response", `1`)
		r.next()
	}, func(t *testing.T, e *liveEnvironment) {
		e.waitReady()
		time.Sleep(10 * time.Millisecond)
		if o, _ := e.call(`{}`); string(o.Payload) != `1` {
			t.Errorf("caller got %s", o.Payload)
		}
	})
}

func TestTooLarge(t *testing.T) {
	const refusal = `{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}`
	const answer = `{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}`
	big := strings.Repeat("x", lambda.MaxSyncResponse+1)
	chunks := fmt.Sprintf("%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", 1<<20, big[:1<<20], len(big)-1<<20, big[1<<20:])
	script(t, func(t *testing.T, p *fakeProcess) {
		r := p.runtime()
		for i := range 3 {
			event, err := r.next()
			if err != nil {
				return
			}
			path := "invocation/" + event.id() + "/response"
			var got apiReply
			switch i {
			case 0:
				got, err = r.post(path, big)
			case 1:
				r.raw("POST /2018-06-01/runtime/" + path + " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
				got, err = r.reply()
			case 2:
				got, err = r.post(path, big[1:])
				expect(t, "largest", got, err, 202, okBody)
				continue
			}
			expect(t, "too large", got, err, 413, refusal)
		}
		r.next()
	}, func(t *testing.T, e *liveEnvironment) {
		e.waitReady()
		for range 2 {
			o, r := e.call(`{}`)
			if string(o.Payload) != answer || o.FunctionError != unhandled || o.ErrorType != typeTooLarge || r.Status != Success {
				t.Errorf("%s %+v", o.Payload, r)
			}
		}
		if o, _ := e.call(`{}`); len(o.Payload) != lambda.MaxSyncResponse || o.FunctionError != "" {
			t.Errorf("largest answer: %d bytes, %s", len(o.Payload), o.FunctionError)
		}
	})
}

func TestRefusedRequests(t *testing.T) {
	tests := []struct {
		request string
		status  int
		want    string
	}{
		{"GET /ping HTTP/1.1\n\n", 200, "pong"},
		{"GET /2018-06-01/ping HTTP/1.1\n\n", 200, "pong"},
		{"GET /elsewhere HTTP/1.1\n\n", 404, `{"errorMessage":"Unknown path","errorType":"NotFound"}`},
		{"POST /2020-01-01/extension/register HTTP/1.1\nContent-Length: 2\n\n{}", 501, `{"errorMessage":"weir does not implement the Extensions API","errorType":"Extension.NotSupported"}`},
		{"GET /2020-01-01/extension/event/next HTTP/1.1\n\n", 501, `{"errorMessage":"weir does not implement the Extensions API","errorType":"Extension.NotSupported"}`},
		{"PUT /2022-07-01/telemetry HTTP/1.1\nContent-Length: 2\n\n{}", 501, `{"errorMessage":"weir does not implement the Telemetry API","errorType":"Telemetry.NotSupported"}`},
		{"GET /2018-06-01/runtime/restore/next HTTP/1.1\n\n", 501, `{"errorMessage":"weir does not implement SnapStart","errorType":"SnapStart.NotSupported"}`},
		{"GET /ping\n\n", 400, `{"errorMessage":"malformed request","errorType":"InvalidRequest"}`},
		{"GET /ping HTTP/1.1\nno colon\n\n", 400, `{"errorMessage":"malformed request","errorType":"InvalidRequest"}`},
		{"GET /ping HTTP/1.1\nA: b\n folded\n\n", 400, `{"errorMessage":"malformed request","errorType":"InvalidRequest"}`},
		{"GET /ping HTTP/1.1\nContent-Length: 1\nContent-Length: 2\n\n", 400, `{"errorMessage":"malformed request","errorType":"InvalidRequest"}`},
		{"GET /ping HTTP/1.1\nContent-Length: -1\n\n", 400, `{"errorMessage":"malformed request","errorType":"InvalidRequest"}`},
		{"GET /ping HTTP/2.0\n\n", 505, `{"errorMessage":"unsupported HTTP version","errorType":"InvalidRequest"}`},
		{"GET /ping HTTP/1.1\nTransfer-Encoding: gzip\n\n", 501, `{"errorMessage":"unsupported transfer encoding","errorType":"InvalidRequest"}`},
		{"GET /ping HTTP/1.1\nX: " + strings.Repeat("x", maxHeader) + "\n\n", 431, `{"errorMessage":"request header too large","errorType":"RequestHeaderTooLarge"}`},
	}
	done := make(chan struct{})
	script(t, func(t *testing.T, p *fakeProcess) {
		defer close(done)
		for _, tt := range tests {
			r := p.runtime()
			r.send(tt.request)
			got, err := r.reply()
			expect(t, tt.request[:min(40, len(tt.request))], got, err, tt.status, tt.want)
			r.c.Close()
		}
	}, func(t *testing.T, e *liveEnvironment) { <-done })
}

// A streamed answer goes to the sink piece by piece, before it is complete.
func TestStream(t *testing.T) {
	var step chan struct{}
	head := "HTTP/1.1\nLambda-Runtime-Function-Response-Mode: streaming\nTransfer-Encoding: chunked\n" +
		"Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\n\n"
	script(t, func(t *testing.T, p *fakeProcess) {
		r := p.runtime()
		for i := range 4 {
			event, err := r.next()
			if err != nil {
				return
			}
			r.send("POST /2018-06-01/runtime/invocation/" + event.id() + "/response " + head + "5\nhello\n")
			if i < 2 {
				<-step
			}
			end := "0\n\n"
			if i%2 == 1 {
				end = "0\nLambda-Runtime-Function-Error-Type: Boom\nLambda-Runtime-Function-Error-Body: " +
					base64.StdEncoding.EncodeToString([]byte(`{"errorType":"Boom"}`)) + "\n\n"
			}
			r.send("6\n world\n" + end)
			got, err := r.reply()
			expect(t, "stream", got, err, 202, okBody)
		}
		r.next()
	}, func(t *testing.T, e *liveEnvironment) {
		e.waitReady()
		step = make(chan struct{})
		for i := range 2 {
			var s sink
			outcome := make(chan lambda.Outcome)
			go func() { outcome <- e.InvokeStream(e.invocation(`{}`), &s) }()
			synctest.Wait()
			if got := s.String(); got != "hello" {
				t.Errorf("%q before the end", got)
			}
			step <- struct{}{}
			o := <-outcome
			if got := s.String(); got != "hello world" {
				t.Errorf("%q", got)
			}
			switch {
			case i == 0 && (len(o.Payload) != 0 || o.FunctionError != ""):
				t.Errorf("%+v", o)
			case i == 1 && (string(o.Payload) != `{"errorType":"Boom"}` || o.FunctionError != unhandled || o.ErrorType != "Boom"):
				t.Errorf("%+v", o)
			}
			e.waitIdle()
		}
		// Invoke buffers what is streamed.
		if o, _ := e.call(`{}`); string(o.Payload) != "hello world" || o.FunctionError != "" {
			t.Errorf("%+v", o)
		}
		if o, _ := e.call(`{}`); string(o.Payload) != `{"errorType":"Boom"}` || o.FunctionError != unhandled {
			t.Errorf("%+v", o)
		}
	})
}

// A stream that takes longer than the function may is cut off; nothing is written to the sink
// after InvokeStream has returned.
func TestStreamTimesOut(t *testing.T) {
	script(t, func(t *testing.T, p *fakeProcess) {
		r := p.runtime()
		event, err := r.next()
		if err != nil {
			return
		}
		r.send("POST /2018-06-01/runtime/invocation/" + event.id() + "/response HTTP/1.1\n" +
			"Lambda-Runtime-Function-Response-Mode: streaming\nTransfer-Encoding: chunked\n\n5\nhello\n")
		<-p.ctx.Done()
	}, func(t *testing.T, e *liveEnvironment) {
		e.waitReady()
		var s sink
		o := e.InvokeStream(e.invocation(`{}`), &s)
		if s.String() != "hello" || o.ErrorType != typeTimedOut {
			t.Errorf("%q %+v", s.String(), o)
		}
		if r := e.waitIdle(); r.Status != Timeout {
			t.Errorf("%+v", r)
		}
	})
}
