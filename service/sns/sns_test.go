package sns

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/weir-run/weir/lambda"
)

const (
	functionARN = "arn:aws:lambda:us-east-1:111111111111:function:f"
	queueARN    = "arn:aws:sqs:us-east-1:111111111111:q"
	deadARN     = "arn:aws:sqs:us-east-1:111111111111:dead"
)

func TestTopics(t *testing.T) {
	h := newHarness(t)
	arn := h.topic("t", "Attributes.entry.1.key", "DisplayName", "Attributes.entry.1.value", "d", "Tags.member.1.Key", "k", "Tags.member.1.Value", "v")
	if arn != "arn:aws:sns:us-east-1:111111111111:t" || h.topic("t") != arn {
		t.Errorf("the topic is %s", arn)
	}
	h.subscribe(arn, "lambda", functionARN)
	_, text := h.do("GetTopicAttributes", "TopicArn", arn)
	for _, want := range []string{"<key>DisplayName</key><value>d</value>", "<key>SubscriptionsConfirmed</key><value>1</value>", "__default_policy_ID", "<key>Owner</key><value>111111111111</value>"} {
		if !strings.Contains(strings.ReplaceAll(text, "\n", ""), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	h.ok("", "AddPermission", "TopicArn", arn, "Label", "l", "AWSAccountId.member.1", "222222222222", "ActionName.member.1", "Publish")
	if _, text := h.do("GetTopicAttributes", "TopicArn", arn); !strings.Contains(text, "arn:aws:iam::222222222222:root") {
		t.Errorf("the statement is not in %s", text)
	}
	h.ok("", "RemovePermission", "TopicArn", arn, "Label", "l")
	if _, text := h.do("GetTopicAttributes", "TopicArn", arn); strings.Contains(text, "222222222222") {
		t.Errorf("the statement is still in %s", text)
	}
	if v := h.ok("Value", "ListTagsForResource", "ResourceArn", arn); v != "v" {
		t.Errorf("the tag is %q", v)
	}
	h.ok("", "UntagResource", "ResourceArn", arn, "TagKeys.member.1", "k")
	if v := h.ok("Value", "ListTagsForResource", "ResourceArn", arn); v != "" {
		t.Errorf("the tag is still %q", v)
	}
	h.ok("", "SetTopicAttributes", "TopicArn", arn, "AttributeName", "DisplayName", "AttributeValue", "e")
	h.ok("", "DeleteTopic", "TopicArn", arn)
	if got := h.ok("TopicArn", "ListTopics"); got != "" {
		t.Errorf("after its deletion: %s", got)
	}
	if got := h.ok("Endpoint", "ListSubscriptions"); got != "" {
		t.Errorf("a subscription outlived its topic: %s", got)
	}
}

func TestRefusals(t *testing.T) {
	h := newHarness(t)
	arn := h.topic("t")
	fifo := h.topic("t.fifo", "Attributes.entry.1.key", "FifoTopic", "Attributes.entry.1.value", "true")
	for _, x := range []struct {
		want       string
		action     string
		parameters []string
	}{
		{"404 NotFound Topic does not exist", "Publish", []string{"TopicArn", arn + "x", "Message", "m"}},
		{"400 InvalidParameter Invalid parameter: Empty message", "Publish", []string{"TopicArn", arn, "Message", ""}},
		{"400 InvalidParameter Invalid parameter: Message Structure - No default entry in JSON message body", "Publish", []string{"TopicArn", arn, "Message", "{}", "MessageStructure", "json"}},
		{"400 ParameterValueInvalid Could not cast message attribute 'n' value to number.", "Publish", []string{"TopicArn", arn, "Message", "m",
			"MessageAttributes.entry.1.Name", "n", "MessageAttributes.entry.1.Value.DataType", "Number", "MessageAttributes.entry.1.Value.StringValue", "true"}},
		{"400 InvalidParameter Invalid parameter: The MessageGroupId parameter is required for FIFO topics", "Publish", []string{"TopicArn", fifo, "Message", "m"}},
		{"400 InvalidParameter Invalid parameter: The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly", "Publish", []string{"TopicArn", fifo, "Message", "m", "MessageGroupId", "g"}},
		{"400 InvalidParameter Invalid parameter: weir does not support the protocol sms", "Publish", []string{"PhoneNumber", "+4912345678", "Message", "m"}},
		{"400 InvalidParameter Invalid parameter: weir does not support the protocol email", "Subscribe", []string{"TopicArn", arn, "Protocol", "email", "Endpoint", "a@b.c"}},
		{"400 InvalidParameter Invalid parameter: Amazon SNS does not support this protocol string: pigeon", "Subscribe", []string{"TopicArn", arn, "Protocol", "pigeon", "Endpoint", "a"}},
		{"400 InvalidParameter Invalid parameter: Attributes Reason: FilterPolicy: Empty arrays are not allowed", "Subscribe", []string{"TopicArn", arn, "Protocol", "lambda", "Endpoint", functionARN, "Attributes.entry.1.key", "FilterPolicy", "Attributes.entry.1.value", `{"a":[]}`}},
		{"400 InvalidParameter Invalid parameter: Topic Name", "CreateTopic", []string{"Name", "a b"}},
		{"400 InvalidParameter Invalid parameter: weir does not support the attribute KmsMasterKeyId", "SetTopicAttributes", []string{"TopicArn", arn, "AttributeName", "KmsMasterKeyId", "AttributeValue", "k"}},
		{"404 NotFound Subscription does not exist", "GetSubscriptionAttributes", []string{"SubscriptionArn", arn + ":00000000-0000-0000-0000-000000000000"}},
		{"400 EmptyBatchRequest The batch request doesn't contain any entries.", "PublishBatch", []string{"TopicArn", arn, "PublishBatchRequestEntries", ""}},
	} {
		status, text := h.do(x.action, x.parameters...)
		if got := fmt.Sprint(status, " ", find(text, "Code"), " ", find(text, "Message")); got != x.want {
			t.Errorf("%s:\n  got  %s\n  want %s", x.action, got, x.want)
		}
	}
	if status, text := h.do("CreatePlatformApplication", "Name", "a", "Platform", "GCM"); status < 400 {
		t.Errorf("CreatePlatformApplication: %d %s", status, text)
	}
}

func TestLambda(t *testing.T) {
	h := newHarness(t)
	arn := h.topic("t")
	h.subscribe(arn, "lambda", functionARN, "FilterPolicy", `{"kind":["a"]}`)
	h.ok("", "Publish", "TopicArn", arn, "Message", "not for it")
	id := h.ok("MessageId", "Publish", "TopicArn", arn, "Message", "Hello <&>", "Subject", "s",
		"MessageAttributes.entry.1.Name", "kind", "MessageAttributes.entry.1.Value.DataType", "String", "MessageAttributes.entry.1.Value.StringValue", "a")
	h.until("the function is invoked", func() bool { return len(h.mu.invoked) > 0 })
	got := h.mu.invoked[0]
	if got.arn != functionARN || got.trace != "Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=1:abcd:3" {
		t.Errorf("invoked %s, trace %s", got.arn, got.trace)
	}
	for pattern, with := range map[string]string{
		`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`: "<time>", `"Signature":"[^"]+"`: `"Signature":"<signature>"`,
		`:t:[0-9a-f-]{36}`: ":t:<id>", `%3At%3A[0-9a-f-]{36}`: ":t:<id>", `http://127.0.0.1:\d+`: "<url>",
	} {
		got.payload = regexp.MustCompile(pattern).ReplaceAllString(got.payload, with)
	}
	want := `{"Records":[{"EventSource":"aws:sns","EventVersion":"1.0","EventSubscriptionArn":"arn:aws:sns:us-east-1:111111111111:t:<id>",` +
		`"Sns":{"Type":"Notification","MessageId":"` + id + `","TopicArn":"arn:aws:sns:us-east-1:111111111111:t","Subject":"s","Message":"Hello <&>","Timestamp":"<time>",` +
		`"SignatureVersion":"1","Signature":"<signature>","SigningCertUrl":"<url>/_weir/sns/SimpleNotificationService.pem",` +
		`"UnsubscribeUrl":"<url>/?Action=Unsubscribe&SubscriptionArn=arn%3Aaws%3Asns%3Aus-east-1%3A111111111111:t:<id>","MessageAttributes":{"kind":{"Type":"String","Value":"a"}}}}]}`
	if got.payload != want {
		t.Errorf("the event is\n%s, want\n%s", got.payload, want)
	}
}

func TestQueues(t *testing.T) {
	h := newHarness(t)
	arn := h.topic("t")
	h.subscribe(arn, "sqs", queueARN)
	h.subscribe(arn, "sqs", queueARN+"raw", "RawMessageDelivery", "true", "FilterPolicyScope", "MessageBody", "FilterPolicy", `{"k":[{"numeric":[">",1]}]}`)
	h.ok("", "Publish", "TopicArn", arn, "MessageStructure", "json", "Message", `{"default":"d","sqs":"{\"k\":2}"}`)
	h.until("both queues have it", func() bool { return len(h.mu.queued) == 2 })
	for _, q := range h.mu.queued {
		if q.arn == queueARN+"raw" {
			if string(q.Body) != `{"k":2}` {
				t.Errorf("raw: %s", q.Body)
			}
			continue
		}
		n := decodeJSON(t, string(q.Body))
		if n["Type"] != "Notification" || n["Message"] != `{"k":2}` || n["TopicArn"] != arn || !h.verify(n, "Message", "MessageId", "Timestamp", "TopicArn", "Type") {
			t.Errorf("notification: %s", q.Body)
		}
	}
}

// verify checks the signature of a notification with the served certificate.
func (h *harness) verify(n map[string]any, names ...string) bool {
	h.Helper()
	w := httptest.NewRecorder()
	h.service.Certificate(w, httptest.NewRequest(http.MethodGet, CertificatePath, nil))
	block, _ := pem.Decode(w.Body.Bytes())
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		h.Fatal(err)
	}
	var text strings.Builder
	for _, name := range names {
		fmt.Fprintf(&text, "%s\n%s\n", name, n[name])
	}
	signature, err := base64.StdEncoding.DecodeString(n["Signature"].(string))
	if err != nil {
		h.Fatal(err)
	}
	sum := sha1.Sum([]byte(text.String()))
	return rsa.VerifyPKCS1v15(certificate.PublicKey.(*rsa.PublicKey), crypto.SHA1, sum[:], signature) == nil
}

func TestFIFO(t *testing.T) {
	h := newHarness(t)
	arn := h.topic("t.fifo", "Attributes.entry.1.key", "FifoTopic", "Attributes.entry.1.value", "true", "Attributes.entry.2.key", "ContentBasedDeduplication", "Attributes.entry.2.value", "true")
	h.subscribe(arn, "sqs", queueARN+".fifo", "RawMessageDelivery", "true")
	var last string
	for i := range 20 {
		sequence := h.ok("SequenceNumber", "Publish", "TopicArn", arn, "Message", fmt.Sprint(i), "MessageGroupId", "g")
		if len(sequence) != 20 || sequence <= last {
			t.Errorf("sequence number %s after %s", sequence, last)
		}
		last = sequence
	}
	if again := h.ok("SequenceNumber", "Publish", "TopicArn", arn, "Message", "19", "MessageGroupId", "g"); again != last {
		t.Errorf("a repetition has the sequence number %s, want %s", again, last)
	}
	h.ok("", "SetTopicAttributes", "TopicArn", arn, "AttributeName", "FifoThroughputScope", "AttributeValue", "MessageGroup")
	a := h.ok("MessageId", "Publish", "TopicArn", arn, "Message", "x", "MessageGroupId", "a")
	if b := h.ok("MessageId", "Publish", "TopicArn", arn, "Message", "x", "MessageGroupId", "b"); a == b {
		t.Error("one group's message repeats another's")
	}
	h.until("all are delivered", func() bool { return len(h.mu.queued) == 22 })
	i := -1
	for _, q := range h.mu.queued {
		if q.GroupID != "g" {
			continue
		}
		i++
		if string(q.Body) != fmt.Sprint(i) || len(q.DedupID) != 64 {
			t.Errorf("message %d: %s, deduplication %s", i, q.Body, q.DedupID)
		}
	}
}

func TestBatch(t *testing.T) {
	h := newHarness(t)
	arn := h.topic("t")
	h.subscribe(arn, "sqs", queueARN)
	const e = "PublishBatchRequestEntries.member."
	_, text := h.do("PublishBatch", "TopicArn", arn, e+"1.Id", "a", e+"1.Message", "m", e+"2.Id", "b", e+"2.Message", "m", e+"2.Subject", "two\nlines")
	if strings.Count(text, "<MessageId>") != 1 || find(text, "Code") != "InvalidParameter" {
		t.Errorf("batch: %s", text)
	}
	h.until("the good one is delivered", func() bool { return len(h.mu.queued) == 1 })
	if _, text := h.do("PublishBatch", "TopicArn", arn, e+"1.Id", "a", e+"1.Message", "m", e+"2.Id", "a", e+"2.Message", "m"); find(text, "Code") != "BatchEntryIdsNotDistinct" {
		t.Errorf("the same id twice: %s", text)
	}
}

func TestHTTP(t *testing.T) {
	h := newHarness(t)
	type post struct {
		header http.Header
		body   string
	}
	posts := make(chan post, 10)
	endpoint := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		posts <- post{r.Header, string(body)}
	}))
	t.Cleanup(endpoint.Close)
	arn := h.topic("t")
	subscription := h.subscribe(arn, "http", endpoint.URL+"/x")
	p := <-posts
	n := decodeJSON(t, p.body)
	if p.header.Get("X-Amz-Sns-Message-Type") != "SubscriptionConfirmation" || p.header.Get("Content-Type") != plainText || p.header.Get("X-Amz-Sns-Topic-Arn") != arn {
		t.Errorf("headers %v", p.header)
	}
	if len(n["Token"].(string)) != 256 || !h.verify(n, "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type") {
		t.Errorf("confirmation: %s", p.body)
	}
	h.ok("", "Publish", "TopicArn", arn, "Message", "before")
	answer, err := http.Get(n["SubscribeURL"].(string))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("the SubscribeURL answers %s", answer.Status)
	}
	h.ok("", "Publish", "TopicArn", arn, "Message", "after")
	p = <-posts
	if n := decodeJSON(t, p.body); n["Message"] != "after" || p.header.Get("X-Amz-Sns-Subscription-Arn") != subscription {
		t.Errorf("the notification is %s, headers %v", p.body, p.header)
	}
}

func TestDeadLetter(t *testing.T) {
	h := newHarness(t)
	h.mu.refuse = func(arn string) error {
		if arn == functionARN {
			return lambda.Errorf(lambda.CodeResourceNotFound, "Function not found")
		}
		return nil
	}
	arn := h.topic("t")
	policy, err := json.Marshal(map[string]string{"deadLetterTargetArn": deadARN})
	if err != nil {
		t.Fatal(err)
	}
	h.subscribe(arn, "lambda", functionARN, "RedrivePolicy", string(policy))
	h.ok("", "Publish", "TopicArn", arn, "Message", "m")
	h.until("the dead-letter queue has it", func() bool { return len(h.mu.queued) == 1 })
	if q := h.mu.queued[0]; q.arn != deadARN || decodeJSON(t, string(q.Body))["Message"] != "m" {
		t.Errorf("%s got %s", q.arn, q.Body)
	}
}

// TestReopen stops the service while nothing can be delivered, and starts another one.
func TestReopen(t *testing.T) {
	h := newHarness(t)
	tries := 0
	h.mu.refuse = func(string) error { tries++; return errors.New("not now") }
	arn := h.topic("t")
	h.subscribe(arn, "lambda", functionARN)
	h.ok("", "Publish", "TopicArn", arn, "Message", "m")
	h.until("it was tried", func() bool { return tries > 0 })
	h.service.Close()
	h.mu.refuse = nil
	if len(h.mu.invoked) != 0 {
		t.Fatal("it was delivered")
	}
	h.open()
	h.until("it is delivered after the start", func() bool { return len(h.mu.invoked) == 1 })
}
