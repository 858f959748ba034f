package lambda

import (
	"net/http"
	"strings"

	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// DeleteFunction deletes a function with all that hangs on it, or one published version.
func (s *Service) DeleteFunction(c *wire.Call, in *api.DeleteFunctionRequest) (*api.DeleteFunctionResponse, error) {
	t, err := s.target(c, in.FunctionName.V, in.Qualifier)
	if err != nil {
		return nil, err
	}
	err = s.update(func(tx *store.Tx) error {
		whole := target{t.scope, t.name, ""}
		if _, err := whole.function(tx); err != nil {
			return err
		}
		switch {
		case t.qualifier == "":
			deleteFunction(tx, t)
			return nil
		case t.qualifier == lambda.Latest:
			return invalid("$LATEST version cannot be deleted without deleting the function.")
		case !lambda.IsVersionNumber(t.qualifier):
			return invalid("Deletion of aliases is not currently supported.")
		}
		return deleteVersion(tx, t)
	})
	if err != nil {
		return nil, err
	}
	c.SetStatus(http.StatusNoContent)
	return &api.DeleteFunctionResponse{}, nil
}

// deleteFunction deletes the records of a function.
func deleteFunction(tx *store.Tx, t target) {
	prefix := store.QualifiedPrefix(t.name)
	store.Provisioned.ScanPrefix(tx, t.scope, prefix, "", func(name string, _ *lambda.Provisioned) bool {
		store.Provisioned.Delete(tx, t.scope, name)
		return true
	})
	store.Policies.ScanPrefix(tx, t.scope, prefix, "", func(name string, _ *lambda.Policy) bool {
		store.Policies.Delete(tx, t.scope, name)
		return true
	})
	store.EventInvokes.ScanPrefix(tx, t.scope, prefix, "", func(name string, _ *lambda.EventInvoke) bool {
		store.EventInvokes.Delete(tx, t.scope, name)
		return true
	})
	store.Aliases.ScanPrefix(tx, t.scope, prefix, "", func(name string, _ *lambda.Alias) bool {
		store.Aliases.Delete(tx, t.scope, name)
		return true
	})
	store.Versions.ScanPrefix(tx, t.scope, prefix, "", func(name string, _ *lambda.Version) bool {
		store.Versions.Delete(tx, t.scope, name)
		return true
	})
	store.Reserved.Delete(tx, t.scope, t.name)
	store.Functions.Delete(tx, t.scope, t.name)
}

// deleteVersion deletes a published version. Deleting one that does not exist succeeds.
func deleteVersion(tx *store.Tx, t target) error {
	var aliases []string
	store.Aliases.ScanPrefix(tx, t.scope, store.QualifiedPrefix(t.name), "", func(_ string, a *lambda.Alias) bool {
		if a.Version == t.qualifier || a.Additional == t.qualifier {
			aliases = append(aliases, a.Name)
		}
		return true
	})
	if len(aliases) > 0 {
		return conflict("Unable to delete version because the following aliases reference it: [%s]", strings.Join(aliases, ", "))
	}
	name := store.QualifiedName(t.name, t.qualifier)
	store.Provisioned.Delete(tx, t.scope, name)
	store.EventInvokes.Delete(tx, t.scope, name)
	store.Policies.Delete(tx, t.scope, name)
	store.Versions.Delete(tx, t.scope, name)
	return nil
}
