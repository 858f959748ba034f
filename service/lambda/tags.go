package lambda

import (
	"maps"
	"strings"

	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/store"
)

// tagged finds the function that a tagging request names by its ARN.
func (s *Service) tagged(c *wire.Call, arn string) (target, error) {
	if !strings.Contains(arn, ":function:") {
		return target{}, invalid("weir tags functions only; %s is none.", arn)
	}
	t, err := s.target(c, arn, wire.Opt[string]{})
	if err != nil {
		return t, err
	}
	if t.qualifier != "" {
		return t, invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
	}
	return t, nil
}

// TagResource adds tags to a function.
func (s *Service) TagResource(c *wire.Call, in *api.TagResourceRequest) error {
	t, err := s.tagged(c, in.Resource.V)
	if err != nil {
		return err
	}
	if len(in.Tags) == 0 {
		return invalid("An error occurred and the request cannot be processed.")
	}
	return s.changeTags(t, func(tags map[string]string) { maps.Copy(tags, in.Tags) })
}

// UntagResource removes tags from a function.
func (s *Service) UntagResource(c *wire.Call, in *api.UntagResourceRequest) error {
	t, err := s.tagged(c, in.Resource.V)
	if err != nil {
		return err
	}
	return s.changeTags(t, func(tags map[string]string) {
		for _, key := range in.TagKeys {
			delete(tags, key)
		}
	})
}

func (s *Service) changeTags(t target, change func(map[string]string)) error {
	return s.update(func(tx *store.Tx) error {
		old, err := t.function(tx)
		if err != nil {
			return err
		}
		f := *old
		f.Tags = make(map[string]string, len(old.Tags))
		maps.Copy(f.Tags, old.Tags)
		change(f.Tags)
		if err := checkTags(f.Tags); err != nil {
			return err
		}
		store.Functions.Put(tx, t.scope, t.name, &f)
		return nil
	})
}

// ListTags answers a function's tags.
func (s *Service) ListTags(c *wire.Call, in *api.ListTagsRequest) (*api.ListTagsResponse, error) {
	t, err := s.tagged(c, in.Resource.V)
	if err != nil {
		return nil, err
	}
	f, err := t.function(s.snapshot())
	if err != nil {
		return nil, err
	}
	tags := f.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return &api.ListTagsResponse{Tags: tags}, nil
}
