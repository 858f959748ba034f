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
	case kindBooted, kindInitFailed, kindAnswered, kindFinished, kindLost:
		if e := m.find(in.environment); e != nil {
			m.environment(in, e)
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
		m.redecideExcess()
		for _, w := range slices.Clone(m.waiters) {
			if w.reason != forBoot && w.since.Add(patience) <= m.now {
				m.redecide(w)
			}
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
	for _, w := range m.waiters {
		if w.reason != forBoot {
			at = min(at, w.since.Add(patience))
		}
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

func (m *model) arrive(in Input) { m.decide(in, m.resolve(in), true) }

// requestsOf returns what limits the requests of a function, and the limit.
func (m *model) requestsOf(f *modelFunction) (*modelBucket, int64, Reason) {
	if f.reserved != Unreserved {
		return &f.requests, int64(f.reserved) * 10, ReservedFunctionInvocationRateLimitExceeded
	}
	return &m.requests, int64(m.account.Limit) * 10, FunctionInvocationRateLimitExceeded
}

func (m *model) decide(in Input, id VersionID, patient bool) {
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
	requests, perSecond, reason := m.requestsOf(f)
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
		m.do(Effect{Do: Grant, Invocation: in.invocation, Environment: e.id, Version: id, IsProvisioned: e.provisioned, Spillover: spillover})
	}
	wait := func(r waitReason, spillover bool) {
		requests.take()
		m.waiters = append(m.waiters, modelWaiter{in.invocation, id, v.generation, r, spillover, in.unmetered, m.now})
	}
	waits := slices.ContainsFunc(m.waiters, func(w modelWaiter) bool { return w.invocation == in.invocation })
	spillover := false
	if v.wanted > 0 {
		usable := m.count(m.fleet(id), provisioned, isReady) - m.count(m.fleet(id), provisioned, isReady, is(booting))
		spillover = usable > 0
		warm := m.all(m.fleet(id), provisioned, is(idle))
		rps := int64(v.wanted) * 10
		ok := v.requests.has(m.now, rps, rps*60)
		if len(warm) > 0 && ok {
			v.requests.take()
			grant(warm[len(warm)-1], false)
			return
		}
		if patient && usable > 0 && len(warm) == 0 && ok && !waits && m.endings(id, true) > len(m.waitersOf(id, v.generation, forWarm)) {
			v.requests.take()
			wait(forWarm, false)
			return
		}
	}
	idles := m.all(m.fleet(id), onDemand, is(idle))
	boots := m.all(m.fleet(id), onDemand, is(booting))
	spare := len(boots) > len(m.waitersOf(id, v.generation, forBoot))
	free := m.free(v.function)
	switch {
	case len(idles) > 0 && (free > 0 || spare):
		if free <= 0 {
			m.retire(boots[len(boots)-1])
		}
		grant(idles[len(idles)-1], spillover)
	case waits:
	case patient && free >= 0 && m.endings(id, false) > len(m.waitersOf(id, v.generation, forAnswered)):
		wait(forAnswered, spillover)
	case spare:
		wait(forBoot, spillover)
	case free <= 0 && f.reserved != Unreserved:
		refuse(ReservedFunctionConcurrentInvocationLimitExceeded)
	case free <= 0 || !m.creationAllowed(f):
		refuse(ConcurrentInvocationLimitExceeded)
	default:
		m.boot(id, false)
		wait(forBoot, spillover)
	}
}

// endings counts the busy environments of a version's generation that have answered.
func (m *model) endings(id VersionID, prov bool) int {
	if !m.versions[id].known {
		return 0
	}
	return m.count(m.fleet(id), is(busy), func(e *modelEnv) bool { return e.answered && !e.spent && e.provisioned == prov })
}

// redecide decides anew on a waiter that waited in vain.
func (m *model) redecide(w modelWaiter) {
	m.dropWaiter(w.invocation)
	v := m.versions[w.version]
	f := m.functions[v.function]
	if !w.unmetered {
		b, _, _ := m.requestsOf(f)
		b.give()
	}
	if w.reason == forWarm {
		v.requests.give()
	}
	id := w.version
	if !v.known || !f.known {
		id = 0
	}
	m.decide(Input{invocation: w.invocation, unmetered: w.unmetered}, id, false)
}

// redecideExcess decides anew on waiters for which no environment is left that has answered.
func (m *model) redecideExcess() {
	for again := true; again; {
		again = false
		for _, w := range m.waiters {
			if w.reason == forBoot {
				continue
			}
			left := 0
			if m.versions[w.version].generation == w.generation {
				left = m.endings(w.version, w.reason == forWarm)
			}
			if ws := m.waitersOf(w.version, w.generation, w.reason); len(ws) > left {
				m.redecide(ws[len(ws)-1])
				again = true
				break
			}
		}
	}
}

func (m *model) creationAllowed(f *modelFunction) bool {
	p := m.account.Profile
	if p.IsClassic() {
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
func (m *model) environment(in Input, e *modelEnv) {
	switch k := in.kind; {
	case k == kindLost:
		m.lost(e)
		m.redecideExcess()
	case k == kindAnswered && e.state == busy && e.invocation == in.invocation:
		e.answered = true
	case k == kindFinished && e.state == busy:
		e.invocation, e.answered = 0, false
		m.finished(e)
		m.redecideExcess()
	case k == kindInitFailed && e.provisioned && e.state == booting && !e.ready:
		m.retire(e)
		m.failed(e.version)
		m.redecideExcess()
	case (k == kindBooted || k == kindInitFailed) && e.state == booting && !e.ready:
		if !e.provisioned {
			m.booted(e)
			return
		}
		v := m.versions[e.version]
		v.failures = 0
		e.ready = true
		m.ripen(e)
		m.stamp(e, booting)
		if !v.holding {
			m.rest(e)
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
		m.rest(held[i])
	}
}

// rest gives a provisioned environment to whoever waits for one.
func (m *model) rest(e *modelEnv) {
	if ws := m.waitersOf(e.version, e.generation, forWarm); len(ws) > 0 {
		m.serve(e, ws[0])
		return
	}
	m.stamp(e, idle)
}

// serve gives an environment to a waiter.
func (m *model) serve(e *modelEnv, w modelWaiter) {
	m.dropWaiter(w.invocation)
	m.stamp(e, busy)
	e.invocation = w.invocation
	m.do(Effect{Do: Grant, Invocation: w.invocation, Environment: e.id, Version: e.version,
		Cold: w.reason == forBoot, IsProvisioned: e.provisioned, Spillover: w.spillover})
}

// booted predicts where an on-demand environment goes that has come up.
func (m *model) booted(e *modelEnv) {
	e.state = busy
	for _, r := range []waitReason{forBoot, forAnswered} {
		if ws := m.waitersOf(e.version, e.generation, r); len(ws) > 0 {
			m.serve(e, ws[0])
			return
		}
	}
	m.settleDown(e)
}

// finished predicts where an environment goes that has ended its invocation.
func (m *model) finished(e *modelEnv) {
	if e.provisioned {
		if e.spent {
			m.retire(e)
			return
		}
		m.rest(e)
		return
	}
	soon, cold := m.waitersOf(e.version, e.generation, forAnswered), m.waitersOf(e.version, e.generation, forBoot)
	free := m.free(e.function)
	switch {
	case len(soon) > 0 && !m.worn(e) && free >= 0:
		m.serve(e, soon[0])
	case len(cold) > 0 && !e.spent:
		m.serve(e, cold[0])
	default:
		m.settleDown(e)
		for ws := soon; len(ws) > 0 && m.free(e.function) < 0; ws = m.waitersOf(e.version, e.generation, forAnswered) {
			m.redecide(ws[len(ws)-1])
		}
	}
}

func (m *model) worn(e *modelEnv) bool {
	v := m.versions[e.version]
	return e.spent || !v.known || v.generation != e.generation || m.now >= e.born.Add(m.account.MaxAge)
}

func (m *model) settleDown(e *modelEnv) {
	if m.worn(e) {
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
	ws := m.waitersOf(e.version, e.generation, forBoot)
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
