package cloudwatch

import (
	"context"
	"time"

	api "github.com/weir-run/weir/aws/cloudwatch"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

const (
	maxMetrics   = 500                 // of an answer of ListMetrics
	listedFor    = 14 * 24 * time.Hour // without a datapoint
	recentlyFor  = 3 * time.Hour
	recentlyName = "PT3H"
)

// ListMetrics lists the metrics that were measured in the last two weeks.
func (s *Service) ListMetrics(c *wire.Call, in *api.ListMetricsInput) (*api.ListMetricsOutput, error) {
	if err := s.supported(c, in, "OwningAccount"); err != nil {
		return nil, err
	}
	if in.IncludeLinkedAccounts.V {
		return nil, validation("weir does not support the parameter IncludeLinkedAccounts of ListMetrics.")
	}
	if in.RecentlyActive.OK && in.RecentlyActive.V != recentlyName {
		return nil, invalid("The value %s for parameter RecentlyActive is invalid.", in.RecentlyActive.V)
	}
	after, err := mark(in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &api.ListMetricsOutput{Metrics: []api.Metric{}}
	last := ""
	err = s.driver.names(c.Scope, in.Namespace.V, after, func(at string, m metric.Metric) bool {
		if in.MetricName.OK && m.Name != in.MetricName.V || !filtered(&m, in.Dimensions) {
			return true
		}
		if in.RecentlyActive.OK && !s.recent(c, m) {
			return true
		}
		if len(out.Metrics) == maxMetrics {
			out.NextToken = token(last)
			return false
		}
		out.Metrics = append(out.Metrics, metricAnswer(m))
		last = at
		return true
	})
	return out, err
}

// recent reports whether a metric has a datapoint of the last three hours.
func (s *Service) recent(c *wire.Call, m metric.Metric) bool {
	now := s.driver.now()
	where := spanOf(metric.Floor(now-metric.Instant(recentlyFor), time.Hour), now, time.Hour)
	found, err := s.driver.collect(s.driver.account(c.Scope), metric.KeyOf(c.Scope, m, metric.AnyUnit), metric.AnyUnit, where)
	return err == nil && len(found) > 0
}

func filtered(m *metric.Metric, filters []api.DimensionFilter) bool {
	for _, f := range filters {
		v, ok := m.Dimension(f.Name.V)
		if !ok || f.Value.OK && v != f.Value.V {
			return false
		}
	}
	return true
}

func metricAnswer(m metric.Metric) api.Metric {
	r := metricRecord{m.Namespace, m.Name, m.Dimensions}
	return api.Metric{Namespace: wire.Some(m.Namespace), MetricName: wire.Some(m.Name), Dimensions: r.dimensions()}
}

// names calls f with the metrics of a scope, those of this minute too.
func (d *driver) names(s lambda.Scope, namespace, after string, f func(mark string, m metric.Metric) bool) error {
	d.drain()
	a := d.account(s)
	a.mu.Lock()
	var fresh []store.NamedMetric
	for _, n := range a.mu.unnamed {
		fresh = append(fresh, n)
	}
	a.mu.Unlock()
	if len(fresh) > 0 {
		if err := d.opt.Store.Metrics().Name(context.Background(), fresh); err != nil {
			return err
		}
		a.mu.Lock()
		for _, n := range fresh {
			delete(a.mu.unnamed, metric.KeyOf(n.Scope, n.Metric, metric.AnyUnit))
		}
		a.mu.Unlock()
	}
	return d.opt.Store.Metrics().Names(s, namespace, after, d.now()-metric.Instant(listedFor), f)
}
