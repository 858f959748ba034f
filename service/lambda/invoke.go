package lambda

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/environment"
	"github.com/weir-run/weir/lambda"
)

// IsInvoke reports whether a POST to a target is an Invoke, which keeps nothing of its request and
// answers in one piece.
func IsInvoke(target string) bool {
	path, _, _ := strings.Cut(target, "?")
	return strings.HasPrefix(path, "/2015-03-31/functions/") && strings.HasSuffix(path, "/invocations")
}

// invoke serves Invoke by itself: it is the hot path, and its payload is the body.
func (s *Service) invoke(c *wire.Call) error {
	inv, err := s.invocation(c)
	if err != nil {
		return err
	}
	if inv.Payload, err = payload(c); err != nil {
		return err
	}
	switch inv.Type {
	case lambda.DryRun:
		return s.dryRun(c, inv)
	case lambda.Event:
		return s.enqueue(c, inv)
	}
	// The function runs on when the client goes away, as on AWS.
	g, err := s.opt.Engine.Admit(context.WithoutCancel(c.Context()), inv)
	if err != nil {
		return s.refused(c, err)
	}
	out := g.Run(nil)
	s.answer(c, inv, &out)
	environment.Recycle(out.Payload)
	return nil
}

// answer writes the outcome of an invocation.
func (s *Service) answer(c *wire.Call, inv *lambda.Invocation, out *lambda.Outcome) {
	h := c.Header()
	h["Content-Type"] = jsonType
	h["X-Amz-Executed-Version"] = []string{out.Version}
	h["X-Amzn-Remapped-Content-Length"] = zero
	h["X-Amzn-Trace-Id"] = []string{inv.TraceID}
	if out.FunctionError != "" {
		h["X-Amz-Function-Error"] = []string{out.FunctionError}
	}
	if out.LogTail != nil {
		h["X-Amz-Log-Result"] = []string{base64.StdEncoding.EncodeToString(out.LogTail)}
	}
	if out.Cold {
		h["X-Weir-Reason"] = []string{"cold start: " + out.Why}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(out.Payload))}
	c.WriteHeader(http.StatusOK)
	// An error means that the client is gone; there is nobody to tell.
	_, _ = c.Write(out.Payload)
}

var (
	jsonType = []string{"application/json"}
	zero     = []string{"0"}
)

// refused turns what the engine says of an invocation into AWS's error.
func (s *Service) refused(c *wire.Call, err error) error {
	var t *engine.Throttle
	if !errors.As(err, &t) {
		return err
	}
	c.Header()["X-Weir-Reason"] = []string{"throttled: " + t.Why}
	return userError(lambda.CodeTooManyRequests, "Rate Exceeded.").With("Reason", t.Reason.String())
}

// invocation reads what a request says about the invocation, its payload apart.
func (s *Service) invocation(c *wire.Call) (*lambda.Invocation, error) {
	name, err := c.Label(0)
	if err != nil {
		return nil, err
	}
	qualifier, hasQualifier := c.Query("Qualifier")
	h := c.HTTP.Header
	kind, logType, clientContext := first(h["X-Amz-Invocation-Type"]), first(h["X-Amz-Log-Type"]), first(h["X-Amz-Client-Context"])
	if err := check(name, qualifier, kind, logType); err != nil {
		return nil, err
	}
	for _, unsupported := range []string{"X-Amz-Durable-Execution-Name", "X-Amz-Tenant-Id"} {
		if len(h[unsupported]) > 0 {
			return nil, invalid("weir does not support the header %s.", unsupported)
		}
	}
	t, err := s.target(c, name, wire.Opt[string]{V: qualifier, OK: hasQualifier})
	if err != nil {
		return nil, err
	}
	inv := &lambda.Invocation{
		Scope: t.scope, Function: t.name, Qualifier: t.qualifier,
		Type:      lambda.RequestResponse,
		RequestID: c.RequestID,
		TraceID:   first(h["X-Amzn-Trace-Id"]),
		LogTail:   logType == "Tail",
		Roll:      rand.Float64(),
	}
	if inv.TraceID == "" {
		inv.TraceID = engine.NewTrace(time.Now())
	}
	if kind != "" {
		inv.Type = lambda.InvocationType(kind)
	}
	if clientContext != "" {
		if inv.ClientContext, err = decodeContext(clientContext); err != nil {
			return nil, err
		}
	}
	return inv, nil
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// check holds the parameters against the model's constraints, if anything about them is
// unusual: the usual ones are known to be right.
func check(name, qualifier, kind, logType string) error {
	_, ok := lambda.ParseFunctionName(name)
	usual := ok && len(name) <= 140 && len(qualifier) <= 128 &&
		(kind == "" || kind == string(lambda.RequestResponse) || kind == string(lambda.Event) || kind == string(lambda.DryRun)) &&
		(logType == "" || logType == "None" || logType == "Tail") &&
		(qualifier == "" || isPlainQualifier(qualifier))
	if usual {
		return nil
	}
	in := &api.InvocationRequest{FunctionName: wire.Some(name), InvocationType: given(kind), LogType: given(logType), Qualifier: given(qualifier)}
	if text := wire.Violations(in); text != "" {
		return &lambda.Error{Code: lambda.CodeValidation, Message: text}
	}
	return nil
}

func given(s string) wire.Opt[string] { return wire.Opt[string]{V: s, OK: s != ""} }

func isPlainQualifier(q string) bool {
	n, ok := lambda.ParseFunctionName("f:" + q)
	return ok && n.Qualifier == q
}

func decodeContext(text string) (string, error) {
	if len(text) > lambda.MaxClientContext {
		return "", invalid("Client context must be no more than %d bytes when base64-encoded.", lambda.MaxClientContext)
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || !json.Valid(b) {
		return "", userError("InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object.")
	}
	return string(b), nil
}

// payload reads the event, which must be JSON; none is an empty object.
func payload(c *wire.Call) ([]byte, error) {
	body, err := c.Body()
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return []byte("{}"), nil
	}
	if json.Valid(body) && utf8.Valid(body) {
		return body, nil
	}
	return nil, userError("InvalidRequestContentException", "Could not parse request body into json: Could not parse payload into json: %s", parserDetail(body))
}

// parserDetail describes the first fault of a JSON text as AWS's parser does.
func parserDetail(body []byte) string {
	var v any
	var syntax *json.SyntaxError
	at := len(body)
	ended := !errors.As(json.Unmarshal(body, &v), &syntax) || syntax.Error() == "unexpected end of JSON input"
	if !ended && int(syntax.Offset) <= len(body) {
		at = max(int(syntax.Offset)-1, 0)
	}
	for i := 0; i < len(body); {
		r, size := utf8.DecodeRune(body[i:])
		if r == utf8.RuneError && size == 1 {
			return located(fmt.Sprintf("Invalid UTF-8 start byte 0x%x", body[i]), body, i)
		}
		if i >= at {
			break
		}
		i += size
	}
	if at >= len(body) {
		return located("Unexpected end-of-input", body, len(body))
	}
	r, _ := utf8.DecodeRune(body[at:])
	char := fmt.Sprintf("'%c' (code %d)", r, r)
	if r < ' ' {
		char = fmt.Sprintf("(CTRL-CHAR, code %d)", r)
	}
	return located("Unexpected character ("+char+"): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')", body, at)
}

func located(text string, body []byte, at int) string {
	line, column := 1, 1
	for _, b := range body[:min(at, len(body))] {
		column++
		if b == '\n' {
			line, column = line+1, 1
		}
	}
	return fmt.Sprintf("%s\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: %d, column: %d]", text, line, column+1)
}

// dryRun checks that an invocation could be made, and makes none.
func (s *Service) dryRun(c *wire.Call, inv *lambda.Invocation) error {
	qualifier := inv.Qualifier
	if qualifier == "" {
		qualifier = lambda.Latest
	}
	if _, err := (target{inv.Scope, inv.Function, qualifier}).version(s.snapshot()); err != nil {
		return err
	}
	c.WriteHeader(http.StatusNoContent)
	return nil
}
