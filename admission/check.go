package admission

import "fmt"

// check verifies every invariant of the machine. Tests and simulation call it after each
// Step; it takes time in proportion to all that the machine knows.
func (m *Machine) check() error {
	for _, f := range []func() error{m.checkFunctions, m.checkFleets, m.checkLists, m.checkWaiters} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// tally is what the environments of a function or a fleet add up to.
type tally struct{ booting, idle, busy, warming, held, warm, warmBusy int32 }

func (t tally) permits() int32     { return t.booting + t.busy }
func (t tally) provisioned() int32 { return t.warming + t.held + t.warm + t.warmBusy }

func (t *tally) add(e *environment) {
	switch {
	case e.provisioned && e.state == booting && e.ready:
		t.held++
	case e.provisioned && e.state == booting:
		t.warming++
	case e.provisioned && e.state == idle:
		t.warm++
	case e.provisioned:
		t.warmBusy++
	case e.state == booting:
		t.booting++
	case e.state == idle:
		t.idle++
	default:
		t.busy++
	}
}

// checkFunctions recounts permits and charges per function and for the account.
func (m *Machine) checkFunctions() error {
	tallies := make([]tally, len(m.functions))
	for i := range m.environments {
		if e := &m.environments[i]; e.state != none {
			tallies[e.function].add(e)
		}
	}
	wanted := make([]int32, len(m.functions))
	for i := range m.versions {
		wanted[m.versions[i].function] += m.fleets[m.current[i]].wanted
	}
	var reserved, running, provisioned, up int32
	for i := range m.functions {
		f, t := &m.functions[i], tallies[i]
		if f.running != t.permits() || f.up != t.provisioned() || f.provisioned != wanted[i] {
			return fmt.Errorf("f%d: running %d, up %d, provisioned %d; recounted %+v, wanted %d", i, f.running, f.up, f.provisioned, t, wanted[i])
		}
		if i == 0 {
			continue
		}
		if f.known && f.reserved != Unreserved {
			reserved += f.reserved
			continue
		}
		running, provisioned, up = running+f.running, provisioned+f.provisioned, up+f.up
	}
	sums := [4]int{m.reserved, m.poolRunning, m.poolProvisioned, m.poolUp}
	if recounted := [4]int{int(reserved), int(running), int(provisioned), int(up)}; sums != recounted {
		return fmt.Errorf("account: reserved, pool running, provisioned, up are %d; recounted %d", sums, recounted)
	}
	return nil
}

// checkFleets recounts the environments of each fleet.
func (m *Machine) checkFleets() error {
	tallies := make([]tally, len(m.fleets))
	endings := make([][2]int32, len(m.fleets))
	for i := range m.environments {
		e := &m.environments[i]
		if e.state != none {
			tallies[e.fleet].add(e)
		}
		switch {
		case e.state != busy || !e.answered || e.spent || m.fleets[e.fleet].draining:
		case e.provisioned:
			endings[e.fleet][1]++
		default:
			endings[e.fleet][0]++
		}
	}
	for i := range m.fleets {
		fl := &m.fleets[i]
		want := tally{fl.boots.len, fl.idle.len, fl.busy, fl.warming.len, fl.held.len, fl.warm.len, 0}
		want.warmBusy = fl.up - want.provisioned()
		if tallies[i] != want {
			return fmt.Errorf("fleet %d: counts %+v, recounted %+v", i, want, tallies[i])
		}
		if fl.cold.len > fl.boots.len || fl.soon.len > fl.ending || fl.warmSoon.len > fl.warmEnding {
			return fmt.Errorf("fleet %d: %d, %d, %d wait for %d, %d, %d", i, fl.cold.len, fl.soon.len, fl.warmSoon.len, fl.boots.len, fl.ending, fl.warmEnding)
		}
		if fl.cold.len > 0 && fl.idle.len > 0 || fl.warmSoon.len > 0 && fl.warm.len > 0 {
			return fmt.Errorf("fleet %d: %d wait beside %d idle, %d beside %d warm", i, fl.cold.len, fl.idle.len, fl.warmSoon.len, fl.warm.len)
		}
		if fl.ending != endings[i][0] || fl.warmEnding != endings[i][1] {
			return fmt.Errorf("fleet %d: %d and %d are ending, recounted %v", i, fl.ending, fl.warmEnding, endings[i])
		}
		if fl.up > fl.wanted {
			return fmt.Errorf("fleet %d: %d provisioned environments, %d wanted", i, fl.up, fl.wanted)
		}
		if fl.held.len > 0 && !fl.holding {
			return fmt.Errorf("fleet %d holds %d environments back for nothing", i, fl.held.len)
		}
		if fl.up < fl.wanted && !fl.queued {
			return fmt.Errorf("fleet %d has %d of %d provisioned environments and is not queued", i, fl.up, fl.wanted)
		}
	}
	return nil
}

// checkLists walks the stacks and lists: each must hold what it counts, in order of age.
func (m *Machine) checkLists() error {
	for i := range m.fleets {
		fl := &m.fleets[i]
		for _, s := range []stack{fl.idle, fl.boots, fl.warm, fl.warming, fl.held} {
			n, above := int32(0), int32(0)
			for e := s.top; e != 0; e = m.environments[e].down {
				if m.environments[e].up != above || m.environments[e].fleet != int32(i) || n > s.len {
					return fmt.Errorf("fleet %d: a stack is broken at %v", i, m.id(e))
				}
				above = e
				n++
			}
			if n != s.len {
				return fmt.Errorf("fleet %d: a stack of %d counts %d", i, n, s.len)
			}
		}
	}
	var idles, ready int
	for i := range m.environments {
		e := &m.environments[i]
		if e.state == idle && !e.provisioned {
			idles++
		}
		if e.provisioned && e.ready {
			ready++
		}
	}
	since := func(e *environment) Instant { return e.idleSince }
	born := func(e *environment) Instant { return e.born }
	if err := m.checkAges(m.idle, idles, since); err != nil {
		return fmt.Errorf("idle: %w", err)
	}
	if err := m.checkAges(m.warm, ready, born); err != nil {
		return fmt.Errorf("warm: %w", err)
	}
	return nil
}

func (m *Machine) checkAges(l list, want int, age func(*environment) Instant) error {
	n, last := 0, Instant(0)
	for i := l.oldest; i != 0 && n <= want; i = m.links[i].newer {
		if at := age(&m.environments[i]); at < last {
			return fmt.Errorf("%v is older than the one before", m.id(i))
		} else {
			last = at
		}
		n++
	}
	if n != want {
		return fmt.Errorf("%d in the list, %d in the table", n, want)
	}
	return nil
}

// checkWaiters holds the waiters of the fleets against the index by invocation, and against
// the list of those whose patience ends.
func (m *Machine) checkWaiters() error {
	n, impatient := 0, 0
	for i := range m.fleets {
		fl := &m.fleets[i]
		for _, r := range []waitReason{forBoot, forAnswered, forWarm} {
			q := m.queueOf(fl, r)
			k := int32(0)
			for w := q.first; w != 0 && k <= q.len; w = m.waiters[w].next {
				x := &m.waiters[w]
				if x.fleet != int32(i) || x.reason != r || m.waiting[x.invocation] != w {
					return fmt.Errorf("fleet %d: waiter %v is misplaced", i, x.invocation)
				}
				k++
			}
			if k != q.len {
				return fmt.Errorf("fleet %d: %d waiters, counted %d", i, k, q.len)
			}
			n += int(k)
			if r != forBoot {
				impatient += int(k)
			}
		}
	}
	if n != len(m.waiting) {
		return fmt.Errorf("%d waiters, %d indexed", n, len(m.waiting))
	}
	last := Instant(0)
	for w := m.patient.oldest; w != 0 && impatient >= 0; w = m.waiters[w].newer {
		if m.waiters[w].since < last {
			return fmt.Errorf("%v waits longer than the one before", m.waiters[w].invocation)
		}
		last = m.waiters[w].since
		impatient--
	}
	if impatient != 0 {
		return fmt.Errorf("the list of the patient is off by %d", impatient)
	}
	return nil
}
