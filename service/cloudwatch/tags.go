package cloudwatch

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	api "github.com/weir-run/weir/aws/cloudwatch"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// maxTags is the most of a resource.
const maxTags = 50

func jsonObject(s string) bool {
	return strings.HasPrefix(strings.TrimSpace(s), "{") && json.Valid([]byte(s))
}

// tagMap adds tags to a copy of others.
func tagMap(old map[string]string, tags []api.Tag) map[string]string {
	if len(old)+len(tags) == 0 {
		return nil
	}
	all := make(map[string]string)
	maps.Copy(all, old)
	for _, t := range tags {
		all[t.Key.V] = t.Value.V
	}
	return all
}

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return invalid("The resource must not have more than %d tags.", maxTags)
	}
	for key := range tags {
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return invalid("aws: prefixed tag key names are not allowed for external use.")
		}
	}
	return nil
}

// tagged finds the alarm that an ARN names.
func tagged(r store.Reader, s lambda.Scope, arn string) (string, *alarmRecord, error) {
	name, ok := strings.CutPrefix(arn, s.ARN("cloudwatch", "alarm:"))
	if !ok {
		return "", nil, invalid("The value %s for parameter ResourceARN is invalid. weir tags alarms.", arn)
	}
	a, ok := alarmKind.Get(r, s, name)
	if !ok {
		return "", nil, lambda.Errorf(lambda.CodeResourceNotFound, "The resource does not exist: %s", arn).With("ResourceType", "alarm").With("ResourceId", name)
	}
	return name, a, nil
}

func (s *Service) changeTags(c *wire.Call, arn string, change func(map[string]string) map[string]string) error {
	return s.update(func(tx *store.Tx) error {
		name, old, err := tagged(tx, c.Scope, arn)
		if err != nil {
			return err
		}
		r := *old
		r.Tags = change(old.Tags)
		if err := checkTags(r.Tags); err != nil {
			return err
		}
		alarmKind.Put(tx, c.Scope, name, &r)
		return nil
	})
}

// TagResource adds tags to an alarm.
func (s *Service) TagResource(c *wire.Call, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	err := s.changeTags(c, in.ResourceARN.V, func(old map[string]string) map[string]string { return tagMap(old, in.Tags) })
	return &api.TagResourceOutput{}, err
}

// UntagResource removes tags from an alarm.
func (s *Service) UntagResource(c *wire.Call, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	err := s.changeTags(c, in.ResourceARN.V, func(old map[string]string) map[string]string {
		tags := maps.Clone(old)
		for _, key := range in.TagKeys {
			delete(tags, key)
		}
		return tags
	})
	return &api.UntagResourceOutput{}, err
}

// ListTagsForResource answers the tags of an alarm.
func (s *Service) ListTagsForResource(c *wire.Call, in *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
	_, r, err := tagged(s.snapshot(), c.Scope, in.ResourceARN.V)
	if err != nil {
		return nil, err
	}
	out := &api.ListTagsForResourceOutput{Tags: []api.Tag{}}
	for _, key := range slices.Sorted(maps.Keys(r.Tags)) {
		out.Tags = append(out.Tags, api.Tag{Key: wire.Some(key), Value: wire.Some(r.Tags[key])})
	}
	return out, nil
}
