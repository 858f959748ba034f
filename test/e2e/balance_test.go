//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// TestBalance invokes functions in all ways at once, more than may run, and compares the metrics
// with what the callers and the functions saw: every request is counted once, as an invocation or
// as a throttle, for its function and for the account.
func TestBalance(t *testing.T) {
	t.Parallel()
	s := start(t, "-sandbox", "process")
	a := newTenant(s.url)
	m := newMeter(a.account)
	events, messages := newLedger(t), newLedger(t)
	a.create(t, function{name: "direct", language: golang, code: program(t, "light"), reserved: aws.Int32(3)})
	a.keeper(t, function{name: "events", reserved: aws.Int32(2), variables: map[string]string{"MS": "600"}}, events)
	a.keeper(t, function{name: "messages", reserved: aws.Int32(1), variables: map[string]string{"MS": "100"}}, messages)
	a.destinations(t, "events", "", "")
	source := a.queue(t, "work", nil)
	a.mapping(t, lambda.CreateEventSourceMappingInput{FunctionName: aws.String("messages"), EventSourceArn: &source, BatchSize: aws.Int32(1)})

	const fine, fail, sent, calls = 8, 2, 20, 40
	for i := range fine + fail {
		a.async(t, "events", fmt.Sprintf(`{"fail": %v}`, i >= fine))
	}
	for i := range sent {
		a.send(t, "work", fmt.Sprint(i))
	}
	seen := outcomes(volley(t, s.url, a.id, "direct", `{"ms": 300}`, calls))
	ran, refused := seen["200"], seen[overReserved]
	if ran == 0 || refused == 0 || ran+refused != calls {
		t.Fatalf("of %d calls: %v", calls, seen)
	}
	events.wait(t, fine+fail)
	messages.wait(t, sent)
	a.empty(t, "work")

	asked := requests(t, events)
	again := 0 // attempts at an event that were throttled
	for id := range asked {
		waits, err := s.waits(id)
		if err != nil {
			t.Fatal(err)
		}
		again += len(waits)
	}
	if len(asked) != fine+fail || again == 0 {
		t.Errorf("%d events ran, and were throttled %d times", len(asked), again)
	}
	batches := len(requests(t, messages))
	// Only the metrics know how often a poller was refused: the rest of the account is known.
	besides := func(ctx context.Context, name string, function ...string) (float64, error) {
		all, err := m.sum(ctx, name)
		if err != nil {
			return 0, err
		}
		part, err := m.sum(ctx, name, function...)
		return all - part, err
	}
	want := []reading{
		{"Invocations", m.sum, float64(ran), []string{"FunctionName", "direct"}},
		{"Throttles", m.sum, float64(refused), []string{"FunctionName", "direct"}},
		{"Invocations", m.sum, float64(ran), []string{"FunctionName", "direct", "Resource", "direct"}},
		{"Invocations", m.sum, fine + fail, []string{"FunctionName", "events"}},
		{"Errors", m.sum, fail, []string{"FunctionName", "events"}},
		{"Throttles", m.sum, float64(again), []string{"FunctionName", "events"}},
		{"AsyncEventsReceived", m.sum, fine + fail, []string{"FunctionName", "events"}},
		{"Invocations", m.sum, float64(batches), []string{"FunctionName", "messages"}},
		{"ConcurrentExecutions", m.maximum, 3, []string{"FunctionName", "direct"}},
		{"Invocations", m.sum, float64(ran + fine + fail + batches), nil},
		{"Throttles", besides, float64(refused + again), []string{"FunctionName", "messages"}},
		{"Errors", m.sum, fail, nil},
	}
	reads(t, patience, want...)
	closing := time.Now().Truncate(time.Minute).Add(time.Minute)
	eventually(t, minuteLimit, func() error {
		if left := time.Until(closing); left > 0 {
			return fmt.Errorf("the minute ends in %v", left)
		}
		return nil
	})
	reads(t, patience, want...)
	t.Logf("%d calls ran and %d were refused; %d events were throttled %d times; %d batches ran", ran, refused, fine+fail, again, batches)
}

// requests are the invocations that wrote into a ledger.
func requests(t *testing.T, l ledger) map[string]bool {
	t.Helper()
	all, err := l.entries()
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	for _, e := range all {
		ids[e.Request] = true
	}
	return ids
}
