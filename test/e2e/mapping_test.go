//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/weir-run/weir/test/e2e/tally"
)

// TestMappings shows what event source mappings do, one rule each.
func TestMappings(t *testing.T) {
	s := start(t, "-sandbox", "process")
	for name, test := range map[string]func(*testing.T, *tenant){
		"starts with five": testStartsWithFive, "maximum concurrency": testMaximumConcurrency, "partial batches": testPartialBatches,
		"order of groups": testGroups, "filter": testFilter, "one reserved": testOneReserved,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newTenant(s.url))
		})
	}
}

// tallied returns a tally and the variables that make a keeper count in it and work so long.
func tallied(t *testing.T, work time.Duration) (*tally.Tally, map[string]string) {
	t.Helper()
	page := filepath.Join(t.TempDir(), "tally")
	count, err := tally.Open(page)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { count.Close() })
	return count, map[string]string{"TALLY": "at=" + page, "MS": fmt.Sprint(work.Milliseconds())}
}

// numbered are texts that differ.
func numbered(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(`{"n": %d}`, i)
	}
	return all
}

// The pollers of a mapping: how many there are at first, and how many come each second.
const (
	firstPollers = 5
	morePollers  = 5
)

// watchCurve samples how many run until done reports true, and checks that they never are more
// than the pollers that there can be by then.
func watchCurve(t *testing.T, began time.Time, count *tally.Tally, done func(tally.Count) bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := began.Add(time.Minute); ; {
		c := count.Count()
		since := time.Since(began)
		if most := firstPollers + morePollers*since.Seconds(); float64(c.Peak) > most {
			t.Fatalf("after %v %d ran at once, at most %.1f may", since, c.Peak, most)
		}
		if done(c) {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("after %v: %+v", since, c)
		}
		<-tick.C
	}
}

func testStartsWithFive(t *testing.T, a *tenant) {
	count, variables := tallied(t, 400*time.Millisecond)
	a.keeper(t, function{name: "slow", variables: variables}, newLedger(t))
	source := a.queue(t, "source", nil)
	a.send(t, "source", numbered(500)...)
	began := time.Now()
	a.mapping(t, lambda.CreateEventSourceMappingInput{FunctionName: aws.String("slow"), EventSourceArn: &source, BatchSize: aws.Int32(1)})
	watchCurve(t, began, count, func(c tally.Count) bool { return c.Peak >= firstPollers })
	watchCurve(t, began, count, func(c tally.Count) bool { return c.Peak >= 3*firstPollers })
	t.Logf("%d ran at once after %v", count.Count().Peak, time.Since(began))
}

func testMaximumConcurrency(t *testing.T, a *tenant) {
	const most = 3
	count, variables := tallied(t, 100*time.Millisecond)
	l := newLedger(t)
	a.keeper(t, function{name: "bounded", variables: variables}, l)
	source := a.queue(t, "source", nil)
	a.send(t, "source", numbered(90)...)
	a.mapping(t, lambda.CreateEventSourceMappingInput{
		FunctionName: aws.String("bounded"), EventSourceArn: &source, BatchSize: aws.Int32(1), ScalingConfig: &types.ScalingConfig{MaximumConcurrency: aws.Int32(most)},
	})
	l.wait(t, 90)
	if c := count.Count(); c.Peak < 2 || c.Peak > most {
		t.Errorf("%d ran at once, want 2 to %d", c.Peak, most)
	}
	a.empty(t, "source")
}

// testPartialBatches reports two of ten messages as failed. They come again until they have been
// received three times, and end in the dead-letter queue; the others are run once.
func testPartialBatches(t *testing.T, a *tenant) {
	l := newLedger(t)
	a.queue(t, "dead", nil)
	source := a.queue(t, "source", attributes{"VisibilityTimeout": "2", "RedrivePolicy": a.redrive("dead", 3)})
	a.keeper(t, function{name: "partial", timeout: 2, variables: map[string]string{"PARTIAL": "1"}}, l)
	bodies := numbered(8)
	bad := []string{`{"fail": true, "n": 8}`, `{"fail": true, "n": 9}`}
	a.send(t, "source", append(bodies, bad...)...)
	a.mapping(t, lambda.CreateEventSourceMappingInput{
		FunctionName: aws.String("partial"), EventSourceArn: &source,
		FunctionResponseTypes: []types.FunctionResponseType{types.FunctionResponseTypeReportBatchItemFailures},
	})
	var dead []string
	ids := make(map[string]string)
	for _, m := range a.takeN(t, "dead", 2) {
		dead = append(dead, *m.Body)
		ids[*m.Body] = *m.MessageId
		if from := m.Attributes["DeadLetterQueueSourceArn"]; from != source {
			t.Errorf("the dead letter comes from %q", from)
		}
	}
	if slices.Sort(dead); !slices.Equal(dead, bad) {
		t.Errorf("in the dead-letter queue are %v", dead)
	}
	a.empty(t, "source")
	receives := make(map[string][]int)
	for _, e := range l.wait(t, 14) {
		receives[e.Text] = append(receives[e.Text], e.Receives)
		if id, ok := ids[e.Text]; ok && id != e.ID {
			t.Errorf("the message %s was %s in the dead-letter queue", e.ID, id)
		}
	}
	for _, body := range bodies {
		if !slices.Equal(receives[body], []int{1}) {
			t.Errorf("%s was received %v", body, receives[body])
		}
	}
	for _, body := range bad {
		if !slices.Equal(receives[body], []int{1, 2, 3}) {
			t.Errorf("%s was received %v", body, receives[body])
		}
	}
}

// testGroups sends messages of five groups to a FIFO queue: each group must be run in order.
func testGroups(t *testing.T, a *tenant) {
	const groups, each = 5, 20
	l := newLedger(t)
	count, variables := tallied(t, 20*time.Millisecond)
	a.keeper(t, function{name: "ordered", variables: variables}, l)
	source := a.queue(t, "source.fifo", attributes{"FifoQueue": "true", "ContentBasedDeduplication": "true"})
	for i := range groups * each {
		if _, err := a.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{
			QueueUrl: a.url("source.fifo"), MessageGroupId: aws.String(fmt.Sprint("group-", i%groups)), MessageBody: aws.String(fmt.Sprintf(`{"n": %03d}`, i)),
		}); err != nil {
			t.Fatal(err)
		}
	}
	a.mapping(t, lambda.CreateEventSourceMappingInput{FunctionName: aws.String("ordered"), EventSourceArn: &source, BatchSize: aws.Int32(3)})
	got := make(map[string][]string)
	for _, e := range l.wait(t, groups*each) {
		got[e.Group] = append(got[e.Group], e.Text)
	}
	for i := range groups {
		var want []string
		for n := i; n < groups*each; n += groups {
			want = append(want, fmt.Sprintf(`{"n": %03d}`, n))
		}
		if group := fmt.Sprint("group-", i); !slices.Equal(got[group], want) {
			t.Errorf("%s was run in the order %v", group, got[group])
		}
	}
	if c := count.Count(); c.Peak < 2 || c.Peak > groups {
		t.Errorf("%d ran at once, want 2 to %d groups", c.Peak, groups)
	}
	a.empty(t, "source.fifo")
}

func testFilter(t *testing.T, a *tenant) {
	l := newLedger(t)
	a.keeper(t, function{name: "choosy"}, l)
	source := a.queue(t, "source", nil)
	a.mapping(t, lambda.CreateEventSourceMappingInput{
		FunctionName: aws.String("choosy"), EventSourceArn: &source,
		FilterCriteria: &types.FilterCriteria{Filters: []types.Filter{{Pattern: aws.String(`{"body": {"n": [{"numeric": [">=", 30]}]}}`)}}},
	})
	a.send(t, "source", append(numbered(50), "plain text")...)
	a.empty(t, "source")
	var got []string
	for _, e := range l.wait(t, 20) {
		got = append(got, e.Text)
	}
	want := numbered(50)[30:]
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the function was given %v", got)
	}
}

// testOneReserved has a mapping feed a function that may run once at a time. The other pollers'
// batches are throttled, and their messages end in the dead-letter queue, although the function
// never fails.
func testOneReserved(t *testing.T, a *tenant) {
	l := newLedger(t)
	a.queue(t, "dead", nil)
	source := a.queue(t, "source", attributes{"VisibilityTimeout": "2", "RedrivePolicy": a.redrive("dead", 1)})
	a.keeper(t, function{name: "narrow", timeout: 2, reserved: aws.Int32(1), variables: map[string]string{"MS": "1500"}}, l)
	a.send(t, "source", numbered(20)...)
	a.mapping(t, lambda.CreateEventSourceMappingInput{FunctionName: aws.String("narrow"), EventSourceArn: &source, BatchSize: aws.Int32(1)})
	seen := make(map[string]bool)
	dead := a.takeN(t, "dead", 1)
	eventually(t, patience, func() error {
		more, err := a.take(t.Context(), "dead")
		if err != nil {
			return err
		}
		dead = append(dead, more...)
		n, err := a.depth(t.Context(), "source")
		if err == nil && n > 0 {
			err = fmt.Errorf("%d messages are left", n)
		}
		return err
	})
	for _, m := range dead {
		seen[*m.Body] = true
	}
	for _, e := range l.wait(t, 1) {
		seen[e.Text] = true
	}
	if len(seen) != 20 {
		t.Errorf("of 20 messages %d are accounted for", len(seen))
	}
	t.Logf("%d of 20 messages are dead", len(dead))
}

// TestHundredThousand has a queue drain into a function that takes a millisecond: nothing may be
// lost, and nothing come twice.
func TestHundredThousand(t *testing.T) {
	const total, senders = 100_000, 16
	s := start(t, "-sandbox", "process", "-log-level", "warn")
	a := newTenant(s.url)
	count, variables := tallied(t, time.Millisecond)
	l := newLedger(t)
	a.keeper(t, function{name: "drain", variables: variables}, l)
	source := a.queue(t, "source", attributes{"VisibilityTimeout": "300"})
	bodies := numbered(total)
	began := time.Now()
	var all sync.WaitGroup
	errs := make([]error, senders)
	for i := range senders {
		all.Go(func() {
			for n := i * 10; n < total && errs[i] == nil; n += senders * 10 {
				errs[i] = a.sendBatch(t.Context(), "source", bodies[n:n+10])
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	sent := time.Since(began)
	began = time.Now()
	a.mapping(t, lambda.CreateEventSourceMappingInput{FunctionName: aws.String("drain"), EventSourceArn: &source, BatchSize: aws.Int32(10)})
	watchCurve(t, began, count, func(c tally.Count) bool { return c.Ended >= total/10 })
	a.empty(t, "source")
	drained := time.Since(began)
	entries, err := l.entries()
	if err != nil {
		t.Fatal(err)
	}
	times := make(map[string]int, total)
	for _, e := range entries {
		times[e.Text]++
	}
	if len(times) != total || len(entries) != total {
		t.Errorf("%d messages were given to the function, %d of them different, want %d", len(entries), len(times), total)
	}
	c := count.Count()
	t.Logf("sent in %.1f s, drained in %.1f s by %d invocations, %d at once", sent.Seconds(), drained.Seconds(), c.Begun, c.Peak)
}

// TestSourceEndpoint has one server poll the queues of another.
func TestSourceEndpoint(t *testing.T) {
	queues := newTenant(shared(t).url)
	source := queues.queue(t, "far", attributes{"VisibilityTimeout": "30"})
	s, err := launchBy([]string{"env", "AWS_ACCESS_KEY_ID=" + queues.id, "AWS_SECRET_ACCESS_KEY=any"}, "", "-sandbox", "process", "-source-endpoint", shared(t).url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	a := tenantOf(s.url, queues.id)
	l := newLedger(t)
	a.keeper(t, function{name: "near"}, l)
	a.mapping(t, lambda.CreateEventSourceMappingInput{FunctionName: aws.String("near"), EventSourceArn: &source})
	bodies := numbered(100)
	queues.send(t, "far", bodies...)
	var got []string
	for _, e := range l.wait(t, len(bodies)) {
		got = append(got, e.Text)
	}
	slices.Sort(got)
	slices.Sort(bodies)
	if !slices.Equal(got, bodies) {
		t.Errorf("the function was given %d messages: %v", len(got), got)
	}
	queues.empty(t, "far")
}
