package environment

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/weir-run/weir/lambda"
)

func TestOracle(t *testing.T) {
	h := processHost(t)
	app, _ := os.ReadFile("/tmp/env-ric/app.py")
	handlers := strings.Fields(os.Getenv("ORACLE"))
	execEnv := "AWS_Lambda_python3.11"
	if v := os.Getenv("ORACLE_ENV"); v != "" {
		execEnv = v
	}
	for _, handler := range handlers {
		files := map[string]string{
			"app.py": string(app), "syntax.py": "def handler(e, c):\n    return (1\n", "boom.py": "x = 1\nraise ValueError('at import')\n", "nested/mod.py": "def handler(e, c): return 'nested'\n",
			"missingdep.py": "import nosuchmodule\n", "exitimp.py": "import sys\nsys.exit(4)\n", "deep.py": "import boom\n",
			"bootstrap": "#!/bin/sh\nexport AWS_EXECUTION_ENV=" + execEnv + "\nexport PYTHONPATH=$LAMBDA_TASK_ROOT\nexec /tmp/env-ric/ric/bin/python -m awslambdaric \"$_HANDLER\"\n",
		}
		var got [2]string
		for i, rt := range []string{strings.TrimPrefix(execEnv, "AWS_Lambda_"), "provided.al2023"} {
			e := startFunction(t, h, lambda.Version{Runtime: rt, Handler: handler, TimeoutSec: 5}, files)
			e.waitReady()
			inv := e.invocation(`{"a":1,"list":[1,2.5,"ü"]}`)
			inv.LogTail = true
			inv.ClientContext = `{"custom":{"k":"v"},"env":{"e":"f"},"client":{"installation_id":"i","app_title":"t"}}`
			o := e.Invoke(inv)
			e.waitIdle()
			s := o.FunctionError + " " + o.ErrorType + " " + string(o.Payload) + "\n" + e.logs.text()
			s = regexp.MustCompile(`Duration: [0-9.]+ ms`).ReplaceAllString(s, "Duration: N")
			s = regexp.MustCompile(`Used: [0-9.]+ MB`).ReplaceAllString(s, "Used: N")
			s = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.\d\d\dZ`).ReplaceAllString(s, "TIME")
			s = regexp.MustCompile(`INIT_START.*\n`).ReplaceAllString(s, "")
			s = regexp.MustCompile(`\[\$LATEST\][0-9a-f]{32}`).ReplaceAllString(s, "STREAM")
			s = strings.ReplaceAll(s, e.spec.Code, "/var/task")
			got[i] = s
			e.Close()
		}
		if got[0] == got[1] {
			t.Logf("SAME %s:\n%s", handler, got[0])
		} else {
			t.Logf("DIFF %s:\nweir: %s\nric:  %s", handler, got[0], got[1])
		}
	}
}
