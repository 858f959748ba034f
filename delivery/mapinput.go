package delivery

type mapKind uint8

const (
	mapTick mapKind = iota
	mapConfigure
	mapReceived
	mapAnswered
)

// A MappingInput is one thing that happened to a mapping. Make it with one of the
// constructors below.
type MappingInput struct {
	kind        mapKind
	config      MappingConfig
	receive     ReceiveID
	batch       BatchID
	messages    []Message
	full, empty bool
	result      Result
	failed      []MessageID
}

// MappingTick tells the machine the time; see Deadline.
func MappingTick() MappingInput { return MappingInput{kind: mapTick} }

// ConfigureMapping sets what the mapping says, or enables or disables it.
func ConfigureMapping(c MappingConfig) MappingInput {
	return MappingInput{kind: mapConfigure, config: c}
}

// Received answers a Receive with the messages to be run, which may be fewer than the queue
// gave: full says that it gave as many as were asked for, so that more are waiting; empty
// that it gave none.
func Received(r ReceiveID, messages []Message, full, empty bool) MappingInput {
	return MappingInput{kind: mapReceived, receive: r, messages: messages, full: full, empty: empty}
}

// Answered answers an Invoke. With Succeeded, failed lists the messages that the function
// reported as not processed.
func Answered(b BatchID, r Result, failed []MessageID) MappingInput {
	return MappingInput{kind: mapAnswered, batch: b, result: r, failed: failed}
}

// MappingDo tells what the driver must do for a mapping.
type MappingDo uint8

// The effects of Mapping.
const (
	// Receive asks the queue for up to Max messages and waits up to 20 s for the first:
	// Received.
	Receive MappingDo = iota + 1

	// StopReceive gives up a receive. It is answered nevertheless, by Received, and perhaps
	// with messages.
	StopReceive

	// Invoke runs the function with Messages as one batch: Answered.
	Invoke

	// Delete removes Messages from the queue: they are processed.
	Delete

	// Release forgets Messages: they stay in the queue and become visible in their time.
	Release
)

// A MappingEffect is one thing to do. Fields that Do does not name are zero.
type MappingEffect struct {
	Do       MappingDo
	Receive  ReceiveID
	Batch    BatchID
	Max      int
	Messages []MessageID
}
