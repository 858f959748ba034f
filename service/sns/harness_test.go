package sns

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/store"
)

// A harness is the service behind the wire layer, with targets that write down what they get.
type harness struct {
	*testing.T
	url     string
	service *Service
	store   *store.Store

	mu struct {
		sync.Mutex
		queued  []queued
		invoked []invoked
		refuse  func(arn string) error // by every target, first
	}
}

type queued struct {
	arn string
	*QueueMessage
}

type invoked struct{ arn, payload, trace string }

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{T: t}
	log := slog.New(slog.DiscardHandler)
	var err error
	if h.store, err = store.Open(store.Options{Dir: t.TempDir(), Logger: log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.store.Close() })
	mux := wire.NewMux(wire.Options{Account: "111111111111", Log: log})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	h.url = server.URL
	h.open()
	t.Cleanup(func() { h.service.Close() })
	h.service.Register(mux)
	return h
}

func (h *harness) open() {
	h.Helper()
	var err error
	h.service, err = Open(Options{Store: h.store, URL: h.url, Logger: slog.New(slog.DiscardHandler), Targets: Targets{Queue: h.queue, Function: h.function}})
	if err != nil {
		h.Fatal(err)
	}
}

func (h *harness) refusal(arn string) error {
	if h.mu.refuse != nil {
		return h.mu.refuse(arn)
	}
	return nil
}

func (h *harness) queue(_ context.Context, arn string, m *QueueMessage) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.refusal(arn); err != nil {
		return err
	}
	h.mu.queued = append(h.mu.queued, queued{arn, m})
	return nil
}

func (h *harness) function(_ context.Context, arn string, payload []byte, trace string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.refusal(arn); err != nil {
		return err
	}
	h.mu.invoked = append(h.mu.invoked, invoked{arn, string(payload), trace})
	return nil
}

// do calls an operation; parameters are names and values in turn.
func (h *harness) do(action string, parameters ...string) (int, string) {
	h.Helper()
	form := url.Values{"Action": {action}, "Version": {"2010-03-31"}}
	for i := 0; i < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	req, err := http.NewRequest(http.MethodPost, h.url+"/", strings.NewReader(form.Encode()))
	if err != nil {
		h.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Amzn-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=1:abcd:3")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sns/aws4_request, SignedHeaders=host, Signature=0")
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

// ok calls an operation that must succeed and returns the text of an element of the answer.
func (h *harness) ok(element, action string, parameters ...string) string {
	h.Helper()
	status, text := h.do(action, parameters...)
	if status != http.StatusOK {
		h.Fatalf("%s: %d %s", action, status, text)
	}
	return find(text, element)
}

// find returns the text of the first element of a name.
func find(text, element string) string {
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if err != nil {
			return ""
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == element {
			var value string
			if d.DecodeElement(&value, &start) != nil {
				return ""
			}
			return value
		}
	}
}

func (h *harness) topic(name string, parameters ...string) string {
	h.Helper()
	return h.ok("TopicArn", "CreateTopic", append([]string{"Name", name}, parameters...)...)
}

func (h *harness) subscribe(topic, protocol, endpoint string, attributes ...string) string {
	h.Helper()
	parameters := []string{"TopicArn", topic, "Protocol", protocol, "Endpoint", endpoint, "ReturnSubscriptionArn", "true"}
	for i := 0; i < len(attributes); i += 2 {
		entry := "Attributes.entry." + string(rune('1'+i/2))
		parameters = append(parameters, entry+".key", attributes[i], entry+".value", attributes[i+1])
	}
	return h.ok("SubscriptionArn", "Subscribe", parameters...)
}

func (h *harness) until(what string, condition func() bool) {
	h.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		h.mu.Lock()
		ok := condition()
		h.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-deadline:
			h.Fatalf("10 s have passed, and not: %s", what)
		case <-tick.C:
		}
	}
}

func decodeJSON(t *testing.T, text string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return m
}
