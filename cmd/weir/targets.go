package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
	autoscalingservice "github.com/weir-run/weir/service/autoscaling"
	cloudwatchservice "github.com/weir-run/weir/service/cloudwatch"
	logsservice "github.com/weir-run/weir/service/logs"
	snsservice "github.com/weir-run/weir/service/sns"
	sqsservice "github.com/weir-run/weir/service/sqs"
	"github.com/weir-run/weir/store"
	"github.com/weir-run/weir/store/logs"
)

// What leads from one service to another.

// source finds the queues of event source mappings: weir's own, or those of another endpoint.
func (s *server) source(polling context.Context) func(arn string) (engine.Source, error) {
	if s.opt.Source == "" {
		return s.queues.Source
	}
	return func(arn string) (engine.Source, error) { return engine.RemoteQueue(polling, s.opt.Source, arn) }
}

// destinations deliver what asynchronous invocations came to. Topics are opened after the
// engine, which may have something for them at once: that waits.
func (s *server) destinations(ready <-chan struct{}) map[string]engine.Target {
	return map[string]engine.Target{
		"sqs": s.queues.Deliver,
		"sns": func(ctx context.Context, arn string, m *engine.Message) error {
			select {
			case <-ready:
				return s.sns.Deliver(ctx, arn, m)
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
}

// sendToQueue delivers a published message to a queue.
func (s *server) sendToQueue(ctx context.Context, arn string, m *snsservice.QueueMessage) error {
	x := store.Message{Body: string(m.Body), Group: m.GroupID, Dedup: m.DedupID, Trace: m.TraceID}
	for name, a := range m.Attributes {
		attribute, err := sqsservice.Attribute(name, a.Type, a.Value)
		if err != nil {
			return err
		}
		x.Attributes = append(x.Attributes, attribute)
	}
	return s.queues.Send(ctx, arn, x)
}

// enqueue invokes a function asynchronously: what SNS does with a message.
func (s *server) enqueue(ctx context.Context, arn string, payload []byte, traceID string) error {
	n, ok := lambda.ParseFunctionName(arn)
	if !ok {
		return lambda.Errorf(lambda.CodeInvalidParameterValue, "%q names no function", arn)
	}
	return s.engine.Enqueue(ctx, &lambda.Invocation{
		Scope: lambda.Scope{Account: n.Account, Region: n.Region}, Function: n.Name, Qualifier: n.Qualifier,
		Type: lambda.Event, RequestID: uuid.NewString(), TraceID: traceID, Payload: payload, Roll: rand.Float64(),
	})
}

// notify publishes what an alarm says.
func (s *server) notify(ctx context.Context, _ lambda.Scope, topicARN, subject, message string) error {
	return s.sns.Notify(ctx, topicARN, subject, message)
}

// alarm invokes a function with what an alarm says, as an asynchronous invocation.
func (s *server) alarm(ctx context.Context, _ lambda.Scope, functionARN string, event []byte) error {
	return s.enqueue(ctx, functionARN, event, engine.NewTrace(time.Now()))
}

// emit counts a datapoint of a metric filter.
func (s *server) emit(d logsservice.Datapoint) {
	m := metric.Metric{Namespace: d.Namespace, Name: d.Metric}
	for name, value := range d.Dimensions {
		m.Dimensions = append(m.Dimensions, metric.Dimension{Name: name, Value: value})
	}
	unit, _ := metric.ParseUnit(d.Unit)
	s.recorder.Record(d.Scope, m, unit, metric.Instant(d.Time.UnixNano()), d.Value)
}

// embedded counts the datapoints of a log line in the embedded metric format.
func (s *server) embedded(scope lambda.Scope, e logs.Event) {
	points, err := cloudwatchservice.EMF(e.Message, time.Now())
	if err != nil {
		s.opt.Logger.Debug("embedded metrics", "scope", scope.String(), "error", err)
	}
	if len(points) > 0 {
		s.metrics.Put(scope, points)
	}
}

// scale hands an alarm to the scaling policy that owns it.
func (s *server) scale(ctx context.Context, scope lambda.Scope, policyARN string, x cloudwatchservice.Scaling) error {
	return s.scaling.Scale(ctx, scope, policyARN, autoscalingservice.Alarm{Name: x.Alarm, State: x.State, Value: x.Value, HasValue: x.HasValue})
}
