package sqs

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// setRedrive derives from a RedrivePolicy where the store moves messages and when.
func (s *Service) setRedrive(c *store.QueueConfig, scope lambda.Scope, name, policy string) error {
	c.MaxReceives, c.DeadLetter = 0, ""
	if policy == "" {
		return nil
	}
	bad := func(reason string) error { return invalidValue(policy, "RedrivePolicy", reason) }
	var p map[string]json.RawMessage
	if json.Unmarshal([]byte(policy), &p) != nil || p == nil {
		return bad("Redrive policy is not a valid JSON map.")
	}
	for _, key := range []string{"deadLetterTargetArn", "maxReceiveCount"} {
		if p[key] == nil {
			return bad("Redrive policy does not contain mandatory attribute: " + key + ".")
		}
	}
	if len(p) > 2 {
		return bad("Only following attributes are supported: [deadLetterTargetArn, maxReceiveCount].")
	}
	count := text(p["maxReceiveCount"])
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > 1000 {
		return bad("Invalid value for maxReceiveCount: " + count + ", valid values are from 1 to 1000 both inclusive.")
	}
	arn := text(p["deadLetterTargetArn"])
	target, dead, ok := parseARN(arn)
	if !ok {
		return bad("Invalid value for deadLetterTargetArn.")
	}
	if target != scope {
		return bad("Dead-letter target owner should be same as the source.")
	}
	q, ok := s.opt.Queues.Get(target, dead)
	if !ok || dead == name {
		return bad("Dead letter target does not exist.")
	}
	if q.Config().FIFO != c.FIFO {
		return bad("Dead-letter queue must be same type of queue as the source.")
	}
	if !allows(q.Config(), scope.ARN("sqs", name)) {
		return bad("Dead letter target does not allow this source queue in its RedriveAllowPolicy.")
	}
	c.MaxReceives, c.DeadLetter = n, dead
	return nil
}

// text returns a JSON string's value, and other JSON as it is: AWS takes numbers as strings.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// An allowPolicy is a RedriveAllowPolicy: which queues may use a dead-letter queue.
type allowPolicy struct {
	RedrivePermission string   `json:"redrivePermission"`
	SourceQueueArns   []string `json:"sourceQueueArns"`
}

const maxSources = 10 // that a RedriveAllowPolicy names

func checkAllowPolicy(policy string) error {
	if policy == "" {
		return nil
	}
	var p allowPolicy
	if json.Unmarshal([]byte(policy), &p) != nil {
		return invalidValue(policy, "RedriveAllowPolicy", "Amazon SQS can't create the redrive allow policy, as it's in an unsupported format.")
	}
	byQueue := p.RedrivePermission == "byQueue"
	switch {
	case !byQueue && p.RedrivePermission != "allowAll" && p.RedrivePermission != "denyAll",
		byQueue && (len(p.SourceQueueArns) == 0 || len(p.SourceQueueArns) > maxSources),
		!byQueue && len(p.SourceQueueArns) > 0:
		return invalidValue(policy, "RedriveAllowPolicy", "Amazon SQS can't create the redrive allow policy, as it's in an unsupported format.")
	}
	return nil
}

func allows(c *store.QueueConfig, source string) bool {
	policy := c.Attributes["RedriveAllowPolicy"]
	if policy == "" {
		return true
	}
	var p allowPolicy
	if json.Unmarshal([]byte(policy), &p) != nil {
		return false
	}
	return p.RedrivePermission == "allowAll" || p.RedrivePermission == "byQueue" && slices.Contains(p.SourceQueueArns, source)
}
