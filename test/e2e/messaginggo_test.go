//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// TestMessagingGo calls every operation by aws-sdk-go-v2.
func TestMessagingGo(t *testing.T) {
	t.Parallel()
	g := &messagingGo{tenant: newMessaging(t), ctx: t.Context(), t: t}
	g.queues()
	g.messages()
	g.moves()
	g.topics()
	g.publishes()
	g.asynchronous()
	g.mappings()
	if got := g.out.String(); strings.TrimSpace(got) != strings.TrimSpace(messaging) {
		t.Errorf("got\n%s\nwant\n%s", got, messaging)
	}
}

type messagingGo struct {
	*tenant
	ctx         context.Context
	t           *testing.T
	out         strings.Builder
	work, topic *string // URL and ARN
	sub         *string // ARN
}

func (g *messagingGo) say(words ...any) { fmt.Fprintln(&g.out, words...) }

// must ends the test if a call failed.
func must[T any](g *messagingGo, out T, err error) T {
	g.t.Helper()
	if err != nil {
		g.t.Fatalf("%v, after\n%s", err, g.out.String())
	}
	return out
}

func last(s *string, separator string) string { return (*s)[strings.LastIndex(*s, separator)+1:] }

func sid(policy string) string {
	if strings.Contains(policy, `"Sid":"all"`) {
		return `"Sid":"all"`
	}
	return policy
}

// until waits until a function returns what is wanted, and returns what it did in the end.
func (g *messagingGo) until(want string, f func() string) (got string) {
	_ = poll(patience, func() error { // what it is in the end is compared
		if got = f(); got != want {
			return fmt.Errorf("got %s", got)
		}
		return nil
	})
	return got
}

func (g *messagingGo) attribute(name sqstypes.QueueAttributeName) string {
	out, err := g.sqs.GetQueueAttributes(g.ctx, &sqs.GetQueueAttributesInput{QueueUrl: g.work, AttributeNames: []sqstypes.QueueAttributeName{name}})
	return must(g, out, err).Attributes[string(name)]
}

func (g *messagingGo) count() string { return g.attribute("ApproximateNumberOfMessages") }

func (g *messagingGo) queues() {
	work, err := g.sqs.CreateQueue(g.ctx, &sqs.CreateQueueInput{QueueName: aws.String("work"), Attributes: attributes{"VisibilityTimeout": "30"}})
	g.work = must(g, work, err).QueueUrl
	out, err := g.sqs.CreateQueue(g.ctx, &sqs.CreateQueueInput{QueueName: aws.String("dead")})
	dead := must(g, out, err).QueueUrl
	g.say("queues", last(g.work, "/"), last(dead, "/"))
	url, err := g.sqs.GetQueueUrl(g.ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("work")})
	if *must(g, url, err).QueueUrl == *g.work {
		g.say("url is the same")
	}
	list, err := g.sqs.ListQueues(g.ctx, &sqs.ListQueuesInput{})
	g.say("listed", len(must(g, list, err).QueueUrls))
	_, err = g.sqs.SetQueueAttributes(g.ctx, &sqs.SetQueueAttributesInput{QueueUrl: g.work, Attributes: attributes{"VisibilityTimeout": "45", "RedrivePolicy": g.redrive("dead", 5)}})
	must(g, 0, err)
	g.say("visibility", g.attribute("VisibilityTimeout"))
	sources, err := g.sqs.ListDeadLetterSourceQueues(g.ctx, &sqs.ListDeadLetterSourceQueuesInput{QueueUrl: dead})
	g.say("source", last(&must(g, sources, err).QueueUrls[0], "/"))
	tag := func() {
		tags, err := g.sqs.ListQueueTags(g.ctx, &sqs.ListQueueTagsInput{QueueUrl: g.work})
		value, ok := must(g, tags, err).Tags["team"]
		if !ok {
			value = "None"
		}
		g.say("tag", value)
	}
	_, err = g.sqs.TagQueue(g.ctx, &sqs.TagQueueInput{QueueUrl: g.work, Tags: map[string]string{"team": "blue"}})
	must(g, 0, err)
	tag()
	_, err = g.sqs.UntagQueue(g.ctx, &sqs.UntagQueueInput{QueueUrl: g.work, TagKeys: []string{"team"}})
	must(g, 0, err)
	tag()
	_, err = g.sqs.AddPermission(g.ctx, &sqs.AddPermissionInput{QueueUrl: g.work, Label: aws.String("all"), AWSAccountIds: []string{"222222222222"}, Actions: []string{"SendMessage"}})
	must(g, 0, err)
	g.say("policy", sid(g.attribute("Policy")))
	_, err = g.sqs.RemovePermission(g.ctx, &sqs.RemovePermissionInput{QueueUrl: g.work, Label: aws.String("all")})
	must(g, 0, err)
}

func (g *messagingGo) receive() []*string {
	out, err := g.sqs.ReceiveMessage(g.ctx, &sqs.ReceiveMessageInput{QueueUrl: g.work, MaxNumberOfMessages: 10, WaitTimeSeconds: 2})
	var receipts []*string
	for _, m := range must(g, out, err).Messages {
		receipts = append(receipts, m.ReceiptHandle)
	}
	g.say("received", len(receipts))
	if len(receipts) == 0 {
		g.t.Fatal("there are no messages")
	}
	return receipts
}

func (g *messagingGo) messages() {
	sent, err := g.sqs.SendMessage(g.ctx, &sqs.SendMessageInput{
		QueueUrl: g.work, MessageBody: aws.String("one"),
		MessageAttributes: map[string]sqstypes.MessageAttributeValue{"color": {DataType: aws.String("String"), StringValue: aws.String("red")}},
	})
	must(g, sent, err)
	g.say("sent", *sent.MD5OfMessageBody, *sent.MD5OfMessageAttributes)
	must(g, 0, g.sendBatch(g.ctx, "work", []string{"two", "three"}))
	g.say("sent", 2)
	r := g.receive()
	_, err = g.sqs.ChangeMessageVisibility(g.ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: g.work, ReceiptHandle: r[0]})
	must(g, 0, err)
	visible := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: g.work}
	for i := range r[1:] {
		visible.Entries = append(visible.Entries, sqstypes.ChangeMessageVisibilityBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), ReceiptHandle: r[i+1]})
	}
	changed, err := g.sqs.ChangeMessageVisibilityBatch(g.ctx, visible)
	g.say("visible", len(must(g, changed, err).Successful))
	r = g.receive()
	_, err = g.sqs.DeleteMessage(g.ctx, &sqs.DeleteMessageInput{QueueUrl: g.work, ReceiptHandle: r[0]})
	must(g, 0, err)
	remove := &sqs.DeleteMessageBatchInput{QueueUrl: g.work}
	for i := range r[1:] {
		remove.Entries = append(remove.Entries, sqstypes.DeleteMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), ReceiptHandle: r[i+1]})
	}
	removed, err := g.sqs.DeleteMessageBatch(g.ctx, remove)
	g.say("deleted", len(must(g, removed, err).Successful))
}

func (g *messagingGo) moves() {
	must(g, 0, g.sendBatch(g.ctx, "dead", []string{"moved"}))
	dead := aws.String(g.arn("sqs", "dead"))
	_, err := g.sqs.StartMessageMoveTask(g.ctx, &sqs.StartMessageMoveTaskInput{SourceArn: dead, DestinationArn: aws.String(g.arn("sqs", "work"))})
	must(g, 0, err)
	g.say("moved", g.until("1", g.count))
	tasks, err := g.sqs.ListMessageMoveTasks(g.ctx, &sqs.ListMessageMoveTasksInput{SourceArn: dead})
	g.say("tasks", len(must(g, tasks, err).Results))
	_, err = g.sqs.CancelMessageMoveTask(g.ctx, &sqs.CancelMessageMoveTaskInput{TaskHandle: aws.String("eyJ0YXNrSWQiOiJub25lIn0=")})
	g.say("cancel:", code(err))
	_, err = g.sqs.PurgeQueue(g.ctx, &sqs.PurgeQueueInput{QueueUrl: g.work})
	must(g, 0, err)
	g.say("purged", g.until("0", g.count))
}

func (g *messagingGo) subscriptions() int {
	out, err := g.sns.ListSubscriptions(g.ctx, &sns.ListSubscriptionsInput{})
	return len(must(g, out, err).Subscriptions)
}

func (g *messagingGo) topics() {
	topic, err := g.sns.CreateTopic(g.ctx, &sns.CreateTopicInput{Name: aws.String("orders")})
	g.topic = must(g, topic, err).TopicArn
	list, err := g.sns.ListTopics(g.ctx, &sns.ListTopicsInput{})
	g.say("topic", last(g.topic, ":")+", listed", len(must(g, list, err).Topics))
	_, err = g.sns.SetTopicAttributes(g.ctx, &sns.SetTopicAttributesInput{TopicArn: g.topic, AttributeName: aws.String("DisplayName"), AttributeValue: aws.String("Orders")})
	must(g, 0, err)
	got, err := g.sns.GetTopicAttributes(g.ctx, &sns.GetTopicAttributesInput{TopicArn: g.topic})
	g.say("name", must(g, got, err).Attributes["DisplayName"])
	sub, err := g.sns.Subscribe(g.ctx, &sns.SubscribeInput{TopicArn: g.topic, Protocol: aws.String("sqs"), Endpoint: aws.String(g.arn("sqs", "work")), ReturnSubscriptionArn: true})
	g.sub = must(g, sub, err).SubscriptionArn
	_, err = g.sns.SetSubscriptionAttributes(g.ctx, &sns.SetSubscriptionAttributesInput{SubscriptionArn: g.sub, AttributeName: aws.String("RawMessageDelivery"), AttributeValue: aws.String("true")})
	must(g, 0, err)
	raw, err := g.sns.GetSubscriptionAttributes(g.ctx, &sns.GetSubscriptionAttributesInput{SubscriptionArn: g.sub})
	g.say("raw", must(g, raw, err).Attributes["RawMessageDelivery"])
	of, err := g.sns.ListSubscriptionsByTopic(g.ctx, &sns.ListSubscriptionsByTopicInput{TopicArn: g.topic})
	g.say("subscriptions", g.subscriptions(), len(must(g, of, err).Subscriptions))
	_, err = g.sns.ConfirmSubscription(g.ctx, &sns.ConfirmSubscriptionInput{TopicArn: g.topic, Token: aws.String("none")})
	// The SDK calls the exception by its shape, the others by the code on the wire.
	g.say("confirm:", strings.TrimSuffix(code(err), "Exception"))
}

func (g *messagingGo) publishes() {
	_, err := g.sns.Publish(g.ctx, &sns.PublishInput{TopicArn: g.topic, Message: aws.String("hello")})
	must(g, 0, err)
	g.say("published", g.until("1", g.count))
	batch, err := g.sns.PublishBatch(g.ctx, &sns.PublishBatchInput{TopicArn: g.topic, PublishBatchRequestEntries: []snstypes.PublishBatchRequestEntry{
		{Id: aws.String("a"), Message: aws.String("b")}, {Id: aws.String("c"), Message: aws.String("d")},
	}})
	g.say("published", len(must(g, batch, err).Successful))
	g.say("arrived", g.until("3", g.count))
	tags := func() {
		out, err := g.sns.ListTagsForResource(g.ctx, &sns.ListTagsForResourceInput{ResourceArn: g.topic})
		g.say("tags", len(must(g, out, err).Tags))
	}
	_, err = g.sns.TagResource(g.ctx, &sns.TagResourceInput{ResourceArn: g.topic, Tags: []snstypes.Tag{{Key: aws.String("team"), Value: aws.String("blue")}}})
	must(g, 0, err)
	tags()
	_, err = g.sns.UntagResource(g.ctx, &sns.UntagResourceInput{ResourceArn: g.topic, TagKeys: []string{"team"}})
	must(g, 0, err)
	tags()
	_, err = g.sns.AddPermission(g.ctx, &sns.AddPermissionInput{TopicArn: g.topic, Label: aws.String("all"), AWSAccountId: []string{"222222222222"}, ActionName: []string{"Publish"}})
	must(g, 0, err)
	got, err := g.sns.GetTopicAttributes(g.ctx, &sns.GetTopicAttributesInput{TopicArn: g.topic})
	g.say("policy", sid(must(g, got, err).Attributes["Policy"]))
	_, err = g.sns.RemovePermission(g.ctx, &sns.RemovePermissionInput{TopicArn: g.topic, Label: aws.String("all")})
	must(g, 0, err)
	_, err = g.sns.Unsubscribe(g.ctx, &sns.UnsubscribeInput{SubscriptionArn: g.sub})
	must(g, 0, err)
	g.say("subscriptions", g.subscriptions())
	_, err = g.sns.DeleteTopic(g.ctx, &sns.DeleteTopicInput{TopicArn: g.topic})
	must(g, 0, err)
	list, err := g.sns.ListTopics(g.ctx, &sns.ListTopicsInput{})
	g.say("topics", len(must(g, list, err).Topics))
}

func (g *messagingGo) asynchronous() {
	worker := aws.String("worker")
	put, err := g.PutFunctionEventInvokeConfig(g.ctx, &lambda.PutFunctionEventInvokeConfigInput{FunctionName: worker, MaximumRetryAttempts: aws.Int32(1)})
	g.say("retries", *must(g, put, err).MaximumRetryAttempts)
	update, err := g.UpdateFunctionEventInvokeConfig(g.ctx, &lambda.UpdateFunctionEventInvokeConfigInput{FunctionName: worker, MaximumEventAgeInSeconds: aws.Int32(120)})
	g.say("age", *must(g, update, err).MaximumEventAgeInSeconds)
	get, err := g.GetFunctionEventInvokeConfig(g.ctx, &lambda.GetFunctionEventInvokeConfigInput{FunctionName: worker})
	must(g, get, err)
	g.say("both", *get.MaximumRetryAttempts, *get.MaximumEventAgeInSeconds)
	list, err := g.ListFunctionEventInvokeConfigs(g.ctx, &lambda.ListFunctionEventInvokeConfigsInput{FunctionName: worker})
	g.say("configurations", len(must(g, list, err).FunctionEventInvokeConfigs))
	_, err = g.DeleteFunctionEventInvokeConfig(g.ctx, &lambda.DeleteFunctionEventInvokeConfigInput{FunctionName: worker})
	must(g, 0, err)
	_, err = g.GetFunctionEventInvokeConfig(g.ctx, &lambda.GetFunctionEventInvokeConfigInput{FunctionName: worker})
	g.say("configuration:", code(err))
	out, err := g.Invoke(g.ctx, &lambda.InvokeInput{FunctionName: worker, InvocationType: types.InvocationTypeEvent})
	g.say("event", must(g, out, err).StatusCode)
}

func (g *messagingGo) mappings() {
	worker := aws.String("worker")
	made, err := g.CreateEventSourceMapping(g.ctx, &lambda.CreateEventSourceMappingInput{FunctionName: worker, EventSourceArn: aws.String(g.arn("sqs", "work"))})
	id := must(g, made, err).UUID
	get := &lambda.GetEventSourceMappingInput{UUID: id}
	state := func() string {
		out, err := g.GetEventSourceMapping(g.ctx, get)
		return *must(g, out, err).State
	}
	g.say("mapping", *made.State, g.until("Enabled", state))
	g.say("drained", g.until("0", g.count))
	list, err := g.ListEventSourceMappings(g.ctx, &lambda.ListEventSourceMappingsInput{FunctionName: worker})
	g.say("mappings", len(must(g, list, err).EventSourceMappings))
	update, err := g.UpdateEventSourceMapping(g.ctx, &lambda.UpdateEventSourceMappingInput{UUID: id, BatchSize: aws.Int32(5)})
	must(g, update, err)
	g.say("updated", *update.State, *update.BatchSize, g.until("Enabled", state))
	remove, err := g.DeleteEventSourceMapping(g.ctx, &lambda.DeleteEventSourceMappingInput{UUID: id})
	g.say("deleted", *must(g, remove, err).State)
	const missing = "ResourceNotFoundException"
	g.say("mapping:", g.until(missing, func() string {
		_, err := g.GetEventSourceMapping(g.ctx, get)
		return code(err)
	}))
	_, err = g.sqs.DeleteQueue(g.ctx, &sqs.DeleteQueueInput{QueueUrl: g.work})
	must(g, 0, err)
	_, err = g.sqs.GetQueueUrl(g.ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("work")})
	g.say("gone:", code(err))
}
