//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// The files of testdata/articles are what people are told to type by articles about Lambda's
// concurrency, as printed there.

func article(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "articles", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documents decodes the JSON documents that a command printed one after the other.
func documents(t testing.TB, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		var one map[string]any
		err := d.Decode(&one)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		all = append(all, one)
	}
}

// wantDocuments compares the members that matter, of each document in turn.
func wantDocuments(t testing.TB, text string, want ...map[string]any) {
	t.Helper()
	got := documents(t, text)
	if len(got) != len(want) {
		t.Fatalf("%d documents, want %d:\n%s", len(got), len(want), text)
	}
	for i := range want {
		for name, value := range want[i] {
			if fmt.Sprint(got[i][name]) != fmt.Sprint(value) {
				t.Errorf("document %d: %s = %v, want %v", i+1, name, got[i][name], value)
			}
		}
	}
}

func wantLines(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// typed is what a shell prints in which a script is typed.
func (k kit) typed(t testing.TB, url, key, script string, variables ...string) output {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
	defer cancel()
	return runClient(t, k.shell(t, ctx, url, key, script, variables...))
}

// TestArticleReserved types the commands on reserved concurrency.
func TestArticleReserved(t *testing.T) {
	for _, k := range kits {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := shared(t)
			a := newAccount(s.url)
			a.create(t, function{name: "payment-processor", language: golang, code: program(t, "light")})
			r := record(t, s.url)
			out := k.typed(t, r.url, a.id, article(t, "reserved.sh"))
			wantDocuments(t, out.out,
				map[string]any{"ReservedConcurrentExecutions": 100},
				map[string]any{"ReservedConcurrentExecutions": 100})
			wantLines(t, r.lines(),
				"PUT /2017-10-31/functions/payment-processor/concurrency 200",
				"GET /2019-09-30/functions/payment-processor/concurrency 200",
				"DELETE /2017-10-31/functions/payment-processor/concurrency 204")
			got, err := a.GetFunctionConcurrency(t.Context(), &lambda.GetFunctionConcurrencyInput{FunctionName: aws.String("payment-processor")})
			if err != nil || got.ReservedConcurrentExecutions != nil {
				t.Errorf("after all %v is reserved, %v", got.ReservedConcurrentExecutions, err)
			}
		})
	}
}

// TestArticleProvisioned types the commands on provisioned concurrency: first on the version,
// then on an alias of it, which the first is in the way of.
func TestArticleProvisioned(t *testing.T) {
	const path = "/2019-09-30/functions/api-handler/provisioned-concurrency?Qualifier="
	for _, k := range kits {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := shared(t)
			a := newAccount(s.url)
			a.create(t, function{name: "api-handler", language: golang, code: program(t, "light")})
			r := record(t, s.url)
			asked := map[string]any{"RequestedProvisionedConcurrentExecutions": 10, "Status": "IN_PROGRESS"}

			out := k.typed(t, r.url, a.id, article(t, "provisioned.sh")+`echo "{\"version\": \"$VERSION\"}"`)
			wantDocuments(t, out.out, asked, map[string]any{"version": "1"})
			a.ready(t, "api-handler", "1", 10)
			a.provisioned(t, "api-handler", "1")

			out = k.typed(t, r.url, a.id, article(t, "alias.sh")+"true\n", "VERSION=1")
			alias := map[string]any{"Name": "prod", "FunctionVersion": "1", "AliasArn": "arn:aws:lambda:us-east-1:" + a.id + ":function:api-handler:prod"}
			wantDocuments(t, out.out, alias)
			if want := "(ResourceConflictException) when calling the PutProvisionedConcurrencyConfig operation: " +
				"Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"; !strings.Contains(out.err, want) {
				t.Errorf("the alias of a provisioned version: %s\nwant %s", out.err, want)
			}

			out = k.typed(t, r.url, a.id, `
				aws lambda delete-provisioned-concurrency-config --function-name api-handler --qualifier 1
				aws lambda delete-alias --function-name api-handler --name prod
				`+article(t, "alias.sh"), "VERSION=1")
			wantDocuments(t, out.out, alias, asked)
			a.ready(t, "api-handler", "prod", 10)
			a.provisioned(t, "api-handler", "prod")
			wantLines(t, r.lines(),
				"POST /2015-03-31/functions/api-handler/versions 201",
				"PUT "+path+"1 202",
				"POST /2015-03-31/functions/api-handler/aliases 201",
				"PUT "+path+"prod 409 ResourceConflictException",
				"DELETE "+path+"1 204",
				"DELETE /2015-03-31/functions/api-handler/aliases/prod 204",
				"POST /2015-03-31/functions/api-handler/aliases 201",
				"PUT "+path+"prod 202")
		})
	}
}

// article returns the command that runs a Python file of the articles.
func (k kit) article(t testing.TB, ctx context.Context, url, key, file string, args ...string) *exec.Cmd {
	t.Helper()
	dir := filepath.Join("testdata", "articles")
	return k.python(t, ctx, url, key, append([]string{filepath.Join(dir, "run.py"), filepath.Join(dir, file)}, args...)...)
}

// TestArticleBoto3 runs the Python that sets reserved concurrency.
func TestArticleBoto3(t *testing.T) {
	for _, k := range kits {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := shared(t)
			a := newAccount(s.url)
			a.create(t, function{name: "brand-logo-processor", language: golang, code: program(t, "light")})
			runClient(t, k.article(t, t.Context(), s.url, a.id, "reserve.py"))
			got, err := a.GetFunctionConcurrency(t.Context(), &lambda.GetFunctionConcurrencyInput{FunctionName: aws.String("brand-logo-processor")})
			if err != nil || aws.ToInt32(got.ReservedConcurrentExecutions) != 200 {
				t.Errorf("%v is reserved, %v", aws.ToInt32(got.ReservedConcurrentExecutions), err)
			}
		})
	}
}

// retries are the two loops that articles put around an invocation that may be throttled.
var retries = []struct{ file, payload, line, last string }{
	{"retry_jitter.py", `{"ms": 1}`, "Throttled. Retrying in", "Max retries exceeded for image-resizer"},
	{"retry.py", `"{\"ms\": 1}"`, "Throttled, waiting", "Failed after 3 retries"},
}

// TestArticleRetriesInVain runs the loops against a function that is turned off: three times
// round, and boto3 attempts each call several times by itself.
func TestArticleRetriesInVain(t *testing.T) {
	for _, k := range kits {
		for _, loop := range retries {
			t.Run(k.name+" "+loop.file, func(t *testing.T) {
				t.Parallel()
				s := shared(t)
				a := newAccount(s.url)
				a.create(t, function{name: "image-resizer", language: golang, code: program(t, "light"), reserved: aws.Int32(0)})
				r := record(t, s.url)
				c := k.article(t, t.Context(), r.url, a.id, loop.file, "image-resizer", loop.payload)
				c.Env = append(c.Env, "NO_WAIT=1")
				out := runClient(t, c)
				lines := strings.Split(strings.TrimSpace(out.out), "\n")
				if n := strings.Count(out.out, loop.line); n != 3 || len(lines) != 4 {
					t.Errorf("the loop went round %d times:\n%s", n, out.out)
				}
				wantDocuments(t, lines[len(lines)-1], map[string]any{
					"error": loop.last, "code": "TooManyRequestsException", "message": "Rate Exceeded.", "status": 429,
					"reason": "ReservedFunctionConcurrentInvocationLimitExceeded", "retries": k.attempts - 1,
				})
				calls := 3 + 1 // of the loop, and one that shows the error
				if got := r.count(" 429 TooManyRequestsException"); got != calls*k.attempts {
					t.Errorf("%d requests were throttled, want %d calls × %d attempts", got, calls, k.attempts)
				}
			})
		}
	}
}

// TestArticleRetriesGetThrough releases the brake as soon as the loop waits for the first time.
func TestArticleRetriesGetThrough(t *testing.T) {
	for _, loop := range retries {
		t.Run(loop.file, func(t *testing.T) {
			t.Parallel()
			k := kits[1]
			s := shared(t)
			a := newAccount(s.url)
			a.create(t, function{name: "image-resizer", language: golang, code: program(t, "light"), reserved: aws.Int32(0)})
			ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
			defer cancel()
			c := k.article(t, ctx, s.url, a.id, loop.file, "image-resizer", loop.payload)
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			var errs bytes.Buffer
			c.Stderr = &errs
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			last, rounds := "", 0
			for lines := bufio.NewScanner(out); lines.Scan(); {
				last = lines.Text()
				if strings.Contains(last, loop.line) && rounds == 0 {
					if _, err := a.DeleteFunctionConcurrency(t.Context(), &lambda.DeleteFunctionConcurrencyInput{FunctionName: aws.String("image-resizer")}); err != nil {
						t.Error(err)
					}
				}
				rounds++
			}
			if err := c.Wait(); err != nil {
				t.Fatalf("%v: %s", err, errs.String())
			}
			var got struct{ Answer struct{ Version string } }
			if err := json.Unmarshal([]byte(last), &got); err != nil || got.Answer.Version != "$LATEST" || rounds != 2 {
				t.Errorf("after %d lines: %s", rounds, last)
			}
		})
	}
}
