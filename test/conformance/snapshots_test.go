package conformance

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
)

// TestRequestSnapshots sends the request of every operation that an SDK knows, and writes
// what the handler got back into the form of the request: nothing may be lost, changed or
// unknown. So it also fails when the SDK knows more than the model.
func TestRequestSnapshots(t *testing.T) {
	y := tally{known: requestDrift, failed: map[string]bool{}, optional: true}
	for _, m := range sdkModules(t) {
		for _, s := range m.snapshots(t, "request_snapshot", ".request.snap") {
			y.check(t, m.id+"/"+s.name, m.request(s))
		}
	}
	y.report(t)
}

func (m *sdkModule) request(s snapshot) error {
	var in wire.Struct
	var unknown []string
	seen := ""
	desc := dynamic(m.model)
	for i := range desc.Operations {
		desc.Operations[i].Status = 0 // 204 would have no body
	}
	mux := newMux()
	mux.Handle(desc, handler(func(c *wire.Call, op string, i wire.Struct) (wire.Struct, error) {
		in, seen, unknown = i, op, c.Unknown
		return in, nil // echo
	}), nil)
	method, target, _ := strings.Cut(s.first, " ")
	r := httptest.NewRequest(method, "http://127.0.0.1"+target, bytes.NewReader(s.body))
	for name, value := range s.headers {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	if seen != s.name {
		return fmt.Errorf("reached the operation %q: status %d: %s", seen, w.Code, w.Body)
	}
	if len(unknown) > 0 {
		return fmt.Errorf("unknown members %v", unknown)
	}
	if in == nil {
		return nil
	}
	protocol := protocolOf(s)
	if protocol == "query" {
		return sameForm(in, string(s.body))
	}
	if protocol == "rest" {
		if err := sameTarget(m, s, in, target); err != nil {
			return err
		}
		if err := sameHeaders(in, s.headers, w.Header()); err != nil {
			return err
		}
	}
	return sameBody(protocol, w.Body.Bytes(), s.body)
}

// protocolOf tells the protocol of a message by its headers.
func protocolOf(s snapshot) string {
	switch ctype := s.headers["Content-Type"]; {
	case strings.Contains(ctype, "cbor"), s.headers["Smithy-Protocol"] != "":
		return "cbor"
	case strings.Contains(ctype, "form"):
		return "query"
	case strings.Contains(ctype, "x-amz-json"), s.headers["X-Amz-Target"] != "":
		return "json"
	}
	return "rest"
}

func sameBody(protocol string, got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	a, err := bodyTree(protocol, got)
	if err != nil {
		return fmt.Errorf("our body: %w: %q", err, got)
	}
	b, err := bodyTree(protocol, want)
	if err != nil {
		return fmt.Errorf("their body: %w: %q", err, want)
	}
	// A body without members is empty or {}; clients write and read both.
	if isEmpty(a) && isEmpty(b) {
		return nil
	}
	if !reflect.DeepEqual(a, b) {
		return fmt.Errorf("body %v, want %v", a, b)
	}
	return nil
}

func isEmpty(v any) bool {
	m, ok := v.(map[string]any)
	return v == nil || ok && len(m) == 0
}

// sameTarget rebuilds path and query string from the members that travel there.
func sameTarget(m *sdkModule, s snapshot, in wire.Struct, target string) error {
	i := slices.IndexFunc(m.model.Wire.Operations, func(o wire.Operation) bool { return o.Name == s.name })
	template, constant, _ := strings.Cut(m.model.Wire.Operations[i].Path, "?")
	query, err := url.ParseQuery(constant)
	if err != nil {
		return err
	}
	shape := in.WireShape()
	for i := range shape.Members {
		member := &shape.Members[i]
		name := member.Name
		if member.Wire != "" {
			name = member.Wire
		}
		values := texts(plainMember(member.Type, in.WireMember(i)))
		if t, ok := in.WireMember(i).(*wire.Opt[time.Time]); ok && t.OK {
			values = []string{t.V.Format("2006-01-02T15:04:05Z")}
		}
		switch member.In {
		case wire.InLabel:
			if len(values) != 1 {
				return fmt.Errorf("label %s has the values %v", name, values)
			}
			template = strings.ReplaceAll(template, "{"+name+"}", url.PathEscape(values[0]))
		case wire.InQuery:
			query[name] = append(query[name], values...)
		}
	}
	path, rest, _ := strings.Cut(target, "?")
	want, err := url.ParseQuery(rest)
	if err != nil {
		return err
	}
	if strings.Trim(path, "/") != strings.Trim(template, "/") || !reflect.DeepEqual(query, want) {
		return fmt.Errorf("target %s?%s, want %s", template, query.Encode(), target)
	}
	return nil
}

// texts returns a scalar or a list of scalars as text.
func texts(v any) []string {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		var out []string
		for _, item := range v {
			out = append(out, texts(item)...)
		}
		return out
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}
	}
	return []string{fmt.Sprint(v)}
}

// sameHeaders compares the headers that are members with those of the message.
func sameHeaders(s wire.Struct, want map[string]string, got http.Header) error {
	shape := s.WireShape()
	for i := range shape.Members {
		m := &shape.Members[i]
		if m.In != wire.InHeader || m.Wire == "Content-Type" {
			continue
		}
		name := http.CanonicalHeaderKey(m.Wire)
		if want[name] == "" || got.Get(name) != want[name] {
			return fmt.Errorf("header %s is %q, want %q", name, got.Get(name), want[name])
		}
	}
	return nil
}

// TestResponseSnapshots reads the answer of every operation as a client would, and writes
// it again.
func TestResponseSnapshots(t *testing.T) {
	y := tally{known: responseDrift, failed: map[string]bool{}, optional: true}
	for _, m := range sdkModules(t) {
		for _, s := range m.snapshots(t, "response_snapshot", ".response.snap") {
			y.check(t, m.id+"/"+s.name, m.response(s))
		}
	}
	y.report(t)
}

func (m *sdkModule) response(s snapshot) error {
	if i, _ := m.model.Operation(s.name); i == "" {
		if !slices.ContainsFunc(m.model.Wire.Operations, func(o wire.Operation) bool { return o.Name == s.name }) {
			return fmt.Errorf("the model has no operation %s", s.name)
		}
	}
	status, err := strconv.Atoi(s.first)
	if err != nil {
		return err
	}
	out := outputOf(m.model, s.name)
	if out == nil {
		return nil
	}
	// The decoders read requests: so the answer is sent as one, to an operation whose
	// input is its output.
	desc := dynamic(m.model)
	for i := range desc.Operations {
		o := &desc.Operations[i]
		o.Method, o.Path, o.Status = "POST", "/"+o.Name, 0 // a snapshot has 200, whatever the model says
	}
	desc.New = func(int) wire.Struct { return out }
	var unknown []string
	mux := newMux()
	mux.Handle(desc, handler(func(c *wire.Call, _ string, in wire.Struct) (wire.Struct, error) {
		unknown = c.Unknown
		return in, nil
	}), nil)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, m.requestOf(s))
	if w.Code != status {
		return fmt.Errorf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	if len(unknown) > 0 {
		return fmt.Errorf("unknown members %v", unknown)
	}
	if err := sameHeaders(out, s.headers, w.Header()); err != nil {
		return err
	}
	return sameBody(m.protocol(s), w.Body.Bytes(), s.body)
}

// protocol is the protocol of an answer.
func (m *sdkModule) protocol(s snapshot) string {
	if m.model.Wire.Protocols&wire.RestJSON != 0 {
		return "rest"
	}
	return protocolOf(s)
}

// requestOf makes a request that carries the headers and the body of an answer.
func (m *sdkModule) requestOf(s snapshot) *http.Request {
	target := "/"
	switch m.protocol(s) {
	case "rest":
		target = "/" + s.name
	case "cbor":
		target = "/service/" + m.model.Wire.Target + "/operation/" + s.name
	}
	r := httptest.NewRequest("POST", "http://127.0.0.1"+target, bytes.NewReader(s.body))
	for name, value := range s.headers {
		r.Header.Set(name, value)
	}
	if m.protocol(s) == "json" { // the snapshot shows another operation's for some
		r.Header.Set("X-Amz-Target", m.model.Wire.Target+"."+s.name)
	}
	return r
}

// TestErrorSnapshots raises every exception that an SDK knows, as a handler does, and
// compares the answer with the one the SDK expects.
func TestErrorSnapshots(t *testing.T) {
	y := tally{known: errorDrift, failed: map[string]bool{}, optional: true}
	for _, m := range sdkModules(t) {
		for _, s := range m.snapshots(t, "response_snapshot", ".error.snap") {
			y.check(t, m.id+"/"+s.name, m.error(s))
		}
	}
	y.report(t)
}

func (m *sdkModule) error(s snapshot) error {
	if !slices.ContainsFunc(m.model.Wire.Errors, func(e wire.ErrorShape) bool { return e.Code == s.name }) {
		return fmt.Errorf("the model has no exception %s", s.name)
	}
	status, err := strconv.Atoi(s.first)
	if err != nil {
		return err
	}
	tree, err := bodyTree(m.protocol(s), s.body)
	if err != nil {
		return err
	}
	want, _ := tree.(map[string]any)
	e := &lambda.Error{Code: s.name, Fields: textFields(want)}
	delete(e.Fields, "__type")
	for key, v := range want {
		if strings.EqualFold(key, "message") {
			e.Message = v.(string)
		}
	}
	if v := s.headers["Retry-After"]; v != "" {
		e = e.With("Retry-After", v)
	}
	mux := newMux()
	desc := dynamic(m.model)
	op := desc.Operations[0].Name
	desc.Operations[0].Method, desc.Operations[0].Path = "POST", "/"+op
	desc.New = func(int) wire.Struct { return nil }
	mux.Handle(desc, handler(func(*wire.Call, string, wire.Struct) (wire.Struct, error) { return nil, e }), nil)
	w := httptest.NewRecorder()
	s.name = op
	mux.ServeHTTP(w, m.requestOf(s))
	if w.Code != status {
		return fmt.Errorf("status %d, want %d", w.Code, status)
	}
	if v := s.headers["Retry-After"]; w.Header().Get("Retry-After") != v {
		return fmt.Errorf("Retry-After is %q, want %q", w.Header().Get("Retry-After"), v)
	}
	got, err := bodyTree(m.protocol(s), w.Body.Bytes())
	if err != nil {
		return err
	}
	if m.protocol(s) == "rest" { // the type travels in a header
		if w.Header().Get("X-Amzn-ErrorType") != e.Code {
			return fmt.Errorf("X-Amzn-ErrorType is %q", w.Header().Get("X-Amzn-ErrorType"))
		}
		delete(want, "__type")
	}
	if !reflect.DeepEqual(got, any(want)) {
		return fmt.Errorf("body %v, want %v", got, want)
	}
	return nil
}
