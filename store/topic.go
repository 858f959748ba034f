package store

import "time"

// A Topic is a topic of SNS. Attributes hold what was set, by AWS's names.
type Topic struct {
	Name       string            `json:",omitzero"`
	Attributes map[string]string `json:",omitzero"`
	Tags       map[string]string `json:",omitzero"`
	Created    time.Time         `json:",omitzero"`
}

// A Subscription is a subscription to a topic of the same scope.
type Subscription struct {
	ID         string            `json:",omitzero"` // the last part of its ARN
	Topic      string            `json:",omitzero"`
	Protocol   string            `json:",omitzero"`
	Endpoint   string            `json:",omitzero"`
	Attributes map[string]string `json:",omitzero"`
	Token      string            `json:",omitzero"` // which confirms it; empty: it needs none
	Confirmed  bool              `json:",omitzero"`
	Guarded    bool              `json:",omitzero"` // AuthenticateOnUnsubscribe
}

// A SigningKey signs the messages of SNS; see service/sns.
type SigningKey struct {
	Key         []byte // PKCS #8
	Certificate []byte // DER
}

// The kinds of SNS. A subscription's name is QualifiedName(topic, id).
var (
	Topics        = Kind[Topic]{"topic"}
	Subscriptions = Kind[Subscription]{"subscription"}
	SigningKeys   = Kind[SigningKey]{"signingkey"} // one, named "sns"
)
