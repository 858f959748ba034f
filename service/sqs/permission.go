package sqs

import (
	"context"
	"encoding/json"
	"slices"

	api "github.com/weir-run/weir/aws/sqs"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// A policy is a queue's policy document; its statements stay as they are given.
type policy struct {
	Version   string            `json:"Version"`
	ID        string            `json:"Id,omitempty"`
	Statement []json.RawMessage `json:"Statement"`
}

// A statement is what AddPermission adds to a policy.
type statement struct {
	Sid       string `json:"Sid"`
	Effect    string `json:"Effect"`
	Principal struct {
		AWS any `json:"AWS"` // one ARN or several
	} `json:"Principal"`
	Action   any    `json:"Action"` // one or several
	Resource string `json:"Resource"`
}

const maxActions = 7 // of a statement

var grantable = []string{
	"*", "SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes", "GetQueueUrl",
	"ListDeadLetterSourceQueues", "PurgeQueue",
}

// AddPermission adds a statement to the policy of a queue.
func (s *Service) AddPermission(c *wire.Call, in *api.AddPermissionRequest) error {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return err
	}
	label := in.Label.V
	const maxLabel = 80 // characters
	switch {
	case label == "":
		return missing("Label")
	case len(label) > maxLabel || !isWord(label):
		return invalidValue(label, "Label", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.")
	case len(in.AWSAccountIds) == 0:
		return missing("AWSAccountIds")
	case len(in.Actions) == 0:
		return missing("Actions")
	case len(in.Actions) > maxActions:
		return lambda.Errorf("OverLimit", "%d Actions were found, maximum allowed is %d.", len(in.Actions), maxActions)
	}
	added := statement{Sid: label, Effect: "Allow", Resource: q.ARN()}
	var principals, actions []string
	for _, account := range in.AWSAccountIds {
		if !lambda.IsAccount(account) {
			return invalidValue("["+account+"]", "PrincipalId", "Unable to verify.")
		}
		principals = append(principals, "arn:"+q.Scope.Partition()+":iam::"+account+":root")
	}
	for _, action := range in.Actions {
		if !slices.Contains(grantable, action) {
			return invalidValue("SQS:"+action, "ActionName", "Only the queue owner is allowed to invoke this action.")
		}
		actions = append(actions, "SQS:"+action)
	}
	added.Principal.AWS, added.Action = single(principals), single(actions)
	text, err := json.Marshal(added)
	if err != nil {
		return err
	}
	flag(c, map[string]string{"Policy": "set"})
	return s.changePolicy(q, func(p *policy) error {
		if p.find(label) >= 0 {
			return invalidValue(label, "Label", "Already exists.")
		}
		p.Statement = append(p.Statement, text)
		return nil
	})
}

// RemovePermission removes a statement from the policy of a queue.
func (s *Service) RemovePermission(c *wire.Call, in *api.RemovePermissionRequest) error {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return err
	}
	if in.Label.V == "" {
		return missing("Label")
	}
	return s.changePolicy(q, func(p *policy) error {
		i := p.find(in.Label.V)
		if i < 0 {
			return invalidValue(in.Label.V, "Label", "can't find label.")
		}
		p.Statement = slices.Delete(p.Statement, i, i+1)
		return nil
	})
}

func (s *Service) changePolicy(q *store.Queue, change func(*policy) error) error {
	return visible(s.opt.Queues.Update(context.Background(), q, func(config *store.QueueConfig) error {
		p := policy{Version: "2008-10-17", ID: q.ARN() + "/SQSDefaultPolicy"}
		if text := config.Attributes["Policy"]; text != "" {
			if json.Unmarshal([]byte(text), &p) != nil {
				return invalid("The policy of the queue is not a list of statements.")
			}
		}
		if err := change(&p); err != nil {
			return err
		}
		if len(p.Statement) == 0 {
			return configure(config, map[string]string{"Policy": ""})
		}
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		return configure(config, map[string]string{"Policy": string(text)})
	}))
}

// find returns the place of a statement, or -1.
func (p *policy) find(label string) int {
	return slices.IndexFunc(p.Statement, func(raw json.RawMessage) bool {
		var s struct{ Sid string }
		return json.Unmarshal(raw, &s) == nil && s.Sid == label
	})
}

// single is a list of one as AWS writes it in policies: without the list.
func single(list []string) any {
	if len(list) == 1 {
		return list[0]
	}
	return list
}
