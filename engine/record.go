package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/weir-run/weir/delivery"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

// A Target sends a message to a destination: durably, when it returns.
type Target func(ctx context.Context, arn string, m *Message) error

// A Message is what a destination or a dead-letter queue is sent.
type Message struct {
	Scope      lambda.Scope // of the sender
	Body       []byte
	Attributes []Attribute
	TraceID    string
	DedupID    string // the same for every repetition
}

// An Attribute is a message attribute; Type is String or Number.
type Attribute struct{ Name, Type, Value string }

// A record tells a destination how an asynchronous invocation ended. The order of its members
// is AWS's.
type record struct {
	Version        string `json:"version"`
	Timestamp      string `json:"timestamp"`
	RequestContext struct {
		RequestID              string `json:"requestId"`
		FunctionArn            string `json:"functionArn"`
		Condition              string `json:"condition"`
		ApproximateInvokeCount int    `json:"approximateInvokeCount"`
	} `json:"requestContext"`
	RequestPayload  json.RawMessage  `json:"requestPayload"`
	ResponseContext *responseContext `json:"responseContext,omitempty"`
	ResponsePayload json.RawMessage  `json:"responsePayload,omitempty"`
}

type responseContext struct {
	StatusCode      int    `json:"statusCode"`
	ExecutedVersion string `json:"executedVersion"`
	FunctionError   string `json:"functionError,omitempty"`
}

// recordTime is how a record prints its time.
const recordTime = "2006-01-02T15:04:05.000Z"

// newRecord describes the end of an event. The function's ARN is always qualified.
func newRecord(x delivery.Effect, end *ended, now time.Time) ([]byte, error) {
	e := end.event
	qualifier := e.Queue.Qualifier
	if qualifier == "" {
		qualifier = lambda.Latest
	}
	r := record{Version: "1.0", Timestamp: now.UTC().Format(recordTime), RequestPayload: e.Payload}
	r.RequestContext.RequestID = e.RequestID
	r.RequestContext.FunctionArn = e.Queue.Scope.FunctionARN(e.Queue.Function, qualifier)
	r.RequestContext.Condition = x.Condition.String()
	r.RequestContext.ApproximateInvokeCount = int(x.Failures)
	if x.Condition == delivery.Success {
		r.RequestContext.ApproximateInvokeCount++
	}
	if out := end.outcome; out != nil && x.Condition != delivery.ZeroReservedConcurrency {
		r.ResponseContext = &responseContext{200, out.Version, out.FunctionError}
		r.ResponsePayload = out.Payload
	}
	b, err := compactJSON(&r)
	if err != nil {
		return nil, fmt.Errorf("encode a destination's record: %w", err)
	}
	return b, nil
}

// dispose tells the destination and the dead-letter queue of an event's end. One that was
// told is not told again when the other fails.
func (a *async) dispose(x delivery.Effect, q store.EventQueue, end *ended) {
	if end.event == nil {
		a.persist("read an event", func() (err error) {
			end.event, err = a.events.Read(uint64(x.Event))
			return err
		})
		if end.event == nil {
			return // the engine is closing
		}
	}
	s := a.engine.opt.Store.Catalog().Snapshot()
	err := errors.Join(a.tellDestination(s, x, q, end), a.tellDeadLetter(s, x, q, end))
	if err != nil {
		if a.engine.ctx.Err() != nil {
			return
		}
		a.engine.opt.Logger.Error("destination", "function", q.Function, "requestId", end.event.RequestID, "condition", x.Condition.String(), "error", err)
	}
	a.step(delivery.Disposed(x.Event, err == nil))
}

func (a *async) tellDestination(s *store.Snapshot, x delivery.Effect, q store.EventQueue, end *ended) error {
	arn := destination(s, x, q)
	if arn == "" || end.told.destination {
		return nil
	}
	body, err := newRecord(x, end, time.Now())
	if err != nil {
		return err
	}
	err = a.engine.send(arn, &Message{Scope: q.Scope, Body: body, TraceID: end.traceID(), DedupID: "destination-" + end.event.RequestID})
	end.told.destination = err == nil
	return err
}

// undeliverableLocked counts who could not be told of an event's end.
func (a *async) undeliverableLocked(x delivery.Effect, q store.EventQueue) {
	end := a.mu.ended[x.Event]
	if end == nil {
		return
	}
	s := a.engine.opt.Store.Catalog().Snapshot()
	if deadLetter(s, q) != "" && x.Condition != delivery.Success && !end.told.deadLetter {
		a.engine.record(q.Scope, "DeadLetterErrors", metric.Count, q.Function, q.Qualifier, 1)
	}
	if destination(s, x, q) != "" && !end.told.destination {
		a.engine.record(q.Scope, "DestinationDeliveryFailures", metric.Count, q.Function, q.Qualifier, 1)
	}
}

// destination is the ARN of who is told of an event's end, or empty.
func destination(s *store.Snapshot, x delivery.Effect, q store.EventQueue) string {
	qualifier := q.Qualifier
	if qualifier == "" {
		qualifier = lambda.Latest
	}
	c, ok := store.EventInvokes.Get(s, q.Scope, store.QualifiedName(q.Function, qualifier))
	switch {
	case !ok:
		return ""
	case x.Condition == delivery.Success:
		return c.OnSuccess
	}
	return c.OnFailure
}

// tellDeadLetter sends the event alone, with what happened to it as attributes.
func (a *async) tellDeadLetter(s *store.Snapshot, x delivery.Effect, q store.EventQueue, end *ended) error {
	arn := deadLetter(s, q)
	if arn == "" || x.Condition == delivery.Success || end.told.deadLetter {
		return nil
	}
	code, text := 429, "Rate Exceeded."
	if end.outcome != nil {
		code, text = 200, errorMessage(end.outcome.Payload)
	}
	err := a.engine.send(arn, &Message{
		Scope: q.Scope, Body: end.event.Payload, TraceID: end.traceID(), DedupID: "dead-letter-" + end.event.RequestID,
		Attributes: []Attribute{
			{"RequestID", "String", end.event.RequestID},
			{"ErrorCode", "Number", strconv.Itoa(code)},
			{"ErrorMessage", "String", text},
		},
	})
	end.told.deadLetter = err == nil
	return err
}

// maxErrorMessage is how much of an error's text a dead-letter queue is told, in bytes.
const maxErrorMessage = 1 << 10

// errorMessage is the text of a function's error.
func errorMessage(payload []byte) string {
	var e struct{ ErrorMessage string }
	if json.Unmarshal(payload, &e) != nil || e.ErrorMessage == "" {
		return "Unhandled"
	}
	return strings.ToValidUTF8(e.ErrorMessage[:min(len(e.ErrorMessage), maxErrorMessage)], "")
}

// send delivers a message to the destination that an ARN names.
func (e *Engine) send(arn string, m *Message) error {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 {
		return fmt.Errorf("%q is no ARN", arn)
	}
	if parts[2] == "lambda" {
		return e.sendToFunction(arn, m)
	}
	target := e.opt.Targets[parts[2]]
	if target == nil {
		return fmt.Errorf("weir does not deliver to %s", arn)
	}
	return target(e.ctx, arn, m)
}

// sendToFunction invokes another function asynchronously with the message.
func (e *Engine) sendToFunction(arn string, m *Message) error {
	n, ok := lambda.ParseFunctionName(arn)
	if !ok {
		return fmt.Errorf("%q names no function", arn)
	}
	return e.Enqueue(e.ctx, &lambda.Invocation{
		Scope: lambda.Scope{Account: n.Account, Region: n.Region}, Function: n.Name, Qualifier: n.Qualifier,
		Type: lambda.Event, RequestID: uuid.NewString(), TraceID: m.TraceID, Payload: m.Body,
	})
}
