package lambda

import (
	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// GetFunction describes a version of a function, with its code's location.
func (s *Service) GetFunction(c *wire.Call, in *api.GetFunctionRequest) (*api.GetFunctionResponse, error) {
	t, err := s.target(c, in.FunctionName.V, in.Qualifier)
	if err != nil {
		return nil, err
	}
	snapshot := s.snapshot()
	v, err := t.version(snapshot)
	if err != nil {
		return nil, err
	}
	out := &api.GetFunctionResponse{
		Configuration: s.configuration(t.scope, v, t.arn()),
		Code:          &api.FunctionCodeLocation{RepositoryType: wire.Some("S3"), Location: wire.Some(s.opt.CodeURL(c, v.Code.SHA256))},
	}
	if f, err := t.function(snapshot); err == nil && len(f.Tags) > 0 {
		out.Tags = f.Tags
	}
	if r, ok := store.Reserved.Get(snapshot, t.scope, t.name); ok {
		out.Concurrency = &api.Concurrency{ReservedConcurrentExecutions: wire.Some(int32(r.Concurrency))}
	}
	return out, nil
}

// GetFunctionConfiguration describes a version of a function.
func (s *Service) GetFunctionConfiguration(c *wire.Call, in *api.GetFunctionConfigurationRequest) (*api.FunctionConfiguration, error) {
	t, err := s.target(c, in.FunctionName.V, in.Qualifier)
	if err != nil {
		return nil, err
	}
	v, err := t.version(s.snapshot())
	if err != nil {
		return nil, err
	}
	return s.configuration(t.scope, v, t.arn()), nil
}

// ListFunctions lists the $LATEST versions by name, or all versions.
func (s *Service) ListFunctions(c *wire.Call, in *api.ListFunctionsRequest) (*api.ListFunctionsResponse, error) {
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListFunctionsResponse{Functions: []api.FunctionConfiguration{}}
	all := in.FunctionVersion.V == "ALL"
	store.Versions.Scan(s.snapshot(), c.Scope, p.After, func(name string, v *lambda.Version) bool {
		if !all && v.Number != lambda.Latest {
			return true
		}
		if !p.Take(name) {
			return false
		}
		qualifier := ""
		if all {
			qualifier = v.Number
		}
		out.Functions = append(out.Functions, *listed(v, c.Scope.FunctionARN(v.Function, qualifier)))
		return true
	})
	out.NextMarker = p.Token()
	return out, nil
}

// ListVersionsByFunction lists the versions of a function, $LATEST first.
func (s *Service) ListVersionsByFunction(c *wire.Call, in *api.ListVersionsByFunctionRequest) (*api.ListVersionsByFunctionResponse, error) {
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
	out := &api.ListVersionsByFunctionResponse{Versions: []api.FunctionConfiguration{}}
	store.Versions.ScanPrefix(snapshot, t.scope, store.QualifiedPrefix(t.name), p.After, func(name string, v *lambda.Version) bool {
		if !p.Take(name) {
			return false
		}
		out.Versions = append(out.Versions, *listed(v, t.scope.FunctionARN(t.name, v.Number)))
		return true
	})
	out.NextMarker = p.Token()
	return out, nil
}

// GetFunctionCodeSigningConfig answers that the function has none: weir checks no signatures.
func (s *Service) GetFunctionCodeSigningConfig(c *wire.Call, in *api.GetFunctionCodeSigningConfigRequest) (*api.GetFunctionCodeSigningConfigResponse, error) {
	t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
	if err != nil {
		return nil, err
	}
	if _, err := t.function(s.snapshot()); err != nil {
		return nil, err
	}
	return &api.GetFunctionCodeSigningConfigResponse{FunctionName: wire.Some(t.name)}, nil
}

// GetAccountSettings answers the account's limits and what is used of them.
func (s *Service) GetAccountSettings(c *wire.Call, _ *api.GetAccountSettingsRequest) (*api.GetAccountSettingsResponse, error) {
	snapshot := s.snapshot()
	var functions int64
	limit := store.ConcurrencyLimit(snapshot, c.Scope, s.opt.Limit)
	unreserved := limit
	store.Versions.Scan(snapshot, c.Scope, "", func(_ string, v *lambda.Version) bool {
		if v.Number == lambda.Latest {
			functions++
		}
		return true
	})
	store.Reserved.Scan(snapshot, c.Scope, "", func(_ string, r *lambda.Reserved) bool {
		unreserved -= r.Concurrency
		return true
	})
	return &api.GetAccountSettingsResponse{
		AccountLimit: &api.AccountLimit{
			TotalCodeSize:                  wire.Some(int64(lambda.MaxTotalCode)),
			CodeSizeUnzipped:               wire.Some(int64(lambda.MaxUnzipped)),
			CodeSizeZipped:                 wire.Some(int64(lambda.MaxZip)),
			ConcurrentExecutions:           wire.Some(int32(limit)),
			UnreservedConcurrentExecutions: wire.Some(int32(unreserved)),
		},
		AccountUsage: &api.AccountUsage{TotalCodeSize: wire.Some(codeSize(snapshot, c.Scope)), FunctionCount: wire.Some(functions)},
	}, nil
}
