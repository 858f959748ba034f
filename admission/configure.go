package admission

import (
	"slices"
	"time"
)

// configure changes the account's settings.
func (m *Machine) configure(a Account) {
	a.Limit = max(a.Limit, 0)
	a.IdleTimeout = max(a.IdleTimeout, time.Nanosecond)
	a.MaxAge = max(a.MaxAge, time.Nanosecond)
	m.account = a
}

// grow makes a table reach an identity, and reports whether the identity is a legal one.
func grow[T any](table *[]T, id uint32) bool {
	if id == 0 || id > MaxID {
		return false
	}
	if n := int(id) + 1 - len(*table); n > 0 {
		*table = append(*table, make([]T, n)...)
	}
	return true
}

// fleetOf returns the current fleet of a version, or 0 if it is not known.
func (m *Machine) fleetOf(v VersionID) int32 {
	if int(v) >= len(m.current) {
		return 0
	}
	return m.current[v]
}

func (m *Machine) version(v VersionID) *version {
	if m.fleetOf(v) == 0 {
		return nil
	}
	return &m.versions[v]
}

func (m *Machine) alias(a AliasID) *alias {
	if int(a) >= len(m.aliases) || !m.aliases[a].known {
		return nil
	}
	return &m.aliases[a]
}

func (m *Machine) function(f FunctionID) *function {
	if int(f) >= len(m.functions) || !m.functions[f].known {
		return nil
	}
	return &m.functions[f]
}

// setFunction makes a function known or changes its reservation, and moves what it uses
// between the pool and the reservation.
func (m *Machine) setFunction(id FunctionID, reserved int32) {
	if !grow(&m.functions, uint32(id)) {
		m.stale++
		return
	}
	f := &m.functions[id]
	if !f.known {
		f.known = true
		if f.running == 0 && f.up == 0 {
			f.reserved = Unreserved
		}
		f.scaling.fill(m.now, m.account.Profile.scaling())
	}
	if reserved == f.reserved {
		return
	}
	m.charge(f, -1)
	if f.reserved <= 0 && reserved > 0 {
		f.requests.fill(m.now, m.requestRate(int(reserved)))
	}
	f.reserved = reserved
	m.charge(f, 1)
}

// charge adds what a function reserves or uses to the account's sums, sign times.
func (m *Machine) charge(f *function, sign int) {
	if f.reserved != Unreserved {
		m.reserved += sign * int(f.reserved)
		return
	}
	m.poolRunning += sign * int(f.running)
	m.poolProvisioned += sign * int(f.provisioned)
	m.poolUp += sign * int(f.up)
}

// removeFunction forgets a function. Its reservation goes back to the pool, and what still
// runs of it counts there.
func (m *Machine) removeFunction(id FunctionID) {
	if m.function(id) == nil {
		m.stale++
		return
	}
	m.setFunction(id, Unreserved)
	m.functions[id].known = false
}

func (m *Machine) setVersion(v VersionID, f FunctionID) {
	if m.function(f) == nil || m.version(v) != nil || !grow(&m.versions, uint32(v)) || !grow(&m.current, uint32(v)) {
		m.stale++
		return
	}
	ver := &m.versions[v]
	ver.function, ver.config = f, config{}
	m.renew(v)
}

// renew gives a version a new, empty fleet.
func (m *Machine) renew(v VersionID) {
	i := m.freeFleet
	if i != 0 {
		m.freeFleet = m.fleets[i].next
	} else {
		i = int32(len(m.fleets))
		m.fleets = append(m.fleets, fleet{})
	}
	ver := &m.versions[v]
	ver.made++
	m.current[v] = i
	m.fleets[i] = fleet{version: v, function: ver.function, generation: ver.made}
}

// update drains the environments of a version and starts over with a new generation.
func (m *Machine) update(v VersionID) {
	old := m.fleetOf(v)
	if old == 0 {
		m.stale++
		return
	}
	wanted, queued := m.fleets[old].wanted, m.fleets[old].queued
	m.renew(v)
	m.drain(old)
	if wanted == 0 {
		return
	}
	fl := &m.fleets[m.current[v]]
	fl.wanted, fl.holding, fl.queued = wanted, true, queued
	m.unsettled = true
	m.queue(fl)
}

// drain gives up the environments of a fleet that nobody uses or waits for. Its wanted
// number is no longer charged to it.
func (m *Machine) drain(fi int32) {
	fl := &m.fleets[fi]
	fl.draining, fl.wanted = true, 0
	fl.ending, fl.warmEnding = 0, 0
	m.shed(fi)
	for fl.boots.len > fl.cold.len {
		m.dismiss(fl)
	}
	for fl.idle.top != 0 {
		m.reap(fl.idle.top)
	}
	m.redecideExcess(fi)
	m.freeFleetIfEmpty(fi)
}

// freeFleetIfEmpty frees the entry of a fleet that has drained.
func (m *Machine) freeFleetIfEmpty(fi int32) {
	fl := &m.fleets[fi]
	if !fl.draining || fl.up+fl.busy+fl.idle.len+fl.boots.len+fl.cold.len+fl.soon.len+fl.warmSoon.len > 0 {
		return
	}
	*fl = fleet{next: m.freeFleet}
	m.freeFleet = fi
}

func (m *Machine) removeVersion(v VersionID) {
	fi := m.fleetOf(v)
	if fi == 0 {
		m.stale++
		return
	}
	m.current[v] = 0
	m.versions[v].config = config{}
	m.configs = slices.DeleteFunc(m.configs, func(t Target) bool { return t == Target{Version: v} })
	m.retarget(fi)
	m.drain(fi)
}

// setAlias makes an alias known or points it elsewhere. Its provisioned concurrency moves
// with it.
func (m *Machine) setAlias(in Input) {
	id := in.target.Alias
	if m.version(in.target.Version) == nil || in.second != 0 && m.version(in.second) == nil || !grow(&m.aliases, uint32(id)) {
		m.stale++
		return
	}
	t := Target{Alias: id}
	a := &m.aliases[id]
	before := m.partsIfAny(t)
	a.known, a.version, a.second, a.weight = true, in.target.Version, in.second, in.share
	if a.config.n == 0 {
		return
	}
	if a.config.status == StatusFailed {
		a.config.status = NotProvisioned
	}
	for _, p := range append(before, m.parts(t)...) {
		m.retarget(m.current[p.version])
	}
	m.unsettled = true
}

// partsIfAny is parts of a target that may have no configuration.
func (m *Machine) partsIfAny(t Target) []part {
	if c := m.configOf(t); c == nil || c.n == 0 {
		return nil
	}
	return m.parts(t)
}

func (m *Machine) removeAlias(id AliasID) {
	if m.alias(id) == nil {
		m.stale++
		return
	}
	t := Target{Alias: id}
	if m.aliases[id].config.n > 0 {
		m.provision(t, 0)
	}
	m.aliases[id] = alias{}
}
