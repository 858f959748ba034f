package environment

import (
	"strconv"
	"strings"
	"testing"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/sandbox"
)

const nodeApp = `
const inner = () => { throw new TypeError('deep\ndown'); };
exports.echo = async (event) => event;
exports.nothing = async () => {};
exports.sync = () => ({ not: 'an answer' });
exports.callback = (event, context, callback) => callback(null, { a: 1 });
exports.waits = (event, context, callback) => { setTimeout(() => console.log('before the answer'), 30); callback(null, 'waited'); };
exports.hurries = (event, context, callback) => { context.callbackWaitsForEmptyEventLoop = false; setTimeout(() => console.log('never'), 5000); callback(null, 'hurried'); };
exports.callbackError = (event, context, callback) => callback(new Error('called back'));
exports.callbackText = (event, context, callback) => callback('a text');
exports.drains = () => { setTimeout(() => console.log('drained'), 10); };
exports.done = (event, context) => context.done(null, 1);
exports.succeed = (event, context) => context.succeed(2);
exports.fail = (event, context) => context.fail('f');
exports.throws = async () => { throw new RangeError('thrown'); };
exports.deep = async () => inner();
exports.throwsText = async () => { throw 'just text'; };
exports.throwsNothing = async () => { throw undefined; };
exports.circular = async () => { const a = {}; a.a = a; return a; };
exports.rejects = async () => { Promise.reject(new Error('nobody')); await new Promise((r) => setTimeout(r, 3000)); return 'late'; };
exports.uncaught = async () => { setTimeout(() => { throw new Error('later'); }, 10); await new Promise((r) => setTimeout(r, 3000)); return 'late'; };
exports.never = async () => { await new Promise(() => {}); };
exports.exits = async () => process.exit(5);
exports.exitsSilently = async () => process.exit(0);
exports.logs = async () => {
  console.log('a %s', 'b', [1]); console.error('two\nlines'); console.warn('w'); console.debug('d'); console.trace('t');
  process.stdout.write('raw\n'); process.stderr.write('raw too\n'); process.stdout.write('no line end');
};
exports.about = async (event, context) => [
  context.awsRequestId, context.functionName, context.functionVersion, context.memoryLimitInMB, context.invokedFunctionArn,
  context.logGroupName, context.logStreamName === process.env.AWS_LAMBDA_LOG_STREAM_NAME, context.clientContext.custom, context.identity,
  context.getRemainingTimeInMillis() > 0 && context.getRemainingTimeInMillis() <= 10000, process.env._X_AMZN_TRACE_ID,
  context.callbackWaitsForEmptyEventLoop, process.cwd() === process.env.LAMBDA_TASK_ROOT,
];
exports.nested = { property: { handler: async () => 'nested property' } };
exports.number = 5;
exports.stream = awslambda.streamifyResponse(async (event, stream) => { stream.write('hello '); stream.end('world'); });
exports.streamHTTP = awslambda.streamifyResponse(async (event, stream) => {
  stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201 }); stream.write('body'); stream.end(); });
exports.streamObject = awslambda.streamifyResponse(async (event, stream) => { stream.write({ a: 1 }); stream.end(); });
exports.streamThrows = awslambda.streamifyResponse(async (event, stream) => { stream.write('part'); throw new Error('mid stream'); });
exports.streamOpen = awslambda.streamifyResponse(async (event, stream) => { stream.write('part'); });
exports.streamLater = awslambda.streamifyResponse(async (event, stream) => { setTimeout(() => stream.end('later'), 20); });
exports.streamSync = awslambda.streamifyResponse((event, stream) => { stream.write('x'); });
exports.streamPipes = awslambda.streamifyResponse(async (event, stream) => {
  await require('stream/promises').pipeline(require('stream').Readable.from(['a', 'b'.repeat(300000), 'c']), stream); });
`

var nodeFiles = map[string]string{
	"app.js":             nodeApp,
	"nested/module.js":   "exports.handler = async () => 'nested'",
	"esm.mjs":            "export const handler = async () => 'esm'",
	"cjs.cjs":            "exports.handler = async () => 'cjs'",
	"typed/package.json": `{"type":"module"}`,
	"typed/module.js":    "export const handler = async () => 'typed'",
	"folder/index.js":    "exports.handler = async () => 'folder'",
	"syntax.js":          "exports.handler = (\n",
	"boom.js":            "throw new Error('at load')",
	"needs.js":           "require('nosuchmodule')",
	"leaves.js":          "process.exit(4)",
	"rejects.js":         "Promise.reject(new Error('at load')); exports.handler = async () => 1",
}

const nodeExit = "The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes"

// runNodeHandlers is runHandlers for Node.js: of a stack only the first frames are compared.
func TestNodeHandlers(t *testing.T) {
	runHandlers(t, "nodejs20.x", nodeFiles, []handlerTest{
		{handler: "app.echo", payload: `{"a":[1,2.5,"ü",null,true]}`, want: `{"a":[1,2.5,"ü",null,true]}`},
		{handler: "app.nothing", want: `null`},
		{handler: "app.sync", want: `null`},
		{handler: "app.callback", want: `{"a":1}`},
		{handler: "app.waits", want: `"waited"`, log: "TIME\tID\tINFO\tbefore the answer\n"},
		{handler: "app.hurries", want: `"hurried"`},
		{handler: "app.drains", want: `null`, log: "TIME\tID\tINFO\tdrained\n"},
		{handler: "app.done", want: `1`},
		{handler: "app.succeed", want: `2`},
		{handler: "app.callbackText", errorType: "string", log: "*", want: `{"errorType":"string","errorMessage":"a text","trace":[]}`},
		{handler: "app.fail", errorType: "string", log: "*", want: `{"errorType":"string","errorMessage":"f","trace":[]}`},
		{handler: "app.throwsText", errorType: "string", log: "*", want: `{"errorType":"string","errorMessage":"just text","trace":[]}`},
		{handler: "app.throwsNothing", errorType: "string", log: "*", want: `{"errorType":"string","errorMessage":"handled","trace":[]}`},
		{handler: "app.exits", errorType: "Runtime.ExitError",
			want: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited with error: exit status 5"}`,
			log:  "RequestId: ID Error: Runtime exited with error: exit status 5\nRuntime.ExitError\n"},
		{handler: "app.exitsSilently", errorType: "Runtime.ExitError", log: "*",
			want: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited without providing a reason"}`},
		{handler: "app.logs", want: `null`, log: "TIME\tID\tINFO\ta b [ 1 ]\nTIME\tID\tERROR\ttwo\rlines\nTIME\tID\tWARN\tw\nTIME\tID\tDEBUG\td\nTIME\tID\tTRACE\tt\nraw\nraw too\nno line end\n"},
		{handler: "app.about", want: `["ID","fn","$LATEST","512","arn:aws:lambda:us-east-1:123456789012:function:fn","/aws/lambda/fn",true,{"k":"v"},null,true,"Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",true,true]`},
		{handler: "app.nested.property.handler", want: `"nested property"`},
		{handler: "nested/module.handler", want: `"nested"`},
		{handler: "esm.handler", want: `"esm"`},
		{handler: "cjs.handler", want: `"cjs"`},
		{handler: "typed/module.handler", want: `"typed"`},
		{handler: "folder.handler", want: `"folder"`},
		{handler: "app.stream", want: `hello world`},
		{handler: "app.streamHTTP", want: "{\"statusCode\":201}\x00\x00\x00\x00\x00\x00\x00\x00body"},
		{handler: "app.streamObject", want: `{"a":1}`},
		{handler: "app.streamLater", want: `later`},
		{handler: "app.streamPipes", want: "a" + strings.Repeat("b", 300000) + "c"},
		{handler: "app.streamSync", errorType: "string", log: "*", want: `{"errorType":"string","errorMessage":"Streaming does not support non-async handlers.","trace":[]}`},
		{handler: "app.streamOpen", errorType: "string", log: "*", want: `{"errorType":"string","errorMessage":"Response stream is not finished.","trace":[]}`},
		{handler: "leaves.handler", init: true, errorType: "Runtime.ExitError",
			want: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited with error: exit status 4"}`},
	})
}

// Errors with a stack: it is AWS's down to the runtime's own frame.
func TestNodeErrors(t *testing.T) {
	tests := []struct {
		handler string
		want    string // how the answer begins
		inLog   string
		init    bool
	}{
		{"app.throws", `{"errorType":"RangeError","errorMessage":"thrown","trace":["RangeError: thrown","    at exports.throws [as handler] (/var/task/app.js:15:38)","    at Runtime.handleOnceNonStreaming (file:///var/runtime/index.mjs:LINE:27)"]}`,
			`	ERROR	Invoke Error 	{"errorType":"RangeError","errorMessage":"thrown","stack":["RangeError: thrown","    at exports.throws [as handler] (/var/task/app.js:15:38)","    at Runtime.handleOnceNonStreaming (file:///var/runtime/index.mjs:`, false},
		{"app.deep", `{"errorType":"TypeError","errorMessage":"deep\ndown","trace":["TypeError: deep","down","    at inner (/var/task/app.js:2:29)","    at exports.deep [as handler] (/var/task/app.js:16:28)","    at Runtime.handleOnceNonStreaming (file:///var/runtime/index.mjs:LINE:27)"`, "", false},
		{"app.callbackError", `{"errorType":"Error","errorMessage":"called back","trace":["Error: called back","    at exports.callbackError [as handler] (/var/task/app.js:9:64)"`, "Invoke Error", false},
		{"app.circular", `{"errorType":"Error","errorMessage":"Unable to stringify response body","trace":[`, "", false},
		{"app.rejects", `{"errorType":"Runtime.UnhandledPromiseRejection","errorMessage":"Error: nobody","trace":["Runtime.UnhandledPromiseRejection: Error: nobody","    at process.`,
			`	ERROR	Unhandled Promise Rejection 	{"errorType":"Runtime.UnhandledPromiseRejection","errorMessage":"Error: nobody","reason":{"errorType":"Error","errorMessage":"nobody","stack":["Error: nobody","    at exports.rejects [as handler] (/var/task/app.js:`, false},
		{"app.uncaught", `{"errorType":"Error","errorMessage":"later","trace":["Error: later","    at Timeout._onTimeout (/var/task/app.js:21:`, "Uncaught Exception", false},
		{"app.never", `{"errorType":"Runtime.NodeJsExit","errorMessage":"` + nodeExit + `","trace":["Runtime.NodeJsExit: `, "", false},
		{"app.streamThrows", `{"errorType":"Error","errorMessage":"mid stream","trace":["Error: mid stream","    at Runtime.handler (/var/task/app.js:`, "Invoke Error", false},
		{"app.missing", `{"errorType":"Runtime.HandlerNotFound","errorMessage":"app.missing is undefined or not exported","trace":["Runtime.HandlerNotFound: app.missing is undefined or not exported","    at `, "Uncaught Exception", true},
		{"app.number", `{"errorType":"Runtime.HandlerNotFound","errorMessage":"app.number is not a function","trace":[`, "", true},
		{"app", `{"errorType":"Runtime.MalformedHandlerName","errorMessage":"Bad handler","trace":[`, "", true},
		{"../app.echo", `{"errorType":"Runtime.MalformedHandlerName","errorMessage":"'../app.echo' is not a valid handler name. Use absolute paths when specifying root directories in handler names.","trace":[`, "", true},
		{"nosuch.handler", `{"errorType":"Runtime.ImportModuleError","errorMessage":"Error: Cannot find module 'nosuch'\nRequire stack:\n- /var/runtime/index.mjs","trace":["Runtime.ImportModuleError: Error: Cannot find module 'nosuch'","Require stack:","- /var/runtime/index.mjs","    at `, "", true},
		{"needs.handler", `{"errorType":"Runtime.ImportModuleError","errorMessage":"Error: Cannot find module 'nosuchmodule'\nRequire stack:\n- /var/task/needs.js\n- /var/runtime/index.mjs","trace":[`, "", true},
		{"syntax.handler", `{"errorType":"Runtime.UserCodeSyntaxError","errorMessage":"SyntaxError: Unexpected end of input","trace":["Runtime.UserCodeSyntaxError: SyntaxError: Unexpected end of input","    at `, `	undefined	ERROR	Uncaught Exception 	{"errorType":"Runtime.UserCodeSyntaxError"`, true},
		{"boom.handler", `{"errorType":"Error","errorMessage":"at load","trace":["Error: at load","    at Object.<anonymous> (/var/task/boom.js:1:7)"`, "", true},
		{"rejects.handler", `{"errorType":"Runtime.UnhandledPromiseRejection","errorMessage":"Error: at load","trace":[`, "Unhandled Promise Rejection", true},
	}
	h := hostOn(t, sandbox.Process)
	needRuntime(t, h, "nodejs20.x")
	line := lineOf(t, "runtimes/index.mjs", "const result = this.handler(JSON.parse(event), context")
	for _, tt := range tests {
		t.Run(tt.handler, func(t *testing.T) {
			t.Parallel()
			e := startFunction(t, h, lambda.Version{Runtime: "nodejs20.x", Handler: tt.handler}, nodeFiles)
			if i := e.waitReady(); (i.Err != nil) != tt.init {
				t.Fatalf("INIT: %+v", i)
			}
			o, _ := e.call(`{}`)
			want := strings.ReplaceAll(tt.want, "LINE", line)
			if got := string(o.Payload); !strings.HasPrefix(got, want) || o.FunctionError != unhandled {
				t.Errorf("answer:\n%s\nwant:\n%s", got, want)
			}
			if !strings.Contains(string(o.LogTail), tt.inLog) {
				t.Errorf("log:\n%s\nwithout %s", o.LogTail, tt.inLog)
			}
		})
	}
}

// A rejection that nobody handles and an answer at the same time: the answer counts, the process
// ends, and the next invocation finds a new one (recorded for nodejs22.x).
func TestNodeAnswerThenRejection(t *testing.T) {
	h := hostOn(t, sandbox.Process)
	needRuntime(t, h, "nodejs20.x")
	e := startFunction(t, h, lambda.Version{Runtime: "nodejs20.x", Handler: "app.handler"}, map[string]string{
		"app.js": "let n = 0; exports.handler = async () => { if (n++ > 0) return 'used'; (async () => { throw new Error('x'); })(); return 'fresh'; }",
	})
	e.waitReady()
	for range 2 {
		o, r := e.call(`{}`)
		if string(o.Payload) != `"fresh"` || o.FunctionError != "" || r.Status != Failed || r.ErrorType != typeExit {
			t.Errorf("%s %+v", o.Payload, r)
		}
		if !strings.Contains(string(o.LogTail), "Unhandled Promise Rejection") {
			t.Errorf("%s", o.LogTail)
		}
	}
}

// From nodejs24.x on there are no callbacks, and Node.js itself deals with what nobody handles.
func TestNode24(t *testing.T) {
	tests := []struct{ handler, want string }{
		{"app.echo", `{}`},
		{"app.sync", `{"not":"an answer"}`},
		{"app.waits", `{"errorType":"Runtime.CallbackHandlerDeprecated","errorMessage":"ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. `},
		{"app.circular", `{"errorType":"Runtime.JSONStringifyError","errorMessage":"Unable to stringify response body","trace":["Runtime.JSONStringifyError: `},
		{"app.rejects", `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: 00000000-0000-4000-8000-000000000001 Error: Runtime exited with error: exit status 1"}`},
		{"app.streamHTTP", "{\"statusCode\":201}\x00\x00\x00\x00\x00\x00\x00\x00body"},
		{"esm.handler", `"esm"`},
	}
	h := hostOn(t, sandbox.Process)
	needRuntime(t, h, "nodejs24.x")
	for _, tt := range tests {
		t.Run(tt.handler, func(t *testing.T) {
			t.Parallel()
			e := startFunction(t, h, lambda.Version{Runtime: "nodejs24.x", Handler: tt.handler}, nodeFiles)
			e.waitReady()
			if o, _ := e.call(`{}`); !strings.HasPrefix(string(o.Payload), tt.want) {
				t.Errorf("answer:\n%s\nwant:\n%s", o.Payload, tt.want)
			}
		})
	}
}

func TestNodeJSONLog(t *testing.T) {
	h := hostOn(t, sandbox.Process)
	needRuntime(t, h, "nodejs20.x")
	e := startFunction(t, h, lambda.Version{Runtime: "nodejs20.x", Handler: "app.handler",
		Environment: map[string]string{"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "WARN"}}, map[string]string{
		"app.js": "exports.handler = async () => { console.log('not shown'); console.warn('hello %s', 'you'); console.error({ a: 1 }); }",
	})
	e.waitReady()
	o, _ := e.call(`{}`)
	log := anonymous(string(o.LogTail), "00000000-0000-4000-8000-000000000001")
	for _, part := range []string{
		`{"timestamp":"TIME","level":"WARN","requestId":"ID","message":"hello you"}` + "\n",
		`{"timestamp":"TIME","level":"ERROR","requestId":"ID","message":{"a":1}}` + "\n",
	} {
		if !strings.Contains(log, part) {
			t.Errorf("no %s in\n%s", part, log)
		}
	}
	if strings.Contains(log, "not shown") {
		t.Error("a line below the level")
	}
}

// TestNodeHeapFitsMemory runs a function that makes garbage beside 40 MB that it keeps: V8 must
// collect it before the heap outgrows the function's memory.
func TestNodeHeapFitsMemory(t *testing.T) {
	eachHost(t, func(t *testing.T, h *Host) {
		needRuntime(t, h, "nodejs22.x")
		const memory = 128
		e := startFunction(t, h, lambda.Version{Runtime: "nodejs22.x", Handler: "app.handler", MemoryMB: memory, TimeoutSec: 60}, map[string]string{
			"app.js": `const objects = (b) => Array.from({ length: 1024 }, (_, a) => ({ a, b }));
exports.handler = async () => {
  const kept = [];
  for (let i = 0; i < 960; i++) kept.push(objects(i));
  let peak = 0;
  for (let i = 0; i < 2500; i++) {
    kept[(i * 7919) % kept.length] = objects(i);
    peak = Math.max(peak, process.memoryUsage().heapTotal);
  }
  return Math.round(peak / 2 ** 20);
};`,
		})
		if i := e.waitReady(); i.Err != nil {
			t.Fatal(i.Err)
		}
		o := e.Invoke(e.invocation("{}"))
		e.waitIdle()
		if peak, err := strconv.Atoi(string(o.Payload)); err != nil || peak >= memory {
			t.Errorf("the heap had %s MB of %d", o.Payload, memory)
		}
	})
}
