package lambda

import "time"

// An EventSourceMapping has a function invoked with what is in a queue.
type EventSourceMapping struct {
	ID        string `json:",omitzero"` // UUID
	Function  string `json:",omitzero"`
	Qualifier string `json:",omitzero"` // of the function, as given
	Source    string `json:",omitzero"` // ARN of the queue

	BatchSize       int      `json:",omitzero"` // messages, 1 to 10,000
	WindowSec       int      `json:",omitzero"` // batching window, 0 to 300
	MaxConcurrency  int      `json:",omitzero"` // 2 to 1,000; 0: no limit of its own
	MinPollers      int      `json:",omitzero"` // of provisioned mode; 0: not in it
	MaxPollers      int      `json:",omitzero"`
	Filters         []string `json:",omitzero"` // patterns, at most 10
	HasFilters      bool     `json:",omitzero"` // filter criteria were given, perhaps empty
	ReportsFailures bool     `json:",omitzero"` // ReportBatchItemFailures
	CountsEvents    bool     `json:",omitzero"` // the group EventCount of its metrics is recorded

	State        MappingState `json:",omitzero"`
	LastModified time.Time    `json:",omitzero"`
}

// MappingState is where an event source mapping stands.
type MappingState string

// The states of an event source mapping. Those that end in -ing last until the pollers have
// changed; meanwhile the mapping cannot be changed.
const (
	MappingCreating  MappingState = "Creating"
	MappingEnabling  MappingState = "Enabling"
	MappingEnabled   MappingState = "Enabled"
	MappingUpdating  MappingState = "Updating"
	MappingDisabling MappingState = "Disabling"
	MappingDisabled  MappingState = "Disabled"
	MappingDeleting  MappingState = "Deleting"
)

// Next is the state that follows by itself, and whether there is one. After Deleting comes
// nothing: the mapping is no more.
func (s MappingState) Next() (MappingState, bool) {
	switch s {
	case MappingCreating, MappingEnabling, MappingUpdating:
		return MappingEnabled, true
	case MappingDisabling:
		return MappingDisabled, true
	case MappingDeleting:
		return "", true
	}
	return s, false
}

// ARN is the mapping's.
func (m *EventSourceMapping) ARN(s Scope) string {
	return "arn:aws:lambda:" + s.Region + ":" + s.Account + ":event-source-mapping:" + m.ID
}
