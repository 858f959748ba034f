package autoscaling

import (
	"errors"
	"strings"

	api "github.com/weir-run/weir/aws/applicationautoscaling"
	cloudwatch "github.com/weir-run/weir/aws/cloudwatch"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
)

// alarms names the alarms of a policy as the API shows them.
func (p *policy) alarms(s lambda.Scope) []api.Alarm {
	var list []api.Alarm
	for _, name := range []string{p.High, p.Low} {
		list = append(list, api.Alarm{AlarmName: wire.Some(name), AlarmARN: wire.Some(s.ARN("cloudwatch", "alarm:"+name))})
	}
	return list
}

// putAlarms makes or replaces both alarms of a policy.
func (s *Service) putAlarms(c *wire.Call, r resource, p *policy) error {
	high, low := p.tracking().Alarms(metric.Query{})
	for name, a := range map[string]metric.Alarm{p.High: high, p.Low: low} {
		in := p.alarm(r, a)
		in.AlarmName = wire.Some(name)
		arn := p.arn(c.Scope, r)
		in.AlarmDescription = wire.Some("DO NOT EDIT OR DELETE. For TargetTrackingScaling policy " + arn + ".")
		in.AlarmActions = []string{arn}
		if name == p.Low {
			// AWS's alarm has none. It is how the log comes to say that nothing is scaled.
			in.InsufficientDataActions = []string{arn}
		}
		if err := s.opt.PutAlarm(c.Context(), c.Scope, in); err != nil {
			var known *lambda.Error
			if errors.As(err, &known) { // CloudWatch's codes are not this service's
				return invalid("%s", known.Message)
			}
			return err
		}
	}
	return nil
}

// alarm is an alarm of a policy, without its name and actions.
func (p *policy) alarm(r resource, a metric.Alarm) *cloudwatch.PutMetricAlarmInput {
	in := &cloudwatch.PutMetricAlarmInput{
		ComparisonOperator: wire.Some(a.Operator.String()), Threshold: wire.Some(a.Threshold),
		EvaluationPeriods: wire.Some(int32(a.Periods)), DatapointsToAlarm: wire.Some(int32(a.Datapoints)),
	}
	x := p.Custom
	if x == nil {
		x = &custom{
			Namespace: "AWS/Lambda", Name: "ProvisionedConcurrencyUtilization", Stat: "Average",
			Dimensions: []metric.Dimension{{Name: "FunctionName", Value: r.function}, {Name: "Resource", Value: r.function + ":" + r.qualifier}},
		}
	}
	const period = 60
	if len(x.Lines) == 0 {
		in.Namespace, in.MetricName, in.Statistic, in.Unit, in.Period = some(x.Namespace), some(x.Name), some(x.Stat), some(x.Unit), wire.Some(int32(period))
		in.Dimensions = dimensions(x.Dimensions)
		return in
	}
	for _, l := range x.Lines {
		q := cloudwatch.MetricDataQuery{Id: wire.Some(l.ID), Expression: some(l.Expression), Label: some(l.Label)}
		if l.Return != nil {
			q.ReturnData = wire.Some(*l.Return)
		}
		if l.Expression == "" {
			q.MetricStat = &cloudwatch.MetricStat{
				Metric: &cloudwatch.Metric{Namespace: some(l.Namespace), MetricName: some(l.Name), Dimensions: dimensions(l.Dimensions)},
				Period: wire.Some(int32(period)), Stat: some(l.Stat), Unit: some(l.Unit),
			}
		}
		in.Metrics = append(in.Metrics, q)
	}
	return in
}

func dimensions(list []metric.Dimension) []cloudwatch.Dimension {
	var all []cloudwatch.Dimension
	for _, d := range list {
		all = append(all, cloudwatch.Dimension{Name: wire.Some(d.Name), Value: wire.Some(d.Value)})
	}
	return all
}

// ownerOf returns the target that a record belongs to.
func ownerOf(name string) resource {
	id, _, _ := strings.Cut(name, "\x00")
	parts := strings.Split(id, ":")
	return resource{parts[1], parts[2]}
}
