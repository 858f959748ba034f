package admission

// A state is where an environment is in its life. An environment that was retired or lost is
// not in the table any more.
type state uint8

const (
	none state = iota
	booting
	idle
	busy
)

// An environment is one execution environment of a version. It fills one cache line.
type environment struct {
	state       state
	provisioned bool // counts as provisioned concurrency, needs no permit
	ready       bool // provisioned: initialised
	spent       bool // retire when idle: too old, or not wanted any more
	answered    bool // busy: it has given its answer
	fleet       int32
	function    FunctionID
	version     VersionID
	invocation  InvocationID
	born        Instant
	idleSince   Instant
	use         uint32 // how many environments had this entry before

	up, down int32 // neighbours in one of the fleet's stacks
}

// A link holds an environment's neighbours in Machine.idle or Machine.warm, or in the free
// list. Links lie apart from the environments, close together: the neighbours of a rarely
// used environment are rarely used too, and would have to be fetched from far.
type link struct{ older, newer int32 }

// A fleet is the environments of one generation of a version's code. An update makes a new
// one; the old one drains and then its entry is free. It fills two cache lines; what a warm
// invocation needs is in the first.
type fleet struct {
	version  VersionID
	function FunctionID

	// On-demand environments. Those not counted here are busy.
	idle   stack
	boots  stack
	busy   int32
	ending int32 // busy ones that have answered, and are not spent

	cold     queue // never more than boots
	soon     queue // never more than ending
	wanted   int32 // provisioned environments asked for
	draining bool  // superseded or removed: serves its waiters and no one else
	used     bool  // it had an environment
	holding  bool  // an allocation is under way
	queued   bool  // in Machine.short

	generation uint32

	// Provisioned environments. Those not counted here are busy.
	warmSoon   queue // never more than warmEnding
	warmEnding int32 // as ending
	warm       stack // idle
	warming    stack // booting
	held       stack // initialised, held back until the allocation is complete
	up         int32 // that exist
	failures   int32 // failed initialisations since the last good one

	next int32 // free list
	_    [4]byte
}

// stack is a last-in-first-out list of environments. Reusing the most recently used idle
// one lets the others grow old and be reaped.
type stack struct{ top, len int32 }

// list orders environments by age; see Machine.idle and Machine.warm.
type list struct{ oldest, newest int32 }

// id is an environment's identity: its entry, and how often the entry was used before.
func (m *Machine) id(i int32) EnvironmentID {
	return EnvironmentID(uint64(m.environments[i].use)<<32 | uint64(i))
}

// find returns the entry of an environment, or 0 if it is gone.
func (m *Machine) find(e EnvironmentID) int32 {
	i, use := uint32(e), uint32(e>>32)
	if i == 0 || int(i) >= len(m.environments) || m.environments[i].state == none || m.environments[i].use != use {
		m.stale++
		return 0
	}
	return int32(i)
}

// boot makes an environment in a fleet.
func (m *Machine) boot(fi int32, provisioned bool, why Why) {
	i := m.freeEnv
	if i != 0 {
		m.freeEnv = m.links[i].newer
	} else {
		i = int32(len(m.environments))
		m.environments = append(m.environments, environment{})
		m.links = append(m.links, link{})
	}
	fl := &m.fleets[fi]
	m.environments[i] = environment{
		state:       booting,
		provisioned: provisioned,
		fleet:       fi,
		function:    fl.function,
		version:     fl.version,
		use:         m.environments[i].use,
		born:        m.now,
	}
	fl.used = true
	if provisioned {
		m.push(&fl.warming, i)
		m.countUp(fl, 1)
	} else {
		m.push(&fl.boots, i)
		m.hold(fl.function)
	}
	m.do(Effect{Do: Boot, Environment: m.id(i), Version: fl.version, Generation: fl.generation, IsProvisioned: provisioned, Why: why})
}

// forget frees the entry of an environment that holds no permit, is in no list and is not
// counted by its fleet any more.
func (m *Machine) forget(i int32) {
	e := &m.environments[i]
	fi := e.fleet
	*e = environment{use: e.use + 1}
	m.links[i] = link{newer: m.freeEnv}
	m.freeEnv = i
	m.freeFleetIfEmpty(fi)
}

// retire forgets an environment and tells the driver to end it.
func (m *Machine) retire(i int32) {
	m.do(Effect{Do: Retire, Environment: m.id(i), Version: m.environments[i].version})
	m.forget(i)
}

func (m *Machine) booted(id EnvironmentID) {
	i := m.find(id)
	if i == 0 {
		return
	}
	e := &m.environments[i]
	if e.state != booting || e.ready {
		m.stale++
		return
	}
	fl := &m.fleets[e.fleet]
	if e.provisioned {
		m.allocated(i)
		return
	}
	m.unlink(&fl.boots, i)
	fl.busy++
	e.state = busy
	switch {
	case fl.cold.first != 0:
		m.serve(i, fl.cold.first)
	case fl.soon.first != 0:
		m.serve(i, fl.soon.first)
	default:
		m.settleDown(i)
	}
}

func (m *Machine) initFailed(id EnvironmentID) {
	i := m.find(id)
	if i == 0 {
		return
	}
	e := &m.environments[i]
	if !e.provisioned || e.state != booting || e.ready {
		m.booted(id)
		return
	}
	m.attemptFailed(i)
}

func (m *Machine) finished(id EnvironmentID) {
	i := m.find(id)
	if i == 0 {
		return
	}
	e := &m.environments[i]
	if e.state != busy {
		m.stale++
		return
	}
	m.countEnding(e, -1)
	e.invocation, e.answered = 0, false
	fi := e.fleet
	m.next(i)
	m.redecideExcess(fi)
}

// next gives an environment that has finished to the longest waiting invocation. If none
// waits it becomes idle, or is retired if its time has come. A provisioned one serves nobody
// who waits for a boot: who spilled over from provisioned concurrency runs on demand.
func (m *Machine) next(i int32) {
	e := &m.environments[i]
	fl := &m.fleets[e.fleet]
	switch {
	case e.provisioned:
		m.rest(i)
	case fl.soon.first != 0 && !m.worn(e) && m.free(&m.functions[e.function]) >= 0:
		m.serve(i, fl.soon.first)
	case fl.cold.first != 0 && !e.spent:
		m.serve(i, fl.cold.first)
	default:
		fi := e.fleet
		m.settleDown(i)
		for m.fleets[fi].soon.first != 0 && m.free(&m.functions[m.fleets[fi].function]) < 0 {
			m.redecide(m.fleets[fi].soon.last) // its function is over a limit that was lowered
		}
	}
}

// worn reports whether an on-demand environment is to be retired rather than kept.
func (m *Machine) worn(e *environment) bool {
	return e.spent || m.fleets[e.fleet].draining || m.now >= e.born.Add(m.account.MaxAge)
}

// settleDown makes a busy on-demand environment idle, or retires it.
func (m *Machine) settleDown(i int32) {
	e := &m.environments[i]
	fl := &m.fleets[e.fleet]
	fl.busy--
	m.release(e.function)
	if m.worn(e) {
		m.retire(i)
		return
	}
	e.state, e.idleSince = idle, m.now
	m.push(&fl.idle, i)
	m.append(&m.idle, i)
}

// lost takes an environment out of the tables, whatever it was doing.
func (m *Machine) lost(id EnvironmentID) {
	i := m.find(id)
	if i == 0 {
		return
	}
	e := &m.environments[i]
	if e.provisioned {
		m.lostProvisioned(i)
		return
	}
	fi := e.fleet
	fl := &m.fleets[fi]
	m.countEnding(e, -1)
	switch e.state {
	case idle:
		m.unlink(&fl.idle, i)
		m.remove(&m.idle, i)
	case busy:
		fl.busy--
		m.release(e.function)
	case booting:
		m.unlink(&fl.boots, i)
		m.release(e.function)
		if fl.cold.len > fl.boots.len {
			m.fail(m.takeWaiter(fl.cold.first).invocation, Why{Limit: BootLost})
		}
	}
	m.forget(i)
	m.redecideExcess(fi)
}

// reap retires an idle environment.
func (m *Machine) reap(i int32) {
	m.remove(&m.idle, i)
	m.unlink(&m.fleets[m.environments[i].fleet].idle, i)
	m.retire(i)
}

func (m *Machine) idleDeadline() Instant {
	if m.idle.oldest == 0 {
		return Never
	}
	return m.environments[m.idle.oldest].idleSince.Add(m.account.IdleTimeout)
}

// push puts an environment on top of a stack.
func (m *Machine) push(s *stack, i int32) {
	e := &m.environments[i]
	e.up, e.down = 0, s.top
	if s.top != 0 {
		m.environments[s.top].up = i
	}
	s.top = i
	s.len++
}

// unlink takes an environment out of a stack.
func (m *Machine) unlink(s *stack, i int32) {
	e := &m.environments[i]
	if e.up != 0 {
		m.environments[e.up].down = e.down
	} else {
		s.top = e.down
	}
	if e.down != 0 {
		m.environments[e.down].up = e.up
	}
	e.up, e.down = 0, 0
	s.len--
}

// append puts an environment at the young end of a list.
func (m *Machine) append(l *list, i int32) {
	m.links[i] = link{older: l.newest}
	if l.newest != 0 {
		m.links[l.newest].newer = i
	} else {
		l.oldest = i
	}
	l.newest = i
}

// remove takes an environment out of a list.
func (m *Machine) remove(l *list, i int32) {
	k := m.links[i]
	if k.older != 0 {
		m.links[k.older].newer = k.newer
	} else {
		l.oldest = k.newer
	}
	if k.newer != 0 {
		m.links[k.newer].older = k.older
	} else {
		l.newest = k.older
	}
	m.links[i] = link{}
}
