package sns

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

// What is published, filtered out, delivered and given up counts for the topic.
func TestMetrics(t *testing.T) {
	h := newHarness(t)
	h.service.Close()
	r := new(store.Recorder)
	h.service.meter = newMeter(r)
	h.service.carrier = newCarrier(h.store.FanOut(), h.service.attempt, slog.New(slog.DiscardHandler))
	topic := h.topic("t")
	h.subscribe(topic, "sqs", "arn:aws:sqs:us-east-1:111111111111:good")
	h.subscribe(topic, "sqs", "arn:aws:sqs:us-east-1:111111111111:bad")
	h.subscribe(topic, "sqs", "arn:aws:sqs:us-east-1:111111111111:other", "FilterPolicy", `{"color":["red"]}`)
	h.mu.Lock()
	h.mu.refuse = func(arn string) error {
		if arn == "arn:aws:sqs:us-east-1:111111111111:bad" {
			return final{errors.New("refused")}
		}
		return nil
	}
	h.mu.Unlock()
	h.ok("MessageId", "Publish", "TopicArn", topic, "Message", "12345")
	type reading struct {
		sum  float64
		unit metric.Unit
	}
	got := make(map[string]reading)
	h.until("both deliveries are counted", func() bool {
		r.Drain(func(s *store.Series, _ metric.Instant, set *metric.Set) {
			if s.Metric.Namespace != "AWS/SNS" || len(s.Metric.Dimensions) != 1 || s.Metric.Dimensions[0] != (metric.Dimension{Name: "TopicName", Value: "t"}) {
				t.Errorf("a series of %v", s.Metric)
			}
			got[s.Metric.Name] = reading{got[s.Metric.Name].sum + set.Sum, s.Key.Unit()}
		})
		return len(got) == 5
	})
	one := reading{1, metric.Count}
	for name, want := range map[string]reading{
		"NumberOfMessagesPublished": one, "PublishSize": {5, metric.Bytes}, "NumberOfNotificationsDelivered": one,
		"NumberOfNotificationsFailed": one, "NumberOfNotificationsFilteredOut": one,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}
