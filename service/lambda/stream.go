package lambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"

	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/environment"
	"github.com/weir-run/weir/lambda"
)

// InvokeWithResponseStream runs a function and sends what it answers while it produces it.
func (s *Service) InvokeWithResponseStream(c *wire.Call, in *api.InvokeWithResponseStreamRequest) (*api.InvokeWithResponseStreamResponse, error) {
	inv, err := s.invocation(c)
	if err != nil {
		return nil, err
	}
	if inv.Payload, err = payload(c); err != nil {
		return nil, err
	}
	if inv.Type != lambda.RequestResponse {
		return nil, invalid("weir does not support the InvocationType %s of InvokeWithResponseStream.", inv.Type)
	}
	g, err := s.opt.Engine.Admit(context.WithoutCancel(c.Context()), inv)
	if err != nil {
		return nil, s.refused(c, err)
	}
	if why := g.Cold(); why != "" {
		c.Header()["X-Weir-Reason"] = []string{"cold start: " + why}
	}
	return &api.InvokeWithResponseStreamResponse{
		ExecutedVersion:           wire.Some(g.Version()),
		ResponseStreamContentType: wire.Some("application/vnd.amazon.eventstream"),
		EventStream: func(send func(*api.InvokeWithResponseStreamResponseEvent) error) error {
			return stream(&g, send)
		},
	}, nil
}

// stream runs a granted invocation and sends its answer as events.
func stream(g *engine.Grant, send func(*api.InvokeWithResponseStreamResponseEvent) error) error {
	out := g.Run(chunks(send))
	done := &api.InvokeWithResponseStreamCompleteEvent{}
	if out.LogTail != nil {
		done.LogResult = wire.Some(base64.StdEncoding.EncodeToString(out.LogTail))
	}
	switch {
	case out.FunctionError != "":
		done.ErrorCode = wire.Some(out.FunctionError)
		done.ErrorDetails = wire.Some(details(out.Payload))
	case len(out.Payload) > 0:
		if _, err := chunks(send).Write(out.Payload); err != nil {
			return err
		}
	}
	environment.Recycle(out.Payload)
	return send(&api.InvokeWithResponseStreamResponseEvent{InvokeComplete: done})
}

// chunks sends what is written as events of a stream.
type chunks func(*api.InvokeWithResponseStreamResponseEvent) error

func (c chunks) Write(p []byte) (int, error) {
	update := &api.InvokeResponseStreamUpdate{Payload: bytes.Clone(p)}
	if err := c(&api.InvokeWithResponseStreamResponseEvent{PayloadChunk: update}); err != nil {
		return 0, err
	}
	return len(p), nil
}

// details is the message of a function's error, or all of it if it has none.
func details(payload []byte) string {
	var e struct{ ErrorMessage string }
	if json.Unmarshal(payload, &e) == nil && e.ErrorMessage != "" {
		return e.ErrorMessage
	}
	return string(payload)
}
