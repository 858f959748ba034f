package metric

import (
	"slices"
	"strings"
	"time"
)

// Lag is how long after a boundary the periods that end there are closed and evaluated.
const Lag = 2 * time.Second

const (
	minute = Instant(time.Minute)
	fine   = Instant(10 * time.Second) // step of the evaluations of alarms with periods under a minute
)

// A Machine is the metrics and alarms of one account and region. The zero value is not ready:
// use New. It is not safe for concurrent use; its driver holds a mutex.
type Machine struct {
	now     Instant
	next    Instant // the boundary that is evaluated next
	started bool

	open  map[Key]*openMetric // by the key of the metric
	dirty []Key               // of open, in the order of their first datapoint

	watches    map[Key]*watch
	alarms     map[string]*alarm
	metrics    []string // names of metric alarms, in order
	composites []string // names of composite alarms, in order

	stale  uint64
	effect []Effect // of the Step under way
}

// An openMetric is the periods of a metric that are not handed to the store yet.
type openMetric struct{ periods []Period }

// New returns a machine without metrics and alarms.
func New() *Machine {
	return &Machine{
		open:    make(map[Key]*openMetric),
		watches: make(map[Key]*watch),
		alarms:  make(map[string]*alarm),
	}
}

// Step takes one input at a time and appends what must be done to out. It does first what had
// fallen due by then. A time before the last one counts as the last one.
func (m *Machine) Step(now Instant, in Input, out []Effect) []Effect {
	m.effect = out
	m.advance(now)
	switch in.kind {
	case kindPut:
		m.put(in.key, in.at, in.set, in.high)
	case kindPutAlarm:
		m.putAlarm(in.alarm)
	case kindDeleteAlarm:
		m.deleteAlarm(in.name)
	case kindSetState:
		m.setState(in)
	case kindLoaded:
		m.loaded(in.key, in.periods)
	}
	out, m.effect = m.effect, nil
	return out
}

// Deadline returns when a Tick would next do something, and whether it ever would.
func (m *Machine) Deadline() (Instant, bool) {
	if len(m.open) == 0 && len(m.alarms) == 0 {
		return 0, false
	}
	return m.next.Add(Lag), true
}

// Stale returns how many inputs named something that is not, or not any more.
func (m *Machine) Stale() uint64 { return m.stale }

func (m *Machine) do(e Effect) { m.effect = append(m.effect, e) }

// advance brings the machine to a time, evaluating each boundary on the way as of itself.
func (m *Machine) advance(to Instant) {
	if !m.started {
		m.now, m.started = to, true
		m.next = m.boundaryAfter(to - Instant(Lag))
	}
	for m.next.Add(Lag) <= to {
		at := m.next
		m.now = max(m.now, at.Add(Lag))
		if at%minute == 0 {
			m.flush(at)
		}
		m.evaluateAll(at)
		if len(m.alarms) == 0 && len(m.open) == 0 {
			m.next = max(at, to-Instant(Lag)) // nothing can happen on the way
		}
		m.next = m.boundaryAfter(m.next)
	}
	m.now = max(m.now, to)
}

// boundaryAfter returns the next moment at which something may be evaluated.
func (m *Machine) boundaryAfter(at Instant) Instant {
	step := minute
	for _, name := range m.metrics {
		if m.alarms[name].Period < time.Minute {
			step = fine
			break
		}
	}
	return Floor(at, time.Duration(step)) + step
}

// put adds datapoints to the open periods, and to what alarms look at.
func (m *Machine) put(k Key, at Instant, s *Set, high bool) {
	if s == nil || s.Count == 0 {
		m.stale++
		return
	}
	if !high {
		at = Floor(at, time.Minute)
	}
	name := k.Metric()
	o := m.open[name]
	if o == nil {
		o = new(openMetric)
		m.open[name] = o
		m.dirty = append(m.dirty, name)
	}
	o.add(k.Unit(), at, time.Minute, s)
	if high {
		o.add(k.Unit(), at, time.Second, s)
	}
	if w := m.watches[name]; w != nil && !w.loading {
		w.add(k.Unit(), at, s)
	}
}

func (o *openMetric) add(u Unit, at Instant, length time.Duration, s *Set) {
	start := Floor(at, length)
	for i := len(o.periods) - 1; i >= 0; i-- {
		p := &o.periods[i]
		if p.Start == start && p.Unit == u && p.Length == length {
			p.Set.Merge(s)
			return
		}
	}
	o.periods = append(o.periods, Period{Unit: u, Start: start, Length: length, Set: s.Clone()})
}

// flush hands out every open period that ends by a boundary. A later datapoint opens its
// period anew; the store merges them.
func (m *Machine) flush(boundary Instant) {
	still := m.dirty[:0]
	for _, k := range m.dirty {
		o := m.open[k]
		keep := o.periods[:0]
		for _, p := range o.periods {
			if p.Start.Add(p.Length) > boundary {
				keep = append(keep, p)
				continue
			}
			m.do(Effect{Do: Flush, Key: k, Period: p})
		}
		clear(o.periods[len(keep):])
		o.periods = keep
		if len(keep) == 0 {
			delete(m.open, k)
			continue
		}
		still = append(still, k)
	}
	clear(m.dirty[len(still):])
	m.dirty = still
}

// Close hands out all open periods, closed or not: the driver ends.
func (m *Machine) Close(out []Effect) []Effect {
	m.effect = out
	m.flush(Never)
	out, m.effect = m.effect, nil
	return out
}

// Open calls f with the periods of a metric that are not flushed. f must not keep the set.
func (m *Machine) Open(k Key, f func(p *Period)) {
	o := m.open[k.Metric()]
	if o == nil {
		return
	}
	for i := range o.periods {
		f(&o.periods[i])
	}
}

// insert puts a name into a sorted list, once.
func insert(list []string, name string) []string {
	i, found := slices.BinarySearchFunc(list, name, strings.Compare)
	if found {
		return list
	}
	return slices.Insert(list, i, name)
}

func remove(list []string, name string) []string {
	i, found := slices.BinarySearchFunc(list, name, strings.Compare)
	if !found {
		return list
	}
	return slices.Delete(list, i, i+1)
}
