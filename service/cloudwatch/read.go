package cloudwatch

import (
	"slices"
	"time"

	api "github.com/weir-run/weir/aws/cloudwatch"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/metric"
)

// A span is a range of periods: count of them, from start on.
type span struct {
	start  metric.Instant
	period time.Duration
	count  int
}

func (s span) end() metric.Instant { return s.start + metric.Instant(s.count)*metric.Instant(s.period) }

// spanOf returns the periods that begin in a range, aligned to a moment.
func spanOf(start, end metric.Instant, period time.Duration) span {
	if end <= start {
		return span{start, period, 0}
	}
	return span{start, period, int((end - start + metric.Instant(period) - 1) / metric.Instant(period))}
}

// collect returns the statistic sets of a metric by unit and period, of what is stored and what
// is open. AnyUnit stands for all.
func (d *driver) collect(a *account, k metric.Key, u metric.Unit, s span) (map[metric.Unit][]metric.Set, error) {
	a.commit.RLock()
	defer a.commit.RUnlock()
	found := make(map[metric.Unit][]metric.Set)
	add := func(p *metric.Period) {
		if u != metric.AnyUnit && p.Unit != u || p.Start < s.start || p.Start >= s.end() {
			return
		}
		sets := found[p.Unit]
		if sets == nil {
			sets = make([]metric.Set, s.count)
			found[p.Unit] = sets
		}
		sets[(p.Start-s.start)/metric.Instant(s.period)].Merge(&p.Set)
	}
	lengths := []time.Duration{time.Minute, 5 * time.Minute, time.Hour}
	if s.period < time.Minute {
		lengths = []time.Duration{time.Second}
	}
	lo := max(s.start, metric.Floor(d.now()-metric.Instant(metric.KeepByHour), 24*time.Hour))
	for {
		// A period is rolled up before its parts are dropped: where both are found the parts count.
		parts := make(map[covered]bool)
		for _, length := range lengths {
			err := d.opt.Store.Metrics().Read(k, length, lo, s.end(), func(p *metric.Period) {
				if parts[covered{p.Unit, p.Start, length}] {
					return
				}
				if longer := rolledUp[length]; longer > 0 {
					parts[covered{p.Unit, metric.Floor(p.Start, longer), longer}] = true
				}
				add(p)
			})
			if err != nil {
				return nil, err
			}
		}
		d.collectOpen(a, k, lengths[0], add)
		// A standard metric has no seconds; its minutes stand at their start.
		if len(found) > 0 || lengths[0] >= time.Minute {
			return found, nil
		}
		lengths = []time.Duration{time.Minute}
	}
}

// covered names a period whose parts were found.
type covered struct {
	unit   metric.Unit
	start  metric.Instant
	length time.Duration
}

// rolledUp is what periods become in the store.
var rolledUp = map[time.Duration]time.Duration{time.Minute: 5 * time.Minute, 5 * time.Minute: time.Hour}

// collectOpen adds the periods of a length that are not stored yet.
func (d *driver) collectOpen(a *account, k metric.Key, length time.Duration, add func(*metric.Period)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.machine.Open(k, func(p *metric.Period) {
		if p.Length == length {
			add(p)
		}
	})
	for _, queue := range [][]metric.Effect{a.mu.queue, a.mu.writing} {
		for i := range queue {
			e := &queue[i]
			if e.Do == metric.Flush && e.Key == k.Metric() && e.Period.Length == length {
				add(&e.Period)
			}
		}
	}
}

// maxDatapoints is the most of one answer of GetMetricStatistics.
const maxDatapoints = 1440

// GetMetricStatistics answers statistics of one metric by period.
func (s *Service) GetMetricStatistics(c *wire.Call, in *api.GetMetricStatisticsInput) (*api.GetMetricStatisticsOutput, error) {
	if err := s.supported(c, in); err != nil {
		return nil, err
	}
	stats, err := statisticsOf(in)
	if err != nil {
		return nil, err
	}
	m, err := metricOf(in.Namespace.V, in.MetricName.V, in.Dimensions)
	if err != nil {
		return nil, err
	}
	unit, err := unitOf(in.Unit)
	if err != nil {
		return nil, err
	}
	period, err := periodOf(in.Period.V)
	if err != nil {
		return nil, err
	}
	start, end := instant(in.StartTime.V), instant(in.EndTime.V)
	if start >= end {
		return nil, combination("The parameter StartTime must be less than the parameter EndTime.")
	}
	// Without a finer period times count by the minute.
	start = metric.Floor(start, min(period, time.Minute))
	if n := (end - start) / metric.Instant(period); n > maxDatapoints {
		return nil, combination("You have requested up to %s datapoints, which exceeds the limit of 1,440. You may reduce the datapoints requested by increasing Period, or decreasing the time range.", thousands(int64(n)))
	}
	s.driver.drain()
	where := spanOf(start, end, period)
	found, err := s.driver.collect(s.driver.account(c.Scope), metric.KeyOf(c.Scope, m, metric.AnyUnit), unit, where)
	if err != nil {
		return nil, err
	}
	out := &api.GetMetricStatisticsOutput{Label: wire.Some(m.Name), Datapoints: []api.Datapoint{}}
	for i := range where.count {
		for _, u := range unitsOf(found) {
			if p, ok := datapoint(&found[u][i], stats); ok {
				p.Timestamp = timeOf(int64(where.start + metric.Instant(i)*metric.Instant(period)))
				p.Unit = wire.Some(u.String())
				out.Datapoints = append(out.Datapoints, p)
			}
		}
	}
	return out, nil
}

func unitsOf(found map[metric.Unit][]metric.Set) []metric.Unit {
	var all []metric.Unit
	for u := range found {
		all = append(all, u)
	}
	slices.Sort(all)
	return all
}

func statisticsOf(in *api.GetMetricStatisticsInput) ([]metric.Stat, error) {
	if len(in.Statistics) == 0 && len(in.ExtendedStatistics) == 0 {
		return nil, combination("Must specify either Statistics or ExtendedStatistics")
	}
	if len(in.ExtendedStatistics) > 10 {
		return nil, invalid("The collection ExtendedStatistics must not have a size greater than 10.")
	}
	var stats []metric.Stat
	for i, names := range [][]string{in.Statistics, in.ExtendedStatistics} {
		for _, name := range names {
			stat, ok := metric.ParseStat(name)
			if !ok || stat.Extended() != (i == 1) {
				return nil, invalid("The value %s for parameter %s is not supported.", name, []string{"Statistics", "ExtendedStatistics"}[i])
			}
			stats = append(stats, stat)
		}
	}
	return stats, nil
}

// datapoint returns what a set says of some statistics, or false if nothing.
func datapoint(set *metric.Set, stats []metric.Stat) (api.Datapoint, bool) {
	var p api.Datapoint
	any := false
	for _, stat := range stats {
		v, ok := stat.Of(set)
		if !ok {
			continue
		}
		any = true
		switch stat {
		case metric.Average:
			p.Average = wire.Some(v)
		case metric.Sum:
			p.Sum = wire.Some(v)
		case metric.SampleCount:
			p.SampleCount = wire.Some(v)
		case metric.Minimum:
			p.Minimum = wire.Some(v)
		case metric.Maximum:
			p.Maximum = wire.Some(v)
		default:
			if p.ExtendedStatistics == nil {
				p.ExtendedStatistics = make(map[string]float64)
			}
			p.ExtendedStatistics[stat.String()] = v
		}
	}
	return p, any
}

// metricOf reads the metric of a request.
func metricOf(namespace, name string, dimensions []api.Dimension) (metric.Metric, error) {
	m := metric.Metric{Namespace: namespace, Name: name}
	for _, d := range dimensions {
		if _, twice := m.Dimension(d.Name.V); twice {
			return m, invalid("No two dimensions can have the same name: %s", d.Name.V)
		}
		m.Dimensions = append(m.Dimensions, metric.Dimension{Name: d.Name.V, Value: d.Value.V})
	}
	for _, text := range append([]string{namespace, name}, flat(m.Dimensions)...) {
		if slices.ContainsFunc([]byte(text), func(b byte) bool { return b < 0x20 }) {
			return m, invalid("Control characters are not allowed in a namespace, metric name or dimension.")
		}
	}
	return m.Sorted(), nil
}

func flat(dimensions []metric.Dimension) []string {
	var all []string
	for _, d := range dimensions {
		all = append(all, d.Name, d.Value)
	}
	return all
}

func unitOf(u wire.Opt[string]) (metric.Unit, error) {
	if !u.OK {
		return metric.AnyUnit, nil
	}
	unit, ok := metric.ParseUnit(u.V)
	if !ok {
		return 0, invalid("The value %s for parameter Unit is not supported.", u.V)
	}
	return unit, nil
}

// periodOf reads a period in seconds.
func periodOf(seconds int32) (time.Duration, error) {
	switch {
	case slices.Contains([]int32{1, 5, 10, 20, 30}, seconds):
	case seconds <= 0 || seconds%60 != 0:
		return 0, invalid("Period must be 1, 5, 10, 20, 30 or a multiple of 60")
	case seconds > 86_400*365:
		return 0, invalid("Period must not exceed a year")
	}
	return time.Duration(seconds) * time.Second, nil
}

// thousands writes a number as 100,800.
func thousands(n int64) string {
	if n < 1000 {
		return itoa(n)
	}
	rest := itoa(n % 1000)
	return thousands(n/1000) + "," + "000"[len(rest):] + rest
}
