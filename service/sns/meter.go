package sns

import (
	"math"
	"sync"
	"time"

	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

// A meter gathers the metrics of AWS/SNS, by topic. Nil gathers nothing.
type meter struct {
	recorder *store.Recorder

	mu struct {
		sync.RWMutex
		topics map[topicName]*store.Group
	}
}

// The series of a topic's group, in their order.
const (
	published = iota
	publishSize
	delivered
	failed
	filteredOut
	redriven
	notRedriven
	seriesCount
)

var seriesNames = [seriesCount]string{
	"NumberOfMessagesPublished", "PublishSize", "NumberOfNotificationsDelivered", "NumberOfNotificationsFailed",
	"NumberOfNotificationsFilteredOut", "NumberOfNotificationsRedrivenToDlq", "NumberOfNotificationsFailedToRedriveToDlq",
}

func newMeter(r *store.Recorder) *meter {
	if r == nil {
		return nil
	}
	m := &meter{recorder: r}
	m.mu.topics = make(map[topicName]*store.Group)
	return m
}

func (m *meter) group(n topicName) *store.Group {
	m.mu.RLock()
	g := m.mu.topics[n]
	m.mu.RUnlock()
	if g != nil {
		return g
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if g := m.mu.topics[n]; g != nil {
		return g
	}
	series := make([]*store.Series, seriesCount)
	for i, name := range seriesNames {
		unit := metric.Count
		if i == publishSize {
			unit = metric.Bytes
		}
		series[i] = store.NewSeries(n.scope, metric.Metric{
			Namespace: "AWS/SNS", Name: name, Dimensions: []metric.Dimension{{Name: "TopicName", Value: n.name}},
		}, unit)
	}
	g = m.recorder.Group(series...)
	m.mu.topics[n] = g
	return g
}

// published counts a message, of a size in bytes, that filtered subscriptions do not want.
func (m *meter) published(n topicName, size, filtered int) {
	if m == nil {
		return
	}
	v := absent
	v[published], v[publishSize] = 1, float64(size)
	if filtered > 0 {
		v[filteredOut] = float64(filtered)
	}
	m.add(n, &v)
}

// one counts one of a series.
func (m *meter) one(n topicName, series int) {
	if m == nil {
		return
	}
	v := absent
	v[series] = 1
	m.add(n, &v)
}

func (m *meter) add(n topicName, v *[seriesCount]float64) {
	m.group(n).Add(metric.Instant(time.Now().UnixNano()), v[:]...)
}

// forget drops a topic that is deleted; what it has gathered stays.
func (m *meter) forget(n topicName) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.mu.topics, n)
}

var absent = func() (v [seriesCount]float64) {
	for i := range v {
		v[i] = math.NaN()
	}
	return v
}()
