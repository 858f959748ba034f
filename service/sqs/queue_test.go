package sqs

import (
	"fmt"
	"strings"
	"testing"
)

func TestCreateQueue(t *testing.T) {
	h := newHarness(t)
	h.create("q", `"DelaySeconds":"0","VisibilityTimeout":"20"`)
	if got := h.ok("CreateQueue", `{"QueueName":"q","Attributes":{"VisibilityTimeout":"20"}}`)["QueueUrl"]; got != h.queueURL("q") {
		t.Errorf("the URL is %v", got)
	}
	h.create("q.fifo", "")
	a := h.attributes("q")
	for _, name := range []string{"CreatedTimestamp", "LastModifiedTimestamp"} {
		if len(a[name].(string)) != 10 {
			t.Errorf("%s is %v", name, a[name])
		}
		delete(a, name)
	}
	if got := fmt.Sprint(a); got != "map[ApproximateNumberOfMessages:0 ApproximateNumberOfMessagesDelayed:0 ApproximateNumberOfMessagesNotVisible:0 DelaySeconds:0 "+
		"MaximumMessageSize:1048576 MessageRetentionPeriod:345600 QueueArn:arn:aws:sqs:us-east-1:111111111111:q ReceiveMessageWaitTimeSeconds:0 SqsManagedSseEnabled:true VisibilityTimeout:20]" {
		t.Error(got)
	}
	if a := h.attributes("q.fifo"); a["FifoQueue"] != "true" || a["ContentBasedDeduplication"] != "false" || a["DeduplicationScope"] != "queue" || a["FifoThroughputLimit"] != "perQueue" {
		t.Errorf("%v", a)
	}
	create := func(name, attributes string) string {
		return `{"QueueName":"` + name + `","Attributes":{` + attributes + `}}`
	}
	plain := "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
	h.refuses([]refusal{
		{"CreateQueue", create("q", `"DelaySeconds":"1"`), 400, "QueueAlreadyExists", "A queue already exists with the same name and a different value for attribute DelaySeconds"},
		{"CreateQueue", `{}`, 400, "MissingParameter", "The request must contain the parameter QueueName."},
		{"CreateQueue", create("a b", ""), 400, "InvalidParameterValue", plain},
		{"CreateQueue", create("a.fifo", ""), 400, "InvalidParameterValue", plain},
		{"CreateQueue", create(strings.Repeat("a", 81), ""), 400, "InvalidParameterValue", plain},
		{"CreateQueue", create("a", `"FifoQueue":"true"`), 400, "InvalidParameterValue",
			"The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length"},
		{"CreateQueue", create("a", `"FifoQueue":"false"`), 400, "InvalidAttributeName", "Unknown Attribute FifoQueue."},
		{"CreateQueue", create("a", `"Foo":"1"`), 400, "InvalidAttributeName", "Unknown Attribute Foo."},
		{"CreateQueue", create("a", `"VisibilityTimeout":"43201"`), 400, "InvalidAttributeValue", "Invalid value for the parameter VisibilityTimeout."},
		{"CreateQueue", create("a", `"MaximumMessageSize":"1048577"`), 400, "InvalidAttributeValue", "Invalid value for the parameter MaximumMessageSize."},
		{"CreateQueue", create("a", `"RedrivePolicy":"{}"`), 400, "InvalidParameterValue",
			"Value {} for parameter RedrivePolicy is invalid. Reason: Redrive policy does not contain mandatory attribute: deadLetterTargetArn."},
		{"SetQueueAttributes", `{"QueueUrl":"QUEUE/q","Attributes":{"KmsMasterKeyId":"k","SqsManagedSseEnabled":"true"}}`, 400, "InvalidAttributeName",
			"You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE."},
		{"GetQueueAttributes", `{"QueueUrl":"QUEUE/q","AttributeNames":["Foo"]}`, 400, "InvalidAttributeName", "Unknown Attribute Foo."},
		{"GetQueueUrl", `{"QueueName":"none"}`, 400, "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist."},
	})
	if got := fmt.Sprint(h.ok("ListQueues", `{}`)["QueueUrls"]); got != fmt.Sprintf("[%s %s]", h.queueURL("q"), h.queueURL("q.fifo")) {
		t.Errorf("bad requests made queues: %s", got)
	}
}

func TestSetAttributes(t *testing.T) {
	h := newHarness(t)
	h.create("q", `"ReceiveMessageWaitTimeSeconds":"0"`)
	h.ok("SetQueueAttributes", `{"QueueUrl":"QUEUE/q","Attributes":{"VisibilityTimeout":"0","Policy":"{\"Statement\":[]}","KmsMasterKeyId":"k"}}`)
	a := h.attributes("q")
	if a["VisibilityTimeout"] != "0" || a["Policy"] != `{"Statement":[]}` || a["SqsManagedSseEnabled"] != "false" || a["KmsDataKeyReusePeriodSeconds"] != "300" {
		t.Errorf("%v", a)
	}
	h.ok("SetQueueAttributes", `{"QueueUrl":"QUEUE/q","Attributes":{"Policy":"","SqsManagedSseEnabled":"true"}}`)
	if a := h.attributes("q"); a["Policy"] != nil || a["KmsMasterKeyId"] != nil {
		t.Errorf("%v", a)
	}
	h.ok("SendMessage", `{"QueueUrl":"QUEUE/q","MessageBody":"b"}`)
	for range 2 {
		if got := h.receive("q", ""); len(got) != 1 {
			t.Errorf("the queue's visibility timeout is 0, and %v came", got)
		}
	}
}

func TestRedrivePolicy(t *testing.T) {
	h := newHarness(t)
	h.create("dead", "")
	h.create("dead.fifo", "")
	policy := func(arn, count string) string {
		return `{\"deadLetterTargetArn\":\"` + arn + `\",\"maxReceiveCount\":` + count + `}`
	}
	set := func(policy string) string {
		return `{"QueueUrl":"QUEUE/q","Attributes":{"RedrivePolicy":"` + policy + `"}}`
	}
	dead := scope.ARN("sqs", "dead")
	h.create("q", `"VisibilityTimeout":"0","RedrivePolicy":"`+policy(dead, `\"1\"`)+`"`)
	bad := func(arn, count, reason string) refusal {
		p := policy(arn, count)
		return refusal{"SetQueueAttributes", set(p), 400, "InvalidParameterValue",
			"Value " + strings.ReplaceAll(p, `\`, "") + " for parameter RedrivePolicy is invalid. Reason: " + reason}
	}
	h.refuses([]refusal{
		bad("dummy", "42", "Invalid value for deadLetterTargetArn."),
		bad(scope.ARN("sqs", "none"), "1", "Dead letter target does not exist."),
		bad(scope.ARN("sqs", "dead.fifo"), "1", "Dead-letter queue must be same type of queue as the source."),
		bad(dead, "0", "Invalid value for maxReceiveCount: 0, valid values are from 1 to 1000 both inclusive."),
	})
	sent := h.ok("SendMessage", `{"QueueUrl":"QUEUE/q","MessageBody":"b"}`)
	h.receive("q", "")
	if got := h.receive("q", ""); got != nil {
		t.Errorf("%v was received too often", got)
	}
	got := h.receive("dead", `,"WaitTimeSeconds":10,"VisibilityTimeout":0,"MessageSystemAttributeNames":["All"]`)
	if len(got) != 1 || got[0]["MessageId"] != sent["MessageId"] || got[0]["Attributes"].(map[string]any)["DeadLetterQueueSourceArn"] != scope.ARN("sqs", "q") {
		t.Fatalf("%v", got)
	}
	if got := fmt.Sprint(h.ok("ListDeadLetterSourceQueues", `{"QueueUrl":"QUEUE/dead"}`)); got != "map[queueUrls:["+h.queueURL("q")+"]]" {
		t.Error(got)
	}
	h.ok("SetQueueAttributes", `{"QueueUrl":"QUEUE/q","Attributes":{"VisibilityTimeout":"30"}}`)
	h.moveTasks(dead)
	h.ok("SetQueueAttributes", `{"QueueUrl":"QUEUE/dead","Attributes":{"RedriveAllowPolicy":"{\"redrivePermission\":\"denyAll\"}"}}`)
	h.refuses([]refusal{bad(dead, "5", "Dead letter target does not allow this source queue in its RedriveAllowPolicy.")})
}

// moveTasks moves the one message of the dead-letter queue back to its source.
func (h *harness) moveTasks(dead string) {
	h.Helper()
	h.refuses([]refusal{
		{"StartMessageMoveTask", `{"SourceArn":"` + scope.ARN("sqs", "q") + `"}`, 400, "InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue."},
		{"StartMessageMoveTask", `{"SourceArn":"` + dead + `","DestinationArn":"` + scope.ARN("sqs", "x") + `"}`, 404, "ResourceNotFoundException",
			"The resource that you specified for the DestinationArn parameter doesn't exist."},
		{"StartMessageMoveTask", `{"SourceArn":"` + dead + `","DestinationArn":"` + dead + `"}`, 400, "InvalidParameterValue",
			"The source and the destination of a message move task must not be the same queue."},
		{"CancelMessageMoveTask", `{"TaskHandle":"x"}`, 400, "InvalidParameterValue", "Value for parameter TaskHandle is invalid."},
	})
	h.ok("StartMessageMoveTask", `{"SourceArn":"`+dead+`"}`)
	var task map[string]any
	h.until("the task is complete", func() bool {
		task = h.ok("ListMessageMoveTasks", `{"SourceArn":"`+dead+`"}`)["Results"].([]any)[0].(map[string]any)
		return task["Status"] == "COMPLETED"
	})
	if task["ApproximateNumberOfMessagesMoved"] != 1.0 || task["ApproximateNumberOfMessagesToMove"] != 1.0 || task["TaskHandle"] != nil {
		h.Errorf("%v", task)
	}
	if got := h.receive("q", `,"WaitTimeSeconds":10`); len(got) != 1 {
		h.Errorf("%v is back", got)
	}
}

func TestDeleteAndPurge(t *testing.T) {
	h := newHarness(t)
	h.create("q", "")
	h.ok("SendMessage", `{"QueueUrl":"QUEUE/q","MessageBody":"b"}`)
	h.ok("PurgeQueue", `{"QueueUrl":"QUEUE/q"}`)
	if got := h.receive("q", ""); got != nil {
		t.Errorf("%v", got)
	}
	h.refuses([]refusal{{"PurgeQueue", `{"QueueUrl":"QUEUE/q"}`, 403, "AWS.SimpleQueueService.PurgeQueueInProgress", "Only one PurgeQueue operation on q is allowed every 60 seconds."}})
	h.ok("DeleteQueue", `{"QueueUrl":"QUEUE/q"}`)
	h.refuses([]refusal{
		{"DeleteQueue", `{"QueueUrl":"QUEUE/q"}`, 400, "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist."},
		{"CreateQueue", `{"QueueName":"q"}`, 400, "AWS.SimpleQueueService.QueueDeletedRecently", "You must wait 60 seconds after deleting a queue before you can create another with the same name."},
	})
}

func TestListAndTags(t *testing.T) {
	h := newHarness(t)
	for _, name := range []string{"a1", "a2", "a3", "b"} {
		h.create(name, "")
	}
	page := h.ok("ListQueues", `{"QueueNamePrefix":"a","MaxResults":2}`)
	rest := h.ok("ListQueues", `{"QueueNamePrefix":"a","MaxResults":2,"NextToken":"`+page["NextToken"].(string)+`"}`)
	if fmt.Sprint(page["QueueUrls"], rest) != fmt.Sprintf("[%s %s] map[QueueUrls:[%s]]", h.queueURL("a1"), h.queueURL("a2"), h.queueURL("a3")) {
		t.Error(page, rest)
	}
	h.ok("TagQueue", `{"QueueUrl":"QUEUE/b","Tags":{"x":"1","y":"2"}}`)
	h.ok("UntagQueue", `{"QueueUrl":"QUEUE/b","TagKeys":["x","z"]}`)
	if got := fmt.Sprint(h.ok("ListQueueTags", `{"QueueUrl":"QUEUE/b"}`)); got != "map[Tags:map[y:2]]" {
		t.Error(got)
	}
	tags := `"t0":""`
	for i := range maxTags {
		tags += fmt.Sprintf(`,"t%d":""`, i+1)
	}
	h.refuses([]refusal{
		{"CreateQueue", `{"QueueName":"tags","tags":{` + tags + `}}`, 400, "InvalidParameterValue", "Too many tags added for queue tags."},
		{"TagQueue", `{"QueueUrl":"QUEUE/b","Tags":{` + tags + `}}`, 400, "InvalidParameterValue", "Too many tags added for queue b."},
	})
}

func TestPermissions(t *testing.T) {
	h := newHarness(t)
	h.create("q", "")
	h.ok("AddPermission", `{"QueueUrl":"QUEUE/q","Label":"one","AWSAccountIds":["111111111111","668614515564"],"Actions":["ReceiveMessage"]}`)
	want := `{"Version":"2008-10-17","Id":"arn:aws:sqs:us-east-1:111111111111:q/SQSDefaultPolicy","Statement":[{"Sid":"one","Effect":"Allow",` +
		`"Principal":{"AWS":["arn:aws:iam::111111111111:root","arn:aws:iam::668614515564:root"]},"Action":"SQS:ReceiveMessage","Resource":"arn:aws:sqs:us-east-1:111111111111:q"}]}`
	if got := h.attributes("q")["Policy"]; got != want {
		t.Errorf("%v", got)
	}
	h.refuses([]refusal{
		{"AddPermission", `{"QueueUrl":"QUEUE/q","Label":"one","AWSAccountIds":["111111111111"],"Actions":["ReceiveMessage"]}`, 400, "InvalidParameterValue",
			"Value one for parameter Label is invalid. Reason: Already exists."},
		{"RemovePermission", `{"QueueUrl":"QUEUE/q","Label":"two"}`, 400, "InvalidParameterValue", "Value two for parameter Label is invalid. Reason: can't find label."},
	})
	h.ok("RemovePermission", `{"QueueUrl":"QUEUE/q","Label":"one"}`)
	if got := h.attributes("q")["Policy"]; got != nil {
		t.Errorf("%v", got)
	}
}

// TestQueryProtocol is a life of a message as clients from before the end of 2023 speak:
// the query protocol, at the path of the queue.
func TestQueryProtocol(t *testing.T) {
	h := newHarness(t)
	expect := func(r reply, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(r.body, w) {
				t.Errorf("no %s in %d %s", w, r.status, r.body)
			}
		}
	}
	expect(h.query("/", "Action", "CreateQueue", "QueueName", "q", "Attribute.1.Name", "VisibilityTimeout", "Attribute.1.Value", "7"), "<QueueUrl>"+h.queueURL("q")+"</QueueUrl>")
	path := "/" + account + "/q"
	expect(h.query(path, "Action", "SendMessage", "MessageBody", "hello"), "<MD5OfMessageBody>5d41402abc4b2a76b9719d911017c592</MD5OfMessageBody>")
	received := h.query(path, "Action", "ReceiveMessage", "AttributeName.1", "All")
	expect(received, "<Body>hello</Body>", "<Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>")
	_, rest, _ := strings.Cut(received.body, "<ReceiptHandle>")
	receipt, _, _ := strings.Cut(rest, "</ReceiptHandle>")
	expect(h.query(path, "Action", "GetQueueAttributes", "AttributeName.1", "VisibilityTimeout"), "<Attribute><Name>VisibilityTimeout</Name><Value>7</Value></Attribute>")
	expect(h.query("/", "Action", "DeleteMessage", "QueueUrl", h.queueURL("q"), "ReceiptHandle", receipt), "<DeleteMessageResponse")
	bad := h.query("/"+account+"/none", "Action", "ReceiveMessage")
	expect(bad, "<Type>Sender</Type><Code>AWS.SimpleQueueService.NonExistentQueue</Code><Message>The specified queue does not exist.</Message>")
	if bad.status != 400 {
		t.Error(bad.status)
	}
}
