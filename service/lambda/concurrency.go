package lambda

import (
	"github.com/weir-run/weir/admission"
	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// budget adds up what an account and region has reserved and provisioned, as seen by one
// function; except leaves out one of its own provisioned configurations.
func (s *Service) budget(r store.Reader, t target, except string) admission.Budget {
	b := admission.Budget{Limit: store.ConcurrencyLimit(r, t.scope, s.opt.Limit), Reserved: admission.Unreserved}
	store.Reserved.Scan(r, t.scope, "", func(name string, v *lambda.Reserved) bool {
		if name == t.name {
			b.Reserved = v.Concurrency
		} else {
			b.OthersReserved += v.Concurrency
		}
		return true
	})
	store.Provisioned.Scan(r, t.scope, "", func(_ string, p *lambda.Provisioned) bool {
		switch _, reserved := store.Reserved.Get(r, t.scope, p.Function); {
		case p.Function == t.name && p.Qualifier != except:
			b.Provisioned += p.Concurrency
		case p.Function != t.name && !reserved:
			b.OthersProvisioned += p.Concurrency
		}
		return true
	})
	return b
}

// PutFunctionConcurrency sets a function's reserved concurrency; 0 turns it off.
func (s *Service) PutFunctionConcurrency(c *wire.Call, in *api.PutFunctionConcurrencyRequest) (*api.Concurrency, error) {
	t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
	if err != nil {
		return nil, err
	}
	if err := t.unqualified(); err != nil {
		return nil, err
	}
	n := int(in.ReservedConcurrentExecutions.V)
	err = s.update(func(tx *store.Tx) error {
		if _, ok := store.Functions.Get(tx, t.scope, t.name); !ok {
			return notFound("Function not found: %s", t.scope.FunctionARN(t.name, lambda.Latest))
		}
		b := s.budget(tx, t, "")
		switch b.Reserve(n) {
		case admission.BelowUnreservedFloor:
			return lambda.Errorf(lambda.CodeInvalidParameterValue, "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", b.Floor())
		case admission.BelowProvisioned:
			return lambda.Errorf(lambda.CodeInvalidParameterValue, " ReservedConcurrentExecutions  %d should not be lower than function's total provisioned concurrency [%d].", n, b.Provisioned)
		}
		store.Reserved.Put(tx, t.scope, t.name, &lambda.Reserved{Concurrency: n})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.Concurrency{ReservedConcurrentExecutions: in.ReservedConcurrentExecutions}, nil
}

// GetFunctionConcurrency answers a function's reserved concurrency, or nothing.
func (s *Service) GetFunctionConcurrency(c *wire.Call, in *api.GetFunctionConcurrencyRequest) (*api.GetFunctionConcurrencyResponse, error) {
	t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
	if err != nil {
		return nil, err
	}
	if err := t.unqualified(); err != nil {
		return nil, err
	}
	snapshot := s.snapshot()
	if _, err := t.function(snapshot); err != nil {
		return nil, err
	}
	out := &api.GetFunctionConcurrencyResponse{}
	if r, ok := store.Reserved.Get(snapshot, t.scope, t.name); ok {
		out.ReservedConcurrentExecutions = wire.Some(int32(r.Concurrency))
	}
	return out, nil
}

// DeleteFunctionConcurrency returns a function to the unreserved pool.
func (s *Service) DeleteFunctionConcurrency(c *wire.Call, in *api.DeleteFunctionConcurrencyRequest) error {
	t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
	if err != nil {
		return err
	}
	if err := t.unqualified(); err != nil {
		return err
	}
	return s.update(func(tx *store.Tx) error {
		if _, err := t.function(tx); err != nil {
			return err
		}
		store.Reserved.Delete(tx, t.scope, t.name)
		return nil
	})
}
