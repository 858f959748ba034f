package lambda

import (
	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/store"
)

// The answers to a recursive loop.
const (
	terminateLoop = "Terminate"
	allowLoop     = "Allow"
)

// PutFunctionRecursionConfig says whether recursion detection stops a function.
func (s *Service) PutFunctionRecursionConfig(c *wire.Call, in *api.PutFunctionRecursionConfigRequest) (*api.PutFunctionRecursionConfigResponse, error) {
	t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
	if err != nil {
		return nil, err
	}
	err = s.update(func(tx *store.Tx) error {
		old, err := t.function(tx)
		if err != nil {
			return err
		}
		f := *old
		f.AllowsLoop = in.RecursiveLoop.V == allowLoop
		store.Functions.Put(tx, t.scope, t.name, &f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.PutFunctionRecursionConfigResponse{RecursiveLoop: in.RecursiveLoop}, nil
}

// GetFunctionRecursionConfig tells whether recursion detection stops a function.
func (s *Service) GetFunctionRecursionConfig(c *wire.Call, in *api.GetFunctionRecursionConfigRequest) (*api.GetFunctionRecursionConfigResponse, error) {
	t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
	if err != nil {
		return nil, err
	}
	f, err := t.function(s.snapshot())
	if err != nil {
		return nil, err
	}
	loop := terminateLoop
	if f.AllowsLoop {
		loop = allowLoop
	}
	return &api.GetFunctionRecursionConfigResponse{RecursiveLoop: wire.Some(loop)}, nil
}
