package sns

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"

	api "github.com/weir-run/weir/aws/sns"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/filter"
	"github.com/weir-run/weir/store"
)

// setAttribute sets an attribute of a subscription; an empty value removes it. where stands
// before what is wrong.
func setAttribute(n topicName, sub *store.Subscription, name, value, where string) error {
	if value == "" && name != "RawMessageDelivery" {
		delete(sub.Attributes, name)
		return nil
	}
	switch name {
	case "RawMessageDelivery":
		if !isBool(strings.ToLower(value)) {
			return invalid("%sRawMessageDelivery: Invalid value [%s]. Must be true or false.", where, value)
		}
		if sub.Protocol == "lambda" && strings.EqualFold(value, "true") {
			return invalid("%sRawMessageDelivery: Delivery protocol [lambda] does not support raw message delivery.", where)
		}
		value = strings.ToLower(value)
	case "FilterPolicy":
		if !json.Valid([]byte(value)) {
			return invalid("%sFilterPolicy: failed to parse JSON.", where)
		}
	case "FilterPolicyScope":
		if value != "MessageAttributes" && value != "MessageBody" {
			return invalid("%sFilterPolicyScope: Invalid value [%s]. Please use either MessageBody or MessageAttributes", where, value)
		}
	case "RedrivePolicy":
		target, err := deadLetterTarget(value)
		if err != nil {
			return invalid("%sRedrivePolicy: %s", where, err)
		}
		if n.isFIFO() != strings.HasSuffix(target, ".fifo") {
			return invalid("%sRedrivePolicy: must use a %s queue as DLQ for a %s topic", where, fifoWord(n), fifoWord(n))
		}
	case "DeliveryPolicy":
		if sub.Protocol != "http" && sub.Protocol != "https" {
			return invalid("%sDeliveryPolicy: weir applies one to http and https only", where)
		}
		if _, err := parseDelivery(value); err != nil {
			return invalid("%sDeliveryPolicy: %s", where, err)
		}
	default:
		return invalid("%s%s", where, "AttributeName")
	}
	sub.Attributes[name] = value
	return nil
}

func fifoWord(n topicName) string {
	if n.isFIFO() {
		return "FIFO"
	}
	return "standard"
}

// deadLetterTarget reads a RedrivePolicy.
func deadLetterTarget(policy string) (string, error) {
	var p struct{ DeadLetterTargetARN string }
	if err := json.Unmarshal([]byte(policy), &p); err != nil {
		return "", filter.Reason("failed to parse JSON.")
	}
	parts := strings.Split(p.DeadLetterTargetARN, ":")
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "sqs" {
		return "", filter.Reason("deadLetterTargetArn is an invalid arn")
	}
	return p.DeadLetterTargetARN, nil
}

// checkScope compiles the filter policy in its scope.
func checkScope(sub *store.Subscription, where string) error {
	policy, ok := sub.Attributes["FilterPolicy"]
	if !ok {
		return nil
	}
	if _, err := filter.Compile(dialect(sub), policy); err != nil {
		return invalid("%sFilterPolicy: %s", where, err)
	}
	return nil
}

func dialect(sub *store.Subscription) filter.Dialect {
	if sub.Attributes["FilterPolicyScope"] == "MessageBody" {
		return filter.SNSBody
	}
	return filter.SNSAttributes
}

// compiled returns the filter policy of a subscription, nil if it has none.
func (s *Service) compiled(sub *store.Subscription) (*filter.Pattern, error) {
	policy, ok := sub.Attributes["FilterPolicy"]
	if !ok {
		return nil, nil
	}
	key := filterKey{dialect(sub), policy}
	s.mu.Lock()
	p := s.mu.filters[key]
	s.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := filter.Compile(key.dialect, policy)
	if err != nil {
		return nil, parseFailed("a filter policy", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.filters) >= maxFilters {
		clear(s.mu.filters)
	}
	s.mu.filters[key] = p
	return p, nil
}

// GetSubscriptionAttributes answers the attributes of a subscription.
func (s *Service) GetSubscriptionAttributes(c *wire.Call, in *api.GetSubscriptionAttributesInput) (*api.GetSubscriptionAttributesResponse, error) {
	r := s.snapshot()
	n, sub, err := subscription(c, r, in.SubscriptionArn.V)
	if err != nil {
		return nil, err
	}
	a := map[string]string{
		"SubscriptionArn": n.arn(), "TopicArn": n.topicName.arn(), "Owner": n.scope.Account,
		"Protocol": sub.Protocol, "Endpoint": sub.Endpoint, "RawMessageDelivery": "false",
		"PendingConfirmation":          strconv.FormatBool(!sub.Confirmed),
		"ConfirmationWasAuthenticated": strconv.FormatBool(sub.Confirmed && (sub.Token == "" || sub.Guarded)),
		"SubscriptionPrincipal":        "arn:" + n.scope.Partition() + ":iam::" + n.scope.Account + ":root",
	}
	if _, ok := sub.Attributes["FilterPolicy"]; ok {
		a["FilterPolicyScope"] = "MessageAttributes"
	}
	if sub.Protocol == "http" || sub.Protocol == "https" {
		t, _ := store.Topics.Get(r, n.scope, n.name)
		if a["EffectiveDeliveryPolicy"], err = effectivePolicy(deliveryPolicyOf(t, sub)); err != nil {
			return nil, err
		}
	}
	maps.Copy(a, sub.Attributes)
	return &api.GetSubscriptionAttributesResponse{Attributes: a}, nil
}

// SetSubscriptionAttributes sets one attribute.
func (s *Service) SetSubscriptionAttributes(c *wire.Call, in *api.SetSubscriptionAttributesInput) error {
	return s.update(func(tx *store.Tx) error {
		n, old, err := subscription(c, tx, in.SubscriptionArn.V)
		if err != nil {
			return err
		}
		sub := *old
		sub.Attributes = maps.Clone(old.Attributes)
		if sub.Attributes == nil {
			sub.Attributes = map[string]string{}
		}
		if err := setAttribute(n.topicName, &sub, in.AttributeName.V, in.AttributeValue.V, ""); err != nil {
			return err
		}
		if err := checkScope(&sub, ""); err != nil {
			return err
		}
		store.Subscriptions.Put(tx, n.scope, n.record(), &sub)
		return nil
	})
}
