package autoscaling

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	api "github.com/weir-run/weir/aws/applicationautoscaling"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/schedule"
	"github.com/weir-run/weir/store"
)

const maxActions = 200 // of a target

// PutScheduledAction makes a scheduled action, or changes what is given of it; start and end are
// gone if they are not given again.
func (s *Service) PutScheduledAction(c *wire.Call, in *api.PutScheduledActionRequest) (*api.PutScheduledActionResponse, error) {
	r, err := parseResource(in.ServiceNamespace.V, in.ResourceId.V, in.ScalableDimension.V)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	err = s.update(func(tx *store.Tx) error {
		if _, ok := targetKind.Get(tx, c.Scope, r.String()); !ok {
			return noTarget("registered", r)
		}
		name := partName(r, in.ScheduledActionName.V)
		a := action{ID: uuid.NewString(), Name: in.ScheduledActionName.V, Created: now}
		if old, ok := actionKind.Get(tx, c.Scope, name); ok {
			a = *old
		} else {
			n := 0
			actionKind.ScanPrefix(tx, c.Scope, partPrefix(r), "", func(string, *action) bool { n++; return true })
			if n >= maxActions {
				return lambda.Errorf("LimitExceededException", "A scalable target must not have more than %d scheduled actions.", maxActions)
			}
		}
		a.Done = now
		if err := a.apply(in); err != nil {
			return err
		}
		actionKind.Put(tx, c.Scope, name, &a)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.loop.rouse()
	return &api.PutScheduledActionResponse{}, nil
}

// apply takes over what a request gives, and checks the whole.
func (a *action) apply(in *api.PutScheduledActionRequest) error {
	a.Schedule, a.Timezone = in.Schedule.Or(a.Schedule), in.Timezone.Or(a.Timezone)
	a.Start, a.End = in.StartTime.V.UTC(), in.EndTime.V.UTC()
	if !in.StartTime.OK {
		a.Start = time.Time{}
	}
	if !in.EndTime.OK {
		a.End = time.Time{}
	}
	if x := in.ScalableTargetAction; x != nil {
		a.Min, a.Max = whole(x.MinCapacity), whole(x.MaxCapacity)
	}
	switch {
	case a.Schedule == "":
		return invalid("A scheduled action needs a Schedule.")
	case a.Min == nil && a.Max == nil:
		return invalid("A scheduled action needs a minimum or a maximum capacity.")
	case a.Min != nil && *a.Min < 0 || a.Max != nil && *a.Max < 0:
		return invalid("Minimum and maximum capacity cannot be negative.")
	case a.Min != nil && a.Max != nil && *a.Max < *a.Min:
		return invalid("Maximum capacity cannot be less than minimum capacity.")
	case !a.End.IsZero() && a.End.Before(a.Start):
		return invalid("The end time must be after the start time.")
	}
	if _, err := schedule.Parse(a.Schedule); err != nil {
		return invalid("Invalid schedule expression. Details: %s", strings.TrimPrefix(err.Error(), schedule.ErrInvalid.Error()+": "))
	}
	if _, err := a.zone(); err != nil {
		return invalid("Invalid time zone: %s", a.Timezone)
	}
	if _, ok := a.next(a.Done); !ok {
		return invalid("The schedule %s never falls due from now on.", a.Schedule)
	}
	return nil
}

func whole(given wire.Opt[int32]) *int {
	if !given.OK {
		return nil
	}
	n := int(given.V)
	return &n
}

func (a *action) zone() (*time.Location, error) {
	if a.Timezone == "Local" {
		return nil, invalid("Local is no time zone.")
	}
	return time.LoadLocation(a.Timezone)
}

// next returns when the action falls due after a moment.
func (a *action) next(after time.Time) (time.Time, bool) {
	e, err := schedule.Parse(a.Schedule)
	if err != nil {
		return time.Time{}, false
	}
	zone, err := a.zone()
	if err != nil {
		return time.Time{}, false
	}
	anchor := a.Created
	if !a.Start.IsZero() {
		anchor = a.Start
		if before := a.Start.Add(-time.Nanosecond); after.Before(before) {
			after = before
		}
	}
	t, ok := e.Next(after, zone, anchor)
	return t, ok && (a.End.IsZero() || !t.After(a.End))
}

// maxMissed bounds how many times are gone through to find the last that was missed.
const maxMissed = 10_000

// due returns the last time at which the action fell due and is not done.
func (a *action) due(now time.Time) (last time.Time, ok bool) {
	at := a.Done
	for range maxMissed {
		next, more := a.next(at)
		if !more || next.After(now) {
			return last, ok
		}
		at, last, ok = next, next, true
	}
	return now, true // it falls due so often that now is near
}

// DeleteScheduledAction deletes a scheduled action.
func (s *Service) DeleteScheduledAction(c *wire.Call, in *api.DeleteScheduledActionRequest) (*api.DeleteScheduledActionResponse, error) {
	r, err := parseResource(in.ServiceNamespace.V, in.ResourceId.V, in.ScalableDimension.V)
	if err != nil {
		return nil, err
	}
	name := partName(r, in.ScheduledActionName.V)
	err = s.update(func(tx *store.Tx) error {
		if _, ok := actionKind.Get(tx, c.Scope, name); !ok {
			return notFound("No scheduled action found for service namespace: %s, resource ID: %s, scalable dimension: %s, scheduled action name: %s", namespace, r, dimension, in.ScheduledActionName.V)
		}
		actionKind.Delete(tx, c.Scope, name)
		return nil
	})
	s.loop.rouse()
	return &api.DeleteScheduledActionResponse{}, err
}

// DescribeScheduledActions lists scheduled actions.
func (s *Service) DescribeScheduledActions(c *wire.Call, in *api.DescribeScheduledActionsRequest) (*api.DescribeScheduledActionsResponse, error) {
	out := &api.DescribeScheduledActionsResponse{ScheduledActions: []api.ScheduledAction{}}
	p, err := newPage(in.NextToken, in.MaxResults)
	if err != nil || !ours(in.ServiceNamespace, in.ScalableDimension) {
		return out, err
	}
	actionKind.Scan(s.snapshot(), c.Scope, p.after, func(name string, a *action) bool {
		r := ownerOf(name)
		if in.ResourceId.OK && in.ResourceId.V != r.String() || len(in.ScheduledActionNames) > 0 && !slices.Contains(in.ScheduledActionNames, a.Name) {
			return true
		}
		if !p.take(name) {
			return false
		}
		out.ScheduledActions = append(out.ScheduledActions, a.answer(c.Scope, r))
		return true
	})
	out.NextToken = p.token()
	return out, nil
}

func (a *action) answer(s lambda.Scope, r resource) api.ScheduledAction {
	x := api.ScheduledAction{
		ScheduledActionName: wire.Some(a.Name), ScheduledActionARN: wire.Some(a.arn(s, r)),
		ServiceNamespace: wire.Some(namespace), ResourceId: wire.Some(r.String()), ScalableDimension: wire.Some(dimension),
		Schedule: wire.Some(a.Schedule), Timezone: some(a.Timezone), CreationTime: wire.Some(a.Created),
		ScalableTargetAction: &api.ScalableTargetAction{},
	}
	if !a.Start.IsZero() {
		x.StartTime = wire.Some(a.Start)
	}
	if !a.End.IsZero() {
		x.EndTime = wire.Some(a.End)
	}
	if a.Min != nil {
		x.ScalableTargetAction.MinCapacity = wire.Some(int32(*a.Min))
	}
	if a.Max != nil {
		x.ScalableTargetAction.MaxCapacity = wire.Some(int32(*a.Max))
	}
	return x
}

// boundsText is what an activity says of bounds.
func boundsText(verb string, least, most *int) string {
	var parts []string
	if least != nil {
		parts = append(parts, "min capacity to "+itoa(*least))
	}
	if most != nil {
		parts = append(parts, "max capacity to "+itoa(*most))
	}
	return verb + " " + strings.Join(parts, " and ")
}
