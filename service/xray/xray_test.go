package xray

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/lambda"
)

func traced(out lambda.Outcome) *engine.Traced {
	began := time.Unix(1_700_000_000, 0)
	return &engine.Traced{
		Invocation: &lambda.Invocation{Scope: scope, Function: "f", Type: lambda.RequestResponse, RequestID: "r"},
		Version:    "$LATEST", Root: traceID, Parent: "aaaaaaaaaaaaaaaa", Child: "cccccccccccccccc",
		Arrived: began.Add(-300 * time.Millisecond), Began: began, Ended: began.Add(12 * time.Millisecond), Outcome: out,
	}
}

// outline is the names of a segment's parts, with what failed.
func outline(s *segment) string {
	text := s.Name
	if s.Origin != "" {
		text = s.Origin
	}
	for i, is := range []bool{s.Fault, s.Error, s.Throttle} {
		if is {
			text += []string{" fault", " error", " throttle"}[i]
		}
	}
	var subs []string
	for _, x := range s.Subsegments {
		subs = append(subs, outline(x))
	}
	if subs != nil {
		text += "(" + strings.Join(subs, ", ") + ")"
	}
	return text
}

// The segments of an invocation: cold ones have an Initialization, and it belongs to the time
// before the invocation.
func TestInvocationSegments(t *testing.T) {
	ran := lambda.Outcome{Duration: 10 * time.Millisecond}
	cold := ran
	cold.Cold, cold.InitDuration = true, 200*time.Millisecond
	failed := ran
	failed.FunctionError, failed.Payload = "Unhandled", []byte(`{"errorType":"ValueError","errorMessage":"bad"}`)
	throttled := traced(lambda.Outcome{})
	throttled.Throttled = true
	for name, row := range map[string]struct {
		in   *engine.Traced
		want []string
	}{
		"cold":      {traced(cold), []string{"AWS::Lambda", "AWS::Lambda::Function(Initialization, Invocation, Overhead)"}},
		"warm":      {traced(ran), []string{"AWS::Lambda", "AWS::Lambda::Function(Invocation, Overhead)"}},
		"failed":    {traced(failed), []string{"AWS::Lambda", "AWS::Lambda::Function fault(Invocation fault, Overhead)"}},
		"throttled": {throttled, []string{"AWS::Lambda error throttle"}},
	} {
		h := newHarness(t, Options{})
		h.service.Trace(row.in)
		all := h.get(traceID)
		var got []string
		for _, s := range all {
			got = append(got, outline(s))
		}
		if !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, row.want)
			continue
		}
		if s := all[0]; s.ParentID != "aaaaaaaaaaaaaaaa" || s.TraceID != traceID || s.Start != 1_699_999_999.7 || s.ResourceARN != "arn:aws:lambda:us-east-1:111111111111:function:f" || s.AWS["request_id"] != "r" {
			t.Errorf("%s: the service's segment is %+v", name, s)
		}
		if len(all) == 1 {
			if all[0].HTTP.Response.Status != 429 {
				t.Errorf("a throttled invocation has the status %d", all[0].HTTP.Response.Status)
			}
			continue
		}
		f := all[1]
		if f.ParentID != all[0].ID {
			t.Errorf("%s: the function's segment is below %s, not %s", name, f.ParentID, all[0].ID)
		}
		at := len(f.Subsegments) - 2
		if i := f.Subsegments[at]; i.ID != "cccccccccccccccc" || i.Start != 1_700_000_000 || i.End != 1_700_000_000.01 {
			t.Errorf("%s: Invocation is %+v", name, i)
		}
		if at == 1 && (f.Subsegments[0].Start != 1_699_999_999.8 || f.Subsegments[0].End != 1_700_000_000) {
			t.Errorf("Initialization is %+v", f.Subsegments[0])
		}
	}
}

// What the function's SDK sends hangs below Invocation, whichever comes first.
func TestSubsegmentsOfTheFunction(t *testing.T) {
	sub := `{"id":"dddddddddddddddd","name":"work","type":"subsegment","parent_id":"cccccccccccccccc","trace_id":"` + traceID + `","start_time":1700000000.001,"end_time":1700000000.002,"annotations":{"color":"red"},"metadata":{"x":{"y":1}}}`
	deeper := `{"id":"eeeeeeeeeeeeeeee","name":"deeper","type":"subsegment","parent_id":"dddddddddddddddd","trace_id":"` + traceID + `","start_time":1700000000.001,"end_time":1700000000.002}`
	circle := `{"id":"ffffffffffffffff","name":"circle","type":"subsegment","parent_id":"ffffffffffffffff","trace_id":"` + traceID + `","start_time":1700000000.001,"end_time":1700000000.002}`
	h := newHarness(t, Options{})
	h.put(deeper, sub, circle)
	h.service.Trace(traced(lambda.Outcome{Duration: time.Millisecond}))
	var got []string
	for _, s := range h.get(traceID) {
		got = append(got, outline(s))
	}
	want := []string{"circle", "AWS::Lambda", "AWS::Lambda::Function(Invocation(work(deeper)), Overhead)"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if ids := h.summaries(`annotation.color = "red" AND service("f")`); len(ids) != 1 {
		t.Errorf("found %v", ids)
	}
}

// X-Ray's daemon protocol: a header line and a document.
func TestDaemon(t *testing.T) {
	h := newHarness(t, Options{})
	address, err := h.service.DaemonAddress(scope)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := h.service.DaemonAddress(scope); err != nil || again != address {
		t.Errorf("the daemon moves from %s to %s (%v)", address, again, err)
	}
	other, err := h.service.DaemonAddress(lambda.Scope{Account: "222222222222", Region: "us-east-1"})
	if err != nil || other == address {
		t.Errorf("another account's daemon is at %s (%v)", other, err)
	}
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	segment := `{"id":"dddddddddddddddd","name":"work","trace_id":"` + traceID + `","start_time":1700000000,` + "\n" + `"end_time":1700000001}`
	for _, text := range []string{"", "x", segment, `{"format":"xml","version":1}` + "\n" + segment, `{"format":"json","version":1}` + "\n{", `{"format": "json", "version": 1}` + "\n" + segment} {
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
	}
	h.until("the segment is there", func() bool { return len(h.get(traceID)) == 1 })
}

func TestRefusedSegments(t *testing.T) {
	h := newHarness(t, Options{})
	good := func(more string) string {
		return `{"id":"dddddddddddddddd","name":"n","trace_id":"` + traceID + `","start_time":1` + more + `}`
	}
	for document, want := range map[string]string{
		"{": "ParseError", "[]": "ParseError", "{}": "MissingId", `{"id":"x"}`: "InvalidId", `{"id":"dddddddddddddddd"}`: "InvalidTraceId",
		`{"id":"dddddddddddddddd","trace_id":"` + traceID + `"}`:         "MissingName",
		strings.Replace(good(""), `"start_time":1`, `"start_time":0`, 1): "InvalidTime", good(`,"end_time":0.5`): "InvalidTime",
		good(`,"user":"` + strings.Repeat("u", maxDocument) + `"`): "SegmentSizeExceeded",
	} {
		body, err := json.Marshal(map[string]any{"TraceSegmentDocuments": []string{document}})
		if err != nil {
			t.Fatal(err)
		}
		var out struct {
			UnprocessedTraceSegments []struct{ ErrorCode, Message string }
		}
		h.ok("/TraceSegments", string(body), &out)
		if bad := out.UnprocessedTraceSegments; len(bad) != 1 || bad[0].ErrorCode != want || bad[0].Message != "Invalid segment. ErrorCode: "+want {
			t.Errorf("%.80s: %v, want %s", document, bad, want)
		}
	}
	if got := h.summaries(""); len(got) != 0 {
		t.Errorf("traces are left: %v", got)
	}
}

// Memory is bounded: the oldest traces go first, and a trace has its own bound.
func TestBounds(t *testing.T) {
	h := newHarness(t, Options{MaxBytes: 100 << 10})
	id := func(n int) string { return fmt.Sprintf("1-6553f100-%024x", n) }
	for n := range 10 {
		h.put(fmt.Sprintf(`{"id":"%016x","name":"n","trace_id":"%s","start_time":1700000000,"end_time":1700000001,"user":"%s"}`, n+1, id(n), strings.Repeat("u", 20<<10)))
	}
	if got := h.summaries(""); !reflect.DeepEqual(got, []string{id(6), id(7), id(8), id(9)}) {
		t.Errorf("kept %v", got)
	}
	h = newHarness(t, Options{})
	for n := range 12 {
		h.put(fmt.Sprintf(`{"id":"%016x","name":"n","trace_id":"%s","start_time":1700000000,"end_time":1700000001,"user":"%s"}`, n+1, traceID, strings.Repeat("u", 60<<10)))
	}
	var out struct {
		Traces []struct{ LimitExceeded bool }
	}
	h.ok("/Traces", `{"TraceIds":["`+traceID+`"]}`, &out)
	if len(out.Traces) != 1 || !out.Traces[0].LimitExceeded || len(h.get(traceID)) != 8 {
		t.Errorf("a large trace: %v, %d segments", out, len(h.get(traceID)))
	}
}

func TestFilter(t *testing.T) {
	h := newHarness(t, Options{})
	h.put(`{"id":"dddddddddddddddd","name":"shop","trace_id":"` + traceID + `","start_time":1700000000,"end_time":1700000002,"fault":true,"http":{"request":{"url":"http://x/cart","method":"GET"},"response":{"status":503}},"annotations":{"n":7,"yes":true,"word":"hello"}}`)
	for expression, want := range map[string]bool{
		"": true, "fault": true, "error": false, "fault = true": true, "fault = false": false, "ok": false, "NOT fault": false, "!error": true,
		"responsetime > 1": true, "responsetime > 2": false, "responsetime >= 2 AND duration < 3": true, `service("shop")`: true, `service("other")`: false,
		`service("other") OR fault`: true, `(service("other") OR fault) AND error`: false, "annotation.n = 7": true, "annotation[n] < 7": false,
		`annotation.n = "7"`: false, "annotation.yes = true": true, "annotation.yes = false": false, `annotation.word BEGINSWITH "he"`: true,
		`annotation.word CONTAINS "xx"`: false, "annotation.word": true, "annotation.missing": false, "http.status = 503": true, `http.url ENDSWITH "cart"`: true,
		`error OR fault AND annotation.n = 7`: true, "service()": true, "throttle or partial": false,
	} {
		if got := len(h.summaries(expression)) == 1; got != want {
			t.Errorf("%s: %v", expression, got)
		}
	}
	for expression, want := range map[string]string{
		"(fault":                         `the filter expression has "" where ")" is expected`,
		"fault fault":                    `the filter expression has "fault" where nothing is expected`,
		"edge(\"a\",\"b\")":              `weir does not support "edge" in a filter expression`,
		`service("a") { fault }`:         "weir does not support service() { … } in a filter expression",
		`service(id(name: "a"))`:         `weir does not support service(id…) in a filter expression, only service("name")`,
		"responsetime > x":               `the filter expression compares with "x", which is neither a number nor a string in quotes`,
		`annotation.a ~ 1`:               `the filter expression compares a number by "~"`,
		`annotation.a = "x`:              "the filter expression has a string that does not end",
		"fault AND":                      "the filter expression ends where more is expected",
		`responsetime CONTAINS 4`:        `the filter expression compares a number by "CONTAINS"`,
		strings.Repeat("(", maxFilter+1): fmt.Sprintf("the filter expression is longer than %d bytes", maxFilter),
	} {
		body, err := json.Marshal(map[string]any{"StartTime": 1_700_000_000, "EndTime": 1_700_000_060, "FilterExpression": expression})
		if err != nil {
			t.Fatal(err)
		}
		var e struct{ Message string }
		status, text := h.do("/TraceSummaries", string(body))
		if err := json.Unmarshal([]byte(text), &e); err != nil || status != 400 || e.Message != want {
			t.Errorf("%.40s: %d %s", expression, status, text)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, seed := range []string{"fault", `annotation[x] = "y" AND NOT (error OR service("a"))`, "((", `"`, "a=="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pass, err := parseFilter(text)
		if err == nil {
			pass(&view{annotations: map[string][]any{"x": {"y", 1.0, true}}})
		}
	})
}

func FuzzDocuments(f *testing.F) {
	f.Add([]byte(`{"format":"json","version":1}` + "\n" + `{"id":"dddddddddddddddd","name":"n","trace_id":"` + traceID + `","start_time":1,"subsegments":[null,{"id":"dddddddddddddddd"}]}`))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		text, ok := unwrap(datagram)
		if !ok {
			return
		}
		x, why := parse(text)
		if why != "" {
			return
		}
		tr := &trace{key: traceKey{scope, x.TraceID}, documents: []document{{x.ID, text}, {"", text}}}
		if _, err := tr.assemble(); err != nil {
			t.Fatal(err)
		}
		newView(tr).summary()
		spansOf(scope, x)
	})
}

// The summary of a trace, and what GetTraceSummaries refuses.
func TestSummaries(t *testing.T) {
	h := newHarness(t, Options{})
	out := lambda.Outcome{Duration: 10 * time.Millisecond, FunctionError: "Unhandled", Payload: []byte(`{}`)}
	h.service.Trace(traced(out))
	_, text := h.do("/TraceSummaries", `{"StartTime":1700000000,"EndTime":1700000001}`)
	var got struct {
		TraceSummaries []struct {
			Id                                         string
			Duration, ResponseTime                     float64
			HasFault, HasError, HasThrottle, IsPartial bool
			Http                                       struct{ HttpStatus int }
			ServiceIds                                 []struct{ Name, Type string }
			EntryPoint                                 struct{ Type string }
		}
		TracesProcessedCount int
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil || len(got.TraceSummaries) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	s := got.TraceSummaries[0]
	if s.Id != traceID || s.Duration < 0.31 || s.Duration > 0.32 || s.ResponseTime != s.Duration || !s.HasFault || s.HasError || s.HasThrottle || s.IsPartial ||
		s.Http.HttpStatus != 200 || len(s.ServiceIds) != 2 || s.ServiceIds[1].Type != "AWS::Lambda::Function" || s.EntryPoint.Type != "AWS::Lambda" || got.TracesProcessedCount != 1 {
		t.Errorf("%s", text)
	}
	for body, want := range map[string]string{
		`{"StartTime":2,"EndTime":1}`:                                         "StartTime must not be after EndTime.",
		`{"StartTime":1,"EndTime":90000}`:                                     "The time range must not be longer than 24 hours.",
		`{"StartTime":1,"EndTime":2,"TimeRangeType":"Service"}`:               "weir does not support the TimeRangeType Service.",
		`{"StartTime":1,"EndTime":2,"SamplingStrategy":{"Name":"FixedRate"}}`: "weir does not support the parameter SamplingStrategy of GetTraceSummaries.",
		`{"StartTime":1,"EndTime":2,"NextToken":"x"}`:                         "NextToken is invalid.",
	} {
		if status, text := h.do("/TraceSummaries", body); status != 400 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
}

func TestSampling(t *testing.T) {
	h := newHarness(t, Options{})
	var rules struct {
		SamplingRuleRecords []struct {
			SamplingRule struct {
				RuleName                string
				FixedRate               float64
				ReservoirSize, Priority int
			}
		}
	}
	h.ok("/GetSamplingRules", "{}", &rules)
	if len(rules.SamplingRuleRecords) != 1 {
		t.Fatalf("%v", rules)
	}
	if r := rules.SamplingRuleRecords[0].SamplingRule; r.RuleName != "Default" || r.FixedRate != 0.05 || r.ReservoirSize != 1 || r.Priority != 10000 {
		t.Errorf("the default rule is %v", r)
	}
	var targets struct {
		SamplingTargetDocuments []struct{ RuleName string }
		UnprocessedStatistics   []struct{ RuleName string }
	}
	statistics := func(rule string) string {
		return `{"RuleName":"` + rule + `","ClientID":"012345678901234567890123","Timestamp":1,"RequestCount":1,"SampledCount":1}`
	}
	h.ok("/SamplingTargets", `{"SamplingStatisticsDocuments":[`+statistics("Default")+","+statistics("x")+"]}", &targets)
	if len(targets.SamplingTargetDocuments) != 1 || len(targets.UnprocessedStatistics) != 1 || targets.UnprocessedStatistics[0].RuleName != "x" {
		t.Errorf("%v", targets)
	}
	if status, text := h.do("/TraceGraph", `{"TraceIds":[]}`); status < 400 {
		t.Errorf("GetTraceGraph: %d %s", status, text)
	}
	if status, text := h.do("/TelemetryRecords", `{"TelemetryRecords":[]}`); status != 200 {
		t.Errorf("PutTelemetryRecords: %d %s", status, text)
	}
}

// The same spans go out by OTLP, grouped by service, and again if the endpoint was not ready.
func TestExport(t *testing.T) {
	got := make(chan otlpRequest, 2)
	refusals := 1
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refusals > 0 {
			refusals--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		var in otlpRequest
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %v", r.URL, r.Header, err)
		}
		got <- in
	}))
	defer collector.Close()
	h := newHarness(t, Options{OTLP: collector.URL})
	out := lambda.Outcome{Duration: 10 * time.Millisecond, InitDuration: time.Millisecond, FunctionError: "Unhandled", Payload: []byte(`{"errorType":"E","errorMessage":"m"}`)}
	h.service.Trace(traced(out))
	in := <-got
	if len(in.ResourceSpans) != 1 {
		t.Fatalf("%d services", len(in.ResourceSpans))
	}
	var names []string
	for _, x := range in.ResourceSpans[0].ScopeSpans[0].Spans {
		names = append(names, x.Name)
		if x.TraceID != "6553f1000123456789abcdef01234567" || len(x.SpanID) != 16 || len(x.ParentID) != 16 {
			t.Errorf("a span of %s %s below %s", x.TraceID, x.SpanID, x.ParentID)
		}
		if x.Name == "Invocation" && (x.Start != "1700000000000000000" || x.End != "1700000000010000000" || x.Status != spanStatus{statusError, "m"}) {
			t.Errorf("Invocation is %+v", x)
		}
	}
	if want := []string{"f", "f", "Initialization", "Invocation", "Overhead"}; !reflect.DeepEqual(names, want) {
		t.Errorf("spans %v", names)
	}
	if _, err := Open(Options{OTLP: "nowhere"}); err == nil {
		t.Error("an endpoint that is no URL is taken")
	}
}
