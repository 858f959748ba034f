package cloudwatch

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// A harness is the service behind the wire layer, called without a network.
type harness struct {
	*testing.T
	dir      string
	store    *store.Store
	recorder *store.Recorder
	service  *Service
	mux      *wire.Mux

	mu struct {
		sync.Mutex
		acts []string // what the actions did
	}
}

var testScope = lambda.Scope{Account: "111111111111", Region: "us-east-1"}

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{T: t, dir: t.TempDir()}
	h.open()
	t.Cleanup(h.close)
	return h
}

func (h *harness) open() {
	h.Helper()
	log := slog.New(slog.DiscardHandler)
	var err error
	if h.store, err = store.Open(store.Options{Dir: h.dir, Logger: log}); err != nil {
		h.Fatal(err)
	}
	h.recorder = new(store.Recorder)
	h.service = Open(Options{
		Store: h.store, Recorder: h.recorder, Logger: log,
		Publish: func(_ context.Context, s lambda.Scope, topic, subject, message string) error {
			return h.act("publish " + topic + "\n" + subject + "\n" + message)
		},
		Invoke: func(_ context.Context, s lambda.Scope, function string, event []byte) error {
			return h.act("invoke " + function + "\n" + string(event))
		},
		Scale: func(_ context.Context, s lambda.Scope, policy string, x Scaling) error {
			return h.act("scale " + policy + " " + x.State.String() + " " + x.Alarm)
		},
	})
	h.mux = wire.NewMux(wire.Options{Account: testScope.Account, Log: log})
	h.service.Register(h.mux)
}

func (h *harness) act(s string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.acts = append(h.mu.acts, s)
	return nil
}

// acts returns what the actions did so far.
func (h *harness) acts() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.mu.acts...)
}

// close ends everything; it may be called again.
func (h *harness) close() {
	h.service.Close()
	if err := h.store.Close(); err != nil {
		h.Error(err)
	}
}

// A reply is the answer to one request.
type reply struct {
	status int
	header http.Header
	body   string
}

func (h *harness) send(body []byte, path string, headers ...string) reply {
	h.Helper()
	req := httptest.NewRequest("POST", path, bytes.NewReader(body))
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, req)
	return reply{w.Code, w.Header(), w.Body.String()}
}

// json calls an operation by JSON 1.0.
func (h *harness) json(operation, body string) reply {
	h.Helper()
	return h.send([]byte(body), "/", "Content-Type: application/x-amz-json-1.0", "X-Amz-Target: GraniteServiceVersion20100801."+operation)
}

// query calls an operation by the query protocol.
func (h *harness) query(form string) reply {
	h.Helper()
	return h.send([]byte(form+"&Version=2010-08-01"), "/", "Content-Type: application/x-www-form-urlencoded",
		"Authorization: AWS4-HMAC-SHA256 Credential=111111111111/20261121/us-east-1/monitoring/aws4_request, SignedHeaders=host, Signature=00")
}

// ok is json for a request that must succeed; it decodes the answer.
func (h *harness) ok(operation, body string) map[string]any {
	h.Helper()
	r := h.json(operation, body)
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

func gzipped(t *testing.T, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, s); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// mask hides what differs from run to run.
func mask(s string) string {
	for pattern, with := range map[string]string{
		`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`: "<uuid>",
		`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+0000)`:             "<time>",
		`"(\w*Timestamp)":[0-9.E]+`:                                    `"$1":<time>`,
	} {
		s = regexp.MustCompile(pattern).ReplaceAllString(s, with)
	}
	return s
}

// seconds is a time relative to now, as JSON requests have it.
func seconds(d time.Duration) string { return itoa(time.Now().Add(d).Unix()) }
