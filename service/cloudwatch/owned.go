package cloudwatch

import (
	"context"
	"net/http"

	api "github.com/weir-run/weir/aws/cloudwatch"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
)

// PutAlarm is PutMetricAlarm for a part of weir that owns alarms.
func (s *Service) PutAlarm(ctx context.Context, scope lambda.Scope, in *api.PutMetricAlarmInput) error {
	return s.PutMetricAlarm(within(ctx, scope, "PutMetricAlarm"), in)
}

// RemoveAlarms is DeleteAlarms for a part of weir that owns alarms.
func (s *Service) RemoveAlarms(ctx context.Context, scope lambda.Scope, names []string) error {
	return s.DeleteAlarms(within(ctx, scope, "DeleteAlarms"), &api.DeleteAlarmsInput{AlarmNames: names})
}

// within is a call that comes from within weir.
func within(ctx context.Context, scope lambda.Scope, operation string) *wire.Call {
	return &wire.Call{HTTP: new(http.Request).WithContext(ctx), Operation: &wire.Operation{Name: operation}, Scope: scope}
}
