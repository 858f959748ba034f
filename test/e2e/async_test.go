//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// TestAsynchronous follows asynchronous invocations to their ends.
func TestAsynchronous(t *testing.T) {
	s := start(t, "-sandbox", "process")
	for name, test := range map[string]func(*testing.T, *server, *tenant){
		"throttled": testThrottledEvent, "turned off": testTurnedOff, "dead-letter queue": testDeadLetter,
		"destinations": testDestinations, "loop by a queue": testLoopByQueue, "loop by a topic": testLoopByTopic,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s, newTenant(s.url))
		})
	}
}

// waits are the delays after which a server's log says that an event will be tried again. A line
// says what is left of one: that is rounded to whole seconds.
func (s *server) waits(id string) ([]time.Duration, error) {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return nil, err
	}
	var found []time.Duration
	line := regexp.MustCompile(`msg="event will be tried again".* requestId=` + id + ` in=(\S+)`)
	for _, m := range line.FindAllSubmatch(text, -1) {
		d, err := time.ParseDuration(string(m[1]))
		if err != nil {
			return nil, err
		}
		found = append(found, d.Round(time.Second))
	}
	return found, nil
}

// testThrottledEvent sends an event to a function whose only permit is taken. The caller never
// hears of it; the event waits 1 s, 2 s, 4 s, and runs.
func testThrottledEvent(t *testing.T, s *server, a *tenant) {
	l := newLedger(t)
	a.keeper(t, function{name: "busy", timeout: 30, reserved: aws.Int32(1)}, l)
	first := make(chan error, 1)
	go func() {
		_, err := a.call(t.Context(), "busy", map[string]int{"ms": 5000}, &struct{}{})
		first <- err
	}()
	l.wait(t, 1)
	a.async(t, "busy", `{"n": 2}`)
	second := l.wait(t, 2)[1]
	if err := <-first; err != nil || second.Text != `{"n": 2}` {
		t.Errorf("%v, then %+v", err, second)
	}
	waits, err := s.waits(second.Request)
	if want := []time.Duration{1e9, 2e9, 4e9}; err != nil || !slices.Equal(waits, want) {
		t.Errorf("the event waited %v, want %v: %v", waits, want, err)
	}
}

// A record is what a destination is sent.
type destinationRecord struct {
	RequestContext struct {
		FunctionArn, Condition string
		ApproximateInvokeCount int
	}
	RequestPayload  json.RawMessage
	ResponseContext *struct {
		StatusCode    int
		FunctionError string
	}
	ResponsePayload json.RawMessage
}

func recordOf(t *testing.T, text string) destinationRecord {
	t.Helper()
	var r destinationRecord
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return r
}

// destinations configures a function's asynchronous invocation, without retries.
func (a *tenant) destinations(t *testing.T, name, success, failure string) {
	t.Helper()
	in := &lambda.PutFunctionEventInvokeConfigInput{FunctionName: &name, MaximumRetryAttempts: aws.Int32(0), DestinationConfig: &types.DestinationConfig{}}
	if success != "" {
		in.DestinationConfig.OnSuccess = &types.OnSuccess{Destination: &success}
	}
	if failure != "" {
		in.DestinationConfig.OnFailure = &types.OnFailure{Destination: &failure}
	}
	if _, err := a.PutFunctionEventInvokeConfig(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

func testTurnedOff(t *testing.T, _ *server, a *tenant) {
	a.keeper(t, function{name: "off", reserved: aws.Int32(0)}, newLedger(t))
	a.destinations(t, "off", "", a.queue(t, "failures", nil))
	a.async(t, "off", `{"n": 1}`)
	r := recordOf(t, *a.takeN(t, "failures", 1)[0].Body)
	if c := r.RequestContext; c.Condition != "ZeroReservedConcurrency" || c.ApproximateInvokeCount != 0 || c.FunctionArn != a.functionARN("off:$LATEST") ||
		string(r.RequestPayload) != `{"n":1}` || r.ResponseContext != nil || r.ResponsePayload != nil {
		t.Errorf("the record is %+v with %s", r, r.RequestPayload)
	}
}

func testDeadLetter(t *testing.T, _ *server, a *tenant) {
	dead := a.queue(t, "dead", nil)
	l := newLedger(t)
	a.keeper(t, function{name: "fails"}, l)
	if _, err := a.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("fails"), DeadLetterConfig: &types.DeadLetterConfig{TargetArn: &dead},
	}); err != nil {
		t.Fatal(err)
	}
	a.active(t, "fails")
	a.destinations(t, "fails", "", a.queue(t, "failures", nil))
	event := `{"fail": true, "text": "exactly  as sent"}`
	a.async(t, "fails", event)
	m := a.takeN(t, "dead", 1)[0]
	got := make(map[string]string)
	for name, v := range m.MessageAttributes {
		got[name] = *v.DataType + " " + *v.StringValue
	}
	want := map[string]string{"RequestID": "String " + l.wait(t, 1)[0].Request, "ErrorCode": "Number 200", "ErrorMessage": "String 1 failed as told"}
	if *m.Body != event || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the dead letter is %s with %v, want %s with %v", *m.Body, got, event, want)
	}
	r := recordOf(t, *a.takeN(t, "failures", 1)[0].Body)
	if r.RequestContext.Condition != "RetriesExhausted" || r.RequestContext.ApproximateInvokeCount != 1 ||
		r.ResponseContext == nil || r.ResponseContext.FunctionError != "Unhandled" || r.ResponseContext.StatusCode != 200 {
		t.Errorf("the record is %+v", r)
	}
}

// testDestinations has a success told to a function, whose success is told to a topic, which
// leads to a queue.
func testDestinations(t *testing.T, _ *server, a *tenant) {
	first, second := newLedger(t), newLedger(t)
	a.keeper(t, function{name: "first"}, first)
	a.keeper(t, function{name: "second"}, second)
	topic, err := a.sns.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("done")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.sns.Subscribe(t.Context(), &sns.SubscribeInput{
		TopicArn: topic.TopicArn, Protocol: aws.String("sqs"), Endpoint: aws.String(a.queue(t, "end", nil)), Attributes: attributes{"RawMessageDelivery": "true"},
	}); err != nil {
		t.Fatal(err)
	}
	a.destinations(t, "first", a.functionARN("second"), "")
	a.destinations(t, "second", *topic.TopicArn, "")
	a.async(t, "first", `{"n": 1}`)
	told := recordOf(t, second.wait(t, 1)[0].Text)
	end := recordOf(t, *a.takeN(t, "end", 1)[0].Body)
	if told.RequestContext.Condition != "Success" || string(told.RequestPayload) != `{"n":1}` || string(told.ResponsePayload) != `{}` {
		t.Errorf("the second function was told %+v", told)
	}
	if end.RequestContext.Condition != "Success" || end.RequestContext.FunctionArn != a.functionARN("second:$LATEST") ||
		recordOf(t, string(end.RequestPayload)).RequestContext.FunctionArn != a.functionARN("first:$LATEST") {
		t.Errorf("the topic was told %+v about %s", end, end.RequestPayload)
	}
}

const hops = 16 // of a chain of events through one function, before it is stopped

// loop makes a function that sends itself what it is given.
func (a *tenant) loop(t *testing.T, l ledger, way, to string) {
	t.Helper()
	a.create(t, function{name: "loop", language: golang, code: program(t, "loop"), timeout: 5, variables: map[string]string{"LEDGER": "at=" + string(l), way: to}})
}

// looped checks how often the loop went round.
func looped(t *testing.T, l ledger) {
	t.Helper()
	if all := l.wait(t, hops); len(all) != hops {
		t.Errorf("the loop went round %d times, want %d", len(all), hops)
	}
}

func testLoopByQueue(t *testing.T, _ *server, a *tenant) {
	l := newLedger(t)
	a.queue(t, "dead", nil)
	source := a.queue(t, "source", attributes{"VisibilityTimeout": "5", "RedrivePolicy": a.redrive("dead", 1)})
	a.loop(t, l, "QUEUE", *a.url("source"))
	a.mapping(t, lambda.CreateEventSourceMappingInput{FunctionName: aws.String("loop"), EventSourceArn: &source})
	a.send(t, "source", "round")
	if m := a.takeN(t, "dead", 1)[0]; *m.Body != "again" {
		t.Errorf("what looped is %s", *m.Body)
	}
	looped(t, l)
	a.empty(t, "source")
}

func testLoopByTopic(t *testing.T, _ *server, a *tenant) {
	l := newLedger(t)
	topic, err := a.sns.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("round")})
	if err != nil {
		t.Fatal(err)
	}
	a.loop(t, l, "TOPIC", *topic.TopicArn)
	a.destinations(t, "loop", "", a.queue(t, "failures", nil))
	if _, err := a.sns.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: topic.TopicArn, Protocol: aws.String("lambda"), Endpoint: aws.String(a.functionARN("loop"))}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: topic.TopicArn, Message: aws.String("round")}); err != nil {
		t.Fatal(err)
	}
	r := recordOf(t, *a.takeN(t, "failures", 1)[0].Body)
	if r.RequestContext.ApproximateInvokeCount != 0 || r.ResponseContext != nil {
		t.Errorf("the record is %+v", r)
	}
	looped(t, l)
}
