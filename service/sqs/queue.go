package sqs

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	api "github.com/weir-run/weir/aws/sqs"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// CreateQueue makes a queue. One that exists with the same attributes is fine.
func (s *Service) CreateQueue(c *wire.Call, in *api.CreateQueueRequest) (*api.CreateQueueResult, error) {
	if err := checkKnown(c); err != nil {
		return nil, err
	}
	name := in.QueueName.V
	if name == "" {
		return nil, missing("QueueName")
	}
	config, err := s.newConfig(c.Scope, name, in)
	if err != nil {
		return nil, err
	}
	flag(c, in.Attributes)
	q, ok := s.opt.Queues.Get(c.Scope, name)
	if !ok {
		if err := s.checkDeleted(queueID{c.Scope, name}); err != nil {
			return nil, err
		}
		// It happens even if the client goes away meanwhile.
		q, err = s.opt.Queues.Create(context.Background(), c.Scope, name, *config)
		if err == nil {
			return &api.CreateQueueResult{QueueUrl: wire.Some(queueURL(c, q))}, nil
		}
		if !errors.Is(err, store.ErrQueueExists) {
			return nil, err
		}
		if q, ok = s.opt.Queues.Get(c.Scope, name); !ok {
			return nil, err
		}
	}
	for _, a := range settable {
		given, ok := in.Attributes[a.name]
		if ok && given != effective(q.Config(), a.name) {
			return nil, lambda.Errorf("QueueNameExists", "A queue already exists with the same name and a different value for attribute %s", a.name)
		}
	}
	return &api.CreateQueueResult{QueueUrl: wire.Some(queueURL(c, q))}, nil
}

// newConfig returns the record of a queue to be made.
func (s *Service) newConfig(scope lambda.Scope, name string, in *api.CreateQueueRequest) (*store.QueueConfig, error) {
	ok, suffixed := isQueueName(name)
	fifo := in.Attributes["FifoQueue"] == "true"
	switch {
	case fifo && (!ok || !suffixed):
		return nil, invalid("The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length")
	case !ok || suffixed && !fifo:
		return nil, invalid("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	if err := checkAttributes(in.Attributes, fifo); err != nil {
		return nil, err
	}
	if len(in.Tags) > maxTags {
		return nil, tooManyTags(name)
	}
	config := &store.QueueConfig{FIFO: fifo, Tags: in.Tags}
	if err := configure(config, in.Attributes); err != nil {
		return nil, err
	}
	if err := checkAllowPolicy(in.Attributes["RedriveAllowPolicy"]); err != nil {
		return nil, err
	}
	return config, s.setRedrive(config, scope, name, in.Attributes["RedrivePolicy"])
}

func (s *Service) checkDeleted(id queueID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.mu.deleted[id]; ok && within(at, time.Now()) {
		return lambda.Errorf("QueueDeletedRecently", "You must wait 60 seconds after deleting a queue before you can create another with the same name.")
	}
	return nil
}

// flag tells the client which attributes are kept and have no effect.
func flag(c *wire.Call, attributes map[string]string) {
	var ignored []string
	for _, name := range []string{"KmsMasterKeyId", "Policy"} {
		if attributes[name] != "" {
			ignored = append(ignored, name)
		}
	}
	if ignored != nil {
		c.Header().Set("X-Weir-Ignored", strings.Join(ignored, ", "))
	}
}

// DeleteQueue deletes a queue and its messages.
func (s *Service) DeleteQueue(c *wire.Call, in *api.DeleteQueueRequest) error {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return err
	}
	if err := s.opt.Queues.Delete(context.Background(), q); err != nil {
		return visible(err)
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	forget(s.mu.deleted, now)
	s.mu.deleted[idOf(q)] = now
	delete(s.mu.purged, idOf(q))
	return nil
}

// PurgeQueue deletes the messages of a queue, once a minute at most.
func (s *Service) PurgeQueue(c *wire.Call, in *api.PurgeQueueRequest) error {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return err
	}
	now := time.Now()
	s.mu.Lock()
	forget(s.mu.purged, now)
	_, lately := s.mu.purged[idOf(q)]
	if !lately {
		s.mu.purged[idOf(q)] = now
	}
	s.mu.Unlock()
	if lately {
		return lambda.Errorf("PurgeQueueInProgress", "Only one PurgeQueue operation on %s is allowed every 60 seconds.", q.Name)
	}
	return visible(q.Purge(context.Background()))
}

// GetQueueUrl answers the URL of a queue.
func (s *Service) GetQueueUrl(c *wire.Call, in *api.GetQueueUrlRequest) (*api.GetQueueUrlResult, error) {
	if err := checkKnown(c); err != nil {
		return nil, err
	}
	if in.QueueName.V == "" {
		return nil, missing("QueueName")
	}
	scope := c.Scope
	if in.QueueOwnerAWSAccountId.OK && in.QueueOwnerAWSAccountId.V != scope.Account {
		scope.Account = in.QueueOwnerAWSAccountId.V
		return nil, denied(scope.ARN("sqs", in.QueueName.V))
	}
	q, ok := s.opt.Queues.Get(scope, in.QueueName.V)
	if !ok {
		return nil, noQueue()
	}
	return &api.GetQueueUrlResult{QueueUrl: wire.Some(queueURL(c, q))}, nil
}

// GetQueueAttributes answers attributes of a queue.
func (s *Service) GetQueueAttributes(c *wire.Call, in *api.GetQueueAttributesRequest) (*api.GetQueueAttributesResult, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	attributes, err := read(q, in.AttributeNames)
	if err != nil {
		return nil, err
	}
	if len(attributes) == 0 {
		attributes = nil
	}
	return &api.GetQueueAttributesResult{Attributes: attributes}, nil
}

// SetQueueAttributes changes attributes of a queue.
func (s *Service) SetQueueAttributes(c *wire.Call, in *api.SetQueueAttributesRequest) error {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return err
	}
	if len(in.Attributes) == 0 {
		return missing("Attribute.Name")
	}
	if err := checkAttributes(in.Attributes, q.Config().FIFO); err != nil {
		return err
	}
	if v, ok := in.Attributes["FifoQueue"]; ok && v != "true" {
		return lambda.Errorf("InvalidAttributeValue", "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.")
	}
	if err := checkAllowPolicy(in.Attributes["RedriveAllowPolicy"]); err != nil {
		return err
	}
	flag(c, in.Attributes)
	return visible(s.opt.Queues.Update(context.Background(), q, func(config *store.QueueConfig) error {
		if err := configure(config, in.Attributes); err != nil {
			return err
		}
		if policy, ok := in.Attributes["RedrivePolicy"]; ok {
			return s.setRedrive(config, q.Scope, q.Name, policy)
		}
		return nil
	}))
}

const maxPage = 1000 // queues of one answer

func newPage(max wire.Opt[int32], token wire.Opt[string]) (*wire.Page, error) {
	if max.OK && (max.V < 1 || max.V > maxPage) {
		return nil, invalidValue(max.V, "MaxResults", "MaxResults must be between 1 and 1000.")
	}
	p, ok := wire.NewPage(token, int(max.Or(maxPage)))
	if !ok {
		return nil, invalidValue(token.V, "NextToken", "Invalid or expired next token.")
	}
	return p, nil
}

// ListQueues answers the URLs of queues.
func (s *Service) ListQueues(c *wire.Call, in *api.ListQueuesRequest) (*api.ListQueuesResult, error) {
	if err := checkKnown(c); err != nil {
		return nil, err
	}
	urls, next, err := s.list(c, in.QueueNamePrefix.V, in.MaxResults, in.NextToken, func(*store.Queue) bool { return true })
	if err != nil {
		return nil, err
	}
	return &api.ListQueuesResult{QueueUrls: urls, NextToken: next}, nil
}

// ListDeadLetterSourceQueues answers the URLs of the queues that a queue is the dead-letter
// queue of.
func (s *Service) ListDeadLetterSourceQueues(c *wire.Call, in *api.ListDeadLetterSourceQueuesRequest) (*api.ListDeadLetterSourceQueuesResult, error) {
	dead, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	urls, next, err := s.list(c, "", in.MaxResults, in.NextToken, func(q *store.Queue) bool { return q.Config().DeadLetter == dead.Name })
	if err != nil {
		return nil, err
	}
	// It is there even if it is empty, unlike that of ListQueues.
	return &api.ListDeadLetterSourceQueuesResult{QueueUrls: append([]string{}, urls...), NextToken: next}, nil
}

// list returns a page of the URLs of the queues that are wanted. As on AWS there is a next page
// only for those who ask for pages.
func (s *Service) list(c *wire.Call, prefix string, most wire.Opt[int32], token wire.Opt[string], wanted func(*store.Queue) bool) (urls []string, next wire.Opt[string], err error) {
	p, err := newPage(most, token)
	if err != nil {
		return nil, next, err
	}
	s.opt.Queues.List(c.Scope, prefix, p.After, func(q *store.Queue) bool {
		if !wanted(q) {
			return true
		}
		if !p.Take(q.Name) {
			return false
		}
		urls = append(urls, queueURL(c, q))
		return true
	})
	if most.OK {
		next = p.Token()
	}
	return urls, next, nil
}

const maxTags = 50 // of a queue

func tooManyTags(queue string) error { return invalid("Too many tags added for queue %s.", queue) }

// TagQueue adds tags to a queue.
func (s *Service) TagQueue(c *wire.Call, in *api.TagQueueRequest) error {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return err
	}
	if len(in.Tags) == 0 {
		return missing("Tags")
	}
	return s.changeTags(q, func(tags map[string]string) { maps.Copy(tags, in.Tags) })
}

// UntagQueue removes tags from a queue.
func (s *Service) UntagQueue(c *wire.Call, in *api.UntagQueueRequest) error {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return err
	}
	if len(in.TagKeys) == 0 {
		return invalid("Tag keys can't be null or empty")
	}
	return s.changeTags(q, func(tags map[string]string) {
		for _, key := range in.TagKeys {
			delete(tags, key)
		}
	})
}

func (s *Service) changeTags(q *store.Queue, change func(map[string]string)) error {
	return visible(s.opt.Queues.Update(context.Background(), q, func(c *store.QueueConfig) error {
		tags := make(map[string]string, len(c.Tags))
		maps.Copy(tags, c.Tags)
		change(tags)
		if len(tags) > maxTags {
			return tooManyTags(q.Name)
		}
		c.Tags = tags
		return nil
	}))
}

// ListQueueTags answers the tags of a queue.
func (s *Service) ListQueueTags(c *wire.Call, in *api.ListQueueTagsRequest) (*api.ListQueueTagsResult, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	out := &api.ListQueueTagsResult{}
	if tags := q.Config().Tags; len(tags) > 0 {
		out.Tags = tags
	}
	return out, nil
}
