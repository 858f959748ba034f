//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// minuteLimit bounds the wait for what follows the end of a minute.
const minuteLimit = 2*time.Minute + 30*time.Second

// A meter reads the metrics of an account's functions, since about when it was made.
type meter struct {
	*cloudwatch.Client
	since time.Time
}

func newMeter(a *account) *meter {
	o := a.Options()
	return &meter{
		cloudwatch.New(cloudwatch.Options{Region: region, BaseEndpoint: o.BaseEndpoint, Credentials: o.Credentials, HTTPClient: patient}),
		time.Now().Truncate(time.Minute),
	}
}

// points are a metric's datapoints by the minute. Dimensions are names and values in turn.
func (m *meter) points(ctx context.Context, name string, stat types.Statistic, dimensions ...string) ([]types.Datapoint, error) {
	in := &cloudwatch.GetMetricStatisticsInput{
		Namespace: aws.String("AWS/Lambda"), MetricName: &name, Statistics: []types.Statistic{stat}, Period: aws.Int32(60),
		StartTime: &m.since, EndTime: aws.Time(time.Now().Add(time.Minute)),
	}
	for pair := range slices.Chunk(dimensions, 2) {
		in.Dimensions = append(in.Dimensions, types.Dimension{Name: &pair[0], Value: &pair[1]})
	}
	out, err := m.GetMetricStatistics(ctx, in)
	if err != nil {
		return nil, err
	}
	return out.Datapoints, nil
}

func (m *meter) sum(ctx context.Context, name string, dimensions ...string) (float64, error) {
	points, err := m.points(ctx, name, types.StatisticSum, dimensions...)
	sum := 0.0
	for _, p := range points {
		sum += *p.Sum
	}
	return sum, err
}

func (m *meter) maximum(ctx context.Context, name string, dimensions ...string) (float64, error) {
	points, err := m.points(ctx, name, types.StatisticMaximum, dimensions...)
	most := 0.0
	for _, p := range points {
		most = max(most, *p.Maximum)
	}
	return most, err
}

// A reading is a metric that is expected to have a value.
type reading struct {
	metric     string
	read       func(context.Context, string, ...string) (float64, error)
	want       float64
	dimensions []string
}

// reads waits until the metrics have these values.
func reads(t testing.TB, limit time.Duration, all ...reading) {
	t.Helper()
	eventually(t, limit, func() error {
		var wrong []string
		for _, r := range all {
			got, err := r.read(t.Context(), r.metric, r.dimensions...)
			if err != nil {
				return err
			}
			if got != r.want {
				wrong = append(wrong, fmt.Sprintf("%s of %v is %v, want %v", r.metric, r.dimensions, got, r.want))
			}
		}
		if wrong != nil {
			return fmt.Errorf("%s", strings.Join(wrong, "\n"))
		}
		return nil
	})
}

// prod publishes a version of a function and makes the alias prod of it.
func (a *account) prod(t testing.TB, name string) {
	t.Helper()
	v, err := a.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: &name})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: &name, Name: aws.String("prod"), FunctionVersion: v.Version}); err != nil {
		t.Fatal(err)
	}
}

// alerts makes a topic whose notifications go to the queue "alerts", and returns its ARN.
func (a *tenant) alerts(t testing.TB) string {
	t.Helper()
	topic, err := a.sns.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("AlertSNSTopic")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.sns.Subscribe(t.Context(), &sns.SubscribeInput{
		TopicArn: topic.TopicArn, Protocol: aws.String("sqs"), Endpoint: aws.String(a.queue(t, "alerts", nil)),
	}); err != nil {
		t.Fatal(err)
	}
	return *topic.TopicArn
}

// An alert is what an alarm says when its state changes.
type alert struct {
	AlarmName, AlarmDescription                  string
	NewStateValue, OldStateValue, NewStateReason string
	StateChangeTime                              string
	subject                                      string
	Trigger                                      struct {
		MetricName, Namespace, Statistic string
		Period                           int
		Threshold                        float64
	}
}

// alerted waits until the notifications that arrived, in the order of the changes, end with
// these states, and returns the last ones.
func (a *tenant) alerted(t testing.TB, states ...string) []alert {
	t.Helper()
	var all []alert
	eventually(t, minuteLimit, func() error {
		out, err := a.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: a.url("alerts"), MaxNumberOfMessages: 10, WaitTimeSeconds: 10, VisibilityTimeout: 600,
		})
		if err != nil {
			return err
		}
		for _, m := range out.Messages {
			var outer struct{ Subject, Message string }
			if err := json.Unmarshal([]byte(*m.Body), &outer); err != nil {
				return err
			}
			one := alert{subject: outer.Subject}
			if err := json.Unmarshal([]byte(outer.Message), &one); err != nil {
				return err
			}
			all = append(all, one)
		}
		slices.SortFunc(all, func(x, y alert) int { return strings.Compare(x.StateChangeTime, y.StateChangeTime) })
		var got []string
		for _, one := range all {
			got = append(got, one.NewStateValue)
		}
		if tail := got[max(0, len(got)-len(states)):]; !slices.Equal(tail, states) {
			return fmt.Errorf("the states told are %v, want %v at the end", got, states)
		}
		return nil
	})
	return all[len(all)-len(states):]
}
