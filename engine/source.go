package engine

import (
	"context"
	"errors"
	"time"
)

// ErrNoSource says that the queue of an event source mapping does not exist.
var ErrNoSource = errors.New("the specified queue does not exist")

// A Source is a queue that event source mappings read.
type Source interface {
	// Describe tells what the queue is like, or ErrNoSource.
	Describe(ctx context.Context) (SourceInfo, error)

	// Receive asks for up to limit messages, at most 10, and waits up to 20 s for the first.
	// It returns at once; deliver is called exactly once, on another goroutine, also after
	// stop. It must hold no goroutine of its own where it can do without.
	Receive(limit int, deliver func([]SourceMessage, error)) (stop func())

	// Delete removes received messages, at most 10. One that is gone already is no error.
	Delete(ctx context.Context, messages []SourceMessage) error
}

// SourceInfo is what a mapping needs to know of its queue.
type SourceInfo struct {
	FIFO       bool
	Visibility time.Duration // how long a received message is hidden
}

// A SourceMessage is a message that a mapping received.
type SourceMessage struct {
	ID              string
	Receipt         string
	Body            []byte
	MD5             string                      // of the body
	System          []SystemAttribute           // in the order of the record
	Attributes      map[string]MessageAttribute // of the message's sender
	MD5OfAttributes string                      // empty without attributes
	Group           string                      // message group of a FIFO queue
	Hidden          time.Duration               // until others can receive it
}

// A SystemAttribute is one that the queue gives a message, such as SentTimestamp.
type SystemAttribute struct{ Name, Value string }

// A MessageAttribute is one that the sender gave a message.
type MessageAttribute struct {
	Type   string // String, Number or Binary, perhaps with a suffix
	Text   string
	Binary []byte
}

// traceHeader is the system attribute that carries a message's trace.
const traceHeader = "AWSTraceHeader"

func (m *SourceMessage) system(name string) string {
	for _, a := range m.System {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}
