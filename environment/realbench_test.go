package environment

import (
	"bytes"
	"testing"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/sandbox"
)

// benchmarkFunction measures one invocation after the other of a real runtime that echoes 1 KB.
func benchmarkFunction(b *testing.B, start func(h *Host) *liveEnvironment) {
	h := hostOn(b, sandbox.Process).with(func(o *Options) {
		o.OpenLog = func(lambda.Scope, string, string) (func(time.Time, []byte), error) { return discardLog, nil }
	})
	e := start(h)
	inv := e.invocation(`{"do":"` + string(bytes.Repeat([]byte("x"), 1000)) + `"}`)
	for b.Loop() {
		if o := e.Invoke(inv); o.FunctionError != "" {
			b.Fatalf("%s", o.Payload)
		}
		<-e.idle
	}
}

func BenchmarkPython(b *testing.B) {
	benchmarkFunction(b, func(h *Host) *liveEnvironment {
		needRuntime(b, h, "python3.11")
		e := startFunction(b, h, lambda.Version{Runtime: "python3.11", Handler: "app.handler"}, map[string]string{
			"app.py": "def handler(event, context):\n    return event\n",
		})
		e.waitReady()
		return e
	})
}

func BenchmarkNode(b *testing.B) {
	benchmarkFunction(b, func(h *Host) *liveEnvironment {
		needRuntime(b, h, "nodejs20.x")
		e := startFunction(b, h, lambda.Version{Runtime: "nodejs20.x", Handler: "app.handler"}, map[string]string{
			"app.js": "exports.handler = async (event) => event",
		})
		e.waitReady()
		return e
	})
}

func BenchmarkGo(b *testing.B) {
	benchmarkFunction(b, func(h *Host) *liveEnvironment { return startGo(b, h, lambda.Version{}) })
}
