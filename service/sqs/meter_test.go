package sqs

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

// newMeasured is newHarness with a recorder.
func newMeasured(t *testing.T) (*harness, *store.Recorder) {
	h := newHarness(t)
	r := new(store.Recorder)
	log := slog.New(slog.DiscardHandler)
	h.service = New(Options{Queues: h.queues, Recorder: r, Logger: log})
	t.Cleanup(h.service.Close)
	mux := wire.NewMux(wire.Options{Account: account, Log: log})
	h.service.Register(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	h.url = server.URL
	return h, r
}

// A reading is what a metric of the queue q has gathered.
type reading struct {
	sum   float64
	count float64
	unit  metric.Unit
}

func drain(t *testing.T, r *store.Recorder) map[string]reading {
	t.Helper()
	got := make(map[string]reading)
	r.Drain(func(s *store.Series, _ metric.Instant, set *metric.Set) {
		if s.Metric.Namespace != "AWS/SQS" || len(s.Metric.Dimensions) != 1 || s.Metric.Dimensions[0] != (metric.Dimension{Name: "QueueName", Value: "q"}) || s.Scope != scope {
			t.Errorf("a series of %v %v", s.Scope, s.Metric)
		}
		x := got[s.Metric.Name]
		got[s.Metric.Name] = reading{x.sum + set.Sum, x.count + set.Count, s.Key.Unit()}
	})
	return got
}

// What clients and event source mappings do counts for the queue.
func TestMetricsOfCalls(t *testing.T) {
	h, r := newMeasured(t)
	h.create("q", "")
	h.ok("SendMessage", `{"QueueUrl":"QUEUE/q","MessageBody":"12345"}`)
	h.ok("SendMessageBatch", `{"QueueUrl":"QUEUE/q","Entries":[{"Id":"a","MessageBody":"1"},{"Id":"b","MessageBody":"1234"}]}`)
	if err := h.service.Send(context.Background(), scope.ARN("sqs", "q"), store.Message{Body: "12"}); err != nil {
		t.Fatal(err)
	}
	got := h.receive("q", "")
	if len(got) != 4 {
		t.Fatalf("received %d messages", len(got))
	}
	h.receive("q", "")
	h.ok("DeleteMessage", `{"QueueUrl":"QUEUE/q","ReceiptHandle":"`+got[0]["ReceiptHandle"].(string)+`"}`)
	h.ok("DeleteMessageBatch", `{"QueueUrl":"QUEUE/q","Entries":[{"Id":"a","ReceiptHandle":"`+got[1]["ReceiptHandle"].(string)+`"},{"Id":"b","ReceiptHandle":"bad"}]}`)
	want := map[string]reading{
		"NumberOfMessagesSent": {4, 3, metric.Count}, "SentMessageSize": {12, 4, metric.Bytes}, "NumberOfMessagesReceived": {4, 1, metric.Count},
		"NumberOfEmptyReceives": {1, 1, metric.Count}, "NumberOfMessagesDeleted": {2, 2, metric.Count},
	}
	check(t, drain(t, r), want)
}

func TestMetricsOfMappings(t *testing.T) {
	h, r := newMeasured(t)
	h.create("q", "")
	h.ok("SendMessage", `{"QueueUrl":"QUEUE/q","MessageBody":"1"}`)
	source, err := h.service.Source(scope.ARN("sqs", "q"))
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan []engine.SourceMessage, 1)
	source.Receive(10, func(m []engine.SourceMessage, _ error) { got <- m })
	if err := source.Delete(context.Background(), <-got); err != nil {
		t.Fatal(err)
	}
	check(t, drain(t, r), map[string]reading{
		"NumberOfMessagesSent": {1, 1, metric.Count}, "SentMessageSize": {1, 1, metric.Bytes},
		"NumberOfMessagesReceived": {1, 1, metric.Count}, "NumberOfMessagesDeleted": {1, 1, metric.Count},
	})
}

func check(t *testing.T, got, want map[string]reading) {
	t.Helper()
	for name, x := range want {
		if got[name] != x {
			t.Errorf("%s is %v, want %v", name, got[name], x)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A queue is measured while it holds messages, and for six hours after its last use.
func TestMetricsOfActiveQueues(t *testing.T) {
	h, r := newMeasured(t)
	h.create("q", "")
	now := time.Now()
	h.service.gaugeAll(now)
	check(t, drain(t, r), map[string]reading{})
	h.ok("SendMessage", `{"QueueUrl":"QUEUE/q","MessageBody":"1"}`)
	h.ok("SendMessage", `{"QueueUrl":"QUEUE/q","MessageBody":"2"}`)
	h.ok("SendMessage", `{"QueueUrl":"QUEUE/q","MessageBody":"3","DelaySeconds":60}`)
	if got := h.ok("ReceiveMessage", `{"QueueUrl":"QUEUE/q"}`); got["Messages"] == nil {
		t.Fatal("received nothing")
	}
	drain(t, r)
	h.service.gaugeAll(now)
	got := drain(t, r)
	if age := got["ApproximateAgeOfOldestMessage"]; age.sum <= 0 || age.sum > 60 || age.unit != metric.Seconds {
		t.Errorf("the oldest message is %v old", age)
	}
	delete(got, "ApproximateAgeOfOldestMessage")
	one := reading{1, 1, metric.Count}
	check(t, got, map[string]reading{
		"ApproximateNumberOfMessagesVisible": one, "ApproximateNumberOfMessagesNotVisible": one, "ApproximateNumberOfMessagesDelayed": one,
	})
	h.ok("PurgeQueue", `{"QueueUrl":"QUEUE/q"}`)
	h.service.gaugeAll(now.Add(active - time.Minute))
	if got := drain(t, r); got["ApproximateNumberOfMessagesVisible"] != (reading{0, 1, metric.Count}) {
		t.Errorf("an empty queue that was used lately: %v", got)
	}
	h.service.gaugeAll(now.Add(active + time.Minute))
	check(t, drain(t, r), map[string]reading{})
}

func BenchmarkCount(b *testing.B) {
	s := &Service{opt: Options{Recorder: new(store.Recorder)}}
	q := &store.Queue{Scope: scope, Name: "q"}
	b.ReportAllocs()
	for b.Loop() {
		s.received(q, 1)
	}
}
