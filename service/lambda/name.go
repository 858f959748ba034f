package lambda

import (
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// A target is a function that a request names, with the qualifier it gives.
type target struct {
	scope     lambda.Scope
	name      string
	qualifier string // empty: none given
}

// maxNameLength bounds a function's name alone; a qualified ARN may have 140 characters.
const maxNameLength = 64

// target reads the function of a request, in any of the forms of its name.
func (s *Service) target(c *wire.Call, name string, qualifier wire.Opt[string]) (target, error) {
	n, ok := lambda.ParseFunctionName(name)
	if !ok {
		return target{}, notFound("Function not found: %s", name)
	}
	if len(n.Name) > maxNameLength {
		return target{}, lambda.Errorf(lambda.CodeInvalidParameterValue,
			"1 validation error detected: Value '%s' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to %d", n.Name, maxNameLength)
	}
	if n.Region != "" && n.Region != c.Scope.Region {
		return target{}, notFound("Functions from '%s' are not reachable in this region ('%s')", n.Region, c.Scope.Region)
	}
	if n.Account != "" && n.Account != c.Scope.Account {
		return target{}, lambda.Errorf("AccessDeniedException", "")
	}
	t := target{c.Scope, n.Name, n.Qualifier}
	if qualifier.OK && qualifier.V != "" {
		if n.Qualifier != "" && n.Qualifier != qualifier.V {
			return target{}, invalid("The derived qualifier from the function name does not match the specified qualifier.")
		}
		t.qualifier = qualifier.V
	}
	return t, nil
}

// arn returns the ARN as the request gave the qualifier.
func (t target) arn() string { return t.scope.FunctionARN(t.name, t.qualifier) }

func (t target) missing() error { return notFound("Function not found: %s", t.arn()) }

// function finds the function itself.
func (t target) function(r store.Reader) (*lambda.Function, error) {
	f, ok := store.Functions.Get(r, t.scope, t.name)
	if !ok {
		return nil, t.missing()
	}
	return f, nil
}

// version finds what the qualifier means: $LATEST if there is none, a published version, or
// the version that an alias points to.
func (t target) version(r store.Reader) (*lambda.Version, error) {
	q := t.qualifier
	if q == "" {
		q = lambda.Latest
	}
	if a, ok := store.Aliases.Get(r, t.scope, store.QualifiedName(t.name, q)); ok {
		q = a.Version
	}
	v, ok := store.Versions.Get(r, t.scope, store.QualifiedName(t.name, q))
	if !ok {
		return nil, t.missing()
	}
	return v, nil
}

func (t target) alias(r store.Reader) (*lambda.Alias, bool) {
	return store.Aliases.Get(r, t.scope, store.QualifiedName(t.name, t.qualifier))
}

// latest finds $LATEST to change it: a function that is being created or updated refuses.
func (t target) latest(r store.Reader) (*lambda.Version, error) {
	v, ok := store.Versions.Get(r, t.scope, store.QualifiedName(t.name, lambda.Latest))
	switch {
	case !ok:
		return nil, t.missing()
	case v.State == lambda.Pending || v.State == lambda.Failed:
		return nil, conflict("The operation cannot be performed at this time. The function is currently in the following state: %s", v.State)
	case v.UpdateStatus == lambda.UpdateInProgress:
		return nil, conflict("The operation cannot be performed at this time. An update is in progress for resource: %s", t.scope.FunctionARN(t.name, ""))
	}
	return v, nil
}

// unqualified refuses a request about a function that names one of its versions.
func (t target) unqualified() error {
	if t.qualifier != "" {
		return invalid("This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.")
	}
	return nil
}
