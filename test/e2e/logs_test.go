//go:build e2e

package e2e

import (
	"context"
	_ "embed"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// logsScript makes a function log, and reads its log as a person does.
const logsScript = `
aws lambda create-function --function-name talk --runtime "$RUNTIME" --role "arn:aws:iam::$AWS_ACCESS_KEY_ID:role/e2e" \
	--handler app.handler --zip-file "fileb://$CODE" --query FunctionName --output text
aws lambda wait function-active-v2 --function-name talk
aws lambda invoke --function-name talk /dev/null --query StatusCode --output text
aws logs filter-log-events --log-group-name /aws/lambda/talk --filter-pattern '"spoken once"' --query 'events[].message' --output text
stream=$(aws logs describe-log-streams --log-group-name /aws/lambda/talk --order-by LastEventTime --descending --query 'logStreams[0].logStreamName' --output text)
aws logs get-log-events --log-group-name /aws/lambda/talk --log-stream-name "$stream" --start-from-head --query 'events[].message' --output json
`

// tailScript follows the log while the function runs. Only the second version of the CLI has it.
const tailScript = `
timeout 20 bash -c 'aws --endpoint-url "$URL" logs tail /aws/lambda/talk --follow --since 1s --format short' > "$TAIL" &
tail=$!
for i in $(seq 40); do
	aws lambda invoke --function-name talk /dev/null --query StatusCode --output text
	grep -q 'REPORT RequestId' "$TAIL" && break
done
kill $tail
cat "$TAIL"
`

const talk = `def handler(event, context):
    print('spoken once')
    return event
`

//go:embed testdata/logs.py
var logsProgram string

func TestLogs(t *testing.T) {
	t.Parallel()
	for _, k := range kits {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			l := python
			l.on(t)
			a := newAccount(shared(t).url)
			dir := t.TempDir()
			code := filepath.Join(dir, "talk.zip")
			if err := os.WriteFile(code, zipped(t, map[string][]byte{"app.py": []byte(talk)}), 0o644); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
			defer cancel()
			variables := []string{"RUNTIME=" + l.runtime, "CODE=" + code, "TAIL=" + filepath.Join(dir, "tail")}
			o := runClient(t, k.shell(t, ctx, shared(t).url, a.id, logsScript, variables...))
			want := regexp.MustCompile(`(?s)^talk\n200\nspoken once\n.*INIT_START .*START RequestId: \S+ Version: \$LATEST\\n",\s+"spoken once\\n",\s+"END RequestId: .*REPORT RequestId: .*Init Duration: `)
			if !want.MatchString(o.out) {
				t.Errorf("%v", o)
			}
			if k.name == "old" { // Debian's is the second version of the CLI
				o := runClient(t, k.shell(t, ctx, shared(t).url, a.id, tailScript, variables...))
				if !strings.Contains(o.out, "START RequestId: ") || !strings.Contains(o.out, " spoken once\n") || !strings.Contains(o.out, "REPORT RequestId: ") {
					t.Errorf("%v", o)
				}
			}
			o = runClient(t, k.python(t, ctx, shared(t).url, a.id, "-c", strings.ReplaceAll(logsProgram, "python3.12", l.runtime)))
			if !strings.HasSuffix(o.out, "all is well\n") {
				t.Errorf("%v", o)
			}
		})
	}
}
