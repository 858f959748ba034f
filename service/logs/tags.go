package logs

import (
	"maps"
	"strings"

	api "github.com/weir-run/weir/aws/logs"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
)

const maxTags = 50 // of a group

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return lambda.Errorf("TooManyTagsException", "Too many tags.")
	}
	for key := range tags {
		if strings.HasPrefix(key, "aws:") {
			return invalid("The tag key %s is reserved: it begins with aws:.", key)
		}
	}
	return nil
}

func (s *Service) tag(scope lambda.Scope, name string, tags map[string]string) error {
	return s.change(scope, name, func(g *logGroup) error {
		maps.Copy(g.Tags, tags)
		return checkTags(g.Tags)
	})
}

func (s *Service) untag(scope lambda.Scope, name string, keys []string) error {
	return s.change(scope, name, func(g *logGroup) error {
		for _, key := range keys {
			delete(g.Tags, key)
		}
		return nil
	})
}

func tagsOf(g *logGroup) map[string]string {
	if g.Tags == nil {
		return map[string]string{}
	}
	return g.Tags
}

// TagLogGroup adds tags to a group.
func (s *Service) TagLogGroup(c *wire.Call, in *api.TagLogGroupRequest) error {
	return s.tag(c.Scope, in.LogGroupName.V, in.Tags)
}

// UntagLogGroup removes tags from a group.
func (s *Service) UntagLogGroup(c *wire.Call, in *api.UntagLogGroupRequest) error {
	return s.untag(c.Scope, in.LogGroupName.V, in.Tags)
}

// ListTagsLogGroup answers a group's tags.
func (s *Service) ListTagsLogGroup(c *wire.Call, in *api.ListTagsLogGroupRequest) (*api.ListTagsLogGroupResponse, error) {
	_, g, err := s.group(c, in.LogGroupName, wire.Opt[string]{})
	if err != nil {
		return nil, err
	}
	return &api.ListTagsLogGroupResponse{Tags: tagsOf(g)}, nil
}

// TagResource adds tags to what an ARN names.
func (s *Service) TagResource(c *wire.Call, in *api.TagResourceRequest) error {
	id, _, err := s.identified(c, in.ResourceArn.V)
	if err != nil {
		return err
	}
	return s.tag(id.Scope, id.Name, in.Tags)
}

// UntagResource removes tags from what an ARN names.
func (s *Service) UntagResource(c *wire.Call, in *api.UntagResourceRequest) error {
	id, _, err := s.identified(c, in.ResourceArn.V)
	if err != nil {
		return err
	}
	return s.untag(id.Scope, id.Name, in.TagKeys)
}

// ListTagsForResource answers the tags of what an ARN names.
func (s *Service) ListTagsForResource(c *wire.Call, in *api.ListTagsForResourceRequest) (*api.ListTagsForResourceResponse, error) {
	_, g, err := s.identified(c, in.ResourceArn.V)
	if err != nil {
		return nil, err
	}
	return &api.ListTagsForResourceResponse{Tags: tagsOf(g)}, nil
}
