package wire_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weir-run/weir/aws/catalog"
	"github.com/weir-run/weir/aws/cloudwatch"
	awslambda "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/sns"
	"github.com/weir-run/weir/aws/sqs"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
)

// A functions is a Lambda of which a test replaces single operations.
type functions struct {
	awslambda.Unimplemented
	list    func(*wire.Call, *awslambda.ListFunctionsRequest) (*awslambda.ListFunctionsResponse, error)
	update  func(*wire.Call, *awslambda.UpdateFunctionConfigurationRequest) (*awslambda.FunctionConfiguration, error)
	reserve func(*wire.Call, *awslambda.PutFunctionConcurrencyRequest) (*awslambda.Concurrency, error)
}

func (f functions) ListFunctions(c *wire.Call, in *awslambda.ListFunctionsRequest) (*awslambda.ListFunctionsResponse, error) {
	return f.list(c, in)
}

func (f functions) UpdateFunctionConfiguration(c *wire.Call, in *awslambda.UpdateFunctionConfigurationRequest) (*awslambda.FunctionConfiguration, error) {
	return f.update(c, in)
}

func (f functions) PutFunctionConcurrency(c *wire.Call, in *awslambda.PutFunctionConcurrencyRequest) (*awslambda.Concurrency, error) {
	return f.reserve(c, in)
}

// wholeMux serves everything that is generated, and knows the rest.
func wholeMux(o wire.Options, f awslambda.API, raw map[string]wire.RawFunc) *wire.Mux {
	m := wire.NewMux(o)
	awslambda.Register(m, f, raw)
	sqs.Register(m, sqs.Unimplemented{}, nil)
	sns.Register(m, sns.Unimplemented{}, nil)
	cloudwatch.Register(m, nil, nil)
	catalog.Register(m)
	return m
}

func do(m http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w
}

const local = "http://127.0.0.1:4566"

func signedBy(key, region, service string) string {
	return "AWS4-HMAC-SHA256 Credential=" + key + "/20261121/" + region + "/" + service + "/aws4_request, SignedHeaders=host, Signature=00"
}

func TestRouting(t *testing.T) {
	m := wholeMux(wire.Options{}, awslambda.Unimplemented{}, nil)
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		want                     string // in the answer
	}{
		{"restJson1", "GET", "/2015-03-31/functions", "", nil, "operation ListFunctions of lambda"},
		{"a trailing slash", "GET", "/2015-03-31/functions/", "", nil, "operation ListFunctions of lambda"},
		{"many trailing slashes", "GET", "/2015-03-31/functions//", "", nil, "operation ListFunctions of lambda"},
		{"a label", "GET", "/2015-03-31/functions/f", "", nil, "operation GetFunction of lambda"},
		{"an ARN as label", "GET", "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/", "", nil, "operation GetFunction of lambda"},
		{"a demanded parameter", "GET", "/2019-09-30/functions/f/provisioned-concurrency?List=ALL", "", nil, "operation ListProvisionedConcurrencyConfigs of lambda"},
		{"the same path without it", "GET", "/2019-09-30/functions/f/provisioned-concurrency?Qualifier=1", "", nil, "operation GetProvisionedConcurrencyConfig of lambda"},
		{"known, not generated", "GET", "/2018-10-31/layers?find=LayerVersion&Arn=x", "", nil, "operation GetLayerVersionByArn of lambda"},
		{"an unknown path", "GET", "/nothing/here", "", nil, "GET /nothing/here is not an operation"},
		{"an unknown method", "PATCH", "/2015-03-31/functions", "", nil, "PATCH /2015-03-31/functions is not an operation"},
		{"a service of the catalogue", "GET", "/v2/apis", "", nil, "operation GetApis of apigatewayv2"},
		{"the scope decides", "GET", "/v2/apis", "", []string{"Authorization", signedBy("AKID", "us-east-1", "lambda")}, "GET /v2/apis is not an operation"},
		{"the host decides", "GET", "http://lambda.us-east-1.amazonaws.com/v2/apis", "", nil, "GET /v2/apis is not an operation"},
		{"an unknown service", "GET", "/", "", []string{"Authorization", signedBy("AKID", "us-east-1", "ec2")}, "weir does not serve the service 'ec2'"},
		{"an unknown host", "GET", "http://ec2.us-east-1.amazonaws.com/", "", nil, "weir does not serve the service 'ec2'"},
		{"awsJson", "POST", "/", "{}", []string{"X-Amz-Target", "AmazonSQS.ListQueues"}, "operation ListQueues of sqs"},
		{"awsJson of the catalogue", "POST", "/", "{}", []string{"X-Amz-Target", "DynamoDB_20120810.ListTables"}, "operation ListTables of dynamodb"},
		{"an unknown target", "POST", "/", "{}", []string{"X-Amz-Target", "Nothing.Do"}, "weir does not serve the X-Amz-Target 'Nothing.Do'"},
		{"an unknown operation of a target", "POST", "/", "{}", []string{"X-Amz-Target", "AmazonSQS.Do"}, "sqs has no operation 'Do'"},
		{"Kinesis' own CBOR", "POST", "/", "", []string{"X-Amz-Target", "Kinesis_20131202.PutRecord", "Content-Type", "application/x-amz-cbor-1.1"}, "AWS_CBOR_DISABLE"},
		{"rpc-v2-cbor", "POST", "/service/GraniteServiceVersion20100801/operation/ListMetrics", "\xa0", []string{"Smithy-Protocol", "rpc-v2-cbor"}, "operation ListMetrics of cloudwatch"},
		{"another RPC protocol", "POST", "/service/GraniteServiceVersion20100801/operation/ListMetrics", "", []string{"Smithy-Protocol", "rpc-v2-json"}, "weir does not speak the protocol 'rpc-v2-json'"},
		{"a service without CBOR", "POST", "/service/AmazonSQS/operation/ListQueues", "", []string{"Smithy-Protocol", "rpc-v2-cbor"}, "sqs does not speak rpc-v2-cbor"},
		{"awsQuery by version", "POST", "/", "Action=ListTopics&Version=2010-03-31", []string{"Content-Type", form}, "operation ListTopics of sns"},
		{"awsQuery by scope", "POST", "/", "Action=ListQueues", []string{"Content-Type", form + "; charset=utf-8", "Authorization", signedBy("A", "r-1", "sqs")}, "operation ListQueues of sqs"},
		{"awsQuery at a queue's URL", "POST", "/000000000000/q", "Action=SendMessage&Version=2012-11-05", []string{"Content-Type", form}, "operation SendMessage of sqs"},
		{"awsQuery in the URL", "GET", "/?Action=GetCallerIdentity&Version=2011-06-15", "", nil, "operation GetCallerIdentity of sts"},
		{"an unknown action", "POST", "/", "Action=Do&Version=2010-03-31", []string{"Content-Type", form}, "No service has the Action 'Do'"},
		{"a form at a REST path is no awsQuery", "POST", "/2015-03-31/functions/f/invocations", "{}", []string{"Content-Type", form}, "operation Invoke of lambda"},
	} {
		target := c.path
		if strings.HasPrefix(target, "/") {
			target = local + target
		}
		w := do(m, c.method, target, c.body, c.headers...)
		if w.Code < 400 || w.Code >= 500 || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: status %d: %q, want %q", c.name, w.Code, w.Body, c.want)
		}
		if len(w.Header().Get("X-Amzn-RequestId")) != 36 {
			t.Errorf("%s: request id %q", c.name, w.Header().Get("X-Amzn-RequestId"))
		}
	}
}

// TestScope checks whose resources a request means.
func TestScope(t *testing.T) {
	var seen wire.Call
	m := wholeMux(wire.Options{Account: "111111111111", Region: "eu-west-3"}, functions{
		list: func(c *wire.Call, in *awslambda.ListFunctionsRequest) (*awslambda.ListFunctionsResponse, error) {
			seen.Scope, seen.AccessKey, seen.RequestID = c.Scope, c.AccessKey, c.RequestID
			return nil, nil
		},
	}, nil)
	const path = "/2015-03-31/functions"
	for _, c := range []struct {
		name, target string
		headers      []string
		want         lambda.Scope
		key          string
	}{
		{"anonymous", local + path, nil, lambda.Scope{Account: "111111111111", Region: "eu-west-3"}, ""},
		{"signed", local + path, []string{"Authorization", signedBy("AKID", "us-east-2", "lambda")}, lambda.Scope{Account: "111111111111", Region: "us-east-2"}, "AKID"},
		{"the key is an account", local + path, []string{"Authorization", signedBy("222222222222", "us-east-2", "lambda")}, lambda.Scope{Account: "222222222222", Region: "us-east-2"}, "222222222222"},
		{"the host names the region", "http://lambda.ap-south-1.amazonaws.com" + path, nil, lambda.Scope{Account: "111111111111", Region: "ap-south-1"}, ""},
		{"presigned", local + path + "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20261121%2Fus-west-1%2Flambda%2Faws4_request", nil,
			lambda.Scope{Account: "111111111111", Region: "us-west-1"}, "AKID"},
		{"another scheme", local + path, []string{"Authorization", "Bearer x"}, lambda.Scope{Account: "111111111111", Region: "eu-west-3"}, ""},
	} {
		if w := do(m, "GET", c.target, "", c.headers...); w.Code != 200 {
			t.Errorf("%s: status %d: %s", c.name, w.Code, w.Body)
		}
		if seen.Scope != c.want || seen.AccessKey != c.key {
			t.Errorf("%s: %v, key %q, want %v, key %q", c.name, seen.Scope, seen.AccessKey, c.want, c.key)
		}
	}
	for _, region := range []string{"US-EAST-1", "us east", "a.b", strings.Repeat("a", 33)} {
		if w := do(m, "GET", local+path, "", "Authorization", signedBy("AKID", region, "lambda")); w.Code != 403 {
			t.Errorf("the region %q: status %d", region, w.Code)
		}
	}
	const given = "8f6a8a0b-9c1d-4e2f-8a3b-4c5d6e7f8a9b"
	if w := do(m, "GET", local+path, "", "x-amzn-RequestId", given); w.Header().Get("X-Amzn-RequestId") != given || seen.RequestID != given {
		t.Errorf("the given request id became %q and %q", w.Header().Get("X-Amzn-RequestId"), seen.RequestID)
	}
	if do(m, "GET", local+path, "", "x-amzn-RequestId", "no uuid"); seen.RequestID == "no uuid" {
		t.Error("a request id that is no UUID was taken")
	}
}

// TestErrors checks the body of errors of Lambda, byte for byte.
func TestErrors(t *testing.T) {
	var fail error
	var log bytes.Buffer
	m := wholeMux(wire.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, functions{
		list: func(c *wire.Call, _ *awslambda.ListFunctionsRequest) (*awslambda.ListFunctionsResponse, error) {
			if fail == nil {
				panic("a bug")
			}
			return nil, fail
		},
	}, nil)
	for _, c := range []struct {
		name   string
		err    error
		status int
		body   string
	}{
		{"throttled", lambda.Errorf(lambda.CodeTooManyRequests, "Rate Exceeded.").With("Type", "User").
			With("Reason", "ReservedFunctionConcurrentInvocationLimitExceeded").With("Retry-After", "1"), 429,
			`{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}`},
		{"not found", lambda.Errorf(lambda.CodeResourceNotFound, "Function not found: x").With("Type", "User"), 404,
			`{"Type":"User","Message":"Function not found: x"}`},
		{"without a Type", lambda.Errorf(lambda.CodeInvalidParameterValue, "no"), 400, `{"message":"no"}`},
		{"wrapped", errors.Join(lambda.Errorf(lambda.CodeResourceConflict, "busy")), 409, `{"message":"busy"}`},
		{"in AWS in general", lambda.Errorf("AccessDeniedException", "no"), 403, `{"Message":"no"}`},
		{"without a text", &lambda.Error{Code: "AccessDeniedException"}, 403, `{}`},
		{"in no model", lambda.Errorf("MadeUpException", "no"), 400, `{"message":"no"}`},
		{"internal", io.ErrUnexpectedEOF, 500, ""},
		{"a nil pointer", (*lambda.Error)(nil), 500, ""},
		{"a panic", nil, 500, ""},
	} {
		fail = c.err
		log.Reset()
		w := do(m, "GET", local+"/2015-03-31/functions", "")
		if w.Code != c.status || c.body != "" && w.Body.String() != c.body {
			t.Errorf("%s: status %d: %s, want %d: %s", c.name, w.Code, w.Body, c.status, c.body)
		}
		if code := errorCode(c.err); w.Header().Get("X-Amzn-ErrorType") != code {
			t.Errorf("%s: X-Amzn-ErrorType is %q, want %q", c.name, w.Header().Get("X-Amzn-ErrorType"), code)
		}
		lines := strings.Count(log.String(), "\n")
		if internal := c.status == 500; internal != (lines == 1) {
			t.Errorf("%s: %d lines are logged: %s", c.name, lines, log.String())
		}
		if c.status == 500 {
			id := w.Header().Get("X-Amzn-RequestId")
			want := `{"Type":"Service","Message":"weir failed to serve this request; its log has the cause under the request id ` + id + `"}`
			if w.Body.String() != want || !strings.Contains(log.String(), id) {
				t.Errorf("%s: %s, want %s; log %s", c.name, w.Body, want, log.String())
			}
		}
	}
	fail = lambda.Errorf(lambda.CodeTooManyRequests, "x").With("retryAfterSeconds", "7")
	if w := do(m, "GET", local+"/2015-03-31/functions", ""); w.Header().Get("Retry-After") != "7" || strings.Contains(w.Body.String(), "7") {
		t.Errorf("Retry-After is %q: %s", w.Header().Get("Retry-After"), w.Body)
	}
}

func errorCode(err error) string {
	var e *lambda.Error
	if errors.As(err, &e) && e != nil {
		return e.Code
	}
	return lambda.CodeService
}

// TestUnknownMembers checks that a service sees what it cannot serve.
func TestUnknownMembers(t *testing.T) {
	var seen []string
	m := wholeMux(wire.Options{}, functions{
		update: func(c *wire.Call, _ *awslambda.UpdateFunctionConfigurationRequest) (*awslambda.FunctionConfiguration, error) {
			seen = append(seen, c.Unknown...)
			return nil, nil
		},
		list: func(c *wire.Call, _ *awslambda.ListFunctionsRequest) (*awslambda.ListFunctionsResponse, error) {
			seen = append(seen, c.Unknown...)
			return nil, nil
		},
	}, nil)
	do(m, "PUT", local+"/2015-03-31/functions/f/configuration?x-id=Update&Force=1&X-Amz-Date=x", `{"Timeout":3,"Turbo":true,"VpcConfig":{"Ipv9":1}}`)
	if want := "?Force Turbo VpcConfig.Ipv9"; strings.Join(seen, " ") != want {
		t.Errorf("unknown are %v, want %s", seen, want)
	}
	seen = nil
	do(m, "GET", local+"/2015-03-31/functions?Sort=1", `{"Filter":"x"}`)
	if want := "?Sort Filter"; strings.Join(seen, " ") != want {
		t.Errorf("where no member travels in the body, unknown are %v, want %s", seen, want)
	}
}

func TestAnswers(t *testing.T) {
	var status int
	m := wholeMux(wire.Options{}, functions{
		list: func(c *wire.Call, _ *awslambda.ListFunctionsRequest) (*awslambda.ListFunctionsResponse, error) {
			c.SetStatus(status)
			c.Header().Set("X-Extra", "yes")
			return &awslambda.ListFunctionsResponse{}, nil
		},
		reserve: func(_ *wire.Call, in *awslambda.PutFunctionConcurrencyRequest) (*awslambda.Concurrency, error) {
			return &awslambda.Concurrency{ReservedConcurrentExecutions: in.ReservedConcurrentExecutions}, nil
		},
	}, nil)
	w := do(m, "PUT", local+"/2017-10-31/functions/f/concurrency", `{"ReservedConcurrentExecutions":0}`)
	if w.Code != 200 || w.Body.String() != `{"ReservedConcurrentExecutions":0}` || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("status %d, %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	if w = do(m, "GET", local+"/2015-03-31/functions", ""); w.Code != 200 || w.Body.String() != "{}" || w.Header().Get("X-Extra") != "yes" {
		t.Errorf("status %d: %q", w.Code, w.Body)
	}
	if status = 204; do(m, "GET", local+"/2015-03-31/functions", "").Body.Len() != 0 {
		t.Error("an answer of status 204 has a body")
	}
}

// A checked Lambda answers one violated constraint in its own way.
type checked struct{ awslambda.Unimplemented }

func (checked) Violated(c *wire.Call, in wire.Struct, message string) error {
	if _, ok := in.(*awslambda.CreateFunctionRequest); ok {
		return lambda.Errorf(lambda.CodeInvalidParameterValue, "%s", message)
	}
	return nil
}

func TestChecker(t *testing.T) {
	m := wholeMux(wire.Options{}, checked{}, nil)
	if w := do(m, "POST", local+"/2015-03-31/functions", `{}`); w.Header().Get("X-Amzn-ErrorType") != lambda.CodeInvalidParameterValue {
		t.Errorf("%s: %s", w.Header().Get("X-Amzn-ErrorType"), w.Body)
	}
	if w := do(m, "POST", local+"/2015-03-31/event-source-mappings", `{}`); w.Header().Get("X-Amzn-ErrorType") != lambda.CodeValidation {
		t.Errorf("%s: %s", w.Header().Get("X-Amzn-ErrorType"), w.Body)
	}
}

func gzipped(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestBodies(t *testing.T) {
	var got string
	m := wholeMux(wire.Options{}, awslambda.Unimplemented{}, map[string]wire.RawFunc{"Invoke": func(c *wire.Call) error {
		body, err := c.Body()
		got = string(body)
		return err
	}})
	const path = local + "/2015-03-31/functions/f/invocations"
	const limit = lambda.MaxSyncRequest
	const tooLarge = `{"Message":"Request must be smaller than 6291456 bytes for the InvokeFunction operation"}`
	for _, c := range []struct {
		name, body string
		headers    []string
		status     int
		answer     string
	}{
		{"plain", "hello", nil, 200, ""},
		{"gzip", gzipped(t, "hello"), []string{"Content-Encoding", "gzip"}, 200, ""},
		{"empty", "", []string{"Content-Encoding", "gzip"}, 200, ""},
		{"no gzip", "hello", []string{"Content-Encoding", "gzip"}, 400, `{"Message":"The body is not gzip"}`},
		{"broken gzip", gzipped(t, "hello")[:20], []string{"Content-Encoding", "gzip"}, 400, `{"Message":"The body is not gzip"}`},
		{"another encoding", "hello", []string{"Content-Encoding", "br"}, 415, `{"message":"Content-Encoding br is not supported"}`},
		{"just small enough", strings.Repeat("x", limit), nil, 200, ""},
		{"too large", strings.Repeat("x", limit+1), nil, 413, tooLarge},
		{"too large unpacked", gzipped(t, strings.Repeat("x", limit+1)), []string{"Content-Encoding", "gzip"}, 413, tooLarge},
	} {
		got = ""
		w := do(m, "POST", path, c.body, c.headers...)
		if w.Code != c.status || w.Body.String() != c.answer {
			t.Errorf("%s: status %d: %s", c.name, w.Code, w.Body)
		}
		if c.status == 200 && c.name != "just small enough" && got != "hello" && c.body != "" {
			t.Errorf("%s: read %q", c.name, got)
		}
	}
	if w := do(m, "POST", path, strings.Repeat("x", limit+1)); w.Header().Get("X-Amzn-ErrorType") != "RequestEntityTooLargeException" {
		t.Errorf("X-Amzn-ErrorType is %q", w.Header().Get("X-Amzn-ErrorType"))
	}
	r := httptest.NewRequest("POST", path, io.MultiReader(strings.NewReader(strings.Repeat("x", limit)), strings.NewReader("y")))
	r.ContentLength = -1 // chunked
	w := httptest.NewRecorder()
	if m.ServeHTTP(w, r); w.Code != 413 {
		t.Errorf("a chunked body that is too large: status %d", w.Code)
	}
}

func TestRawHook(t *testing.T) {
	fail := error(nil)
	m := wholeMux(wire.Options{}, awslambda.Unimplemented{}, map[string]wire.RawFunc{"Invoke": func(c *wire.Call) error {
		name, err := c.Label(0)
		if err != nil {
			return err
		}
		qualifier, ok := c.Query("Qualifier")
		if fail != nil {
			return fail
		}
		c.Header().Set("X-Amz-Executed-Version", qualifier)
		c.WriteHeader(202)
		if !ok || c.Operation.Name != "Invoke" {
			t.Errorf("operation %s, qualifier %v", c.Operation.Name, ok)
		}
		_, err = io.WriteString(c, name)
		return err
	}})
	w := do(m, "POST", local+"/2015-03-31/functions/my%2Dfn/invocations/?Qualifier=%24LATEST", "")
	if w.Code != 202 || w.Body.String() != "my-fn" || w.Header().Get("X-Amz-Executed-Version") != "$LATEST" {
		t.Errorf("status %d, version %q: %s", w.Code, w.Header().Get("X-Amz-Executed-Version"), w.Body)
	}
	fail = lambda.Errorf(lambda.CodeTooManyRequests, "Rate Exceeded.")
	if w = do(m, "POST", local+"/2015-03-31/functions/f/invocations", ""); w.Code != 429 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if w = do(m, "POST", local+"/2015-03-31/functions/f/invocations?Qualifier=%zz", ""); w.Header().Get("X-Amzn-ErrorType") != "SerializationException" {
		t.Errorf("a broken query string: status %d: %s", w.Code, w.Body)
	}
	if w = do(m, "POST", local+"/2015-03-31/functions/%ff/invocations", ""); w.Header().Get("X-Amzn-ErrorType") != "SerializationException" {
		t.Errorf("a path that is not UTF-8: status %d: %s", w.Code, w.Body)
	}
}

// TestBrokenOffAnswer checks that an answer that fails half-way does not look whole.
func TestBrokenOffAnswer(t *testing.T) {
	var log bytes.Buffer
	m := wholeMux(wire.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, awslambda.Unimplemented{}, map[string]wire.RawFunc{"Invoke": func(c *wire.Call) error {
		if _, err := io.WriteString(c, "half"); err != nil {
			return err
		}
		c.Flush()
		return io.ErrUnexpectedEOF
	}})
	srv := httptest.NewServer(m)
	defer srv.Close()
	res, err := http.Post(srv.URL+"/2015-03-31/functions/f/invocations", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("the answer seems whole: %q", body)
	}
	srv.Close() // waits for the handler, and so for its log
	if !strings.Contains(log.String(), "unexpected EOF") {
		t.Errorf("log: %s", log.String())
	}
}

func TestSite(t *testing.T) {
	site := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "site "+r.URL.Path) })
	m := wholeMux(wire.Options{Site: site}, awslambda.Unimplemented{}, nil)
	if w := do(m, "GET", local+"/_weir/health", ""); w.Body.String() != "site /_weir/health" {
		t.Errorf("%q", w.Body)
	}
	if w := do(wholeMux(wire.Options{}, nil, nil), "GET", local+"/_weir/health", ""); w.Code != 404 {
		t.Errorf("without a site: status %d", w.Code)
	}
}

// TestQueryErrors checks errors in awsQuery, and their codes in the protocols that came after.
func TestQueryErrors(t *testing.T) {
	m := wire.NewMux(wire.Options{})
	sqs.Register(m, goneQueue{}, nil)
	w := do(m, "POST", local+"/", "Action=GetQueueUrl&QueueName=q&Version=2012-11-05", "Content-Type", "application/x-www-form-urlencoded")
	want := `<ErrorResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><Error><Type>Sender</Type><Code>AWS.SimpleQueueService.NonExistentQueue</Code>` +
		`<Message>The specified queue does not exist.</Message></Error><RequestId>` + w.Header().Get("X-Amzn-RequestId") + `</RequestId></ErrorResponse>`
	if w.Code != 400 || w.Body.String() != want || w.Header().Get("Content-Type") != "text/xml" {
		t.Errorf("status %d, %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	w = do(m, "POST", local+"/", `{"QueueName":"q"}`, "X-Amz-Target", "AmazonSQS.GetQueueUrl", "X-Amzn-Query-Mode", "true", "Content-Type", "application/x-amz-json-1.0")
	if got := w.Header().Get("X-Amzn-Query-Error"); got != "AWS.SimpleQueueService.NonExistentQueue;Sender" {
		t.Errorf("X-Amzn-Query-Error is %q", got)
	}
	var body map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body["__type"] != "com.amazonaws.sqs#QueueDoesNotExist" {
		t.Errorf("%v: %s", err, w.Body)
	}
	if w = do(m, "POST", local+"/", `{}`, "X-Amz-Target", "AmazonSQS.GetQueueUrl"); w.Header().Get("X-Amzn-Query-Error") != "" {
		t.Error("X-Amzn-Query-Error is sent to a client that did not ask")
	}
}

type goneQueue struct{ sqs.Unimplemented }

func (goneQueue) GetQueueUrl(*wire.Call, *sqs.GetQueueUrlRequest) (*sqs.GetQueueUrlResult, error) {
	return nil, lambda.Errorf("QueueDoesNotExist", "The specified queue does not exist.")
}

func TestHandleMistakes(t *testing.T) {
	for name, f := range map[string]func(m *wire.Mux){
		"a hook of no operation": func(m *wire.Mux) { awslambda.Register(m, nil, map[string]wire.RawFunc{"Nothing": nil}) },
		"a service twice":        func(m *wire.Mux) { sqs.Register(m, nil, nil); sqs.Register(m, nil, nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is accepted", name)
				}
			}()
			f(wire.NewMux(wire.Options{}))
		}()
	}
}
