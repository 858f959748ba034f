package conformance

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-run/weir/aws/awsgen/model"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
)

// A suite is a group of protocol tests of botocore: a small model, and requests or
// answers of its operations.
type suite struct {
	Description string
	Metadata    map[string]any
	Shapes      json.RawMessage
	Cases       []testCase

	file  string
	index int
}

type testCase struct {
	ID           string
	Given        json.RawMessage
	Params       map[string]any
	Result       map[string]any
	ErrorCode    string
	ErrorMessage string
	Error        map[string]any
	Serialized   struct {
		Method  string
		URI     string
		Headers map[string]string
		Body    string
	}
	Response struct {
		StatusCode int `json:"status_code"`
		Headers    map[string]string
		Body       string
	}
}

// loadSuites reads the protocol tests, input or output.
func loadSuites(t *testing.T, direction string) []suite {
	t.Helper()
	f, err := os.Open("testdata/botocore-protocols.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all []suite
	for archive := tar.NewReader(z); ; {
		h, err := archive.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		name, ok := strings.CutPrefix(h.Name, direction+"/")
		if !ok || name == "rest-xml.json" { // no service of weir's is generated for restXml
			continue
		}
		var suites []suite
		if err := json.NewDecoder(archive).Decode(&suites); err != nil {
			t.Fatal(err)
		}
		for i := range suites {
			suites[i].file, suites[i].index = strings.TrimSuffix(name, ".json"), i
		}
		all = append(all, suites...)
	}
}

// service makes the model of one case: botocore gives each its own operation.
func (s *suite) service(c *testCase) (*model.Service, string, error) {
	var given struct{ Name string }
	if err := json.Unmarshal(c.Given, &given); err != nil {
		return nil, "", err
	}
	if s.Metadata["endpointPrefix"] == nil {
		s.Metadata["endpointPrefix"] = "test"
	}
	text, err := json.Marshal(map[string]any{
		"metadata":   s.Metadata,
		"shapes":     s.Shapes,
		"operations": map[string]any{given.Name: c.Given},
	})
	if err != nil {
		return nil, "", err
	}
	m, err := model.New("test", text, []byte(`{"validation": ""}`))
	return m, given.Name, err
}

// isCBOR reports whether bodies in a suite are base64 text.
func (s *suite) isCBOR() bool { return strings.Contains(s.file, "cbor") }

func (s *suite) bytes(t *testing.T, body string) []byte {
	t.Helper()
	if !s.isCBOR() {
		return []byte(body)
	}
	b, err := base64.StdEncoding.DecodeString(body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newMux returns a Mux that keeps quiet about tests that are known to fail.
func newMux() *wire.Mux {
	return wire.NewMux(wire.Options{Log: slog.New(slog.DiscardHandler)})
}

// A tally counts outcomes, and holds a failure against the list of known ones.
type tally struct {
	known  map[string]string // by "file/id": why it fails
	passed int
	failed map[string]bool

	// optional says that a test of the list may be missing: a module that is not there.
	optional bool
}

func (y *tally) check(t *testing.T, name string, err error) {
	t.Helper()
	switch why, known := y.known[name]; {
	case err == nil && known:
		t.Errorf("%s passes now; take it off the list (%s)", name, why)
	case err == nil:
		y.passed++
	case known:
		y.failed[name] = true
	default:
		t.Errorf("%s: %v", name, err)
	}
}

func (y *tally) report(t *testing.T) {
	t.Helper()
	t.Logf("%d pass, %d known exceptions", y.passed, len(y.failed))
	for name := range y.known {
		if !y.failed[name] && !y.optional {
			t.Errorf("the exception %s names no test", name)
		}
	}
}

// TestInputVectors sends the requests of botocore's protocol tests and compares what the
// handler gets with what the client meant.
func TestInputVectors(t *testing.T) {
	y := tally{known: inputExceptions, failed: map[string]bool{}}
	for _, s := range loadSuites(t, "input") {
		for i := range s.Cases {
			c := &s.Cases[i]
			y.check(t, s.file+"/"+c.ID, s.runInput(t, c))
		}
	}
	y.report(t)
}

func (s *suite) runInput(t *testing.T, c *testCase) error {
	m, _, err := s.service(c)
	if err != nil {
		return err
	}
	var got map[string]any
	var unknown []string
	mux := newMux()
	mux.Handle(dynamic(m), handler(func(call *wire.Call, op string, in wire.Struct) (wire.Struct, error) {
		got = map[string]any{}
		if in != nil {
			got = plain(in)
		}
		unknown = call.Unknown
		if out := outputOf(m, op); out != nil {
			return out, nil
		}
		return nil, nil
	}), nil)
	body := s.bytes(t, c.Serialized.Body)
	r := httptest.NewRequest(c.Serialized.Method, "http://127.0.0.1"+c.Serialized.URI, bytes.NewReader(body))
	for name, value := range c.Serialized.Headers {
		r.Header.Set(name, value)
	}
	s.completeRequest(m, c, r)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	if got == nil {
		return fmt.Errorf("status %d: %s", w.Code, w.Body)
	}
	want := s.expected(m, c.Given, "input", c.Params)
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	if len(unknown) > 0 {
		return fmt.Errorf("unknown members %v", unknown)
	}
	return nil
}

// completeRequest adds the headers that a test leaves out because it is about others.
func (s *suite) completeRequest(m *model.Service, c *testCase, r *http.Request) {
	var given struct{ Name string }
	_ = json.Unmarshal(c.Given, &given) // service has read it before
	switch protocol, _ := s.Metadata["protocol"].(string); protocol {
	case "json":
		if r.Header.Get("X-Amz-Target") == "" {
			r.Header.Set("X-Amz-Target", m.Wire.Target+"."+given.Name)
		}
	case "query":
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
}

// expected brings the values of a test into the form of plain: blobs as base64, numbers
// as float64, and without nulls.
func (s *suite) expected(m *model.Service, given json.RawMessage, side string, values map[string]any) map[string]any {
	var op map[string]any
	_ = json.Unmarshal(given, &op)
	ref, ok := op[side].(map[string]any)
	if !ok {
		return map[string]any{}
	}
	out := newElement(m, &wire.StructureType, ref["shape"].(string)).(*structure)
	if err := fill(out, values); err != nil {
		return map[string]any{"error": err.Error()}
	}
	return plain(out)
}

// TestOutputVectors answers with the values that botocore's protocol tests expect a
// client to read, and compares the answer with theirs.
func TestOutputVectors(t *testing.T) {
	y := tally{known: outputExceptions, failed: map[string]bool{}}
	for _, s := range loadSuites(t, "output") {
		for i := range s.Cases {
			c := &s.Cases[i]
			y.check(t, s.file+"/"+c.ID, s.runOutput(t, c))
		}
	}
	y.report(t)
}

func (s *suite) runOutput(t *testing.T, c *testCase) error {
	m, op, err := s.service(c)
	if err != nil {
		return err
	}
	mux := newMux()
	var failure error
	mux.Handle(dynamic(m), handler(func(*wire.Call, string, wire.Struct) (wire.Struct, error) {
		if c.Error != nil {
			return nil, &lambda.Error{Code: c.ErrorCode, Message: c.ErrorMessage, Fields: textFields(c.Error)}
		}
		out := outputOf(m, op)
		if out == nil {
			return nil, nil
		}
		failure = fill(out, c.Result)
		return out, failure
	}), nil)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, s.anyRequest(m, op))
	if failure != nil {
		return failure
	}
	if s.Metadata["protocol"] == "query" && c.Error == nil {
		return s.compareXML(m, c, op, w)
	}
	return s.compareAnswer(t, c, w)
}

// compareXML reads our answer and theirs as a client does. The order of a map's entries
// is nobody's business.
func (s *suite) compareXML(m *model.Service, c *testCase, op string, w *httptest.ResponseRecorder) error {
	if w.Code != c.Response.StatusCode {
		return fmt.Errorf("status %d, want %d: %s", w.Code, c.Response.StatusCode, w.Body)
	}
	want := s.expected(m, c.Given, "output", c.Result)
	for _, body := range []string{c.Response.Body, w.Body.String()} {
		out := outputOf(m, op)
		if out == nil || body == "" {
			continue
		}
		tree, err := xmlTree([]byte(body))
		if err != nil {
			return err
		}
		answer := tree[0].(xmlNode)
		if answer.Name != op+"Response" || len(answer.Children) != 1 || answer.children()[0].Name != op+"Result" {
			return fmt.Errorf("not the answer of %s: %s", op, body)
		}
		if err := xmlDecode(answer.children()[0], out); err != nil {
			return fmt.Errorf("%w: %s", err, body)
		}
		if got := plain(out); !reflect.DeepEqual(got, want) {
			return fmt.Errorf("got %v, want %v: %s", got, want, body)
		}
	}
	return nil
}

// textFields returns the further members of an error.
func textFields(members map[string]any) map[string]string {
	fields := map[string]string{}
	for name, v := range members {
		if strings.EqualFold(name, "message") {
			continue
		}
		if text, ok := v.(string); ok {
			fields[name] = text
			continue
		}
		text, _ := json.Marshal(v)
		fields[name] = string(text)
	}
	return fields
}

// anyRequest is a request for an operation that any server lets through.
func (s *suite) anyRequest(m *model.Service, op string) *http.Request {
	o := m.Wire.Operations[0]
	switch m.Wire.Protocols {
	case wire.RestJSON:
		path := strings.NewReplacer("{", "", "}", "", "+", "").Replace(o.Path)
		return httptest.NewRequest(o.Method, "http://127.0.0.1"+path, nil)
	case wire.AWSQuery:
		r := httptest.NewRequest("POST", "http://127.0.0.1/", strings.NewReader("Action="+op))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	case wire.CBOR:
		r := httptest.NewRequest("POST", "http://127.0.0.1/service/"+m.Wire.Target+"/operation/"+op, nil)
		r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
		r.Header.Set("X-Amzn-Query-Mode", "true")
		return r
	}
	r := httptest.NewRequest("POST", "http://127.0.0.1/", nil)
	r.Header.Set("X-Amz-Target", m.Wire.Target+"."+op)
	r.Header.Set("X-Amzn-Query-Mode", "true")
	return r
}

func (s *suite) compareAnswer(t *testing.T, c *testCase, w *httptest.ResponseRecorder) error {
	t.Helper()
	if w.Code != c.Response.StatusCode {
		return fmt.Errorf("status %d, want %d: %s", w.Code, c.Response.StatusCode, w.Body)
	}
	for name, want := range c.Response.Headers {
		if got := w.Header().Get(name); got != want && name != "Content-Type" && name != "Content-Length" {
			return fmt.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	want := s.bytes(t, c.Response.Body)
	got := w.Body.Bytes()
	if bytes.Equal(got, want) {
		return nil
	}
	a, err := bodyTree(s.file, got)
	if err != nil {
		return fmt.Errorf("our body: %w: %q", err, got)
	}
	b, err := bodyTree(s.file, want)
	if err != nil {
		return fmt.Errorf("their body: %w: %q", err, want)
	}
	if !reflect.DeepEqual(a, b) {
		return fmt.Errorf("body %v, want %v", a, b)
	}
	return nil
}
