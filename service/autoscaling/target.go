package autoscaling

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	api "github.com/weir-run/weir/aws/applicationautoscaling"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// RegisterScalableTarget makes an alias or a version scalable, or changes how far.
func (s *Service) RegisterScalableTarget(c *wire.Call, in *api.RegisterScalableTargetRequest) (*api.RegisterScalableTargetResponse, error) {
	r, err := parseResource(in.ServiceNamespace.V, in.ResourceId.V, in.ScalableDimension.V)
	if err != nil {
		return nil, err
	}
	var t target
	var causes []string
	err = s.update(func(tx *store.Tx) error {
		old, known := targetKind.Get(tx, c.Scope, r.String())
		causes = nil
		if known {
			t = *old
		} else if t, err = newTarget(tx, c.Scope, r, in); err != nil {
			return err
		}
		if in.MinCapacity.OK {
			t.Min = int(in.MinCapacity.V)
			causes = append(causes, fmt.Sprintf("minimum capacity was set to %d", t.Min))
		}
		if in.MaxCapacity.OK {
			t.Max = int(in.MaxCapacity.V)
			causes = append(causes, fmt.Sprintf("maximum capacity was set to %d", t.Max))
		}
		if err := checkBounds(t.Min, t.Max); err != nil {
			return err
		}
		if known && len(in.Tags) > 0 {
			return invalid("Tags can be set at the first registration only. Use TagResource.")
		}
		t.Role = in.RoleARN.Or(t.Role)
		if p := in.SuspendedState; p != nil {
			t.InSuspended = p.DynamicScalingInSuspended.Or(t.InSuspended)
			t.OutSuspended = p.DynamicScalingOutSuspended.Or(t.OutSuspended)
			t.ScheduledSuspended = p.ScheduledScalingSuspended.Or(t.ScheduledSuspended)
		}
		targetKind.Put(tx, c.Scope, r.String(), &t)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(causes) > 0 {
		// What comes of it is told by the activities, as on AWS.
		err = s.loop.do(c.Context(), func() error { s.loop.bound(c.Scope, r, t.Min, t.Max); return nil })
	}
	return &api.RegisterScalableTargetResponse{ScalableTargetARN: wire.Some(t.arn(c.Scope))}, err
}

// newTarget checks what is registered for the first time.
func newTarget(tx *store.Tx, scope lambda.Scope, r resource, in *api.RegisterScalableTargetRequest) (target, error) {
	if !in.MinCapacity.OK || !in.MaxCapacity.OK {
		return target{}, invalid("Both the minimum and the maximum capacity are required to register a scalable target.")
	}
	name := store.QualifiedName(r.function, r.qualifier)
	_, alias := store.Aliases.Get(tx, scope, name)
	_, version := store.Versions.Get(tx, scope, name)
	if !alias && !version {
		return target{}, invalid("The resource does not exist: %s", r)
	}
	if err := checkTags(in.Tags); err != nil {
		return target{}, err
	}
	return target{
		ID: newID(), Created: time.Now().UTC(), Tags: in.Tags,
		Role: "arn:" + scope.Partition() + ":iam::" + scope.Account + ":role/aws-service-role/lambda.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_LambdaConcurrency",
	}, nil
}

func checkBounds(least, most int) error {
	switch {
	case least < 0:
		return invalid("Minimum capacity cannot be negative.")
	case most < least:
		return invalid("Maximum capacity cannot be less than minimum capacity.")
	}
	return nil
}

func noTarget(verb string, r resource) error {
	return notFound("No scalable target %s for service namespace: %s, resource ID: %s, scalable dimension: %s", verb, namespace, r, dimension)
}

// DeregisterScalableTarget forgets a target with its policies, their alarms and its scheduled
// actions. The capacity stays.
func (s *Service) DeregisterScalableTarget(c *wire.Call, in *api.DeregisterScalableTargetRequest) (*api.DeregisterScalableTargetResponse, error) {
	r, err := parseResource(in.ServiceNamespace.V, in.ResourceId.V, in.ScalableDimension.V)
	if err != nil {
		return nil, err
	}
	var alarms []string
	err = s.update(func(tx *store.Tx) error {
		alarms = nil
		if _, ok := targetKind.Get(tx, c.Scope, r.String()); !ok {
			return noTarget("found", r)
		}
		targetKind.Delete(tx, c.Scope, r.String())
		var policies, actions []string
		policyKind.ScanPrefix(tx, c.Scope, partPrefix(r), "", func(name string, p *policy) bool {
			policies, alarms = append(policies, name), append(alarms, p.High, p.Low)
			return true
		})
		actionKind.ScanPrefix(tx, c.Scope, partPrefix(r), "", func(name string, _ *action) bool {
			actions = append(actions, name)
			return true
		})
		for _, name := range policies {
			policyKind.Delete(tx, c.Scope, name)
		}
		for _, name := range actions {
			actionKind.Delete(tx, c.Scope, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.loop.rouse()
	if len(alarms) > 0 {
		err = s.opt.DeleteAlarms(c.Context(), c.Scope, alarms)
	}
	return &api.DeregisterScalableTargetResponse{}, err
}

// DescribeScalableTargets lists targets.
func (s *Service) DescribeScalableTargets(c *wire.Call, in *api.DescribeScalableTargetsRequest) (*api.DescribeScalableTargetsResponse, error) {
	out := &api.DescribeScalableTargetsResponse{ScalableTargets: []api.ScalableTarget{}}
	p, err := newPage(in.NextToken, in.MaxResults)
	if err != nil || !ours(in.ServiceNamespace, in.ScalableDimension) {
		return out, err
	}
	targetKind.Scan(s.snapshot(), c.Scope, p.after, func(name string, t *target) bool {
		if len(in.ResourceIds) > 0 && !slices.Contains(in.ResourceIds, name) {
			return true
		}
		if !p.take(name) {
			return false
		}
		out.ScalableTargets = append(out.ScalableTargets, api.ScalableTarget{
			ServiceNamespace: wire.Some(namespace), ResourceId: wire.Some(name), ScalableDimension: wire.Some(dimension),
			MinCapacity: wire.Some(int32(t.Min)), MaxCapacity: wire.Some(int32(t.Max)), RoleARN: wire.Some(t.Role),
			CreationTime: wire.Some(t.Created), ScalableTargetARN: wire.Some(t.arn(c.Scope)),
			SuspendedState: &api.SuspendedState{
				DynamicScalingInSuspended: wire.Some(t.InSuspended), DynamicScalingOutSuspended: wire.Some(t.OutSuspended),
				ScheduledScalingSuspended: wire.Some(t.ScheduledSuspended),
			},
		})
		return true
	})
	out.NextToken = p.token()
	return out, nil
}

// ours reports whether a list can hold something: weir has no targets elsewhere.
func ours(ns, dim wire.Opt[string]) bool {
	return ns.V == namespace && (!dim.OK || dim.V == dimension)
}

const maxTags = 50

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return lambda.Errorf("TooManyTagsException", "A resource must not have more than %d tags.", maxTags)
	}
	for key := range tags {
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return invalid("Tag keys must not begin with aws: %s", key)
		}
	}
	return nil
}

// tagged finds the target that an ARN names.
func tagged(r store.Reader, s lambda.Scope, arn string) (string, *target, error) {
	var id string
	var found *target
	targetKind.Scan(r, s, "", func(name string, t *target) bool {
		if t.arn(s) == arn {
			id, found = name, t
		}
		return found == nil
	})
	if found == nil {
		return "", nil, lambda.Errorf(lambda.CodeResourceNotFound, "The resource does not exist: %s", arn).With("ResourceName", arn)
	}
	return id, found, nil
}

func (s *Service) changeTags(c *wire.Call, arn string, change func(tags map[string]string)) error {
	return s.update(func(tx *store.Tx) error {
		id, old, err := tagged(tx, c.Scope, arn)
		if err != nil {
			return err
		}
		t := *old
		t.Tags = make(map[string]string)
		maps.Copy(t.Tags, old.Tags)
		change(t.Tags)
		if err := checkTags(t.Tags); err != nil {
			return err
		}
		targetKind.Put(tx, c.Scope, id, &t)
		return nil
	})
}

// TagResource adds tags to a target.
func (s *Service) TagResource(c *wire.Call, in *api.TagResourceRequest) (*api.TagResourceResponse, error) {
	return &api.TagResourceResponse{}, s.changeTags(c, in.ResourceARN.V, func(tags map[string]string) { maps.Copy(tags, in.Tags) })
}

// UntagResource removes tags from a target.
func (s *Service) UntagResource(c *wire.Call, in *api.UntagResourceRequest) (*api.UntagResourceResponse, error) {
	return &api.UntagResourceResponse{}, s.changeTags(c, in.ResourceARN.V, func(tags map[string]string) {
		for _, key := range in.TagKeys {
			delete(tags, key)
		}
	})
}

// ListTagsForResource answers the tags of a target.
func (s *Service) ListTagsForResource(c *wire.Call, in *api.ListTagsForResourceRequest) (*api.ListTagsForResourceResponse, error) {
	_, t, err := tagged(s.snapshot(), c.Scope, in.ResourceARN.V)
	if err != nil {
		return nil, err
	}
	out := &api.ListTagsForResourceResponse{Tags: make(map[string]string)}
	maps.Copy(out.Tags, t.Tags)
	return out, nil
}
