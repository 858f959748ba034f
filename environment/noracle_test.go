package environment

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/weir-run/weir/lambda"
)

func TestNodeOracle(t *testing.T) {
	h := processHost(t)
	app, _ := os.ReadFile("/tmp/env-ric/napp.js")
	handlers := strings.Fields(os.Getenv("ORACLE"))
	rt0, cmd := "nodejs20.x", "node /tmp/env-ric/nric/run3.mjs"
	if os.Getenv("ORACLE24") != "" {
		rt0, cmd = "nodejs24.x", "node /tmp/env-ric/nric/index4.mjs"
	}
	for _, handler := range handlers {
		files := map[string]string{
			"app.js": string(app), "syntax.js": "exports.handler = (\n", "boom.js": "throw new Error('at load')",
			"sub/mod.js": "exports.handler = async () => 'nested'", "missingdep.js": "require('nosuchmodule')", "esm.mjs": "export const handler = async () => 'esm'",
			"tla.mjs": "await Promise.resolve(); export const handler = async () => { throw new Error('x') }", "cj.cjs": "exports.handler = async () => 'cjs'",
			"exitload.js": "process.exit(3)", "rejload.js": "Promise.reject(new Error('rej at load')); exports.handler = async () => 1",
			"typed/package.json": `{"type":"module"}`, "typed/m.js": "export const handler = async () => 'typed'", "typed/bad.js": "exports.handler = 1",
			"dir/index.js": "exports.handler = async () => 'dir'", "def.mjs": "export default { handler: async () => 'def' }",
			"bootstrap": "#!/bin/sh\nexport AWS_EXECUTION_ENV=AWS_Lambda_" + rt0 + "\nexec " + cmd + "\n",
		}
		var got [2]string
		for i, rt := range []string{rt0, "provided.al2023"} {
			e := startFunction(t, h, lambda.Version{Runtime: rt, Handler: handler, TimeoutSec: 5}, files)
			e.waitReady()
			s := ""
			for range 2 {
				inv := e.invocation(`{"a":1,"list":[1,2.5,"ü"]}`)
				inv.LogTail = true
				inv.ClientContext = `{"custom":{"k":"v"}}`
				o := e.Invoke(inv)
				e.waitIdle()
				s += o.FunctionError + " " + o.ErrorType + " " + string(o.Payload) + "\n"
			}
			s += e.logs.text()
			s = regexp.MustCompile(`Duration: [0-9.]+ ms`).ReplaceAllString(s, "Duration: N")
			s = regexp.MustCompile(`Used: [0-9.]+ MB`).ReplaceAllString(s, "Used: N")
			s = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.\d\d\dZ`).ReplaceAllString(s, "TIME")
			s = regexp.MustCompile(`INIT_START.*\n`).ReplaceAllString(s, "")
			s = regexp.MustCompile(`\[\$LATEST\][0-9a-f]{32}`).ReplaceAllString(s, "STREAM")
			s = regexp.MustCompile(`WARN this.*\n`).ReplaceAllString(s, "")
			s = strings.ReplaceAll(s, e.spec.Code, "/var/task")
			s = strings.ReplaceAll(s, "00000000-0000-4000-8000-00000000000", "ID")
			s = strings.ReplaceAll(s, "\r", "\\r")
			got[i] = s
			e.Close()
		}
		frames := regexp.MustCompile(`(\\r)?"?    at [^",\\]*(/var/runtime|/tmp/env-ric|node:internal)[^",\\]*"?,?`)
		strip := func(s string) string { return frames.ReplaceAllString(s, "") }
		if strip(got[0]) == strip(got[1]) {
			t.Logf("SAME %s:\n%s", handler, got[0])
		} else {
			t.Logf("DIFF %s:\nweir: %s\nric:  %s", handler, got[0], got[1])
		}
	}
}
