package environment

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/weir-run/weir/lambda"
)

// maxStream is the size in bytes up to which an answer may be streamed.
const maxStream = 200 << 20

// An apiAnswer is an answer of the Runtime API.
type apiAnswer struct {
	status string // code and reason
	body   string
	plain  bool // text/plain, not JSON
}

func (a *apiAnswer) contentType() string {
	if a.plain {
		return "text/plain; charset=utf-8"
	}
	return "application/json"
}

const acceptedAnswer = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n" + `{"status":"OK"}`

// The answers of the Runtime API (texts: runtime interface emulator).
var (
	apiAccepted     = apiAnswer{status: "202 Accepted", body: `{"status":"OK"}`}
	apiPong         = apiAnswer{status: "200 OK", body: "pong", plain: true}
	apiInvalidID    = apiError("400 Bad Request", "InvalidRequestID", "Invalid request ID")
	apiInvalidMode  = apiError("400 Bad Request", "InvalidFunctionResponseMode", "Invalid function response mode")
	apiInvalidTry   = apiError("400 Bad Request", "InvalidInvocationId", "Invalid invocation ID")
	apiTruncated    = apiError("400 Bad Request", "TruncatedHTTPRequest", "HTTP request detected as truncated")
	apiTooLarge     = apiError("413 Request Entity Too Large", "RequestEntityTooLarge", tooLargeText)
	apiUnknownPath  = apiError("404 Not Found", "NotFound", "Unknown path")
	apiNoExtensions = apiError("501 Not Implemented", "Extension.NotSupported", "weir does not implement the Extensions API")
	apiNoTelemetry  = apiError("501 Not Implemented", "Telemetry.NotSupported", "weir does not implement the Telemetry API")
	apiNoSnapStart  = apiError("501 Not Implemented", "SnapStart.NotSupported", "weir does not implement SnapStart")
	apiGone         = apiError("500 Internal Server Error", "InternalServerError", "Internal Server Error")
)

var tooLargeText = fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", lambda.MaxSyncResponse)

// apiError returns an answer with an error's JSON.
func apiError(status, errorType, text string) apiAnswer {
	return apiAnswer{status: status, body: string(mustJSON(struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}{text, errorType}))}
}

// refuseLocked is the answer to a request that does not fit the runtime's state. The states are
// called as in the runtime interface emulator.
func (e *Environment) refuseLocked(to string) *apiAnswer {
	from := "Ready"
	switch r := &e.mu.run; {
	case e.mu.process == starting:
		from = "Started"
	case e.mu.process == stopped:
		from = "InitError"
	case r.responded || r.claimed:
		from = "RuntimeResponseSentState"
	case r.delivered:
		from = "Running"
	}
	a := apiError("403 Forbidden", "InvalidStateTransition",
		"State transition from "+from+" to "+to+" failed for runtime. Error: State transition is not allowed")
	return &a
}

// other serves everything but the two hot paths.
func (c *conn) other(q *request) bool {
	target := string(q.target)
	if i := strings.Index(target, "://"); i >= 0 && !strings.HasPrefix(target, "/") {
		_, target, _ = strings.Cut(target[i+3:], "/") // a client that takes us for a proxy
		target = "/" + target
	}
	path, _, query := strings.Cut(target, "?")
	if query || len(path) != len(q.target) { // in another form: once more
		q.target = []byte(path)
		return c.handle(q)
	}
	method := string(q.method)
	switch {
	case method == "POST" && path == initErrorTarget:
		return c.initError(q)
	case method == "GET" && (path == "/ping" || path == "/2018-06-01/ping"):
		return c.plainAnswer(q, &apiPong)
	case strings.HasPrefix(path, "/2020-01-01/extension/"):
		return c.plainAnswer(q, &apiNoExtensions)
	case path == "/2022-07-01/telemetry" || path == "/2020-08-15/logs":
		return c.plainAnswer(q, &apiNoTelemetry)
	case strings.HasPrefix(path, apiPrefix+"restore/"):
		return c.plainAnswer(q, &apiNoSnapStart)
	}
	return c.plainAnswer(q, &apiUnknownPath)
}

// plainAnswer answers a request whose body does not matter.
func (c *conn) plainAnswer(q *request, a *apiAnswer) bool {
	return c.skip(q) && c.payOwed() && c.send(q, a)
}

// initError serves POST init/error.
func (c *conn) initError(q *request) bool {
	b := c.in.body(q)
	c.goOn(q)
	errorType := reportedType(string(q.errorType))
	payload, err := b.readAll(lambda.MaxSyncResponse)
	if err != nil {
		return err == errBodyTooLarge && b.drain() == nil && c.send(q, &apiTooLarge)
	}
	failed, answer := c.env.rejectInit(c, errorType, payload)
	if answer != nil {
		return c.send(q, answer)
	}
	goesOn := c.send(q, &apiAccepted) // first: the process ends when it has this
	failed()
	return goesOn
}

// response serves POST {id}/response and {id}/error.
func (c *conn) response(q *request, id []byte, failed bool) bool {
	e := c.env
	streaming := string(q.responseMode) == "streaming"
	if answer := e.mayAnswer(c, id, q.invocationID, failed); answer != nil {
		return c.plainAnswer(q, answer)
	}
	if len(q.responseMode) > 0 && !streaming && !failed {
		e.answer(id, e.outcome(mustJSON(struct {
			Message string `json:"errorMessage"`
			Type    string `json:"errorType"`
		}{"Invalid function response mode", typeInvalidMode}), typeInvalidMode), failed)
		return c.plainAnswer(q, &apiInvalidMode)
	}
	b := c.in.body(q)
	c.goOn(q)
	// AWS's Go client does not say that it streams: it sends every answer in chunks.
	if (streaming || q.chunked) && !failed {
		if cl := e.claimStream(id); cl != nil {
			return c.streamBody(q, id, &b, cl)
		}
	}
	payload, err := b.readAll(lambda.MaxSyncResponse)
	if err == errBodyTooLarge {
		return c.tooLarge(q, id, &b, lambda.MaxSyncResponse)
	}
	if err != nil {
		c.refuse(err)
		return false // the runtime may try again; if it has ended, its exit is the answer
	}
	o := lambda.Outcome{Payload: payload, Version: e.spec.Version.Number, Provisioned: e.spec.Provisioned}
	switch {
	case failed:
		o.FunctionError, o.ErrorType = unhandled, payloadType(payload)
		if o.ErrorType == "" {
			o.ErrorType = string(q.errorType)
		}
	case q.trailerErrorType != "":
		o = e.streamError(q)
	}
	if answer := e.answer(id, o, failed); answer != nil {
		return c.send(q, answer)
	}
	return c.accepted(q)
}

// tooLarge ends an invocation whose answer exceeds a limit.
func (c *conn) tooLarge(q *request, id []byte, b *body, limit int64) bool {
	e := c.env
	e.answer(id, e.outcome(tooLargePayload(limit), typeTooLarge), false)
	if b.drain() != nil {
		q.close = true
	}
	return c.send(q, &apiTooLarge)
}

// streamError is the outcome of a stream that broke off: the trailer has the error.
func (e *Environment) streamError(q *request) lambda.Outcome {
	payload, err := base64.StdEncoding.DecodeString(q.trailerErrorBody)
	if err != nil || len(payload) == 0 {
		payload = mustJSON(struct {
			Type string `json:"errorType"`
		}{q.trailerErrorType})
	}
	return e.outcome(payload, q.trailerErrorType)
}

// streamBody passes a streamed answer on to the caller piece by piece.
func (c *conn) streamBody(q *request, id []byte, b *body, cl *call) bool {
	e := c.env
	for total := 0; ; {
		p, err := b.piece()
		if err == io.EOF {
			break
		}
		if err != nil {
			e.answer(id, e.outcome(mustJSON(struct {
				Message string `json:"errorMessage"`
				Type    string `json:"errorType"`
			}{"The response ended before it was complete", typeTruncated}), typeTruncated), false)
			if err == errMalformed {
				c.send(&request{close: true}, &apiTruncated)
			}
			return false
		}
		if total += len(p); total > maxStream {
			return c.tooLarge(q, id, b, maxStream)
		}
		if !e.pass(cl, p) {
			return false // the caller was answered otherwise: a timeout
		}
	}
	o := lambda.Outcome{Version: e.spec.Version.Number, Provisioned: e.spec.Provisioned}
	if q.trailerErrorType != "" {
		o = e.streamError(q)
	}
	if answer := e.answer(id, o, false); answer != nil {
		return c.send(q, answer)
	}
	return c.accepted(q)
}

// claimStream returns the call that wants the streamed answer of an invocation, or nil.
func (e *Environment) claimStream(id []byte) *call {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := &e.mu.run
	if r.requestID != string(id) || r.call == nil || r.call.sink == nil || r.responded {
		return nil
	}
	r.claimed = true
	return r.call
}

// pass hands a piece of a streamed answer to the caller and waits until it has been written.
// It reports false if the caller is gone.
func (e *Environment) pass(c *call, p []byte) bool {
	e.mu.Lock()
	if c.answered {
		e.mu.Unlock()
		return false
	}
	c.chunk = p
	c.rouse()
	e.mu.Unlock()
	select {
	case <-c.taken:
		return true
	case <-c.left:
		return false
	}
}

// passChunk writes a piece of a streamed answer to the caller's sink.
func (e *Environment) passChunk(c *call) {
	if !c.broken {
		_, err := c.sink.Write(c.chunk)
		c.broken = err != nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c.chunk = nil
	c.taken <- struct{}{}
}

// mayAnswer says what is wrong with an answer to invocation id, or nil.
func (e *Environment) mayAnswer(c *conn, id, invocation []byte, failed bool) *apiAnswer {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := &e.mu.run
	if e.mu.phase != busy || !r.delivered || c.start != e.mu.starts || r.requestID != string(id) {
		return &apiInvalidID
	}
	if len(invocation) > 0 {
		var buf [64]byte
		if !bytes.Equal(e.appendInvocationID(buf[:0], r.attempt), invocation) {
			return &apiInvalidTry
		}
	}
	if r.responded || r.claimed {
		return e.refuseLocked(answerState(failed))
	}
	return nil
}

// answer ends the wait for invocation id's answer.
func (e *Environment) answer(id []byte, o lambda.Outcome, failed bool) *apiAnswer {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	r := &e.mu.run
	switch {
	case e.mu.phase != busy || r.requestID != string(id) || r.ending:
		return &apiInvalidID
	case r.responded:
		return e.refuseLocked(answerState(failed))
	}
	r.responded = true
	o.Duration, o.InitDuration = now.Sub(r.start), r.init
	if r.tail {
		r.outcome = o
		return nil
	}
	e.answerLocked(o)
	return nil
}

func answerState(failed bool) string {
	if failed {
		return "InvocationErrorResponse"
	}
	return "InvocationResponse"
}
