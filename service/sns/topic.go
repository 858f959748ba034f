package sns

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	api "github.com/weir-run/weir/aws/sns"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/store"
)

// Quotas of topics (AWS: "Amazon SNS endpoints and quotas").
const (
	maxTopicName = 256 // characters
	maxTags      = 50
)

// CreateTopic makes a topic. The same topic with the same attributes again is no error.
func (s *Service) CreateTopic(c *wire.Call, in *api.CreateTopicInput) (*api.CreateTopicResponse, error) {
	n := topicName{c.Scope, in.Name.V}
	if in.DataProtectionPolicy.OK {
		return nil, invalid("weir does not support DataProtectionPolicy")
	}
	if !isTopicName(n.name) || n.isFIFO() != (in.Attributes["FifoTopic"] == "true") {
		return nil, invalid("Topic Name")
	}
	t := &store.Topic{Name: n.name, Attributes: map[string]string{}, Created: time.Now().UTC()}
	for _, name := range slices.Sorted(maps.Keys(in.Attributes)) {
		if err := checkTopicAttribute(n, name, in.Attributes[name], true); err != nil {
			return nil, err
		}
		t.Attributes[name] = in.Attributes[name]
	}
	tags, err := addTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	t.Tags = tags
	err = s.update(func(tx *store.Tx) error {
		old, ok := store.Topics.Get(tx, n.scope, n.name)
		if !ok {
			store.Topics.Put(tx, n.scope, n.name, t)
			return nil
		}
		for name, value := range t.Attributes {
			if old.Attributes[name] != value {
				return invalid("Attributes Reason: Topic already exists with different attributes")
			}
		}
		if len(t.Tags) > 0 && !maps.Equal(t.Tags, old.Tags) {
			return invalid("Tags Reason: Topic already exists with different tags")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateTopicResponse{TopicArn: wire.Some(n.arn())}, nil
}

func isTopicName(name string) bool {
	name = strings.TrimSuffix(name, ".fifo")
	return name != "" && len(name) <= maxTopicName && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// checkTopicAttribute refuses attributes that do not exist, have a wrong value, or would do
// nothing.
func checkTopicAttribute(n topicName, name, value string, creating bool) error {
	ok := true
	switch name {
	case "DisplayName":
		ok = len(value) <= 100
	case "Policy":
		ok = json.Valid([]byte(value))
	case "DeliveryPolicy":
		if _, err := parseDelivery(value); err != nil {
			return invalid("DeliveryPolicy: %s", err)
		}
	case "FifoTopic":
		ok = creating && value == strconv.FormatBool(n.isFIFO())
	case "ContentBasedDeduplication":
		ok = n.isFIFO() && isBool(value)
	case "SignatureVersion":
		ok = value == "1" || value == "2"
	case "FifoThroughputScope":
		ok = n.isFIFO() && (value == "Topic" || value == "MessageGroup")
	case "TracingConfig":
		if value == "Active" {
			return invalid("weir does not support the TracingConfig Active")
		}
		ok = value == "PassThrough"
	case "KmsMasterKeyId", "ArchivePolicy":
		if value != "" {
			return invalid("weir does not support the attribute %s", name)
		}
	default:
		if strings.HasSuffix(name, "FeedbackRoleArn") || strings.HasSuffix(name, "FeedbackSampleRate") {
			return invalid("weir does not support the attribute %s", name)
		}
		return invalid("AttributeName")
	}
	if !ok {
		return invalid("Attributes Reason: %s", name)
	}
	return nil
}

func isBool(value string) bool { return value == "true" || value == "false" }

// DeleteTopic removes a topic and its subscriptions, if it exists.
func (s *Service) DeleteTopic(c *wire.Call, in *api.DeleteTopicInput) error {
	n, ok := parseTopic(in.TopicArn.V)
	if !ok || n.scope != c.Scope {
		return invalid("TopicArn")
	}
	err := s.update(func(tx *store.Tx) error {
		store.Topics.Delete(tx, n.scope, n.name)
		eachSubscription(tx, n, func(name string, _ *store.Subscription) bool {
			store.Subscriptions.Delete(tx, n.scope, name)
			return true
		})
		return nil
	})
	if err == nil {
		s.meter.forget(n)
	}
	return err
}

// ListTopics answers the topics in the order of their names.
func (s *Service) ListTopics(c *wire.Call, in *api.ListTopicsInput) (*api.ListTopicsResponse, error) {
	p, err := newPage(in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &api.ListTopicsResponse{Topics: []api.Topic{}}
	store.Topics.Scan(s.snapshot(), c.Scope, p.After, func(name string, _ *store.Topic) bool {
		if !p.Take(name) {
			return false
		}
		out.Topics = append(out.Topics, api.Topic{TopicArn: wire.Some(topicName{c.Scope, name}.arn())})
		return true
	})
	out.NextToken = p.Token()
	return out, nil
}

// GetTopicAttributes answers the attributes of a topic, and counts its subscriptions.
func (s *Service) GetTopicAttributes(c *wire.Call, in *api.GetTopicAttributesInput) (*api.GetTopicAttributesResponse, error) {
	r := s.snapshot()
	n, t, err := topic(c, r, in.TopicArn.V)
	if err != nil {
		return nil, err
	}
	confirmed, pending := 0, 0
	eachSubscription(r, n, func(_ string, sub *store.Subscription) bool {
		if sub.Confirmed {
			confirmed++
		} else {
			pending++
		}
		return true
	})
	effective, err := effectivePolicy(t.Attributes["DeliveryPolicy"])
	if err != nil {
		return nil, err
	}
	a := map[string]string{
		"TopicArn": n.arn(), "Owner": n.scope.Account, "DisplayName": "", "Policy": defaultPolicy(n),
		"SubscriptionsConfirmed": strconv.Itoa(confirmed), "SubscriptionsPending": strconv.Itoa(pending), "SubscriptionsDeleted": "0",
		"EffectiveDeliveryPolicy": effective,
	}
	if n.isFIFO() {
		a["ContentBasedDeduplication"], a["FifoThroughputScope"] = "false", "Topic"
	}
	maps.Copy(a, t.Attributes)
	return &api.GetTopicAttributesResponse{Attributes: a}, nil
}

// SetTopicAttributes sets one attribute.
func (s *Service) SetTopicAttributes(c *wire.Call, in *api.SetTopicAttributesInput) error {
	return s.update(func(tx *store.Tx) error {
		n, old, err := topic(c, tx, in.TopicArn.V)
		if err != nil {
			return err
		}
		if err := checkTopicAttribute(n, in.AttributeName.V, in.AttributeValue.V, false); err != nil {
			return err
		}
		t := copyTopic(old)
		t.Attributes[in.AttributeName.V] = in.AttributeValue.V
		store.Topics.Put(tx, n.scope, n.name, t)
		return nil
	})
}

func copyTopic(old *store.Topic) *store.Topic {
	t := *old
	t.Attributes, t.Tags = maps.Clone(old.Attributes), maps.Clone(old.Tags)
	if t.Attributes == nil {
		t.Attributes = map[string]string{}
	}
	return &t
}

func tagged(c *wire.Call, r store.Reader, arn string) (topicName, *store.Topic, error) {
	n, t, err := topic(c, r, arn)
	if err != nil {
		return n, nil, lookup("ResourceNotFoundException", "Resource does not exist")
	}
	return n, t, nil
}

// TagResource adds tags to a topic.
func (s *Service) TagResource(c *wire.Call, in *api.TagResourceRequest) (*api.TagResourceResponse, error) {
	return &api.TagResourceResponse{}, s.update(func(tx *store.Tx) error {
		n, old, err := tagged(c, tx, in.ResourceArn.V)
		if err != nil {
			return err
		}
		t := copyTopic(old)
		if t.Tags, err = addTags(t.Tags, in.Tags); err != nil {
			return err
		}
		store.Topics.Put(tx, n.scope, n.name, t)
		return nil
	})
}

// UntagResource removes tags from a topic.
func (s *Service) UntagResource(c *wire.Call, in *api.UntagResourceRequest) (*api.UntagResourceResponse, error) {
	return &api.UntagResourceResponse{}, s.update(func(tx *store.Tx) error {
		n, old, err := tagged(c, tx, in.ResourceArn.V)
		if err != nil {
			return err
		}
		t := copyTopic(old)
		for _, key := range in.TagKeys {
			delete(t.Tags, key)
		}
		store.Topics.Put(tx, n.scope, n.name, t)
		return nil
	})
}

// ListTagsForResource answers a topic's tags.
func (s *Service) ListTagsForResource(c *wire.Call, in *api.ListTagsForResourceRequest) (*api.ListTagsForResourceResponse, error) {
	_, t, err := tagged(c, s.snapshot(), in.ResourceArn.V)
	if err != nil {
		return nil, err
	}
	out := &api.ListTagsForResourceResponse{Tags: []api.Tag{}}
	for _, key := range slices.Sorted(maps.Keys(t.Tags)) {
		out.Tags = append(out.Tags, api.Tag{Key: wire.Some(key), Value: wire.Some(t.Tags[key])})
	}
	return out, nil
}

func addTags(tags map[string]string, added []api.Tag) (map[string]string, error) {
	seen := make(map[string]bool, len(added))
	for _, tag := range added {
		if seen[tag.Key.V] {
			return nil, invalid("Duplicated keys are not allowed.")
		}
		seen[tag.Key.V] = true
		if tags == nil {
			tags = make(map[string]string)
		}
		tags[tag.Key.V] = tag.Value.V
	}
	if len(tags) > maxTags {
		return nil, lookup("TagLimitExceededException", "Could not complete request: tag quota of per resource exceeded")
	}
	return tags, nil
}
