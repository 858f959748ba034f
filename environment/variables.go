package environment

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-run/weir/lambda"
)

// reserved names cannot be set by a user: CreateFunction refuses them, and what is given for
// one here is dropped (AWS: "Defined runtime environment variables").
var reserved = map[string]bool{
	"_HANDLER":                        true,
	"_X_AMZN_TRACE_ID":                true,
	"AWS_DEFAULT_REGION":              true,
	"AWS_REGION":                      true,
	"AWS_EXECUTION_ENV":               true,
	"AWS_LAMBDA_FUNCTION_NAME":        true,
	"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": true,
	"AWS_LAMBDA_FUNCTION_VERSION":     true,
	"AWS_LAMBDA_INITIALIZATION_TYPE":  true,
	"AWS_LAMBDA_LOG_GROUP_NAME":       true,
	"AWS_LAMBDA_LOG_STREAM_NAME":      true,
	"AWS_ACCESS_KEY":                  true,
	"AWS_ACCESS_KEY_ID":               true,
	"AWS_SECRET_ACCESS_KEY":           true,
	"AWS_SESSION_TOKEN":               true,
	"AWS_LAMBDA_RUNTIME_API":          true,
	"LAMBDA_TASK_ROOT":                true,
	"LAMBDA_RUNTIME_DIR":              true,
	"AWS_LAMBDA_MAX_CONCURRENCY":      true,
	"AWS_LAMBDA_METADATA_API":         true,
	"AWS_LAMBDA_METADATA_TOKEN":       true,
}

// processVariables are read when an interpreter starts and so cannot reach one that was started
// ahead of time.
var processVariables = []string{
	"NODE_OPTIONS", "NODE_EXTRA_CA_CERTS", "NODE_ICU_DATA", "NODE_DEBUG", "NODE_V8_COVERAGE",
	"UV_THREADPOOL_SIZE", "SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF",
	"LD_LIBRARY_PATH", "LD_PRELOAD", "MALLOC_ARENA_MAX", "AWS_LAMBDA_EXEC_WRAPPER", "LANG", "LC_ALL",
}

// variables returns the environment variables of a function's processes, sorted by name, but for
// AWS_LAMBDA_RUNTIME_API, which the sandbox adds.
func (h *Host) variables(spec Spec, r Runtime, group, stream string) []string {
	v := spec.Version
	vars := commonVariables(r)
	if r.Language != "provided" {
		vars["AWS_EXECUTION_ENV"] = "AWS_Lambda_" + r.ID
	}
	vars["AWS_ENDPOINT_URL"] = h.opt.EndpointURL
	h.addDaemon(vars, spec.Scope)
	for name, value := range v.Environment {
		if !reserved[name] {
			vars[name] = value
		}
	}
	vars["_HANDLER"] = v.Handler
	vars["AWS_REGION"] = spec.Scope.Region
	vars["AWS_DEFAULT_REGION"] = spec.Scope.Region
	vars["AWS_LAMBDA_FUNCTION_NAME"] = v.Function
	vars["AWS_LAMBDA_FUNCTION_VERSION"] = v.Number
	vars["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = strconv.Itoa(v.MemoryMB)
	vars["AWS_LAMBDA_INITIALIZATION_TYPE"] = initializationType(spec)
	vars["AWS_LAMBDA_LOG_GROUP_NAME"] = group
	vars["AWS_LAMBDA_LOG_STREAM_NAME"] = stream
	if v.LogFormat == lambda.LogJSON {
		vars["AWS_LAMBDA_LOG_FORMAT"] = string(lambda.LogJSON)
		vars["AWS_LAMBDA_LOG_LEVEL"] = string(v.AppLogLevel)
	}
	vars["LAMBDA_TASK_ROOT"] = "/var/task"
	vars["LAMBDA_RUNTIME_DIR"] = "/var/runtime"
	if h.opt.Credentials != nil {
		vars["AWS_ACCESS_KEY_ID"], vars["AWS_SECRET_ACCESS_KEY"], vars["AWS_SESSION_TOKEN"] = h.opt.Credentials(spec.Scope)
	}
	list := make([]string, 0, len(vars))
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		list = append(list, name+"="+vars[name])
	}
	return list
}

// addDaemon says where the daemon of X-Ray is.
func (h *Host) addDaemon(vars map[string]string, s lambda.Scope) {
	if h.opt.Tracing == nil {
		return
	}
	address, err := h.opt.Tracing(s)
	if err != nil {
		h.opt.Logger.Warn("functions cannot send traces", "scope", s.String(), "error", err)
		return
	}
	vars["AWS_XRAY_DAEMON_ADDRESS"] = address
	vars["_AWS_XRAY_DAEMON_ADDRESS"], vars["_AWS_XRAY_DAEMON_PORT"], _ = strings.Cut(address, ":")
}

// commonVariables are those that depend on the runtime alone; a user's value replaces them.
func commonVariables(r Runtime) map[string]string {
	vars := map[string]string{
		"AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
		"LANG":                     "en_US.UTF-8",
		"PATH":                     "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
		"LD_LIBRARY_PATH":          "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
		"TZ":                       ":UTC",
	}
	switch r.Language {
	case "python":
		vars["PYTHONPATH"] = "/var/runtime"
		vars["LC_CTYPE"] = "C.UTF-8"
	case "nodejs":
		vars["NODE_PATH"] = "/opt/nodejs/node" + strconv.Itoa(r.wanted) +
			"/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task"
	}
	if r.Language != "provided" {
		vars["PWD"] = "/var/task"
		vars["SHLVL"] = "0"
	}
	return vars
}

const onDemand = "on-demand"

func initializationType(spec Spec) string {
	if spec.Provisioned {
		return "provisioned-concurrency"
	}
	return onDemand
}

// startsLate reports whether a function's variables can be given to an interpreter that has
// been started without them.
func startsLate(v *lambda.Version) bool {
	for name := range v.Environment {
		if slices.Contains(processVariables, name) || strings.HasPrefix(name, "PYTHON") && name != "PYTHONPATH" {
			return false
		}
	}
	return true
}

// prebootVariables are what an interpreter started ahead of time is given: the variables that
// are the same for every function of the runtime.
func prebootVariables(r Runtime) []string {
	vars := commonVariables(r)
	list := make([]string, 0, len(vars))
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		list = append(list, name+"="+vars[name])
	}
	return list
}
