package environment

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"sync"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/sandbox"
)

// Bounds of an environment.
const (
	maxConns     = 64                     // connections to the Runtime API at a time
	startLimit   = time.Minute            // to make a sandbox, or to start its command again
	exitDrain    = 250 * time.Millisecond // to read what an ended runtime has sent
	startVisible = 500 * time.Millisecond // until START is in the log of a silent function
)

// phase is what an environment is doing.
type phase uint8

const (
	booting phase = iota // INIT runs
	idle                 // waits for an invocation
	busy                 // runs one
	gone                 // has no sandbox any more
	closed
)

// process is the state of the runtime's process.
type process uint8

const (
	starting process = iota // its INIT runs
	ready                   // it has asked for an invocation
	stopped                 // it ended, was stopped, or reported that its INIT failed
)

// power says whether the processes may run.
type power uint8

const (
	running power = iota
	freezing
	frozen
)

// An Environment is one live execution environment.
//
// Its goroutines: boot, which becomes the accept loop; one for each connection; one for the
// function's output; one for exits; one for the AWS endpoint; and the timer's for a moment.
type Environment struct {
	host    *Host
	spec    Spec
	limit   time.Duration // the function's timeout
	arn     string        // of the function, unqualified
	id      string        // 32 hexadecimal digits
	log     *slog.Logger
	timer   *time.Timer
	cancel  context.CancelFunc // of boot
	booted  chan struct{}      // closed when the phase booting ends
	done    chan struct{}      // closed by Close
	hold    chan struct{}      // makes watch wait for resume
	resume  chan struct{}
	workers sync.WaitGroup

	// Set by boot before anything else can use them.
	runtime Runtime
	command []string
	stream  *stream
	output  *output
	sb      sandbox.Sandbox

	// power is held while the sandbox is frozen, thawed, started again or closed.
	power sync.Mutex

	mu struct {
		sync.Mutex
		phase   phase
		process process
		power   power
		starts  int // of the command

		conns   map[*conn]struct{}
		drained chan struct{} // closed when conns gets empty, if someone waits for it
		parked  *conn         // waits in GET next

		initStart time.Time
		init      time.Duration // of INIT, until it has been reported
		run       run
		attempts  uint64 // invocations so far

		memory   int64 // peak in bytes
		memoryAt time.Time

		alarm   alarm
		alarmAt time.Time
		timerAt time.Time // when the timer fires; zero: not armed
	}
}

// A run is the invocation in progress.
type run struct {
	call       *call // who waits for the answer; nil once answered
	requestID  string
	attempt    uint64
	start      time.Time
	deadline   time.Time
	init       time.Duration // of INIT, to be reported with this invocation
	tail       bool
	suppressed bool  // INIT runs inside the invocation
	started    bool  // START is in the log
	delivered  bool  // written, or being written, to a connection
	to         *conn // that connection; nil if it is gone
	claimed    bool  // its answer is being streamed
	responded  bool
	ending     bool           // its last lines are being written
	outcome    lambda.Outcome // the answer, held back until the log tail is complete
}

// Start starts an environment and returns at once.
func (h *Host) Start(spec Spec) *Environment {
	v := spec.Version
	var id [16]byte
	rand.Read(id[:])
	ctx, cancel := context.WithCancel(context.Background())
	e := &Environment{
		host:   h,
		spec:   spec,
		limit:  time.Duration(v.TimeoutSec) * time.Second,
		arn:    spec.Scope.FunctionARN(v.Function, ""),
		id:     hex.EncodeToString(id[:]),
		cancel: cancel,
		booted: make(chan struct{}),
		done:   make(chan struct{}),
		hold:   make(chan struct{}),
		resume: make(chan struct{}),
	}
	e.log = h.opt.Logger.With("function", v.Function, "version", v.Number, "environment", e.id)
	e.stream = &stream{json: newJSONLog(v), initialized: initializationType(spec)}
	e.mu.conns = make(map[*conn]struct{}, 2)
	e.timer = time.AfterFunc(time.Hour, e.onAlarm)
	e.timer.Stop()
	e.workers.Go(func() { e.boot(ctx) })
	return e
}

// boot makes the sandbox and serves it until it is closed.
func (e *Environment) boot(ctx context.Context) {
	var err error
	if e.runtime, err = e.host.Resolve(e.spec.Version.Runtime); err != nil {
		e.lose(err)
		return
	}
	e.command = e.runtime.command()
	group, name := e.logNames(time.Now().UTC())
	e.stream.attach(e.openLog(group, name))
	e.stream.initStart(e.runtime, e.spec.Scope, e.spec.Version)
	if e.runtime.Note != "" {
		e.stream.warn(e.runtime.Note)
		if _, warned := e.host.warned.LoadOrStore(e.runtime.ID, true); !warned {
			e.log.Warn(e.runtime.Note)
		}
	}
	e.stream.flush()

	start := time.Now()
	limited, cancel := context.WithTimeout(ctx, startLimit)
	sb, err := e.host.opt.Sandboxes.Start(limited, e.sandboxSpec(group, name))
	cancel()
	if err != nil {
		e.lose(err)
		return
	}
	e.output = newOutput(sb.Output(), e.stream)
	e.mu.Lock()
	if e.mu.phase == closed {
		e.mu.Unlock()
		e.shut(sb)
		return
	}
	e.sb = sb
	e.mu.starts = 1
	e.mu.initStart = start
	e.arm(alarmInit, start.Add(e.initLimit()))
	e.mu.Unlock()

	e.workers.Go(func() { e.output.copy(e.done) })
	e.workers.Go(e.watch)
	if l := sb.Endpoint(); l != nil && e.host.endpoint != nil {
		// Serve returns when the sandbox is closed, and with it the listener.
		e.workers.Go(func() { _ = e.host.endpoint.Serve(l) })
	}
	if c := sb.Daemon(); c != nil && e.host.opt.ServeTracing != nil {
		e.workers.Go(func() { e.host.opt.ServeTracing(e.spec.Scope, c) })
	}
	e.accept(sb.Listener())
}

// sandboxSpec says what to run and how.
func (e *Environment) sandboxSpec(group, stream string) sandbox.Spec {
	v, r := e.spec.Version, e.runtime
	s := sandbox.Spec{
		Name:        v.Function,
		Command:     e.command,
		Env:         e.host.variables(e.spec, r, group, stream),
		Code:        e.spec.Code,
		Runtime:     e.host.runtimeDir,
		MemoryMB:    v.MemoryMB,
		EphemeralMB: v.EphemeralMB,
		Egress:      e.host.opt.Egress,
	}
	if r.interpreter == nil {
		return s
	}
	s.Lang = r.interpreter.prefix
	if wrapper := v.Environment["AWS_LAMBDA_EXEC_WRAPPER"]; wrapper != "" {
		s.Command = append([]string{wrapper}, e.command...)
	}
	if startsLate(v) {
		s.Preboot = &sandbox.Preboot{
			Key:     r.ID + " " + r.Version,
			Command: e.command,
			Env:     prebootVariables(r),
			Runtime: s.Runtime,
			Lang:    s.Lang,
		}
	}
	return s
}

// initLimit is how long INIT may take (AWS: "Lambda execution environment lifecycle").
func (e *Environment) initLimit() time.Duration {
	if e.spec.Provisioned {
		return max(lambda.ProvisionedInitLimit, e.limit)
	}
	return lambda.InitLimit
}

// logNames returns the group and the stream of the environment's log.
func (e *Environment) logNames(now time.Time) (group, stream string) {
	v := e.spec.Version
	group = "/aws/lambda/" + v.Function
	prefix := now.Format("2006/01/02/")
	if v.LogGroup != "" && v.LogGroup != group {
		return v.LogGroup, prefix + v.Function + "[" + v.Number + "][" + e.id + "]"
	}
	return group, prefix + "[" + v.Number + "]" + e.id
}

func (e *Environment) openLog(group, stream string) func(time.Time, []byte) {
	if e.host.opt.OpenLog == nil {
		return nil
	}
	out, err := e.host.opt.OpenLog(e.spec.Scope, group, stream)
	if err != nil {
		e.log.Error("opening a function's log; it is lost", "group", group, "stream", stream, "err", err)
		return nil
	}
	return out
}

// lose gives the environment up: it has no sandbox, or one that cannot be started again.
func (e *Environment) lose(err error) {
	e.mu.Lock()
	if e.mu.phase == closed || e.mu.phase == gone {
		e.mu.Unlock()
		return
	}
	e.leaveBootingLocked(gone)
	e.answerLocked(e.sandboxFailure(e.mu.run.requestID))
	e.mu.Unlock()
	if e.spec.Events.Gone != nil {
		e.spec.Events.Gone(e, err)
	}
}

// Close kills every process of the environment and releases everything. An invocation in
// progress ends with Sandbox.Failure. No extension is registered, so there is no grace period
// and no SIGTERM (AWS: shutdown phase). Close is idempotent and returns when nothing is left.
func (e *Environment) Close() {
	e.mu.Lock()
	if e.mu.phase == closed {
		e.mu.Unlock()
		e.workers.Wait()
		return
	}
	e.leaveBootingLocked(closed)
	e.answerLocked(e.sandboxFailure(e.mu.run.requestID))
	sb := e.sb
	e.mu.Unlock()
	e.cancel()
	e.timer.Stop()
	close(e.done)
	if sb != nil {
		e.shut(sb)
	}
	e.closeConns()
	e.workers.Wait()
	e.stream.close()
}

// shut closes the sandbox.
func (e *Environment) shut(sb sandbox.Sandbox) {
	e.power.Lock()
	defer e.power.Unlock()
	if err := sb.Close(); err != nil {
		e.log.Error("closing a sandbox", "err", err)
	}
}
