package lambda

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/environment"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// A harness is the service behind the wire layer, with environments that echo.
type harness struct {
	*testing.T
	url   string
	store *store.Store
}

// queueARN names the only queue there is.
const queueARN = "arn:aws:sqs:us-east-1:111111111111:q"

func newHarness(t *testing.T) *harness {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := store.Open(store.Options{Dir: t.TempDir(), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	e, err := engine.Open(engine.Options{
		Store: s, Start: startEcho, Logger: log, Source: openSilent,
		Account: admission.Account{Limit: 1000, IdleTimeout: time.Minute, MaxAge: time.Hour},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	mux := wire.NewMux(wire.Options{Account: "111111111111", Log: log})
	New(Options{
		Store: s, Engine: e, Limit: 1000, Logger: log,
		Resolve: func(runtime string) (environment.Runtime, error) {
			return environment.Runtime{ID: runtime, Language: "provided"}, nil
		},
		Targets: map[string]func(string) bool{"sqs": func(arn string) bool { return arn == queueARN }},
		CodeURL: func(*wire.Call, string) string { return "http://code" },
	}).Register(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &harness{t, server.URL, s}
}

// An echo is an environment that answers with the event. The event "fail" makes it fail.
type echo struct{ spec environment.Spec }

func startEcho(spec environment.Spec) engine.Environment {
	e := &echo{spec}
	go spec.Events.Ready(nil, environment.Init{})
	return e
}

func (e *echo) Invoke(inv *lambda.Invocation) lambda.Outcome {
	out := lambda.Outcome{Version: e.spec.Version.Number, Payload: inv.Payload}
	if string(inv.Payload) == `"fail"` {
		out.FunctionError, out.Payload = "Unhandled", []byte(`{"errorMessage":"no","errorType":"Error"}`)
	}
	if inv.LogTail {
		out.LogTail = []byte("START\nEND\n")
	}
	e.spec.Events.Idle(nil, environment.Report{})
	return out
}

func (e *echo) InvokeStream(inv *lambda.Invocation, w lambda.Response) lambda.Outcome {
	out := e.Invoke(inv)
	if out.FunctionError == "" {
		for _, b := range out.Payload {
			if _, err := w.Write([]byte{b}); err != nil {
				break
			}
		}
		out.Payload = nil
	}
	return out
}

func (e *echo) Close() {}

// A reply is the answer to one request.
type reply struct {
	status int
	header http.Header
	body   string
}

// do sends a request; headers are "Name: value".
func (h *harness) do(method, path, body string, headers ...string) reply {
	h.Helper()
	req, err := http.NewRequest(method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.Fatal(err)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
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

// ok is do for a request that must succeed; it decodes the answer.
func (h *harness) ok(method, path, body string, headers ...string) map[string]any {
	h.Helper()
	r := h.do(method, path, body, headers...)
	if r.status >= 300 {
		h.Fatalf("%s %s: %d %s", method, path, r.status, r.body)
	}
	var m map[string]any
	if r.body != "" {
		if err := json.Unmarshal([]byte(r.body), &m); err != nil {
			h.Fatalf("%s %s: %v: %s", method, path, err, r.body)
		}
	}
	return m
}

// create makes a function and waits until it is active; more is added to the request.
func (h *harness) create(name, more string) map[string]any {
	h.Helper()
	created := h.ok("POST", "/2015-03-31/functions", createBody(name, more))
	h.settled(name)
	return created
}

func createBody(name, more string) string {
	return fmt.Sprintf(`{"FunctionName":%q,"Runtime":"python3.13","Role":"arn:aws:iam::111111111111:role/r","Handler":"a.b","Code":{"ZipFile":%q}%s}`, name, zipText(name), more)
}

func zipText(content string) string {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("a.py")
	if err == nil {
		_, err = io.WriteString(w, content)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(err) // writing to memory does not fail
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// settled waits until a function is active and not being updated.
func (h *harness) settled(name string) {
	h.Helper()
	h.until("the function is settled", func() bool {
		c := h.ok("GET", "/2015-03-31/functions/"+name+"/configuration", "")
		return c["State"] == "Active" && c["LastUpdateStatus"] == "Successful"
	})
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

func (h *harness) publish(name string) string {
	h.Helper()
	return h.ok("POST", "/2015-03-31/functions/"+name+"/versions", "{}")["Version"].(string)
}

// A refusal is a request with the error that AWS answers it with, byte for byte.
type refusal struct {
	name, method, path, body string
	status                   int
	code, text               string
}

// refuses sends each request and compares the error.
func (h *harness) refuses(rows []refusal) {
	h.Helper()
	for _, row := range rows {
		r := h.do(row.method, row.path, row.body)
		if r.status != row.status || r.header.Get("X-Amzn-Errortype") != row.code || r.body != row.text {
			h.Errorf("%s:\n  got  %d %s %s\n  want %d %s %s", row.name, r.status, r.header.Get("X-Amzn-Errortype"), r.body, row.status, row.code, row.text)
		}
	}
}

func user(message string) string {
	text, err := json.Marshal(message)
	if err != nil {
		panic(err)
	}
	return `{"Type":"User","message":` + unescape(string(text)) + `}`
}

func userCapital(message string) string { return `{"Type":"User","Message":"` + message + `"}` }

func plain(message string) string { return `{"message":"` + message + `"}` }

// unescape takes back what encoding/json escapes for HTML.
func unescape(s string) string {
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(s)
}

// mask hides what differs from run to run.
func mask(s string) string {
	for pattern, with := range map[string]string{
		`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`: "<uuid>",
		`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?\+0000`:               "<time>",
		`::runtime:[0-9a-f]{64}`:                                       "::runtime:<digest>",
		`"CodeSha256":"[^"]*"`:                                         `"CodeSha256":"<digest>"`,
		`"CodeSize":\d+`:                                               `"CodeSize":0`,
	} {
		s = regexp.MustCompile(pattern).ReplaceAllString(s, with)
	}
	return s
}
