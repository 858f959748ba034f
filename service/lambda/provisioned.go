package lambda

import (
	"time"

	"github.com/weir-run/weir/admission"
	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// provisionedTime is how Lambda prints the time of a provisioned configuration.
const provisionedTime = "2006-01-02T15:04:05-0700"

// provisionedTarget finds the alias or version that a request is about.
func (s *Service) provisionedTarget(c *wire.Call, r store.Reader, function, qualifier wire.Opt[string], latest string) (target, error) {
	t, err := s.target(c, function.V, qualifier)
	if err != nil {
		return t, err
	}
	switch {
	case t.qualifier == lambda.Latest:
		return t, invalid("%s", latest)
	case lambda.IsVersionNumber(t.qualifier):
		if _, err := t.version(r); err != nil {
			return t, err
		}
	default:
		if _, ok := t.alias(r); !ok {
			return t, notFound("Cannot find alias arn: %s", t.arn())
		}
	}
	return t, nil
}

const (
	putOnLatest = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
	getOnLatest = "The function resource provided must be an alias or a published version."
)

// PutProvisionedConcurrencyConfig asks for provisioned environments on an alias or a version.
func (s *Service) PutProvisionedConcurrencyConfig(c *wire.Call, in *api.PutProvisionedConcurrencyConfigRequest) (*api.PutProvisionedConcurrencyConfigResponse, error) {
	n := int(in.ProvisionedConcurrentExecutions.V)
	now := time.Now()
	err := s.update(func(tx *store.Tx) error {
		t, err := s.provisionedTarget(c, tx, in.FunctionName, in.Qualifier, putOnLatest)
		if err != nil {
			return err
		}
		if err := checkProvisionedTwice(tx, t); err != nil {
			return err
		}
		b := s.budget(tx, t, t.qualifier)
		switch b.Provision(n) {
		case admission.AboveReserved:
			return invalid("Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function")
		case admission.AboveUnreserved:
			return lambda.Errorf(lambda.CodeInvalidParameterValue, "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [%d].", b.Unreserved()-b.Provisioned)
		case admission.BelowUnreservedFloor:
			return lambda.Errorf(lambda.CodeInvalidParameterValue, "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", b.Floor())
		}
		store.Provisioned.Put(tx, t.scope, store.QualifiedName(t.name, t.qualifier), &lambda.Provisioned{
			Function: t.name, Qualifier: t.qualifier, Concurrency: n, LastModified: now,
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.PutProvisionedConcurrencyConfigResponse{
		RequestedProvisionedConcurrentExecutions: wire.Some(int32(n)),
		AllocatedProvisionedConcurrentExecutions: wire.Some(int32(0)),
		AvailableProvisionedConcurrentExecutions: wire.Some(int32(0)),
		Status:                                   wire.Some(admission.InProgress.String()),
		LastModified:                             wire.Some(now.UTC().Format(provisionedTime)),
	}, nil
}

// checkProvisionedTwice refuses to provision a version both by its number and by an alias, or
// by two aliases, and $LATEST by an alias.
func checkProvisionedTwice(r store.Reader, t target) error {
	if a, ok := t.alias(r); ok {
		if a.Version == lambda.Latest {
			return invalid(putOnLatest)
		}
		for _, version := range []string{a.Version, a.Additional} {
			if _, ok := store.Provisioned.Get(r, t.scope, store.QualifiedName(t.name, version)); version != "" && ok {
				return conflict("Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version")
			}
			if version != "" && provisionedAlias(r, t, version, a.Name) {
				return conflict("Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version")
			}
		}
		return nil
	}
	if provisionedAlias(r, t, t.qualifier, "") {
		return conflict("Version is pointed by a Provisioned Concurrency alias")
	}
	return nil
}

// provisionedAlias reports whether an alias other than except has provisioned concurrency
// and points to a version.
func provisionedAlias(r store.Reader, t target, version, except string) bool {
	found := false
	store.Aliases.ScanPrefix(r, t.scope, store.QualifiedPrefix(t.name), "", func(name string, a *lambda.Alias) bool {
		_, has := store.Provisioned.Get(r, t.scope, name)
		found = found || has && a.Name != except && (a.Version == version || a.Additional == version)
		return !found
	})
	return found
}

// checkProvisionedMove refuses to point a provisioned alias to $LATEST, or to a version that is
// provisioned otherwise.
func checkProvisionedMove(r store.Reader, t target, old, a *lambda.Alias) error {
	if _, ok := store.Provisioned.Get(r, t.scope, store.QualifiedName(t.name, a.Name)); !ok {
		return nil
	}
	if a.Version == lambda.Latest && old.Version != lambda.Latest { // a configuration of before the check may stay
		return invalid(putOnLatest)
	}
	for _, version := range []string{a.Version, a.Additional} {
		if version == "" || version == old.Version || version == old.Additional {
			continue
		}
		_, own := store.Provisioned.Get(r, t.scope, store.QualifiedName(t.name, version))
		if own || provisionedAlias(r, t, version, a.Name) {
			return conflict("Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version")
		}
	}
	return nil
}

// state describes a provisioned configuration as it is now.
func (s *Service) state(t target, p *lambda.Provisioned) api.ProvisionedConcurrencyConfigListItem {
	now := s.opt.Engine.Provisioned(t.scope, t.name, p.Qualifier)
	status := now.Status
	if status == admission.NotProvisioned { // stored, but the engine has not heard of it yet
		status = admission.InProgress
	}
	item := api.ProvisionedConcurrencyConfigListItem{
		FunctionArn:                              wire.Some(t.scope.FunctionARN(t.name, p.Qualifier)),
		RequestedProvisionedConcurrentExecutions: wire.Some(int32(p.Concurrency)),
		AllocatedProvisionedConcurrentExecutions: wire.Some(int32(now.Available)),
		AvailableProvisionedConcurrentExecutions: wire.Some(int32(now.Available)),
		Status:                                   wire.Some(status.String()),
		LastModified:                             wire.Some(p.LastModified.UTC().Format(provisionedTime)),
	}
	if status == admission.StatusFailed {
		item.StatusReason = wire.Some("FUNCTION_ERROR_INIT_FAILURE")
	}
	return item
}

// GetProvisionedConcurrencyConfig describes a provisioned configuration.
func (s *Service) GetProvisionedConcurrencyConfig(c *wire.Call, in *api.GetProvisionedConcurrencyConfigRequest) (*api.GetProvisionedConcurrencyConfigResponse, error) {
	snapshot := s.snapshot()
	t, err := s.provisionedTarget(c, snapshot, in.FunctionName, in.Qualifier, getOnLatest)
	if err != nil {
		return nil, err
	}
	p, ok := store.Provisioned.Get(snapshot, t.scope, store.QualifiedName(t.name, t.qualifier))
	if !ok {
		return nil, userError("ProvisionedConcurrencyConfigNotFoundException", "No Provisioned Concurrency Config found for this function")
	}
	item := s.state(t, p)
	return &api.GetProvisionedConcurrencyConfigResponse{
		RequestedProvisionedConcurrentExecutions: item.RequestedProvisionedConcurrentExecutions,
		AvailableProvisionedConcurrentExecutions: item.AvailableProvisionedConcurrentExecutions,
		AllocatedProvisionedConcurrentExecutions: item.AllocatedProvisionedConcurrentExecutions,
		Status:                                   item.Status,
		StatusReason:                             item.StatusReason,
		LastModified:                             item.LastModified,
	}, nil
}

// DeleteProvisionedConcurrencyConfig takes a provisioned configuration away, if there is one.
func (s *Service) DeleteProvisionedConcurrencyConfig(c *wire.Call, in *api.DeleteProvisionedConcurrencyConfigRequest) error {
	return s.update(func(tx *store.Tx) error {
		t, err := s.provisionedTarget(c, tx, in.FunctionName, in.Qualifier, getOnLatest)
		if err != nil {
			return err
		}
		store.Provisioned.Delete(tx, t.scope, store.QualifiedName(t.name, t.qualifier))
		return nil
	})
}

// ListProvisionedConcurrencyConfigs lists the provisioned configurations of a function.
func (s *Service) ListProvisionedConcurrencyConfigs(c *wire.Call, in *api.ListProvisionedConcurrencyConfigsRequest) (*api.ListProvisionedConcurrencyConfigsResponse, error) {
	t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
	if err != nil {
		return nil, err
	}
	snapshot := s.snapshot()
	if _, err := t.function(snapshot); err != nil {
		return nil, err
	}
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListProvisionedConcurrencyConfigsResponse{ProvisionedConcurrencyConfigs: []api.ProvisionedConcurrencyConfigListItem{}}
	store.Provisioned.ScanPrefix(snapshot, t.scope, store.QualifiedPrefix(t.name), p.After, func(name string, v *lambda.Provisioned) bool {
		if !p.Take(name) {
			return false
		}
		out.ProvisionedConcurrencyConfigs = append(out.ProvisionedConcurrencyConfigs, s.state(t, v))
		return true
	})
	out.NextMarker = p.Token()
	return out, nil
}
