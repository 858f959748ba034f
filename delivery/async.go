package delivery

import (
	"cmp"
	"slices"
	"time"
)

// Settings bound an Async machine.
type Settings struct {
	InFlight int // events being delivered or disposed of at a time, over all queues; > 0
	PerQueue int // of one queue; > 0
	Window   int // events of a queue held in memory; > 0
}

// An Async decides about the asynchronous events of one account and region. It is not safe
// for concurrent use; its driver holds a mutex.
type Async struct {
	now      Instant
	settings Settings
	queues   []queue // by QueueID; entry 0 is unused
	ready    []QueueID
	timers   []QueueID // a heap by queue.wake
	flights  map[EventID]flight
	rests    []rest // in the order of time
	inFlight int

	stale   uint64
	effects []Effect
}

// A queue is the events sent to one function by one qualifier.
type queue struct {
	known  bool
	config Config
	window window
	tail   position // every waiting event before it is in the window
	more   bool     // there may be events from tail on

	loading bool
	from    position             // where the load under way begins
	arrived []Entry              // from tail on, that came while loading
	gone    map[EventID]struct{} // whose place changed while loading

	inFlight int // being delivered or disposed of
	trying   int // of them, being delivered
	limit    int // on inFlight, now
	refusals int // in a row
	paused   Instant

	wake  Instant
	timer int  // place in Async.timers, plus one; 0: not there
	ready bool // in Async.ready
}

// A position is a place in a queue's durable index.
type position struct {
	due   Instant
	event EventID
}

func (p position) covers(e *Entry) bool { return e.before(p.due, p.event) }

var end = position{Never, ^EventID(0)}

// A flight is an event that is not waiting.
type flight struct {
	Entry
	queue QueueID
	stage stage
	tries int // to dispose of it
	why   Condition
}

type stage uint8

const (
	delivering stage = iota + 1
	disposing
	resting // between two tries to dispose of it
	moving
	settling
)

// NewAsync returns a machine that knows no queue.
func NewAsync(s Settings) *Async {
	s.InFlight, s.PerQueue, s.Window = max(s.InFlight, 1), max(s.PerQueue, 1), max(s.Window, 1)
	return &Async{settings: s, queues: make([]queue, 1), flights: make(map[EventID]flight)}
}

// Step takes one input at a time and appends what must be done to out.
func (m *Async) Step(now Instant, in Input, out []Effect) []Effect {
	m.effects = out
	m.advance(now)
	switch in.kind {
	case inConfigure:
		m.configure(in.queue, in.config)
	case inEnqueued:
		m.enqueued(in.queue, in.entry)
	case inLoaded:
		m.loaded(in.queue, in.entries, in.more)
	case inAttempted:
		m.attempted(in.entry.Event, in.result)
	case inDisposed:
		m.disposed(in.entry.Event, in.ok)
	case inMoved:
		m.moved(in.entry.Event)
	case inSettled:
		m.settled(in.entry.Event)
	}
	m.pump()
	out, m.effects = m.effects, nil
	return out
}

// Stale returns how many inputs named something that is not.
func (m *Async) Stale() uint64 { return m.stale }

// Deadline returns when a Tick would next do something, and whether it ever would.
func (m *Async) Deadline() (Instant, bool) {
	at := m.due()
	return at, at != Never
}

func (m *Async) due() Instant {
	at := Never
	if len(m.timers) > 0 {
		at = m.queues[m.timers[0]].wake
	}
	if len(m.rests) > 0 {
		at = min(at, m.rests[0].until)
	}
	return at
}

// advance walks to a time by way of everything that falls due before.
func (m *Async) advance(to Instant) {
	for at := m.due(); at <= to; at = m.due() {
		m.now = max(m.now, at)
		for len(m.rests) > 0 && m.rests[0].until <= m.now {
			f := m.flights[m.rests[0].event]
			m.rests = m.rests[1:]
			m.dispose(f)
		}
		for len(m.timers) > 0 && m.queues[m.timers[0]].wake <= m.now {
			id := m.timers[0]
			m.setTimer(id, Never)
			m.schedule(id)
		}
		m.pump()
	}
	m.now = max(m.now, to)
}

func (m *Async) do(e Effect) { m.effects = append(m.effects, e) }

func (m *Async) queue(id QueueID) *queue {
	if int(id) >= len(m.queues) || !m.queues[id].known {
		m.stale++
		return nil
	}
	return &m.queues[id]
}

// startLimit is how many events of a queue are tried at a time before it is known how many
// the function takes.
const startLimit = 8

// configure makes a queue known, with whatever the durable index holds of it, or changes its
// configuration.
func (m *Async) configure(id QueueID, c Config) {
	if id == 0 || id > MaxID {
		m.stale++
		return
	}
	for int(id) >= len(m.queues) {
		m.queues = append(m.queues, queue{})
	}
	q := &m.queues[id]
	q.config = c
	if !q.known {
		q.known, q.more, q.wake = true, true, Never
		q.limit = min(startLimit, m.settings.PerQueue)
		m.load(id)
	}
	m.schedule(id)
}

// enqueued takes an event that was made durable.
func (m *Async) enqueued(id QueueID, e Entry) {
	if m.queue(id) == nil {
		return
	}
	if _, ok := m.flights[e.Event]; ok {
		m.stale++
		return
	}
	m.insert(id, e)
}

// insert puts a waiting event into its queue's window, unless it lies beyond: then it will be
// loaded when its turn comes.
func (m *Async) insert(id QueueID, e Entry) {
	q := &m.queues[id]
	if q.more && !q.tail.covers(&e) {
		if q.loading {
			q.arrived = append(q.arrived, e)
		}
		return
	}
	if !q.window.push(e) {
		m.stale++
		return
	}
	if q.window.len() > 2*m.settings.Window {
		last := q.window.popLast()
		q.tail, q.more = position{last.Due, last.Event}, true
	}
	m.schedule(id)
}

// load asks for more of a queue when its window runs low.
func (m *Async) load(id QueueID) {
	q := &m.queues[id]
	if !q.more || q.loading || q.window.len() > m.settings.Window/2 {
		return
	}
	q.loading, q.from = true, q.tail
	m.do(Effect{Do: Load, Queue: id, Due: q.tail.due, Event: q.tail.event, Limit: m.settings.Window})
}

// loaded takes the entries of a queue from its tail on. Those that are not waiting any more,
// or not there, are left out: the index was read a moment ago.
func (m *Async) loaded(id QueueID, entries []Entry, more bool) {
	q := m.queue(id)
	if q == nil {
		return
	}
	if !q.loading {
		m.stale++
		return
	}
	arrived, gone := q.arrived, q.gone
	q.loading, q.arrived, q.gone = false, nil, nil
	if q.tail != q.from { // events before it had to leave the window meanwhile
		m.load(id)
		return
	}
	q.tail, q.more = end, more
	if more && len(entries) > 0 {
		last := entries[len(entries)-1]
		q.tail = position{last.Due, last.Event + 1}
	}
	for _, e := range slices.Concat(entries, arrived) {
		_, busy := m.flights[e.Event]
		_, stale := gone[e.Event]
		if stale && slices.Contains(arrived, e) {
			stale = false // it came back
		}
		if !busy && !stale && !q.from.covers(&e) {
			m.insert(id, e)
		}
	}
	m.load(id)
	m.schedule(id)
}

// changed notes that an event's place in the index is not what a load under way may have read.
func (m *Async) changed(f *flight) {
	q := &m.queues[f.queue]
	if !q.loading {
		return
	}
	if q.gone == nil {
		q.gone = make(map[EventID]struct{})
	}
	q.gone[f.Event] = struct{}{}
}

// schedule makes a queue take its turn when it may: at once, later, or after something ends.
func (m *Async) schedule(id QueueID) {
	q := &m.queues[id]
	at := Never
	if q.window.len() > 0 && q.inFlight < q.limit {
		at = max(q.window.first().Due, q.paused)
	}
	switch {
	case q.ready:
	case at <= m.now:
		m.setTimer(id, Never)
		q.ready = true
		m.ready = append(m.ready, id)
	default:
		m.setTimer(id, at)
	}
}

// pump starts what is due, one event of each queue in turn.
func (m *Async) pump() {
	for len(m.ready) > 0 && m.inFlight < m.settings.InFlight {
		id := m.ready[0]
		m.ready = m.ready[1:]
		q := &m.queues[id]
		q.ready = false
		if q.window.len() > 0 && q.inFlight < q.limit && max(q.window.first().Due, q.paused) <= m.now {
			m.start(id, q.window.pop())
			m.load(id)
		}
		m.schedule(id)
	}
}

// start delivers an event, or gives it up if it must not be tried any more.
func (m *Async) start(id QueueID, e Entry) {
	q := &m.queues[id]
	q.inFlight++
	m.inFlight++
	f := flight{Entry: e, queue: id}
	switch {
	case q.config.Off:
		m.giveUp(f, ZeroReservedConcurrency)
	case m.now.Sub(e.Born) > q.config.MaxAge:
		m.giveUp(f, EventAgeExceeded)
	default:
		q.trying++
		f.stage = delivering
		m.flights[e.Event] = f
		m.do(Effect{Do: Deliver, Queue: id, Event: e.Event, Born: e.Born, Failures: e.Failures, Refusals: e.Refusals})
	}
}

// land takes an event out of those being delivered or disposed of.
func (m *Async) land(id QueueID) {
	m.queues[id].inFlight--
	m.inFlight--
	m.schedule(id)
}

// attempted decides what follows an attempt. The order is AWS's: a function turned off, the
// retries, the age that the event would have at the next attempt.
func (m *Async) attempted(id EventID, r Result) {
	f, ok := m.flights[id]
	if !ok || f.stage != delivering {
		m.stale++
		return
	}
	q := &m.queues[f.queue]
	q.trying--
	m.learn(q, r)
	defer m.schedule(f.queue) // its limit may have grown
	switch r {
	case Succeeded:
		m.giveUp(f, Success)
	case Looped:
		m.giveUp(f, RecursiveInvocation)
	case FunctionFailed:
		f.Failures++
		if !q.config.Off && int(f.Failures) > q.config.MaxRetries {
			m.giveUp(f, RetriesExhausted)
			return
		}
		m.again(f, time.Duration(f.Failures)*time.Minute)
	default:
		f.Refusals++
		m.again(f, backoff(f.Refusals))
	}
}

// backoff is the wait after so many refusals: 1 s, 2 s, 4 s … 5 min.
func backoff(refusals uint16) time.Duration {
	return min(time.Second<<min(refusals-1, 9), 5*time.Minute)
}

// again has an event tried once more after a wait, unless it would be too old by then.
func (m *Async) again(f flight, wait time.Duration) {
	q := &m.queues[f.queue]
	switch {
	case q.config.Off:
		m.giveUp(f, ZeroReservedConcurrency)
	case m.now.Add(wait).Sub(f.Born) > q.config.MaxAge:
		m.giveUp(f, EventAgeExceeded)
	default:
		was := f.Due
		f.stage, f.Due = moving, m.now.Add(wait)
		m.flights[f.Event] = f
		m.do(Effect{Do: Move, Queue: f.queue, Event: f.Event, Due: f.Due, From: was, Born: f.Born, Failures: f.Failures, Refusals: f.Refusals})
		m.land(f.queue)
	}
}

// moved hears that an event's new place is durable.
func (m *Async) moved(id EventID) {
	f, ok := m.flights[id]
	if !ok || f.stage != moving {
		m.stale++
		return
	}
	m.changed(&f)
	delete(m.flights, id)
	m.insert(f.queue, f.Entry)
}

// giveUp ends an event's attempts: who is to be told is told, then it is settled.
func (m *Async) giveUp(f flight, why Condition) {
	q := &m.queues[f.queue]
	f.why = why
	if why == Success && q.config.OnSuccess || why != Success && q.config.OnFailure {
		m.dispose(f)
		return
	}
	m.settle(f)
}

// dispose has an event's end told to who is to know it.
func (m *Async) dispose(f flight) {
	f.stage = disposing
	m.flights[f.Event] = f
	m.do(Effect{Do: Dispose, Queue: f.queue, Event: f.Event, Condition: f.why, Failures: f.Failures, Refusals: f.Refusals})
}

// disposeTries is how often a destination is tried, 1 s, 2 s, 4 s … apart, before its message
// is given up. AWS retries too, without saying how often.
const disposeTries = 6

// A rest is the wait between two tries to tell a destination.
type rest struct {
	until Instant
	event EventID
}

// disposed decides what follows a try to tell a destination.
func (m *Async) disposed(id EventID, ok bool) {
	f, known := m.flights[id]
	if !known || f.stage != disposing {
		m.stale++
		return
	}
	f.tries++
	switch {
	case ok:
		m.settle(f)
	case f.tries >= disposeTries:
		m.do(Effect{Do: Undeliverable, Queue: f.queue, Event: id, Condition: f.why})
		m.settle(f)
	default:
		f.stage = resting
		m.flights[id] = f
		r := rest{m.now.Add(backoff(uint16(f.tries))), id}
		at, _ := slices.BinarySearchFunc(m.rests, r, func(a, b rest) int {
			return cmp.Or(cmp.Compare(a.until, b.until), cmp.Compare(a.event, b.event))
		})
		m.rests = slices.Insert(m.rests, at, r)
	}
}

// settle removes an event for good.
func (m *Async) settle(f flight) {
	f.stage = settling
	m.flights[f.Event] = f
	m.do(Effect{Do: Settle, Queue: f.queue, Event: f.Event, Due: f.Due, Condition: f.why, Failures: f.Failures, Refusals: f.Refusals})
	m.land(f.queue)
}

// settled hears that an event is gone from the index.
func (m *Async) settled(id EventID) {
	f, ok := m.flights[id]
	if !ok || f.stage != settling {
		m.stale++
		return
	}
	m.changed(&f)
	delete(m.flights, id)
}

// maxPause is how long a queue rests at most after its attempts were all refused.
const maxPause = 10 * time.Second

// learn adapts how many events of a queue are tried at a time to what the function takes: one
// more after each attempt that ran, half after one that was refused; when the last one in
// flight was refused, none for a while.
func (m *Async) learn(q *queue, r Result) {
	if r != Refused {
		q.refusals, q.paused = 0, 0
		q.limit = min(q.limit+1, m.settings.PerQueue)
		return
	}
	q.refusals++
	q.limit = max(min(q.limit, q.trying+1)/2, 1)
	if q.trying == 0 {
		q.paused = m.now.Add(min(backoff(uint16(min(q.refusals, 16))), maxPause))
	}
}
