package sqs

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

const account = "111111111111"

var scope = lambda.Scope{Account: account, Region: "us-east-1"}

// A harness is the service behind the wire layer.
type harness struct {
	*testing.T
	url     string
	service *Service
	queues  *store.Queues
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := store.Open(store.Options{Dir: t.TempDir(), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	service := New(Options{Queues: s.Queues(), Logger: log})
	t.Cleanup(service.Close)
	mux := wire.NewMux(wire.Options{Account: account, Log: log})
	service.Register(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &harness{t, server.URL, service, s.Queues()}
}

// queueURL is the URL of a queue.
func (h *harness) queueURL(name string) string { return h.url + "/" + account + "/" + name }

// A reply is the answer to one request.
type reply struct {
	status int
	header http.Header
	body   string
}

func (h *harness) send(path, body string, header map[string]string) reply {
	h.Helper()
	req, err := http.NewRequest("POST", h.url+path, strings.NewReader(body))
	if err != nil {
		h.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// call sends a request in awsJson1.0, as clients since the end of 2023 do. QUEUE in it
// stands for the URLs' beginning.
func (h *harness) call(operation, body string) reply {
	h.Helper()
	return h.send("/", strings.ReplaceAll(body, "QUEUE", h.url+"/"+account), map[string]string{
		"X-Amz-Target": "AmazonSQS." + operation, "Content-Type": "application/x-amz-json-1.0", "X-Amzn-Query-Mode": "true",
	})
}

// ok is call for a request that must succeed; it decodes the answer.
func (h *harness) ok(operation, body string) map[string]any {
	h.Helper()
	r := h.call(operation, body)
	if r.status != 200 {
		h.Fatalf("%s %s: %d %s", operation, body, r.status, r.body)
	}
	var m map[string]any
	if r.body != "" {
		if err := json.Unmarshal([]byte(r.body), &m); err != nil {
			h.Fatalf("%s: %v: %s", operation, err, r.body)
		}
	}
	return m
}

// query sends a request in the query protocol to a path, as older clients do.
func (h *harness) query(path string, pairs ...string) reply {
	h.Helper()
	form := url.Values{"Version": {"2012-11-05"}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return h.send(path, form.Encode(), map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})
}

// create makes a queue with attributes, as JSON members.
func (h *harness) create(name, attributes string) {
	h.Helper()
	if strings.HasSuffix(name, ".fifo") {
		attributes = strings.TrimSuffix(`"FifoQueue":"true",`+attributes, ",")
	}
	h.ok("CreateQueue", `{"QueueName":"`+name+`","Attributes":{`+attributes+`}}`)
}

// receive receives up to ten messages.
func (h *harness) receive(name, more string) []map[string]any {
	h.Helper()
	got := h.ok("ReceiveMessage", `{"QueueUrl":"QUEUE/`+name+`","MaxNumberOfMessages":10`+more+`}`)
	list, _ := got["Messages"].([]any)
	var messages []map[string]any
	for _, m := range list {
		messages = append(messages, m.(map[string]any))
	}
	return messages
}

func (h *harness) attributes(name string) map[string]any {
	h.Helper()
	a, _ := h.ok("GetQueueAttributes", `{"QueueUrl":"QUEUE/`+name+`","AttributeNames":["All"]}`)["Attributes"].(map[string]any)
	return a
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

// A refusal is a request with the error that AWS answers it with.
type refusal struct {
	operation, body string
	status          int
	code            string // of the query protocol
	message         string
}

func (h *harness) refuses(rows []refusal) {
	h.Helper()
	for _, row := range rows {
		r := h.call(row.operation, row.body)
		var e struct{ Message string }
		_ = json.Unmarshal([]byte(r.body), &e) // then the message is empty, which is reported
		code, _, _ := strings.Cut(r.header.Get("X-Amzn-Query-Error"), ";")
		if r.status != row.status || code != row.code || e.Message != strings.ReplaceAll(row.message, "QUEUE", h.url+"/"+account) {
			h.Errorf("%s %s:\n  got  %d %s %s\n  want %d %s %s", row.operation, row.body, r.status, code, r.body, row.status, row.code, row.message)
		}
	}
}
