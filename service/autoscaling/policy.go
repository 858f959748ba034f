package autoscaling

import (
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	api "github.com/weir-run/weir/aws/applicationautoscaling"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

const (
	targetTracking = "TargetTrackingScaling"
	utilization    = "LambdaProvisionedConcurrencyUtilization"

	maxPolicies = 50 // of a target
)

// PutScalingPolicy makes or replaces a policy, with the alarms it owns.
func (s *Service) PutScalingPolicy(c *wire.Call, in *api.PutScalingPolicyRequest) (*api.PutScalingPolicyResponse, error) {
	r, err := parseResource(in.ServiceNamespace.V, in.ResourceId.V, in.ScalableDimension.V)
	if err != nil {
		return nil, err
	}
	if kind := in.PolicyType.Or(targetTracking); kind != targetTracking || in.StepScalingPolicyConfiguration != nil || in.PredictiveScalingPolicyConfiguration != nil {
		return nil, invalid("The policy type %s is not supported for the scalable dimension %s. Supported: %s.", kind, dimension, targetTracking)
	}
	p, err := policyOf(in)
	if err != nil {
		return nil, err
	}
	name := partName(r, p.Name)
	snapshot := s.snapshot()
	if _, ok := targetKind.Get(snapshot, c.Scope, r.String()); !ok {
		return nil, noTarget("registered", r)
	}
	old, replaces := policyKind.Get(snapshot, c.Scope, name)
	if replaces {
		p.ID, p.High, p.Low, p.Created, p.Last = old.ID, old.High, old.Low, old.Created, old.Last
	} else {
		p.ID, p.Created = uuid.NewString(), time.Now().UTC()
		p.High = "TargetTracking-" + r.String() + "-AlarmHigh-" + uuid.NewString()
		p.Low = "TargetTracking-" + r.String() + "-AlarmLow-" + uuid.NewString()
	}
	// The alarms come first: without its alarms a policy would do nothing, and an alarm without
	// its policy is told to nobody.
	if err := s.putAlarms(c, r, p); err != nil {
		if !replaces {
			err = errors.Join(err, s.opt.DeleteAlarms(c.Context(), c.Scope, []string{p.High, p.Low}))
		}
		return nil, err
	}
	err = s.update(func(tx *store.Tx) error {
		if _, ok := targetKind.Get(tx, c.Scope, r.String()); !ok {
			return noTarget("registered", r)
		}
		n := 0
		policyKind.ScanPrefix(tx, c.Scope, partPrefix(r), "", func(other string, _ *policy) bool {
			if other != name {
				n++
			}
			return true
		})
		if n >= maxPolicies {
			return lambda.Errorf("LimitExceededException", "A scalable target must not have more than %d scaling policies.", maxPolicies)
		}
		policyKind.Put(tx, c.Scope, name, p)
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, s.opt.DeleteAlarms(c.Context(), c.Scope, []string{p.High, p.Low}))
	}
	return &api.PutScalingPolicyResponse{PolicyARN: wire.Some(p.arn(c.Scope, r)), Alarms: p.alarms(c.Scope)}, nil
}

// policyOf reads and checks what a request says of a policy.
func policyOf(in *api.PutScalingPolicyRequest) (*policy, error) {
	t := in.TargetTrackingScalingPolicyConfiguration
	if t == nil {
		return nil, invalid("A target tracking scaling policy needs TargetTrackingScalingPolicyConfiguration.")
	}
	p := &policy{Name: in.PolicyName.V, Target: t.TargetValue.V}
	switch predefined := t.PredefinedMetricSpecification; {
	case (predefined != nil) == (t.CustomizedMetricSpecification != nil):
		return nil, invalid("Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification must be specified.")
	case predefined != nil && predefined.PredefinedMetricType.V != utilization:
		return nil, invalid("The metric type %s is not supported for the scalable dimension %s. Supported: %s.", predefined.PredefinedMetricType.V, dimension, utilization)
	case predefined != nil && predefined.ResourceLabel.OK:
		return nil, invalid("ResourceLabel is not supported for the metric type %s.", utilization)
	case predefined != nil && !(p.Target >= 0.1 && p.Target <= 0.9):
		return nil, invalid("Target value must be between 0.1 and 0.9 for the metric type %s.", utilization)
	case !(p.Target > 0 && p.Target < 1e300):
		return nil, invalid("Target value must be greater than 0.")
	}
	var err error
	if t.CustomizedMetricSpecification != nil {
		if p.Custom, err = customOf(t.CustomizedMetricSpecification); err != nil {
			return nil, err
		}
	}
	if p.ScaleOutSec, err = cooldown("ScaleOutCooldown", t.ScaleOutCooldown); err != nil {
		return nil, err
	}
	if p.ScaleInSec, err = cooldown("ScaleInCooldown", t.ScaleInCooldown); err != nil {
		return nil, err
	}
	if t.DisableScaleIn.OK {
		p.DisableScaleIn = &t.DisableScaleIn.V
	}
	return p, nil
}

func cooldown(name string, given wire.Opt[int32]) (*int, error) {
	if !given.OK {
		return nil, nil
	}
	sec := int(given.V)
	if sec < 0 {
		return nil, invalid("%s cannot be negative.", name)
	}
	return &sec, nil
}

func customOf(in *api.CustomizedMetricSpecification) (*custom, error) {
	x := &custom{Namespace: in.Namespace.V, Name: in.MetricName.V, Stat: in.Statistic.V, Unit: in.Unit.V}
	for _, d := range in.Dimensions {
		x.Dimensions = append(x.Dimensions, metric.Dimension{Name: d.Name.V, Value: d.Value.V})
	}
	if one := x.Namespace != "" || x.Name != "" || x.Stat != ""; one == (len(in.Metrics) > 0) {
		return nil, invalid("Exactly one of a metric, by Namespace, MetricName and Statistic, and Metrics must be specified.")
	}
	for i := range in.Metrics {
		q := &in.Metrics[i]
		l := line{ID: q.Id.V, Expression: q.Expression.V, Label: q.Label.V}
		if q.ReturnData.OK {
			l.Return = &q.ReturnData.V
		}
		if m := q.MetricStat; m != nil {
			l.Stat, l.Unit = m.Stat.V, m.Unit.V
			if m.Metric != nil {
				l.Namespace, l.Name = m.Metric.Namespace.V, m.Metric.MetricName.V
				for _, d := range m.Metric.Dimensions {
					l.Dimensions = append(l.Dimensions, metric.Dimension{Name: d.Name.V, Value: d.Value.V})
				}
			}
		}
		x.Lines = append(x.Lines, l)
	}
	return x, nil
}

// DeleteScalingPolicy deletes a policy and its alarms.
func (s *Service) DeleteScalingPolicy(c *wire.Call, in *api.DeleteScalingPolicyRequest) (*api.DeleteScalingPolicyResponse, error) {
	r, err := parseResource(in.ServiceNamespace.V, in.ResourceId.V, in.ScalableDimension.V)
	if err != nil {
		return nil, err
	}
	var p *policy
	err = s.update(func(tx *store.Tx) error {
		var ok bool
		if p, ok = policyKind.Get(tx, c.Scope, partName(r, in.PolicyName.V)); !ok {
			return notFound("No scaling policy found for service namespace: %s, resource ID: %s, scalable dimension: %s, policy name: %s", namespace, r, dimension, in.PolicyName.V)
		}
		policyKind.Delete(tx, c.Scope, partName(r, in.PolicyName.V))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteScalingPolicyResponse{}, s.opt.DeleteAlarms(c.Context(), c.Scope, []string{p.High, p.Low})
}

// DescribeScalingPolicies lists policies.
func (s *Service) DescribeScalingPolicies(c *wire.Call, in *api.DescribeScalingPoliciesRequest) (*api.DescribeScalingPoliciesResponse, error) {
	out := &api.DescribeScalingPoliciesResponse{ScalingPolicies: []api.ScalingPolicy{}}
	page, err := newPage(in.NextToken, in.MaxResults)
	if err != nil || !ours(in.ServiceNamespace, in.ScalableDimension) {
		return out, err
	}
	policyKind.Scan(s.snapshot(), c.Scope, page.after, func(name string, p *policy) bool {
		r := ownerOf(name)
		if in.ResourceId.OK && in.ResourceId.V != r.String() || len(in.PolicyNames) > 0 && !slices.Contains(in.PolicyNames, p.Name) && !slices.Contains(in.PolicyNames, p.arn(c.Scope, r)) {
			return true
		}
		if !page.take(name) {
			return false
		}
		out.ScalingPolicies = append(out.ScalingPolicies, p.answer(c.Scope, r))
		return true
	})
	out.NextToken = page.token()
	return out, nil
}

func (p *policy) answer(s lambda.Scope, r resource) api.ScalingPolicy {
	t := &api.TargetTrackingScalingPolicyConfiguration{TargetValue: wire.Some(p.Target)}
	if p.Custom == nil {
		t.PredefinedMetricSpecification = &api.PredefinedMetricSpecification{PredefinedMetricType: wire.Some(utilization)}
	} else {
		t.CustomizedMetricSpecification = p.Custom.answer()
	}
	if p.ScaleOutSec != nil {
		t.ScaleOutCooldown = wire.Some(int32(*p.ScaleOutSec))
	}
	if p.ScaleInSec != nil {
		t.ScaleInCooldown = wire.Some(int32(*p.ScaleInSec))
	}
	if p.DisableScaleIn != nil {
		t.DisableScaleIn = wire.Some(*p.DisableScaleIn)
	}
	return api.ScalingPolicy{
		PolicyARN: wire.Some(p.arn(s, r)), PolicyName: wire.Some(p.Name), PolicyType: wire.Some(targetTracking),
		ServiceNamespace: wire.Some(namespace), ResourceId: wire.Some(r.String()), ScalableDimension: wire.Some(dimension),
		TargetTrackingScalingPolicyConfiguration: t, Alarms: p.alarms(s), CreationTime: wire.Some(p.Created),
	}
}

func (x *custom) answer() *api.CustomizedMetricSpecification {
	a := &api.CustomizedMetricSpecification{Namespace: some(x.Namespace), MetricName: some(x.Name), Statistic: some(x.Stat), Unit: some(x.Unit)}
	for _, d := range x.Dimensions {
		a.Dimensions = append(a.Dimensions, api.MetricDimension{Name: wire.Some(d.Name), Value: wire.Some(d.Value)})
	}
	for _, l := range x.Lines {
		q := api.TargetTrackingMetricDataQuery{Id: wire.Some(l.ID), Expression: some(l.Expression), Label: some(l.Label)}
		if l.Return != nil {
			q.ReturnData = wire.Some(*l.Return)
		}
		if l.Expression == "" {
			m := &api.TargetTrackingMetric{Namespace: some(l.Namespace), MetricName: some(l.Name)}
			for _, d := range l.Dimensions {
				m.Dimensions = append(m.Dimensions, api.TargetTrackingMetricDimension{Name: wire.Some(d.Name), Value: wire.Some(d.Value)})
			}
			q.MetricStat = &api.TargetTrackingMetricStat{Metric: m, Stat: some(l.Stat), Unit: some(l.Unit)}
		}
		a.Metrics = append(a.Metrics, q)
	}
	return a
}

// some is a member that is left out when empty.
func some(s string) wire.Opt[string] { return wire.Opt[string]{V: s, OK: s != ""} }
