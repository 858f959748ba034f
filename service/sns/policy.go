package sns

import (
	"encoding/json"
	"slices"

	api "github.com/weir-run/weir/aws/sns"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// lookup is an error of a code with fixed words.
func lookup(code, message string) *lambda.Error { return &lambda.Error{Code: code, Message: message} }

// A resourcePolicy is the policy of a topic. It is stored and returned; nothing enforces it.
type resourcePolicy struct {
	Version   string            `json:"Version"`
	ID        string            `json:"Id"`
	Statement []json.RawMessage `json:"Statement"`
}

type statement struct {
	Sid       string    `json:"Sid"`
	Effect    string    `json:"Effect"`
	Principal principal `json:"Principal"`
	Action    any       `json:"Action"` // as on AWS: a text, if it is one
	Resource  string    `json:"Resource"`
	Condition any       `json:"Condition,omitempty"`
}

type principal struct {
	AWS any `json:"AWS"`
}

// defaultPolicy is what AWS gives a new topic.
func defaultPolicy(n topicName) string {
	text, err := json.Marshal(statement{
		Sid: "__default_statement_ID", Effect: "Allow", Principal: principal{"*"}, Resource: n.arn(),
		Action: []string{"SNS:GetTopicAttributes", "SNS:SetTopicAttributes", "SNS:AddPermission", "SNS:RemovePermission",
			"SNS:DeleteTopic", "SNS:Subscribe", "SNS:ListSubscriptionsByTopic", "SNS:Publish"},
		Condition: map[string]any{"StringEquals": map[string]string{"AWS:SourceOwner": n.scope.Account}},
	})
	if err != nil {
		panic(err) // it has nothing that JSON lacks
	}
	return encodePolicy(resourcePolicy{"2008-10-17", "__default_policy_ID", []json.RawMessage{text}})
}

func encodePolicy(p resourcePolicy) string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // its statements are valid JSON
	}
	return string(text)
}

// AddPermission adds a statement to a topic's policy.
func (s *Service) AddPermission(c *wire.Call, in *api.AddPermissionInput) error {
	return s.changePolicy(c, in.TopicArn.V, func(n topicName, p *resourcePolicy) error {
		if slices.ContainsFunc(p.Statement, func(raw json.RawMessage) bool { return sid(raw) == in.Label.V }) {
			return invalid("Statement already exists")
		}
		var accounts, actions []string
		for _, id := range in.AWSAccountId {
			accounts = append(accounts, "arn:aws:iam::"+id+":root")
		}
		for _, name := range in.ActionName {
			actions = append(actions, "SNS:"+name)
		}
		if len(accounts) == 0 || len(actions) == 0 {
			return invalid("Policy statement must have an account and an action")
		}
		text, err := json.Marshal(statement{Sid: in.Label.V, Effect: "Allow", Principal: principal{oneOrMany(accounts)}, Action: oneOrMany(actions), Resource: n.arn()})
		if err != nil {
			return err
		}
		p.Statement = append(p.Statement, text)
		return nil
	})
}

func oneOrMany(list []string) any {
	if len(list) == 1 {
		return list[0]
	}
	return list
}

// RemovePermission removes a statement from a topic's policy, if it is there.
func (s *Service) RemovePermission(c *wire.Call, in *api.RemovePermissionInput) error {
	return s.changePolicy(c, in.TopicArn.V, func(_ topicName, p *resourcePolicy) error {
		p.Statement = slices.DeleteFunc(p.Statement, func(raw json.RawMessage) bool { return sid(raw) == in.Label.V })
		return nil
	})
}

// sid is the Sid of a statement, or empty.
func sid(raw json.RawMessage) string {
	var x struct{ Sid string }
	if json.Unmarshal(raw, &x) != nil {
		return ""
	}
	return x.Sid
}

func (s *Service) changePolicy(c *wire.Call, arn string, change func(topicName, *resourcePolicy) error) error {
	return s.update(func(tx *store.Tx) error {
		n, old, err := topic(c, tx, arn)
		if err != nil {
			return err
		}
		text := old.Attributes["Policy"]
		if text == "" {
			text = defaultPolicy(n)
		}
		var p resourcePolicy
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			return invalid("Policy Error: the topic's policy has no list of statements")
		}
		if err := change(n, &p); err != nil {
			return err
		}
		t := copyTopic(old)
		t.Attributes["Policy"] = encodePolicy(p)
		store.Topics.Put(tx, n.scope, n.name, t)
		return nil
	})
}
