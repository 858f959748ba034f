package sqs

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

// active is how long after its last use a queue is measured though it is empty, and gaugeEvery
// how often (AWS: "Available CloudWatch metrics for Amazon SQS").
const (
	active     = 6 * time.Hour
	gaugeEvery = time.Minute
)

// A meter gathers the metrics of one queue.
type meter struct {
	calls  *store.Group
	gauges *store.Group
	used   atomic.Int64 // nanoseconds since 1970
}

// The series of meter.calls; those of one call have a value, the others none.
type callValues struct{ received, deleted, empty, sent, size float64 }

func newMeter(r *store.Recorder, q *store.Queue) *meter {
	series := func(name string, u metric.Unit) *store.Series {
		return store.NewSeries(q.Scope, metric.Metric{
			Namespace: "AWS/SQS", Name: name, Dimensions: []metric.Dimension{{Name: "QueueName", Value: q.Name}},
		}, u)
	}
	return &meter{
		calls: r.Group(series("NumberOfMessagesReceived", metric.Count), series("NumberOfMessagesDeleted", metric.Count),
			series("NumberOfEmptyReceives", metric.Count), series("NumberOfMessagesSent", metric.Count), series("SentMessageSize", metric.Bytes)),
		gauges: r.Group(series("ApproximateNumberOfMessagesVisible", metric.Count), series("ApproximateNumberOfMessagesNotVisible", metric.Count),
			series("ApproximateNumberOfMessagesDelayed", metric.Count), series("ApproximateAgeOfOldestMessage", metric.Seconds)),
	}
}

// meter returns the meter of a queue, which is in use now; nil: nothing is recorded.
func (s *Service) meter(q *store.Queue, now time.Time) *meter {
	if s.opt.Recorder == nil {
		return nil
	}
	m, ok := s.meters.Load(q)
	if !ok {
		m, _ = s.meters.LoadOrStore(q, newMeter(s.opt.Recorder, q))
	}
	x := m.(*meter)
	x.used.Store(now.UnixNano())
	return x
}

var absent = math.NaN()

func (s *Service) count(q *store.Queue, v callValues) {
	now := time.Now()
	if m := s.meter(q, now); m != nil {
		m.calls.Add(metric.Instant(now.UnixNano()), v.received, v.deleted, v.empty, v.sent, v.size)
	}
}

// sent counts messages that were sent. As on AWS those that go to a dead-letter queue because
// they were received too often are none of them.
func (s *Service) sent(q *store.Queue, messages []store.Message) {
	for i := range messages {
		v := callValues{absent, absent, absent, absent, float64(sizeOf(&messages[i]))}
		if i == 0 {
			v.sent = float64(len(messages))
		}
		s.count(q, v)
	}
}

// received counts a receive.
func (s *Service) received(q *store.Queue, messages int) {
	if messages == 0 {
		s.count(q, callValues{absent, absent, 1, absent, absent})
		return
	}
	s.count(q, callValues{float64(messages), absent, absent, absent, absent})
}

// deleted counts the receipts that were good to delete a message: an error each, or nil. As on
// AWS one whose message is gone already counts again.
func (s *Service) deleted(q *store.Queue, errs []error) {
	n := 0
	for _, err := range errs {
		if err == nil {
			n++
		}
	}
	if n > 0 {
		s.count(q, callValues{absent, float64(n), absent, absent, absent})
	}
}

// gauge measures the queues that are active until the service is closed: once in every minute,
// in the middle of it, so that a late timer does not miss one.
func (s *Service) gauge() {
	for {
		now := time.Now()
		next := now.Truncate(gaugeEvery).Add(gaugeEvery / 2)
		if !next.After(now) {
			next = next.Add(gaugeEvery)
		}
		select {
		case <-s.stop.Done():
			return
		case <-time.After(next.Sub(now)):
			s.gaugeAll(time.Now())
		}
	}
}

func (s *Service) gaugeAll(now time.Time) {
	for _, q := range s.opt.Queues.All() {
		c := q.Counts()
		held := c.Visible+c.InFlight+c.Delayed > 0
		x, known := s.meters.Load(q)
		var m *meter
		switch {
		case held:
			m = s.meter(q, now)
		case known && now.Sub(time.Unix(0, x.(*meter).used.Load())) < active:
			m = x.(*meter)
		default:
			continue
		}
		m.gauges.Add(metric.Instant(now.UnixNano()), float64(c.Visible), float64(c.InFlight), float64(c.Delayed), c.Oldest.Seconds())
	}
	s.meters.Range(func(q, m any) bool {
		current, exists := s.opt.Queues.Get(q.(*store.Queue).Scope, q.(*store.Queue).Name)
		if !exists || current != q.(*store.Queue) || now.Sub(time.Unix(0, m.(*meter).used.Load())) >= active {
			s.meters.Delete(q)
		}
		return true
	})
}
