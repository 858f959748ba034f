package lambda

import "time"

// An EventInvoke is how the asynchronous invocations of a function by one qualifier are
// handled.
type EventInvoke struct {
	Function     string    `json:",omitzero"`
	Qualifier    string    `json:",omitzero"` // $LATEST, a number or an alias
	MaxRetries   int       `json:",omitzero"` // 0..2; NotSet: the default, 2
	MaxAgeSec    int       `json:",omitzero"` // 60..21600; NotSet: the default, 6 hours
	OnSuccess    string    `json:",omitzero"` // ARN of the destination, or empty
	OnFailure    string    `json:",omitzero"`
	LastModified time.Time `json:",omitzero"`
}

// NotSet marks a number of an EventInvoke that was not given.
const NotSet = -1

// The quotas of asynchronous invocation (AWS: "Error handling for asynchronous invocation").
const (
	DefaultEventRetries = 2
	DefaultEventAge     = 6 * time.Hour
	MaxLegacyEvent      = 256 << 10 // bytes of an event sent by the operation InvokeAsync
)
