package admission

import (
	"slices"

	"github.com/weir-run/weir/lambda"
)

// step predicts what an input does.
func (m *model) step(now Instant, in Input) []Effect {
	m.effects = nil
	m.catchUp(now)
	switch in.kind {
	case kindArrive:
		m.arrive(in)
	case kindCancel:
		m.dropWaiter(in.invocation)
	case kindBooted, kindInitFailed, kindFinished, kindLost:
		if e := m.find(in.environment); e != nil {
			m.environment(in.kind, e)
		}
	default:
		m.setting(in)
	}
	m.settle()
	m.allocate()
	return m.effects
}

// catchUp walks to a time in steps of whatever falls due next.
func (m *model) catchUp(to Instant) {
	for {
		at := m.due()
		if at > to {
			break
		}
		m.now = max(m.now, at)
		for _, e := range m.all(onDemand, is(idle)) {
			if e.idleSince.Add(m.account.IdleTimeout) <= m.now {
				m.retire(e)
			}
		}
		warm := m.all(provisioned, isReady)
		slices.SortFunc(warm, func(a, b *modelEnv) int { return a.age - b.age })
		for _, e := range warm {
			if e.born.Add(m.account.MaxAge) > m.now {
				continue
			}
			if e.state == busy {
				e.spent = true
				m.ripen(e)
				continue
			}
			m.retire(e)
			m.short()
		}
		m.allocate()
	}
	m.now = max(m.now, to)
}

func (m *model) due() Instant {
	at := Never
	for _, e := range m.all(onDemand, is(idle)) {
		at = min(at, e.idleSince.Add(m.account.IdleTimeout))
	}
	for _, e := range m.all(provisioned, isReady) {
		at = min(at, e.born.Add(m.account.MaxAge))
	}
	for _, v := range m.short() {
		f := m.functions[m.versions[v].function]
		if f.allocation != nil && m.room(m.versions[v].function) {
			b := bucket{f.allocation.tokens, f.allocation.at}
			at = min(at, b.next(m.account.Profile.allocation()))
		}
	}
	return at
}

// short lists the versions that miss provisioned environments, in the order in which they
// began to.
func (m *model) short() []VersionID {
	var vs []VersionID
	for id, v := range m.versions {
		if m.count(m.fleet(id), provisioned) < v.wanted {
			if v.since == 0 {
				m.seq++
				v.since = m.seq
			}
			vs = append(vs, id)
		} else {
			v.since = 0
		}
	}
	slices.SortFunc(vs, func(a, b VersionID) int { return m.versions[a].since - m.versions[b].since })
	return vs
}

func (m *model) allocate() {
	r := m.account.Profile.allocation()
	for _, id := range m.short() {
		v := m.versions[id]
		f := m.functions[v.function]
		for m.count(m.fleet(id), provisioned) < v.wanted && m.room(v.function) {
			if f.allocation == nil {
				f.allocation = &modelBucket{r.capacity * token, m.now}
			}
			if !f.allocation.has(m.now, r.capacity, r.perMinute) {
				break
			}
			f.allocation.take()
			m.boot(id, true)
		}
	}
	m.short()
}

func (m *model) resolve(in Input) VersionID {
	v := in.target.Version
	if id := in.target.Alias; id != 0 {
		a, ok := m.aliases[id]
		if !ok {
			return 0
		}
		v = a.version
		if a.second != 0 && in.share < a.weight {
			v = a.second
		}
	}
	if ver := m.versions[v]; ver == nil || !ver.known || !m.functions[ver.function].known {
		return 0
	}
	return v
}

func (m *model) arrive(in Input) {
	id := m.resolve(in)
	refuse := func(r Reason) { m.do(Effect{Do: Throttle, Invocation: in.invocation, Reason: r}) }
	if id == 0 {
		m.do(Effect{Do: Fail, Invocation: in.invocation})
		return
	}
	v := m.versions[id]
	f := m.functions[v.function]
	if f.reserved == 0 {
		refuse(ReservedFunctionConcurrentInvocationLimitExceeded)
		return
	}
	requests, perSecond, reason := &m.requests, int64(m.account.Limit)*10, FunctionInvocationRateLimitExceeded
	if f.reserved != Unreserved {
		requests, perSecond, reason = &f.requests, int64(f.reserved)*10, ReservedFunctionInvocationRateLimitExceeded
	}
	if !in.unmetered && !requests.has(m.now, perSecond, perSecond*60) {
		refuse(reason)
		return
	}
	if in.unmetered {
		requests = &modelBucket{}
	}
	grant := func(e *modelEnv, spillover bool) {
		requests.take()
		m.stamp(e, busy)
		e.invocation = in.invocation
		m.do(Effect{Do: Grant, Invocation: in.invocation, Environment: e.id, Version: id, Generation: e.generation, IsProvisioned: e.provisioned, Spillover: spillover})
	}
	spillover := false
	if v.wanted > 0 {
		usable := m.count(m.fleet(id), provisioned, isReady) - m.count(m.fleet(id), provisioned, isReady, is(booting))
		spillover = usable > 0
		warm := m.all(m.fleet(id), provisioned, is(idle))
		rps := int64(v.wanted) * 10
		if len(warm) > 0 && v.requests.has(m.now, rps, rps*60) {
			v.requests.take()
			grant(warm[len(warm)-1], false)
			return
		}
	}
	m.arriveOnDemand(in, id, spillover, grant, requests, refuse)
}

func (m *model) arriveOnDemand(in Input, id VersionID, spillover bool, grant func(*modelEnv, bool), requests *modelBucket, refuse func(Reason)) {
	v := m.versions[id]
	f := m.functions[v.function]
	idles := m.all(m.fleet(id), onDemand, is(idle))
	boots := m.all(m.fleet(id), onDemand, is(booting))
	spare := len(boots) > len(m.waitersOf(id, v.generation))
	free := m.free(v.function) > 0
	if len(idles) > 0 && (free || spare) {
		if !free {
			m.retire(boots[len(boots)-1])
		}
		grant(idles[len(idles)-1], spillover)
		return
	}
	if slices.ContainsFunc(m.waiters, func(w modelWaiter) bool { return w.invocation == in.invocation }) {
		return
	}
	if !spare {
		reason := ConcurrentInvocationLimitExceeded
		if f.reserved != Unreserved {
			reason = ReservedFunctionConcurrentInvocationLimitExceeded
		}
		if !free {
			refuse(reason)
			return
		}
		if !m.creationAllowed(f) {
			refuse(ConcurrentInvocationLimitExceeded)
			return
		}
		m.boot(id, false)
	}
	requests.take()
	m.waiters = append(m.waiters, modelWaiter{in.invocation, id, v.generation, spillover})
}

func (m *model) creationAllowed(f *modelFunction) bool {
	p := m.account.Profile
	if p.isClassic() {
		ok := m.region.has(m.now, p.burst(), classicPerMinute)
		if ok {
			m.region.take(m.now)
		}
		return ok
	}
	ok := f.scaling.has(m.now, perFunctionBurst, perFunctionRate)
	if ok {
		f.scaling.take()
	}
	return ok
}

// environment predicts what happens to an environment that reports.
func (m *model) environment(k Kind, e *modelEnv) {
	switch {
	case k == kindLost:
		m.lost(e)
	case k == kindFinished && e.state == busy:
		e.invocation = 0
		m.available(e)
	case k == kindInitFailed && e.provisioned && e.state == booting && !e.ready:
		m.retire(e)
		m.failed(e.version)
	case (k == kindBooted || k == kindInitFailed) && e.state == booting && !e.ready:
		if !e.provisioned {
			m.available(e)
			return
		}
		v := m.versions[e.version]
		v.failures = 0
		e.ready = true
		m.ripen(e)
		m.stamp(e, booting)
		if !v.holding {
			m.stamp(e, idle)
			return
		}
		m.complete(e.version)
	}
}

// ripen starts the age of a provisioned environment anew.
func (m *model) ripen(e *modelEnv) {
	m.seq++
	e.born, e.age = m.now, m.seq
}

// complete lets a version's provisioned environments be used once all are up.
func (m *model) complete(id VersionID) {
	v := m.versions[id]
	if !v.holding || m.count(m.fleet(id), provisioned) < v.wanted || m.count(m.fleet(id), provisioned, isNotReady) > 0 {
		return
	}
	v.holding = false
	held := m.all(m.fleet(id), provisioned, is(booting))
	for i := len(held) - 1; i >= 0; i-- {
		m.stamp(held[i], idle)
	}
}

// available predicts where an environment goes that can take an invocation.
func (m *model) available(e *modelEnv) {
	v := m.versions[e.version]
	current := v.known && v.generation == e.generation
	if e.provisioned {
		if e.spent {
			m.retire(e)
			return
		}
		m.stamp(e, idle)
		return
	}
	if ws := m.waitersOf(e.version, e.generation); len(ws) > 0 && !e.spent {
		w := ws[0]
		m.dropWaiter(w.invocation)
		m.stamp(e, busy)
		e.invocation = w.invocation
		m.do(Effect{Do: Grant, Invocation: w.invocation, Environment: e.id, Version: e.version, Generation: e.generation, Cold: true, Spillover: w.spillover})
		return
	}
	if e.spent || !current || m.now >= e.born.Add(m.account.MaxAge) {
		m.retire(e)
		return
	}
	m.stamp(e, idle)
	e.idleSince = m.now
}

func (m *model) lost(e *modelEnv) {
	m.gone(e)
	if e.provisioned {
		if !e.ready {
			m.failed(e.version)
		}
		return
	}
	ws := m.waitersOf(e.version, e.generation)
	sameFleet := func(x *modelEnv) bool { return x.version == e.version && x.generation == e.generation }
	if e.state == booting && len(ws) > m.count(sameFleet, onDemand, is(booting)) {
		m.dropWaiter(ws[0].invocation)
		m.do(Effect{Do: Fail, Invocation: ws[0].invocation})
	}
}

// failed predicts what a failed attempt at a provisioned environment leads to.
func (m *model) failed(id VersionID) {
	v := m.versions[id]
	v.failures++
	if v.failures < lambda.ProvisionedAttempts {
		return
	}
	for _, t := range m.configs {
		parts := m.parts(t)
		if m.config[t].status == StatusFailed || !slices.ContainsFunc(parts, func(p part) bool { return p.version == id }) {
			continue
		}
		m.config[t].status = StatusFailed
		m.do(Effect{Do: Provisioned, Target: t, Status: StatusFailed})
		for _, p := range parts {
			m.retarget(p.version)
		}
	}
}
