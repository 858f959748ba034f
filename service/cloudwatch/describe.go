package cloudwatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	api "github.com/weir-run/weir/aws/cloudwatch"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

const (
	metricAlarm    = "MetricAlarm"
	compositeAlarm = "CompositeAlarm"
	defaultRecords = 50
)

// DescribeAlarms lists alarms: without a type, those on metrics.
func (s *Service) DescribeAlarms(c *wire.Call, in *api.DescribeAlarmsInput) (*api.DescribeAlarmsOutput, error) {
	if err := s.supported(c, in); err != nil {
		return nil, err
	}
	if len(in.AlarmNames) > 0 && in.AlarmNamePrefix.OK {
		return nil, combination("Either AlarmNames or AlarmNamePrefix must be specified, not both.")
	}
	after, err := mark(in.NextToken)
	if err != nil {
		return nil, err
	}
	types := in.AlarmTypes
	if len(types) == 0 {
		types = []string{metricAlarm}
	}
	related, err := s.related(c.Scope, in)
	if err != nil {
		return nil, err
	}
	if in.ChildrenOfAlarmName.OK || in.ParentsOfAlarmName.OK {
		types = []string{metricAlarm, compositeAlarm}
	}
	out := &api.DescribeAlarmsOutput{CompositeAlarms: []api.CompositeAlarm{}, MetricAlarms: []api.MetricAlarm{}}
	left, last := int(in.MaxRecords.Or(defaultRecords)), ""
	snapshot := s.snapshot()
	alarmKind.ScanPrefix(snapshot, c.Scope, in.AlarmNamePrefix.V, after, func(name string, r *alarmRecord) bool {
		st := stateOf(snapshot, c.Scope, name, r)
		switch {
		case len(in.AlarmNames) > 0 && !slices.Contains(in.AlarmNames, name), related != nil && !slices.Contains(related, name):
			return true
		case !slices.Contains(types, typeOf(r)), in.StateValue.OK && st.State != in.StateValue.V, in.ActionPrefix.OK && !r.actsBy(in.ActionPrefix.V):
			return true
		case left == 0:
			out.NextToken = token(last)
			return false
		}
		left--
		last = name
		if r.isComposite() {
			out.CompositeAlarms = append(out.CompositeAlarms, r.composite(c.Scope, name, st))
		} else {
			out.MetricAlarms = append(out.MetricAlarms, r.answer(c.Scope, name, st))
		}
		return true
	})
	return out, nil
}

// related returns the children or parents that a request asks for; nil: it does not.
func (s *Service) related(scope lambda.Scope, in *api.DescribeAlarmsInput) ([]string, error) {
	snapshot := s.snapshot()
	names := []string{}
	switch {
	case in.ChildrenOfAlarmName.OK:
		r, ok := alarmKind.Get(snapshot, scope, in.ChildrenOfAlarmName.V)
		if !ok || !r.isComposite() {
			return names, nil
		}
		rule, err := metric.ParseRule(r.Rule)
		if err != nil {
			return nil, fmt.Errorf("read the rule of %s: %w", in.ChildrenOfAlarmName.V, err)
		}
		return append(names, rule.Children()...), nil
	case in.ParentsOfAlarmName.OK:
		alarmKind.Scan(snapshot, scope, "", func(name string, r *alarmRecord) bool {
			if rule, err := metric.ParseRule(r.Rule); r.isComposite() && err == nil && slices.Contains(rule.Children(), in.ParentsOfAlarmName.V) {
				names = append(names, name)
			}
			return true
		})
		return names, nil
	}
	return nil, nil
}

func typeOf(r *alarmRecord) string {
	if r.isComposite() {
		return compositeAlarm
	}
	return metricAlarm
}

func (r *alarmRecord) actsBy(prefix string) bool {
	return slices.ContainsFunc(slices.Concat(r.OKActions, r.AlarmActions, r.MissingActions), func(arn string) bool { return strings.HasPrefix(arn, prefix) })
}

func stateOf(r store.Reader, s lambda.Scope, name string, a *alarmRecord) stateRecord {
	if st, ok := stateKind.Get(r, s, name); ok {
		return *st
	}
	return stateRecord{State: metric.InsufficientData.String(), Reason: unchecked, Updated: a.Updated, Changed: a.Updated}
}

// answer is an alarm on metrics as the API shows it.
func (r *alarmRecord) answer(s lambda.Scope, name string, st stateRecord) api.MetricAlarm {
	a := api.MetricAlarm{
		AlarmName: wire.Some(name), AlarmArn: wire.Some(alarmARN(s, name)), AlarmConfigurationUpdatedTimestamp: timeOf(r.Updated),
		ActionsEnabled: wire.Some(r.ActionsEnabled), OKActions: list(r.OKActions), AlarmActions: list(r.AlarmActions), InsufficientDataActions: list(r.MissingActions),
		StateValue: wire.Some(st.State), StateReason: wire.Some(st.Reason), StateReasonData: some(st.Data),
		StateUpdatedTimestamp: timeOf(st.Updated), StateTransitionedTimestamp: timeOf(st.Changed),
		EvaluationPeriods: wire.Some(int32(r.Periods)), Threshold: wire.Some(r.Threshold), ComparisonOperator: wire.Some(r.Operator),
		TreatMissingData: some(r.Missing), EvaluateLowSampleCountPercentile: some(r.LowSamples),
		Dimensions: r.Metric.dimensions(),
	}
	if r.Description != nil {
		a.AlarmDescription = wire.Some(*r.Description)
	}
	if r.Datapoints > 0 {
		a.DatapointsToAlarm = wire.Some(int32(r.Datapoints))
	}
	for i := range r.Queries {
		a.Metrics = append(a.Metrics, r.Queries[i].answer())
	}
	if len(r.Queries) > 0 {
		return a
	}
	a.MetricName, a.Namespace = wire.Some(r.Metric.Name), wire.Some(r.Metric.Namespace)
	a.Period, a.Unit = wire.Some(int32(r.Period)), some(r.Unit)
	if stat, _ := metric.ParseStat(r.Stat); stat.Extended() {
		a.ExtendedStatistic = wire.Some(r.Stat)
	} else {
		a.Statistic = wire.Some(r.Stat)
	}
	return a
}

func (q *queryRecord) answer() api.MetricDataQuery {
	x := api.MetricDataQuery{Id: wire.Some(q.ID), Label: some(q.Label), Expression: some(q.Expression)}
	if q.ReturnSet {
		x.ReturnData = wire.Some(q.Return)
	}
	if q.Expression == "" {
		x.MetricStat = &api.MetricStat{
			Metric: &api.Metric{Namespace: wire.Some(q.Metric.Namespace), MetricName: wire.Some(q.Metric.Name), Dimensions: q.Metric.dimensions()},
			Period: wire.Some(int32(q.Period)), Stat: wire.Some(q.Stat), Unit: some(q.Unit),
		}
	} else if q.Period > 0 {
		x.Period = wire.Some(int32(q.Period))
	}
	return x
}

func (r *alarmRecord) composite(s lambda.Scope, name string, st stateRecord) api.CompositeAlarm {
	a := api.CompositeAlarm{
		AlarmName: wire.Some(name), AlarmArn: wire.Some(alarmARN(s, name)), AlarmConfigurationUpdatedTimestamp: timeOf(r.Updated),
		ActionsEnabled: wire.Some(r.ActionsEnabled), OKActions: list(r.OKActions), AlarmActions: list(r.AlarmActions), InsufficientDataActions: list(r.MissingActions),
		AlarmRule: wire.Some(r.Rule), StateValue: wire.Some(st.State), StateReason: wire.Some(st.Reason), StateReasonData: some(st.Data),
		StateUpdatedTimestamp: timeOf(st.Updated), StateTransitionedTimestamp: timeOf(st.Changed),
	}
	if r.Description != nil {
		a.AlarmDescription = wire.Some(*r.Description)
	}
	return a
}

// DescribeAlarmsForMetric lists the alarms on a metric and statistic.
func (s *Service) DescribeAlarmsForMetric(c *wire.Call, in *api.DescribeAlarmsForMetricInput) (*api.DescribeAlarmsForMetricOutput, error) {
	if err := s.supported(c, in); err != nil {
		return nil, err
	}
	m, err := metricOf(in.Namespace.V, in.MetricName.V, in.Dimensions)
	if err != nil {
		return nil, err
	}
	out := &api.DescribeAlarmsForMetricOutput{MetricAlarms: []api.MetricAlarm{}}
	snapshot := s.snapshot()
	alarmKind.Scan(snapshot, c.Scope, "", func(name string, r *alarmRecord) bool {
		wanted := !r.isComposite() && len(r.Queries) == 0 && r.Metric.sorted().Text() == m.Text() &&
			(!in.Statistic.OK || r.Stat == in.Statistic.V) && (!in.ExtendedStatistic.OK || r.Stat == in.ExtendedStatistic.V) &&
			(!in.Period.OK || r.Period == int(in.Period.V)) && (!in.Unit.OK || r.Unit == in.Unit.V)
		if wanted {
			out.MetricAlarms = append(out.MetricAlarms, r.answer(c.Scope, name, stateOf(snapshot, c.Scope, name, r)))
		}
		return true
	})
	return out, nil
}

// DescribeAlarmHistory lists what happened to alarms: the newest first, if not asked otherwise.
func (s *Service) DescribeAlarmHistory(c *wire.Call, in *api.DescribeAlarmHistoryInput) (*api.DescribeAlarmHistoryOutput, error) {
	if err := s.supported(c, in, "AlarmContributorId"); err != nil {
		return nil, err
	}
	lo, hi := metric.Instant(0), metric.Never
	if in.StartDate.OK {
		lo = instant(in.StartDate.V)
	}
	if in.EndDate.OK {
		hi = instant(in.EndDate.V)
	}
	at, err := mark(in.NextToken)
	if err != nil {
		return nil, err
	}
	skip := 0
	if at != "" {
		if skip, err = strconv.Atoi(at); err != nil || skip < 0 {
			return nil, lambda.Errorf("InvalidNextToken", "Invalid nextToken")
		}
	}
	types := in.AlarmTypes
	if len(types) == 0 {
		types = []string{metricAlarm}
	}
	var all []api.AlarmHistoryItem
	var bad error
	err = s.opt.Store.Metrics().History(c.Scope, lo, hi, func(at metric.Instant, stored []byte) bool {
		var h historyItem
		if bad = json.Unmarshal(stored, &h); bad != nil {
			return false
		}
		kind := metricAlarm
		if h.Composite {
			kind = compositeAlarm
		}
		if in.AlarmName.OK && h.Alarm != in.AlarmName.V || in.HistoryItemType.OK && h.Type != in.HistoryItemType.V || !in.AlarmName.OK && !slices.Contains(types, kind) {
			return true
		}
		all = append(all, api.AlarmHistoryItem{
			AlarmName: wire.Some(h.Alarm), AlarmType: wire.Some(kind), Timestamp: timeOf(int64(at)),
			HistoryItemType: wire.Some(h.Type), HistorySummary: wire.Some(h.Summary), HistoryData: wire.Some(h.Data),
		})
		return true
	})
	if err != nil || bad != nil {
		return nil, fmt.Errorf("read the history of alarms: %w", errors.Join(err, bad))
	}
	if in.ScanBy.Or("TimestampDescending") == "TimestampDescending" {
		slices.Reverse(all)
	}
	out := &api.DescribeAlarmHistoryOutput{AlarmHistoryItems: []api.AlarmHistoryItem{}}
	end := min(skip+int(in.MaxRecords.Or(100)), len(all))
	if skip < end {
		out.AlarmHistoryItems = all[skip:end]
	}
	if end < len(all) {
		out.NextToken = token(strconv.Itoa(end))
	}
	return out, nil
}
