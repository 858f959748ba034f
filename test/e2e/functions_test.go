//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// TestFunctions runs the same function in each language through all that can become of an
// invocation.
func TestFunctions(t *testing.T) {
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			l.on(t)
			a := newAccount(shared(t).url)
			a.create(t, function{name: "app", language: l, timeout: 1, memory: 512, variables: map[string]string{"GREETING": "good day", "TZ": ":America/Lima"}})
			t.Run("context", a.testContext)
			t.Run("environment", func(t *testing.T) { a.testEnvironment(t, l) })
			t.Run("state", a.testState)
			t.Run("log", a.testLog)
			t.Run("error", func(t *testing.T) { a.testError(t, l) })
			t.Run("exit", a.testExit)
			t.Run("timeout", a.testTimeout)
			t.Run("dry run", a.testDryRun)
		})
	}
}

func (a *account) testContext(t *testing.T) {
	var c struct {
		Request, ARN, Function, Version, Memory, Group, Stream string
		Remaining                                              int
		Client                                                 map[string]string
	}
	text, err := json.Marshal(map[string]any{"custom": map[string]string{"who": "me"}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := a.Invoke(t.Context(), &lambda.InvokeInput{
		FunctionName: aws.String("app"), Payload: []byte(`{"do": "context"}`), ClientContext: aws.String(base64.StdEncoding.EncodeToString(text)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Payload, &c); err != nil {
		t.Fatal(err)
	}
	if request, _ := requestID(out); c.Request != request {
		t.Errorf("the function's request id is %s, the client's %s", c.Request, request)
	}
	if c.Remaining <= 0 || c.Remaining > 1000 {
		t.Errorf("%d ms remain of a timeout of 1 s", c.Remaining)
	}
	if !regexp.MustCompile(`^\d{4}/\d\d/\d\d/.*\[\$LATEST\][0-9a-f]{32}$`).MatchString(c.Stream) {
		t.Errorf("log stream %q", c.Stream)
	}
	got := fmt.Sprint(c.ARN, c.Function, c.Version, c.Memory, c.Group, c.Client)
	want := fmt.Sprint("arn:aws:lambda:us-east-1:"+a.id+":function:app", "app", "$LATEST", "512", "/aws/lambda/app", map[string]string{"who": "me"})
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func (a *account) testEnvironment(t *testing.T, l language) {
	var got map[string]string
	a.do(t, "app", map[string]string{"do": "environment"}, &got)
	want := map[string]string{
		"GREETING": "good day", "TZ": ":America/Lima", "_HANDLER": "app.handler",
		"AWS_REGION": region, "AWS_DEFAULT_REGION": region, "AWS_ACCESS_KEY_ID": a.id,
		"AWS_LAMBDA_FUNCTION_NAME": "app", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
		"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/app",
	}
	if l.name != golang.name {
		want["AWS_EXECUTION_ENV"] = "AWS_Lambda_" + l.runtime
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s = %q, want %q", name, got[name], value)
		}
	}
	for _, name := range []string{"AWS_LAMBDA_RUNTIME_API", "AWS_ENDPOINT_URL", "LAMBDA_TASK_ROOT", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_LOG_STREAM_NAME", "PATH"} {
		if got[name] == "" {
			t.Errorf("%s is missing", name)
		}
	}
	for name := range maps.Keys(got) {
		if strings.HasPrefix(name, "WEIR_") || name == "HOME" && got[name] == "/root" {
			t.Errorf("the server's own variable %s reaches the function", name)
		}
	}
}

// testState checks that an environment keeps its memory from one invocation to the next.
func (a *account) testState(t *testing.T) {
	for want := 1; want <= 3; want++ {
		var got int
		a.do(t, "app", map[string]string{"do": "count"}, &got)
		if got != want {
			t.Fatalf("invocation %d of the environment counted %d", want, got)
		}
	}
}

func (a *account) testLog(t *testing.T) {
	out := a.do(t, "app", map[string]string{"do": "log", "text": "a line of its own"}, nil)
	if string(out.Payload) != "null" {
		t.Errorf("a function that returns nothing answered %s", out.Payload)
	}
	id, tail := requestID(out)
	want := regexp.MustCompile(`(?s)^START RequestId: ` + id + ` Version: \$LATEST\n.*a line of its own\n.*END RequestId: ` + id + `\n` +
		`REPORT RequestId: ` + id + `\tDuration: [0-9.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 512 MB\tMax Memory Used: \d+ MB`)
	if !want.MatchString(tail) {
		t.Errorf("log tail\n%s\ndoes not match\n%s", tail, want)
	}
}

// requestID returns the id of an invocation and its log tail.
func requestID(out *lambda.InvokeOutput) (id, tail string) {
	id, _ = middleware.GetRequestIDMetadata(out.ResultMetadata)
	text, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	if err != nil {
		return id, err.Error()
	}
	return id, string(text)
}

func (a *account) testError(t *testing.T, l language) {
	out := a.do(t, "app", map[string]string{"do": "fail", "text": "no luck"}, nil)
	if aws.ToString(out.FunctionError) != "Unhandled" || out.StatusCode != 200 {
		t.Fatalf("status %d, function error %v", out.StatusCode, aws.ToString(out.FunctionError))
	}
	var got struct {
		ErrorMessage, ErrorType, RequestID string
		StackTrace, Trace                  []string
	}
	if err := json.Unmarshal(out.Payload, &got); err != nil {
		t.Fatalf("%v: %s", err, out.Payload)
	}
	kinds := map[string]string{"python": "ValueError", "node": "RangeError", "go": "errorString"}
	if got.ErrorMessage != "no luck" || got.ErrorType != kinds[l.name] {
		t.Errorf("answered %s", out.Payload)
	}
	id, _ := requestID(out)
	switch {
	case l.name == "python" && (got.RequestID != id || !strings.Contains(strings.Join(got.StackTrace, ""), "/var/task/app.py")):
		t.Errorf("answered %s", out.Payload)
	case l.name == "node" && !strings.Contains(strings.Join(got.Trace, "\n"), "/var/task/app.mjs"):
		t.Errorf("answered %s", out.Payload)
	}
	// The environment lives on.
	var n int
	a.do(t, "app", map[string]string{"do": "count"}, &n)
	if n != 4 {
		t.Errorf("after an error the environment counts %d, not 4", n)
	}
}

func (a *account) testExit(t *testing.T) {
	a.wantFailure(t, map[string]any{"do": "exit"}, "Runtime.ExitError", "Runtime exited with error: exit status 3")
}

func (a *account) testTimeout(t *testing.T) {
	out := a.wantFailure(t, map[string]any{"do": "sleep", "ms": 5000}, "Sandbox.Timedout", "Task timed out after 1.00 seconds")
	if _, tail := requestID(out); !strings.Contains(tail, "Status: timeout") {
		t.Errorf("the log does not report the timeout:\n%s", tail)
	}
}

// wantFailure invokes what brings its environment down, and checks that the next invocation
// finds a new one.
func (a *account) wantFailure(t *testing.T, event any, kind, message string) *lambda.InvokeOutput {
	t.Helper()
	out := a.do(t, "app", event, nil)
	id, _ := requestID(out)
	want := fmt.Sprintf(`{"errorType":%q,"errorMessage":"RequestId: %s Error: %s"}`, kind, id, message)
	if aws.ToString(out.FunctionError) != "Unhandled" || string(out.Payload) != want {
		t.Errorf("function error %q:\ngot  %s\nwant %s", aws.ToString(out.FunctionError), out.Payload, want)
	}
	var n int
	a.do(t, "app", map[string]string{"do": "count"}, &n)
	if n != 1 {
		t.Errorf("the invocation after it counts %d, not 1", n)
	}
	return out
}

func (a *account) testDryRun(t *testing.T) {
	out, err := a.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("app"), InvocationType: "DryRun"})
	if err != nil {
		t.Fatal(err)
	}
	if out.StatusCode != 204 || len(out.Payload) != 0 || out.ExecutedVersion != nil {
		t.Errorf("status %d, payload %q, version %v", out.StatusCode, out.Payload, out.ExecutedVersion)
	}
}

// TestStream reads an answer while the function still writes it.
func TestStream(t *testing.T) {
	t.Parallel()
	node.on(t)
	const pause = time.Second
	a := newAccount(shared(t).url)
	a.create(t, function{name: "stream", language: node, code: script(t, "stream.mjs")})
	out, err := a.InvokeWithResponseStream(t.Context(), &lambda.InvokeWithResponseStreamInput{
		FunctionName: aws.String("stream"), Payload: fmt.Appendf(nil, `{"ms": %d}`, pause.Milliseconds()),
	})
	if err != nil {
		t.Fatal(err)
	}
	stream := out.GetStream()
	defer stream.Close()
	var text string
	var first, second time.Time
	complete := false
	for e := range stream.Events() {
		switch e := e.(type) {
		case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
			text += string(e.Value.Payload)
			if first.IsZero() {
				first = time.Now()
			}
			second = time.Now()
		case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
			complete = e.Value.ErrorCode == nil
		}
	}
	if err := stream.Err(); err != nil || text != "firstsecond" || !complete || aws.ToString(out.ExecutedVersion) != "$LATEST" {
		t.Errorf("streamed %q, complete: %v, %v, version %v", text, complete, err, aws.ToString(out.ExecutedVersion))
	}
	if gap := second.Sub(first); gap < pause/2 {
		t.Errorf("the parts came %v apart, and were written %v apart", gap, pause)
	}
}
