package admission

// A Pool is how the account's concurrency is divided, and how much of it is in use.
type Pool struct {
	Limit       int
	Reserved    int // Σ reserved concurrency
	Provisioned int // charged to functions without a reservation
	Unreserved  int // what all others share; negative while a lowered limit drains
	InUse       int // of Unreserved
}

// Pool returns the division of the account's concurrency.
func (m *Machine) Pool() Pool {
	return Pool{m.account.Limit, m.reserved, m.poolProvisioned, m.pool(), m.poolRunning}
}

// A Holding is what a function holds of the account's concurrency.
type Holding struct {
	Reserved    int // Unreserved, or its reservation
	Running     int // permits: on-demand environments booting or busy
	Provisioned int // charged, over all versions
}

// Holding returns what a function holds.
func (m *Machine) Holding(id FunctionID) Holding {
	if int(id) >= len(m.functions) {
		return Holding{Reserved: Unreserved}
	}
	f := &m.functions[id]
	return Holding{int(f.reserved), int(f.running), int(f.provisioned)}
}

// A Phase is where an environment is in its life, as seen from outside.
type Phase uint8

// The phases. Those of provisioned environments are apart: they need no permit.
const (
	PhaseGone Phase = iota
	PhaseBooting
	PhaseIdle
	PhaseBusy
	PhaseProvisionedBooting // or up, but held back until all that were asked for are
	PhaseProvisionedIdle
	PhaseProvisionedBusy
)

// Phase returns an environment's phase.
func (m *Machine) Phase(id EnvironmentID) Phase {
	i := id.Index()
	if i == 0 || i >= len(m.environments) || m.id(int32(i)) != id {
		return PhaseGone
	}
	e := &m.environments[i]
	p := Phase(e.state)
	if e.state != none && e.provisioned {
		p += PhaseProvisionedBooting - PhaseBooting
	}
	return p
}
