//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// A clerk changes queues, topics, subscriptions, event source mappings and the configuration of
// asynchronous invocation, one call after the other, and keeps account of what was acknowledged.
type clerk struct {
	*tenant
	random  *rand.Rand
	made    int               // things made so far, which numbers them
	acked   map[string]string // what every acknowledged call made: a description by name
	pending map[string]string // what the call in progress makes, if it is done
	ids     map[string]string // of mappings and subscriptions, by name
	done    map[string]int
}

// An errand is a call of a clerk: it says what will be, and does it. One that makes no sense as
// things are returns nil.
type errand struct {
	name string
	plan func(c *clerk, w map[string]string) func(context.Context) error
}

var errands = []errand{
	{"create queue", (*clerk).createQueue},
	{"change queue", (*clerk).changeQueue},
	{"delete queue", (*clerk).deleteQueue},
	{"create topic", (*clerk).createTopic},
	{"delete topic", (*clerk).deleteTopic},
	{"subscribe", (*clerk).subscribe},
	{"unsubscribe", (*clerk).unsubscribe},
	{"create mapping", (*clerk).createMapping},
	{"update mapping", (*clerk).updateMapping},
	{"delete mapping", (*clerk).deleteMapping},
	{"put configuration", (*clerk).putConfig},
	{"delete configuration", (*clerk).deleteConfig},
}

const mostOfEach = 4 // queues, topics, mappings at the same time

// The fixed parts of the clerk's world: a function, which the mappings are of, and the queue
// that the topics lead to.
const (
	clerksFunction = "clerks"
	clerksSink     = "clerks-sink"
)

func (c *clerk) build(t *testing.T) {
	t.Helper()
	c.acked, c.pending = map[string]string{}, map[string]string{}
	c.ids, c.done = map[string]string{}, map[string]int{}
	c.create(t, function{name: clerksFunction, language: golang, code: program(t, "light"), timeout: 1})
	c.queue(t, clerksSink, nil)
}

// work runs errands until a call is not answered: the server is gone. An answer that refuses is
// an error.
func (c *clerk) work(ctx context.Context) error {
	for {
		e := errands[c.random.IntN(len(errands))]
		next := maps.Clone(c.acked)
		call := e.plan(c, next)
		if call == nil {
			continue
		}
		c.pending = next
		err := call(ctx)
		if err == nil {
			c.acked = next
			c.done[e.name]++
			err = c.settled(ctx)
		}
		switch {
		case code(err) != "":
			return fmt.Errorf("%s: %w", e.name, err)
		case err != nil:
			return nil
		}
	}
}

// settled waits until no mapping is changing, which would be in the way of the next change.
func (c *clerk) settled(ctx context.Context) error {
	for {
		list, err := c.ListEventSourceMappings(ctx, &lambda.ListEventSourceMappingsInput{FunctionName: aws.String(clerksFunction)})
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(list.EventSourceMappings, func(m types.EventSourceMappingConfiguration) bool { return *m.State != "Enabled" }) {
			return nil
		}
	}
}

// name is a name that was not used before.
func (c *clerk) name(kind string) string {
	c.made++
	return fmt.Sprint(kind, "-", c.made)
}

// pick is something of a kind that there is, or "".
func (c *clerk) pick(w map[string]string, kind string) string {
	names := names(w, kind)
	if len(names) == 0 {
		return ""
	}
	return names[c.random.IntN(len(names))]
}

func names(w map[string]string, kind string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(w)), func(name string) bool { return !strings.HasPrefix(name, kind+"-") })
}

func (c *clerk) seconds() string { return fmt.Sprint(1 + c.random.IntN(1000)) }

func (c *clerk) createQueue(w map[string]string) func(context.Context) error {
	if len(names(w, "queue")) >= mostOfEach {
		return nil
	}
	name, seconds := c.name("queue"), c.seconds()
	w[name] = seconds
	return func(ctx context.Context) error {
		_, err := c.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes{"VisibilityTimeout": seconds}})
		return err
	}
}

func (c *clerk) changeQueue(w map[string]string) func(context.Context) error {
	name := c.pick(w, "queue")
	if name == "" {
		return nil
	}
	w[name] = c.seconds()
	return func(ctx context.Context) error {
		_, err := c.sqs.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{QueueUrl: c.url(name), Attributes: attributes{"VisibilityTimeout": w[name]}})
		return err
	}
}

func (c *clerk) deleteQueue(w map[string]string) func(context.Context) error {
	name := c.pick(w, "queue")
	if name == "" || w["mapping-of-"+name] != "" {
		return nil
	}
	delete(w, name)
	return func(ctx context.Context) error {
		_, err := c.sqs.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: c.url(name)})
		return err
	}
}

func (c *clerk) createTopic(w map[string]string) func(context.Context) error {
	if len(names(w, "topic")) >= mostOfEach {
		return nil
	}
	name := c.name("topic")
	w[name] = "a topic"
	return func(ctx context.Context) error {
		_, err := c.sns.CreateTopic(ctx, &sns.CreateTopicInput{Name: &name})
		return err
	}
}

func (c *clerk) deleteTopic(w map[string]string) func(context.Context) error {
	name := c.pick(w, "topic")
	if name == "" || w["subscription-of-"+name] != "" {
		return nil
	}
	delete(w, name)
	return func(ctx context.Context) error {
		_, err := c.sns.DeleteTopic(ctx, &sns.DeleteTopicInput{TopicArn: aws.String(c.arn("sns", name))})
		return err
	}
}

func (c *clerk) subscribe(w map[string]string) func(context.Context) error {
	topic := c.pick(w, "topic")
	name, sink := "subscription-of-"+topic, c.arn("sqs", clerksSink)
	if topic == "" || w[name] != "" {
		return nil
	}
	w[name] = "sqs " + sink
	return func(ctx context.Context) error {
		_, err := c.sns.Subscribe(ctx, &sns.SubscribeInput{TopicArn: aws.String(c.arn("sns", topic)), Protocol: aws.String("sqs"), Endpoint: &sink})
		if err != nil {
			return err
		}
		return c.learn(ctx)
	}
}

func (c *clerk) unsubscribe(w map[string]string) func(context.Context) error {
	name := c.pick(w, "subscription")
	if name == "" {
		return nil
	}
	delete(w, name)
	return func(ctx context.Context) error {
		_, err := c.sns.Unsubscribe(ctx, &sns.UnsubscribeInput{SubscriptionArn: aws.String(c.ids[name])})
		return err
	}
}

func (c *clerk) createMapping(w map[string]string) func(context.Context) error {
	queue := c.pick(w, "queue")
	name := "mapping-of-" + queue
	if queue == "" || w[name] != "" {
		return nil
	}
	size := 1 + c.random.Int32N(10)
	w[name] = fmt.Sprint(size)
	return func(ctx context.Context) error {
		_, err := c.CreateEventSourceMapping(ctx, &lambda.CreateEventSourceMappingInput{
			FunctionName: aws.String(clerksFunction), EventSourceArn: aws.String(c.arn("sqs", queue)), BatchSize: &size,
		})
		if err != nil {
			return err
		}
		return c.learn(ctx)
	}
}

func (c *clerk) updateMapping(w map[string]string) func(context.Context) error {
	name := c.pick(w, "mapping")
	if name == "" {
		return nil
	}
	size := 1 + c.random.Int32N(10)
	w[name] = fmt.Sprint(size)
	return func(ctx context.Context) error {
		_, err := c.UpdateEventSourceMapping(ctx, &lambda.UpdateEventSourceMappingInput{UUID: aws.String(c.ids[name]), BatchSize: &size})
		return err
	}
}

func (c *clerk) deleteMapping(w map[string]string) func(context.Context) error {
	name := c.pick(w, "mapping")
	if name == "" {
		return nil
	}
	delete(w, name)
	return func(ctx context.Context) error {
		_, err := c.DeleteEventSourceMapping(ctx, &lambda.DeleteEventSourceMappingInput{UUID: aws.String(c.ids[name])})
		return err
	}
}

func (c *clerk) putConfig(w map[string]string) func(context.Context) error {
	age := 60 + c.random.Int32N(1000)
	w["configuration"] = fmt.Sprint(age)
	return func(ctx context.Context) error {
		_, err := c.PutFunctionEventInvokeConfig(ctx, &lambda.PutFunctionEventInvokeConfigInput{FunctionName: aws.String(clerksFunction), MaximumEventAgeInSeconds: &age})
		return err
	}
}

func (c *clerk) deleteConfig(w map[string]string) func(context.Context) error {
	if w["configuration"] == "" {
		return nil
	}
	delete(w, "configuration")
	return func(ctx context.Context) error {
		_, err := c.DeleteFunctionEventInvokeConfig(ctx, &lambda.DeleteFunctionEventInvokeConfigInput{FunctionName: aws.String(clerksFunction)})
		return err
	}
}

// learn notes the ids that the server gave.
func (c *clerk) learn(ctx context.Context) error {
	_, err := c.observe(ctx)
	return err
}

// observe reads the clerk's world as the server has it.
func (c *clerk) observe(ctx context.Context) (map[string]string, error) {
	w := make(map[string]string)
	for _, look := range []func(context.Context, map[string]string) error{c.observeQueues, c.observeTopics, c.observeMappings, c.observeConfig} {
		if err := look(ctx, w); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (c *clerk) observeQueues(ctx context.Context, w map[string]string) error {
	list, err := c.sqs.ListQueues(ctx, &sqs.ListQueuesInput{QueueNamePrefix: aws.String("queue-")})
	if err != nil {
		return err
	}
	for _, url := range list.QueueUrls {
		out, err := c.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{"VisibilityTimeout"}})
		if err != nil {
			return err
		}
		w[url[strings.LastIndex(url, "/")+1:]] = out.Attributes["VisibilityTimeout"]
	}
	return nil
}

func (c *clerk) observeTopics(ctx context.Context, w map[string]string) error {
	topics, err := c.sns.ListTopics(ctx, &sns.ListTopicsInput{})
	if err != nil {
		return err
	}
	for _, t := range topics.Topics {
		if name, ok := strings.CutPrefix(*t.TopicArn, c.arn("sns", "")); ok && strings.HasPrefix(name, "topic-") {
			w[name] = "a topic"
		}
	}
	subscriptions, err := c.sns.ListSubscriptions(ctx, &sns.ListSubscriptionsInput{})
	if err != nil {
		return err
	}
	for _, s := range subscriptions.Subscriptions {
		if topic, ok := strings.CutPrefix(*s.TopicArn, c.arn("sns", "")); ok && strings.HasPrefix(topic, "topic-") {
			w["subscription-of-"+topic] = *s.Protocol + " " + *s.Endpoint
			c.ids["subscription-of-"+topic] = *s.SubscriptionArn
		}
	}
	return nil
}

func (c *clerk) observeMappings(ctx context.Context, w map[string]string) error {
	list, err := c.ListEventSourceMappings(ctx, &lambda.ListEventSourceMappingsInput{FunctionName: aws.String(clerksFunction)})
	if err != nil {
		return err
	}
	for _, m := range list.EventSourceMappings {
		if *m.State == "Deleting" {
			continue
		}
		name := "mapping-of-" + strings.TrimPrefix(*m.EventSourceArn, c.arn("sqs", ""))
		w[name] = fmt.Sprint(*m.BatchSize)
		c.ids[name] = *m.UUID
	}
	return nil
}

func (c *clerk) observeConfig(ctx context.Context, w map[string]string) error {
	out, err := c.GetFunctionEventInvokeConfig(ctx, &lambda.GetFunctionEventInvokeConfigInput{FunctionName: aws.String(clerksFunction)})
	switch {
	case code(err) == "ResourceNotFoundException":
		return nil
	case err != nil:
		return err
	}
	w["configuration"] = fmt.Sprint(*out.MaximumEventAgeInSeconds)
	return nil
}

// verify compares what the server has with what it acknowledged. The call that was not answered
// may have been done or not.
func (c *clerk) verify(t *testing.T) {
	t.Helper()
	got, err := c.observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got, c.acked) && !maps.Equal(got, c.pending) {
		t.Fatalf("there is\n\t%v\nacknowledged was\n\t%v\nthe last call would have made\n\t%v", got, c.acked, c.pending)
	}
	c.acked, c.pending = got, got
	if err := c.settled(t.Context()); err != nil {
		t.Fatal(err)
	}
}
