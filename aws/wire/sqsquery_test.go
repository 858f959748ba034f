package wire_test

import (
	"strings"
	"testing"

	"github.com/weir-run/weir/aws/sqs"
	"github.com/weir-run/weir/aws/wire"
)

// An oldQueue serves clients of SQS from before the end of 2023.
type oldQueue struct {
	sqs.Unimplemented
	in *sqs.SendMessageBatchRequest
}

func (q *oldQueue) SendMessageBatch(c *wire.Call, in *sqs.SendMessageBatchRequest) (*sqs.SendMessageBatchResult, error) {
	q.in = in
	return &sqs.SendMessageBatchResult{
		Successful: []sqs.SendMessageBatchResultEntry{{Id: wire.Some("1"), MessageId: wire.Some("m")}},
		Failed:     []sqs.BatchResultErrorEntry{{Id: wire.Some("2"), SenderFault: wire.Some(true), Code: wire.Some("X")}},
	}, nil
}

func (q *oldQueue) ReceiveMessage(*wire.Call, *sqs.ReceiveMessageRequest) (*sqs.ReceiveMessageResult, error) {
	return &sqs.ReceiveMessageResult{Messages: []sqs.Message{{
		Body:       wire.Some("a<b"),
		Attributes: map[string]string{"SentTimestamp": "1"},
		MessageAttributes: map[string]*sqs.MessageAttributeValue{
			"k": {DataType: wire.Some("Binary"), BinaryValue: []byte{255}, StringListValues: []string{"x", "y"}},
		},
	}}}, nil
}

// TestSQSQuery checks the names of the overlay, which no model has any more, in requests
// and answers as botocore 1.29 sends and reads them.
func TestSQSQuery(t *testing.T) {
	q := &oldQueue{}
	m := wire.NewMux(wire.Options{})
	sqs.Register(m, q, nil)
	post := func(form ...string) string {
		w := do(m, "POST", local+"/000000000000/q", strings.Join(form, "&"), "Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		return strings.ReplaceAll(w.Body.String(), w.Header().Get("X-Amzn-RequestId"), "ID")
	}
	got := post("Action=SendMessageBatch&Version=2012-11-05&QueueUrl=http%3A%2F%2Fq",
		"SendMessageBatchRequestEntry.1.Id=1&SendMessageBatchRequestEntry.1.MessageBody=x+y",
		"SendMessageBatchRequestEntry.1.MessageAttribute.1.Name=k&SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType=String",
		"SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue=v",
		"SendMessageBatchRequestEntry.1.MessageSystemAttribute.1.Name=AWSTraceHeader&SendMessageBatchRequestEntry.1.MessageSystemAttribute.1.Value.DataType=String",
		"SendMessageBatchRequestEntry.2.Id=2&SendMessageBatchRequestEntry.2.MessageBody=z")
	want := `<SendMessageBatchResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><SendMessageBatchResult>` +
		`<SendMessageBatchResultEntry><Id>1</Id><MessageId>m</MessageId></SendMessageBatchResultEntry>` +
		`<BatchResultErrorEntry><Id>2</Id><SenderFault>true</SenderFault><Code>X</Code></BatchResultErrorEntry>` +
		`</SendMessageBatchResult><ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></SendMessageBatchResponse>`
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if in := q.in; in == nil || len(in.Entries) != 2 || in.Entries[0].MessageBody.V != "x y" || in.Entries[0].MessageAttributes["k"].StringValue.V != "v" ||
		in.Entries[0].MessageSystemAttributes["AWSTraceHeader"] == nil || in.Entries[1].Id.V != "2" {
		t.Errorf("the service got %+v", q.in)
	}
	got = post("Action=ReceiveMessage&Version=2012-11-05&AttributeName.1=All&MessageAttributeName.1=All&MessageSystemAttributeName.1=All")
	want = `<ReceiveMessageResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><ReceiveMessageResult><Message><Body>a&lt;b</Body>` +
		`<Attribute><Name>SentTimestamp</Name><Value>1</Value></Attribute><MessageAttribute><Name>k</Name><Value>` +
		`<BinaryValue>/w==</BinaryValue><StringListValue>x</StringListValue><StringListValue>y</StringListValue><DataType>Binary</DataType>` +
		`</Value></MessageAttribute></Message></ReceiveMessageResult><ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></ReceiveMessageResponse>`
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}
