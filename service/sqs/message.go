package sqs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	api "github.com/weir-run/weir/aws/sqs"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

const (
	maxAttributes    = 10  // of a message
	maxAttributeName = 256 // characters; also of an attribute's type
	maxDelay         = 900 // seconds
)

// SendMessage sends a message.
func (s *Service) SendMessage(c *wire.Call, in *api.SendMessageRequest) (*api.SendMessageResult, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	entry := &api.SendMessageBatchRequestEntry{
		MessageBody: in.MessageBody, DelaySeconds: in.DelaySeconds, MessageAttributes: in.MessageAttributes,
		MessageSystemAttributes: in.MessageSystemAttributes, MessageDeduplicationId: in.MessageDeduplicationId, MessageGroupId: in.MessageGroupId,
	}
	m, err := newMessage(c, q.Config(), entry)
	if err != nil {
		return nil, err
	}
	if size := sizeOf(m); size > maximumSize(q.Config()) {
		return nil, tooLong(maximumSize(q.Config()))
	}
	messages := []store.Message{*m}
	sent, err := q.Send(context.WithoutCancel(c.Context()), messages)
	if err != nil {
		return nil, visible(err)
	}
	s.sent(q, messages)
	e := sentEntry(q, entry, m, sent[0])
	return &api.SendMessageResult{
		MD5OfMessageBody: e.MD5OfMessageBody, MD5OfMessageAttributes: e.MD5OfMessageAttributes,
		MD5OfMessageSystemAttributes: e.MD5OfMessageSystemAttributes, MessageId: e.MessageId, SequenceNumber: e.SequenceNumber,
	}, nil
}

// SendMessageBatch sends up to ten messages; bad ones are refused by themselves.
func (s *Service) SendMessageBatch(c *wire.Call, in *api.SendMessageBatchRequest) (*api.SendMessageBatchResult, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if err := checkBatch(in.Entries, "SendMessageBatchRequestEntry", func(e *api.SendMessageBatchRequestEntry) wire.Opt[string] { return e.Id }); err != nil {
		return nil, err
	}
	config := q.Config()
	out := &api.SendMessageBatchResult{}
	var messages []store.Message
	var entries []*api.SendMessageBatchRequestEntry // of messages
	total := 0
	for i := range in.Entries {
		e := &in.Entries[i]
		if config.FIFO && (!e.MessageGroupId.OK || e.MessageGroupId.V == "") {
			return nil, invalid("The request must contain the parameter MessageGroupId.")
		}
		m, err := newMessage(c, config, e)
		if err == nil {
			total += sizeOf(m)
			if size := sizeOf(m); size > maximumSize(config) && size <= MaxMessage {
				err = tooLong(maximumSize(config))
			}
		}
		if err != nil {
			if config.FIFO && !e.MessageDeduplicationId.OK && !config.ContentDedup {
				return nil, err
			}
			out.Failed = append(out.Failed, failedEntry(e.Id.V, err))
			continue
		}
		messages, entries = append(messages, *m), append(entries, e)
	}
	if total > MaxMessage {
		return nil, lambda.Errorf("BatchRequestTooLong", "Batch requests cannot be longer than %d bytes. You have sent %d bytes.", MaxMessage, total)
	}
	if len(messages) == 0 {
		return out, nil
	}
	sent, err := q.Send(context.WithoutCancel(c.Context()), messages)
	if err != nil {
		return nil, visible(err)
	}
	s.sent(q, messages)
	for i := range messages {
		out.Successful = append(out.Successful, sentEntry(q, entries[i], &messages[i], sent[i]))
	}
	return out, nil
}

func sentEntry(q *store.Queue, in *api.SendMessageBatchRequestEntry, m *store.Message, sent store.Sent) api.SendMessageBatchResultEntry {
	e := api.SendMessageBatchResultEntry{
		Id: in.Id, MessageId: wire.Some(sent.ID), MD5OfMessageBody: wire.Some(md5Of(m.Body)),
	}
	if sum := md5OfAttributes(m.Attributes); sum != "" {
		e.MD5OfMessageAttributes = wire.Some(sum)
	}
	if len(in.MessageSystemAttributes) > 0 {
		e.MD5OfMessageSystemAttributes = wire.Some(md5OfAttributes([]store.MessageAttribute{{Name: traceHeader, Type: "String", Value: m.Trace}}))
	}
	if q.Config().FIFO {
		e.SequenceNumber = wire.Some(sent.Sequence)
	}
	return e
}

const traceHeader = "AWSTraceHeader" // the one system attribute that can be sent

// newMessage checks a message and makes it what the store keeps.
func newMessage(c *wire.Call, config *store.QueueConfig, e *api.SendMessageBatchRequestEntry) (*store.Message, error) {
	if e.MessageBody.V == "" {
		return nil, missing("MessageBody")
	}
	if err := checkContents(e.MessageBody.V); err != nil {
		return nil, err
	}
	// SDKs in a function send the trace of its invocation as a header; recursion detection
	// lives on that.
	m := &store.Message{Body: e.MessageBody.V, Sender: sender(c), Delay: -1, Trace: c.HTTP.Header.Get("X-Amzn-Trace-Id")}
	if err := order(m, config, e); err != nil {
		return nil, err
	}
	if e.DelaySeconds.OK {
		d := e.DelaySeconds.V
		switch {
		case d < 0 || d > maxDelay:
			return nil, invalidValue(d, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")
		case config.FIFO && d != 0:
			return nil, invalidValue(d, "DelaySeconds", "The request include parameter that is not valid for this queue type.")
		case !config.FIFO:
			m.Delay = secondsOf(d)
		}
	}
	var err error
	if m.Attributes, err = messageAttributes(e.MessageAttributes); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(e.MessageSystemAttributes)) {
		a := e.MessageSystemAttributes[name]
		if name != traceHeader {
			return nil, invalid("Message system attribute name '%s' is invalid.", name)
		}
		if a.DataType.V != "String" || a.StringValue.V == "" {
			return nil, invalid("Message system attribute 'AWSTraceHeader' must contain a non-empty value of type 'String'.")
		}
		m.Trace = a.StringValue.V
	}
	return m, nil
}

// sender is the SenderId of a caller.
func sender(c *wire.Call) string {
	if c.AccessKey == "" {
		return c.Scope.Account
	}
	return c.AccessKey
}

// order sets the message group and the deduplication id.
func order(m *store.Message, config *store.QueueConfig, e *api.SendMessageBatchRequestEntry) error {
	for _, id := range []struct {
		name  string
		value wire.Opt[string]
	}{{"MessageGroupId", e.MessageGroupId}, {"MessageDeduplicationId", e.MessageDeduplicationId}} {
		if id.value.OK && !isOrderID(id.value.V) {
			return invalidValue(id.value.V, id.name, id.name+" can only include alphanumeric and punctuation characters. 1 to 128 in length.")
		}
	}
	m.Group, m.Dedup = e.MessageGroupId.V, e.MessageDeduplicationId.V
	switch {
	case !config.FIFO && e.MessageDeduplicationId.OK:
		return invalidValue(m.Dedup, "MessageDeduplicationId", "The request include parameter that is not valid for this queue type.")
	case !config.FIFO:
	case m.Group == "":
		return missing("MessageGroupId")
	case m.Dedup == "" && !config.ContentDedup:
		return invalid("The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
	case m.Dedup == "":
		sum := sha256.Sum256([]byte(m.Body))
		m.Dedup = hex.EncodeToString(sum[:])
	}
	return nil
}

func isOrderID(s string) bool {
	const max = 128 // characters
	if s == "" || len(s) > max {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// checkContents refuses the characters that XML does not have.
func checkContents(text string) error {
	for _, r := range text {
		if r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000 {
			continue
		}
		return lambda.Errorf("InvalidMessageContents", "Invalid binary character '#x%X' was found in the message body, the set of allowed characters is #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF", r)
	}
	return nil
}

func messageAttributes(given map[string]*api.MessageAttributeValue) ([]store.MessageAttribute, error) {
	if len(given) > maxAttributes {
		return nil, invalid("Number of message attributes [%d] exceeds the allowed maximum [%d].", len(given), maxAttributes)
	}
	var attributes []store.MessageAttribute
	for _, name := range slices.Sorted(maps.Keys(given)) {
		a, err := messageAttribute(name, given[name])
		if err != nil {
			return nil, err
		}
		attributes = append(attributes, a)
	}
	return attributes, nil
}

func messageAttribute(name string, v *api.MessageAttributeValue) (store.MessageAttribute, error) {
	var none store.MessageAttribute
	if err := checkAttributeName(name); err != nil {
		return none, err
	}
	a := store.MessageAttribute{Name: name, Type: v.DataType.V, Value: v.StringValue.V}
	if a.Type == "" {
		return none, invalid("The message attribute '%s' must contain a non-empty message attribute type.", name)
	}
	if len(a.Type) > maxAttributeName {
		return none, invalid("Length of message attribute type must be less than %d bytes.", maxAttributeName)
	}
	if len(v.StringListValues) > 0 || len(v.BinaryListValues) > 0 {
		return none, lambda.Errorf("UnsupportedOperation", "Message attribute list values in SendMessage operation are not supported.")
	}
	base := baseType(a.Type)
	if !slices.Contains([]string{"String", "Number", "Binary"}, base) {
		return none, invalid("The message attribute '%s' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.", name)
	}
	if base == "Binary" {
		a.Value = string(v.BinaryValue)
	}
	if a.Value == "" || base == "Binary" && v.StringValue.OK || base != "Binary" && v.BinaryValue != nil {
		return none, invalid("The message attribute '%s' with type '%s' must use field '%s'.", name, base, map[bool]string{true: "Binary", false: "String"}[base == "Binary"])
	}
	if base == "Number" {
		// ParseFloat also takes NaN, infinities and hexadecimal numbers.
		if _, err := strconv.ParseFloat(a.Value, 64); err != nil || strings.Trim(a.Value, "0123456789+-.eE") != "" {
			return none, invalid("Could not cast message attribute '%s' value to number.", name)
		}
	}
	if base != "Binary" {
		if err := checkContents(a.Value); err != nil {
			return none, err
		}
	}
	return a, nil
}

var attributeName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

func checkAttributeName(name string) error {
	lower := strings.ToLower(name)
	switch {
	case len(name) > maxAttributeName:
		return invalid("Length of message attribute name must be less than %d bytes.", maxAttributeName)
	case strings.HasPrefix(lower, "aws.") || strings.HasPrefix(lower, "amazon."):
		return invalid("You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. These strings are reserved for internal use.")
	case !attributeName.MatchString(name):
		return invalid("Invalid attribute name '%s': it can contain A-Z, a-z, 0-9, underscore (_), hyphen (-) and period (.), and neither begin nor end with a period nor have two in succession.", name)
	}
	return nil
}

// sizeOf is what a message counts against the maximum size: its body and its attributes.
func sizeOf(m *store.Message) int {
	n := len(m.Body)
	for _, a := range m.Attributes {
		n += len(a.Name) + len(a.Type) + len(a.Value)
	}
	return n
}

func tooLong(limit int) *lambda.Error {
	return invalid("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", limit)
}

const maxEntries = 10 // of a batch

// checkBatch checks what all batches have in common.
func checkBatch[E any](entries []E, kind string, id func(*E) wire.Opt[string]) error {
	if len(entries) == 0 {
		return lambda.Errorf("EmptyBatchRequest", "There should be at least one %s in the request.", kind)
	}
	if len(entries) > maxEntries {
		return lambda.Errorf("TooManyEntriesInBatchRequest", "Maximum number of entries per request are %d. You have sent %d.", maxEntries, len(entries))
	}
	seen := make(map[string]bool, len(entries))
	for i := range entries {
		text := id(&entries[i]).V
		const max = 80 // characters
		if text == "" || len(text) > max || !isWord(text) {
			return lambda.Errorf("InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
		}
		if seen[text] {
			return lambda.Errorf("BatchEntryIdsNotDistinct", "Id %s repeated.", text)
		}
		seen[text] = true
	}
	return nil
}

func failedEntry(id string, err error) api.BatchResultErrorEntry {
	e := api.BatchResultErrorEntry{Id: wire.Some(id), SenderFault: wire.Some(false), Code: wire.Some("InternalError"), Message: wire.Some(fmt.Sprintf("%v", err))}
	if seen, ok := err.(*lambda.Error); ok {
		e.SenderFault, e.Code, e.Message = wire.Some(true), wire.Some(seen.Code), wire.Some(seen.Message)
	}
	return e
}
