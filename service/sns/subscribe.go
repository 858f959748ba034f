package sns

import (
	"crypto/rand"
	"encoding/hex"
	"maps"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	api "github.com/weir-run/weir/aws/sns"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// Bounds of the subscriptions of one topic. A fan-out must fit one commit; AWS allows 12.5
// million, and 100 to a FIFO topic.
const (
	maxSubscriptions     = 4000
	maxFIFOSubscriptions = 100
)

// A subscriptionName is a subscription that a request names.
type subscriptionName struct {
	topicName
	id string
}

func (n subscriptionName) arn() string    { return n.topicName.arn() + ":" + n.id }
func (n subscriptionName) record() string { return store.QualifiedName(n.name, n.id) }

func eachSubscription(r store.Reader, n topicName, f func(name string, sub *store.Subscription) bool) {
	store.Subscriptions.ScanPrefix(r, n.scope, store.QualifiedPrefix(n.name), "", f)
}

// subscription finds the subscription that a request names.
func subscription(c *wire.Call, r store.Reader, arn string) (subscriptionName, *store.Subscription, error) {
	i := strings.LastIndexByte(arn, ':')
	t, ok := parseTopic(arn[:max(i, 0)])
	if !ok || t.scope != c.Scope {
		return subscriptionName{}, nil, invalid("SubscriptionArn Reason: An ARN must have at least 6 elements, not %d", len(strings.Split(arn, ":")))
	}
	n := subscriptionName{t, arn[i+1:]}
	sub, ok := store.Subscriptions.Get(r, t.scope, n.record())
	if !ok {
		return n, nil, notFound("Subscription does not exist")
	}
	return n, sub, nil
}

// Subscribe makes a subscription. One by http or https delivers nothing until the endpoint
// has confirmed it.
func (s *Service) Subscribe(c *wire.Call, in *api.SubscribeInput) (*api.SubscribeResponse, error) {
	n, _, err := topic(c, s.snapshot(), in.TopicArn.V)
	if err != nil {
		return nil, err
	}
	sub := &store.Subscription{ID: uuid.NewString(), Topic: n.name, Protocol: in.Protocol.V, Endpoint: in.Endpoint.V, Attributes: map[string]string{}}
	if err := s.checkEndpoint(n, sub.Protocol, sub.Endpoint); err != nil {
		return nil, err
	}
	for name, value := range in.Attributes {
		if err := setAttribute(n, sub, name, value, "Attributes Reason: "); err != nil {
			return nil, err
		}
	}
	if err := checkScope(sub, "Attributes Reason: "); err != nil {
		return nil, err
	}
	sub.Confirmed = sub.Protocol == "lambda" || sub.Protocol == "sqs"
	if !sub.Confirmed {
		sub.Token = newToken()
	}
	limit := maxSubscriptions
	if n.isFIFO() {
		limit = maxFIFOSubscriptions
	}
	var existing *store.Subscription
	err = s.update(func(tx *store.Tx) error {
		if _, _, err := topic(c, tx, in.TopicArn.V); err != nil {
			return err
		}
		count := 0
		eachSubscription(tx, n, func(_ string, x *store.Subscription) bool {
			count++
			if x.Protocol == sub.Protocol && x.Endpoint == sub.Endpoint {
				existing = x
			}
			return existing == nil
		})
		switch {
		case existing != nil && len(sub.Attributes) > 0 && !maps.Equal(existing.Attributes, sub.Attributes):
			return invalid("Attributes Reason: Subscription already exists with different attributes")
		case existing != nil:
			return nil
		case count >= limit:
			return lookup("SubscriptionLimitExceededException", "weir supports "+strconv.Itoa(limit)+" subscriptions of this topic")
		}
		store.Subscriptions.Put(tx, n.scope, store.QualifiedName(n.name, sub.ID), sub)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if existing != nil {
		sub = existing
	}
	if !sub.Confirmed {
		if err := s.askConfirmation(c.Context(), n, sub); err != nil {
			return nil, err
		}
	}
	arn := subscriptionName{n, sub.ID}.arn()
	if !sub.Confirmed && !in.ReturnSubscriptionArn.V {
		arn = "pending confirmation"
	}
	return &api.SubscribeResponse{SubscriptionArn: wire.Some(arn)}, nil
}

// newToken returns what confirms a subscription; AWS's have 256 hexadecimal digits too.
func newToken() string {
	b := make([]byte, 128)
	_, _ = rand.Read(b) // it never fails
	return hex.EncodeToString(b)
}

// checkEndpoint refuses protocols that weir does not speak, and endpoints of the wrong form.
func (s *Service) checkEndpoint(n topicName, protocol, endpoint string) error {
	switch protocol {
	case "lambda", "sqs", "http", "https":
	case "email", "email-json", "sms", "application", "firehose":
		return invalid("weir does not support the protocol %s", protocol)
	default:
		return invalid("Amazon SNS does not support this protocol string: %s", protocol)
	}
	if n.isFIFO() && protocol != "sqs" {
		return invalid("Protocol Reason: a FIFO topic delivers to queues, not by the protocol %s", protocol)
	}
	parts := strings.Split(endpoint, ":")
	switch protocol {
	case "lambda":
		if name, ok := lambda.ParseFunctionName(endpoint); !ok || parts[0] != "arn" || name.Name == "" {
			return invalid("Lambda endpoint ARN")
		}
		if s.opt.Targets.Function == nil {
			return invalid("this server does not deliver by the protocol lambda")
		}
	case "sqs":
		if len(parts) != 6 || parts[0] != "arn" || parts[2] != "sqs" {
			return invalid("SQS endpoint ARN")
		}
		if s.opt.Targets.Queue == nil {
			return invalid("this server does not deliver by the protocol sqs")
		}
		if !n.isFIFO() && strings.HasSuffix(endpoint, ".fifo") {
			return invalid("Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics")
		}
	default:
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" {
			return invalid("Endpoint")
		}
		if u.Scheme != protocol {
			return invalid("Endpoint must match the specified protocol")
		}
	}
	return nil
}

// ConfirmSubscription confirms a subscription by the token that its endpoint was sent.
func (s *Service) ConfirmSubscription(c *wire.Call, in *api.ConfirmSubscriptionInput) (*api.ConfirmSubscriptionResponse, error) {
	var arn string
	err := s.update(func(tx *store.Tx) error {
		n, _, err := topic(c, tx, in.TopicArn.V)
		if err != nil {
			return err
		}
		var found *store.Subscription
		eachSubscription(tx, n, func(_ string, x *store.Subscription) bool {
			if x.Token != "" && x.Token == in.Token.V {
				found = x
			}
			return found == nil
		})
		if found == nil {
			return invalid("Token")
		}
		name := subscriptionName{n, found.ID}
		arn = name.arn()
		confirmed := *found
		confirmed.Confirmed = true
		confirmed.Guarded = confirmed.Guarded || in.AuthenticateOnUnsubscribe.V == "true"
		store.Subscriptions.Put(tx, n.scope, name.record(), &confirmed)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.ConfirmSubscriptionResponse{SubscriptionArn: wire.Some(arn)}, nil
}

// Unsubscribe removes a subscription, if it exists.
func (s *Service) Unsubscribe(c *wire.Call, in *api.UnsubscribeInput) error {
	return s.update(func(tx *store.Tx) error {
		n, sub, err := subscription(c, tx, in.SubscriptionArn.V)
		if isNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if sub.Guarded && c.AccessKey == "" {
			return lookup("AuthorizationErrorException", "The subscription can be removed by its owner only")
		}
		store.Subscriptions.Delete(tx, n.scope, n.record())
		return nil
	})
}

func isNotFound(err error) bool {
	known, ok := err.(*lambda.Error)
	return ok && known.Code == "NotFoundException"
}

// ListSubscriptions answers the subscriptions to all topics.
func (s *Service) ListSubscriptions(c *wire.Call, in *api.ListSubscriptionsInput) (*api.ListSubscriptionsResponse, error) {
	list, next, err := s.list(c.Scope, "", in.NextToken)
	return &api.ListSubscriptionsResponse{Subscriptions: list, NextToken: next}, err
}

// ListSubscriptionsByTopic answers the subscriptions to a topic.
func (s *Service) ListSubscriptionsByTopic(c *wire.Call, in *api.ListSubscriptionsByTopicInput) (*api.ListSubscriptionsByTopicResponse, error) {
	n, _, err := topic(c, s.snapshot(), in.TopicArn.V)
	if err != nil {
		return nil, err
	}
	list, next, err := s.list(n.scope, store.QualifiedPrefix(n.name), in.NextToken)
	return &api.ListSubscriptionsByTopicResponse{Subscriptions: list, NextToken: next}, err
}

func (s *Service) list(scope lambda.Scope, prefix string, token wire.Opt[string]) ([]api.Subscription, wire.Opt[string], error) {
	p, err := newPage(token)
	if err != nil {
		return nil, wire.Opt[string]{}, err
	}
	list := []api.Subscription{}
	store.Subscriptions.ScanPrefix(s.snapshot(), scope, prefix, p.After, func(name string, sub *store.Subscription) bool {
		if !p.Take(name) {
			return false
		}
		n := subscriptionName{topicName{scope, sub.Topic}, sub.ID}
		arn := n.arn()
		if !sub.Confirmed {
			arn = "PendingConfirmation"
		}
		list = append(list, api.Subscription{
			SubscriptionArn: wire.Some(arn), Owner: wire.Some(scope.Account), Protocol: wire.Some(sub.Protocol),
			Endpoint: wire.Some(sub.Endpoint), TopicArn: wire.Some(n.topicName.arn()),
		})
		return true
	})
	return list, p.Token(), nil
}
