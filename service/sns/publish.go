package sns

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	api "github.com/weir-run/weir/aws/sns"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/filter"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// Quotas of messages (AWS: "Amazon SNS endpoints and quotas").
const (
	maxMessage   = 256 << 10 // bytes, attributes included
	maxBatch     = 10        // messages of a PublishBatch
	maxSubject   = 100       // characters
	dedupWithin  = 5 * time.Minute
	maxDedupID   = 128 // characters, also of a group
	visibleASCII = "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
)

// A message is what was published, as it is stored.
type message struct {
	Scope      lambda.Scope
	Topic      string
	ID         string
	Published  int64                `json:",omitzero"` // nanoseconds since 1970
	Text       string               `json:",omitzero"` // the default, if there are texts by protocol
	Texts      map[string]string    `json:",omitzero"` // by protocol
	Subject    string               `json:",omitzero"`
	Attributes map[string]Attribute `json:",omitzero"`
	Group      string               `json:",omitzero"`
	Dedup      string               `json:",omitzero"`
	Trace      string               `json:",omitzero"`
	Confirm    string               `json:",omitzero"` // the token, of a message that asks for confirmation
}

func (m *message) topic() topicName { return topicName{m.Scope, m.Topic} }

// text is what a protocol gets to read.
func (m *message) text(protocol string) string {
	if text, ok := m.Texts[protocol]; ok {
		return text
	}
	return m.Text
}

// Publish makes a message durable and lets it go to the topic's subscriptions.
func (s *Service) Publish(c *wire.Call, in *api.PublishInput) (*api.PublishResponse, error) {
	if in.PhoneNumber.OK {
		return nil, invalid("weir does not support the protocol sms")
	}
	arn := in.TopicArn.V
	if !in.TopicArn.OK {
		arn = in.TargetArn.V
	}
	if strings.Contains(arn, ":endpoint/") {
		return nil, invalid("weir does not support the protocol application")
	}
	n, t, err := topic(c, s.snapshot(), arn)
	if err != nil {
		return nil, err
	}
	m, err := newMessage(n, t, &api.PublishBatchRequestEntry{
		Message: in.Message, Subject: in.Subject, MessageStructure: in.MessageStructure, MessageAttributes: in.MessageAttributes,
		MessageDeduplicationId: in.MessageDeduplicationId, MessageGroupId: in.MessageGroupId,
	})
	if err != nil {
		return nil, err
	}
	m.Trace = traceOf(c)
	id, sequence, err := s.publish(c.Context(), m)
	if err != nil {
		return nil, err
	}
	return &api.PublishResponse{MessageId: wire.Some(id), SequenceNumber: sequence}, nil
}

// PublishBatch publishes up to ten messages; each succeeds or fails by itself.
func (s *Service) PublishBatch(c *wire.Call, in *api.PublishBatchInput) (*api.PublishBatchResponse, error) {
	n, t, err := topic(c, s.snapshot(), in.TopicArn.V)
	if err != nil {
		return nil, err
	}
	if err := checkBatch(in.PublishBatchRequestEntries); err != nil {
		return nil, err
	}
	out := &api.PublishBatchResponse{Successful: []api.PublishBatchResultEntry{}, Failed: []api.BatchResultErrorEntry{}}
	for i := range in.PublishBatchRequestEntries {
		entry := &in.PublishBatchRequestEntries[i]
		id, sequence, err := s.publishEntry(c, n, t, entry)
		var known *lambda.Error
		if errors.As(err, &known) {
			code := strings.TrimSuffix(known.Code, "Exception")
			out.Failed = append(out.Failed, api.BatchResultErrorEntry{Id: entry.Id, Code: wire.Some(code), Message: wire.Some(known.Message), SenderFault: wire.Some(true)})
			continue
		}
		if err != nil {
			return nil, err
		}
		out.Successful = append(out.Successful, api.PublishBatchResultEntry{Id: entry.Id, MessageId: wire.Some(id), SequenceNumber: sequence})
	}
	return out, nil
}

func (s *Service) publishEntry(c *wire.Call, n topicName, t *store.Topic, entry *api.PublishBatchRequestEntry) (string, wire.Opt[string], error) {
	m, err := newMessage(n, t, entry)
	if err != nil {
		return "", wire.Opt[string]{}, err
	}
	m.Trace = traceOf(c)
	return s.publish(c.Context(), m)
}

func checkBatch(entries []api.PublishBatchRequestEntry) error {
	switch {
	case len(entries) == 0:
		return lookup("EmptyBatchRequestException", "The batch request doesn't contain any entries.")
	case len(entries) > maxBatch:
		return lookup("TooManyEntriesInBatchRequestException", "The batch request contains more entries than permissible.")
	}
	seen, size := make(map[string]bool), 0
	for _, e := range entries {
		if e.Id.V == "" || len(e.Id.V) > 80 || strings.Trim(e.Id.V, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			return lookup("InvalidBatchEntryIdException", "The Id of a batch entry in a batch request doesn't abide by the specification.")
		}
		if seen[e.Id.V] {
			return lookup("BatchEntryIdsNotDistinctException", "Two or more batch entries in the request have the same Id.")
		}
		seen[e.Id.V] = true
		size += sizeOf(&e)
	}
	if size > maxMessage {
		return lookup("BatchRequestTooLongException", "The length of all the batch messages put together is more than the limit.")
	}
	return nil
}

func sizeOf(e *api.PublishBatchRequestEntry) int {
	size := len(e.Message.V)
	for name, a := range e.MessageAttributes {
		size += len(name) + len(a.DataType.V) + len(a.StringValue.V) + len(a.BinaryValue)
	}
	return size
}

// traceOf is the trace header of the publisher, or the beginning of a new trace.
func traceOf(c *wire.Call) string {
	if trace := c.HTTP.Header.Get("X-Amzn-Trace-Id"); trace != "" {
		return trace
	}
	return engine.NewTrace(time.Now())
}

// newMessage reads and checks what a request publishes.
func newMessage(n topicName, t *store.Topic, e *api.PublishBatchRequestEntry) (*message, error) {
	m := &message{Scope: n.scope, Topic: n.name, ID: uuid.NewString(), Published: time.Now().UnixNano(), Text: e.Message.V, Subject: e.Subject.V}
	switch {
	case e.Message.V == "":
		return nil, invalid("Empty message")
	case sizeOf(e) > maxMessage:
		return nil, invalid("Message too long")
	case e.Subject.OK && (m.Subject == "" || utf8.RuneCountInString(m.Subject) > maxSubject || strings.ContainsAny(m.Subject, "\n\r")):
		return nil, invalid("Subject")
	}
	if e.MessageStructure.V == "json" {
		if json.Unmarshal([]byte(e.Message.V), &m.Texts) != nil {
			return nil, invalid("Message Structure - JSON message body failed to parse")
		}
		text, ok := m.Texts["default"]
		if !ok {
			return nil, invalid("Message Structure - No default entry in JSON message body")
		}
		m.Text = text
	} else if e.MessageStructure.V != "" {
		return nil, invalid("MessageStructure")
	}
	var err error
	if m.Attributes, err = readAttributes(e.MessageAttributes); err != nil {
		return nil, err
	}
	return m, m.order(n, t, e)
}

// order sets and checks the group and the deduplication id of a message.
func (m *message) order(n topicName, t *store.Topic, e *api.PublishBatchRequestEntry) error {
	m.Group, m.Dedup = e.MessageGroupId.V, e.MessageDeduplicationId.V
	for _, id := range []string{m.Group, m.Dedup} {
		if len(id) > maxDedupID || strings.Trim(id, visibleASCII) != "" {
			return invalid("The MessageGroupId and the MessageDeduplicationId have up to 128 letters, digits and punctuation marks")
		}
	}
	if !n.isFIFO() {
		if m.Dedup != "" {
			return invalid("MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type")
		}
		return nil
	}
	if m.Group == "" {
		return invalid("The MessageGroupId parameter is required for FIFO topics")
	}
	if m.Dedup == "" && t.Attributes["ContentBasedDeduplication"] != "true" {
		return invalid("The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
	}
	if m.Dedup == "" {
		sum := sha256.Sum256([]byte(e.Message.V))
		m.Dedup = hex.EncodeToString(sum[:])
	}
	return nil
}

func readAttributes(given map[string]*api.MessageAttributeValue) (map[string]Attribute, error) {
	attributes := make(map[string]Attribute, len(given))
	for name, a := range given {
		if name == "" || len(name) > 256 {
			return nil, invalid("Message attribute name")
		}
		kind, _, _ := strings.Cut(a.DataType.V, ".")
		x := Attribute{a.DataType.V, a.StringValue.V}
		switch {
		case kind == "Binary" && len(a.BinaryValue) > 0:
			x.Value = base64.StdEncoding.EncodeToString(a.BinaryValue)
		case (kind == "String" || kind == "Number") && a.StringValue.V != "":
		case kind == "Binary" || kind == "String" || kind == "Number":
			return nil, lookup("InvalidParameterValueException", fmt.Sprintf("The message attribute '%s' must contain non-empty message attribute value for message attribute type '%s'.", name, a.DataType.V))
		default:
			return nil, lookup("InvalidParameterValueException", fmt.Sprintf("The message attribute '%s' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.", name))
		}
		if kind == "Number" && !isNumber(x.Value) {
			return nil, lookup("InvalidParameterValueException", fmt.Sprintf("Could not cast message attribute '%s' value to number.", name))
		}
		attributes[name] = x
	}
	return attributes, nil
}

// isNumber reports whether a text is a number of JSON.
func isNumber(text string) bool {
	return strings.ContainsRune("-0123456789", rune(text[0])) && json.Valid([]byte(text))
}

// publish stores a message with its deliveries, and returns its id and sequence number.
func (s *Service) publish(ctx context.Context, m *message) (string, wire.Opt[string], error) {
	targets, filtered, err := s.receivers(m)
	if err != nil {
		return "", wire.Opt[string]{}, err
	}
	id, sequence, err := s.add(ctx, m, targets)
	if err == nil {
		s.meter.published(m.topic(), m.size(), filtered)
	}
	return id, sequence, err
}

func (s *Service) add(ctx context.Context, m *message, targets []string) (string, wire.Opt[string], error) {
	var none wire.Opt[string]
	if !s.carrier.hasRoom(len(targets)) {
		return "", none, lookup("ThrottledException", "Rate exceeded: too many deliveries are waiting")
	}
	payload, err := encode(m, "")
	if err != nil {
		return "", none, err
	}
	now := time.Now()
	var once *store.Once
	if m.topic().isFIFO() && m.Confirm == "" {
		once = &store.Once{Name: s.dedupName(m), ID: m.ID, Until: now.Add(dedupWithin).UnixNano()}
	}
	added, err := s.opt.Store.FanOut().Add(ctx, payload, targets, once, now.UnixNano())
	if err != nil {
		return "", none, err
	}
	for _, d := range added.Deliveries {
		s.carrier.take(d)
	}
	id := m.ID
	if added.Earlier != "" {
		id = added.Earlier
	}
	if once == nil {
		return id, none, nil
	}
	return id, wire.Some(sequenceNumber(added.Message)), nil
}

// dedupName is what is published once: the deduplication id in its topic, or in its group if
// that is the topic's FifoThroughputScope.
func (s *Service) dedupName(m *message) string {
	name := m.topic().arn() + "\x00"
	if t, ok := store.Topics.Get(s.snapshot(), m.Scope, m.Topic); ok && t.Attributes["FifoThroughputScope"] == "MessageGroup" {
		name += m.Group
	}
	return name + "\x00" + m.Dedup
}

// sequenceNumber has 20 digits, as on AWS.
func sequenceNumber(message uint64) string { return fmt.Sprintf("1%019d", message) }

// A target of a delivery is the name of a subscription's record, and behind a line feed the
// group of a FIFO topic, so that the order is known without the message.
func (m *message) target(sub *store.Subscription) string {
	name := m.Scope.Account + "/" + m.Scope.Region + "/" + store.QualifiedName(sub.Topic, sub.ID)
	if m.topic().isFIFO() {
		name += "\n" + m.Group
	}
	return name
}

// size is what a message counts: its texts and its attributes.
func (m *message) size() int {
	size := len(m.Text)
	if m.Texts != nil {
		size = 0
	}
	for protocol, text := range m.Texts {
		size += len(protocol) + len(text)
	}
	for name, a := range m.Attributes {
		size += len(name) + len(a.Type) + len(a.Value)
	}
	return size
}

// receivers returns the confirmed subscriptions whose filter policy a message passes, and how
// many there are whose it does not.
func (s *Service) receivers(m *message) (targets []string, filtered int, _ error) {
	var attributes []byte
	var failed error
	eachSubscription(s.snapshot(), m.topic(), func(_ string, sub *store.Subscription) bool {
		if !sub.Confirmed {
			return true
		}
		p, err := s.compiled(sub)
		if err != nil {
			failed = err
			return false
		}
		event := []byte(m.Text)
		if p != nil && dialect(sub) == filter.SNSAttributes {
			if attributes == nil {
				attributes = attributesEvent(m)
			}
			event = attributes
		} else if text := m.text(sub.Protocol); text != m.Text {
			event = []byte(text)
		}
		if p == nil || p.Match(event) {
			targets = append(targets, m.target(sub))
		} else {
			filtered++
		}
		return true
	})
	return targets, filtered, failed
}

func attributesEvent(m *message) []byte {
	attributes := make(map[string]filter.Attribute, len(m.Attributes))
	for name, a := range m.Attributes {
		attributes[name] = filter.Attribute(a)
	}
	return filter.Attributes(attributes)
}

// askConfirmation sends an endpoint the message that asks it to confirm.
func (s *Service) askConfirmation(ctx context.Context, n topicName, sub *store.Subscription) error {
	m := &message{Scope: n.scope, Topic: n.name, ID: uuid.NewString(), Published: time.Now().UnixNano(), Confirm: sub.Token, Trace: engine.NewTrace(time.Now())}
	m.Text = "You have chosen to subscribe to the topic " + n.arn() + ".\nTo confirm the subscription, visit the SubscribeURL included in this message."
	_, _, err := s.add(ctx, m, []string{m.target(sub)})
	return err
}
