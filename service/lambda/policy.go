package lambda

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// statement is a permission as AWS writes it.
type statement struct {
	Sid       string
	Effect    string
	Principal any // "*", or a map of its kind to its name
	Action    string
	Resource  string
	Condition map[string]map[string]string `json:",omitempty"`
}

type policy struct {
	Version   string
	ID        string `json:"Id"`
	Statement []json.RawMessage
}

// AddPermission adds a statement to the policy of a function, a version or an alias.
func (s *Service) AddPermission(c *wire.Call, in *api.AddPermissionRequest) (*api.AddPermissionResponse, error) {
	t, err := s.policyTarget(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	s.flag(c)
	text, err := json.Marshal(permission(t, in))
	if err != nil {
		return nil, err
	}
	err = s.changePolicy(t, in.RevisionId, func(p *lambda.Policy) error {
		if slices.ContainsFunc(p.Statements, func(x lambda.Statement) bool { return x.ID == in.StatementId.V }) {
			return conflict("The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", in.StatementId.V)
		}
		p.Statements = append(slices.Clone(p.Statements), lambda.Statement{ID: in.StatementId.V, JSON: text})
		if text, err := policyText(p); err != nil {
			return err
		} else if len(text) > lambda.MaxPolicy {
			return userError("PolicyLengthExceededException", "The final policy size is bigger than the limit (%d).", lambda.MaxPolicy)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.SetStatus(http.StatusCreated)
	return &api.AddPermissionResponse{Statement: wire.Some(string(text))}, nil
}

// permission writes a statement.
func permission(t target, in *api.AddPermissionRequest) statement {
	p := statement{Sid: in.StatementId.V, Effect: "Allow", Action: in.Action.V, Resource: t.arn(), Condition: make(map[string]map[string]string)}
	switch who := in.Principal.V; {
	case who == "*":
		p.Principal = who
	case strings.HasSuffix(who, ".amazonaws.com"):
		p.Principal = map[string]string{"Service": who}
	case lambda.IsAccount(who):
		p.Principal = map[string]string{"AWS": "arn:aws:iam::" + who + ":root"}
	default:
		p.Principal = map[string]string{"AWS": who}
	}
	equals := make(map[string]string)
	for key, value := range map[string]wire.Opt[string]{
		"AWS:SourceAccount": in.SourceAccount, "lambda:EventSourceToken": in.EventSourceToken,
		"lambda:FunctionUrlAuthType": in.FunctionUrlAuthType, "aws:PrincipalOrgID": in.PrincipalOrgID,
	} {
		if value.OK {
			equals[key] = value.V
		}
	}
	if len(equals) > 0 {
		p.Condition["StringEquals"] = equals
	}
	if in.SourceArn.OK {
		p.Condition["ArnLike"] = map[string]string{"AWS:SourceArn": in.SourceArn.V}
	}
	if in.InvokedViaFunctionUrl.V {
		p.Condition["Bool"] = map[string]string{"lambda:InvokedViaFunctionUrl": "true"}
	}
	return p
}

// policyTarget is target for what can have a policy: anything but $LATEST by its name.
func (s *Service) policyTarget(c *wire.Call, name, qualifier wire.Opt[string]) (target, error) {
	t, err := s.target(c, name.V, qualifier)
	if err != nil {
		return t, err
	}
	if t.qualifier == lambda.Latest {
		return t, invalid("We currently do not support adding policies for $LATEST.")
	}
	_, err = t.version(s.snapshot())
	return t, err
}

// changePolicy changes a policy; one without statements ceases to exist.
func (s *Service) changePolicy(t target, revision wire.Opt[string], f func(*lambda.Policy) error) error {
	return s.update(func(tx *store.Tx) error {
		var p lambda.Policy
		if old, ok := store.Policies.Get(tx, t.scope, t.key()); ok {
			p = *old
		}
		if revision.OK && revision.V != p.RevisionID {
			return userError("PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id")
		}
		if err := f(&p); err != nil {
			return err
		}
		if len(p.Statements) == 0 {
			store.Policies.Delete(tx, t.scope, t.key())
			return nil
		}
		p.RevisionID = newRevision()
		store.Policies.Put(tx, t.scope, t.key(), &p)
		return nil
	})
}

// RemovePermission removes a statement.
func (s *Service) RemovePermission(c *wire.Call, in *api.RemovePermissionRequest) error {
	t, err := s.policyTarget(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return err
	}
	c.SetStatus(http.StatusNoContent)
	return s.changePolicy(t, in.RevisionId, func(p *lambda.Policy) error {
		if len(p.Statements) == 0 {
			return notFound("No policy is associated with the given resource.")
		}
		i := slices.IndexFunc(p.Statements, func(x lambda.Statement) bool { return x.ID == in.StatementId.V })
		if i < 0 {
			return notFound("Statement %s is not found in resource policy.", in.StatementId.V)
		}
		p.Statements = slices.Delete(slices.Clone(p.Statements), i, i+1)
		return nil
	})
}

// GetPolicy returns a policy as JSON text.
func (s *Service) GetPolicy(c *wire.Call, in *api.GetPolicyRequest) (*api.GetPolicyResponse, error) {
	t, err := s.policyTarget(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	p, ok := store.Policies.Get(s.snapshot(), t.scope, t.key())
	if !ok {
		return nil, notFound("The resource you requested does not exist.")
	}
	text, err := policyText(p)
	if err != nil {
		return nil, err
	}
	return &api.GetPolicyResponse{Policy: wire.Some(text), RevisionId: wire.Some(p.RevisionID)}, nil
}

func policyText(p *lambda.Policy) (string, error) {
	doc := policy{Version: "2012-10-17", ID: "default"}
	for _, x := range p.Statements {
		doc.Statement = append(doc.Statement, x.JSON)
	}
	text, err := json.Marshal(&doc)
	return string(text), err
}
