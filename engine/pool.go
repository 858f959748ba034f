package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/lambda"
)

// A pool drives the admission machine of one account and region.
type pool struct {
	engine *Engine
	scope  lambda.Scope
	timer  *time.Timer
	quiet  quiet

	sampled atomic.Int64 // the last second, since 1970, of which an invocation was sampled

	mu struct {
		sync.Mutex
		machine *admission.Machine
		effects []admission.Effect // of the last step; its memory is used again
		names
		slots   []slot // by EnvironmentID.Index
		alive   int
		waiting map[admission.InvocationID]chan admission.Effect
		last    admission.InvocationID
		armed   admission.Instant // when the timer fires; Never if it does not
		closed  bool

		tallies   map[string]*tally // by function
		busy      int32             // invocations running
		peak      int32             // the most at a time since the last sample
		inUse     int               // as peak, of unreserved concurrency: environments that boot count too
		starvings []*starving       // a ring; oldest is its first entry once it is full
		oldest    int
		active    []*tally // that something happened to since the last sample, or lately
		past      past

		uses map[string]*use // of provisioned environments, by the version's name
	}
}

// A slot is the live side of an environment that the machine knows.
type slot struct {
	id          admission.EnvironmentID // 0: free
	environment Environment             // nil until it is started
	boot        *boot
	busy        bool // an invocation runs that is not counted as ended
}

func newPool(e *Engine, s lambda.Scope) *pool {
	p := &pool{engine: e, scope: s}
	p.mu.machine = admission.New(e.account(e.opt.Store.Catalog().Snapshot(), s))
	p.mu.names = newNames()
	p.mu.waiting = make(map[admission.InvocationID]chan admission.Effect)
	p.mu.armed = admission.Never
	p.mu.tallies = make(map[string]*tally)
	p.mu.uses = make(map[string]*use)
	p.timer = time.AfterFunc(time.Hour, p.tick)
	p.timer.Stop()
	return p
}

// step tells the machine what happened and performs what it decides.
func (p *pool) step(in admission.Input) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stepLocked(in)
}

func (p *pool) stepLocked(in admission.Input) {
	if p.mu.closed {
		return
	}
	p.mu.effects = p.mu.machine.Step(p.engine.now(), in, p.mu.effects[:0])
	for i := range p.mu.effects {
		p.performLocked(&p.mu.effects[i])
	}
	p.armLocked()
}

// performLocked does what an effect says. It hands on and never waits.
func (p *pool) performLocked(x *admission.Effect) {
	switch x.Do {
	case admission.Boot:
		p.bootLocked(x)
	case admission.Retire:
		p.retireLocked(x.Environment)
	case admission.Grant, admission.Throttle, admission.Fail:
		if answer := p.mu.waiting[x.Invocation]; answer != nil {
			delete(p.mu.waiting, x.Invocation)
			answer <- *x
		}
	case admission.Provisioned:
		p.engine.opt.Logger.Info("provisioned concurrency", "scope", p.scope.String(), "target", p.mu.targetName(x.Target), "status", x.Status.String())
	}
}

// armLocked makes the timer fire at the machine's deadline, or before: a timer that is too
// early costs one idle step, less than setting it anew after every invocation.
func (p *pool) armLocked() {
	at, ok := p.mu.machine.Deadline()
	if !ok || at >= p.mu.armed {
		return
	}
	p.mu.armed = at
	p.timer.Reset(time.Duration(at - p.engine.now()))
}

func (p *pool) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.armed = admission.Never
	p.stepLocked(admission.Tick())
}

func (p *pool) environments() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.alive
}

// close ends every environment of the pool.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.closed = true
	p.timer.Stop()
	for i := range p.mu.slots {
		if id := p.mu.slots[i].id; id != 0 {
			p.retireLocked(id)
		}
	}
}
