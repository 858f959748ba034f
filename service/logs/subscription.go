package logs

import (
	"slices"
	"strings"
	"time"

	api "github.com/weir-run/weir/aws/logs"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// A subscription sends the events of a group that match to a function.
type subscription struct {
	Name         string `json:",omitzero"`
	Pattern      string `json:",omitzero"`
	Destination  string `json:",omitzero"` // ARN of a function
	Role         string `json:",omitzero"` // ARN; echoed
	Distribution string `json:",omitzero"`
	CreatedAt    int64  `json:",omitzero"`
}

const maxSubscriptions = 2 // of a group

// PutSubscriptionFilter makes or changes a subscription. Its destination is a function.
func (s *Service) PutSubscriptionFilter(c *wire.Call, in *api.PutSubscriptionFilterRequest) error {
	switch {
	case in.ApplyOnTransformedLogs.V:
		return unsupported(c, "applyOnTransformedLogs")
	case in.FieldSelectionCriteria.V != "":
		return unsupported(c, "fieldSelectionCriteria")
	case len(in.EmitSystemFields) > 0:
		return unsupported(c, "emitSystemFields")
	}
	if _, err := s.cache.parse(in.FilterPattern.V); err != nil {
		return err
	}
	if err := s.checkDestination(c.Scope, in.DestinationArn.V); err != nil {
		return err
	}
	x := subscription{
		Name: in.FilterName.V, Pattern: in.FilterPattern.V, Destination: in.DestinationArn.V, Role: in.RoleArn.V,
		Distribution: in.Distribution.Or("ByLogStream"), CreatedAt: time.Now().UnixMilli(),
	}
	return s.change(c.Scope, in.LogGroupName.V, func(g *logGroup) error {
		var err error
		g.Subscriptions, err = put(g.Subscriptions, x, func(x subscription) string { return x.Name }, maxSubscriptions)
		return err
	})
}

// checkDestination refuses what is not a function of the scope.
func (s *Service) checkDestination(scope lambda.Scope, arn string) error {
	if !strings.Contains(arn, ":lambda:") {
		return invalid("weir sends log events to Lambda functions only; %s is none.", arn)
	}
	n, ok := lambda.ParseFunctionName(arn)
	if ok && n.Account == scope.Account && n.Region == scope.Region {
		if _, ok = store.Functions.Get(s.snapshot(), scope, n.Name); ok {
			return nil
		}
	}
	return invalid("Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute your function.")
}

// put returns a list, sorted by name, with an item put in or replaced.
func put[T any](list []T, x T, name func(T) string, limit int) ([]T, error) {
	list = slices.Clone(list)
	i, ok := slices.BinarySearchFunc(list, name(x), func(y T, name2 string) int { return strings.Compare(name(y), name2) })
	switch {
	case ok:
		list[i] = x
	case len(list) >= limit:
		return nil, errLimit
	default:
		list = slices.Insert(list, i, x)
	}
	return list, nil
}

// DeleteSubscriptionFilter removes a subscription.
func (s *Service) DeleteSubscriptionFilter(c *wire.Call, in *api.DeleteSubscriptionFilterRequest) error {
	return s.change(c.Scope, in.LogGroupName.V, func(g *logGroup) error {
		before := len(g.Subscriptions)
		g.Subscriptions = slices.DeleteFunc(slices.Clone(g.Subscriptions), func(x subscription) bool { return x.Name == in.FilterName.V })
		if len(g.Subscriptions) == before {
			return lambda.Errorf(lambda.CodeResourceNotFound, "The specified subscription filter does not exist.")
		}
		return nil
	})
}

// DescribeSubscriptionFilters lists the subscriptions of a group.
func (s *Service) DescribeSubscriptionFilters(c *wire.Call, in *api.DescribeSubscriptionFiltersRequest) (*api.DescribeSubscriptionFiltersResponse, error) {
	_, g, err := s.group(c, in.LogGroupName, wire.Opt[string]{})
	if err != nil {
		return nil, err
	}
	list := slices.DeleteFunc(slices.Clone(g.Subscriptions), func(x subscription) bool { return !strings.HasPrefix(x.Name, in.FilterNamePrefix.V) })
	list, next, err := page(list, func(x subscription) string { return x.Name }, in.NextToken, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &api.DescribeSubscriptionFiltersResponse{SubscriptionFilters: []api.SubscriptionFilter{}, NextToken: next}
	for _, x := range list {
		d := api.SubscriptionFilter{
			FilterName: wire.Some(x.Name), LogGroupName: wire.Some(g.Name), FilterPattern: wire.Some(x.Pattern),
			DestinationArn: wire.Some(x.Destination), Distribution: wire.Some(x.Distribution), CreationTime: wire.Some(x.CreatedAt),
			ApplyOnTransformedLogs: wire.Some(false),
		}
		if x.Role != "" {
			d.RoleArn = wire.Some(x.Role)
		}
		out.SubscriptionFilters = append(out.SubscriptionFilters, d)
	}
	return out, nil
}
