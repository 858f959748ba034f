package engine

import (
	"cmp"
	"context"
	"errors"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

// A Throttle is the error of an invocation that was refused for want of concurrency.
type Throttle struct {
	Reason admission.Reason
	Why    string // in words: which limit, who held it, what would have avoided it
}

func (t *Throttle) Error() string { return t.Reason.String() + ": " + t.Why }

// Invoke runs an invocation: at once if it may run, after a boot if it needs an environment.
// It returns a *Throttle if concurrency refuses it, a *lambda.Error if there is nothing to
// run, and an internal error if the environment could not be made. What the function itself
// does wrong is in the Outcome.
//
// The context ends the wait for an environment, not the invocation: as on AWS, what was
// started runs on when its caller goes away.
func (e *Engine) Invoke(ctx context.Context, inv *lambda.Invocation) (lambda.Outcome, error) {
	g, err := e.Admit(ctx, inv)
	if err != nil {
		return lambda.Outcome{}, err
	}
	return g.Run(nil), nil
}

// A Grant is the right to run one invocation on an environment. It must be used: Run is
// called once.
type Grant struct {
	pool        *pool
	inv         *lambda.Invocation
	effect      admission.Effect
	environment Environment
	version     string
	tally       *tally
	meter       *store.Group
	at          lambda.Instant // when it was granted
	arrived     lambda.Instant
	active      bool // the version traces actively
	verdict     byte // about sampling, of the caller; see verdict
}

// Version is the version that runs: $LATEST or a number.
func (g *Grant) Version() string { return g.version }

// Cold says why the invocation waited for an environment to boot; empty: it did not.
func (g *Grant) Cold() string {
	if !g.effect.Cold {
		return ""
	}
	return g.pool.explain(g.effect.Why)
}

// Run runs the invocation. An answer that the function streams is written to w, if w is not
// nil; see environment.Environment.InvokeStream.
func (g *Grant) Run(w lambda.Response) lambda.Outcome {
	traced := g.begin()
	var out lambda.Outcome
	if w == nil {
		out = g.environment.Invoke(g.inv)
	} else {
		out = g.environment.InvokeStream(g.inv, w)
	}
	// Before the caller hears the answer and calls again.
	g.pool.step(admission.Answered(g.effect.Environment, g.effect.Invocation))
	if out.FunctionError != "" {
		g.pool.erred(g.tally)
	}
	g.measure(&out)
	out.Cold, out.Provisioned = g.effect.Cold, g.effect.IsProvisioned
	if out.Cold {
		out.Why = g.Cold()
	}
	if traced != nil {
		g.end(traced, &out)
	}
	return out
}

// Admit is the first half of Invoke: it gets an environment for the invocation.
func (e *Engine) Admit(ctx context.Context, inv *lambda.Invocation) (Grant, error) {
	verdict := verdict(inv.TraceID)
	if err := e.hop(inv); err != nil {
		return Grant{}, err
	}
	return e.pool(inv.Scope).arrive(ctx, inv, verdict)
}

// Enqueue accepts an asynchronous invocation: when it returns, the event is durable. It
// returns a *lambda.Error if there is nothing to invoke.
func (e *Engine) Enqueue(ctx context.Context, inv *lambda.Invocation) error {
	p := e.pool(inv.Scope)
	if !p.knows(inv) {
		if err := p.missing(inv); err != nil {
			return err
		}
	}
	p.decide(inv)
	return e.async.enqueue(ctx, inv)
}

// codeRecursion is the exception of an invocation that recursion detection stops.
const codeRecursion = "RecursiveInvocationException"

// hop adds the invocation to the lineage of its trace, and stops it if the chain of events
// that led here has invoked the function too often.
func (e *Engine) hop(inv *lambda.Invocation) error {
	next, before := lambda.Hop(inv.TraceID, inv.Scope, inv.Function)
	inv.TraceID = next
	if before < lambda.MaxHops {
		return nil
	}
	f, ok := store.Functions.Get(e.opt.Store.Catalog().Snapshot(), inv.Scope, inv.Function)
	if ok && f.AllowsLoop {
		return nil
	}
	e.record(inv.Scope, "RecursiveInvocationsDropped", metric.Count, inv.Function, inv.Qualifier, 1)
	e.opt.Logger.Warn("recursive loop stopped", "scope", inv.Scope.String(), "function", inv.Function, "requestId", inv.RequestID, "invocations", before)
	return lambda.Errorf(codeRecursion, "Lambda detected a recursive loop: function %s was invoked %d times by the same chain of events.", inv.Function, before).With("Type", "User")
}

func isCode(err error, code string) bool {
	var known *lambda.Error
	return errors.As(err, &known) && known.Code == code
}

// arrive asks the machine for an environment and waits for it.
func (p *pool) arrive(ctx context.Context, inv *lambda.Invocation, verdict byte) (Grant, error) {
	p.mu.Lock()
	if p.mu.closed {
		p.mu.Unlock()
		return Grant{}, errClosing
	}
	target, ok := p.mu.target(inv.Function, inv.Qualifier)
	if !ok {
		p.mu.Unlock()
		if err := p.missing(inv); err != nil {
			return Grant{}, err
		}
		return p.arrive(ctx, inv, verdict)
	}
	p.mu.last++
	id := p.mu.last
	arrived := p.engine.now()
	p.mu.effects = p.mu.machine.Step(arrived, arrival(id, target, inv), p.mu.effects[:0])
	var answer admission.Effect
	for i := range p.mu.effects {
		if x := &p.mu.effects[i]; x.Invocation == id {
			answer = *x
		} else {
			p.performLocked(x)
		}
	}
	p.armLocked()
	var wait chan admission.Effect
	if answer.Do == 0 {
		wait = make(chan admission.Effect, 1)
		p.mu.waiting[id] = wait
	}
	g, ok := p.grantedLocked(inv, &answer)
	p.mu.Unlock()
	var err error
	switch {
	case wait != nil:
		g, err = p.await(ctx, inv, id, wait)
	case !ok:
		err = p.refusal(inv, &answer)
	}
	g.arrived, g.verdict = arrived, verdict
	if err != nil && verdict != '0' {
		p.traceRefused(inv, verdict, err)
	}
	return g, err
}

func arrival(id admission.InvocationID, t admission.Target, inv *lambda.Invocation) admission.Input {
	if inv.Type == lambda.Event {
		return admission.ArriveUnmetered(id, t, inv.Roll)
	}
	return admission.Arrive(id, t, inv.Roll)
}

// await waits for an environment to boot. If the wait ends first, the invocation is
// cancelled; a grant that came at the same moment is given back.
func (p *pool) await(ctx context.Context, inv *lambda.Invocation, id admission.InvocationID, wait chan admission.Effect) (Grant, error) {
	var err error
	select {
	case answer := <-wait:
		return p.awaited(inv, &answer)
	case <-ctx.Done():
		err = ctx.Err()
	case <-p.engine.ctx.Done():
		err = errClosing
	}
	p.mu.Lock()
	delete(p.mu.waiting, id)
	p.stepLocked(admission.Cancel(id))
	p.mu.Unlock()
	select {
	case answer := <-wait:
		if answer.Do == admission.Grant {
			p.step(admission.Finished(answer.Environment))
		}
	default:
	}
	return Grant{}, err
}

func (p *pool) awaited(inv *lambda.Invocation, answer *admission.Effect) (Grant, error) {
	switch answer.Do {
	case admission.Throttle:
		return Grant{}, p.refusal(inv, answer)
	case admission.Fail:
		return Grant{}, errors.New("engine: " + p.explain(answer.Why))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	g, ok := p.grantedLocked(inv, answer)
	if !ok {
		return g, errClosing
	}
	return g, nil
}

// grantedLocked returns the grant that the machine answered, if it did and the pool is not
// closed.
func (p *pool) grantedLocked(inv *lambda.Invocation, answer *admission.Effect) (Grant, bool) {
	if answer.Do != admission.Grant {
		return Grant{}, false
	}
	s := p.slotLocked(answer.Environment)
	if s == nil {
		return Grant{}, false
	}
	s.busy = true
	p.grantLocked(s.boot.tally, answer)
	if s.boot.provisioned {
		p.useLocked(s.boot.version).begin()
	}
	version := s.boot.version.Number
	meter := p.meterLocked(s.boot.tally, inv.Qualifier, version)
	return Grant{
		pool: p, inv: inv, effect: *answer, environment: s.environment, version: version, tally: s.boot.tally, meter: meter,
		at: p.engine.now(), active: s.boot.version.TracesActive,
	}, true
}

// refusal turns the answer to an arrival into its error.
func (p *pool) refusal(inv *lambda.Invocation, answer *admission.Effect) error {
	switch answer.Do {
	case admission.Throttle:
		holder := p.throttled(inv.Function, answer)
		p.engine.record(p.scope, "Throttles", metric.Count, inv.Function, inv.Qualifier, 1)
		t := &Throttle{answer.Reason, answer.Why.Text(func(admission.FunctionID) string { return holder })}
		p.quiet.throttled(p.engine.opt.Logger, inv, t)
		return t
	case admission.Fail:
		if err := p.missing(inv); err != nil {
			return err
		}
	}
	return errClosing // the pool closed between the grant and its use
}

// explain puts a Why into words.
func (p *pool) explain(w admission.Why) string {
	return w.Text(func(id admission.FunctionID) string {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.mu.functions.keys[id]
	})
}

// Provisioned returns what has become of the provisioned concurrency of a version or an
// alias.
func (e *Engine) Provisioned(s lambda.Scope, function, qualifier string) admission.Provisioning {
	p := e.pool(s)
	p.mu.Lock()
	defer p.mu.Unlock()
	t, ok := p.mu.target(function, qualifier)
	if !ok {
		return admission.Provisioning{}
	}
	return p.mu.machine.Provisioned(t)
}

// knows returns whether the machine knows the target of an invocation.
func (p *pool) knows(inv *lambda.Invocation) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.mu.target(inv.Function, inv.Qualifier)
	return ok
}

// versionOf is the version that a qualifier means: of an alias, the one without a weight.
func versionOf(s *store.Snapshot, scope lambda.Scope, function, qualifier string) (*lambda.Version, bool) {
	qualifier = cmp.Or(qualifier, lambda.Latest)
	if a, ok := store.Aliases.Get(s, scope, store.QualifiedName(function, qualifier)); ok {
		qualifier = a.Version
	}
	return store.Versions.Get(s, scope, store.QualifiedName(function, qualifier))
}

// missing says why an invocation has no target: there is none, or it cannot be invoked yet. If
// the machine was about to hear of it, missing waits until it did and returns nil.
func (p *pool) missing(inv *lambda.Invocation) error {
	v, ok := versionOf(p.engine.opt.Store.Catalog().Snapshot(), inv.Scope, inv.Function, inv.Qualifier)
	if ok && v.State != lambda.Active {
		return lambda.Errorf(lambda.CodeResourceConflict,
			"The operation cannot be performed at this time. The function is currently in the following state: %s", v.State).With("Type", "User")
	}
	if ok {
		if p.engine.opt.Store.Catalog().Settle(); p.knows(inv) {
			return nil
		}
	}
	qualifier := cmp.Or(inv.Qualifier, lambda.Latest)
	return lambda.Errorf(lambda.CodeResourceNotFound, "Function not found: %s", inv.Scope.FunctionARN(inv.Function, qualifier)).With("Type", "User")
}
