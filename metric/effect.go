package metric

// Do tells what the driver must do.
type Do uint8

// The effects of the machine.
const (
	// Flush adds Period, which is closed, to what is stored of Key.
	Flush Do = iota + 1

	// Load reads the stored periods of Key from From on and steps Loaded. Fine asks for
	// those of a second where there are any, else for minutes.
	Load

	// Transition reports that Alarm went from Old to New because of Reason; Data is the
	// reason as JSON. Value is the newest datapoint, if HasValue.
	Transition

	// Persist reports that Alarm, which asked for it by Repeat, was evaluated and stays in
	// the state New.
	Persist
)

// An Effect is one thing to do. Fields that Do does not name are zero.
type Effect struct {
	Do       Do
	Key      Key
	Period   Period
	From     Instant
	Fine     bool
	Alarm    string
	Old, New State
	Reason   string
	Data     string
	At       Instant
	Value    float64
	HasValue bool
}

// A State is what an alarm says of its metric.
type State uint8

// The states of an alarm.
const (
	InsufficientData State = iota
	OK
	InAlarm
)

var states = [...]string{"INSUFFICIENT_DATA", "OK", "ALARM"}

// String returns the state's name in the API.
func (s State) String() string { return states[s] }

// ParseState returns the state of a name.
func ParseState(name string) (State, bool) {
	for i, s := range states {
		if s == name {
			return State(i), true
		}
	}
	return 0, false
}
