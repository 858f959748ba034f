package environment

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-run/weir/lambda"
)

// startGo starts an environment of the function on AWS's Go client.
func startGo(t testing.TB, h *Host, v lambda.Version) *liveEnvironment {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Link(program, filepath.Join(dir, "bootstrap")); err != nil {
		t.Skipf("the test binary is on another file system than its temporary directory: %v", err)
	}
	v.Runtime = "provided.al2023"
	if v.Handler == "" {
		v.Handler = "bootstrap"
	}
	e := startSpec(t, h, Spec{Scope: testScope, Version: &v, Code: dir})
	if i := e.waitReady(); i.Err != nil {
		t.Fatal(i.Err)
	}
	return e
}

func TestGoFunction(t *testing.T) { eachHost(t, testGoFunction) }

func testGoFunction(t *testing.T, h *Host) {
	e := startGo(t, h, lambda.Version{TimeoutSec: 10})
	tests := []struct{ event, want, errorType string }{
		{`{"do":"echo"}`, `{"do":"echo","size":0}`, ""},
		{`{"do":"error"}`, `{"errorMessage":"as ordered","errorType":"errorString"}`, "errorString"},
		{`{"do":"exit"}`, `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited with error: exit status 3"}`, "Runtime.ExitError"},
		{`{"do":"print"}`, `{"do":"print","size":0}`, ""},
		{`{"do":"context"}`, `["ID","arn:aws:lambda:us-east-1:123456789012:function:fn:live",{"k":"v"},true,"fn",512,"Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1"]`, ""},
		{`{"do":"large","size":6291554}`, `"` + strings.Repeat("x", 6291554) + `"`, ""},
		{`{"do":"large","size":6291555}`, `{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}`, "Function.ResponseSizeTooLarge"},
		{`{"do":"echo"}`, `{"do":"echo","size":0}`, ""},
		{`{"do":` + strings.Repeat(" ", lambda.MaxSyncRequest-16) + `"echo"}`, `{"do":"echo","size":0}`, ""},
	}
	for _, tt := range tests {
		inv := e.invocation(tt.event)
		inv.LogTail = true
		inv.Qualifier = "live"
		inv.ClientContext = `{"custom":{"k":"v"}}`
		o := e.Invoke(inv)
		e.waitIdle()
		if got := anonymous(string(o.Payload), inv.RequestID); got != tt.want || o.ErrorType != tt.errorType {
			t.Errorf("%.60s: %.300s %s, want %.300s %s", tt.event, got, o.ErrorType, tt.want, tt.errorType)
		}
		if tt.event == `{"do":"print"}` && !strings.Contains(string(o.LogTail), "$LATEST\nprinted\nno line end\nEND ") {
			t.Errorf("%s", o.LogTail)
		}
	}
}

// A panic is answered with its stack; the process exits, and the next invocation has a new one.
func TestGoPanic(t *testing.T) { eachHost(t, testGoPanic) }

func testGoPanic(t *testing.T, h *Host) {
	e := startGo(t, h, lambda.Version{})
	o, r := e.call(`{"do":"panic"}`)
	if !strings.HasPrefix(string(o.Payload), `{"errorMessage":"as ordered","errorType":"string","stackTrace":[{"path":`) || o.ErrorType != "string" {
		t.Errorf("%s", o.Payload)
	}
	if r.Status != Failed || r.ErrorType != typeExit {
		t.Errorf("%+v", r)
	}
	if o, r := e.call(`{"do":"echo"}`); o.FunctionError != "" || r.Status != Success {
		t.Errorf("%s %+v", o.Payload, r)
	}
}

// A function that takes too long is killed; what it left in /tmp stays.
func TestGoTimeout(t *testing.T) { eachHost(t, testGoTimeout) }

func testGoTimeout(t *testing.T, h *Host) {
	e := startGo(t, h, lambda.Version{TimeoutSec: 1})
	e.call(`{"do":"leave"}`)
	o, r := e.call(`{"do":"sleep"}`)
	checkOutcome(t, o, "Sandbox.Timedout",
		`{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 00000000-0000-4000-8000-000000000002 Error: Task timed out after 1.00 seconds"}`)
	if r.Status != Timeout {
		t.Errorf("%+v", r)
	}
	if o, _ := e.call(`{"do":"find"}`); string(o.Payload) != `"behind"` {
		t.Errorf("%s", o.Payload)
	}
}

func TestGoStream(t *testing.T) { eachHost(t, testGoStream) }

func testGoStream(t *testing.T, h *Host) {
	e := startGo(t, h, lambda.Version{Handler: "stream"})
	const whole = "{\"statusCode\":200}\x00\x00\x00\x00\x00\x00\x00\x00streamed"
	var s sink
	if o := e.InvokeStream(e.invocation(`{}`), &s); s.String() != whole || o.FunctionError != "" || len(o.Payload) != 0 {
		t.Errorf("%q %+v", s.String(), o)
	}
	e.waitIdle()
	if o, _ := e.call(`{}`); string(o.Payload) != whole {
		t.Errorf("%q", o.Payload)
	}
	if o, _ := e.call(`{"do":"error"}`); string(o.Payload) != `{"errorMessage":"mid stream","errorType":"errorString"}` || o.ErrorType != "errorString" || o.FunctionError != unhandled {
		t.Errorf("%q %+v", o.Payload, o)
	}
}

// A bootstrap in shell, with one connection for each request.
func TestShellBootstrap(t *testing.T) { eachHost(t, testShellBootstrap) }

func testShellBootstrap(t *testing.T, h *Host) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip(err)
	}
	e := startFunction(t, h, lambda.Version{Runtime: "provided.al2", Handler: "any text"}, map[string]string{
		"bootstrap": `#!/bin/sh
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime
while true; do
	event=$(curl -sS -D "${TMPDIR:-/tmp}/head" "$api/invocation/next") || exit 1
	id=$(grep -i lambda-runtime-aws-request-id "${TMPDIR:-/tmp}/head" | tr -d '\r' | cut -d' ' -f2)
	echo "handler $_HANDLER"
	curl -sS -o /dev/null --data "$event" "$api/invocation/$id/response"
done
`})
	e.waitReady()
	for range 2 {
		o, r := e.call(`{"a":1}`)
		if string(o.Payload) != `{"a":1}` || r.Status != Success || !strings.Contains(string(o.LogTail), "\nhandler any text\nEND") {
			t.Errorf("%s %+v\n%s", o.Payload, r, o.LogTail)
		}
	}
}

// A package without a bootstrap, or with one that cannot be run.
func TestNoBootstrap(t *testing.T) { eachHost(t, testNoBootstrap) }

func testNoBootstrap(t *testing.T, h *Host) {
	tests := []struct {
		files map[string]string
		text  string
	}{
		{map[string]string{"other": "#!/bin/sh\n"}, "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"},
		{map[string]string{"bootstrap": "not executable"}, "fork/exec /var/task/bootstrap: permission denied"},
		{map[string]string{"bootstrap/x": "a directory"}, "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"},
		{map[string]string{"bootstrap": "#!/nowhere\n"}, "fork/exec /var/task/bootstrap: no such file or directory"},
	}
	for _, tt := range tests {
		e := startFunction(t, h, lambda.Version{Runtime: "provided.al2023", Handler: "x"}, tt.files)
		if i := e.waitReady(); i.Err == nil {
			t.Error("INIT succeeded")
		}
		o, r := e.call(`{}`)
		checkOutcome(t, o, "Runtime.InvalidEntrypoint",
			`{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: 00000000-0000-4000-8000-000000000001 Error: `+tt.text+`"}`)
		if r.ErrorType != "Runtime.InvalidEntrypoint" || !strings.HasSuffix(string(o.LogTail), "\tStatus: error\tError Type: Runtime.InvalidEntrypoint\n") {
			t.Errorf("%+v\n%s", r, o.LogTail)
		}
	}
}

// AWS_LAMBDA_EXEC_WRAPPER starts the runtime of managed runtimes.
func TestExecWrapper(t *testing.T) { eachHost(t, testExecWrapper) }

func testExecWrapper(t *testing.T, h *Host) {
	needRuntime(t, h, "python3.11")
	files := map[string]string{
		"app.py":  "import os\ndef handler(event, context):\n    return os.environ.get('WRAPPED')\n",
		"wrapper": "#!/bin/sh\nexport WRAPPED=yes\nexec \"$@\"\n",
	}
	version := func(wrapper string) lambda.Version {
		return lambda.Version{Runtime: "python3.11", Handler: "app.handler", Environment: map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": wrapper}}
	}
	e := startFunction(t, h, version("/var/task/wrapper"), files)
	e.waitReady()
	if o, _ := e.call(`{}`); string(o.Payload) != `"yes"` {
		t.Errorf("%s", o.Payload)
	}
	e = startFunction(t, h, version("/var/task/nowhere"), files)
	e.waitReady()
	o, _ := e.call(`{}`)
	checkOutcome(t, o, "Runtime.ExitError",
		`{"errorType":"Runtime.ExitError","errorMessage":"RequestId: 00000000-0000-4000-8000-000000000001 Error: Runtime exited with error: exit status 127"}`)
	if !strings.HasPrefix(string(o.LogTail), "/var/task/nowhere: does not exist\nINIT_REPORT") {
		t.Errorf("%s", o.LogTail)
	}
}
