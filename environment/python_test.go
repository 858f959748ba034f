package environment

import (
	"strings"
	"testing"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/sandbox"
)

// A handlerTest runs a handler once and compares what the caller and the log get. In the
// wanted texts ID stands for the request id and TIME for a time.
type handlerTest struct {
	handler   string
	payload   string // the event; {} if empty
	want      string // the answer
	errorType string // empty: no error
	log       string // between START and END; not compared if "*"
	init      bool   // the error is one of INIT: log is that of the repeated INIT
}

// runHandlers runs handlers of one package, in parallel.
func runHandlers(t *testing.T, runtime string, files map[string]string, tests []handlerTest) {
	eachHost(t, func(t *testing.T, h *Host) { runHandlersOn(t, h, runtime, files, tests) })
}

func runHandlersOn(t *testing.T, h *Host, runtime string, files map[string]string, tests []handlerTest) {
	needRuntime(t, h, runtime)
	for _, tt := range tests {
		t.Run(tt.handler, func(t *testing.T) {
			t.Parallel()
			e := startFunction(t, h, lambda.Version{Runtime: runtime, Handler: tt.handler}, files)
			if i := e.waitReady(); (i.Err != nil) != tt.init {
				t.Fatalf("INIT: %+v\n%s", i, e.logs.text())
			}
			if tt.payload == "" {
				tt.payload = "{}"
			}
			inv := e.invocation(tt.payload)
			inv.LogTail = true
			inv.ClientContext = `{"custom":{"k":"v"},"env":{"e":"f"},"client":{"app_title":"t"}}`
			o := e.Invoke(inv)
			e.waitIdle()
			if got := anonymous(string(o.Payload), inv.RequestID); got != tt.want {
				t.Errorf("answer:\n%s\nwant:\n%s", got, tt.want)
			}
			if wantError := tt.errorType != ""; wantError != (o.FunctionError == unhandled) || o.ErrorType != tt.errorType {
				t.Errorf("%s %s, want %s", o.FunctionError, o.ErrorType, tt.errorType)
			}
			if tt.log == "*" {
				return
			}
			log := anonymous(string(o.LogTail), inv.RequestID)
			if tt.init {
				log, _, _ = strings.Cut(log, "INIT_REPORT")
			} else {
				_, log, _ = strings.Cut(log, "START RequestId: ID Version: $LATEST\n")
				log, _, _ = strings.Cut(log, "END RequestId: ID\n")
			}
			if log != tt.log {
				t.Errorf("log:\n%q\nwant:\n%q", log, tt.log)
			}
		})
	}
}

// anonymous replaces what differs from run to run.
func anonymous(text, requestID string) string {
	text = strings.ReplaceAll(text, requestID, "ID")
	return timePattern.ReplaceAllString(text, "TIME")
}

const pythonApp = `import collections, decimal, json, logging, os, sys, time

class Custom(Exception):
    pass

def echo(event, context):
    return event

def nothing(event, context):
    pass

def raw(event, context):
    return b"not JSON"

def decimals(event, context):
    return {"d": decimal.Decimal("1.10"), "l": [decimal.Decimal("3")], "s": "é"}

def not_a_number(event, context):
    return {"x": float("nan")}

def a_set(event, context):
    return {1, 2}

def raises(event, context):
    raise ValueError("boom at invoke")

def inner():
    raise Custom("two\nlines")

def deep(event, context):
    inner()

def no_arguments():
    return 1

def exits(event, context):
    sys.exit(3)

def exits_silently(event, context):
    sys.exit(0)

def segfaults(event, context):
    print("going down")
    os.kill(os.getpid(), 11)

def prints(event, context):
    print("one")
    print("two\nthree")
    sys.stderr.write("four\n")
    sys.stdout.write("no line end")
    return 1

def logs(event, context):
    log = logging.getLogger()
    log.warning("early")
    log.info("not shown")
    log.setLevel("INFO")
    log.info("info %s", 1)
    logging.getLogger("child").error("two\nlines")
    context.log("from context\n")
    return 1

def about(event, context):
    c = context
    assert 0 < c.get_remaining_time_in_millis() <= 10000
    assert repr(c).startswith("LambdaContext([aws_request_id=")
    return [c.aws_request_id, c.function_name, c.function_version, c.memory_limit_in_mb,
        c.invoked_function_arn, c.log_group_name, c.log_stream_name == os.environ["AWS_LAMBDA_LOG_STREAM_NAME"],
        c.client_context.custom, c.client_context.env, c.client_context.client.app_title,
        c.identity.cognito_identity_id, c.tenant_id, os.environ["_X_AMZN_TRACE_ID"]]

def place(event, context):
    return [os.getcwd() == os.environ["LAMBDA_TASK_ROOT"], sys.path[0] == os.environ["LAMBDA_TASK_ROOT"], sys.version_info[0]]

def quits(event, context):
    exit(5)

number = 5

def half_a_pair(event, context):
    raise ValueError("\ud800")
`

var pythonFiles = map[string]string{
	"app.py":           pythonApp,
	"nested/module.py": "def handler(event, context):\n    return 'nested'\n",
	"syntax.py":        "def handler(event, context):\n    return (1\n",
	"boom.py":          "raise ValueError('at import')\n",
	"needs.py":         "import nosuchmodule\n",
	"leaves.py":        "import sys\nsys.exit(4)\n",
	"warns.py":         "import logging\nlogging.warning('at import')\ndef handler(event, context):\n    return 1\n",
}

func TestPythonHandlers(t *testing.T) {
	runHandlers(t, "python3.11", pythonFiles, []handlerTest{
		{handler: "app.echo", payload: `{"a":[1,2.5,"ü",null,true]}`, want: `{"a": [1, 2.5, "\u00fc", null, true]}`},
		{handler: "app.nothing", want: `null`},
		{handler: "app.raw", want: `not JSON`},
		{handler: "app.decimals", want: `{"d": 1.10, "l": [3], "s": "\u00e9"}`},
		{handler: "app.not_a_number", want: `{"x": NaN}`},
		{handler: "app.a_set", errorType: "Runtime.MarshalError",
			want: `{"errorMessage": "Unable to marshal response: Object of type set is not JSON serializable", "errorType": "Runtime.MarshalError", "requestId": "ID", "stackTrace": []}`,
			log:  "[ERROR] Runtime.MarshalError: Unable to marshal response: Object of type set is not JSON serializable\rTraceback (most recent call last):\n"},
		{handler: "app.raises", errorType: "ValueError",
			want: `{"errorMessage": "boom at invoke", "errorType": "ValueError", "requestId": "ID", "stackTrace": ["  File \"/var/task/app.py\", line 25, in raises\n    raise ValueError(\"boom at invoke\")\n"]}`,
			log:  "[ERROR] ValueError: boom at invoke\rTraceback (most recent call last):\r\u00a0\u00a0File \"/var/task/app.py\", line 25, in raises\r\u00a0\u00a0\u00a0\u00a0raise ValueError(\"boom at invoke\")\n"},
		{handler: "app.deep", errorType: "Custom",
			want: `{"errorMessage": "two\nlines", "errorType": "Custom", "requestId": "ID", "stackTrace": ["  File \"/var/task/app.py\", line 31, in deep\n    inner()\n", "  File \"/var/task/app.py\", line 28, in inner\n    raise Custom(\"two\\nlines\")\n"]}`,
			log:  "[ERROR] Custom: two\rlines\rTraceback (most recent call last):\r\u00a0\u00a0File \"/var/task/app.py\", line 31, in deep\r\u00a0\u00a0\u00a0\u00a0inner()\r\u00a0\u00a0File \"/var/task/app.py\", line 28, in inner\r\u00a0\u00a0\u00a0\u00a0raise Custom(\"two\\nlines\")\n"},
		{handler: "app.half_a_pair", errorType: "ValueError",
			want: `{"errorMessage": "\ud800", "errorType": "ValueError", "requestId": "ID", "stackTrace": ["  File \"/var/task/app.py\", line 81, in half_a_pair\n    raise ValueError(\"\\ud800\")\n"]}`,
			log:  "[ERROR] ValueError: \\ud800\rTraceback (most recent call last):\r\u00a0\u00a0File \"/var/task/app.py\", line 81, in half_a_pair\r\u00a0\u00a0\u00a0\u00a0raise ValueError(\"\\ud800\")\n"},
		{handler: "app.exits", errorType: "Runtime.ExitError",
			want: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited with error: exit status 3"}`,
			log:  "RequestId: ID Error: Runtime exited with error: exit status 3\nRuntime.ExitError\n"},
		{handler: "app.exits_silently", errorType: "Runtime.ExitError",
			want: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited without providing a reason"}`,
			log:  "RequestId: ID Error: Runtime exited without providing a reason\nRuntime.ExitError\n"},
		{handler: "app.segfaults", errorType: "Runtime.ExitError",
			want: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited with error: signal: segmentation fault"}`,
			log:  "going down\nRequestId: ID Error: Runtime exited with error: signal: segmentation fault\nRuntime.ExitError\n"},
		{handler: "app.quits", errorType: "Runtime.ExitError", log: "*",
			want: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited with error: exit status 5"}`},
		{handler: "app.prints", want: `1`, log: "one\ntwo\nthree\nfour\nno line end\n"},
		{handler: "app.logs", want: `1`, log: "[WARNING]\tTIME\tID\tearly\n[INFO]\tTIME\tID\tinfo 1\n[ERROR]\tTIME\tID\ttwo\rlines\nfrom context\n"},
		{handler: "app.about", want: `["ID", "fn", "$LATEST", "512", "arn:aws:lambda:us-east-1:123456789012:function:fn", "/aws/lambda/fn", true, {"k": "v"}, {"e": "f"}, "t", null, null, "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1"]`},
		{handler: "app.place", want: `[true, true, 3]`},
		{handler: "nested/module.handler", want: `"nested"`},
		{handler: "nested.module.handler", want: `"nested"`},
		{handler: "warns.handler", want: `1`},
		{handler: "app", init: true, errorType: "Runtime.MalformedHandlerName", log: "*",
			want: `{"errorMessage": "Bad handler 'app': not enough values to unpack (expected 2, got 1)", "errorType": "Runtime.MalformedHandlerName", "requestId": "", "stackTrace": []}`},
		{handler: "nosuch.handler", init: true, errorType: "Runtime.ImportModuleError",
			want: `{"errorMessage": "Unable to import module 'nosuch': No module named 'nosuch'", "errorType": "Runtime.ImportModuleError", "requestId": "", "stackTrace": []}`,
			log:  "[ERROR] Runtime.ImportModuleError: Unable to import module 'nosuch': No module named 'nosuch'\rTraceback (most recent call last):\n"},
		{handler: "needs.handler", init: true, errorType: "Runtime.ImportModuleError", log: "*",
			want: `{"errorMessage": "Unable to import module 'needs': No module named 'nosuchmodule'", "errorType": "Runtime.ImportModuleError", "requestId": "", "stackTrace": []}`},
		{handler: "app.nosuch", init: true, errorType: "Runtime.HandlerNotFound", log: "*",
			want: `{"errorMessage": "Handler 'nosuch' missing on module 'app'", "errorType": "Runtime.HandlerNotFound", "requestId": "", "stackTrace": []}`},
		{handler: "syntax.handler", init: true, errorType: "Runtime.UserCodeSyntaxError", log: "*",
			want: `{"errorMessage": "Syntax error in module 'syntax': '(' was never closed (syntax.py, line 2)", "errorType": "Runtime.UserCodeSyntaxError", "requestId": "", "stackTrace": ["  File \"/var/task/syntax.py\" Line 2\n        return (1\n"]}`},
		{handler: "time.handler", init: true, errorType: "Runtime.BuiltInModuleConflict", log: "*",
			want: `{"errorMessage": "Cannot use built-in module time as a handler module", "errorType": "Runtime.BuiltInModuleConflict", "requestId": "", "stackTrace": []}`},
		{handler: "leaves.handler", init: true, errorType: "Runtime.ExitError", log: "",
			want: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited with error: exit status 4"}`},
	})
}

// An exception at import has the frames of the import machinery, as on AWS.
func TestPythonImportError(t *testing.T) {
	h := hostOn(t, sandbox.Process)
	needRuntime(t, h, "python3.11")
	e := startFunction(t, h, lambda.Version{Runtime: "python3.11", Handler: "boom.handler"}, pythonFiles)
	if i := e.waitReady(); i.Err == nil || i.ErrorType != "Runtime.Unknown" {
		t.Errorf("%+v", i)
	}
	o, _ := e.call(`{}`)
	got := string(o.Payload)
	for _, part := range []string{
		`{"errorMessage": "at import", "errorType": "ValueError", "requestId": "", "stackTrace": ["  File \"/var/lang/lib/python3.`,
		`/importlib/__init__.py\", line 126, in import_module\n    return _bootstrap._gcd_import(name[level:], package, level)\n", "  File \"<frozen importlib._bootstrap>\", line `,
		`"  File \"/var/task/boom.py\", line 1, in <module>\n    raise ValueError('at import')\n"]}`,
	} {
		if !strings.Contains(got, part) {
			t.Errorf("no %s in\n%s", part, got)
		}
	}
}

// A handler that cannot take the arguments fails in the runtime's own frame.
func TestPythonWrongSignature(t *testing.T) {
	h := hostOn(t, sandbox.Process)
	needRuntime(t, h, "python3.11")
	for handler, message := range map[string]string{
		"app.no_arguments": "no_arguments() takes 0 positional arguments but 2 were given",
		"app.number":       "'int' object is not callable",
	} {
		e := startFunction(t, h, lambda.Version{Runtime: "python3.11", Handler: handler}, pythonFiles)
		e.waitReady()
		o, _ := e.call(`{}`)
		got := string(o.Payload)
		if !strings.HasPrefix(got, `{"errorMessage": "`+message+`", "errorType": "TypeError"`) ||
			!strings.HasSuffix(got, `"stackTrace": ["  File \"/var/runtime/bootstrap.py\", line `+lineOf(t, "runtimes/bootstrap.py", "response = request_handler(event, lambda_context)")+
				`, in handle_event_request\n    response = request_handler(event, lambda_context)\n"]}`) {
			t.Error(got)
		}
	}
}

// Since Python 3.12 characters beyond ASCII are not escaped; the runtime id decides, not the
// interpreter that stands in for it.
func TestPythonUnicode(t *testing.T) {
	h := hostOn(t, sandbox.Process)
	needRuntime(t, h, "python3.13")
	e := startFunction(t, h, lambda.Version{Runtime: "python3.13", Handler: "app.echo"}, pythonFiles)
	e.waitReady()
	if o, _ := e.call(`"ü"`); string(o.Payload) != `"ü"` {
		t.Errorf("%s", o.Payload)
	}
}

// AWS_LAMBDA_LOG_FORMAT and _LEVEL shape the log.
func TestPythonJSONLog(t *testing.T) {
	h := hostOn(t, sandbox.Process)
	needRuntime(t, h, "python3.11")
	e := startFunction(t, h, lambda.Version{Runtime: "python3.11", Handler: "app.handler",
		Environment: map[string]string{"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}}, map[string]string{
		"app.py": "import logging\ndef handler(event, context):\n    logging.info('hello', extra={'more': 1})\n    raise KeyError('k')\n",
	})
	e.waitReady()
	e.call(`{}`)
	log := e.logs.text()
	for _, part := range []string{
		`"level": "INFO", "message": "hello", "logger": "root", "requestId": "00000000-0000-4000-8000-000000000001", "more": 1}` + "\n",
		`"level": "ERROR", "errorMessage": "'k'", "errorType": "KeyError", "requestId": "00000000-0000-4000-8000-000000000001", "stackTrace": ["  File \"/var/task/app.py\", line 4, in handler\n    raise KeyError('k')\n"]}` + "\n",
	} {
		if !strings.Contains(log, strings.ReplaceAll(part, `\n`, `\n`)) {
			t.Errorf("no %s in\n%s", part, log)
		}
	}
}

// A function that uses more memory than it may is killed (only where memory is limited).
func TestOutOfMemory(t *testing.T) {
	h := hostOn(t, sandbox.Namespace)
	needRuntime(t, h, "python3.11")
	e := startFunction(t, h, lambda.Version{Runtime: "python3.11", Handler: "app.handler", MemoryMB: 128}, map[string]string{
		"app.py": "def handler(event, context):\n    print('filling')\n    return len(bytearray(event << 20))\n",
	})
	e.waitReady()
	if o, _ := e.call(`10`); string(o.Payload) != "10485760" {
		t.Errorf("%s", o.Payload)
	}
	o, r := e.call(`500`)
	checkOutcome(t, o, "Runtime.ExitError",
		`{"errorType":"Runtime.ExitError","errorMessage":"RequestId: 00000000-0000-4000-8000-000000000002 Error: Runtime exited with error: signal: killed"}`)
	if r.Status != Failed || r.ErrorType != "Runtime.OutOfMemory" || r.MaxMemoryMB != 128 {
		t.Errorf("%+v", r)
	}
	if !strings.HasSuffix(string(o.LogTail), "\tMax Memory Used: 128 MB\tStatus: error\tError Type: Runtime.OutOfMemory\n") {
		t.Errorf("%s", o.LogTail)
	}
	if o, _ := e.call(`10`); string(o.Payload) != "10485760" {
		t.Errorf("%s", o.Payload)
	}
}
