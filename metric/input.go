package metric

// A kind tells what happened.
type kind uint8

const (
	kindTick kind = iota
	kindPut
	kindPutAlarm
	kindDeleteAlarm
	kindSetState
	kindLoaded
)

// An Input is one thing that happened. Make it with one of the constructors below.
type Input struct {
	kind    kind
	key     Key
	at      Instant
	set     *Set
	high    bool
	alarm   *Alarm
	name    string
	state   State
	reason  string
	data    string
	periods []Period
}

// Tick tells the machine the time; see Machine.Deadline.
func Tick() Input { return Input{kind: kindTick} }

// Put adds datapoints of a metric measured at a moment. high keeps them by the second too. The
// machine does not keep the set.
func Put(k Key, at Instant, s *Set, high bool) Input {
	return Input{kind: kindPut, key: k, at: at, set: s, high: high}
}

// PutAlarm makes an alarm known, or replaces its configuration; its state is then left as it
// is. The state of a new one is a.State.
func PutAlarm(a Alarm) Input { return Input{kind: kindPutAlarm, alarm: &a} }

// DeleteAlarm forgets an alarm.
func DeleteAlarm(name string) Input { return Input{kind: kindDeleteAlarm, name: name} }

// SetState puts an alarm into a state until it is evaluated.
func SetState(name string, s State, reason, data string) Input {
	return Input{kind: kindSetState, name: name, state: s, reason: reason, data: data}
}

// Loaded answers a Load effect with the closed periods of a metric, of all units, in the order
// of their starts; none if they cannot be read. Between the reading and this input no Flush of
// the metric may happen.
func Loaded(k Key, closed []Period) Input { return Input{kind: kindLoaded, key: k, periods: closed} }
