package lambda

import (
	"encoding/json"
	"net/http"
	"time"

	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/lambda"
)

// enqueue serves an Invoke of the type Event: it answers when the event is durable.
func (s *Service) enqueue(c *wire.Call, inv *lambda.Invocation) error {
	if len(inv.Payload) > lambda.MaxEventRequest {
		return lambda.Errorf("RequestEntityTooLargeException", "Request must be smaller than %d bytes for the InvokeFunction operation", lambda.MaxEventRequest)
	}
	inv.ClientContext = "" // AWS gives it to synchronous invocations only
	if err := s.opt.Engine.Enqueue(c.Context(), inv); err != nil {
		return err
	}
	h := c.Header()
	h["X-Amzn-Remapped-Content-Length"] = zero
	h["X-Amzn-Trace-Id"] = []string{inv.TraceID}
	c.WriteHeader(http.StatusAccepted)
	return nil
}

// InvokeAsync is the Invoke of the type Event before there were types. It does not pass on
// the caller's trace.
func (s *Service) InvokeAsync(c *wire.Call, in *api.InvokeAsyncRequest) (*api.InvokeAsyncResponse, error) {
	t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
	if err != nil {
		return nil, err
	}
	inv := &lambda.Invocation{
		Scope: t.scope, Function: t.name, Qualifier: t.qualifier, Type: lambda.Event,
		RequestID: c.RequestID, TraceID: engine.NewTrace(time.Now()), Payload: in.InvokeArgs,
	}
	if len(inv.Payload) == 0 {
		inv.Payload = []byte("{}")
	} else if !json.Valid(inv.Payload) {
		return nil, userError("InvalidRequestContentException", "Could not parse request body into json: Could not parse payload into json: %s", parserDetail(inv.Payload))
	}
	if err := s.opt.Engine.Enqueue(c.Context(), inv); err != nil {
		return nil, err
	}
	return &api.InvokeAsyncResponse{Status: wire.Some(int32(http.StatusAccepted))}, nil
}
