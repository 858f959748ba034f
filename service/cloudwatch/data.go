package cloudwatch

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	api "github.com/weir-run/weir/aws/cloudwatch"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/metric"
)

// Bounds of GetMetricData.
const (
	maxQueries    = 500
	maxDataPoints = 100_800
	maxFound      = 500 // metrics that a SEARCH returns
	defaultPeriod = 300 // seconds, of an expression in a request without metrics
)

var idPattern = regexp.MustCompile(`^[a-z][a-zA-Z0-9_]*$`)

// GetMetricData answers the statistics of many metrics, and expressions over them.
func (s *Service) GetMetricData(c *wire.Call, in *api.GetMetricDataInput) (*api.GetMetricDataOutput, error) {
	if err := s.supported(c, in); err != nil {
		return nil, err
	}
	r, err := s.dataRequest(c, in)
	if err != nil {
		return nil, err
	}
	s.driver.drain()
	if err := r.read(); err != nil {
		return nil, err
	}
	results, err := metric.Evaluate(r.in)
	if err != nil {
		return nil, validation("Error in expression %v", err)
	}
	return r.page(results)
}

// A dataRequest is a request of GetMetricData with what it needs to be evaluated.
type dataRequest struct {
	service    *Service
	account    *account
	in         metric.Inputs
	descending bool
	limit      int // datapoints of a page
	skip       int // datapoints of the pages before
	labels     labelOptions
}

func (s *Service) dataRequest(c *wire.Call, in *api.GetMetricDataInput) (*dataRequest, error) {
	r := &dataRequest{service: s, account: s.driver.account(c.Scope), limit: maxDataPoints}
	start, end := instant(in.StartTime.V), instant(in.EndTime.V)
	switch {
	case start >= end:
		return nil, validation("The parameter StartTime must be less than the parameter EndTime.")
	case len(in.MetricDataQueries) > maxQueries:
		return nil, validation("The collection MetricDataQueries must not have a size greater than %d.", maxQueries)
	case in.MaxDatapoints.OK && (in.MaxDatapoints.V < 1 || in.MaxDatapoints.V > maxDataPoints):
		return nil, validation("The value for parameter MaxDatapoints must be between 1 and %d.", maxDataPoints)
	}
	r.limit = int(in.MaxDatapoints.Or(maxDataPoints))
	r.descending = in.ScanBy.Or("TimestampDescending") == "TimestampDescending"
	if in.ScanBy.OK && !slices.Contains([]string{"TimestampDescending", "TimestampAscending"}, in.ScanBy.V) {
		return nil, validation("The value %s for parameter ScanBy is not supported.", in.ScanBy.V)
	}
	at, err := mark(in.NextToken)
	if err != nil {
		return nil, err
	}
	if at != "" {
		if r.skip, err = strconv.Atoi(at); err != nil || r.skip < 0 {
			return nil, validation("Invalid nextToken")
		}
	}
	if r.labels, err = labelOptionsOf(in.LabelOptions); err != nil {
		return nil, err
	}
	records, err := queriesOf(in.MetricDataQueries, false)
	if err != nil {
		return nil, err
	}
	r.in.Start, r.in.End, r.in.Period = start, end, defaultPeriod*time.Second
	for i := range records {
		q, err := records[i].query(c.Scope)
		if err != nil {
			return nil, validation("Error in expression '%s': %v", records[i].ID, err)
		}
		r.in.Lines = append(r.in.Lines, metric.Line{Query: &q, Series: []metric.Series{{Period: time.Duration(records[i].Period) * time.Second}}})
		if records[i].Period > 0 {
			r.in.Period = time.Duration(records[i].Period) * time.Second
		}
	}
	return r, nil
}

// read fills in the metrics, and what searches find.
func (r *dataRequest) read() error {
	r.in.Found = make(map[string][]metric.Series)
	for i := range r.in.Lines {
		l := &r.in.Lines[i]
		if l.Query.Expression == nil {
			one, err := r.series(l.Query.Metric, l.Query.Unit, l.Query.Stat, l.Series[0].Period)
			if err != nil {
				return err
			}
			one.Label = l.Query.Metric.Name
			l.Series = []metric.Series{one}
			continue
		}
		l.Series = nil
		searches, err := l.Query.Expression.Searches()
		if err != nil {
			return validation("Error in expression '%s': %v", l.Query.ID, err)
		}
		for key, call := range searches {
			if r.in.Found[key], err = r.search(call); err != nil {
				return err
			}
		}
	}
	return nil
}

// series reads a statistic of a metric. Periods are aligned to themselves.
func (r *dataRequest) series(m metric.Metric, u metric.Unit, stat metric.Stat, period time.Duration) (metric.Series, error) {
	out := metric.Series{Label: m.Name, Metric: m, Stat: stat, Period: period}
	where := spanOf(metric.Floor(r.in.Start, period), r.in.End, period)
	if where.count > maxDataPoints {
		return out, validation("You have requested more than %d datapoints of a metric. Increase Period, or decrease the time range.", maxDataPoints)
	}
	k := metric.KeyOf(r.account.scope, m, metric.AnyUnit)
	found, err := r.service.driver.collect(r.account, k, u, where)
	if err != nil {
		return out, err
	}
	for i := range where.count {
		var set metric.Set
		for _, unit := range unitsOf(found) {
			set.Merge(&found[unit][i])
		}
		if v, ok := stat.Of(&set); ok {
			out.Points = append(out.Points, metric.Point{At: where.start + metric.Instant(i)*metric.Instant(period), Value: v})
		}
	}
	return out, nil
}

// search reads the metrics that a SEARCH finds.
func (r *dataRequest) search(call metric.SearchCall) ([]metric.Series, error) {
	period := call.Period
	if period == 0 {
		period = r.in.Period
	}
	if _, err := periodOf(int32(period / time.Second)); err != nil {
		return nil, err
	}
	var metrics []metric.Metric
	err := r.service.driver.names(r.account.scope, call.Search.Namespace(), "", func(_ string, m metric.Metric) bool {
		if call.Search.Matches(&m) {
			metrics = append(metrics, m)
		}
		return len(metrics) < maxFound
	})
	if err != nil {
		return nil, err
	}
	list := []metric.Series{}
	for _, m := range metrics {
		one, err := r.series(m, metric.AnyUnit, call.Stat, period)
		if err != nil {
			return nil, err
		}
		one.Label = searchLabel(metrics, m)
		list = append(list, one)
	}
	return list, nil
}

// searchLabel names what differs between the metrics found: the values of the dimensions, and
// the metric's name.
func searchLabel(all []metric.Metric, m metric.Metric) string {
	label := ""
	for _, d := range m.Dimensions {
		if slices.ContainsFunc(all, func(x metric.Metric) bool { v, _ := x.Dimension(d.Name); return v != d.Value }) {
			label += d.Value + " "
		}
	}
	if label == "" || slices.ContainsFunc(all, func(x metric.Metric) bool { return x.Name != m.Name }) {
		return label + m.Name
	}
	return label[:len(label)-1]
}

// page answers the datapoints of one page, over the results in their order.
func (r *dataRequest) page(results [][]metric.Series) (*api.GetMetricDataOutput, error) {
	out := &api.GetMetricDataOutput{MetricDataResults: []api.MetricDataResult{}, Messages: []api.MessageData{}}
	skip, left := r.skip, r.limit
	for i, list := range results {
		q := r.in.Lines[i].Query
		if !q.Return {
			continue
		}
		for n := range list {
			points := list[n].Points
			if r.descending {
				points = slices.Clone(points)
				slices.Reverse(points)
			}
			before := min(skip, len(points))
			skip -= before
			taken := min(left, len(points)-before)
			left -= taken
			x := api.MetricDataResult{
				Id: wire.Some(q.ID), Label: wire.Some(r.labels.label(q.Label, &list[n])),
				Timestamps: []time.Time{}, Values: []float64{}, StatusCode: wire.Some("Complete"),
			}
			for _, p := range points[before : before+taken] {
				x.Timestamps = append(x.Timestamps, time.Unix(0, int64(p.At)).UTC())
				x.Values = append(x.Values, p.Value)
			}
			if before+taken < len(points) {
				x.StatusCode = wire.Some("PartialData")
				out.NextToken = token(strconv.Itoa(r.skip + r.limit))
			}
			// A page shows what it has datapoints of; the first also what has none.
			if taken > 0 || len(points) == 0 && r.skip == 0 || out.NextToken.OK && r.skip == 0 {
				out.MetricDataResults = append(out.MetricDataResults, x)
			}
		}
	}
	return out, nil
}

// queriesOf reads the lines of GetMetricData or of an alarm.
func queriesOf(list []api.MetricDataQuery, alarm bool) ([]queryRecord, error) {
	var out []queryRecord
	seen := make(map[string]bool)
	for i := range list {
		q := &list[i]
		path := fmt.Sprintf("member.%d", i+1)
		switch {
		case !idPattern.MatchString(q.Id.V):
			return nil, validation("The value %s for parameter MetricDataQueries.%s.Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.", q.Id.V, path)
		case seen[q.Id.V]:
			return nil, validation("The values for parameter id in MetricDataQueries are not unique.")
		case q.AccountId.OK:
			return nil, validation("weir does not support the parameter AccountId of a MetricDataQuery.")
		case q.Expression.OK == (q.MetricStat != nil):
			return nil, validation("Exactly one of the parameters MetricDataQueries.%s.Expression and MetricDataQueries.%s.MetricStat must be specified.", path, path)
		}
		seen[q.Id.V] = true
		r := queryRecord{ID: q.Id.V, Label: q.Label.V, Return: q.ReturnData.Or(true), ReturnSet: q.ReturnData.OK, Expression: q.Expression.V, Period: int(q.Period.V)}
		if q.MetricStat != nil {
			if err := r.stat(q.MetricStat); err != nil {
				return nil, err
			}
		}
		if q.Expression.OK && q.Expression.V == "" {
			return nil, validation("The parameter MetricDataQueries.%s.Expression must not be empty.", path)
		}
		if alarm && q.Expression.OK {
			e, err := metric.ParseExpression(q.Expression.V)
			if err != nil {
				return nil, validation("Error in expression '%s': %v", q.Id.V, err)
			}
			if calls, err := e.Searches(); err != nil || len(calls) > 0 {
				return nil, validation("SEARCH is not supported on Metric Alarms.")
			}
		}
		out = append(out, r)
	}
	for _, r := range out {
		if r.Expression == "" {
			continue
		}
		e, err := metric.ParseExpression(r.Expression)
		if err != nil {
			return nil, validation("Error in expression '%s': %v", r.ID, err)
		}
		for _, name := range e.Names() {
			if !seen[name] {
				return nil, validation("Error in expression '%s': Undefined variable %s", r.ID, name)
			}
		}
	}
	return out, nil
}

// stat reads the statistic of a line.
func (r *queryRecord) stat(in *api.MetricStat) error {
	if in.Metric == nil {
		return validation("The parameter MetricStat.Metric is required.")
	}
	if _, err := metricOf(in.Metric.Namespace.V, in.Metric.MetricName.V, in.Metric.Dimensions); err != nil {
		return err
	}
	if _, ok := metric.ParseStat(in.Stat.V); !ok {
		return validation("The value %s for parameter MetricStat.Stat is not supported.", in.Stat.V)
	}
	if _, err := unitOf(in.Unit); err != nil {
		return err
	}
	if _, err := periodOf(in.Period.V); err != nil {
		return err
	}
	r.Metric = recordOf(in.Metric.Namespace.V, in.Metric.MetricName.V, in.Metric.Dimensions)
	r.Stat, r.Unit, r.Period = in.Stat.V, in.Unit.V, int(in.Period.V)
	return nil
}

func recordOf(namespace, name string, dimensions []api.Dimension) metricRecord {
	m := metricRecord{Namespace: namespace, Name: name}
	for _, d := range dimensions {
		m.Dimensions = append(m.Dimensions, metric.Dimension{Name: d.Name.V, Value: d.Value.V})
	}
	return m
}
