package environment

import (
	"testing"

	"github.com/weir-run/weir/lambda"
)

func TestPythonSmoke(t *testing.T) {
	h := processHost(t)
	needRuntime(t, h, "python3.11")
	e := startFunction(t, h, lambda.Version{Runtime: "python3.11", Handler: "app.handler"}, map[string]string{
		"app.py": "import logging\nlogging.getLogger().setLevel('INFO')\ndef handler(event, context):\n    print('hi')\n    logging.info('x\\ny')\n    return {'got': event, 'm': context.memory_limit_in_mb, 'r': repr(context)}\n",
	})
	t.Logf("%+v", e.waitReady())
	o, r := e.call(`{"a":1}`)
	t.Logf("%s %q %+v", o.Payload, o.LogTail, r)
	o, r = e.call(`{"a":2}`)
	t.Logf("%s %+v", o.Payload, r)
	t.Log(e.logs.text())
}

func TestNodeSmoke(t *testing.T) {
	h := processHost(t)
	needRuntime(t, h, "nodejs20.x")
	e := startFunction(t, h, lambda.Version{Runtime: "nodejs20.x", Handler: "app.handler"}, map[string]string{
		"app.js": "exports.handler = async (event, context) => { console.log('hi\\nthere', context); return {got: event}; }",
	})
	t.Logf("%+v", e.waitReady())
	o, r := e.call(`{"a":1}`)
	t.Logf("%s %q %+v", o.Payload, o.LogTail, r)
	o, r = e.call(`{"a":2}`)
	t.Logf("%s %+v", o.Payload, r)
	t.Log(e.logs.text())
}
