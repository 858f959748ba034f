package xray

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
)

var scope = lambda.Scope{Account: "111111111111", Region: "us-east-1"}

// traceID is a trace of 2023-11-14T22:13:20Z.
const traceID = "1-6553f100-0123456789abcdef01234567"

// A harness is the service behind the wire layer.
type harness struct {
	*testing.T
	url     string
	service *Service
}

func newHarness(t *testing.T, opt Options) *harness {
	t.Helper()
	opt.Logger = slog.New(slog.DiscardHandler)
	s, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	mux := wire.NewMux(wire.Options{Account: scope.Account, Log: opt.Logger})
	s.Register(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &harness{t, server.URL, s}
}

// do calls an operation by its path.
func (h *harness) do(path, body string) (int, string) {
	h.Helper()
	req, err := http.NewRequest("POST", h.url+path, strings.NewReader(body))
	if err != nil {
		h.Fatal(err)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/xray/aws4_request, SignedHeaders=host, Signature=0")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		h.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		h.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// ok is do for a call that must succeed; it decodes the answer into v.
func (h *harness) ok(path, body string, v any) {
	h.Helper()
	status, text := h.do(path, body)
	if status != http.StatusOK {
		h.Fatalf("%s %s: %d %s", path, body, status, text)
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		h.Fatalf("%s: %v: %s", path, err, text)
	}
}

// put sends segment documents, which must all be taken.
func (h *harness) put(documents ...string) {
	h.Helper()
	body, err := json.Marshal(map[string]any{"TraceSegmentDocuments": documents})
	if err != nil {
		h.Fatal(err)
	}
	var out struct{ UnprocessedTraceSegments []any }
	h.ok("/TraceSegments", string(body), &out)
	if len(out.UnprocessedTraceSegments) != 0 {
		h.Fatalf("not taken: %v", out.UnprocessedTraceSegments)
	}
}

// get returns the segments of a trace.
func (h *harness) get(id string) []*segment {
	h.Helper()
	var out struct {
		Traces []struct {
			Segments []struct{ Document string }
		}
	}
	h.ok("/Traces", `{"TraceIds":["`+id+`"]}`, &out)
	if len(out.Traces) != 1 {
		return nil
	}
	var all []*segment
	for _, s := range out.Traces[0].Segments {
		x := new(segment)
		if err := json.Unmarshal([]byte(s.Document), x); err != nil {
			h.Fatal(err)
		}
		all = append(all, x)
	}
	return all
}

// summaries returns the ids of the traces that a filter expression lets through.
func (h *harness) summaries(filter string) []string {
	h.Helper()
	body, err := json.Marshal(map[string]any{"StartTime": 1_700_000_000, "EndTime": 1_700_000_060, "FilterExpression": filter})
	if err != nil {
		h.Fatal(err)
	}
	var out struct{ TraceSummaries []struct{ Id string } }
	h.ok("/TraceSummaries", string(body), &out)
	ids := []string{}
	for _, s := range out.TraceSummaries {
		ids = append(ids, s.Id)
	}
	return ids
}

func (h *harness) until(what string, condition func() bool) {
	h.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			h.Fatalf("10 s have passed, and not: %s", what)
		case <-tick.C:
		}
	}
}
