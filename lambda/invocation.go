package lambda

import "time"

// InvocationType says what a caller of Invoke waits for.
type InvocationType string

// The invocation types of the Invoke operation.
const (
	RequestResponse InvocationType = "RequestResponse"
	Event           InvocationType = "Event"
	DryRun          InvocationType = "DryRun"
)

// An Invocation is one attempt to run a function.
type Invocation struct {
	Scope         Scope
	Function      string
	Qualifier     string // as the caller gave it: empty, $LATEST, a number or an alias
	Type          InvocationType
	RequestID     string // UUID
	TraceID       string // X-Amzn-Trace-Id, with Lineage
	ClientContext string // JSON text, decoded from the header's base64
	Payload       []byte // the event; JSON
	LogTail       bool   // the caller wants the last 4 KB of the log

	// Roll decides which version of a weighted alias runs: the additional one if
	// Roll < Weight. It is drawn once, in [0, 1), by whoever makes the invocation, so
	// that a replay takes the same way.
	Roll float64
}

// An Outcome is how an invocation that ran ended. A function that failed has one too;
// only an invocation that could not run ends in an error instead.
type Outcome struct {
	Payload       []byte // the function's answer, or its error as JSON
	FunctionError string // "" or "Unhandled"
	ErrorType     string // errorType of the error, such as Sandbox.Timedout; for logs and metrics
	Version       string // the version that ran: "$LATEST" or a number
	LogTail       []byte // the last 4 KB from START to REPORT, if asked for
	Cold          bool   // the invocation waited for an environment to boot
	Provisioned   bool   // it ran on provisioned concurrency
	Why           string // for a cold start: why no environment was idle
	Duration      time.Duration
	InitDuration  time.Duration // of the environment's INIT phase, on its first invocation only
}

// A Response receives an invocation's answer while it is produced.
type Response interface {
	Write(p []byte) (int, error)
}
