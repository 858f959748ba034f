package sqs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/store"
)

// Source is the queue of an ARN as an event source mapping reads it.
func (s *Service) Source(arn string) (engine.Source, error) {
	if _, _, ok := parseARN(arn); !ok {
		return nil, fmt.Errorf("%s is no ARN of a queue", arn)
	}
	return &source{s, arn}, nil
}

// Exists reports whether an ARN is that of a queue.
func (s *Service) Exists(arn string) bool {
	_, err := s.lookUp(arn)
	return err == nil
}

// A source is a queue that need not exist all the time.
type source struct {
	service *Service
	arn     string
}

func (s *Service) lookUp(arn string) (*store.Queue, error) {
	if scope, name, ok := parseARN(arn); ok {
		if q, ok := s.opt.Queues.Get(scope, name); ok {
			return q, nil
		}
	}
	return nil, engine.ErrNoSource
}

// Describe implements engine.Source.
func (x *source) Describe(context.Context) (engine.SourceInfo, error) {
	q, err := x.service.lookUp(x.arn)
	if err != nil {
		return engine.SourceInfo{}, err
	}
	return engine.SourceInfo{FIFO: q.Config().FIFO, Visibility: q.Config().Visibility}, nil
}

// Receive implements engine.Source. No goroutine waits.
func (x *source) Receive(limit int, deliver func([]engine.SourceMessage, error)) func() {
	q, err := x.service.lookUp(x.arn)
	if err != nil {
		go deliver(nil, err)
		return func() {}
	}
	visibility := q.Config().Visibility
	return q.Receive(store.ReceiveRequest{Max: limit, Wait: maxWait * time.Second, Visibility: visibility}, func(got []store.Received) {
		x.service.received(q, len(got))
		messages := make([]engine.SourceMessage, len(got))
		for i := range got {
			messages[i] = sourceMessage(q, &got[i], visibility)
		}
		deliver(messages, nil)
	})
}

func sourceMessage(q *store.Queue, m *store.Received, visibility time.Duration) engine.SourceMessage {
	out := engine.SourceMessage{
		ID: m.ID, Receipt: m.Receipt, Body: []byte(m.Body), MD5: md5Of(m.Body), MD5OfAttributes: md5OfAttributes(m.Attributes), Hidden: visibility,
	}
	if q.Config().FIFO {
		out.Group = m.Group
	}
	system := systemAttributes(q, m)
	for _, name := range slices.Sorted(maps.Keys(system)) {
		if system[name] != "" {
			out.System = append(out.System, engine.SystemAttribute{Name: name, Value: system[name]})
		}
	}
	for _, a := range m.Attributes {
		if out.Attributes == nil {
			out.Attributes = make(map[string]engine.MessageAttribute, len(m.Attributes))
		}
		attribute := engine.MessageAttribute{Type: a.Type}
		if isBinary(a.Type) {
			attribute.Binary = []byte(a.Value)
		} else {
			attribute.Text = a.Value
		}
		out.Attributes[a.Name] = attribute
	}
	return out
}

// Delete implements engine.Source.
func (x *source) Delete(ctx context.Context, messages []engine.SourceMessage) error {
	q, err := x.service.lookUp(x.arn)
	if err != nil {
		return nil // the queue is gone, and its messages with it
	}
	receipts := make([]string, len(messages))
	for i := range messages {
		receipts[i] = messages[i].Receipt
	}
	each, err := q.Delete(ctx, receipts...)
	x.service.deleted(q, each)
	for _, one := range each {
		if one != nil && !errors.Is(one, store.ErrOldReceipt) {
			err = errors.Join(err, one)
		}
	}
	return err
}

// Deliver sends what an asynchronous invocation came to; see engine.Target.
func (s *Service) Deliver(ctx context.Context, arn string, m *engine.Message) error {
	x := store.Message{Body: string(m.Body), Trace: m.TraceID, Once: m.DedupID}
	for _, a := range m.Attributes {
		x.Attributes = append(x.Attributes, store.MessageAttribute{Name: a.Name, Type: a.Type, Value: a.Value})
	}
	return s.Send(ctx, arn, x)
}
