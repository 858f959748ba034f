package xray

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/weir-run/weir/lambda"
)

// Bounds of the export.
const (
	maxQueued     = 8192            // spans that wait; more are dropped
	maxExported   = 512             // spans of a request
	exportEvery   = time.Second     // at most this long a span waits
	exportTries   = 3               // of a request
	exportPause   = time.Second     // between them
	exportTimeout = 5 * time.Second // of a request
	exportAnswer  = 64 << 10        // bytes of an answer that are read
)

// An exporter sends segments as spans by OTLP/HTTP, in JSON.
type exporter struct {
	url    string
	log    *slog.Logger
	client http.Client
	queue  chan scopedSpan
	ctx    context.Context // ends when the exporter closes: no more is taken, and nothing retried
	stop   context.CancelFunc
	work   sync.WaitGroup

	mu struct {
		sync.Mutex
		dropped int // since the last request
	}
}

// newExporter returns an exporter to an endpoint; without a path it is /v1/traces.
func newExporter(endpoint string, log *slog.Logger) (*exporter, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("the OTLP endpoint %q is no http or https URL", endpoint)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	x := &exporter{url: u.String(), log: log, queue: make(chan scopedSpan, maxQueued)}
	x.client.Timeout = exportTimeout
	x.ctx, x.stop = context.WithCancel(context.Background())
	x.work.Go(x.run)
	return x, nil
}

// add queues a segment and what is below it.
func (x *exporter) add(scope lambda.Scope, s *segment) {
	for _, span := range spansOf(scope, s) {
		select {
		case x.queue <- span:
		default:
			x.mu.Lock()
			x.mu.dropped++
			x.mu.Unlock()
		}
	}
}

// run sends what is queued until the exporter is closed, and then what is left.
func (x *exporter) run() {
	tick := time.NewTicker(exportEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			x.flush()
		case <-x.ctx.Done():
			x.flush()
			return
		}
	}
}

// flush sends everything that is queued; while the exporter closes, until the endpoint fails.
func (x *exporter) flush() {
	for {
		var batch []scopedSpan
		for len(batch) < maxExported && len(x.queue) > 0 { // run alone takes from it
			batch = append(batch, <-x.queue)
		}
		if len(batch) == 0 {
			return
		}
		if err := x.send(batch); err != nil {
			x.log.Warn("spans were not exported", "spans", len(batch), "error", err)
			if x.ctx.Err() != nil {
				return
			}
		}
		x.mu.Lock()
		dropped := x.mu.dropped
		x.mu.dropped = 0
		x.mu.Unlock()
		if dropped > 0 {
			x.log.Warn("spans were dropped: the OTLP endpoint is too slow", "spans", dropped)
		}
	}
}

// send posts a batch, and again if the endpoint asks for that.
func (x *exporter) send(batch []scopedSpan) error {
	body, err := json.Marshal(request(batch))
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		again, err := x.post(body)
		if err == nil || !again || try == exportTries {
			return err
		}
		select {
		case <-time.After(exportPause):
		case <-x.ctx.Done():
			return err
		}
	}
}

func (x *exporter) post(body []byte) (again bool, _ error) {
	answer, err := x.client.Post(x.url, "application/json", bytes.NewReader(body))
	if err != nil {
		return true, fmt.Errorf("post spans: %w", err)
	}
	defer answer.Body.Close()
	// Reading the answer lets the connection be used again.
	_, _ = io.CopyN(io.Discard, answer.Body, exportAnswer)
	switch code := answer.StatusCode; {
	case code >= 200 && code < 300:
		return false, nil
	case code == 429 || code == 502 || code == 503 || code == 504: // OTLP: retryable
		return true, fmt.Errorf("%s answers %s", x.url, answer.Status)
	default:
		return false, fmt.Errorf("%s answers %s", x.url, answer.Status)
	}
}

func (x *exporter) close() {
	x.stop()
	x.work.Wait()
}

// The JSON of OTLP (opentelemetry-proto, trace.proto).
type (
	otlpRequest struct {
		ResourceSpans []resourceSpans `json:"resourceSpans"`
	}
	resourceSpans struct {
		Resource   resource     `json:"resource"`
		ScopeSpans []scopeSpans `json:"scopeSpans"`
	}
	resource struct {
		Attributes []attribute `json:"attributes"`
	}
	scopeSpans struct {
		Scope struct {
			Name string `json:"name"`
		} `json:"scope"`
		Spans []span `json:"spans"`
	}
	span struct {
		TraceID    string      `json:"traceId"`
		SpanID     string      `json:"spanId"`
		ParentID   string      `json:"parentSpanId,omitempty"`
		Name       string      `json:"name"`
		Kind       int         `json:"kind"`
		Start      string      `json:"startTimeUnixNano"`
		End        string      `json:"endTimeUnixNano"`
		Attributes []attribute `json:"attributes,omitempty"`
		Status     spanStatus  `json:"status"`
	}
	spanStatus struct {
		Code    int    `json:"code,omitempty"`
		Message string `json:"message,omitempty"`
	}
	attribute struct {
		Key   string         `json:"key"`
		Value map[string]any `json:"value"`
	}
)

// Values of OTLP's enumerations.
const (
	kindInternal = 1
	kindServer   = 2
	statusError  = 2
)

// A scopedSpan is a span of a service.
type scopedSpan struct {
	scope   lambda.Scope
	service string
	span    span
}

// spansOf makes spans of a segment and of what is below it.
func spansOf(scope lambda.Scope, s *segment) []scopedSpan {
	var all []scopedSpan
	traceID := s.TraceID[2:10] + s.TraceID[11:]
	var walk func(*segment, string)
	walk = func(x *segment, parent string) {
		all = append(all, scopedSpan{scope, s.Name, x.span(traceID, parent)})
		for _, sub := range x.Subsegments {
			if sub != nil && isHex(sub.ID, 16) {
				walk(sub, x.ID)
			}
		}
	}
	walk(s, s.ParentID)
	return all
}

func (s *segment) span(traceID, parent string) span {
	out := span{
		TraceID: traceID, SpanID: s.ID, ParentID: parent, Name: s.Name, Kind: kindInternal,
		Start: nanoseconds(s.Start), End: nanoseconds(max(s.Start, s.End)),
	}
	if s.Origin == "AWS::Lambda" {
		out.Kind = kindServer
	}
	text := func(key, value string) {
		if value != "" {
			out.Attributes = append(out.Attributes, attribute{key, map[string]any{"stringValue": value}})
		}
	}
	text("aws.xray.origin", s.Origin)
	text("cloud.resource_id", s.ResourceARN)
	if id, ok := s.AWS["request_id"].(string); ok {
		text("faas.invocation_id", id)
	}
	if s.HTTP != nil && s.HTTP.Response != nil && s.HTTP.Response.Status != 0 {
		out.Attributes = append(out.Attributes, attribute{"http.response.status_code", map[string]any{"intValue": strconv.Itoa(s.HTTP.Response.Status)}})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Annotations)) {
		switch v := s.Annotations[name].(type) {
		case string:
			text(name, v)
		case bool:
			out.Attributes = append(out.Attributes, attribute{name, map[string]any{"boolValue": v}})
		case float64:
			out.Attributes = append(out.Attributes, attribute{name, map[string]any{"doubleValue": v}})
		}
	}
	if s.Fault || s.Error || s.Throttle {
		out.Status.Code = statusError
	}
	if s.Cause != nil && len(s.Cause.Exceptions) > 0 {
		out.Status.Message = s.Cause.Exceptions[0].Message
		text("error.type", s.Cause.Exceptions[0].Type)
	}
	return out
}

func nanoseconds(seconds float64) string {
	return strconv.FormatInt(int64(seconds*1e6)*1000, 10)
}

// request groups spans by their service.
func request(batch []scopedSpan) otlpRequest {
	type service struct {
		scope lambda.Scope
		name  string
	}
	byService := make(map[service]int)
	var out otlpRequest
	for _, x := range batch {
		key := service{x.scope, x.service}
		i, ok := byService[key]
		if !ok {
			i = len(out.ResourceSpans)
			byService[key] = i
			text := func(key, value string) attribute { return attribute{key, map[string]any{"stringValue": value}} }
			r := resourceSpans{
				Resource: resource{[]attribute{
					text("service.name", x.service), text("cloud.provider", "aws"), text("cloud.account.id", x.scope.Account), text("cloud.region", x.scope.Region),
				}},
				ScopeSpans: make([]scopeSpans, 1),
			}
			r.ScopeSpans[0].Scope.Name = "weir"
			out.ResourceSpans = append(out.ResourceSpans, r)
		}
		spans := &out.ResourceSpans[i].ScopeSpans[0].Spans
		*spans = append(*spans, x.span)
	}
	return out
}
