//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// A load sends events and messages of all kinds to a server and keeps books of what is
// acknowledged.
type load struct {
	*tenant
	books  *books
	ledger ledger
}

// sinks are the queues in which the load ends, and the places that they are.
var sinks = map[string]string{
	"successes": inSuccesses, "failures": inFailures, "dead": inDead, "poison": inPoison, "fan": inFan,
}

// one of so many events and messages is one that fails.
const poisonEvery = 5

// build makes what the load needs: a function with destinations and a dead-letter queue, which
// a queue and a topic lead to, and a queue without a function.
func (l *load) build(t *testing.T) {
	t.Helper()
	for name := range sinks {
		l.queue(t, name, nil)
	}
	l.queue(t, "plain", attributes{"VisibilityTimeout": "0"})
	l.queue(t, "source", attributes{"VisibilityTimeout": "3", "RedrivePolicy": l.redrive("poison", 3)})
	l.keeper(t, function{name: "keeper", timeout: 3, variables: map[string]string{"PARTIAL": "1"}}, l.ledger)
	name := aws.String("keeper")
	if _, err := l.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: name, DeadLetterConfig: &types.DeadLetterConfig{TargetArn: aws.String(l.arn("sqs", "dead"))},
	}); err != nil {
		t.Fatal(err)
	}
	l.active(t, "keeper")
	if _, err := l.PutFunctionEventInvokeConfig(t.Context(), &lambda.PutFunctionEventInvokeConfigInput{
		FunctionName: name, MaximumRetryAttempts: aws.Int32(0), DestinationConfig: &types.DestinationConfig{
			OnSuccess: &types.OnSuccess{Destination: aws.String(l.arn("sqs", "successes"))},
			OnFailure: &types.OnFailure{Destination: aws.String(l.arn("sqs", "failures"))},
		},
	}); err != nil {
		t.Fatal(err)
	}
	l.mapping(t, lambda.CreateEventSourceMappingInput{
		FunctionName: name, EventSourceArn: aws.String(l.arn("sqs", "source")),
		FunctionResponseTypes: []types.FunctionResponseType{types.FunctionResponseTypeReportBatchItemFailures},
	})
	topic, err := l.sns.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("topic")})
	if err != nil {
		t.Fatal(err)
	}
	for protocol, endpoint := range map[string]string{"sqs": l.arn("sqs", "fan"), "lambda": l.functionARN("keeper")} {
		in := &sns.SubscribeInput{TopicArn: topic.TopicArn, Protocol: &protocol, Endpoint: &endpoint}
		if protocol == "sqs" {
			in.Attributes = attributes{"RawMessageDelivery": "true"}
		}
		if _, err := l.sns.Subscribe(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
}

// next is a parcel that nobody has sent.
func next(random *rand.Rand, kind string) parcel {
	return parcel{ID: fmt.Sprintf("%s-%016x", kind, random.Uint64()), Fail: random.IntN(poisonEvery) == 0}
}

// invoke sends an event. A failing one is not tried again and ends in the destination of
// failures and in the dead-letter queue.
func (l *load) invoke(ctx context.Context, random *rand.Rand) error {
	p := next(random, "event")
	_, err := l.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("keeper"), InvocationType: types.InvocationTypeEvent, Payload: []byte(p.String())})
	if err != nil {
		return err
	}
	l.books.owe(p.ID, inEvents)
	if p.Fail {
		l.books.owe(p.ID, inFailures)
		l.books.owe(p.ID, inDead)
	} else {
		l.books.owe(p.ID, inSuccesses, inFailures) // a machine that is busy may let it time out
	}
	return nil
}

// feed sends messages to the queue of the event source mapping. A message may end in the
// dead-letter queue because servers are killed; a failing one must.
func (l *load) feed(ctx context.Context, random *rand.Rand) error {
	parcels := make([]parcel, 1+random.IntN(10))
	var bodies []string
	for i := range parcels {
		parcels[i] = next(random, "message")
		bodies = append(bodies, parcels[i].String())
	}
	if err := l.sendBatch(ctx, "source", bodies); err != nil {
		return err
	}
	for _, p := range parcels {
		if p.Fail {
			l.books.owe(p.ID, inPoison)
		} else {
			l.books.owe(p.ID, inMessages, inPoison)
		}
	}
	return nil
}

// publish sends a message to the topic.
func (l *load) publish(ctx context.Context, random *rand.Rand) error {
	ps := make([]parcel, 1+random.IntN(3))
	in := &sns.PublishBatchInput{TopicArn: aws.String(l.arn("sns", "topic"))}
	for i := range ps {
		ps[i] = parcel{ID: next(random, "notice").ID}
		in.PublishBatchRequestEntries = append(in.PublishBatchRequestEntries, snstypes.PublishBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), Message: aws.String(ps[i].String())})
	}
	out, err := l.sns.PublishBatch(ctx, in)
	if err != nil {
		return err
	}
	if len(out.Successful) != len(ps) {
		return fmt.Errorf("of %d notifications %d were taken", len(ps), len(out.Successful))
	}
	for _, p := range ps {
		l.books.owe(p.ID, inFan)
		l.books.owe(p.ID, inNotices)
	}
	return nil
}

// queueUp sends to the plain queue, whose messages stay until they are deleted here.
func (l *load) queueUp(ctx context.Context, random *rand.Rand) error {
	p := next(random, "plain")
	if _, err := l.sqs.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: l.url("plain"), MessageBody: aws.String(p.String())}); err != nil {
		return err
	}
	l.books.owe(p.ID, inPlain, deleting)
	if random.IntN(2) == 0 {
		return nil
	}
	return l.unqueue(ctx)
}

// unqueue receives from the plain queue and deletes what it got.
func (l *load) unqueue(ctx context.Context) error {
	out, err := l.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: l.url("plain"), VisibilityTimeout: 2})
	if err != nil {
		return err
	}
	for _, m := range out.Messages {
		id, err := idOf(*m.Body)
		if err != nil {
			return err
		}
		l.books.see(inPlain, id)
		l.books.see(deleting, id)
		if _, err := l.sqs.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: l.url("plain"), ReceiptHandle: m.ReceiptHandle}); err != nil {
			return err
		}
		l.books.see(deleted, id)
	}
	return nil
}

// work does one kind of thing until a call is not answered: the server is gone. An answer that
// refuses is an error.
func (l *load) work(ctx context.Context, random *rand.Rand, do func(*load, context.Context, *rand.Rand) error) error {
	for {
		err := do(l, ctx, random)
		switch {
		case code(err) != "":
			return err
		case err != nil:
			return nil
		}
	}
}

// collect enters into the books what has arrived.
func (l *load) collect(ctx context.Context) error {
	entries, err := l.ledger.entries()
	if err != nil {
		return err
	}
	kinds := map[string]string{"event": inEvents, "sqs": inMessages, "sns": inNotices}
	for _, e := range entries {
		id, err := idOf(e.Text)
		if err != nil {
			return err
		}
		l.books.see(kinds[e.Kind], id)
	}
	for queue, place := range sinks {
		if err := l.drain(ctx, queue, place); err != nil {
			return err
		}
	}
	return nil
}

// drain takes all messages of a sink.
func (l *load) drain(ctx context.Context, queue, place string) error {
	for {
		got, err := l.take(ctx, queue)
		if err != nil || len(got) == 0 {
			return err
		}
		for _, m := range got {
			if err := l.seeMessage(place, m); err != nil {
				return err
			}
		}
	}
}

func (l *load) seeMessage(place string, m sqstypes.Message) error {
	id, err := idOf(*m.Body)
	if err == nil {
		l.books.see(place, id)
	}
	return err
}

// lookInPlain enters what is in the plain queue, where it stays.
func (l *load) lookInPlain(ctx context.Context) error {
	for {
		out, err := l.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: l.url("plain"), MaxNumberOfMessages: 10, VisibilityTimeout: 2})
		if err != nil || len(out.Messages) == 0 {
			return err
		}
		for _, m := range out.Messages {
			if err := l.seeMessage(inPlain, m); err != nil {
				return err
			}
		}
	}
}

// takeAll empties a queue.
func (l *load) takeAll(t *testing.T, queue string) {
	t.Helper()
	eventually(t, patience, func() error {
		for {
			got, err := l.take(t.Context(), queue)
			if err != nil {
				return err
			}
			if len(got) == 0 {
				break
			}
		}
		n, err := l.depth(t.Context(), queue)
		if err == nil && n > 0 {
			err = fmt.Errorf("%s has %d messages", queue, n)
		}
		return err
	})
}
