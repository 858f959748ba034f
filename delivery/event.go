package delivery

import (
	"strconv"
	"time"

	"github.com/weir-run/weir/lambda"
)

// An Instant is a moment on the clock of whoever drives a machine. It must go on over
// restarts, since events outlive them.
type Instant = lambda.Instant

// Never is later than every moment.
const Never = lambda.Never

// A QueueID names the events sent to one function by one qualifier: a small dense number from
// 1 up to MaxID, chosen by the driver.
type QueueID uint32

// MaxID bounds the identities.
const MaxID = 1 << 22

// An EventID names an event, over all queues and restarts. Later events have larger ones.
type EventID uint64

func (q QueueID) String() string { return "q" + strconv.FormatUint(uint64(q), 10) }
func (e EventID) String() string { return "i" + strconv.FormatUint(uint64(e), 10) }

// An Entry is an event as the durable index holds it, in the order of Due and then Event.
type Entry struct {
	Event    EventID
	Due      Instant // not to be tried before
	Born     Instant // when it was accepted
	Failures uint8   // attempts that ended in an error of the function
	Refusals uint16  // attempts that were throttled or failed for another reason
}

// before reports whether e comes before another entry in the index.
func (e *Entry) before(due Instant, id EventID) bool {
	return e.Due < due || e.Due == due && e.Event < id
}

// A Result is how one attempt to run an event ended.
type Result uint8

// The results of an attempt.
const (
	Succeeded      Result = iota + 1
	FunctionFailed        // an error of the function: it counts as an attempt
	Refused               // a throttle or an error of the system: it does not
	Looped                // stopped by recursion detection: it is never tried again
)

// A Condition is why an event is settled, as destination records name it.
type Condition uint8

// The conditions of a destination record.
const (
	Success Condition = iota + 1
	RetriesExhausted
	EventAgeExceeded
	ZeroReservedConcurrency
	RecursiveInvocation
)

var conditions = [...]string{"", "Success", "RetriesExhausted", "EventAgeExceeded", "ZeroReservedConcurrency", "RecursiveInvocation"}

// String returns the condition's name in a destination record.
func (c Condition) String() string { return conditions[c] }

// Config is what applies to the events of a queue.
type Config struct {
	MaxAge     time.Duration // 60 s to 6 h
	MaxRetries int           // after function errors, 0 to 2
	Off        bool          // the function's reserved concurrency is 0
	OnSuccess  bool          // somebody is to be told of a success
	OnFailure  bool          // somebody is to be told of a failure: a destination or a dead-letter queue
}

// DefaultConfig is AWS's for a function without an event invoke configuration.
var DefaultConfig = Config{MaxAge: 6 * time.Hour, MaxRetries: 2}
