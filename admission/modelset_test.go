package admission

import "slices"

// setting predicts what a change of configuration does.
func (m *model) setting(in Input) {
	m.set(in)
	m.redecideExcess()
}

func (m *model) set(in Input) {
	switch in.kind {
	case kindAccount:
		m.account = *in.account
	case kindFunction:
		if in.function <= MaxID {
			m.setFunction(in.function, int(in.n))
		}
	case kindRemoveFunction:
		if f := m.functions[in.function]; f != nil && f.known {
			f.known, f.reserved = false, Unreserved
		}
	case kindVersion:
		f := m.functions[in.function]
		v := m.versions[in.target.Version]
		if f == nil || !f.known || v != nil && v.known || in.target.Version > MaxID {
			return
		}
		var generation uint32
		if v != nil {
			generation = v.generation
		}
		m.versions[in.target.Version] = &modelVersion{known: true, function: in.function, generation: generation + 1}
	case kindUpdate:
		m.update(in.target.Version)
	case kindRemoveVersion:
		m.removeVersion(in.target.Version)
	case kindAlias:
		m.setAlias(in)
	case kindRemoveAlias:
		if _, ok := m.aliases[in.target.Alias]; ok {
			t := Target{Alias: in.target.Alias}
			if m.config[t] != nil {
				m.provision(t, 0)
			}
			delete(m.aliases, in.target.Alias)
		}
	case kindProvision:
		t := in.target
		if t.Alias != 0 {
			t.Version = 0
		}
		m.provision(t, int(in.n))
	}
}

func (m *model) setFunction(id FunctionID, reserved int) {
	f := m.functions[id]
	if f == nil {
		f = &modelFunction{reserved: Unreserved}
		m.functions[id] = f
	}
	if !f.known {
		f.known = true
		f.scaling = modelBucket{perFunctionBurst * token, m.now}
	}
	if f.reserved <= 0 && reserved > 0 {
		f.requests = modelBucket{int64(reserved) * 10 * token, m.now}
	}
	f.reserved = reserved
}

func (m *model) knows(v VersionID) bool { return m.versions[v] != nil && m.versions[v].known }

func (m *model) exists(t Target) bool {
	if t.Alias != 0 {
		_, ok := m.aliases[t.Alias]
		return ok
	}
	return m.knows(t.Version)
}

func (m *model) parts(t Target) []part {
	c := m.config[t]
	if c == nil || !m.exists(t) {
		return nil
	}
	if t.Alias == 0 {
		return []part{{t.Version, c.n}}
	}
	a := m.aliases[t.Alias]
	second := int32(0)
	if a.second != 0 {
		second = int32(float64(c.n)*a.weight + 0.5)
	}
	parts := []part{{a.version, c.n - second}, {a.second, second}}
	return slices.DeleteFunc(parts, func(p part) bool { return p.n == 0 || !m.knows(p.version) })
}

func (m *model) provision(t Target, n int) {
	if !m.exists(t) {
		return
	}
	touched := m.parts(t)
	if m.config[t] == nil && n > 0 {
		m.configs = append(m.configs, t)
	}
	m.config[t] = &config{n: int32(n)}
	touched = append(touched, m.parts(t)...)
	if n == 0 {
		delete(m.config, t)
		m.configs = slices.DeleteFunc(m.configs, func(x Target) bool { return x == t })
		if t.Alias == 0 {
			touched = append(touched, part{t.Version, 0})
		}
	}
	for _, p := range touched {
		m.versions[p.version].failures = 0
		m.retarget(p.version)
	}
}

// retarget compares what is wanted of a version with what there is.
func (m *model) retarget(id VersionID) {
	want := 0
	for _, t := range m.configs {
		for _, p := range m.parts(t) {
			if p.version == id && m.config[t].status != StatusFailed {
				want += int(p.n)
			}
		}
	}
	v := m.versions[id]
	if want == v.wanted {
		return
	}
	if v.wanted == 0 {
		v.requests = modelBucket{int64(want) * 10 * token, m.now}
	}
	v.wanted = want
	up := m.count(m.fleet(id), provisioned)
	v.holding = v.holding || up < want
	m.short()
	for ; up > want; up-- {
		m.shedOne(m.fleet(id))
	}
	m.complete(id)
}

// shedOne gives up the provisioned environment that is missed least.
func (m *model) shedOne(fleet func(*modelEnv) bool) {
	for _, kind := range [][]*modelEnv{
		m.all(fleet, provisioned, is(booting), isNotReady),
		m.all(fleet, provisioned, is(booting), isReady),
		m.all(fleet, provisioned, is(idle)),
	} {
		if len(kind) > 0 {
			m.retire(kind[len(kind)-1])
			return
		}
	}
	oldest := slices.MinFunc(m.all(fleet, provisioned), func(a, b *modelEnv) int { return a.age - b.age })
	oldest.provisioned, oldest.spent = false, true
}

func (m *model) settle() {
	for _, t := range m.configs {
		c := m.config[t]
		if c.status == StatusFailed {
			continue
		}
		status := Ready
		for _, p := range m.parts(t) {
			if m.versions[p.version].holding {
				status = InProgress
			}
		}
		if status != c.status {
			c.status = status
			m.do(Effect{Do: Provisioned, Target: t, Status: status})
		}
	}
}

// drain gives up what nobody needs of a generation.
func (m *model) drain(id VersionID, generation uint32) {
	fleet := func(e *modelEnv) bool { return e.version == id && e.generation == generation }
	for m.count(fleet, provisioned) > 0 {
		m.shedOne(fleet)
	}
	boots := m.all(fleet, onDemand, is(booting))
	for spare := len(boots) - len(m.waitersOf(id, generation, forBoot)); spare > 0; spare-- {
		m.retire(boots[len(boots)-1])
		boots = boots[:len(boots)-1]
	}
	for _, e := range m.all(fleet, onDemand, is(idle)) {
		m.retire(e)
	}
}

func (m *model) update(id VersionID) {
	if !m.knows(id) {
		return
	}
	v := m.versions[id]
	v.generation++
	v.used, v.failures = false, 0
	m.drain(id, v.generation-1)
	v.holding = v.wanted > 0
	m.short()
}

func (m *model) removeVersion(id VersionID) {
	if !m.knows(id) {
		return
	}
	m.versions[id].known = false
	t := Target{Version: id}
	delete(m.config, t)
	m.configs = slices.DeleteFunc(m.configs, func(x Target) bool { return x == t })
	m.retarget(id)
	m.versions[id].holding = false
	m.drain(id, m.versions[id].generation)
}

func (m *model) setAlias(in Input) {
	id := in.target.Alias
	if !m.knows(in.target.Version) || in.second != 0 && !m.knows(in.second) || id == 0 || id > MaxID {
		return
	}
	t := Target{Alias: id}
	before := m.parts(t)
	m.aliases[id] = alias{known: true, version: in.target.Version, second: in.second, weight: in.share}
	c := m.config[t]
	if c == nil {
		return
	}
	if c.status == StatusFailed {
		c.status = NotProvisioned
	}
	for _, p := range append(before, m.parts(t)...) {
		m.retarget(p.version)
	}
}
