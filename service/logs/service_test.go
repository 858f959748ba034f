package logs

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
	"github.com/weir-run/weir/store/logs"
)

func TestGroups(t *testing.T) {
	h := newHarness(t)
	for i := range 60 {
		h.ok("CreateLogGroup", fmt.Sprintf(`{"logGroupName":"g%02d","tags":{"a":"b"}}`, i))
	}
	h.refuses("CreateLogGroup", `{"logGroupName":"g00"}`, "ResourceAlreadyExistsException", "The specified log group already exists")
	h.refuses("CreateLogGroup", `{"logGroupName":"x","kmsKeyId":"k"}`, "InvalidParameterException", "weir does not support the parameter kmsKeyId of CreateLogGroup.")
	h.refuses("CreateLogGroup", `{"logGroupName":"x","logGroupClass":"INFREQUENT_ACCESS"}`, "InvalidParameterException", "weir has no log class but STANDARD.")
	first := h.ok("DescribeLogGroups", `{}`)
	second := h.ok("DescribeLogGroups", fmt.Sprintf(`{"nextToken":%q}`, first["nextToken"]))
	if a, b := list(first, "logGroups", "logGroupName"), list(second, "logGroups", "logGroupName"); len(a) != 50 || len(b) != 10 || b[9] != "g59" || second["nextToken"] != nil {
		t.Errorf("%v %v", a, b)
	}
	h.equal(list(h.ok("DescribeLogGroups", `{"logGroupNamePrefix":"g1","limit":2}`), "logGroups", "arn"),
		"arn:aws:logs:us-east-1:111111111111:log-group:g10:*", "arn:aws:logs:us-east-1:111111111111:log-group:g11:*")
	h.equal(list(h.ok("DescribeLogGroups", `{"logGroupNamePattern":"07"}`), "logGroups", "logGroupName"), "g07")
	h.equal(list(h.ok("DescribeLogGroups", `{"logGroupIdentifiers":["g03","arn:aws:logs:us-east-1:111111111111:log-group:g01"]}`), "logGroups", "logGroupName"), "g01", "g03")
	h.refuses("DescribeLogGroups", `{"nextToken":"%%"}`, "InvalidParameterException", "The specified nextToken is invalid.")

	h.ok("PutRetentionPolicy", `{"logGroupName":"g00","retentionInDays":7}`)
	h.equal(list(h.ok("DescribeLogGroups", `{"limit":1}`), "logGroups", "retentionInDays"), "7")
	h.ok("DeleteRetentionPolicy", `{"logGroupName":"g00"}`)
	h.equal(list(h.ok("DescribeLogGroups", `{"limit":1}`), "logGroups", "retentionInDays"), "<nil>")
	if status, text := h.do("PutRetentionPolicy", `{"logGroupName":"g00","retentionInDays":2}`); status != 400 || !strings.Contains(text, "enum value set: [1, 3, 5,") {
		t.Errorf("%d %s", status, text)
	}
	h.ok("DeleteLogGroup", `{"logGroupName":"g00"}`)
	for _, operation := range []string{"DeleteLogGroup", "DescribeLogStreams", "FilterLogEvents", "ListTagsLogGroup", "DescribeSubscriptionFilters"} {
		h.refuses(operation, `{"logGroupName":"g00"}`, "ResourceNotFoundException", "The specified log group does not exist.")
	}
	if status, text := h.do("StartQuery", `{}`); status != 501 && status != 400 {
		t.Errorf("an operation that weir lacks: %d %s", status, text)
	}
}

func TestTags(t *testing.T) {
	h := newHarness(t)
	h.ok("CreateLogGroup", `{"logGroupName":"g","tags":{"a":"1"}}`)
	h.ok("TagLogGroup", `{"logGroupName":"g","tags":{"b":"2"}}`)
	arn := `"resourceArn":"arn:aws:logs:us-east-1:111111111111:log-group:g"`
	h.ok("TagResource", `{`+arn+`,"tags":{"c":"3"}}`)
	h.ok("UntagResource", `{`+arn+`,"tagKeys":["a"]}`)
	if got := fmt.Sprint(h.ok("ListTagsForResource", `{`+arn+`}`)["tags"]); got != "map[b:2 c:3]" {
		t.Error(got)
	}
	h.ok("UntagLogGroup", `{"logGroupName":"g","tags":["b"]}`)
	if got := fmt.Sprint(h.ok("ListTagsLogGroup", `{"logGroupName":"g"}`)["tags"]); got != "map[c:3]" {
		t.Error(got)
	}
	h.refuses("TagLogGroup", `{"logGroupName":"none","tags":{"b":"2"}}`, "ResourceNotFoundException", "The specified log group does not exist.")
}

func TestStreams(t *testing.T) {
	h := newHarness(t)
	h.ok("CreateLogGroup", `{"logGroupName":"g"}`)
	for _, name := range []string{"c", "a", "b"} {
		h.ok("CreateLogStream", fmt.Sprintf(`{"logGroupName":"g","logStreamName":%q}`, name))
		if name != "b" {
			h.ok("PutLogEvents", fmt.Sprintf(`{"logGroupName":"g","logStreamName":%q,"logEvents":[{"timestamp":%d,"message":"x"}]}`, name, time.Now().UnixMilli()-int64(name[0])))
		}
	}
	h.refuses("CreateLogStream", `{"logGroupName":"g","logStreamName":"a"}`, "ResourceAlreadyExistsException", "The specified log stream already exists")
	for body, want := range map[string][]string{
		``:                           {"a", "b", "c"},
		`,"descending":true`:         {"c", "b", "a"},
		`,"orderBy":"LastEventTime"`: {"b", "c", "a"},
		`,"orderBy":"LastEventTime","descending":true`: {"a", "c", "b"},
		`,"logStreamNamePrefix":"b"`:                   {"b"},
	} {
		var got []string
		token := ""
		for {
			answer := h.ok("DescribeLogStreams", `{"logGroupName":"g","limit":1`+token+body+`}`)
			got = append(got, list(answer, "logStreams", "logStreamName")...)
			if answer["nextToken"] == nil {
				break
			}
			token = fmt.Sprintf(`,"nextToken":%q`, answer["nextToken"])
		}
		h.equal(got, want...)
	}
	h.refuses("DescribeLogStreams", `{"logGroupName":"g","orderBy":"LastEventTime","logStreamNamePrefix":"b"}`, "InvalidParameterException", "Cannot order by LastEventTime with a logStreamNamePrefix.")
	h.ok("DeleteLogStream", `{"logGroupName":"g","logStreamName":"a"}`)
	h.equal(list(h.ok("DescribeLogStreams", `{"logGroupName":"g"}`), "logStreams", "logStreamName"), "b", "c")
	h.equal(list(h.ok("FilterLogEvents", `{"logGroupName":"g"}`), "events", "logStreamName"), "c")
	h.refuses("GetLogEvents", `{"logGroupName":"g","logStreamName":"a"}`, "ResourceNotFoundException", "The specified log stream does not exist.")
}

func TestPutLogEvents(t *testing.T) {
	h := newHarness(t)
	h.stream()
	now := time.Now()
	batch := func(times ...time.Duration) string {
		var events []string
		for _, d := range times {
			events = append(events, fmt.Sprintf(`{"timestamp":%d,"message":"x"}`, now.Add(d).UnixMilli()))
		}
		return `{"logGroupName":"g","logStreamName":"s","logEvents":[` + strings.Join(events, ",") + `]}`
	}
	hour := time.Hour
	h.refuses("PutLogEvents", batch(0, -hour), "InvalidParameterException", "Log events in a single PutLogEvents request must be in chronological order.")
	h.refuses("PutLogEvents", batch(-25*hour, 0), "InvalidParameterException", "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	h.refuses("PutLogEvents", `{"logGroupName":"g","logStreamName":"none","logEvents":[{"timestamp":1,"message":"x"}]}`, "ResourceNotFoundException", "The specified log stream does not exist.")
	large := fmt.Sprintf(`{"timestamp":%d,"message":"%s"}`, now.UnixMilli(), strings.Repeat("x", 1<<19))
	h.refuses("PutLogEvents", `{"logGroupName":"g","logStreamName":"s","logEvents":[`+large+`,`+large+`]}`, "InvalidParameterException", "Upload too large: 1048628 bytes exceeds limit of 1048576")
	for body, want := range map[string]string{
		batch(-1*hour, 0, hour, 3*hour, 4*hour):            "map[tooNewLogEventStartIndex:3]",
		batch(-337*hour, -336*hour-time.Minute, -335*hour): "map[tooOldLogEventEndIndex:2]",
		batch(0): "<nil>",
	} {
		if got := fmt.Sprint(h.ok("PutLogEvents", body)["rejectedLogEventsInfo"]); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	h.ok("PutRetentionPolicy", `{"logGroupName":"g","retentionInDays":1}`)
	if got := fmt.Sprint(h.ok("PutLogEvents", batch(-30*hour, -20*hour))["rejectedLogEventsInfo"]); got != "map[expiredLogEventEndIndex:1]" {
		t.Error(got)
	}
}

// Tokens lead in both directions, and repeat at the ends.
// An entity is refused by itself: the events are written all the same.
func TestRejectedEntity(t *testing.T) {
	h := newHarness(t)
	h.stream()
	body := fmt.Sprintf(`{"logGroupName":"g","logStreamName":"s","logEvents":[{"timestamp":%d,"message":"m"}],"entity":{"keyAttributes":{"Type":"Service","Name":"n"}}}`, time.Now().UnixMilli())
	if got := fmt.Sprint(h.ok("PutLogEvents", body)["rejectedEntityInfo"]); got != "map[errorType:UnsupportedLogGroupType]" {
		t.Error(got)
	}
	if got, ok := h.put("n")["rejectedEntityInfo"]; ok {
		t.Error(got)
	}
	h.equal(list(h.ok("GetLogEvents", `{"logGroupName":"g","logStreamName":"s"}`), "events", "message"), "m", "n")
}

func TestGetLogEvents(t *testing.T) {
	h := newHarness(t)
	h.stream()
	h.put("1", "2", "3", "4", "5")
	get := func(more string) map[string]any {
		t.Helper()
		return h.ok("GetLogEvents", `{"logGroupName":"g","logStreamName":"s"`+more+`}`)
	}
	token := func(answer map[string]any, name string) string {
		return fmt.Sprintf(`,"limit":2,"nextToken":%q`, answer[name])
	}
	forward, backward := "nextForwardToken", "nextBackwardToken"
	p := get(`,"startFromHead":true,"limit":2`)
	h.equal(list(p, "events", "message"), "1", "2")
	p = get(token(p, forward))
	h.equal(list(p, "events", "message"), "3", "4")
	back := get(token(p, backward))
	h.equal(list(back, "events", "message"), "1", "2")
	p = get(token(p, forward))
	h.equal(list(p, "events", "message"), "5")
	end := get(token(p, forward))
	h.equal(list(end, "events", "message"))
	if end[forward] != p[forward] {
		t.Errorf("the token at the end: %v, %v", p[forward], end[forward])
	}
	h.put("6")
	h.equal(list(get(token(end, forward)), "events", "message"), "6")
	p = get(`,"limit":2`)
	h.equal(list(p, "events", "message"), "5", "6")
	start := get(token(back, backward))
	h.equal(list(start, "events", "message"))
	if start[backward] != back[backward] {
		t.Errorf("the token at the beginning: %v, %v", back[backward], start[backward])
	}
	// Nothing is passed over when a reader turns at an end.
	h.equal(list(get(token(start, forward)), "events", "message"), "1", "2")
	h.equal(list(get(token(get(token(p, forward)), backward)), "events", "message"), "5", "6")

	// Who begins with an empty stream sees what comes.
	h.ok("CreateLogStream", `{"logGroupName":"g","logStreamName":"empty"}`)
	for _, more := range []string{"", `,"startFromHead":true`} {
		empty := h.ok("GetLogEvents", `{"logGroupName":"g","logStreamName":"empty"`+more+`}`)
		h.ok("PutLogEvents", fmt.Sprintf(`{"logGroupName":"g","logStreamName":"empty","logEvents":[{"timestamp":%d,"message":"new"}]}`, time.Now().UnixMilli()))
		h.equal(list(h.ok("GetLogEvents", `{"logGroupName":"g","logStreamName":"empty"`+token(empty, forward)+`}`), "events", "message"), "new")
		h.ok("DeleteLogStream", `{"logGroupName":"g","logStreamName":"empty"}`)
		h.ok("CreateLogStream", `{"logGroupName":"g","logStreamName":"empty"}`)
	}
	h.refuses("GetLogEvents", `{"logGroupName":"g","logStreamName":"s","nextToken":"f/x/s"}`, "InvalidParameterException", "The specified nextToken is invalid.")
}

func TestFilterLogEvents(t *testing.T) {
	h := newHarness(t)
	h.stream()
	h.put("ERROR 1", "INFO 2", `{"level":"ERROR","n":3}`, "ERROR 4")
	filter := func(more string) map[string]any {
		t.Helper()
		return h.ok("FilterLogEvents", `{"logGroupName":"g"`+more+`}`)
	}
	h.equal(list(filter(`,"filterPattern":"ERROR -4"`), "events", "message"), "ERROR 1", `{"level":"ERROR","n":3}`)
	h.equal(list(filter(`,"filterPattern":"{ $.n = 3 }","logStreamNamePrefix":"s"`), "events", "message"), `{"level":"ERROR","n":3}`)
	h.equal(list(filter(`,"logStreamNamePrefix":"t"`), "events", "message"))
	p := filter(`,"limit":3,"logStreamNames":["s"]`)
	h.equal(list(p, "events", "logStreamName"), "s", "s", "s")
	h.equal(list(filter(fmt.Sprintf(`,"limit":3,"nextToken":%q`, p["nextToken"])), "events", "message"), "ERROR 4")
	h.refuses("FilterLogEvents", `{"logGroupName":"g","filterPattern":"a:b"}`, "InvalidParameterException", "Invalid character(s) in term ':'")
	h.refuses("FilterLogEvents", `{"logGroupName":"g","logStreamNames":["none"]}`, "ResourceNotFoundException", "The specified log stream does not exist.")
}

// What a function writes is in its group at once, which is made if it is missing, even after it
// was deleted.
func TestFunctionLogs(t *testing.T) {
	h := newHarness(t)
	write, err := h.service.OpenLog(scope, "/aws/lambda/f", "2026/11/21/[$LATEST]x")
	if err != nil {
		t.Fatal(err)
	}
	write(time.Now(), []byte("START\nhello\n"))
	h.equal(list(h.ok("FilterLogEvents", `{"logGroupName":"/aws/lambda/f"}`), "events", "message"), "START\n", "hello\n")
	h.equal(h.mu.seen, "/aws/lambda/f 2026/11/21/[$LATEST]x START\n", "/aws/lambda/f 2026/11/21/[$LATEST]x hello\n")
	h.ok("DeleteLogGroup", `{"logGroupName":"/aws/lambda/f"}`)
	write(time.Now(), []byte("again\n"))
	h.until("the group is there again", func() bool {
		status, text := h.do("FilterLogEvents", `{"logGroupName":"/aws/lambda/f"}`)
		return status == 200 && strings.Contains(text, "again") && !strings.Contains(text, "hello")
	})
}

// What is no UTF-8 does not spoil an answer.
func TestBinaryOutput(t *testing.T) {
	h := newHarness(t)
	write, err := h.service.OpenLog(scope, "/aws/lambda/f", "s")
	if err != nil {
		t.Fatal(err)
	}
	write(time.Now(), []byte("a\xff\x00\x1bb\u2028\n"))
	h.equal(list(h.ok("FilterLogEvents", `{"logGroupName":"/aws/lambda/f"}`), "events", "message"), "a\ufffd\x00\x1bb\u2028\n")
}

func TestSubscription(t *testing.T) {
	h := newHarness(t)
	h.stream()
	err := h.service.update(func(tx *store.Tx) error {
		store.Functions.Put(tx, scope, "f", &lambda.Function{Name: "f"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	body := `{"logGroupName":"g","filterName":"%s","filterPattern":"ERROR","destinationArn":"arn:aws:%s"}`
	h.refuses("PutSubscriptionFilter", fmt.Sprintf(body, "a", "kinesis:us-east-1:111111111111:stream/x"), "InvalidParameterException",
		"weir sends log events to Lambda functions only; arn:aws:kinesis:us-east-1:111111111111:stream/x is none.")
	h.refuses("PutSubscriptionFilter", fmt.Sprintf(body, "a", "lambda:us-east-1:111111111111:function:none"), "InvalidParameterException",
		"Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute your function.")
	for _, name := range []string{"b", "a", "a"} {
		h.ok("PutSubscriptionFilter", fmt.Sprintf(body, name, "lambda:us-east-1:111111111111:function:f"))
	}
	h.refuses("PutSubscriptionFilter", fmt.Sprintf(body, "c", "lambda:us-east-1:111111111111:function:f"), "LimitExceededException", "Resource limit exceeded.")
	h.equal(list(h.ok("DescribeSubscriptionFilters", `{"logGroupName":"g"}`), "subscriptionFilters", "filterName"), "a", "b")
	h.ok("DeleteSubscriptionFilter", `{"logGroupName":"g","filterName":"b"}`)
	h.refuses("DeleteSubscriptionFilter", `{"logGroupName":"g","filterName":"b"}`, "ResourceNotFoundException", "The specified subscription filter does not exist.")
	h.put("fine", "ERROR 1", "ERROR 2")
	h.until("the function was invoked", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.mu.invoked) == 1 })
	inv := h.mu.invoked[0]
	var event struct{ AWSLogs struct{ Data []byte } }
	if err := json.Unmarshal(inv.payload, &event); err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(event.AWSLogs.Data))
	if err != nil {
		t.Fatal(err)
	}
	var m dataMessage
	if err := json.NewDecoder(z).Decode(&m); err != nil {
		t.Fatal(err)
	}
	if inv.arn != "arn:aws:lambda:us-east-1:111111111111:function:f" || m.MessageType != "DATA_MESSAGE" || m.Owner != scope.Account || m.LogGroup != "g" || m.LogStream != "s" ||
		len(m.LogEvents) != 2 || m.LogEvents[1].Message != "ERROR 2" || len(m.LogEvents[0].ID) != 56 || m.SubscriptionFilters[0] != "a" {
		t.Errorf("%s %+v", inv.arn, m)
	}
}

// A payload for a function is small enough, whatever the messages are.
func TestPayloadSize(t *testing.T) {
	var events []dataEvent
	raw := make([]byte, maxPayload)
	for i := range raw {
		raw[i] = byte(33 + i*7919%90)
	}
	events = append(events, dataEvent{strings.Repeat("9", 56), 1 << 40, string(raw)})
	b, err := packed(dataMessage{LogEvents: events})
	if err != nil || len(b) > lambda.MaxEventRequest || !strings.HasPrefix(string(b), `{"awslogs":{"data":"`+base64.StdEncoding.EncodeToString([]byte{0x1f, 0x8b, 8})) {
		t.Errorf("%d bytes, %v: %.40s", len(b), err, b)
	}
}

func TestMetricFilter(t *testing.T) {
	h := newHarness(t)
	h.stream()
	put := func(name, pattern, transformation string) string {
		return fmt.Sprintf(`{"logGroupName":"g","filterName":%q,"filterPattern":%q,"metricTransformations":[{"metricName":"m","metricNamespace":"n",%s}]}`, name, pattern, transformation)
	}
	h.ok("PutMetricFilter", put("count", "ERROR", `"metricValue":"1","defaultValue":0`))
	h.ok("PutMetricFilter", put("time", `{ $.ms > 0 }`, `"metricValue":"$.ms","unit":"Milliseconds","dimensions":{"Path":"$.path"}`))
	h.refuses("PutMetricFilter", put("x", `{ $.ms > 0 }`, `"metricValue":"$.ms","defaultValue":0,"dimensions":{"Path":"$.path"}`), "InvalidParameterException",
		"Invalid metric transformation: dimensions and default value are mutually exclusive properties.")
	h.refuses("PutMetricFilter", put("x", "ERROR", `"metricValue":"much"`), "InvalidParameterException",
		"Invalid metric transformation: the metric value 'much' is neither a number nor a selector.")
	// What no event can have would never give a datapoint.
	for _, x := range []struct{ pattern, transformation, want string }{
		{"ERROR", `"metricValue":"$ms"`, "the metric value '$ms' names nothing that the filter pattern has."},
		{"{ $.ms > 0 }", `"metricValue":"1","dimensions":{"a\u0000b":"$.ms"}`, `the name "a\x00b" is empty, too long or has control characters.`},
		{"ERROR", `"metricValue":"NaN"`, "the metric value 'NaN' is neither a number nor a selector."},
		{"[ip, ms]", `"metricValue":"$size"`, "the metric value '$size' names nothing that the filter pattern has."},
		{"[ip, ms]", `"metricValue":"$.ms"`, "the metric value '$.ms' names nothing that the filter pattern has."},
		{"{ $.ms > 0 }", `"metricValue":"$.ms["`, "the metric value '$.ms[' names nothing that the filter pattern has."},
		{"{ $.ms > 0 }", `"metricValue":"1","dimensions":{"Path":"path"}`, "the value 'path' of the dimension Path names nothing that the filter pattern has."},
		{"[ip, ...]", `"metricValue":"1","dimensions":{"User":"$user"}`, "the value '$user' of the dimension User names nothing that the filter pattern has."},
	} {
		h.refuses("PutMetricFilter", put("x", x.pattern, x.transformation), "InvalidParameterException", "Invalid metric transformation: "+x.want)
	}
	h.equal(list(h.ok("DescribeMetricFilters", `{"metricName":"m","metricNamespace":"n"}`), "metricFilters", "filterName"), "count", "time")
	h.equal(list(h.ok("DescribeLogGroups", `{}`), "logGroups", "metricFilterCount"), "2")
	h.put("ERROR", `{"ms":12.5,"path":"/a"}`, `{"ms":12.5}`, `{"ms":"no"}`,
		`{"ms":1,"path":""}`, `{"ms":1,"path":"a\nb"}`, `{"ms":1,"path":"`+strings.Repeat("x", 1025)+`"}`)
	h.until("two datapoints", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.mu.points) == 2 })
	for _, d := range h.mu.points {
		text := fmt.Sprintf("%s/%s %s %v %v %v", d.Namespace, d.Metric, d.Unit, d.Dimensions, d.Value, d.Scope)
		if text != "n/m None map[] 1 111111111111/us-east-1" && text != "n/m Milliseconds map[Path:/a] 12.5 111111111111/us-east-1" {
			t.Error(text)
		}
	}
	h.ok("DeleteMetricFilter", `{"logGroupName":"g","filterName":"time"}`)
	h.refuses("DeleteMetricFilter", `{"logGroupName":"g","filterName":"time"}`, "ResourceNotFoundException", "The specified metric filter does not exist.")
	h.equal(list(h.ok("DescribeMetricFilters", `{"logGroupName":"g"}`), "metricFilters", "filterName"), "count")

	answer := h.ok("TestMetricFilter", `{"filterPattern":"[a, b=2]","logEventMessages":["1 2","1 3","x 2"]}`)
	if got := fmt.Sprint(answer["matches"]); got != "[map[eventMessage:1 2 eventNumber:1 extractedValues:map[$a:1 $b:2]] map[eventMessage:x 2 eventNumber:3 extractedValues:map[$a:x $b:2]]]" {
		t.Error(got)
	}
}

// A filter that nothing would come of is refused.
func TestMetricFilterWithoutMetrics(t *testing.T) {
	h := newHarness(t)
	h.service.opt.Emit = nil
	h.ok("CreateLogGroup", `{"logGroupName":"g"}`)
	h.refuses("PutMetricFilter", `{"logGroupName":"g","filterName":"x","filterPattern":"","metricTransformations":[{"metricName":"m","metricNamespace":"n","metricValue":"1"}]}`,
		"InvalidOperationException", "This server has no metrics that a filter could feed.")
}

// A minute of events of which none matches gives the default value, once.
func TestMetricDefault(t *testing.T) {
	h := newHarness(t)
	zero := 0.0
	x := &metricFilter{Name: "x", Pattern: "ERROR", Metric: "m", Namespace: "n", Value: "1", Default: &zero}
	quiet := make(silence)
	minute := time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC)
	for i, text := range []string{"fine", "fine", "ERROR", "fine", "fine"} {
		h.service.applyMetric(x, batchAt(minute.Add(time.Duration(i)*30*time.Second), text), quiet)
	}
	h.service.flushSilence(quiet, minute.Add(time.Hour))
	var got []string
	for _, d := range h.mu.points {
		got = append(got, fmt.Sprint(d.Value, d.Time.UTC().Format(" 15:04")))
	}
	if len(got) != 3 || got[0] != "1 05:01" || !strings.Contains(strings.Join(got, ","), "0 05:00") || !strings.Contains(strings.Join(got, ","), "0 05:02") {
		t.Error(got)
	}
}

func TestLiveTail(t *testing.T) {
	h := newHarness(t)
	h.stream()
	body := `{"logGroupIdentifiers":["arn:aws:logs:us-east-1:111111111111:log-group:g"],"logEventFilterPattern":"ERROR"}`
	req, err := http.NewRequest("POST", h.url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "streaming-logs.us-east-1.amazonaws.com"
	req.Header.Set("X-Amz-Target", "Logs_20140328.StartLiveTail")
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	next := events(t, resp.Body)
	if e := next(); e.Header(":event-type") != "initial-response" {
		t.Fatalf("%+v", e)
	}
	if e := next(); e.Header(":event-type") != "sessionStart" || !strings.Contains(string(e.Payload), `"logEventFilterPattern":"ERROR"`) {
		t.Fatalf("%+v", e)
	}
	h.put("ERROR 1", "fine", "ERROR 2")
	for {
		e := next()
		if e.Header(":event-type") != "sessionUpdate" {
			t.Fatalf("%+v", e)
		}
		var u struct {
			SessionResults []struct{ Message, LogStreamName, LogGroupIdentifier string }
		}
		if err := json.Unmarshal(e.Payload, &u); err != nil {
			t.Fatal(err)
		}
		if len(u.SessionResults) == 0 {
			continue
		}
		if len(u.SessionResults) != 2 || u.SessionResults[1].Message != "ERROR 2" || u.SessionResults[0].LogGroupIdentifier != "111111111111:g" {
			t.Errorf("%s", e.Payload)
		}
		break
	}
	h.service.EndTails()
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Errorf("the end of the tail: %v", err)
	}
}

// events returns what reads the next event of a stream.
func events(t *testing.T, r io.Reader) func() wire.Event {
	var buf []byte
	part := make([]byte, 4096)
	return func() wire.Event {
		t.Helper()
		for {
			e, rest, whole, err := wire.ParseEvent(buf)
			if err != nil {
				t.Fatal(err)
			}
			if whole {
				buf = rest
				return e
			}
			n, err := r.Read(part)
			if n == 0 && err != nil {
				t.Fatal(err)
			}
			buf = append(buf, part[:n]...)
		}
	}
}

func batchAt(at time.Time, text string) logs.Batch {
	return logs.Batch{Group: logs.GroupID{Scope: scope, Name: "g"}, Stream: "s", Events: []logs.Event{{Time: at.UnixMilli(), Message: []byte(text)}}}
}
