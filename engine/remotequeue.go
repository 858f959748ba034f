package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// A remoteQueue is a queue behind another endpoint that speaks SQS's protocol.
type remoteQueue struct {
	ctx    context.Context // ends when nothing must be received any more
	client *sqs.Client
	arn    string
	mu     struct {
		sync.Mutex
		url        string
		visibility time.Duration
	}
}

// RemoteQueue returns the queue that an ARN names at another endpoint, such as ElasticMQ or
// AWS itself. Requests are signed with the credentials of AWS's usual environment variables;
// nothing is received after the context has ended.
func RemoteQueue(ctx context.Context, endpoint, arn string) (Source, error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 {
		return nil, fmt.Errorf("%q is no ARN of a queue", arn)
	}
	client := sqs.New(sqs.Options{
		Region: parts[3], BaseEndpoint: &endpoint, HTTPClient: remoteClient,
		Credentials: aws.CredentialsProviderFunc(environmentCredentials),
	})
	return &remoteQueue{ctx: ctx, client: client, arn: arn}, nil
}

// remoteClient calls other endpoints. The SDK closes a request's body as soon as the answer
// begins; where that is so soon that net/http is still busy with the body, net/http takes the
// connection down, and messages that were just received are lost until they are visible
// again. So a request gets a body of its own.
var remoteClient = &http.Client{Transport: ownBody{remoteTransport()}}

// remoteTransport is net/http's own, with its time limits, for many pollers of one endpoint.
func remoteTransport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = remoteConns
	return t
}

// remoteConns is how many idle connections to an endpoint are kept.
const remoteConns = 64

type ownBody struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (o ownBody) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return o.RoundTripper.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return o.RoundTripper.RoundTrip(r)
}

func environmentCredentials(context.Context) (aws.Credentials, error) {
	return aws.Credentials{
		AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
	}, nil
}

// Describe implements Source.
func (q *remoteQueue) Describe(ctx context.Context) (SourceInfo, error) {
	url, err := q.find(ctx)
	if err != nil {
		return SourceInfo{}, err
	}
	out, err := q.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	})
	if err != nil {
		return SourceInfo{}, remoteError(err)
	}
	seconds, err := strconv.Atoi(out.Attributes[string(types.QueueAttributeNameVisibilityTimeout)])
	if err != nil {
		return SourceInfo{}, fmt.Errorf("read the visibility timeout of %s: %w", q.arn, err)
	}
	info := SourceInfo{
		FIFO:       out.Attributes[string(types.QueueAttributeNameFifoQueue)] == "true",
		Visibility: time.Duration(seconds) * time.Second,
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.visibility = info.Visibility
	return info, nil
}

// find asks for the queue's URL, once.
func (q *remoteQueue) find(ctx context.Context) (string, error) {
	q.mu.Lock()
	url := q.mu.url
	q.mu.Unlock()
	if url != "" {
		return url, nil
	}
	parts := strings.SplitN(q.arn, ":", 6)
	out, err := q.client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &parts[5], QueueOwnerAWSAccountId: &parts[4]})
	if err != nil {
		return "", remoteError(err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.url = *out.QueueUrl
	return q.mu.url, nil
}

func remoteError(err error) error {
	var missing *types.QueueDoesNotExist
	if errors.As(err, &missing) {
		return ErrNoSource
	}
	return fmt.Errorf("call the queue's endpoint: %w", err)
}

// Receive implements Source. The long poll of another machine holds a goroutine.
func (q *remoteQueue) Receive(limit int, deliver func([]SourceMessage, error)) func() {
	ctx, cancel := context.WithCancel(q.ctx)
	go func() {
		defer cancel()
		got, err := q.receive(ctx, limit)
		if ctx.Err() != nil {
			got, err = nil, nil
		}
		deliver(got, err)
	}()
	return cancel
}

func (q *remoteQueue) receive(ctx context.Context, limit int) ([]SourceMessage, error) {
	q.mu.Lock()
	visibility := q.mu.visibility
	q.mu.Unlock()
	if visibility == 0 {
		info, err := q.Describe(ctx)
		if err != nil {
			return nil, err
		}
		visibility = info.Visibility
	}
	url, err := q.find(ctx)
	if err != nil {
		return nil, err
	}
	out, err := q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &url, MaxNumberOfMessages: int32(limit), WaitTimeSeconds: longPoll,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		MessageAttributeNames:       []string{"All"},
	})
	if err != nil {
		return nil, remoteError(err)
	}
	messages := make([]SourceMessage, len(out.Messages))
	for i := range out.Messages {
		messages[i] = q.message(&out.Messages[i], visibility)
	}
	return messages, nil
}

// longPoll is how long a receive waits for its first message, in seconds.
const longPoll = 20

func (q *remoteQueue) message(x *types.Message, visibility time.Duration) SourceMessage {
	m := SourceMessage{
		ID: aws.ToString(x.MessageId), Receipt: aws.ToString(x.ReceiptHandle), Body: []byte(aws.ToString(x.Body)),
		MD5: aws.ToString(x.MD5OfBody), MD5OfAttributes: aws.ToString(x.MD5OfMessageAttributes),
		Hidden: visibility,
	}
	if strings.HasSuffix(q.arn, ".fifo") { // the groups of other queues have no order
		m.Group = x.Attributes["MessageGroupId"]
	}
	for name, value := range x.Attributes {
		m.System = append(m.System, SystemAttribute{name, value})
	}
	for name, a := range x.MessageAttributes {
		if m.Attributes == nil {
			m.Attributes = make(map[string]MessageAttribute)
		}
		m.Attributes[name] = MessageAttribute{Type: aws.ToString(a.DataType), Text: aws.ToString(a.StringValue), Binary: a.BinaryValue}
	}
	return m
}

// Delete implements Source.
func (q *remoteQueue) Delete(ctx context.Context, messages []SourceMessage) error {
	url, err := q.find(ctx)
	if err != nil {
		return err
	}
	entries := make([]types.DeleteMessageBatchRequestEntry, len(messages))
	for i, m := range messages {
		entries[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: aws.String(m.Receipt)}
	}
	out, err := q.client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: entries})
	switch {
	case err != nil:
		return remoteError(err)
	case len(out.Failed) > 0:
		return fmt.Errorf("delete %d messages: %s", len(out.Failed), aws.ToString(out.Failed[0].Message))
	}
	return nil
}
