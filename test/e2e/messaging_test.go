//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// A tenant is an account with its queues and topics, by aws-sdk-go-v2 and without its retries.
type tenant struct {
	*account
	sqs *sqs.Client
	sns *sns.Client
}

func newTenant(url string) *tenant { return tenantOf(url, newAccount(url).id) }

func tenantOf(url, id string) *tenant {
	keys := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: "any"}, nil
	})
	a := &account{client(url, id, "any", func(o *lambda.Options) { o.Retryer, o.HTTPClient = aws.NopRetryer{}, patient }), id}
	return &tenant{
		account: a,
		sqs:     sqs.New(sqs.Options{Region: region, BaseEndpoint: &url, Credentials: keys, Retryer: aws.NopRetryer{}, HTTPClient: patient}),
		sns:     sns.New(sns.Options{Region: region, BaseEndpoint: &url, Credentials: keys, Retryer: aws.NopRetryer{}, HTTPClient: patient}),
	}
}

// patient is the client of all tenants. The SDK closes a request's body as soon as the answer
// begins. When a server answers that fast, net/http may still be busy with the body; it then
// takes the connection down amid the answer. Here it has a body of its own.
var patient = &http.Client{Transport: ownBody{&http.Transport{MaxIdleConnsPerHost: 64}}}

type ownBody struct{ http.RoundTripper }

func (o ownBody) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return o.RoundTripper.RoundTrip(r)
}

// url is where a queue is addressed.
func (a *tenant) url(queue string) *string {
	return aws.String(*a.sqs.Options().BaseEndpoint + "/" + a.id + "/" + queue)
}

// arn names something of the tenant: a queue or a topic.
func (a *tenant) arn(service, name string) string {
	return "arn:aws:" + service + ":" + region + ":" + a.id + ":" + name
}

func (a *tenant) functionARN(name string) string { return a.arn("lambda", "function:"+name) }

type attributes map[string]string

// queue makes a queue and returns its ARN.
func (a *tenant) queue(t testing.TB, name string, with attributes) string {
	t.Helper()
	if _, err := a.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: with}); err != nil {
		t.Fatal(err)
	}
	return a.arn("sqs", name)
}

// redrive is the policy that moves a message after so many receives.
func (a *tenant) redrive(queue string, receives int) string {
	return fmt.Sprintf(`{"deadLetterTargetArn": %q, "maxReceiveCount": %d}`, a.arn("sqs", queue), receives)
}

// depth is how many messages a queue has, in flight or not.
func (a *tenant) depth(ctx context.Context, queue string) (int, error) {
	names := []sqstypes.QueueAttributeName{
		sqstypes.QueueAttributeNameApproximateNumberOfMessages, sqstypes.QueueAttributeNameApproximateNumberOfMessagesNotVisible,
		sqstypes.QueueAttributeNameApproximateNumberOfMessagesDelayed,
	}
	out, err := a.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: a.url(queue), AttributeNames: names})
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, name := range names {
		n, err := strconv.Atoi(out.Attributes[string(name)])
		if err != nil {
			return 0, fmt.Errorf("%s of %s: %w", name, queue, err)
		}
		sum += n
	}
	return sum, nil
}

// empty waits until a queue has no message, in flight or not.
func (a *tenant) empty(t testing.TB, queue string) {
	t.Helper()
	eventually(t, patience, func() error {
		n, err := a.depth(t.Context(), queue)
		if err == nil && n > 0 {
			err = fmt.Errorf("%s has %d messages", queue, n)
		}
		return err
	})
}

// send sends messages, ten at a time.
func (a *tenant) send(t testing.TB, queue string, bodies ...string) {
	t.Helper()
	for len(bodies) > 0 {
		n := min(len(bodies), 10)
		if err := a.sendBatch(t.Context(), queue, bodies[:n]); err != nil {
			t.Fatal(err)
		}
		bodies = bodies[n:]
	}
}

func (a *tenant) sendBatch(ctx context.Context, queue string, bodies []string) error {
	in := &sqs.SendMessageBatchInput{QueueUrl: a.url(queue)}
	for i := range bodies {
		in.Entries = append(in.Entries, sqstypes.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), MessageBody: &bodies[i]})
	}
	out, err := a.sqs.SendMessageBatch(ctx, in)
	if err == nil && len(out.Successful) != len(bodies) {
		err = fmt.Errorf("of %d messages %d were taken", len(bodies), len(out.Successful))
	}
	return err
}

// take receives up to ten messages with all that is known of them, and deletes them.
func (a *tenant) take(ctx context.Context, queue string) ([]sqstypes.Message, error) {
	out, err := a.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: a.url(queue), MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"},
		MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{sqstypes.MessageSystemAttributeNameAll},
	})
	if err != nil || len(out.Messages) == 0 {
		return nil, err
	}
	in := &sqs.DeleteMessageBatchInput{QueueUrl: a.url(queue)}
	for i := range out.Messages {
		in.Entries = append(in.Entries, sqstypes.DeleteMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), ReceiptHandle: out.Messages[i].ReceiptHandle})
	}
	_, err = a.sqs.DeleteMessageBatch(ctx, in)
	return out.Messages, err
}

// takeN takes messages until there have been n.
func (a *tenant) takeN(t testing.TB, queue string, n int) []sqstypes.Message {
	t.Helper()
	var all []sqstypes.Message
	eventually(t, patience, func() error {
		got, err := a.take(t.Context(), queue)
		all = append(all, got...)
		if err == nil && len(all) < n {
			err = fmt.Errorf("%s has given %d messages, want %d", queue, len(all), n)
		}
		return err
	})
	return all
}

// async invokes a function asynchronously.
func (a *tenant) async(t testing.TB, function, event string) {
	t.Helper()
	out, err := a.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &function, InvocationType: types.InvocationTypeEvent, Payload: []byte(event)})
	if err != nil || out.StatusCode != 202 {
		t.Fatalf("an asynchronous invocation: %v, %v", out, err)
	}
}

// mapping makes an event source mapping and waits until it is enabled.
func (a *tenant) mapping(t testing.TB, in lambda.CreateEventSourceMappingInput) string {
	t.Helper()
	out, err := a.CreateEventSourceMapping(t.Context(), &in)
	if err != nil {
		t.Fatal(err)
	}
	a.mappingIs(t, *out.UUID, "Enabled")
	return *out.UUID
}

// mappingIs waits until an event source mapping is in a state.
func (a *tenant) mappingIs(t testing.TB, id, state string) {
	t.Helper()
	eventually(t, patience, func() error {
		m, err := a.GetEventSourceMapping(t.Context(), &lambda.GetEventSourceMappingInput{UUID: &id})
		if err == nil && *m.State != state {
			err = fmt.Errorf("the mapping is %s, want %s", *m.State, state)
		}
		return err
	})
}

// A ledger is a file in which functions write down what they are given; see functions/light.
type ledger string

// newLedger makes a ledger that every function can write.
func newLedger(t testing.TB) ledger {
	t.Helper()
	f, err := os.CreateTemp(filepath.Join(scratch, "data"), "ledger-")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Chmod(0o666); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return ledger(f.Name())
}

// An entry is a line of a ledger.
type entry struct {
	Kind, Text, ID, Group, Request, Function string
	Receives                                 int
	At                                       int64
}

// entries reads the ledger. An invocation that is killed may leave half a line at its end, to
// which the next one is appended: such a line is not counted.
func (l ledger) entries() ([]entry, error) {
	f, err := os.Open(string(l))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []entry
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e entry
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			all = append(all, e)
		}
	}
	return all, lines.Err()
}

// wait waits until the ledger has n entries or more and returns them.
func (l ledger) wait(t testing.TB, n int) []entry {
	t.Helper()
	var all []entry
	eventually(t, patience, func() (err error) {
		all, err = l.entries()
		if err == nil && len(all) < n {
			err = fmt.Errorf("the ledger has %d entries, want %d", len(all), n)
		}
		return err
	})
	return all
}

// keeper makes a function that writes into a ledger.
func (a *tenant) keeper(t testing.TB, f function, l ledger) {
	t.Helper()
	if f.variables == nil {
		f.variables = make(map[string]string)
	}
	f.variables["LEDGER"] = "at=" + string(l)
	f.language, f.code = golang, program(t, "light")
	a.create(t, f)
}
