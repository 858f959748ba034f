package logs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
	"github.com/weir-run/weir/store/logs"
)

var scope = lambda.Scope{Account: "111111111111", Region: "us-east-1"}

// An invocation is what a function was sent.
type invocation struct {
	arn     string
	payload []byte
}

// A harness is the service behind the wire layer.
type harness struct {
	*testing.T
	service *Service
	store   *store.Store
	url     string

	mu struct {
		sync.Mutex
		invoked []invocation
		points  []Datapoint
		seen    []string
	}
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{T: t}
	log := slog.New(slog.DiscardHandler)
	var err error
	if h.store, err = store.Open(store.Options{Dir: t.TempDir(), Logger: log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.store.Close() })
	h.service, err = Open(Options{
		Store: h.store, Dir: t.TempDir(), Logger: log,
		Enqueue: func(_ context.Context, arn string, payload []byte) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.mu.invoked = append(h.mu.invoked, invocation{arn, payload})
			return nil
		},
		Emit: func(d Datapoint) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.mu.points = append(h.mu.points, d)
		},
		OnEvent: func(_ lambda.Scope, group, stream string, e logs.Event) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.mu.seen = append(h.mu.seen, group+" "+stream+" "+string(e.Message))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.service.Close(); err != nil {
			t.Error(err)
		}
	})
	mux := wire.NewMux(wire.Options{Account: scope.Account, Log: log})
	h.service.Register(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	t.Cleanup(h.service.EndTails)
	h.url = server.URL
	return h
}

// do calls an operation and returns the status and the body.
func (h *harness) do(operation, body string) (int, string) {
	h.Helper()
	req, err := http.NewRequest("POST", h.url, strings.NewReader(body))
	if err != nil {
		h.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", "Logs_20140328."+operation)
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// ok is do for a call that must succeed; it decodes the answer.
func (h *harness) ok(operation, body string) map[string]any {
	h.Helper()
	status, text := h.do(operation, body)
	if status != 200 {
		h.Fatalf("%s %s: %d %s", operation, body, status, text)
	}
	var m map[string]any
	if text != "" {
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			h.Fatalf("%s: %v: %s", operation, err, text)
		}
	}
	return m
}

// refuses calls an operation that must fail with a code and a message.
func (h *harness) refuses(operation, body, code, message string) {
	h.Helper()
	status, text := h.do(operation, body)
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal([]byte(text), &e); err != nil || status != 400 || !strings.HasSuffix(e.Type, code) || e.Message != message {
		h.Errorf("%s %s:\n  got  %d %s\n  want %s %s", operation, body, status, text, code, message)
	}
}

// stream makes the group g with a stream s.
func (h *harness) stream() {
	h.Helper()
	h.ok("CreateLogGroup", `{"logGroupName":"g"}`)
	h.ok("CreateLogStream", `{"logGroupName":"g","logStreamName":"s"}`)
}

// put writes messages, a millisecond apart, the last of them now.
func (h *harness) put(messages ...string) map[string]any {
	h.Helper()
	at := time.Now().UnixMilli() - int64(len(messages)) + 1
	var events []string
	for i, m := range messages {
		text, err := json.Marshal(m)
		if err != nil {
			h.Fatal(err)
		}
		events = append(events, fmt.Sprintf(`{"timestamp":%d,"message":%s}`, at+int64(i), text))
	}
	return h.ok("PutLogEvents", `{"logGroupName":"g","logStreamName":"s","logEvents":[`+strings.Join(events, ",")+`]}`)
}

// list returns a member of each element of a list.
func list(answer map[string]any, of, member string) []string {
	var out []string
	for _, x := range answer[of].([]any) {
		out = append(out, fmt.Sprint(x.(map[string]any)[member]))
	}
	return out
}

func (h *harness) equal(got []string, want ...string) {
	h.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		h.Errorf("\ngot  %q\nwant %q", got, want)
	}
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
