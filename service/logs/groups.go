package logs

import (
	"errors"
	"slices"
	"strings"
	"time"

	api "github.com/weir-run/weir/aws/logs"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
	"github.com/weir-run/weir/store/logs"
)

const standard = "STANDARD" // the only log class here

// CreateLogGroup makes a group.
func (s *Service) CreateLogGroup(c *wire.Call, in *api.CreateLogGroupRequest) error {
	name := in.LogGroupName.V
	switch {
	case in.KmsKeyId.OK:
		return unsupported(c, "kmsKeyId")
	case in.LogGroupClass.Or(standard) != standard:
		return invalid("weir has no log class but STANDARD.")
	case in.DeletionProtectionEnabled.V:
		return unsupported(c, "deletionProtectionEnabled")
	case strings.HasPrefix(name, "aws/"):
		return invalid("Log groups starting with AWS/ are reserved for AWS.")
	}
	if err := checkTags(in.Tags); err != nil {
		return err
	}
	return s.update(func(tx *store.Tx) error {
		if _, ok := groups.Get(tx, c.Scope, name); ok {
			return errGroupExists
		}
		groups.Put(tx, c.Scope, name, &logGroup{Name: name, CreatedAt: time.Now().UnixMilli(), Tags: in.Tags})
		return nil
	})
}

// DeleteLogGroup removes the events of a group and then the group: a crash between the two
// leaves it empty.
func (s *Service) DeleteLogGroup(c *wire.Call, in *api.DeleteLogGroupRequest) error {
	id, _, err := s.group(c, in.LogGroupName, wire.Opt[string]{})
	if err != nil {
		return err
	}
	if err := s.logs.Remove(id); err != nil {
		return err
	}
	return s.update(func(tx *store.Tx) error {
		groups.Delete(tx, id.Scope, id.Name)
		return nil
	})
}

// DescribeLogGroups lists groups by name.
func (s *Service) DescribeLogGroups(c *wire.Call, in *api.DescribeLogGroupsRequest) (*api.DescribeLogGroupsResponse, error) {
	switch {
	case in.LogGroupNamePrefix.OK && in.LogGroupNamePattern.OK:
		return nil, invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	case in.IncludeLinkedAccounts.V || len(in.AccountIdentifiers) > 0:
		return nil, unsupported(c, "accountIdentifiers")
	case in.LogGroupIdentifiers != nil && (in.LogGroupNamePrefix.OK || in.LogGroupNamePattern.OK):
		return nil, invalid("LogGroupIdentifiers and LogGroup name prefix or pattern are mutually exclusive parameters.")
	}
	list, err := s.selected(c, in)
	if err != nil {
		return nil, err
	}
	list, next, err := page(list, func(g *logGroup) string { return g.Name }, in.NextToken, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &api.DescribeLogGroupsResponse{LogGroups: []api.LogGroup{}, NextToken: next}
	for _, g := range list {
		bytes, err := s.logs.Bytes(logs.GroupID{Scope: c.Scope, Name: g.Name})
		if err != nil && !errors.Is(err, logs.ErrGone) {
			return nil, err
		}
		out.LogGroups = append(out.LogGroups, describe(c.Scope, g, bytes))
	}
	return out, nil
}

// selected returns the groups that a request is about, by name.
func (s *Service) selected(c *wire.Call, in *api.DescribeLogGroupsRequest) ([]*logGroup, error) {
	var list []*logGroup
	if in.LogGroupIdentifiers != nil {
		for _, identifier := range in.LogGroupIdentifiers {
			_, g, err := s.identified(c, identifier)
			if err != nil {
				return nil, err
			}
			list = append(list, g)
		}
		slices.SortFunc(list, func(a, b *logGroup) int { return strings.Compare(a.Name, b.Name) })
		return list, nil
	}
	if in.LogGroupClass.Or(standard) != standard {
		return nil, nil
	}
	groups.ScanPrefix(s.snapshot(), c.Scope, in.LogGroupNamePrefix.V, "", func(name string, g *logGroup) bool {
		if strings.Contains(name, in.LogGroupNamePattern.V) {
			list = append(list, g)
		}
		return true
	})
	return list, nil
}

func describe(scope lambda.Scope, g *logGroup, bytes int64) api.LogGroup {
	arn := scope.ARN("logs", "log-group:"+g.Name)
	out := api.LogGroup{
		LogGroupName:              wire.Some(g.Name),
		CreationTime:              wire.Some(g.CreatedAt),
		MetricFilterCount:         wire.Some(int32(len(g.Metrics))),
		Arn:                       wire.Some(arn + ":*"),
		LogGroupArn:               wire.Some(arn),
		StoredBytes:               wire.Some(bytes),
		LogGroupClass:             wire.Some(standard),
		DeletionProtectionEnabled: wire.Some(false),
	}
	if g.RetentionDays > 0 {
		out.RetentionInDays = wire.Some(g.RetentionDays)
	}
	return out
}

// retentions are the periods in days that AWS takes.
var retentions = []int32{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// PutRetentionPolicy sets how long events are kept.
func (s *Service) PutRetentionPolicy(c *wire.Call, in *api.PutRetentionPolicyRequest) error {
	days := in.RetentionInDays.V
	if !slices.Contains(retentions, days) {
		return invalid("1 validation error detected: Value '%d' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653]", days)
	}
	return s.retain(c.Scope, in.LogGroupName.V, days)
}

// DeleteRetentionPolicy keeps events for ever.
func (s *Service) DeleteRetentionPolicy(c *wire.Call, in *api.DeleteRetentionPolicyRequest) error {
	return s.retain(c.Scope, in.LogGroupName.V, 0)
}

func (s *Service) retain(scope lambda.Scope, name string, days int32) error {
	g := logGroup{RetentionDays: days}
	err := s.change(scope, name, func(g *logGroup) error {
		g.RetentionDays = days
		return nil
	})
	if err == nil {
		s.logs.SetRetention(logs.GroupID{Scope: scope, Name: name}, g.retention())
	}
	return err
}
