package lambda

import (
	"encoding/base64"
	"strings"
	"testing"
)

const invokePath = "/2015-03-31/functions/f/invocations"

func TestInvoke(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	r := h.do("POST", invokePath, `{"a":1}`)
	if r.status != 200 || r.body != `{"a":1}` || r.header.Get("X-Amz-Executed-Version") != "$LATEST" || r.header.Get("X-Amz-Function-Error") != "" ||
		r.header.Get("Content-Type") != "application/json" || r.header.Get("X-Amzn-Remapped-Content-Length") != "0" ||
		!strings.HasPrefix(r.header.Get("X-Amzn-Trace-Id"), "Root=1-") || r.header.Get("X-Amzn-Requestid") == "" {
		t.Errorf("first: %+v", r)
	}
	if why := r.header.Get("X-Weir-Reason"); !strings.HasPrefix(why, "cold start: first invocation") {
		t.Errorf("the first invocation's reason: %q", why)
	}
	if r := h.do("POST", invokePath, ""); r.body != "{}" || r.header.Get("X-Weir-Reason") != "" {
		t.Errorf("without a body: %+v", r)
	}
	r = h.do("POST", invokePath, `"fail"`, "X-Amz-Log-Type: Tail")
	if r.status != 200 || r.header.Get("X-Amz-Function-Error") != "Unhandled" || r.body != `{"errorMessage":"no","errorType":"Error"}` {
		t.Errorf("failed: %+v", r)
	}
	if log, err := base64.StdEncoding.DecodeString(r.header.Get("X-Amz-Log-Result")); err != nil || string(log) != "START\nEND\n" {
		t.Errorf("log tail: %q, %v", log, err)
	}
	if r := h.do("POST", invokePath, "", "X-Amz-Invocation-Type: DryRun"); r.status != 204 || r.body != "" || r.header.Get("X-Amz-Executed-Version") != "" {
		t.Errorf("dry run: %+v", r)
	}
	id := "5b0c1d0e-8f6a-4d1c-9a64-0d2f6f5f7d11"
	if r := h.do("POST", invokePath, "1", "X-Amzn-Requestid: "+id, "X-Amzn-Trace-Id: Root=1-2-3"); r.header.Get("X-Amzn-Requestid") != id || r.header.Get("X-Amzn-Trace-Id") != "Root=1-2-3;Lineage=1:7dab0677:0" {
		t.Errorf("given ids: %+v", r.header)
	}
}

func TestInvokeRefusals(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	const at = "\\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: "
	const parse = "Could not parse request body into json: Could not parse payload into json: "
	raw := func(message string) string { return `{"Type":"User","message":"` + message + `"}` }
	h.refuses([]refusal{
		{"missing", "POST", "/2015-03-31/functions/nope/invocations", "", 404, "ResourceNotFoundException", userCapital("Function not found: " + functionARN + "nope:$LATEST")},
		{"missing version", "POST", invokePath + "?Qualifier=7", "", 404, "ResourceNotFoundException", userCapital("Function not found: " + functionARN + "f:7")},
		{"not UTF-8", "POST", invokePath, "\"a\x87\"", 400, "InvalidRequestContentException", raw(parse + "Invalid UTF-8 start byte 0x87" + at + "4]")},
		{"not complete", "POST", invokePath, "[1", 400, "InvalidRequestContentException", raw(parse + "Unexpected end-of-input" + at + "4]")},
		{"empty name of a qualifier", "POST", "/2015-03-31/functions/f:/invocations", "", 400, "ValidationException", plain(`1 validation error detected: Value 'f:' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_\\.]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?`)},
		{"control character", "POST", invokePath, "\x19", 400, "InvalidRequestContentException", raw(parse + "Unexpected character ((CTRL-CHAR, code 25)): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')" + at + "2]")},
		{"malformed name", "POST", "/2015-03-31/functions/a%20b/invocations", "", 400, "ValidationException", plain(`1 validation error detected: Value 'a b' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_\\.]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?`)},
	})
	if r := h.do("POST", invokePath, "", "X-Amz-Invocation-Type: Later"); r.status != 400 || !strings.Contains(r.body, "Value 'Later' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: [") {
		t.Errorf("bad type: %+v", r)
	}
	if r := h.do("POST", invokePath, `"`+strings.Repeat("x", 6<<20)+`"`); r.status != 413 || r.header.Get("X-Amzn-Errortype") != "RequestEntityTooLargeException" ||
		r.body != `{"Message":"Request must be smaller than 6291456 bytes for the InvokeFunction operation"}` {
		t.Errorf("too large: %d %s", r.status, r.body)
	}
	if r := h.do("POST", invokePath, "", "X-Amz-Client-Context: e30=e"); r.status != 400 {
		t.Errorf("bad context: %+v", r)
	}
}

func TestThrottled(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	h.ok("PUT", "/2017-10-31/functions/f/concurrency", `{"ReservedConcurrentExecutions":0}`)
	r := h.do("POST", invokePath, "")
	if r.status != 429 || r.header.Get("X-Amzn-Errortype") != "TooManyRequestsException" ||
		r.body != `{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}` {
		t.Errorf("throttled: %+v", r)
	}
	if why := r.header.Get("X-Weir-Reason"); why != "throttled: reserved concurrency is 0: the function is turned off; raise or delete the reservation" {
		t.Errorf("the reason: %q", why)
	}
}

func TestWeightedAliasSplits(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	h.publish("f")
	h.ok("PUT", "/2015-03-31/functions/f/configuration", `{"Timeout":9}`)
	h.settled("f")
	h.publish("f")
	h.ok("POST", "/2015-03-31/functions/f/aliases", `{"Name":"canary","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"2":0.5}}}`)
	seen := map[string]int{}
	for range 100 { // both versions run, but for one time in 2^99
		seen[h.do("POST", invokePath+"?Qualifier=canary", "").header.Get("X-Amz-Executed-Version")]++
	}
	if len(seen) != 2 || seen["1"] == 0 || seen["2"] == 0 {
		t.Errorf("versions that ran: %v", seen)
	}
}

func TestInvokeWithResponseStream(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	const path = "/2021-11-15/functions/f/response-streaming-invocations"
	r := h.do("POST", path, `"abc"`)
	if r.status != 200 || r.header.Get("Content-Type") != "application/vnd.amazon.eventstream" || r.header.Get("X-Amz-Executed-Version") != "$LATEST" ||
		strings.Count(r.body, "PayloadChunk") != 5 || strings.Count(r.body, "InvokeComplete") != 1 {
		t.Errorf("stream: %+v", r)
	}
	if r := h.do("POST", path, `"fail"`); !strings.Contains(r.body, `"ErrorCode":"Unhandled"`) || !strings.Contains(r.body, `"ErrorDetails":"no"`) {
		t.Errorf("failed stream: %q", r.body)
	}
	h.ok("PUT", "/2017-10-31/functions/f/concurrency", `{"ReservedConcurrentExecutions":0}`)
	if r := h.do("POST", path, ""); r.status != 429 {
		t.Errorf("throttled stream: %+v", r)
	}
}
