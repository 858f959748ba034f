package delivery

type kind uint8

const (
	inTick kind = iota
	inConfigure
	inEnqueued
	inLoaded
	inAttempted
	inDisposed
	inMoved
	inSettled
)

// An Input is one thing that happened. Make it with one of the constructors below.
type Input struct {
	kind    kind
	queue   QueueID
	config  Config
	entry   Entry
	entries []Entry
	more    bool
	ok      bool
	result  Result
}

// Tick tells the machine the time; see Deadline.
func Tick() Input { return Input{kind: inTick} }

// Configure makes a queue known or changes what applies to its events. Of a new queue the
// machine loads what the durable index holds.
func Configure(q QueueID, c Config) Input { return Input{kind: inConfigure, queue: q, config: c} }

// Enqueued says that an event was made durable in a queue that is known.
func Enqueued(q QueueID, e Entry) Input { return Input{kind: inEnqueued, queue: q, entry: e} }

// Loaded answers a Load with the index's entries from that place on, in order; more says that
// there may be others behind them.
func Loaded(q QueueID, entries []Entry, more bool) Input {
	return Input{kind: inLoaded, queue: q, entries: entries, more: more}
}

// Attempted answers a Deliver.
func Attempted(e EventID, r Result) Input {
	return Input{kind: inAttempted, entry: Entry{Event: e}, result: r}
}

// Disposed answers a Dispose: whether all that were to be told have been told, durably.
func Disposed(e EventID, ok bool) Input {
	return Input{kind: inDisposed, entry: Entry{Event: e}, ok: ok}
}

// Moved answers a Move when the new place is durable.
func Moved(e EventID) Input { return Input{kind: inMoved, entry: Entry{Event: e}} }

// Settled answers a Settle when the event is gone from the durable index.
func Settled(e EventID) Input { return Input{kind: inSettled, entry: Entry{Event: e}} }

// Do tells what the driver must do.
type Do uint8

// The effects of Async. Each is answered by the input that its comment names.
const (
	// Load reads the index of Queue from (Due, Event) on, at most Limit entries: Loaded.
	Load Do = iota + 1

	// Deliver runs Event once: Attempted.
	Deliver

	// Dispose tells the destination and the dead-letter queue that Event ends for Condition:
	// Disposed.
	Dispose

	// Move makes Due, Failures and Refusals of Event, born at Born, durable; it was due at From:
	// Moved.
	Move

	// Settle removes Event, due at Due, from the durable index for Condition: Settled.
	Settle

	// Undeliverable reports that nobody could be told of Event.
	Undeliverable
)

// An Effect is one thing to do. Fields that Do does not name are zero.
type Effect struct {
	Do        Do
	Queue     QueueID
	Event     EventID
	Due, From Instant
	Born      Instant
	Failures  uint8
	Refusals  uint16
	Limit     int
	Condition Condition
}
