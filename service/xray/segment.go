package xray

import (
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/lambda"
)

// A segment is the part of a segment document that weir reads and writes (AWS: "AWS X-Ray
// segment documents"). Times are seconds since 1970.
type segment struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	TraceID     string         `json:"trace_id,omitempty"`
	ParentID    string         `json:"parent_id,omitempty"`
	Type        string         `json:"type,omitempty"` // subsegment: it came by itself
	Start       float64        `json:"start_time"`
	End         float64        `json:"end_time,omitempty"`
	InProgress  bool           `json:"in_progress,omitempty"`
	Origin      string         `json:"origin,omitempty"`
	Namespace   string         `json:"namespace,omitempty"`
	ResourceARN string         `json:"resource_arn,omitempty"`
	User        string         `json:"user,omitempty"`
	Error       bool           `json:"error,omitempty"`
	Fault       bool           `json:"fault,omitempty"`
	Throttle    bool           `json:"throttle,omitempty"`
	HTTP        *httpPart      `json:"http,omitempty"`
	AWS         map[string]any `json:"aws,omitempty"`
	Cause       *cause         `json:"-"` // written by weir only: clients send an id too
	Annotations map[string]any `json:"annotations,omitempty"`
	Subsegments []*segment     `json:"subsegments,omitempty"`
}

type httpPart struct {
	Request  *httpRequest  `json:"request,omitempty"`
	Response *httpResponse `json:"response,omitempty"`
}

type httpRequest struct {
	Method    string `json:"method,omitempty"`
	URL       string `json:"url,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	ClientIP  string `json:"client_ip,omitempty"`
}

type httpResponse struct {
	Status int `json:"status,omitempty"`
}

type cause struct {
	Exceptions []exception `json:"exceptions"`
}

type exception struct {
	ID      string `json:"id"`
	Message string `json:"message"`
	Type    string `json:"type"`
}

// MarshalJSON adds the cause.
func (s *segment) MarshalJSON() ([]byte, error) {
	type plain segment
	return json.Marshal(struct {
		*plain
		Cause *cause `json:"cause,omitempty"`
	}{(*plain)(s), s.Cause})
}

// each calls f with a segment and all below it.
func (s *segment) each(f func(*segment)) {
	f(s)
	for _, sub := range s.Subsegments {
		if sub != nil {
			sub.each(f)
		}
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// invocationSegments are the segments of an invocation as Lambda makes them: one of the service,
// which takes it and may throttle it, and one of the function that runs it.
func invocationSegments(t *engine.Traced) []*segment {
	inv := t.Invocation
	arn := inv.Scope.FunctionARN(inv.Function, inv.Qualifier)
	service := &segment{
		ID: engine.NewSegmentID(), Name: inv.Function, TraceID: t.Root, ParentID: t.Parent, Origin: "AWS::Lambda",
		Start: seconds(t.Arrived), End: seconds(t.Ended), ResourceARN: arn,
		HTTP: &httpPart{Response: &httpResponse{Status: 200}}, AWS: map[string]any{"request_id": inv.RequestID},
	}
	if inv.Type == lambda.Event {
		service.HTTP.Response.Status = 202
	}
	if t.Throttled {
		service.HTTP.Response.Status, service.Throttle, service.Error = 429, true, true
		return []*segment{service}
	}
	return []*segment{service, functionSegment(t, service, arn)}
}

func functionSegment(t *engine.Traced, service *segment, arn string) *segment {
	inv, out := t.Invocation, &t.Outcome
	done := t.Began.Add(out.Duration)
	if done.After(t.Ended) {
		done = t.Ended
	}
	f := &segment{
		ID: engine.NewSegmentID(), Name: inv.Function, TraceID: t.Root, ParentID: service.ID, Origin: "AWS::Lambda::Function",
		Start: seconds(t.Began), End: seconds(t.Ended), ResourceARN: arn,
		AWS: map[string]any{"account_id": inv.Scope.Account, "function_arn": arn, "resource_names": []string{inv.Function}},
	}
	part := func(id, name string, start, end time.Time) *segment {
		s := &segment{ID: id, Name: name, Start: seconds(start), End: seconds(end), AWS: map[string]any{"function_arn": arn}}
		f.Subsegments = append(f.Subsegments, s)
		return s
	}
	if out.InitDuration > 0 {
		part(engine.NewSegmentID(), "Initialization", t.Began.Add(-out.InitDuration), t.Began)
		f.Start = min(f.Start, f.Subsegments[0].Start)
	}
	invocation := part(t.Child, "Invocation", t.Began, done)
	part(engine.NewSegmentID(), "Overhead", done, t.Ended)
	if out.FunctionError != "" {
		f.Fault, invocation.Fault = true, true
		invocation.Cause = causeOf(out)
		f.Cause = invocation.Cause
	}
	return f
}

// causeOf is the error that a function has answered.
func causeOf(out *lambda.Outcome) *cause {
	var e struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal(out.Payload, &e) != nil || e.Type == "" {
		e.Type = out.ErrorType
	}
	return &cause{[]exception{{ID: engine.NewSegmentID(), Message: e.Message, Type: e.Type}}}
}

// A refusal is why a document is not taken, in X-Ray's words.
type refusal string

// Reasons of X-Ray.
const (
	parseError     refusal = "ParseError"
	missingID      refusal = "MissingId"
	invalidID      refusal = "InvalidId"
	invalidTraceID refusal = "InvalidTraceId"
	missingName    refusal = "MissingName"
	invalidTime    refusal = "InvalidTime"
	tooLarge       refusal = "SegmentSizeExceeded"
)

// parse reads a segment document.
func parse(text []byte) (*segment, refusal) {
	s := new(segment)
	if len(text) > maxDocument {
		return s, tooLarge
	}
	if err := json.Unmarshal(text, s); err != nil {
		return &segment{}, parseError
	}
	switch {
	case s.ID == "":
		return s, missingID
	case !isHex(s.ID, 16):
		return s, invalidID
	case !isTraceID(s.TraceID):
		return s, invalidTraceID
	case s.Type == "" && s.Name == "":
		return s, missingName
	case s.Start <= 0 || math.IsInf(s.Start, 0) || s.End != 0 && s.End < s.Start:
		return s, invalidTime
	}
	return s, ""
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// isTraceID accepts 1-<8 hex>-<24 hex>.
func isTraceID(s string) bool {
	return len(s) == 35 && s[:2] == "1-" && isHex(s[2:10], 8) && s[10] == '-' && isHex(s[11:], 24)
}
