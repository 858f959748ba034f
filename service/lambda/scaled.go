package lambda

import (
	"context"
	"net/http"

	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
)

// SetProvisioned sets the provisioned concurrency of an alias or a version, with the checks of
// PutProvisionedConcurrencyConfig; 0 takes the configuration away.
func (s *Service) SetProvisioned(ctx context.Context, scope lambda.Scope, function, qualifier string, n int) error {
	c := &wire.Call{HTTP: new(http.Request).WithContext(ctx), Scope: scope}
	if n == 0 {
		c.Operation = &wire.Operation{Name: "DeleteProvisionedConcurrencyConfig"}
		return s.DeleteProvisionedConcurrencyConfig(c, &api.DeleteProvisionedConcurrencyConfigRequest{FunctionName: wire.Some(function), Qualifier: wire.Some(qualifier)})
	}
	c.Operation = &wire.Operation{Name: "PutProvisionedConcurrencyConfig"}
	_, err := s.PutProvisionedConcurrencyConfig(c, &api.PutProvisionedConcurrencyConfigRequest{
		FunctionName: wire.Some(function), Qualifier: wire.Some(qualifier), ProvisionedConcurrentExecutions: wire.Some(int32(n)),
	})
	return err
}
