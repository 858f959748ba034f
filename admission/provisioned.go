package admission

import (
	"slices"

	"github.com/weir-run/weir/lambda"
)

// A config is the provisioned concurrency of one version or alias.
type config struct {
	n      int32
	status Status
}

// Provisioning is what a version's or an alias's configuration has come to.
type Provisioning struct {
	Requested int
	Available int // environments that invocations can use, busy ones included
	Status    Status
}

// Provisioned returns the state of a target's configuration; its Status is NotProvisioned
// if it has none.
func (m *Machine) Provisioned(t Target) Provisioning {
	c := m.configOf(t)
	if c == nil || c.n == 0 {
		return Provisioning{}
	}
	p := Provisioning{Requested: int(c.n), Status: c.status}
	if c.status == StatusFailed {
		return p
	}
	for _, part := range m.parts(t) {
		fl := &m.fleets[m.current[part.version]]
		p.Available += int(min(part.n, fl.usable()))
	}
	return p
}

// usable counts the provisioned environments that invocations can use or are using.
func (fl *fleet) usable() int32 { return fl.up - fl.warming.len - fl.held.len }

// A part is what a configuration wants of one version.
type part struct {
	version VersionID
	n       int32
}

// parts splits a configuration over the versions of its target. A weighted alias gives each
// version its share, rounded to whole environments.
func (m *Machine) parts(t Target) []part {
	c := m.configOf(t)
	if t.Alias == 0 {
		return []part{{t.Version, c.n}}
	}
	a := &m.aliases[t.Alias]
	second := int32(0)
	if a.second != 0 {
		second = int32(float64(c.n)*a.weight + 0.5)
	}
	var parts []part
	for _, p := range []part{{a.version, c.n - second}, {a.second, second}} {
		if p.n > 0 && m.version(p.version) != nil {
			parts = append(parts, p)
		}
	}
	return parts
}

func (m *Machine) configOf(t Target) *config {
	if t.Alias != 0 {
		if a := m.alias(t.Alias); a != nil {
			return &a.config
		}
		return nil
	}
	if v := m.version(t.Version); v != nil {
		return &v.config
	}
	return nil
}

// provision sets the configuration of a target.
func (m *Machine) provision(t Target, n int32) {
	if t.Alias != 0 {
		t.Version = 0
	}
	c := m.configOf(t)
	if c == nil {
		m.stale++
		return
	}
	touched := m.parts(t)
	if c.n == 0 && n > 0 {
		m.configs = append(m.configs, t)
	}
	if n == 0 {
		m.configs = slices.DeleteFunc(m.configs, func(x Target) bool { return x == t })
	}
	*c = config{n: n}
	touched = append(touched, m.parts(t)...)
	for _, p := range touched {
		fi := m.current[p.version]
		m.fleets[fi].failures = 0
		m.retarget(fi)
	}
	m.unsettled = true
}

// wanted sums what all configurations want of a version.
func (m *Machine) wanted(v VersionID) int32 {
	n := int32(0)
	for _, t := range m.configs {
		if m.configOf(t).status == StatusFailed {
			continue
		}
		for _, p := range m.parts(t) {
			if p.version == v {
				n += p.n
			}
		}
	}
	return n
}

// retarget brings the provisioned environments of a fleet to the number wanted: it queues
// what is missing and gives up what is too much.
func (m *Machine) retarget(fi int32) {
	fl := &m.fleets[fi]
	want := m.wanted(fl.version)
	if want == fl.wanted {
		return
	}
	f := &m.functions[fl.function]
	f.provisioned += want - fl.wanted
	if f.reserved == Unreserved {
		m.poolProvisioned += int(want - fl.wanted)
	}
	if fl.wanted == 0 {
		m.versions[fl.version].requests.fill(m.now, m.requestRate(int(want)))
	}
	fl.wanted = want
	if fl.up < want {
		fl.holding, m.unsettled = true, true
		m.queue(fl)
	}
	m.shed(fi)
	m.complete(fl)
	m.redecideExcess(fi)
}

// shed gives up the provisioned environments that a fleet has too many, those first that
// cost least: booting, held, idle. A busy one ends its invocation as an on-demand one.
func (m *Machine) shed(fi int32) {
	fl := &m.fleets[fi]
	for fl.up > fl.wanted {
		var s *stack
		switch {
		case fl.warming.top != 0:
			s = &fl.warming
		case fl.held.top != 0:
			s = &fl.held
		case fl.warm.top != 0:
			s = &fl.warm
		default:
			m.demote(fi)
			return
		}
		i := s.top
		m.unlink(s, i)
		m.dropProvisioned(i)
		m.retire(i)
	}
}

// demote makes as many busy provisioned environments on-demand ones as a fleet has too many.
func (m *Machine) demote(fi int32) {
	fl := &m.fleets[fi]
	for i := m.warm.oldest; i != 0 && fl.up > fl.wanted; {
		e := &m.environments[i]
		younger := m.links[i].newer
		if e.fleet == fi && e.state == busy {
			m.spend(i)
			m.dropProvisioned(i)
			e.provisioned = false
			fl.busy++
			m.hold(e.function)
		}
		i = younger
	}
}

// dropProvisioned takes an environment, in no stack, out of the provisioned ones.
func (m *Machine) dropProvisioned(i int32) {
	e := &m.environments[i]
	if e.ready {
		m.remove(&m.warm, i)
	}
	m.countUp(&m.fleets[e.fleet], -1)
}

// countUp counts a provisioned environment that came or went.
func (m *Machine) countUp(fl *fleet, n int32) {
	fl.up += n
	f := &m.functions[fl.function]
	f.up += n
	if f.reserved == Unreserved {
		m.poolUp += int(n)
	}
}

// queue notes that a version's fleet has fewer provisioned environments than wanted.
func (m *Machine) queue(fl *fleet) {
	if fl.up < fl.wanted && !fl.queued {
		fl.queued = true
		m.short = append(m.short, fl.version)
	}
}

// allocate boots the provisioned environments that are missing, as far as the allocation
// rate and the permits of those still running on demand allow.
func (m *Machine) allocate() {
	m.short = slices.DeleteFunc(m.short, func(v VersionID) bool {
		fi := m.current[v]
		fl := &m.fleets[fi]
		for fl.up < fl.wanted && m.room(fl.function) && m.allocationAllowed(fl.function) {
			m.allocations[fl.function].take()
			m.boot(fi, true, Why{Limit: Allocation})
		}
		fl.queued = fl.up < fl.wanted
		return !fl.queued
	})
}

// room reports whether one more provisioned environment fits beside what runs on demand.
// There is always room unless a limit was lowered and drains.
func (m *Machine) room(id FunctionID) bool {
	f := &m.functions[id]
	if f.reserved != Unreserved {
		return f.running+f.up < f.reserved
	}
	return m.poolRunning+m.poolUp < m.account.Limit-m.reserved
}

func (m *Machine) allocationAllowed(id FunctionID) bool {
	r := m.account.Profile.allocation()
	b := m.allocations[id]
	if b == nil {
		b = &bucket{}
		b.fill(m.now, r)
		m.allocations[id] = b
	}
	return b.has(m.now, r)
}

func (m *Machine) allocationDeadline() Instant {
	at := Never
	for _, v := range m.short {
		id := m.versions[v].function
		if b := m.allocations[id]; b != nil && m.room(id) {
			at = min(at, b.next(m.account.Profile.allocation()))
		}
	}
	return at
}

// allocated takes a provisioned environment that has initialised.
func (m *Machine) allocated(i int32) {
	e := &m.environments[i]
	fl := &m.fleets[e.fleet]
	m.unlink(&fl.warming, i)
	e.ready, e.born = true, m.now
	fl.failures = 0
	m.append(&m.warm, i)
	if fl.holding {
		m.push(&fl.held, i)
		m.complete(fl)
		return
	}
	m.rest(i)
}

// complete ends a fleet's allocation if all its environments are up: none of them is usable
// before.
func (m *Machine) complete(fl *fleet) {
	if !fl.holding || fl.up < fl.wanted || fl.warming.len > 0 {
		return
	}
	fl.holding = false
	for fl.held.top != 0 {
		i := fl.held.top
		m.unlink(&fl.held, i)
		m.rest(i)
	}
	m.unsettled = true
}

// settle brings the status of the configurations up to date and reports what changed.
func (m *Machine) settle() {
	m.unsettled = false
	for _, t := range m.configs {
		c := m.configOf(t)
		if c.status == StatusFailed {
			continue
		}
		status := Ready
		for _, p := range m.parts(t) {
			if m.fleets[m.current[p.version]].holding {
				status = InProgress
			}
		}
		if status != c.status {
			c.status = status
			m.do(Effect{Do: Provisioned, Target: t, Status: status})
		}
	}
}

// rest gives a provisioned environment to who waits for it, makes it idle, or retires it if it
// is spent.
func (m *Machine) rest(i int32) {
	e := &m.environments[i]
	fl := &m.fleets[e.fleet]
	if e.spent {
		m.dropProvisioned(i)
		m.queue(fl)
		m.retire(i)
		return
	}
	if fl.warmSoon.first != 0 {
		m.serve(i, fl.warmSoon.first)
		return
	}
	e.state = idle
	m.push(&fl.warm, i)
}

func (m *Machine) warmDeadline() Instant {
	if m.warm.oldest == 0 {
		return Never
	}
	return m.environments[m.warm.oldest].born.Add(m.account.MaxAge)
}

// recycle ends a provisioned environment that has reached its maximum age; another one
// takes its place.
func (m *Machine) recycle(i int32) {
	e := &m.environments[i]
	fl := &m.fleets[e.fleet]
	switch e.state {
	case busy:
		m.spend(i)
		e.born = m.now
		m.remove(&m.warm, i)
		m.append(&m.warm, i)
		m.redecideExcess(e.fleet)
		return
	case idle:
		m.unlink(&fl.warm, i)
	case booting:
		m.unlink(&fl.held, i)
	}
	m.dropProvisioned(i)
	m.queue(fl)
	m.retire(i)
}

// lostProvisioned takes a provisioned environment that is gone out of the tables. One that
// never came up counts as a failed attempt, so that a sandbox that cannot be made does not
// boot for ever.
func (m *Machine) lostProvisioned(i int32) {
	e := &m.environments[i]
	fl := &m.fleets[e.fleet]
	switch {
	case e.state == idle:
		m.unlink(&fl.warm, i)
	case e.state == booting && e.ready:
		m.unlink(&fl.held, i)
	case e.state == booting:
		m.unlink(&fl.warming, i)
	}
	failed := !e.ready
	fi := e.fleet
	m.countEnding(e, -1)
	m.dropProvisioned(i)
	m.forget(i)
	m.retry(fl, failed)
	m.redecideExcess(fi)
}

// attemptFailed retires a provisioned environment whose initialisation failed.
func (m *Machine) attemptFailed(i int32) {
	fl := &m.fleets[m.environments[i].fleet]
	m.unlink(&fl.warming, i)
	m.dropProvisioned(i)
	m.retire(i)
	m.retry(fl, true)
}

// retry starts another provisioned environment of a fleet, unless too many attempts
// failed in a row: then its configurations fail and give back their concurrency.
func (m *Machine) retry(fl *fleet, failed bool) {
	if failed {
		fl.failures++
	}
	if fl.failures < lambda.ProvisionedAttempts {
		m.queue(fl)
		return
	}
	for _, t := range m.configs {
		parts := m.parts(t)
		if m.configOf(t).status == StatusFailed || !slices.ContainsFunc(parts, func(p part) bool { return p.version == fl.version }) {
			continue
		}
		m.configOf(t).status = StatusFailed
		m.do(Effect{Do: Provisioned, Target: t, Status: StatusFailed})
		for _, p := range parts {
			m.retarget(m.current[p.version])
		}
	}
}
