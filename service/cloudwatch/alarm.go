package cloudwatch

import (
	"context"
	"maps"
	"slices"
	"strings"

	api "github.com/weir-run/weir/aws/cloudwatch"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

// Bounds of an alarm.
const (
	maxAlarmActions = 5  // for each state
	maxAlarmQueries = 10 // metrics of an expression
	maxAlarms       = 5000
	dayOfSeconds    = 86_400
	weekOfSeconds   = 604_800
)

// PutMetricAlarm makes or replaces an alarm on a metric or an expression.
func (s *Service) PutMetricAlarm(c *wire.Call, in *api.PutMetricAlarmInput) error {
	if err := s.supported(c, in, "ThresholdMetricId", "EvaluationWindow", "WarmUpConfiguration", "EvaluationCriteria", "EvaluationInterval", "ActionConfiguration"); err != nil {
		return err
	}
	r := &alarmRecord{ActionsEnabled: in.ActionsEnabled.Or(true)}
	if in.AlarmDescription.OK {
		r.Description = &in.AlarmDescription.V
	}
	if err := r.evaluation(in); err != nil {
		return err
	}
	var err error
	if len(in.Metrics) > 0 {
		err = r.expression(c.Scope, in)
	} else {
		err = r.statistic(in)
	}
	if err != nil {
		return err
	}
	if err := s.actions(c.Scope, r, in.OKActions, in.AlarmActions, in.InsufficientDataActions); err != nil {
		return err
	}
	if err := r.window(); err != nil {
		return err
	}
	return s.putAlarm(c, in.AlarmName.V, r, in.Tags)
}

// evaluation reads when the alarm goes off.
func (r *alarmRecord) evaluation(in *api.PutMetricAlarmInput) error {
	switch {
	case !in.EvaluationPeriods.OK:
		return missing("The parameter EvaluationPeriods is required.")
	case !in.ComparisonOperator.OK:
		return missing("The parameter ComparisonOperator is required.")
	case !in.Threshold.OK:
		return missing("The parameter Threshold is required.")
	case in.DatapointsToAlarm.OK && in.DatapointsToAlarm.V > in.EvaluationPeriods.V:
		return validation("DatapointsToAlarm must be less than or equal to EvaluationPeriods")
	}
	if _, ok := metric.ParseOperator(in.ComparisonOperator.V); !ok {
		return validation("weir does not support the comparison operator %s.", in.ComparisonOperator.V)
	}
	if _, ok := metric.ParseMissing(in.TreatMissingData.Or("missing")); !ok {
		return validation("The value %s for parameter TreatMissingData is not supported.", in.TreatMissingData.V)
	}
	if err := inRange(in.Threshold.V, "Threshold"); err != nil {
		return err
	}
	r.Periods, r.Datapoints = int(in.EvaluationPeriods.V), int(in.DatapointsToAlarm.V)
	r.Threshold, r.Operator = in.Threshold.V, in.ComparisonOperator.V
	r.Missing, r.LowSamples = in.TreatMissingData.V, in.EvaluateLowSampleCountPercentile.V
	if r.LowSamples != "" && r.LowSamples != "evaluate" && r.LowSamples != "ignore" {
		return validation("Option %s is not supported. Supported options for parameter EvaluateLowSampleCountPercentile are evaluate and ignore.", r.LowSamples)
	}
	return nil
}

// statistic reads the metric of an alarm on one.
func (r *alarmRecord) statistic(in *api.PutMetricAlarmInput) error {
	switch {
	case in.MetricName.V == "":
		return missing("The parameter MetricName is required.")
	case in.Namespace.V == "":
		return missing("The parameter Namespace is required.")
	case !in.Period.OK:
		return missing("The parameter Period is required.")
	case in.Statistic.OK == in.ExtendedStatistic.OK:
		return validation("Either Statistic or ExtendedStatistic has to be set")
	}
	r.Stat = in.Statistic.Or(in.ExtendedStatistic.V)
	if stat, ok := metric.ParseStat(r.Stat); !ok || stat.Extended() == in.Statistic.OK {
		return validation("The value %s for parameter %s is not supported.", r.Stat, map[bool]string{true: "Statistic", false: "ExtendedStatistic"}[in.Statistic.OK])
	}
	if _, err := metricOf(in.Namespace.V, in.MetricName.V, in.Dimensions); err != nil {
		return err
	}
	if _, err := unitOf(in.Unit); err != nil {
		return err
	}
	if err := alarmPeriod(int(in.Period.V)); err != nil {
		return err
	}
	r.Metric = recordOf(in.Namespace.V, in.MetricName.V, in.Dimensions)
	r.Unit, r.Period = in.Unit.V, int(in.Period.V)
	return nil
}

// expression reads the lines of an alarm on an expression.
func (r *alarmRecord) expression(s lambda.Scope, in *api.PutMetricAlarmInput) error {
	if in.MetricName.OK || in.Namespace.OK || in.Statistic.OK || in.ExtendedStatistic.OK || len(in.Dimensions) > 0 || in.Period.OK || in.Unit.OK {
		return validation("Exactly one of the parameters MetricName and Metrics may be specified.")
	}
	var err error
	if r.Queries, err = queriesOf(in.Metrics, true); err != nil {
		return err
	}
	metrics, returned, period := 0, 0, 0
	for i := range r.Queries {
		q := &r.Queries[i]
		if q.Return {
			returned++
		}
		if q.Expression == "" {
			metrics++
		} else if q.Period == 0 {
			continue
		}
		if period != 0 && q.Period != period {
			return validation("Period must be consistent across metrics of an alarm")
		}
		period = q.Period
	}
	switch {
	case metrics > maxAlarmQueries:
		return validation("An alarm must not have more than %d metrics.", maxAlarmQueries)
	case metrics == 0:
		return validation("An alarm must have a metric.")
	case returned != 1:
		return validation("Exactly one element of the metrics list should return data.")
	}
	if err := alarmPeriod(period); err != nil {
		return err
	}
	a, err := r.alarm(s, in.AlarmName.V)
	if err == nil {
		err = a.Check()
	}
	if err != nil {
		return validation("Error in expression %v", err)
	}
	return nil
}

// alarmPeriod refuses periods that statistics have and alarms do not (CloudWatch:
// PutMetricAlarm).
func alarmPeriod(seconds int) error {
	if seconds <= 0 || seconds%60 != 0 && seconds != 10 && seconds != 20 && seconds != 30 {
		return validation("Period must be 10, 20, 30 or a multiple of 60")
	}
	return nil
}

// window refuses alarms that would look back farther than AWS's may.
func (r *alarmRecord) window() error {
	if p := r.period(); p < 3600 && r.Periods*p > dayOfSeconds {
		return validation("Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400).")
	} else if r.Periods*p > weekOfSeconds {
		return validation("Metrics cannot be checked across more than a week (EvaluationPeriods * Period must be <= 604800).")
	}
	return nil
}

// actions reads what an alarm does, and refuses what nobody performs.
func (s *Service) actions(scope lambda.Scope, r *alarmRecord, ok, alarm, missing []string) error {
	r.OKActions, r.AlarmActions, r.MissingActions = ok, alarm, missing
	for _, list := range [][]string{ok, alarm, missing} {
		if len(list) > maxAlarmActions {
			return validation("An alarm must not have more than %d actions for a state.", maxAlarmActions)
		}
		for _, arn := range list {
			if actionOf(arn) == actNone {
				return validation("Invalid arn syntax: %s", arn)
			}
			if region := strings.Split(arn, ":")[3]; region != scope.Region {
				return validation("Invalid region %s specified. Only %s is supported.", region, scope.Region)
			}
			if !s.opt.can(arn) {
				return validation("weir does not perform the action %s", arn)
			}
		}
	}
	return nil
}

// PutCompositeAlarm makes or replaces an alarm on the states of others.
func (s *Service) PutCompositeAlarm(c *wire.Call, in *api.PutCompositeAlarmInput) error {
	if err := s.supported(c, in, "ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod", "ActionConfiguration"); err != nil {
		return err
	}
	r := &alarmRecord{ActionsEnabled: in.ActionsEnabled.Or(true), Rule: in.AlarmRule.V}
	if in.AlarmDescription.OK {
		r.Description = &in.AlarmDescription.V
	}
	rule, err := metric.ParseRule(in.AlarmRule.V)
	if err != nil {
		return validation("AlarmRule must not contain a syntax error: %v", err)
	}
	if err := s.actions(c.Scope, r, in.OKActions, in.AlarmActions, in.InsufficientDataActions); err != nil {
		return err
	}
	snapshot := s.snapshot()
	for _, child := range rule.Children() {
		if _, ok := alarmKind.Get(snapshot, c.Scope, child); !ok {
			return validation("Could not save the composite alarm as alarms [%s] in the alarm rule do not exist", child)
		}
	}
	return s.putAlarm(c, in.AlarmName.V, r, in.Tags)
}

// putAlarm stores an alarm; one that exists keeps its state and tags.
func (s *Service) putAlarm(c *wire.Call, name string, r *alarmRecord, tags []api.Tag) error {
	r.Updated = int64(s.driver.now())
	created := false
	err := s.update(func(tx *store.Tx) error {
		old, ok := alarmKind.Get(tx, c.Scope, name)
		if created = !ok; ok {
			if old.isComposite() != r.isComposite() {
				return validation("An alarm named %s exists already, and is of the other type.", name)
			}
			r.Tags = old.Tags
		} else {
			if err := countAlarms(tx, c.Scope); err != nil {
				return err
			}
			r.Tags = tagMap(nil, tags)
			if err := checkTags(r.Tags); err != nil {
				return err
			}
			stateKind.Put(tx, c.Scope, name, &stateRecord{State: metric.InsufficientData.String(), Reason: unchecked, Updated: r.Updated, Changed: r.Updated})
		}
		if r.isComposite() && cyclic(tx, c.Scope, name, r.Rule) {
			return validation("AlarmRule creates a cycle: an alarm must not depend on itself")
		}
		alarmKind.Put(tx, c.Scope, name, r)
		return nil
	})
	if err != nil {
		return err
	}
	verb := "updated"
	if created {
		verb = "created"
	}
	s.note(c.Scope, name, r, verb)
	return s.driver.settle(c.Context())
}

// countAlarms refuses one more than an account may have.
func countAlarms(tx *store.Tx, s lambda.Scope) error {
	n := 0
	alarmKind.Scan(tx, s, "", func(string, *alarmRecord) bool { n++; return true })
	if n >= maxAlarms {
		return lambda.Errorf("LimitExceededFault", "The quota for alarms for this customer has already been reached.")
	}
	return nil
}

// cyclic reports whether a rule leads back to its alarm.
func cyclic(r store.Reader, s lambda.Scope, name, text string) bool {
	seen := map[string]bool{}
	var leads func(text string) bool
	leads = func(text string) bool {
		rule, err := metric.ParseRule(text)
		if err != nil {
			return false
		}
		for _, child := range rule.Children() {
			if child == name {
				return true
			}
			if c, ok := alarmKind.Get(r, s, child); ok && c.isComposite() && !seen[child] {
				seen[child] = true
				if leads(c.Rule) {
					return true
				}
			}
		}
		return false
	}
	return leads(text)
}

// note writes a change of an alarm's configuration into its history.
func (s *Service) note(scope lambda.Scope, name string, r *alarmRecord, verb string) {
	h := historyItem{
		Alarm: name, Composite: r.isComposite(), Type: "ConfigurationUpdate", Summary: `Alarm "` + name + `" ` + verb,
		Data: text(map[string]any{"version": "1.0", "type": map[string]string{"created": "Create", "updated": "Update", "deleted": "Delete"}[verb]}),
	}
	if err := s.opt.Store.Metrics().AddHistory(context.Background(), []store.HistoryItem{h.stored(scope, s.driver.now())}); err != nil {
		s.opt.Logger.Error("the history of an alarm was not written", "alarm", name, "error", err)
	}
}

// DeleteAlarms deletes alarms, all or none. As on AWS names that do not exist are ignored.
func (s *Service) DeleteAlarms(c *wire.Call, in *api.DeleteAlarmsInput) error {
	if err := s.supported(c, in); err != nil {
		return err
	}
	var gone map[string]*alarmRecord
	err := s.update(func(tx *store.Tx) error {
		gone = make(map[string]*alarmRecord)
		composites := 0
		for _, name := range in.AlarmNames {
			if r, ok := alarmKind.Get(tx, c.Scope, name); ok {
				gone[name] = r
				if r.isComposite() {
					composites++
				}
			}
		}
		if composites > 1 || composites == 1 && len(in.AlarmNames) > 1 {
			return validation("A composite alarm must be deleted by itself.")
		}
		for name := range gone {
			alarmKind.Delete(tx, c.Scope, name)
			stateKind.Delete(tx, c.Scope, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(gone)) {
		s.note(c.Scope, name, gone[name], "deleted")
	}
	return nil
}

// EnableAlarmActions switches the actions of alarms on.
func (s *Service) EnableAlarmActions(c *wire.Call, in *api.EnableAlarmActionsInput) error {
	return s.enable(c, in.AlarmNames, true)
}

// DisableAlarmActions switches the actions of alarms off.
func (s *Service) DisableAlarmActions(c *wire.Call, in *api.DisableAlarmActionsInput) error {
	return s.enable(c, in.AlarmNames, false)
}

func (s *Service) enable(c *wire.Call, names []string, on bool) error {
	return s.update(func(tx *store.Tx) error {
		for _, name := range names {
			old, ok := alarmKind.Get(tx, c.Scope, name)
			if !ok || old.ActionsEnabled == on {
				continue
			}
			r := *old
			r.ActionsEnabled, r.Updated = on, int64(s.driver.now())
			alarmKind.Put(tx, c.Scope, name, &r)
		}
		return nil
	})
}

// SetAlarmState puts an alarm into a state until it is evaluated.
func (s *Service) SetAlarmState(c *wire.Call, in *api.SetAlarmStateInput) error {
	if err := s.supported(c, in); err != nil {
		return err
	}
	state, ok := metric.ParseState(in.StateValue.V)
	if !ok {
		return validation("The value %s for parameter StateValue is not supported.", in.StateValue.V)
	}
	if in.StateReasonData.V != "" && !jsonObject(in.StateReasonData.V) {
		return lambda.Errorf("InvalidFormatFault", "StateReasonData must be a JSON object.")
	}
	if _, ok := alarmKind.Get(s.snapshot(), c.Scope, in.AlarmName.V); !ok {
		return lambda.Errorf("ResourceNotFound", "Alarm not found: %s", in.AlarmName.V)
	}
	a := s.driver.account(c.Scope)
	s.driver.step(a, metric.SetState(in.AlarmName.V, state, in.StateReason.V, in.StateReasonData.V))
	if err := s.driver.settle(c.Context()); err != nil {
		return err
	}
	// An alarm that was in the state already made no transition, and gets the new reason here.
	return s.update(func(tx *store.Tx) error {
		old, ok := stateKind.Get(tx, c.Scope, in.AlarmName.V)
		if !ok || old.State != in.StateValue.V || old.Reason == in.StateReason.V {
			return nil
		}
		st := *old
		st.Reason, st.Data, st.Updated = in.StateReason.V, in.StateReasonData.V, int64(s.driver.now())
		stateKind.Put(tx, c.Scope, in.AlarmName.V, &st)
		return nil
	})
}
