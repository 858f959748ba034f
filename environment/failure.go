package environment

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/sandbox"
)

// Error types of what the platform, not the function, says about a failure.
const (
	typeTimedOut          = "Sandbox.Timedout"
	typeSandboxFailure    = "Sandbox.Failure"
	typeExit              = "Runtime.ExitError"
	typeOutOfMemory       = "Runtime.OutOfMemory"
	typeInvalidEntrypoint = "Runtime.InvalidEntrypoint"
	typeUnknown           = "Runtime.Unknown"
	typeTooLarge          = "Function.ResponseSizeTooLarge"
	typeInvalidMode       = "Runtime.InvalidResponseModeHeader"
	typeTruncated         = "Runtime.TruncatedResponse"
)

const unhandled = "Unhandled" // the only value of X-Amz-Function-Error that AWS sends today

// A failure is how an invocation ends when the runtime does not answer it.
type failure struct {
	status    Status
	errorType string // in the REPORT and INIT_REPORT lines
	payload   []byte // the answer
	answer    string // errorType of the answer
	lines     []string
}

// timedOut is the failure of an invocation that took longer than its function may.
func timedOut(requestID string, limit time.Duration, now time.Time) failure {
	text := fmt.Sprintf("Task timed out after %.2f seconds", limit.Seconds())
	return failure{
		status:  Timeout,
		payload: errorPayload(typeTimedOut, requestID, text),
		answer:  typeTimedOut,
		lines:   []string{now.UTC().Format("2006-01-02T15:04:05.000Z") + " " + requestID + " " + text},
	}
}

// ended is the failure of an invocation whose runtime ended.
func (e *Environment) ended(requestID string, x sandbox.Exit) failure {
	errorType, text := e.describe(x)
	f := failure{
		status:    Failed,
		errorType: errorType,
		payload:   errorPayload(errorType, requestID, text),
		answer:    errorType,
		lines:     []string{"RequestId: " + requestID + " Error: " + text, errorType},
	}
	if x.OutOfMem {
		f.errorType = typeOutOfMemory // the answer says Runtime.ExitError
	}
	return f
}

// describe says how a runtime ended, as AWS does.
func (e *Environment) describe(x sandbox.Exit) (errorType, text string) {
	switch {
	case x.Err != nil && e.runtime.Language == "provided" && !e.hasBootstrap():
		return typeInvalidEntrypoint, "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
	case x.Err != nil:
		var errno syscall.Errno
		if errors.As(x.Err, &errno) {
			return typeInvalidEntrypoint, "fork/exec " + e.command[0] + ": " + errno.Error()
		}
		return typeInvalidEntrypoint, x.Err.Error()
	case x.Signal != "":
		return typeExit, "Runtime exited with error: signal: " + x.Signal
	case x.Code == 0:
		return typeExit, "Runtime exited without providing a reason"
	}
	return typeExit, fmt.Sprintf("Runtime exited with error: exit status %d", x.Code)
}

func (e *Environment) hasBootstrap() bool {
	info, err := os.Stat(filepath.Join(e.spec.Code, "bootstrap"))
	return err == nil && !info.IsDir()
}

// wrapperExit turns the failure to run AWS_LAMBDA_EXEC_WRAPPER into what it is on AWS, where a
// shell runs it: a line in the log and an exit status.
func (e *Environment) wrapperExit(x sandbox.Exit) sandbox.Exit {
	wrapper := e.spec.Version.Environment["AWS_LAMBDA_EXEC_WRAPPER"]
	if x.Err == nil || wrapper == "" || e.runtime.Language == "provided" {
		return x
	}
	if errors.Is(x.Err, fs.ErrNotExist) {
		e.stream.line(wrapper + ": does not exist")
		return sandbox.Exit{Code: 127}
	}
	e.stream.line(wrapper + ": is not an executable")
	return sandbox.Exit{Code: 126}
}

// sandboxFailure is the outcome of an invocation that lost its sandbox.
func (e *Environment) sandboxFailure(requestID string) lambda.Outcome {
	return e.outcome(errorPayload(typeSandboxFailure, requestID, "the execution environment is gone"), typeSandboxFailure)
}

// outcome returns the outcome of an invocation that failed.
func (e *Environment) outcome(payload []byte, errorType string) lambda.Outcome {
	return lambda.Outcome{
		Payload:       payload,
		FunctionError: unhandled,
		ErrorType:     errorType,
		Version:       e.spec.Version.Number,
		Provisioned:   e.spec.Provisioned,
	}
}

// errorPayload is the JSON of an error that the platform reports.
func errorPayload(errorType, requestID, text string) []byte {
	return mustJSON(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{errorType, "RequestId: " + requestID + " Error: " + text})
}

// tooLargePayload is the answer when the function's own is too large.
func tooLargePayload(limit int64) []byte {
	return mustJSON(struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}{fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", limit), typeTooLarge})
}

// mustJSON encodes structs of strings, which cannot fail. Quotes and angle brackets stay as
// they are.
func mustJSON(v any) []byte {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}

// reportedType returns the error type for the platform's own lines: what a runtime gave, if it
// looks like one (runtime interface emulator: GetValidRuntimeOrFunctionErrorType).
func reportedType(given string) string {
	prefix, name, _ := strings.Cut(given, ".")
	if prefix != "Runtime" && prefix != "Function" {
		return typeUnknown
	}
	valid := len(name) >= 2 && 'A' <= name[0] && name[0] <= 'Z'
	for i := range len(name) {
		c := name[i] | 0x20
		valid = valid && 'a' <= c && c <= 'z'
	}
	switch {
	case valid:
		return given
	case prefix == "Function":
		return "Function.Unknown"
	}
	return typeUnknown
}

// payloadType returns the errorType in an error's JSON, or "" if it is not such JSON.
func payloadType(payload []byte) string {
	var v struct {
		Type string `json:"errorType"`
	}
	if err := json.Unmarshal(payload, &v); err != nil {
		return ""
	}
	return v.Type
}
