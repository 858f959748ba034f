package lambda

import (
	"cmp"
	"maps"
	"strings"

	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
)

// settings is the part of a configuration that both CreateFunction and
// UpdateFunctionConfiguration set.
type settings struct {
	runtime, handler, role, description wire.Opt[string]
	timeout, memory                     wire.Opt[int32]
	environment                         *api.Environment
	ephemeral                           *api.EphemeralStorage
	logging                             *api.LoggingConfig
	deadLetter                          *api.DeadLetterConfig
	tracing                             *api.TracingConfig
}

// applied returns a version with the settings that are given, after checking them.
func (s *Service) applied(v lambda.Version, set settings) (lambda.Version, error) {
	if set.runtime.OK {
		if err := s.checkRuntime(set.runtime.V); err != nil {
			return v, err
		}
		v.Runtime = set.runtime.V
	}
	if set.environment != nil {
		if err := checkEnvironment(set.environment.Variables); err != nil {
			return v, err
		}
		v.Environment, v.HasEnv = maps.Clone(set.environment.Variables), set.environment.Variables != nil
	}
	if set.logging != nil {
		if err := applyLogging(&v, set.logging); err != nil {
			return v, err
		}
	}
	if set.deadLetter != nil {
		if err := s.checkDeadLetter(set.deadLetter.TargetArn.V); err != nil {
			return v, err
		}
		v.DeadLetter = set.deadLetter.TargetArn.V
	}
	if set.tracing != nil && set.tracing.Mode.OK {
		v.TracesActive = set.tracing.Mode.V == tracingActive
	}
	v.Handler = set.handler.Or(v.Handler)
	v.Role = set.role.Or(v.Role)
	v.Description = set.description.Or(v.Description)
	v.TimeoutSec = int(set.timeout.Or(int32(v.TimeoutSec)))
	v.MemoryMB = int(set.memory.Or(int32(v.MemoryMB)))
	if set.ephemeral != nil {
		v.EphemeralMB = int(set.ephemeral.Size.Or(int32(v.EphemeralMB)))
	}
	return v, nil
}

// applyLogging sets what is given of how a function logs. The levels belong to the format JSON,
// where both are INFO unless they are given.
func applyLogging(v *lambda.Version, l *api.LoggingConfig) error {
	format := lambda.LogFormat(l.LogFormat.Or(string(v.LogFormat)))
	if format == lambda.LogText {
		format = ""
	}
	if format == "" && (l.ApplicationLogLevel.OK || l.SystemLogLevel.OK) {
		return invalid("Log Level is not supported when Log Format is set to \"Text\". Remove log level from your request or change the LogFormat to \"JSON\" and try again.")
	}
	v.LogFormat, v.LogGroup = format, l.LogGroup.Or(v.LogGroup)
	if format == "" {
		v.AppLogLevel, v.SysLogLevel = "", ""
		return nil
	}
	v.AppLogLevel = lambda.LogLevel(l.ApplicationLogLevel.Or(string(cmp.Or(v.AppLogLevel, lambda.LogInfo))))
	v.SysLogLevel = lambda.LogLevel(l.SystemLogLevel.Or(string(cmp.Or(v.SysLogLevel, lambda.LogInfo))))
	return nil
}

// loggingConfig describes how a function logs.
func loggingConfig(v *lambda.Version) *api.LoggingConfig {
	out := &api.LoggingConfig{LogFormat: wire.Some(string(cmp.Or(v.LogFormat, lambda.LogText))), LogGroup: wire.Some(v.LogGroup)}
	if v.LogFormat == lambda.LogJSON {
		out.ApplicationLogLevel = wire.Some(string(v.AppLogLevel))
		out.SystemLogLevel = wire.Some(string(v.SysLogLevel))
	}
	return out
}

// The modes of TracingConfig; the model refuses others.
const (
	tracingActive      = "Active"
	tracingPassThrough = "PassThrough"
)

func tracingMode(v *lambda.Version) string {
	if v.TracesActive {
		return tracingActive
	}
	return tracingPassThrough
}

// checkDeadLetter refuses what cannot be a dead-letter queue; an empty ARN removes it. AWS
// says of a queue that does not exist what it says of one that the role must not use.
func (s *Service) checkDeadLetter(arn string) error {
	if arn == "" {
		return nil
	}
	action := map[string]string{"sqs": "SendMessage on SQS", "sns": "Publish on SNS"}
	switch service := serviceOf(arn); {
	case action[service] == "":
		return invalid("The target of a dead-letter queue must be an SQS queue or an SNS topic: %s", arn)
	case strings.HasSuffix(arn, ".fifo"):
		return invalid("The target of a dead-letter queue must not be FIFO: %s", arn)
	case s.opt.Targets[service] == nil || !s.opt.Targets[service](arn):
		return invalid("The provided execution role does not have permissions to call %s", action[service])
	}
	return nil
}

// Members of a request that weir does not support are accepted where they ask for nothing:
// many tools send the default of everything.

func dropDefaultVPC(p **api.VpcConfig) {
	if c := *p; c != nil && len(c.SubnetIds) == 0 && len(c.SecurityGroupIds) == 0 {
		*p = nil
	}
}

func dropDefaultSnapStart(p **api.SnapStart) {
	if c := *p; c != nil && c.ApplyOn.Or("None") == "None" {
		*p = nil
	}
}

func dropEmpty(p *wire.Opt[string]) {
	if p.V == "" {
		*p = wire.Opt[string]{}
	}
}

func dropEmptyList[T any](p *[]T) {
	if len(*p) == 0 {
		*p = nil
	}
}
