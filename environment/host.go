package environment

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/sandbox"
)

// Options is what the environments of one server have in common.
type Options struct {
	Sandboxes sandbox.Driver

	// Dir receives weir's own bootstraps, in a directory named by their content.
	Dir string

	// OpenLog opens the log stream of one environment: it returns what takes its events, lines
	// of one moment, each ended by a line feed, in order. That must not wait for a disk,
	// because the environment waits for it. Nil discards the logs.
	OpenLog func(scope lambda.Scope, group, stream string) (func(at time.Time, lines []byte), error)

	// Endpoint is weir's own AWS API; environments whose sandbox has an endpoint listener
	// reach it there. EndpointURL is the AWS_ENDPOINT_URL of every function; if empty, it is
	// the address of that listener, http://169.254.100.1:4566.
	Endpoint    http.Handler
	EndpointURL string

	// Credentials returns what a function in a scope signs its calls with; nil: none.
	Credentials func(lambda.Scope) (keyID, secret, token string)

	// Tracing returns where the functions of a scope find a daemon of X-Ray, as host and port of
	// UDP; nil: there is none, and AWS_XRAY_DAEMON_ADDRESS is not set.
	Tracing func(lambda.Scope) (string, error)
	// ServeTracing is that daemon for one environment in a network of its own: it takes the
	// datagrams of a scope's function until the connection is closed. Nil: nobody does.
	ServeTracing func(lambda.Scope, *net.UDPConn)

	Egress sandbox.Egress // of every sandbox; if empty, the driver's default

	// FreezeAfter is how long an environment stays idle before it is frozen; 0 is 100 ms. The
	// delay spares a busy environment the cost of freezing and thawing, about 0.1 ms, around
	// every invocation.
	FreezeAfter time.Duration

	Logger *slog.Logger // nil: slog.Default()
}

const defaultFreezeAfter = 100 * time.Millisecond

// A Host starts environments.
type Host struct {
	opt          Options
	interpreters []interpreter
	runtimeDir   string // the host directory shown as /var/runtime
	endpoint     *http.Server
	calls        sync.Pool // of *call
	warned       sync.Map  // runtime ids whose stand-in the server's log has been told of
}

// Open unpacks the bootstraps and looks for the interpreters of this machine.
func Open(opt Options) (*Host, error) {
	if opt.Sandboxes == nil || opt.Dir == "" {
		return nil, errors.New("environment: Options need Sandboxes and Dir")
	}
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	if opt.FreezeAfter == 0 {
		opt.FreezeAfter = defaultFreezeAfter
	}
	if opt.EndpointURL == "" {
		opt.EndpointURL = "http://" + sandbox.EndpointAddr
	}
	h := &Host{opt: opt}
	h.calls.New = newCall
	if opt.Endpoint != nil {
		h.endpoint = &http.Server{
			Handler:           opt.Endpoint,
			ReadHeaderTimeout: time.Minute,
			ErrorLog:          slog.NewLogLogger(opt.Logger.Handler(), slog.LevelDebug),
		}
	}
	var err error
	if h.runtimeDir, err = unpack(opt.Dir); err != nil {
		return nil, err
	}
	h.interpreters = findInterpreters(h.runtimeDir, opt.Logger)
	return h, nil
}

// A Spec says which environment to start.
type Spec struct {
	Scope       lambda.Scope
	Version     *lambda.Version
	Code        string // host directory of the unpacked deployment package
	Provisioned bool   // for provisioned concurrency: a longer INIT, its failure is final
	Events      Events
}

// Events are the callbacks of an environment. They are called from its own goroutines, or from
// the one inside Invoke, and must not block: the environment stands still meanwhile. Close waits
// for them, so it must not be called from within one; after Close has returned none is called.
type Events struct {
	// Ready is called once, when INIT has ended: the runtime asked for its first invocation,
	// or Init.Err says why not. Either way the environment can take an invocation; after a
	// failure INIT is repeated inside the first one. Not called if Gone was.
	Ready func(*Environment, Init)

	// Idle is called after each invocation, failed or not, when the environment can take the
	// next one. The answer has been given before, except where Invoke waits for the log tail.
	Idle func(*Environment, Report)

	// Gone is called at most once, when there is no sandbox, or none any more that could be
	// started again. An invocation in progress has its Outcome. Only Close may follow.
	Gone func(*Environment, error)
}

// An Init is how the INIT phase of an environment ended.
type Init struct {
	Duration  time.Duration
	Err       error  // nil: the runtime waits for an invocation
	ErrorType string // such as Runtime.ExitError, or empty for a timeout
}

// A Report is the REPORT line of an invocation.
type Report struct {
	RequestID    string
	Duration     time.Duration // from the delivery of the event to the runtime's next request
	Billed       time.Duration // whole milliseconds, INIT included on the first invocation
	InitDuration time.Duration // of the first invocation on demand, else 0
	MaxMemoryMB  int           // the environment's peak so far
	Status       Status
	ErrorType    string // of an error status, such as Runtime.OutOfMemory
}

// Status is how an invocation ended as far as the environment is concerned. An error that the
// handler returned is a success: the runtime lives on.
type Status string

// The statuses of the REPORT line.
const (
	Success Status = "success"
	Failed  Status = "error"
	Timeout Status = "timeout"
)
