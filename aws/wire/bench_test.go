package wire_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	awslambda "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/sqs"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
)

// A nullWriter is a ResponseWriter that costs nothing.
type nullWriter struct {
	h      http.Header
	status int
	n      int
}

func (w *nullWriter) Header() http.Header         { return w.h }
func (w *nullWriter) WriteHeader(code int)        { w.status = code }
func (w *nullWriter) Write(b []byte) (int, error) { w.n += len(b); return len(b), nil }

func (w *nullWriter) reset() {
	clear(w.h)
	w.status, w.n = 0, 0
}

const authHeader = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/eu-west-1/%s/aws4_request, " +
	"SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"

// A replay is a request that is served again and again.
type replay struct {
	r    *http.Request
	body *bytes.Reader
	text []byte
}

func newReplay(method, target, service string, body []byte) *replay {
	r := httptest.NewRequest(method, target, nil)
	r.Header.Set("Authorization", strings.Replace(authHeader, "%s", service, 1))
	r.ContentLength = int64(len(body))
	p := &replay{r: r, body: bytes.NewReader(body), text: body}
	r.Body = io.NopCloser(p.body)
	return p
}

func (p *replay) serve(m *wire.Mux, w *nullWriter) {
	w.reset()
	p.body.Reset(p.text)
	m.ServeHTTP(w, p.r)
}

// echoQueue answers SendMessage.
type echoQueue struct{ sqs.Unimplemented }

func (echoQueue) SendMessage(_ *wire.Call, in *sqs.SendMessageRequest) (*sqs.SendMessageResult, error) {
	return &sqs.SendMessageResult{MessageId: wire.Some("0b43d3c4-1a5e-4d7a-9c2f-6f4f1b2a3c4d"), MD5OfMessageBody: wire.Some("5d41402abc4b2a76b9719d911017c592")}, nil
}

// echoFunction answers Invoke with its payload.
type echoFunction struct{ awslambda.Unimplemented }

func (echoFunction) Invoke(_ *wire.Call, in *awslambda.InvocationRequest) (*awslambda.InvocationResponse, error) {
	return &awslambda.InvocationResponse{Payload: in.Payload, ExecutedVersion: wire.Some(lambda.Latest)}, nil
}

func rawInvoke(c *wire.Call) error {
	name, err := c.Label(0)
	if err != nil {
		return err
	}
	body, err := c.Body()
	if err != nil {
		return err
	}
	if name == "" || c.Scope.Region == "" {
		return io.ErrUnexpectedEOF
	}
	c.WriteHeader(http.StatusOK)
	_, err = c.Write(body)
	return err
}

func noopInvoke(c *wire.Call) error {
	if _, err := c.Label(0); err != nil {
		return err
	}
	c.WriteHeader(http.StatusOK)
	return nil
}

const invokePath = "http://127.0.0.1:4566/2015-03-31/functions/api-handler/invocations?Qualifier=prod"

func muxes() (typed, raw, noop *wire.Mux) {
	build := func(hook map[string]wire.RawFunc) *wire.Mux {
		m := wire.NewMux(wire.Options{})
		awslambda.Register(m, echoFunction{}, hook)
		sqs.Register(m, echoQueue{}, nil)
		return m
	}
	return build(nil), build(map[string]wire.RawFunc{"Invoke": rawInvoke}), build(map[string]wire.RawFunc{"Invoke": noopInvoke})
}

func sendMessage() *replay {
	body := `{"QueueUrl":"http://127.0.0.1:4566/000000000000/orders","MessageBody":"` + strings.Repeat("x", 256) +
		`","MessageAttributes":{"kind":{"DataType":"String","StringValue":"order"}}}`
	p := newReplay("POST", "http://127.0.0.1:4566/", "sqs", []byte(body))
	p.r.Header.Set("X-Amz-Target", "AmazonSQS.SendMessage")
	p.r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	return p
}

func BenchmarkInvokeRawHook(b *testing.B) {
	_, _, m := muxes()
	benchmark(b, m, newReplay("POST", invokePath, "lambda", make([]byte, 1024)))
}

func BenchmarkInvokeRaw1K(b *testing.B) {
	_, m, _ := muxes()
	benchmark(b, m, newReplay("POST", invokePath, "lambda", make([]byte, 1024)))
}

func BenchmarkInvokeTyped1K(b *testing.B) {
	m, _, _ := muxes()
	benchmark(b, m, newReplay("POST", invokePath, "lambda", make([]byte, 1024)))
}

func BenchmarkSendMessageJSON(b *testing.B) {
	m, _, _ := muxes()
	benchmark(b, m, sendMessage())
}

func benchmark(b *testing.B, m *wire.Mux, p *replay) {
	w := &nullWriter{h: http.Header{}}
	p.serve(m, w)
	if w.status != http.StatusOK {
		b.Fatalf("status %d", w.status)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.serve(m, w)
	}
}

// TestAllocations bounds what a request costs inside of ServeHTTP. Of each bound two are
// the request id: its text and the header that holds it.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector changes the number of allocations")
	}
	typed, raw, noop := muxes()
	for _, c := range []struct {
		name string
		m    *wire.Mux
		p    *replay
		max  float64
	}{
		{"routing to a raw hook", noop, newReplay("POST", invokePath, "lambda", make([]byte, 1024)), 2},
		{"raw Invoke of 1 KiB", raw, newReplay("POST", invokePath, "lambda", make([]byte, 1024)), 3},
		{"typed Invoke of 1 KiB", typed, newReplay("POST", invokePath, "lambda", make([]byte, 1024)), 9},
		{"SendMessage in awsJson1.0", typed, sendMessage(), 9},
	} {
		w := &nullWriter{h: http.Header{}}
		got := testing.AllocsPerRun(200, func() { c.p.serve(c.m, w) })
		if w.status != http.StatusOK || got > c.max {
			t.Errorf("%s: status %d, %v allocations, at most %v", c.name, w.status, got, c.max)
		}
	}
}
