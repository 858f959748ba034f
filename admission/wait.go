package admission

import "time"

// A waiter is an invocation that waits for an environment of its fleet.
type waiter struct {
	invocation   InvocationID
	fleet        int32
	reason       waitReason
	unmetered    bool
	why          Why // of its cold start, if it waits for a boot
	since        Instant
	prev, next   int32 // neighbours in the fleet's queue; free list
	older, newer int32 // neighbours in Machine.patient
}

// A waitReason is what a waiter waits for.
type waitReason uint8

const (
	forBoot     waitReason = iota // an on-demand environment to boot
	forAnswered                   // an on-demand environment that has answered to finish
	forWarm                       // a provisioned one
)

// queue orders the waiters of a fleet that wait for the same, the longest waiting first.
type queue struct{ first, last, len int32 }

// patience is how long an invocation waits for an environment that has answered. A runtime
// asks for its next invocation within a fraction of that; if it does not, something like an
// extension holds the environment, which then counts as busy.
const patience = 5 * time.Millisecond

func (m *Machine) queueOf(fl *fleet, r waitReason) *queue {
	switch r {
	case forAnswered:
		return &fl.soon
	case forWarm:
		return &fl.warmSoon
	}
	return &fl.cold
}

// wait puts an arrival at the end of its queue.
func (m *Machine) wait(fi int32, in Input, r waitReason, why Why) {
	fl := &m.fleets[fi]
	m.count(fl.function, in.unmetered)
	w := m.freeWaiter
	if w != 0 {
		m.freeWaiter = m.waiters[w].next
	} else {
		w = int32(len(m.waiters))
		m.waiters = append(m.waiters, waiter{})
	}
	q := m.queueOf(fl, r)
	m.waiters[w] = waiter{invocation: in.invocation, fleet: fi, reason: r, unmetered: in.unmetered, why: why, since: m.now, prev: q.last}
	if q.last != 0 {
		m.waiters[q.last].next = w
	} else {
		q.first = w
	}
	q.last = w
	q.len++
	m.waiting[in.invocation] = w
	if r != forBoot {
		m.enlist(w)
	}
}

// takeWaiter removes a waiter and returns what it was.
func (m *Machine) takeWaiter(w int32) waiter {
	x := m.waiters[w]
	q := m.queueOf(&m.fleets[x.fleet], x.reason)
	if x.prev != 0 {
		m.waiters[x.prev].next = x.next
	} else {
		q.first = x.next
	}
	if x.next != 0 {
		m.waiters[x.next].prev = x.prev
	} else {
		q.last = x.prev
	}
	q.len--
	if x.reason != forBoot {
		m.delist(w)
	}
	delete(m.waiting, x.invocation)
	m.waiters[w] = waiter{next: m.freeWaiter}
	m.freeWaiter = w
	return x
}

// enlist and delist keep the waiters whose patience ends, in that order.
func (m *Machine) enlist(w int32) {
	m.waiters[w].older = m.patient.newest
	if m.patient.newest != 0 {
		m.waiters[m.patient.newest].newer = w
	} else {
		m.patient.oldest = w
	}
	m.patient.newest = w
}

func (m *Machine) delist(w int32) {
	x := m.waiters[w]
	if x.older != 0 {
		m.waiters[x.older].newer = x.newer
	} else {
		m.patient.oldest = x.newer
	}
	if x.newer != 0 {
		m.waiters[x.newer].older = x.older
	} else {
		m.patient.newest = x.older
	}
}

func (m *Machine) patienceDeadline() Instant {
	if m.patient.oldest == 0 {
		return Never
	}
	return m.waiters[m.patient.oldest].since.Add(patience)
}

// serve grants an environment, already counted as busy, to a waiter.
func (m *Machine) serve(i, w int32) {
	x := m.takeWaiter(w)
	m.run(i, x.invocation, Effect{
		Cold: x.reason == forBoot, IsProvisioned: m.environments[i].provisioned,
		Spillover: x.why.spillover(), Why: x.why,
	})
}

// redecide decides anew on a waiter that waited in vain for an environment to finish.
func (m *Machine) redecide(w int32) {
	x := m.takeWaiter(w)
	fl := &m.fleets[x.fleet]
	v := fl.version
	m.uncount(fl.function, x.unmetered)
	if x.reason == forWarm {
		m.versions[v].requests.give()
	}
	m.freeFleetIfEmpty(x.fleet)
	if m.fleetOf(v) == 0 || !m.functions[m.fleets[m.current[v]].function].known {
		v = 0
	}
	m.decide(Input{invocation: x.invocation, unmetered: x.unmetered}, v, false)
}

// redecideExcess decides anew on the waiters of a fleet for which no environment is left
// that has answered.
func (m *Machine) redecideExcess(fi int32) {
	for fl := &m.fleets[fi]; fl.soon.len > fl.ending; {
		m.redecide(fl.soon.last)
	}
	for fl := &m.fleets[fi]; fl.warmSoon.len > fl.warmEnding; {
		m.redecide(fl.warmSoon.last)
	}
}

func (m *Machine) cancel(inv InvocationID) {
	w, ok := m.waiting[inv]
	if !ok {
		m.stale++
		return
	}
	fi := m.waiters[w].fleet
	m.takeWaiter(w)
	m.freeFleetIfEmpty(fi)
}

// answered notes that a busy environment will soon be free.
func (m *Machine) answered(id EnvironmentID, inv InvocationID) {
	i := m.find(id)
	if i == 0 {
		return
	}
	e := &m.environments[i]
	if e.state != busy || e.invocation != inv || e.answered {
		return
	}
	e.answered = true
	m.countEnding(e, 1)
}

// countEnding counts an environment that has answered, if an arrival may wait for it.
func (m *Machine) countEnding(e *environment, n int32) {
	fl := &m.fleets[e.fleet]
	switch {
	case !e.answered || e.spent || fl.draining:
	case e.provisioned:
		fl.warmEnding += n
	default:
		fl.ending += n
	}
}

// spend marks a busy environment to be retired when it finishes.
func (m *Machine) spend(i int32) {
	e := &m.environments[i]
	m.countEnding(e, -1)
	e.spent = true
}

// warmSoon reports whether an arrival that found all provisioned environments busy may wait
// for one of them.
func (m *Machine) warmSoon(fl *fleet, spill Why) bool {
	return spill.Limit == ProvisionedBusy && fl.warmEnding > fl.warmSoon.len &&
		m.versions[fl.version].requests.has(m.now, m.requestRate(int(fl.wanted)))
}
