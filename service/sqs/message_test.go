package sqs

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/weir-run/weir/store"
)

// TestTraceOfRequest sends messages with the header in which SDKs hand on a trace: a message
// without a trace of its own gets it.
func TestTraceOfRequest(t *testing.T) {
	h := newHarness(t)
	h.create("q", "")
	header := map[string]string{"X-Amzn-Trace-Id": "Root=1-2-3;Lineage=1:abcd:3", "Content-Type": "application/x-amz-json-1.0"}
	url := h.queueURL("q")
	header["X-Amz-Target"] = "AmazonSQS.SendMessage"
	one := h.send("/", `{"QueueUrl":"`+url+`","MessageBody":"a"}`, header)
	header["X-Amz-Target"] = "AmazonSQS.SendMessageBatch"
	more := h.send("/", `{"QueueUrl":"`+url+`","Entries":[{"Id":"1","MessageBody":"b"},{"Id":"2","MessageBody":"c",
		"MessageSystemAttributes":{"AWSTraceHeader":{"DataType":"String","StringValue":"Root=4-5-6"}}}]}`, header)
	if one.status != 200 || more.status != 200 || strings.Contains(one.body, "SystemAttributes") || strings.Count(more.body, "SystemAttributes") != 1 {
		t.Fatalf("%v, %v", one, more)
	}
	got := make(map[string]any)
	for _, m := range h.receive("q", `,"MaxNumberOfMessages":10,"MessageSystemAttributeNames":["AWSTraceHeader"]`) {
		got[m["Body"].(string)] = m["Attributes"].(map[string]any)["AWSTraceHeader"]
	}
	want := map[string]any{"a": "Root=1-2-3;Lineage=1:abcd:3", "b": "Root=1-2-3;Lineage=1:abcd:3", "c": "Root=4-5-6"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSendAndReceive(t *testing.T) {
	h := newHarness(t)
	h.create("q", "")
	// The digests are those that AWS answered to these messages.
	sent := h.ok("SendMessage", `{"QueueUrl":"QUEUE/q","MessageBody":"msg","MessageAttributes":{
		"Hello":{"DataType":"String","StringValue":"There"},"General":{"DataType":"String","StringValue":"Kenobi"},"Help.Me":{"DataType":"String","StringValue":"Me"}},
		"MessageSystemAttributes":{"AWSTraceHeader":{"DataType":"String","StringValue":"Root=1-2-3"}}}`)
	if sent["MD5OfMessageAttributes"] != "4c360f3fdafd970e05fae2f149d997f5" || sent["MD5OfMessageBody"] != "6e2baaf3b97dbeef01c0043275f9a0e7" ||
		sent["MD5OfMessageSystemAttributes"] == nil || sent["SequenceNumber"] != nil {
		t.Errorf("%v", sent)
	}
	for _, row := range []struct{ names, sum, attributes string }{
		{`[]`, "<nil>", "<nil>"},
		{`["All"]`, "4c360f3fdafd970e05fae2f149d997f5", "map[General:map[DataType:String StringValue:Kenobi] Hello:map[DataType:String StringValue:There] Help.Me:map[DataType:String StringValue:Me]]"},
		{`[".*"]`, "4c360f3fdafd970e05fae2f149d997f5", ""},
		{`["Foo","Help"]`, "<nil>", "<nil>"},
		{`["Hello","General"]`, "fca026605781cb4126a1e9044df24232", ""},
		{`["Foo","Hello"]`, "a311262e065454b75da111d535b8dacd", ""},
		{`["Hel.*"]`, "83fee93c1bcd8b9a5a923ffacdc636c7", "map[Hello:map[DataType:String StringValue:There] Help.Me:map[DataType:String StringValue:Me]]"},
	} {
		got := h.receive("q", `,"VisibilityTimeout":0,"MessageAttributeNames":`+row.names)
		if len(got) != 1 || got[0]["MessageId"] != sent["MessageId"] || fmt.Sprint(got[0]["MD5OfMessageAttributes"]) != row.sum ||
			row.attributes != "" && fmt.Sprint(got[0]["MessageAttributes"]) != row.attributes || got[0]["Attributes"] != nil {
			t.Errorf("%s: %v", row.names, got)
		}
	}
	got := h.receive("q", `,"AttributeNames":["SenderId"],"MessageSystemAttributeNames":["All"]`)[0]
	system := got["Attributes"].(map[string]any)
	if system["ApproximateReceiveCount"] != "8" || system["AWSTraceHeader"] != "Root=1-2-3" || system["SenderId"] != account || len(system) != 5 {
		t.Errorf("%v", system)
	}
	receipt := got["ReceiptHandle"].(string)
	h.ok("ChangeMessageVisibility", `{"QueueUrl":"QUEUE/q","ReceiptHandle":"`+receipt+`","VisibilityTimeout":0}`)
	if a := h.attributes("q"); a["ApproximateNumberOfMessages"] != "1" || a["ApproximateNumberOfMessagesNotVisible"] != "0" {
		t.Errorf("%v", a)
	}
	h.refuses([]refusal{{"ChangeMessageVisibility", `{"QueueUrl":"QUEUE/q","ReceiptHandle":"` + receipt + `","VisibilityTimeout":1}`, 400, "InvalidParameterValue",
		"Value " + receipt + " for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change."}})
	h.ok("DeleteMessage", `{"QueueUrl":"QUEUE/q","ReceiptHandle":"`+receipt+`"}`)
	h.ok("DeleteMessage", `{"QueueUrl":"QUEUE/q","ReceiptHandle":"`+receipt+`"}`)
	if got := h.receive("q", ""); got != nil {
		t.Errorf("a deleted message came back: %v", got)
	}
}

func TestBinaryAttributes(t *testing.T) {
	h := newHarness(t)
	h.create("q", "")
	h.ok("SendMessage", `{"QueueUrl":"QUEUE/q","MessageBody":"test","MessageAttributes":{"attr1":{"DataType":"Binary","BinaryValue":"dHJhY2VwYXJlbnQeMDAtNzc0MDYyZDZjMzcwODFhNWEwYjliNWI4OGUzMDYyN2MtMmQyNDgyMjExZjY0ODlkYS0wMQ=="}}}`)
	got := h.receive("q", `,"MessageAttributeNames":["All"]`)
	if len(got) != 1 || got[0]["MD5OfMessageAttributes"] != "8cbe4db156db8a94db8b801b7addb984" {
		t.Errorf("%v", got)
	}
}

func TestLongPoll(t *testing.T) {
	h := newHarness(t)
	h.create("q", "")
	answer := make(chan string, 1)
	go func() {
		answer <- h.call("ReceiveMessage", `{"QueueUrl":"QUEUE/q","WaitTimeSeconds":20}`).body
	}()
	h.ok("SendMessage", `{"QueueUrl":"QUEUE/q","MessageBody":"awake"}`)
	if got := <-answer; !strings.Contains(got, `"awake"`) {
		t.Error(got)
	}
}

func TestBatches(t *testing.T) {
	h := newHarness(t)
	h.create("q", `"MaximumMessageSize":"1024"`)
	got := h.ok("SendMessageBatch", `{"QueueUrl":"QUEUE/q","Entries":[{"Id":"a","MessageBody":"x"},{"Id":"b","MessageBody":"y","DelaySeconds":901},
		{"Id":"c","MessageBody":"`+strings.Repeat("c", 1025)+`"},{"Id":"d","MessageBody":"z"}]}`)
	if s := fmt.Sprint(got["Failed"]); s != "[map[Code:InvalidParameterValue Id:b Message:Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900. SenderFault:true]"+
		" map[Code:InvalidParameterValue Id:c Message:One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes. SenderFault:true]]" {
		t.Error(s)
	}
	if list := got["Successful"].([]any); len(list) != 2 {
		t.Error(list)
	}
	messages := h.receive("q", "")
	if len(messages) != 2 {
		t.Fatal(messages)
	}
	a, b := messages[0]["ReceiptHandle"].(string), messages[1]["ReceiptHandle"].(string)
	changed := h.ok("ChangeMessageVisibilityBatch", `{"QueueUrl":"QUEUE/q","Entries":[{"Id":"a","ReceiptHandle":"`+a+`","VisibilityTimeout":60},{"Id":"b","ReceiptHandle":"`+b+`","VisibilityTimeout":43201}]}`)
	if len(changed["Successful"].([]any)) != 1 || len(changed["Failed"].([]any)) != 1 {
		t.Error(changed)
	}
	deleted := h.ok("DeleteMessageBatch", `{"QueueUrl":"QUEUE/q","Entries":[{"Id":"a","ReceiptHandle":"`+a+`"},{"Id":"x","ReceiptHandle":"x"}]}`)
	if s := fmt.Sprint(deleted); s != `map[Failed:[map[Code:ReceiptHandleIsInvalid Id:x Message:The input receipt handle "x" is not a valid receipt handle. SenderFault:true]] Successful:[map[Id:a]]]` {
		t.Error(s)
	}
	eleven := strings.TrimSuffix(strings.Repeat(`{"Id":"a","MessageBody":"b"},`, 11), ",")
	h.refuses([]refusal{
		{"SendMessageBatch", `{"QueueUrl":"QUEUE/q","Entries":[]}`, 400, "AWS.SimpleQueueService.EmptyBatchRequest", "There should be at least one SendMessageBatchRequestEntry in the request."},
		{"SendMessageBatch", `{"QueueUrl":"QUEUE/q","Entries":[` + eleven + `]}`, 400, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10. You have sent 11."},
		{"SendMessageBatch", `{"QueueUrl":"QUEUE/q","Entries":[{"Id":"a","MessageBody":"b"},{"Id":"a","MessageBody":"b"}]}`, 400, "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "Id a repeated."},
		{"DeleteMessageBatch", `{"QueueUrl":"QUEUE/q","Entries":[{"Id":"a:b","ReceiptHandle":"b"}]}`, 400, "AWS.SimpleQueueService.InvalidBatchEntryId",
			"A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long."},
		{"SendMessageBatch", fmt.Sprintf(`{"QueueUrl":"QUEUE/q","Entries":[{"Id":"a","MessageBody":%q},{"Id":"b","MessageBody":"%s"}]}`, "x", strings.Repeat("b", MaxMessage)), 400,
			"AWS.SimpleQueueService.BatchRequestTooLong", "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes."},
	})
	if a := h.attributes("q"); a["ApproximateNumberOfMessages"] != "0" || a["ApproximateNumberOfMessagesNotVisible"] != "1" {
		t.Errorf("bad batches left something: %v", a)
	}
}

func TestBadMessages(t *testing.T) {
	h := newHarness(t)
	h.create("q", "")
	h.create("q.fifo", "")
	send := func(more string) string { return `{"QueueUrl":"QUEUE/q","MessageBody":"b",` + more + `}` }
	h.refuses([]refusal{
		{"SendMessage", `{"QueueUrl":"QUEUE/none","MessageBody":"b"}`, 400, "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist."},
		{"SendMessage", `{"MessageBody":"b"}`, 400, "MissingParameter", "The request must contain the parameter QueueUrl."},
		{"SendMessage", `{"QueueUrl":"QUEUE/q"}`, 400, "MissingParameter", "The request must contain the parameter MessageBody."},
		{"SendMessage", `{"QueueUrl":"QUEUE/q","MessageBody":"\u0000"}`, 400, "InvalidMessageContents",
			"Invalid binary character '#x0' was found in the message body, the set of allowed characters is #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"},
		{"SendMessage", `{"QueueUrl":"QUEUE/q","MessageBody":"` + strings.Repeat("a", MaxMessage+1) + `"}`, 400, "InvalidParameterValue",
			"One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes."},
		{"SendMessage", send(`"MessageAttributes":{"a":{"DataType":"Blob","StringValue":"x"}}`), 400, "InvalidParameterValue",
			"The message attribute 'a' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String."},
		{"SendMessage", send(`"MessageAttributes":{"a":{"DataType":"Number","StringValue":"x"}}`), 400, "InvalidParameterValue", "Could not cast message attribute 'a' value to number."},
		{"SendMessage", send(`"MessageAttributes":{"a":{"DataType":"Number","StringValue":"NaN"}}`), 400, "InvalidParameterValue", "Could not cast message attribute 'a' value to number."},
		{"SendMessage", send(`"MessageAttributes":{"a":{"DataType":"Number","StringValue":"0x1p-2"}}`), 400, "InvalidParameterValue", "Could not cast message attribute 'a' value to number."},
		{"SendMessage", send(`"MessageAttributes":{"a":{"DataType":"String","StringValue":""}}`), 400, "InvalidParameterValue", "The message attribute 'a' with type 'String' must use field 'String'."},
		{"SendMessage", send(`"MessageDeduplicationId":"d"`), 400, "InvalidParameterValue",
			"Value d for parameter MessageDeduplicationId is invalid. Reason: The request include parameter that is not valid for this queue type."},
		{"SendMessage", `{"QueueUrl":"QUEUE/q.fifo","MessageBody":"b"}`, 400, "MissingParameter", "The request must contain the parameter MessageGroupId."},
		{"SendMessage", `{"QueueUrl":"QUEUE/q.fifo","MessageBody":"b","MessageGroupId":"g"}`, 400, "InvalidParameterValue",
			"The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"},
		{"SendMessage", `{"QueueUrl":"QUEUE/q.fifo","MessageBody":"b","MessageGroupId":"g","MessageDeduplicationId":"d","DelaySeconds":2}`, 400, "InvalidParameterValue",
			"Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for this queue type."},
		{"ReceiveMessage", `{"QueueUrl":"QUEUE/q","MaxNumberOfMessages":11}`, 400, "InvalidParameterValue", "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."},
		{"ReceiveMessage", `{"QueueUrl":"QUEUE/q","WaitTimeSeconds":21}`, 400, "InvalidParameterValue", "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided."},
		{"ReceiveMessage", `{"QueueUrl":"QUEUE/q","AttributeNames":["Foo"]}`, 400, "InvalidAttributeName", "Unknown Attribute Foo."},
		{"DeleteMessage", `{"QueueUrl":"QUEUE/q","ReceiptHandle":"garbage"}`, 404, "ReceiptHandleIsInvalid", `The input receipt handle "garbage" is not a valid receipt handle.`},
		{"SendMessage", `{"QueueUrl":"` + h.url + `/222222222222/q","MessageBody":"b"}`, 403, "AccessDenied",
			"Access to the resource arn:aws:sqs:us-east-1:222222222222:q is denied: weir does not grant access to queues of other accounts."},
		{"SendMessage", send(`"Surprise":1`), 400, "InvalidParameterValue", "weir does not know the parameter Surprise of SendMessage."},
	})
	for _, name := range []string{"q", "q.fifo"} {
		if got := h.attributes(name)["ApproximateNumberOfMessages"]; got != "0" {
			t.Errorf("%s has %v messages of bad requests", name, got)
		}
	}
}

func TestFIFOMessages(t *testing.T) {
	h := newHarness(t)
	h.create("q.fifo", `"ContentBasedDeduplication":"true"`)
	send := func(body string) map[string]any {
		return h.ok("SendMessage", `{"QueueUrl":"QUEUE/q.fifo","MessageBody":"`+body+`","MessageGroupId":"g"}`)
	}
	first, again := send("a"), send("a")
	if first["MessageId"] != again["MessageId"] || first["SequenceNumber"] != again["SequenceNumber"] || len(first["SequenceNumber"].(string)) != 20 {
		t.Errorf("%v, %v", first, again)
	}
	send("b")
	got := h.ok("ReceiveMessage", `{"QueueUrl":"QUEUE/q.fifo","AttributeNames":["All"],"ReceiveRequestAttemptId":"try","VisibilityTimeout":30}`)
	same := h.ok("ReceiveMessage", `{"QueueUrl":"QUEUE/q.fifo","AttributeNames":["All"],"ReceiveRequestAttemptId":"try"}`)
	if fmt.Sprint(got) != fmt.Sprint(same) {
		t.Errorf("the same attempt got %v and %v", got, same)
	}
	m := got["Messages"].([]any)[0].(map[string]any)
	system := m["Attributes"].(map[string]any)
	if m["Body"] != "a" || system["MessageGroupId"] != "g" || system["SequenceNumber"] != first["SequenceNumber"] || len(system["MessageDeduplicationId"].(string)) != 64 {
		t.Errorf("%v", m)
	}
	if other := h.receive("q.fifo", ""); other != nil {
		t.Errorf("the group is in flight, and %v came", other)
	}
	receipt := m["ReceiptHandle"].(string)
	h.ok("ChangeMessageVisibility", `{"QueueUrl":"QUEUE/q.fifo","ReceiptHandle":"`+receipt+`","VisibilityTimeout":0}`)
	h.refuses([]refusal{{"DeleteMessage", `{"QueueUrl":"QUEUE/q.fifo","ReceiptHandle":"` + receipt + `"}`, 400, "InvalidParameterValue",
		"Value " + receipt + " for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."}})
	if got := h.receive("q.fifo", ""); len(got) != 2 || got[0]["Body"] != "a" || got[1]["Body"] != "b" {
		t.Errorf("%v", got)
	}
}

func TestDestination(t *testing.T) {
	h := newHarness(t)
	h.create("q", "")
	attributes := []store.MessageAttribute{{Name: "ErrorCode", Type: "Number", Value: "200"}}
	for range 2 {
		if err := h.service.Send(context.Background(), scope.ARN("sqs", "q"), store.Message{Body: "body", Attributes: attributes, Trace: "Root=1", Once: "once"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := h.receive("q", `,"MessageAttributeNames":["All"]`); len(got) != 1 || got[0]["Body"] != "body" || got[0]["MessageAttributes"] == nil {
		t.Errorf("%v", got)
	}
	// A message of a FIFO topic, or one of another topic with a message group.
	if err := h.service.Send(context.Background(), scope.ARN("sqs", "q"), store.Message{Body: "grouped", Group: "g", Dedup: "d"}); err != nil {
		t.Fatal(err)
	}
	got := h.receive("q", `,"MessageSystemAttributeNames":["All"]`)
	if len(got) != 1 || got[0]["Attributes"].(map[string]any)["MessageGroupId"] != "g" || got[0]["Attributes"].(map[string]any)["MessageDeduplicationId"] != nil {
		t.Errorf("%v", got)
	}
	h.create("q.fifo", "")
	for _, arn := range []string{scope.ARN("sqs", "q.fifo"), scope.ARN("sqs", "none"), "arn:aws:sns:us-east-1:111111111111:t", ""} {
		if err := h.service.Send(context.Background(), arn, store.Message{Body: "body"}); err == nil {
			t.Errorf("%s took a message", arn)
		}
	}
}
