package sqs

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"context"

	api "github.com/weir-run/weir/aws/sqs"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

func secondsOf(n int32) time.Duration { return time.Duration(n) * time.Second }

// Bounds of what a receive asks for.
const (
	maxReceive    = 10     // messages
	maxWait       = 20     // seconds
	maxVisibility = 43_200 // seconds
)

// ReceiveMessage waits for messages and answers them.
func (s *Service) ReceiveMessage(c *wire.Call, in *api.ReceiveMessageRequest) (*api.ReceiveMessageResult, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	system := slices.Concat(in.AttributeNames, in.MessageSystemAttributeNames)
	r, err := receiveRequest(q.Config(), in)
	if err == nil {
		err = checkSystemNames(system)
	}
	if err != nil {
		return nil, err
	}
	if !q.Config().FIFO && r.Wait == 0 && q.Counts().InFlight >= store.MaxInFlight {
		return nil, lambda.Errorf("OverLimit", "Too many messages in flight: the maximum for the queue is %d.", store.MaxInFlight)
	}
	delivered := make(chan []store.Received, 1)
	cancel := q.Receive(r, func(m []store.Received) { delivered <- m })
	var received []store.Received
	select {
	case received = <-delivered:
	case <-c.Context().Done():
		cancel()
		received = <-delivered
	case <-s.stop.Done():
		cancel()
		received = <-delivered
	}
	s.received(q, len(received))
	out := &api.ReceiveMessageResult{}
	for i := range received {
		out.Messages = append(out.Messages, answer(q, &received[i], system, in.MessageAttributeNames))
	}
	return out, nil
}

func receiveRequest(config *store.QueueConfig, in *api.ReceiveMessageRequest) (store.ReceiveRequest, error) {
	r := store.ReceiveRequest{Max: int(in.MaxNumberOfMessages.Or(1)), Visibility: -1, Wait: seconds(config, "ReceiveMessageWaitTimeSeconds")}
	if r.Max < 1 || r.Max > maxReceive {
		return r, invalidValue(r.Max, "MaxNumberOfMessages", "Must be between 1 and 10, if provided.")
	}
	if w := in.WaitTimeSeconds; w.OK {
		if w.V < 0 || w.V > maxWait {
			return r, invalidValue(w.V, "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided.")
		}
		r.Wait = secondsOf(w.V)
	}
	if v := in.VisibilityTimeout; v.OK {
		if v.V < 0 || v.V > maxVisibility {
			return r, invalidValue(v.V, "VisibilityTimeout", "Must be >= 0 and <= 43200, if provided.")
		}
		r.Visibility = secondsOf(v.V)
	}
	if a := in.ReceiveRequestAttemptId; a.OK {
		switch {
		case !config.FIFO:
			return r, invalidValue(a.V, "ReceiveRequestAttemptId", "The request include parameter that is not valid for this queue type.")
		case !isOrderID(a.V):
			return r, invalidValue(a.V, "ReceiveRequestAttemptId", "ReceiveRequestAttemptId can only include alphanumeric and punctuation characters. 1 to 128 in length.")
		}
		r.Attempt = a.V
	}
	return r, nil
}

var systemNames = []string{
	"All", "SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp", "SequenceNumber",
	"MessageDeduplicationId", "MessageGroupId", "AWSTraceHeader", "DeadLetterQueueSourceArn",
}

// checkSystemNames also takes the names of queue attributes, as the model does.
func checkSystemNames(names []string) error {
	for _, name := range names {
		if _, ok := settableNamed(name); !ok && !slices.Contains(systemNames, name) && !slices.Contains(measured, name) {
			return unknownAttribute(name)
		}
	}
	return nil
}

func answer(q *store.Queue, m *store.Received, system, custom []string) api.Message {
	out := api.Message{
		MessageId: wire.Some(m.ID), ReceiptHandle: wire.Some(m.Receipt), Body: wire.Some(m.Body), MD5OfBody: wire.Some(md5Of(m.Body)),
	}
	all := slices.Contains(system, "All")
	for name, value := range systemAttributes(q, m) {
		if value == "" || !all && !slices.Contains(system, name) {
			continue
		}
		if out.Attributes == nil {
			out.Attributes = make(map[string]string)
		}
		out.Attributes[name] = value
	}
	var shown []store.MessageAttribute
	for _, a := range m.Attributes {
		if slices.ContainsFunc(custom, func(filter string) bool { return matches(filter, a.Name) }) {
			shown = append(shown, a)
		}
	}
	if len(shown) == 0 {
		return out
	}
	out.MD5OfMessageAttributes = wire.Some(md5OfAttributes(shown))
	out.MessageAttributes = make(map[string]*api.MessageAttributeValue, len(shown))
	for _, a := range shown {
		v := &api.MessageAttributeValue{DataType: wire.Some(a.Type)}
		if isBinary(a.Type) {
			v.BinaryValue = []byte(a.Value)
		} else {
			v.StringValue = wire.Some(a.Value)
		}
		out.MessageAttributes[a.Name] = v
	}
	return out
}

// systemAttributes returns what SQS says of a message; what does not apply is empty.
func systemAttributes(q *store.Queue, m *store.Received) map[string]string {
	attributes := map[string]string{
		"SenderId":                         m.Sender,
		"SentTimestamp":                    strconv.FormatInt(m.Sent.UnixMilli(), 10),
		"ApproximateReceiveCount":          strconv.Itoa(m.Receives),
		"ApproximateFirstReceiveTimestamp": strconv.FormatInt(m.First.UnixMilli(), 10),
		"MessageGroupId":                   m.Group,
		"AWSTraceHeader":                   m.Trace,
		"DeadLetterQueueSourceArn":         m.Source,
	}
	if q.Config().FIFO {
		attributes["SequenceNumber"] = m.Sequence
		attributes["MessageDeduplicationId"] = m.Dedup
	}
	return attributes
}

// matches tells whether a filter for names of message attributes lets a name through: All
// and .* are for every name, and what ends in .* is for the names that begin so.
func matches(filter, name string) bool {
	prefix, wild := strings.CutSuffix(filter, ".*")
	return filter == "All" || filter == name || wild && strings.HasPrefix(name, prefix)
}

// DeleteMessage deletes a message.
func (s *Service) DeleteMessage(c *wire.Call, in *api.DeleteMessageRequest) error {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return err
	}
	if in.ReceiptHandle.V == "" {
		return missing("ReceiptHandle")
	}
	errs, err := q.Delete(context.WithoutCancel(c.Context()), in.ReceiptHandle.V)
	if err != nil {
		return visible(err)
	}
	s.deleted(q, errs)
	return receiptError(in.ReceiptHandle.V, 0, errs[0])
}

// DeleteMessageBatch deletes up to ten messages.
func (s *Service) DeleteMessageBatch(c *wire.Call, in *api.DeleteMessageBatchRequest) (*api.DeleteMessageBatchResult, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if err := checkBatch(in.Entries, "DeleteMessageBatchRequestEntry", func(e *api.DeleteMessageBatchRequestEntry) wire.Opt[string] { return e.Id }); err != nil {
		return nil, err
	}
	receipts := make([]string, len(in.Entries))
	for i, e := range in.Entries {
		receipts[i] = e.ReceiptHandle.V
	}
	errs, err := q.Delete(context.WithoutCancel(c.Context()), receipts...)
	if err != nil {
		return nil, visible(err)
	}
	s.deleted(q, errs)
	out := &api.DeleteMessageBatchResult{}
	for i, e := range in.Entries {
		if err := receiptError(e.ReceiptHandle.V, 0, errs[i]); err != nil {
			out.Failed = append(out.Failed, failedEntry(e.Id.V, err))
		} else {
			out.Successful = append(out.Successful, api.DeleteMessageBatchResultEntry{Id: e.Id})
		}
	}
	return out, nil
}

// ChangeMessageVisibility changes when a message in flight becomes visible.
func (s *Service) ChangeMessageVisibility(c *wire.Call, in *api.ChangeMessageVisibilityRequest) error {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return err
	}
	return changeVisibility(c, q, in.ReceiptHandle.V, in.VisibilityTimeout)
}

func changeVisibility(c *wire.Call, q *store.Queue, receipt string, timeout wire.Opt[int32]) error {
	switch {
	case receipt == "":
		return missing("ReceiptHandle")
	case !timeout.OK:
		return missing("VisibilityTimeout")
	case timeout.V < 0 || timeout.V > maxVisibility:
		return invalidValue(timeout.V, "VisibilityTimeout", "Must be between 0 and 43200, if provided.")
	}
	err := q.ChangeVisibility(context.WithoutCancel(c.Context()), receipt, secondsOf(timeout.V))
	return receiptError(receipt, timeout.V, err)
}

// ChangeMessageVisibilityBatch changes when up to ten messages become visible.
func (s *Service) ChangeMessageVisibilityBatch(c *wire.Call, in *api.ChangeMessageVisibilityBatchRequest) (*api.ChangeMessageVisibilityBatchResult, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if err := checkBatch(in.Entries, "ChangeMessageVisibilityBatchRequestEntry", func(e *api.ChangeMessageVisibilityBatchRequestEntry) wire.Opt[string] { return e.Id }); err != nil {
		return nil, err
	}
	out := &api.ChangeMessageVisibilityBatchResult{}
	for _, e := range in.Entries {
		var seen *lambda.Error
		switch err := changeVisibility(c, q, e.ReceiptHandle.V, e.VisibilityTimeout); {
		case err == nil:
			out.Successful = append(out.Successful, api.ChangeMessageVisibilityBatchResultEntry{Id: e.Id})
		case errors.As(err, &seen):
			out.Failed = append(out.Failed, failedEntry(e.Id.V, err))
		default:
			return nil, err
		}
	}
	return out, nil
}

// receiptError turns what the store says of a receipt into AWS's error.
func receiptError(receipt string, timeout int32, err error) error {
	switch {
	case errors.Is(err, store.ErrBadReceipt):
		return lambda.Errorf("ReceiptHandleIsInvalid", `The input receipt handle "%s" is not a valid receipt handle.`, receipt)
	case errors.Is(err, store.ErrOldReceipt):
		return invalidValue(receipt, "ReceiptHandle", "The receipt handle has expired.")
	case errors.Is(err, store.ErrNotInFlight):
		return invalidValue(receipt, "ReceiptHandle", "Message does not exist or is not available for visibility timeout change.")
	case errors.Is(err, store.ErrVisibilityMax):
		return invalidValue(timeout, "VisibilityTimeout", "Total VisibilityTimeout for the message is beyond the limit [43200 seconds].")
	}
	return visible(err)
}
