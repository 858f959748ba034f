package admission

import (
	"time"

	"github.com/weir-run/weir/lambda"
)

// A Machine is the admission state of one account and region. The zero value is not ready:
// use New. It is not safe for concurrent use; its driver holds a mutex.
type Machine struct {
	now     Instant
	account Account

	// Tables by identity; entry 0 is unused.
	functions []function
	versions  []version
	current   []int32 // the fleet of each version's current generation; 0 if it is not known
	aliases   []alias

	// Tables by index; entry 0 is unused so that 0 can mean none. Free entries are chained.
	environments []environment
	links        []link // one for each environment
	fleets       []fleet
	waiters      []waiter
	freeEnv      int32
	freeFleet    int32
	freeWaiter   int32
	waiting      map[InvocationID]int32 // where a waiting invocation stands in waiters

	reserved        int // Σ reserved concurrency
	poolRunning     int // permits in use by functions without a reservation
	poolProvisioned int // provisioned concurrency charged to the pool
	poolUp          int // provisioned environments of functions without a reservation, booting included
	accountRate     bucket
	region          stair // environments made, in the classic model
	patient         list  // waiters whose patience ends, in that order

	idle        list                   // on-demand environments that are idle, longest idle first
	warm        list                   // provisioned environments that are initialised, oldest first
	configs     []Target               // that have provisioned concurrency, in the order of their making
	short       []VersionID            // versions that have fewer provisioned environments than wanted
	allocations map[FunctionID]*bucket // the allocation rates of functions that provision

	noisy FunctionID // the function taken to hold most of the pool
	look  FunctionID // the last one compared with it

	unsettled bool // a configuration's status may have changed

	stale  uint64
	effect []Effect // of the Step under way
}

// A function is what the versions of a function share. It fills one cache line.
type function struct {
	known       bool
	reserved    int32 // Unreserved, or its reservation
	running     int32 // permits in use: on-demand environments booting or busy
	provisioned int32 // charged, over all versions
	up          int32 // provisioned environments, booting included
	requests    bucket
	scaling     bucket
	_           [8]byte
}

// A version is a target of invocations; its environments are in fleets.
type version struct {
	function FunctionID
	made     uint32 // generations so far
	config   config
	requests bucket // of provisioned concurrency
}

type alias struct {
	known   bool
	version VersionID
	second  VersionID // or 0
	weight  float64   // share of second
	config  config
}

// New returns a machine with an account's settings, knowing no function.
func New(a Account) *Machine {
	m := &Machine{
		functions:    make([]function, 1),
		versions:     make([]version, 1),
		current:      make([]int32, 1),
		aliases:      make([]alias, 1),
		environments: make([]environment, 1),
		links:        make([]link, 1),
		fleets:       make([]fleet, 1),
		waiters:      make([]waiter, 1),
		waiting:      make(map[InvocationID]int32),
		allocations:  make(map[FunctionID]*bucket),
	}
	m.configure(a)
	m.accountRate.fill(0, m.requestRate(a.Limit))
	return m
}

// Step takes one input at a time and appends what must be done to out. It does first what
// had fallen due by then. A time before the last one counts as the last one.
func (m *Machine) Step(now Instant, in Input, out []Effect) []Effect {
	m.effect = out
	m.advance(now)
	switch in.kind {
	case kindArrive:
		m.arrive(in)
	case kindFinished:
		m.finished(in.environment)
	case kindAnswered:
		m.answered(in.environment, in.invocation)
	case kindBooted:
		m.booted(in.environment)
	case kindInitFailed:
		m.initFailed(in.environment)
	case kindLost:
		m.lost(in.environment)
	case kindCancel:
		m.cancel(in.invocation)
	default:
		m.setting(in)
	}
	if m.unsettled {
		m.settle()
	}
	if len(m.short) > 0 {
		m.allocate()
	}
	out, m.effect = m.effect, nil
	return out
}

// setting takes the inputs that change what is configured.
func (m *Machine) setting(in Input) {
	switch in.kind {
	case kindAccount:
		m.configure(*in.account)
	case kindFunction:
		m.setFunction(in.function, in.n)
	case kindVersion:
		m.setVersion(in.target.Version, in.function)
	case kindAlias:
		m.setAlias(in)
	case kindProvision:
		m.provision(in.target, in.n)
	case kindUpdate:
		m.update(in.target.Version)
	case kindRemoveFunction:
		m.removeFunction(in.function)
	case kindRemoveVersion:
		m.removeVersion(in.target.Version)
	case kindRemoveAlias:
		m.removeAlias(in.target.Alias)
	}
}

// Deadline returns when a Tick would next do something, and whether it ever would.
func (m *Machine) Deadline() (Instant, bool) {
	at := m.due()
	return at, at != Never
}

func (m *Machine) due() Instant {
	at := min(m.idleDeadline(), m.warmDeadline(), m.patienceDeadline())
	if len(m.short) > 0 {
		at = min(at, m.allocationDeadline())
	}
	return at
}

// advance brings the machine to a time, doing on the way what falls due, each at its own
// moment: so it does not matter how late it is called.
func (m *Machine) advance(to Instant) {
	for {
		at := m.due()
		if at > to {
			break
		}
		m.now = max(m.now, at)
		for m.idleDeadline() <= m.now {
			m.reap(m.idle.oldest)
		}
		for m.warmDeadline() <= m.now {
			m.recycle(m.warm.oldest)
		}
		for m.patienceDeadline() <= m.now {
			m.redecide(m.patient.oldest)
		}
		m.allocate()
	}
	m.now = max(m.now, to)
}

// Stale returns how many inputs named something that is not, or not any more.
func (m *Machine) Stale() uint64 { return m.stale }

// do appends an effect.
func (m *Machine) do(e Effect) { m.effect = append(m.effect, e) }

// requestRate is the limit on requests per second that comes with so much concurrency.
func (m *Machine) requestRate(concurrency int) rate {
	perSecond := int64(concurrency) * lambda.RequestsPerConcurrency
	return rate{perSecond, perSecond * int64(time.Minute/time.Second)}
}

// free returns how many more permits a function may use now; negative while a lowered limit
// drains.
func (m *Machine) free(f *function) int {
	if f.reserved != Unreserved {
		return int(f.reserved - f.provisioned - f.running)
	}
	return m.pool() - m.poolRunning
}

// pool returns the permits that functions without a reservation share.
func (m *Machine) pool() int { return m.account.Limit - m.reserved - m.poolProvisioned }

// hold gives a function a permit; release takes it back.
func (m *Machine) hold(id FunctionID) {
	f := &m.functions[id]
	f.running++
	if f.reserved == Unreserved {
		m.poolRunning++
		if f.running > m.functions[m.noisy].running {
			m.noisy = id
		}
	}
}

func (m *Machine) release(id FunctionID) {
	f := &m.functions[id]
	f.running--
	if f.reserved == Unreserved {
		m.poolRunning--
	}
}
