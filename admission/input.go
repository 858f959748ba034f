package admission

import (
	"math"
	"strconv"
	"time"
)

// Identities are small dense numbers chosen by the driver, from 1 up to MaxID; zero means
// none. An input with a larger one is stale.
type (
	FunctionID   uint32
	VersionID    uint32 // one version of a function, $LATEST included
	AliasID      uint32
	InvocationID uint64
)

// MaxID bounds the identities, so that a wild one cannot make the tables grow without end.
const MaxID = 1 << 22

// An EnvironmentID names an execution environment. The machine chooses it, and never
// again for another environment of the same run.
type EnvironmentID uint64

// Index returns a small number for tables: environments that exist at the same time have
// different ones, and a later environment has the number of one that is gone.
func (e EnvironmentID) Index() int { return int(uint32(e)) }

func (f FunctionID) String() string    { return "f" + strconv.FormatUint(uint64(f), 10) }
func (i InvocationID) String() string  { return "i" + strconv.FormatUint(uint64(i), 10) }
func (e EnvironmentID) String() string { return "e" + strconv.FormatUint(uint64(e), 10) }

// A Target is what an invocation or a provisioned configuration addresses: an alias if
// Alias is set, else a version.
type Target struct {
	Version VersionID
	Alias   AliasID
}

// Kind tells what happened.
type Kind uint8

// The inputs of the machine. Their constructors say what each means.
const (
	kindTick Kind = iota
	kindAccount
	kindFunction
	kindVersion
	kindAlias
	kindProvision
	kindUpdate
	kindRemoveFunction
	kindRemoveVersion
	kindRemoveAlias
	kindArrive
	kindCancel
	kindBooted
	kindInitFailed
	kindAnswered
	kindFinished
	kindLost
)

// An Input is one thing that happened. Make it with one of the constructors below.
type Input struct {
	kind        Kind
	function    FunctionID
	target      Target
	second      VersionID
	environment EnvironmentID
	invocation  InvocationID
	n           int32
	share       float64 // a roll or a weight, in [0, 1]
	unmetered   bool
	account     *Account
}

// Account holds the settings of one account and region.
type Account struct {
	Limit       int           // concurrent executions, ≥ 0
	Profile     Profile       // how fast environments may be created
	IdleTimeout time.Duration // an on-demand environment idle for so long is retired; > 0
	MaxAge      time.Duration // an environment older than this is retired when it is idle; > 0
}

// Tick tells the machine the time; see Machine.Deadline.
func Tick() Input { return Input{kind: kindTick} }

// Configure sets the account's limit, scaling profile and life times.
func Configure(a Account) Input { return Input{kind: kindAccount, account: &a} }

// Unreserved is the reservation of a function that has none.
const Unreserved = -1

// Function makes a function known, or changes its reserved concurrency. Zero turns it
// off; Unreserved lets it share the account's pool.
func Function(f FunctionID, reserved int) Input {
	return Input{kind: kindFunction, function: f, n: count(reserved, Unreserved)}
}

// Version makes a version of a function known, $LATEST included.
func Version(v VersionID, f FunctionID) Input {
	return Input{kind: kindVersion, target: Target{Version: v}, function: f}
}

// Alias points an alias to a version. With a second version it sends it the share weight
// of the invocations, 0 to 1.
func Alias(a AliasID, v, second VersionID, weight float64) Input {
	return Input{kind: kindAlias, target: Target{Version: v, Alias: a}, second: second, share: clamp(weight)}
}

// Provision asks for n provisioned environments on a version or an alias; zero takes the
// configuration away. Asking again for the same number starts a failed one anew.
func Provision(t Target, n int) Input {
	return Input{kind: kindProvision, target: t, n: count(n, 0)}
}

// Update says that a version's code or configuration changed: its environments serve who
// already waits for them or runs on them, and no one else.
func Update(v VersionID) Input { return Input{kind: kindUpdate, target: Target{Version: v}} }

// RemoveFunction, RemoveVersion and RemoveAlias forget a name. What runs, runs on.
func RemoveFunction(f FunctionID) Input { return Input{kind: kindRemoveFunction, function: f} }

// RemoveVersion forgets a version: see RemoveFunction.
func RemoveVersion(v VersionID) Input {
	return Input{kind: kindRemoveVersion, target: Target{Version: v}}
}

// RemoveAlias forgets an alias: see RemoveFunction.
func RemoveAlias(a AliasID) Input { return Input{kind: kindRemoveAlias, target: Target{Alias: a}} }

// Arrive asks for an invocation to run. The roll, in [0, 1), decides which version of a
// weighted alias it is.
func Arrive(i InvocationID, t Target, roll float64) Input {
	return Input{kind: kindArrive, invocation: i, target: t, share: clamp(roll)}
}

// ArriveUnmetered is Arrive for an event or a batch, to which the limits on requests per
// second do not apply.
func ArriveUnmetered(i InvocationID, t Target, roll float64) Input {
	in := Arrive(i, t, roll)
	in.unmetered = true
	return in
}

// Cancel says that nobody wants the answer of a waiting invocation any more. One that was
// granted meanwhile is not affected: it must be ended by Finished.
func Cancel(i InvocationID) Input { return Input{kind: kindCancel, invocation: i} }

// Booted says that an environment has ended its initialisation and can take an invocation.
func Booted(e EnvironmentID) Input { return Input{kind: kindBooted, environment: e} }

// InitFailed says that the function's own initialisation failed in an environment. An
// on-demand environment repeats it within its first invocation, so there it means Booted;
// a provisioned one is retired and counts as a failed attempt.
func InitFailed(e EnvironmentID) Input { return Input{kind: kindInitFailed, environment: e} }

// Answered says that an environment has given its answer to an invocation, but perhaps cannot
// take another yet. That is a matter of microseconds for most runtimes, so an arrival waits a
// moment for it (see patience) rather than being throttled or booting an environment. It may
// come after Finished; then it means nothing.
func Answered(e EnvironmentID, i InvocationID) Input {
	return Input{kind: kindAnswered, environment: e, invocation: i}
}

// Finished says that an environment has ended its invocation and can take another.
func Finished(e EnvironmentID) Input { return Input{kind: kindFinished, environment: e} }

// Lost says that an environment is gone: it could not be made, or it died.
func Lost(e EnvironmentID) Input { return Input{kind: kindLost, environment: e} }

// count brings a number of environments into the range that the machine counts in.
func count(n, least int) int32 { return int32(min(max(n, least), math.MaxInt32>>1)) }

// clamp brings a share into [0, 1]; NaN becomes 0.
func clamp(x float64) float64 {
	if !(x > 0) {
		return 0
	}
	return min(x, 1)
}
