package lambda

import (
	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

func aliasARN(t target, name string) string { return t.scope.FunctionARN(t.name, name) }

func aliasConfiguration(t target, a *lambda.Alias) *api.AliasConfiguration {
	out := &api.AliasConfiguration{
		AliasArn:        wire.Some(aliasARN(t, a.Name)),
		Name:            wire.Some(a.Name),
		FunctionVersion: wire.Some(a.Version),
		Description:     wire.Some(a.Description),
		RevisionId:      wire.Some(a.RevisionID),
	}
	if a.Additional != "" {
		out.RoutingConfig = &api.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{a.Additional: a.Weight}}
	}
	return out
}

// CreateAlias names a version.
func (s *Service) CreateAlias(c *wire.Call, in *api.CreateAliasRequest) (*api.AliasConfiguration, error) {
	t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
	if err != nil {
		return nil, err
	}
	if err := s.supported(c, in, "FunctionName", "Name", "FunctionVersion", "Description", "RoutingConfig"); err != nil {
		return nil, err
	}
	a := lambda.Alias{Function: t.name, Name: in.Name.V, Version: in.FunctionVersion.V, Description: in.Description.V, RevisionID: newRevision()}
	if err := route(&a, in.RoutingConfig); err != nil {
		return nil, err
	}
	err = s.update(func(tx *store.Tx) error {
		if err := s.checkAlias(tx, t, &a); err != nil {
			return err
		}
		name := store.QualifiedName(t.name, a.Name)
		if _, ok := store.Aliases.Get(tx, t.scope, name); ok {
			return conflict("Alias already exists: %s", aliasARN(t, a.Name))
		}
		store.Aliases.Put(tx, t.scope, name, &a)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return aliasConfiguration(t, &a), nil
}

// UpdateAlias points an alias elsewhere; its provisioned concurrency follows.
func (s *Service) UpdateAlias(c *wire.Call, in *api.UpdateAliasRequest) (*api.AliasConfiguration, error) {
	t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
	if err != nil {
		return nil, err
	}
	if err := s.supported(c, in, "FunctionName", "Name", "FunctionVersion", "Description", "RoutingConfig", "RevisionId"); err != nil {
		return nil, err
	}
	var a lambda.Alias
	err = s.update(func(tx *store.Tx) error {
		name := store.QualifiedName(t.name, in.Name.V)
		old, ok := store.Aliases.Get(tx, t.scope, name)
		if !ok {
			return notFound("Alias not found: %s", aliasARN(t, in.Name.V))
		}
		if err := checkRevision(in.RevisionId, old.RevisionID); err != nil {
			return err
		}
		a = *old
		a.Version = in.FunctionVersion.Or(a.Version)
		a.Description = in.Description.Or(a.Description)
		a.RevisionID = newRevision()
		if err := route(&a, in.RoutingConfig); err != nil {
			return err
		}
		if err := s.checkAlias(tx, t, &a); err != nil {
			return err
		}
		if err := checkProvisionedMove(tx, t, old, &a); err != nil {
			return err
		}
		store.Aliases.Put(tx, t.scope, name, &a)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return aliasConfiguration(t, &a), nil
}

// route sets an alias's weights; an empty map takes them away.
func route(a *lambda.Alias, r *api.AliasRoutingConfiguration) error {
	if r == nil {
		return nil
	}
	if len(r.AdditionalVersionWeights) > 1 {
		return invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
	}
	a.Additional, a.Weight = "", 0
	for version, weight := range r.AdditionalVersionWeights {
		a.Additional, a.Weight = version, weight
	}
	return nil
}

// checkAlias makes sure that an alias points to versions that exist and go together.
func (s *Service) checkAlias(tx *store.Tx, t target, a *lambda.Alias) error {
	var points []*lambda.Version
	for _, number := range []string{a.Version, a.Additional} {
		if number == "" {
			continue
		}
		v, ok := store.Versions.Get(tx, t.scope, store.QualifiedName(t.name, number))
		if !ok {
			return notFound("Function not found: %s", t.scope.FunctionARN(t.name, number))
		}
		points = append(points, v)
	}
	switch {
	case a.Additional == "":
	case a.Version == lambda.Latest || a.Additional == lambda.Latest:
		return lambda.Errorf(lambda.CodeInvalidParameterValue, "$LATEST is not supported for an alias pointing to more than 1 version")
	case a.Version == a.Additional:
		return invalid("Invalid function version %s. Function version %s is already included in routing configuration.", a.Version, a.Version)
	case points[0].Role != points[1].Role:
		return invalid("The versions of an alias must have the same execution role: %s and %s differ.", a.Version, a.Additional)
	case points[0].DeadLetter != points[1].DeadLetter:
		return invalid("The versions of an alias must have the same dead-letter queue: %s and %s differ.", a.Version, a.Additional)
	}
	return nil
}

// GetAlias describes an alias.
func (s *Service) GetAlias(c *wire.Call, in *api.GetAliasRequest) (*api.AliasConfiguration, error) {
	t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
	if err != nil {
		return nil, err
	}
	a, ok := store.Aliases.Get(s.snapshot(), t.scope, store.QualifiedName(t.name, in.Name.V))
	if !ok {
		return nil, notFound("Cannot find alias arn: %s", aliasARN(t, in.Name.V))
	}
	return aliasConfiguration(t, a), nil
}

// ListAliases lists the aliases of a function by name, or those of one version.
func (s *Service) ListAliases(c *wire.Call, in *api.ListAliasesRequest) (*api.ListAliasesResponse, error) {
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
	out := &api.ListAliasesResponse{Aliases: []api.AliasConfiguration{}}
	store.Aliases.ScanPrefix(snapshot, t.scope, store.QualifiedPrefix(t.name), p.After, func(name string, a *lambda.Alias) bool {
		if in.FunctionVersion.OK && a.Version != in.FunctionVersion.V && a.Additional != in.FunctionVersion.V {
			return true
		}
		if !p.Take(name) {
			return false
		}
		out.Aliases = append(out.Aliases, *aliasConfiguration(t, a))
		return true
	})
	out.NextMarker = p.Token()
	return out, nil
}

// DeleteAlias deletes an alias with its provisioned concurrency. Deleting one that does not
// exist succeeds.
func (s *Service) DeleteAlias(c *wire.Call, in *api.DeleteAliasRequest) error {
	t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
	if err != nil {
		return err
	}
	return s.update(func(tx *store.Tx) error {
		name := store.QualifiedName(t.name, in.Name.V)
		store.Provisioned.Delete(tx, t.scope, name)
		store.EventInvokes.Delete(tx, t.scope, name)
		store.Policies.Delete(tx, t.scope, name)
		store.Aliases.Delete(tx, t.scope, name)
		return nil
	})
}
