package sns

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/store"
)

// Exists reports whether an ARN is that of a topic.
func (s *Service) Exists(arn string) bool {
	n, ok := parseTopic(arn)
	if ok {
		_, ok = store.Topics.Get(s.snapshot(), n.scope, n.name)
	}
	return ok
}

// Deliver publishes what an asynchronous invocation came to; see engine.Target.
func (s *Service) Deliver(ctx context.Context, arn string, m *engine.Message) error {
	attributes := make(map[string]Attribute, len(m.Attributes))
	for _, a := range m.Attributes {
		attributes[a.Name] = Attribute{Type: a.Type, Value: a.Value}
	}
	return s.Send(ctx, arn, m.Body, attributes, m.TraceID, m.DedupID)
}

// Send publishes to a topic from within weir. It returns when the message is durable; a
// *lambda.Error means that a repetition is of no use. For a FIFO topic, dedupID makes a
// repetition within five minutes harmless; for others it is not used.
func (s *Service) Send(ctx context.Context, topicARN string, body []byte, attributes map[string]Attribute, trace, dedupID string) error {
	return s.send(ctx, topicARN, "", body, attributes, trace, dedupID)
}

// Notify publishes a text with a subject from within weir, as Send does.
func (s *Service) Notify(ctx context.Context, topicARN, subject, text string) error {
	return s.send(ctx, topicARN, subject, []byte(text), nil, "", uuid.NewString())
}

func (s *Service) send(ctx context.Context, topicARN, subject string, body []byte, attributes map[string]Attribute, trace, dedupID string) error {
	n, ok := parseTopic(topicARN)
	if !ok {
		return invalid("TopicArn")
	}
	if !s.Exists(topicARN) {
		return notFound("Topic does not exist")
	}
	if len(body) > maxMessage {
		return invalid("Message too long")
	}
	if trace == "" {
		trace = engine.NewTrace(time.Now())
	}
	m := &message{Scope: n.scope, Topic: n.name, ID: uuid.NewString(), Published: time.Now().UnixNano(), Text: string(body), Subject: subject, Attributes: attributes, Trace: trace}
	if n.isFIFO() {
		m.Group, m.Dedup = dedupID, dedupID
	}
	_, _, err := s.publish(ctx, m)
	return err
}
