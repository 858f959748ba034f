package admission

// arrive decides on an invocation. The order of the checks is AWS's: the rate of requests,
// provisioned concurrency, the reservation or the pool, an idle environment, and last the
// rate at which environments may be created.
func (m *Machine) arrive(in Input) {
	m.decide(in, m.resolve(in.target, in.share), true)
}

// decide is arrive for a version. A patient arrival may wait a moment for an environment that
// has answered.
func (m *Machine) decide(in Input, v VersionID, patient bool) {
	if v == 0 {
		m.fail(in.invocation, Why{Limit: Unknown})
		return
	}
	fl := &m.fleets[m.current[v]]
	f := &m.functions[fl.function]
	if f.reserved == 0 {
		m.throttle(in.invocation, ReservedFunctionConcurrentInvocationLimitExceeded, Why{Limit: ReservedZero})
		return
	}
	if !in.unmetered && !m.requestAllowed(f) {
		m.throttleRate(in.invocation, f)
		return
	}
	var spill Why
	if fl.wanted > 0 {
		spill = m.spill(fl)
		switch {
		case spill.Limit == 0:
			m.versions[v].requests.take()
			i := fl.warm.top
			m.unlink(&fl.warm, i)
			m.grant(i, in, Effect{IsProvisioned: true})
			return
		case patient && m.warmSoon(fl, spill) && m.waiting[in.invocation] == 0:
			m.versions[v].requests.take()
			m.wait(m.current[v], in, forWarm, Why{})
			return
		}
	}
	m.decideOnDemand(in, m.current[v], spill, patient)
}

// decideOnDemand decides on an invocation that no provisioned environment can take; spill
// says why not, if its version has any.
func (m *Machine) decideOnDemand(in Input, fi int32, spill Why, patient bool) {
	fl := &m.fleets[fi]
	f := &m.functions[fl.function]
	spare := fl.boots.len > fl.cold.len // an environment boots, with a permit, and nobody waits for it
	free := m.free(f)
	switch {
	case fl.idle.top != 0 && (free > 0 || spare):
		if free <= 0 {
			m.dismiss(fl)
		}
		i := fl.idle.top
		m.unlink(&fl.idle, i)
		m.remove(&m.idle, i)
		fl.busy++
		m.hold(fl.function)
		m.grant(i, in, Effect{Spillover: spill.spillover()})
	case m.waiting[in.invocation] != 0:
		m.stale++ // the driver gave the identity of a waiting invocation again
	case patient && fl.ending > fl.soon.len && free >= 0:
		m.wait(fi, in, forAnswered, spill)
	case spare:
		m.wait(fi, in, forBoot, m.coldWhy(fl, spill))
	case free <= 0:
		m.throttleConcurrency(in.invocation, fl.function)
	case !m.creationAllowed(f):
		m.throttle(in.invocation, ConcurrentInvocationLimitExceeded, m.scalingWhy())
	default:
		why := m.coldWhy(fl, spill)
		m.boot(fi, false, why)
		m.wait(fi, in, forBoot, why)
	}
}

// dismiss retires the youngest booting environment of a fleet, for which nobody waits.
func (m *Machine) dismiss(fl *fleet) {
	i := fl.boots.top
	m.unlink(&fl.boots, i)
	m.release(m.environments[i].function)
	m.retire(i)
}

// resolve finds the version that an invocation runs, or 0.
func (m *Machine) resolve(t Target, roll float64) VersionID {
	v := t.Version
	if t.Alias != 0 {
		a := m.alias(t.Alias)
		if a == nil {
			return 0
		}
		v = a.version
		if a.second != 0 && roll < a.weight {
			v = a.second
		}
	}
	if fi := m.fleetOf(v); fi == 0 || !m.functions[m.fleets[fi].function].known {
		return 0
	}
	return v
}

// grant runs an arrival on an idle environment that was taken out of its stack.
func (m *Machine) grant(i int32, in Input, e Effect) {
	m.count(m.environments[i].function, in.unmetered)
	m.run(i, in.invocation, e)
}

// run makes an environment busy with an invocation.
func (m *Machine) run(i int32, inv InvocationID, effect Effect) {
	e := &m.environments[i]
	e.state, e.invocation = busy, inv
	effect.Do, effect.Invocation, effect.Environment, effect.Version = Grant, inv, m.id(i), e.version
	m.do(effect)
}

func (m *Machine) fail(inv InvocationID, why Why) {
	m.do(Effect{Do: Fail, Invocation: inv, Why: why})
}

func (m *Machine) throttle(inv InvocationID, r Reason, why Why) {
	m.do(Effect{Do: Throttle, Invocation: inv, Reason: r, Why: why})
}

// requestAllowed reports whether the rate of requests leaves room for one more.
func (m *Machine) requestAllowed(f *function) bool {
	if f.reserved != Unreserved {
		return f.requests.has(m.now, m.requestRate(int(f.reserved)))
	}
	return m.accountRate.has(m.now, m.requestRate(m.account.Limit))
}

// count charges an invocation that was let in to the rate of requests. One that was
// throttled for want of concurrency is not charged: it did not run.
func (m *Machine) count(id FunctionID, unmetered bool) {
	f := &m.functions[id]
	switch {
	case unmetered:
	case f.reserved != Unreserved:
		f.requests.take()
	default:
		m.accountRate.take()
	}
}

// uncount takes back what count charged.
func (m *Machine) uncount(id FunctionID, unmetered bool) {
	f := &m.functions[id]
	switch {
	case unmetered:
	case f.reserved != Unreserved:
		f.requests.give()
	default:
		m.accountRate.give()
	}
}

// creationAllowed reports whether the scaling rate allows a function one more environment,
// and uses it.
func (m *Machine) creationAllowed(f *function) bool {
	p := m.account.Profile
	if p.IsClassic() {
		if !m.region.has(m.now, p.burst(), classicPerMinute) {
			return false
		}
		m.region.take(m.now)
		return true
	}
	if !f.scaling.has(m.now, p.scaling()) {
		return false
	}
	f.scaling.take()
	return true
}
