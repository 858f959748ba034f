//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/weir-run/weir/test/e2e/tally"
)

// The outcomes of an invocation that is throttled.
const (
	overReserved = "429 TooManyRequestsException ReservedFunctionConcurrentInvocationLimitExceeded"
	overAccount  = "429 TooManyRequestsException ConcurrentInvocationLimitExceeded"
)

// TestScenarios plays the examples that articles give with numbers.
func TestScenarios(t *testing.T) {
	s := start(t, "-sandbox", "process", "-idle-timeout", "2s", "-log-level", "error")
	t.Run("the 51st of 50", func(t *testing.T) { testCap(t, s) })
	t.Run("400 and 350 and 200 of 1000", func(t *testing.T) { testPool(t, s) })
	t.Run("200 reserved, 50 of them provisioned", func(t *testing.T) { testProvisionedInside(t, s) })
}

// together returns an event that makes invocations wait until n of them are at work, and the
// tally that they count in.
func together(t testing.TB, n int) (string, *tally.Tally) {
	t.Helper()
	page := filepath.Join(t.TempDir(), "tally")
	count, err := tally.Open(page)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { count.Close() })
	return fmt.Sprintf(`{"ms": 500, "after": %d, "tally": %q}`, n, page), count
}

// outcomes counts results by outcome.
func outcomes(results []result) map[string]int {
	seen := make(map[string]int)
	for _, r := range results {
		seen[r.outcome]++
	}
	return seen
}

func testCap(t *testing.T, s *server) {
	a := newAccount(s.url)
	a.create(t, function{name: "auth-service", language: golang, code: program(t, "light"), timeout: 60, reserved: aws.Int32(50)})
	event, count := together(t, 50)
	seen := outcomes(volley(t, s.url, a.id, "auth-service", event, 51))
	if seen["200"] != 50 || seen[overReserved] != 1 {
		t.Errorf("of 51 calls: %v", seen)
	}
	if c := count.Count(); c.Peak != 50 || c.Begun != 50 {
		t.Errorf("in the function: %+v", c)
	}
}

// testPool has three functions hold 950 of the account's 1,000; of 51 calls of a fourth one is
// too many.
func testPool(t *testing.T, s *server) {
	a := newAccount(s.url)
	event, count := together(t, 1000)
	var all sync.WaitGroup
	for name, n := range map[string]int{"function-a": 400, "function-b": 350, "function-c": 200} {
		a.create(t, function{name: name, language: golang, code: program(t, "light"), timeout: 60})
		all.Go(func() {
			if seen := outcomes(volley(t, s.url, a.id, name, event, n)); seen["200"] != n {
				t.Errorf("of %d calls of %s: %v", n, name, seen)
			}
		})
	}
	a.create(t, function{name: "function-d", language: golang, code: program(t, "light"), timeout: 60})
	eventually(t, patience, func() error { return expect(count.Count().Begun, 950, "invocations have begun") })
	seen := outcomes(volley(t, s.url, a.id, "function-d", event, 51))
	all.Wait()
	if seen["200"] != 50 || seen[overAccount] != 1 {
		t.Errorf("of 51 calls of the fourth function: %v", seen)
	}
	if c := count.Count(); c.Peak != 1000 || c.Begun != 1000 {
		t.Errorf("in the functions: %+v", c)
	}
}

func testProvisionedInside(t *testing.T, s *server) {
	a := newAccount(s.url)
	name := "brand-logo-processor"
	a.create(t, function{name: name, language: golang, code: program(t, "light"), timeout: 60, reserved: aws.Int32(200)})
	if _, err := a.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: &name}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.PutProvisionedConcurrencyConfig(t.Context(), &lambda.PutProvisionedConcurrencyConfigInput{
		FunctionName: &name, Qualifier: aws.String("1"), ProvisionedConcurrentExecutions: aws.Int32(50),
	}); err != nil {
		t.Fatal(err)
	}
	a.ready(t, name, "1", 50)
	event, count := together(t, 200)
	results := volley(t, s.url, a.id, name+":1", event, 201)
	kinds := make(map[string]int)
	for _, r := range results {
		kinds[r.init]++
	}
	seen := outcomes(results)
	if seen["200"] != 200 || seen[overReserved] != 1 || kinds["provisioned-concurrency"] != 50 || kinds["on-demand"] != 150 {
		t.Errorf("of 201 calls: %v, in environments of the types %v", seen, kinds)
	}
	if c := count.Count(); c.Peak != 200 || c.Begun != 200 {
		t.Errorf("in the function: %+v", c)
	}
}
