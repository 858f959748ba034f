//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// handler makes a function of a handler that an article prints, with what it calls before it.
func (a *tenant) handler(t *testing.T, name, file string, l ledger) {
	t.Helper()
	python.on(t)
	before, err := os.ReadFile(filepath.Join("testdata", "functions", "article_work.py"))
	if err != nil {
		t.Fatal(err)
	}
	code := zipped(t, map[string][]byte{"handler.py": append(before, article(t, file)...)})
	in := &lambda.CreateFunctionInput{
		FunctionName: &name, Runtime: types.Runtime(python.runtime), Handler: aws.String("handler.lambda_handler"), Timeout: aws.Int32(3),
		Role: aws.String("arn:aws:iam::" + a.id + ":role/e2e"), Code: &types.FunctionCode{ZipFile: code},
		Environment: &types.Environment{Variables: map[string]string{"LEDGER": "at=" + string(l)}},
	}
	if _, err := a.CreateFunction(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	a.active(t, name)
}

// texts are the texts of a ledger's entries, in order.
func texts(entries []entry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.Text)
	}
	slices.Sort(all)
	return all
}

// TestArticleQueues runs the handlers that articles print for queues. One returns a number of
// its own, which means nothing; the other reports what failed.
func TestArticleQueues(t *testing.T) {
	s := start(t, "-sandbox", "process")
	t.Run("a handler", func(t *testing.T) {
		t.Parallel()
		a, l := newTenant(s.url), newLedger(t)
		a.handler(t, "brand-assets", "sqs_handler.py", l)
		source := a.queue(t, "BrandAssetQueue", nil)
		a.mapping(t, lambda.CreateEventSourceMappingInput{
			FunctionName: aws.String("brand-assets"), EventSourceArn: &source, BatchSize: aws.Int32(5), MaximumBatchingWindowInSeconds: aws.Int32(1),
		})
		bodies := []string{"a", "b", "c", "d", "e", "f", "g"}
		a.send(t, "BrandAssetQueue", bodies...)
		wantLines(t, texts(l.wait(t, len(bodies))), bodies...)
		a.empty(t, "BrandAssetQueue")
	})
	t.Run("a partial batch", func(t *testing.T) {
		t.Parallel()
		a, l := newTenant(s.url), newLedger(t)
		a.handler(t, "brand-assets", "partial_batch.py", l)
		a.queue(t, "dead", nil)
		source := a.queue(t, "BrandAssetQueue", attributes{"VisibilityTimeout": "3", "RedrivePolicy": a.redrive("dead", 2)})
		a.mapping(t, lambda.CreateEventSourceMappingInput{
			FunctionName: aws.String("brand-assets"), EventSourceArn: &source,
			FunctionResponseTypes: []types.FunctionResponseType{types.FunctionResponseTypeReportBatchItemFailures},
		})
		a.send(t, "BrandAssetQueue", "good 1", "bad", "good 2")
		if dead := *a.takeN(t, "dead", 1)[0].Body; dead != "bad" {
			t.Errorf("in the dead-letter queue is %q", dead)
		}
		wantLines(t, texts(l.wait(t, 4)), "bad", "bad", "good 1", "good 2")
		a.empty(t, "BrandAssetQueue")
	})
}
