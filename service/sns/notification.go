package sns

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/weir-run/weir/store"
)

// A notification is what queues and http endpoints are sent. Its members are in AWS's order.
type notification struct {
	Type              string
	MessageID         string `json:"MessageId"`
	SequenceNumber    string `json:",omitempty"`
	Token             string `json:",omitempty"`
	TopicArn          string
	Subject           string `json:",omitempty"`
	Message           string
	SubscribeURL      string `json:",omitempty"`
	Timestamp         string
	SignatureVersion  string               `json:",omitempty"`
	Signature         string               `json:",omitempty"`
	SigningCertURL    string               `json:",omitempty"`
	UnsubscribeURL    string               `json:",omitempty"`
	MessageAttributes map[string]attribute `json:",omitempty"`
}

type attribute struct {
	Type  string
	Value string
}

// A record is what a function is invoked with: the members of a notification with other
// names, in the order of AWS's event.
type record struct {
	EventSource          string
	EventVersion         string
	EventSubscriptionArn string
	Sns                  struct {
		Type              string
		MessageID         string `json:"MessageId"`
		TopicArn          string
		Subject           *string
		Message           string
		Timestamp         string
		SignatureVersion  string
		Signature         string
		SigningCertURL    string `json:"SigningCertUrl"`
		UnsubscribeURL    string `json:"UnsubscribeUrl"`
		MessageAttributes map[string]attribute
	}
}

func (m *message) kind() string {
	if m.Confirm != "" {
		return "SubscriptionConfirmation"
	}
	return "Notification"
}

func (m *message) attributes() map[string]attribute {
	attributes := make(map[string]attribute, len(m.Attributes))
	for name, a := range m.Attributes {
		attributes[name] = attribute(a)
	}
	return attributes
}

// notify makes the notification of a message for a subscription.
func (s *Service) notify(m *message, t *store.Topic, sub *store.Subscription) (*notification, error) {
	x := &notification{
		Type: m.kind(), MessageID: m.ID, TopicArn: m.topic().arn(), Subject: m.Subject, Message: m.text(sub.Protocol),
		Timestamp: timestamp(m.Published), SignatureVersion: "1", SigningCertURL: s.certificateURL(),
	}
	arn := url.QueryEscape(subscriptionName{m.topic(), sub.ID}.arn())
	if m.Confirm != "" {
		x.Token = m.Confirm
		x.SubscribeURL = fmt.Sprintf("%s/?Action=ConfirmSubscription&TopicArn=%s&Token=%s", s.opt.URL, url.QueryEscape(x.TopicArn), x.Token)
	} else {
		x.UnsubscribeURL = fmt.Sprintf("%s/?Action=Unsubscribe&SubscriptionArn=%s", s.opt.URL, arn)
		x.MessageAttributes = m.attributes()
	}
	if t != nil && t.Attributes["SignatureVersion"] != "" {
		x.SignatureVersion = t.Attributes["SignatureVersion"]
	}
	var err error
	x.Signature, err = s.signer.sign(x.SignatureVersion, x.signed())
	return x, err
}

// signed is the text that the signature is of: names and values, each on a line of its own.
func (x *notification) signed() []byte {
	pairs := [][2]string{{"Message", x.Message}, {"MessageId", x.MessageID}}
	if x.Type == "Notification" {
		if x.Subject != "" {
			pairs = append(pairs, [2]string{"Subject", x.Subject})
		}
	} else {
		pairs = append(pairs, [2]string{"SubscribeURL", x.SubscribeURL})
	}
	pairs = append(pairs, [2]string{"Timestamp", x.Timestamp})
	if x.Token != "" {
		pairs = append(pairs, [2]string{"Token", x.Token})
	}
	pairs = append(pairs, [2]string{"TopicArn", x.TopicArn}, [2]string{"Type", x.Type})
	var b bytes.Buffer
	for _, p := range pairs {
		b.WriteString(p[0] + "\n" + p[1] + "\n")
	}
	return b.Bytes()
}

// notification is the JSON for queues and http endpoints.
func (s *Service) notification(m *message, t *store.Topic, sub *store.Subscription, d store.Delivery) ([]byte, error) {
	x, err := s.notify(m, t, sub)
	if err != nil {
		return nil, err
	}
	if m.topic().isFIFO() { // as on AWS, without a signature
		x.SequenceNumber = sequenceNumber(d.Message)
		x.SignatureVersion, x.Signature, x.SigningCertURL = "", "", ""
	}
	return encode(x, "  ")
}

// functionEvent is the event of a function: one record.
func (s *Service) functionEvent(m *message, t *store.Topic, sub *store.Subscription) ([]byte, error) {
	x, err := s.notify(m, t, sub)
	if err != nil {
		return nil, err
	}
	r := record{EventSource: "aws:sns", EventVersion: "1.0", EventSubscriptionArn: subscriptionName{m.topic(), sub.ID}.arn()}
	r.Sns.Type, r.Sns.MessageID, r.Sns.TopicArn, r.Sns.Message, r.Sns.Timestamp = x.Type, x.MessageID, x.TopicArn, x.Message, x.Timestamp
	r.Sns.SignatureVersion, r.Sns.Signature, r.Sns.SigningCertURL, r.Sns.UnsubscribeURL = x.SignatureVersion, x.Signature, x.SigningCertURL, x.UnsubscribeURL
	r.Sns.MessageAttributes = m.attributes()
	if x.Subject != "" {
		r.Sns.Subject = &x.Subject
	}
	return encode(map[string][]record{"Records": {r}}, "")
}

// encode writes JSON that leaves <, > and & as they are.
func encode(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode a message: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
