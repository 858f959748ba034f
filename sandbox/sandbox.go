// Package sandbox isolates a process tree: its own files, processes, network and limits.
//
// A Driver makes sandboxes by one mechanism. A Sandbox runs one command; the processes of
// two sandboxes cannot see, reach or starve each other as far as the mechanism goes, and
// Report says in plain words how far that is. What runs inside, and why, is none of this
// package's business.
package sandbox

import (
	"context"
	"io"
	"net"
	"time"
)

// A Spec is all that a sandbox needs to know of the process tree it isolates.
type Spec struct {
	Name    string   // for logs and process titles, such as the function's name
	Command []string // absolute path of the program and its arguments, as seen inside

	// Env holds KEY=VALUE, complete: nothing is inherited. The driver adds
	// AWS_LAMBDA_RUNTIME_API, the address at which Listener is reached inside.
	Env []string

	// Host directories and where they are shown, read-only; an empty one is shown empty. A
	// driver without a file system of its own replaces these roots and /tmp, where they begin
	// an element of a path list, in Command and Env by the host directories.
	Code    string // /var/task, the working directory
	Opt     string // /opt
	Runtime string // /var/runtime
	Lang    string // /var/lang, the interpreter's installation prefix

	MemoryMB    int    // limit of all processes together; 1,769 MB buys one vCPU
	EphemeralMB int    // size of /tmp, on disk, not counted as memory
	Egress      Egress // network besides the sandbox's own endpoint; "" is the driver's default

	// Preboot, if not nil, allows the sandbox to come from a pool of processes that were
	// started before anyone knew what they would run.
	Preboot *Preboot
}

// A Preboot is a generic process that waits for its assignment: a started runtime. The
// process finds the read end of a pipe as file descriptor 3; on assignment the sandbox shows
// the Spec's directories, sets its limits and writes the Spec's Env (with what the driver
// adds) to the pipe as NUL-terminated strings, then closes it. /var/task and /opt appear only
// then: the process changes its working directory to $LAMBDA_TASK_ROOT itself.
type Preboot struct {
	Key     string   // processes of one key are interchangeable, such as "python3.11"
	Command []string // as paths inside the sandbox
	Env     []string // what is known before the assignment
	Runtime string   // as in Spec
	Lang    string   // as in Spec
}

// Egress is the network a sandbox's processes can reach beyond weir's own endpoint.
type Egress string

// Ways out of a sandbox.
const (
	EgressNone Egress = "none" // weir's endpoint only
	EgressNAT  Egress = "nat"  // the outside world, through a masquerading bridge
	EgressHost Egress = "host" // the host's network: no isolation between environments
)

// EndpointAddr is where processes of an isolated network find weir's AWS endpoint.
const EndpointAddr = "169.254.100.1:4566"

// DaemonAddr is where processes of an isolated network send datagrams to X-Ray's daemon.
const DaemonAddr = "169.254.100.1:2000"

// An Exit is how a sandbox's command ended.
type Exit struct {
	Code     int    // exit status, or -1 if a signal ended it
	Signal   string // such as "killed", or empty
	OutOfMem bool   // the kernel killed it, or a child, for exceeding MemoryMB
	Err      error  // the command could not be run at all (missing, not executable)
}

// A Usage is what a sandbox's processes have used since it was made.
type Usage struct {
	MaxMemory int64         // peak, in bytes
	CPU       time.Duration // user and system
}

// A Sandbox is an isolated process tree with a Runtime API endpoint.
//
// Its command runs from Start (or Restart) until it exits, is killed or the sandbox is
// closed; when it ends, every other process in the sandbox ends with it. All methods may be
// called from any goroutine.
type Sandbox interface {
	// Listener accepts connections from this sandbox's processes and no others, at the
	// address in their AWS_LAMBDA_RUNTIME_API.
	Listener() net.Listener

	// Endpoint accepts connections from this sandbox's processes to weir's own AWS
	// endpoint, http://EndpointAddr inside; nil where they reach the server's own listener.
	Endpoint() net.Listener

	// Daemon receives what this sandbox's processes send to DaemonAddr; nil where they are in
	// the server's own network.
	Daemon() *net.UDPConn

	// Output is what the command and its children write to standard output and error, over
	// all restarts; a process that writes faster than it is read waits. After Close it gives
	// what is left, for a second at most, then io.EOF. Where it is a syscall.Conn it can be
	// read without waiting.
	Output() io.Reader

	// Exited delivers one Exit when the command has ended, and is closed by Close. What it
	// delivers after a Restart belongs to the new run: Restart keeps the Exit of the run that
	// it ends to itself. It never needs more room than one Exit.
	Exited() <-chan Exit

	// Settle ends the initialisation: from now on the CPU share that belongs to MemoryMB
	// applies. Before, the command has the whole machine, as on AWS.
	Settle() error

	// Freeze stops every process; Thaw lets them run on. A frozen sandbox uses no CPU.
	Freeze() error
	Thaw() error

	// Restart kills every process and starts the command again in the same sandbox, in its
	// initialisation again: /tmp is kept, memory is lost. Connections of the killed processes
	// may still be in Listener's queue. A prebooted sandbox starts Command, not Preboot.
	Restart(ctx context.Context) error

	// Terminate sends SIGTERM to the command, if it runs.
	Terminate() error

	Usage() (Usage, error)

	// Close kills every process and releases everything. It is idempotent.
	Close() error
}
