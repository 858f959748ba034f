package lambda

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
)

// awsTime is how Lambda prints the time of a modification.
const awsTime = "2006-01-02T15:04:05.000-0700"

// runtimes are the ones that AWS accepts for new functions (2026).
var runtimes = []string{
	"nodejs20.x", "nodejs22.x", "nodejs24.x", "nodejs26.x", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14", "python3.15",
	"java8.al2", "java8.al2023", "java11", "java11.al2023", "java17", "java17.al2023", "java21", "java25",
	"dotnet8", "dotnet9", "dotnet10", "ruby3.2", "ruby3.3", "ruby3.4", "ruby4.0", "provided.al2", "provided.al2023",
}

// retired are those that it does not accept any more.
var retired = []string{
	"nodejs", "nodejs4.3", "nodejs4.3-edge", "nodejs6.10", "nodejs8.10", "nodejs10.x", "nodejs12.x", "nodejs14.x", "nodejs16.x", "nodejs18.x",
	"python2.7", "python3.6", "python3.7", "python3.8", "python3.9", "java8", "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "dotnetcore3.1",
	"dotnet5.0", "dotnet6", "dotnet7", "go1.x", "ruby2.5", "ruby2.7", "provided",
}

// checkRuntime refuses a runtime that AWS does not know or take, or that nothing here runs.
func (s *Service) checkRuntime(runtime string) error {
	switch {
	case slices.Contains(retired, runtime):
		return invalid("The runtime parameter of %s is no longer supported for creating or updating AWS Lambda functions. We recommend you use a supported runtime while creating or updating functions.", runtime)
	case !slices.Contains(runtimes, runtime):
		return invalid("Value %s at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [%s] or be a valid ARN", runtime, strings.Join(runtimes, ", "))
	}
	r, err := s.opt.Resolve(runtime)
	if err == nil && r.Note != "" {
		s.opt.Logger.Warn("another runtime version stands in", "runtime", runtime, "note", r.Note)
	}
	return err
}

// Violated gives an unknown runtime the answer that AWS gives it: it is checked behind the
// front end that checks everything else.
func (s *Service) Violated(_ *wire.Call, in wire.Struct, _ string) error {
	var runtime wire.Opt[string]
	switch in := in.(type) {
	case *api.CreateFunctionRequest:
		runtime = in.Runtime
	case *api.UpdateFunctionConfigurationRequest:
		runtime = in.Runtime
	}
	if runtime.OK && !slices.Contains(runtimes, runtime.V) && !slices.Contains(retired, runtime.V) {
		return s.checkRuntime(runtime.V)
	}
	return nil
}

// reservedVariables are the names that a function cannot set (AWS: "Defined runtime
// environment variables").
var reservedVariables = []string{
	"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME",
	"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME",
	"AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API",
	"LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_LAMBDA_MAX_CONCURRENCY", "AWS_LAMBDA_METADATA_API", "AWS_LAMBDA_METADATA_TOKEN",
}

func checkEnvironment(variables map[string]string) error {
	var used []string
	for name := range variables {
		if slices.Contains(reservedVariables, name) {
			used = append(used, name)
		}
	}
	if len(used) > 0 {
		slices.Sort(used)
		return invalid("Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: %s", strings.Join(used, ", "))
	}
	for name, value := range variables {
		if strings.Contains(value, "\x00") { // no process can have it
			return invalid("Lambda was unable to configure your environment variables because the value of %s contains a null character.", name)
		}
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false) // what is measured has & as it was given
	if err := e.Encode(variables); err != nil {
		return err
	}
	if measured := bytes.TrimSuffix(text.Bytes(), []byte("\n")); len(variables) > 0 && len(measured) > lambda.MaxEnvironment {
		return invalid("Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: %s", measured)
	}
	return nil
}

// configuration describes a version as Get, Create and Update answer it; arn is its ARN with
// the qualifier that was asked for.
func (s *Service) configuration(scope lambda.Scope, v *lambda.Version, arn string) *api.FunctionConfiguration {
	out := listed(v, arn)
	if r, err := s.opt.Resolve(v.Runtime); err == nil { // it may have gone from the machine
		out.RuntimeVersionConfig = &api.RuntimeVersionConfig{RuntimeVersionArn: wire.Some(r.VersionARN(scope))}
	}
	out.State = optional(string(v.State))
	out.StateReason = optional(v.StateReason)
	out.StateReasonCode = optional(v.StateReasonCode)
	out.LastUpdateStatus = optional(string(v.UpdateStatus))
	out.LastUpdateStatusReason = optional(v.UpdateReason)
	out.LastUpdateStatusReasonCode = optional(v.UpdateReasonCode)
	return out
}

// listed describes a version as lists show it: without its state.
func listed(v *lambda.Version, arn string) *api.FunctionConfiguration {
	out := &api.FunctionConfiguration{
		FunctionName:     wire.Some(v.Function),
		FunctionArn:      wire.Some(arn),
		Runtime:          wire.Some(v.Runtime),
		Role:             wire.Some(v.Role),
		Handler:          wire.Some(v.Handler),
		CodeSize:         wire.Some(v.Code.Size),
		Description:      wire.Some(v.Description),
		Timeout:          wire.Some(int32(v.TimeoutSec)),
		MemorySize:       wire.Some(int32(v.MemoryMB)),
		LastModified:     wire.Some(v.LastModified.UTC().Format(awsTime)),
		CodeSha256:       wire.Some(v.Code.SHA256),
		Version:          wire.Some(v.Number),
		TracingConfig:    &api.TracingConfigResponse{Mode: wire.Some(tracingMode(v))},
		RevisionId:       wire.Some(v.RevisionID),
		PackageType:      wire.Some("Zip"),
		Architectures:    []string{v.Architecture},
		EphemeralStorage: &api.EphemeralStorage{Size: wire.Some(int32(v.EphemeralMB))},
		SnapStart:        &api.SnapStartResponse{ApplyOn: wire.Some("None"), OptimizationStatus: wire.Some("Off")},
		LoggingConfig:    loggingConfig(v),
	}
	if v.DeadLetter != "" {
		out.DeadLetterConfig = &api.DeadLetterConfig{TargetArn: wire.Some(v.DeadLetter)}
	}
	if v.HasEnv {
		out.Environment = &api.EnvironmentResponse{Variables: v.Environment}
		if out.Environment.Variables == nil {
			out.Environment.Variables = map[string]string{}
		}
	}
	return out
}

func optional(s string) wire.Opt[string] {
	if s == "" {
		return wire.Opt[string]{}
	}
	return wire.Some(s)
}

// fingerprint names the code and configuration that a publication takes over.
func fingerprint(v *lambda.Version) string {
	c := *v
	c.Number, c.RevisionID, c.Fingerprint, c.LastModified, c.Generation = "", "", "", time.Time{}, 0
	c.State, c.StateReason, c.StateReasonCode = "", "", ""
	c.UpdateStatus, c.UpdateReason, c.UpdateReasonCode = "", "", ""
	text, err := json.Marshal(&c)
	if err != nil { // a Version always has a JSON form
		return strconv.FormatInt(v.Generation, 10)
	}
	return digest(text)
}
