package engine

import (
	"context"
	"sync"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/environment"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// A boot is the making of one environment: it waits for its turn, has the code unpacked and
// starts the environment.
type boot struct {
	id          admission.EnvironmentID
	version     *lambda.Version
	provisioned bool
	tally       *tally // of its function
	cancel      context.CancelFunc
	turn        func() // gives the turn up; idempotent
	tree        *store.Tree
}

// bootLocked gives a new environment its slot and starts making it.
func (p *pool) bootLocked(x *admission.Effect) {
	ctx, cancel := context.WithCancel(p.engine.ctx)
	b := &boot{id: x.Environment, version: p.mu.runs[x.Version], provisioned: x.IsProvisioned, cancel: cancel}
	b.tally = p.tallyLocked(b.version.Function)
	i := x.Environment.Index()
	for len(p.mu.slots) <= i {
		p.mu.slots = append(p.mu.slots, slot{})
	}
	p.mu.slots[i] = slot{id: x.Environment, boot: b}
	p.mu.alive++
	p.engine.opt.Logger.Debug("boot", "scope", p.scope.String(), "function", b.version.Function, "version", b.version.Number,
		"environment", x.Environment.String(), "why", x.Why.Limit.String())
	p.engine.work.Go(func() { p.boot(ctx, b) })
}

// boot makes an environment. It ends when the environment is started; what comes of it is
// told by the environment's events.
func (p *pool) boot(ctx context.Context, b *boot) {
	select {
	case p.engine.boots <- struct{}{}:
		b.turn = sync.OnceFunc(func() { <-p.engine.boots })
	case <-ctx.Done():
		return
	}
	d, err := store.ParseDigest(b.version.Code.SHA256)
	if err == nil {
		b.tree, err = p.engine.opt.Store.Blobs().Unpack(ctx, d)
	}
	if err != nil {
		p.engine.opt.Logger.Error("boot", "scope", p.scope.String(), "function", b.version.Function, "error", err)
		b.turn()
		p.lost(b)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.slotLocked(b.id)
	if s == nil { // retired meanwhile
		b.end()
		return
	}
	s.environment = p.engine.opt.Start(environment.Spec{
		Scope:       p.scope,
		Version:     b.version,
		Code:        b.tree.Dir,
		Provisioned: b.provisioned,
		Events: environment.Events{
			Ready: func(_ *environment.Environment, i environment.Init) { p.ready(b, i) },
			Idle:  func(_ *environment.Environment, r environment.Report) { p.finished(b, r) },
			Gone:  func(_ *environment.Environment, err error) { p.gone(b, err) },
		},
	})
}

// end gives up what a boot holds.
func (b *boot) end() {
	b.turn()
	b.tree.Release()
}

// ready hears that an environment has ended its initialisation.
func (p *pool) ready(b *boot, i environment.Init) {
	b.turn()
	in := admission.Booted(b.id)
	if i.Err != nil {
		in = admission.InitFailed(b.id)
		p.engine.opt.Logger.Warn("init failed", "scope", p.scope.String(), "function", b.version.Function, "version", b.version.Number, "error", i.Err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b.tally.Inits.add(i.Duration)
	p.stepLocked(in)
}

// finished hears that an environment has ended its invocation.
func (p *pool) finished(b *boot, r environment.Report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.slotLocked(b.id); s != nil {
		p.endLocked(s)
	}
	b.tally.Durations.add(r.Duration)
	p.stepLocked(admission.Finished(b.id))
}

// gone hears that an environment is dead.
func (p *pool) gone(b *boot, err error) {
	p.engine.opt.Logger.Error("environment lost", "scope", p.scope.String(), "function", b.version.Function, "version", b.version.Number, "error", err)
	p.lost(b)
}

// lost takes a dead environment out. Its slot goes first: the step may boot another one, which
// may have the same.
func (p *pool) lost(b *boot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retireLocked(b.id)
	p.stepLocked(admission.Lost(b.id))
}

// slotLocked returns the slot of an environment, or nil if it was given up.
func (p *pool) slotLocked(id admission.EnvironmentID) *slot {
	if i := id.Index(); i < len(p.mu.slots) && p.mu.slots[i].id == id {
		return &p.mu.slots[i]
	}
	return nil
}

// retireLocked frees an environment's slot and closes it. One that is still being made is
// given up by whoever makes it.
func (p *pool) retireLocked(id admission.EnvironmentID) {
	s := p.slotLocked(id)
	if s == nil {
		return
	}
	p.endLocked(s)
	old := *s
	*s = slot{}
	p.mu.alive--
	old.boot.cancel()
	if old.environment == nil {
		return
	}
	p.engine.work.Go(func() {
		old.environment.Close()
		old.boot.end()
	})
}
