package autoscaling

import (
	"time"

	"github.com/google/uuid"

	api "github.com/weir-run/weir/aws/applicationautoscaling"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

// Bounds of what is kept of a target's activities.
const (
	keepFor       = 6 * 7 * 24 * time.Hour // Application Auto Scaling: six weeks
	maxActivities = 1000
)

// newActivity begins an activity, later than all before, so that they sort as they happened.
func (l *loop) newActivity(description, cause string) *activity {
	l.latest = latest(time.Now().UTC(), l.latest.Add(time.Nanosecond))
	return &activity{ID: uuid.NewString(), Description: description, Cause: cause, Start: l.latest}
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// keep writes an activity, and forgets those of its target that are too old or too many.
func keep(tx *store.Tx, here place, a *activity) {
	oldest := a.Start.Add(-keepFor)
	var gone []string
	n := 1
	activityKind.ScanPrefix(tx, here.scope, partPrefix(here.resource), "", func(name string, x *activity) bool {
		if n++; n > maxActivities || x.Start.Before(oldest) {
			gone = append(gone, name)
		}
		return true
	})
	for _, name := range gone {
		activityKind.Delete(tx, here.scope, name)
	}
	activityKind.Put(tx, here.scope, a.name(here.resource), a)
}

// notScaled writes down why a policy that was triggered did nothing: once, until it is for
// another reason.
func (l *loop) notScaled(here place, policyARN string, c metric.Capacity, why metric.Why, cause string) {
	if l.quiet[policyARN] == why {
		return
	}
	l.quiet[policyARN] = why
	l.opt.Logger.Info("nothing is scaled", "target", here.resource.String(), "cause", cause, "why", string(why))
	if why == metric.InCooldown || why == metric.IsSuspended || why == metric.IsDisabled {
		return // AWS has no code for these
	}
	a := l.newActivity("Attempting to scale due to alarm triggered", cause)
	a.Status, a.End = unfulfilled, a.Start
	a.NotScaled, a.Current, a.Min, a.Max = why, c.Current, c.Min, c.Max
	if err := l.update(func(tx *store.Tx) error { keep(tx, here, a); return nil }); err != nil {
		l.opt.Logger.Error("a scaling activity was not written", "target", here.resource.String(), "error", err)
	}
}

// DescribeScalingActivities lists what was done, the newest first.
func (s *Service) DescribeScalingActivities(c *wire.Call, in *api.DescribeScalingActivitiesRequest) (*api.DescribeScalingActivitiesResponse, error) {
	out := &api.DescribeScalingActivitiesResponse{ScalingActivities: []api.ScalingActivity{}}
	p, err := newPage(in.NextToken, in.MaxResults)
	if err != nil || !ours(in.ServiceNamespace, in.ScalableDimension) {
		return out, err
	}
	oldest := time.Now().Add(-keepFor)
	activityKind.Scan(s.snapshot(), c.Scope, p.after, func(name string, a *activity) bool {
		r := ownerOf(name)
		if in.ResourceId.OK && in.ResourceId.V != r.String() || a.NotScaled != "" && !in.IncludeNotScaledActivities.V || a.Start.Before(oldest) {
			return true
		}
		if !p.take(name) {
			return false
		}
		out.ScalingActivities = append(out.ScalingActivities, a.answer(r))
		return true
	})
	out.NextToken = p.token()
	return out, nil
}

func (a *activity) answer(r resource) api.ScalingActivity {
	x := api.ScalingActivity{
		ActivityId: wire.Some(a.ID), ServiceNamespace: wire.Some(namespace), ResourceId: wire.Some(r.String()), ScalableDimension: wire.Some(dimension),
		Description: wire.Some(a.Description), Cause: wire.Some(a.Cause), StartTime: wire.Some(a.Start),
		StatusCode: wire.Some(a.Status), StatusMessage: some(a.Message),
	}
	if !a.End.IsZero() {
		x.EndTime = wire.Some(a.End)
	}
	if a.NotScaled == "" {
		return x
	}
	reason := api.NotScaledReason{Code: wire.Some(string(a.NotScaled)), CurrentCapacity: wire.Some(int32(a.Current))}
	switch a.NotScaled {
	case metric.AtMax:
		reason.MaxCapacity = wire.Some(int32(a.Max))
	case metric.AtMin:
		reason.MinCapacity = wire.Some(int32(a.Min))
	}
	x.NotScaledReasons = []api.NotScaledReason{reason}
	return x
}
