package engine

import (
	"context"
	"errors"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/lambda"
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
	p := e.pool(inv.Scope)
	answer, env, err := p.arrive(ctx, inv)
	if err != nil {
		return lambda.Outcome{}, err
	}
	out := env.Invoke(inv)
	out.Cold = answer.Cold
	out.Provisioned = answer.IsProvisioned
	if answer.Cold {
		out.Why = p.explain(answer.Why)
	}
	return out, nil
}

// arrive asks the machine for an environment and waits for it.
func (p *pool) arrive(ctx context.Context, inv *lambda.Invocation) (admission.Effect, Environment, error) {
	p.mu.Lock()
	if p.mu.closed {
		p.mu.Unlock()
		return admission.Effect{}, nil, errClosing
	}
	target, ok := p.mu.target(inv.Function, inv.Qualifier)
	if !ok {
		p.mu.Unlock()
		return admission.Effect{}, nil, p.missing(inv)
	}
	p.mu.last++
	id := p.mu.last
	p.mu.effects = p.mu.machine.Step(p.engine.now(), arrival(id, target, inv), p.mu.effects[:0])
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
	env := p.grantedLocked(&answer)
	p.mu.Unlock()
	if wait != nil {
		return p.await(ctx, id, wait)
	}
	return answer, env, p.refusal(inv, &answer)
}

func arrival(id admission.InvocationID, t admission.Target, inv *lambda.Invocation) admission.Input {
	if inv.Type == lambda.Event {
		return admission.ArriveUnmetered(id, t, inv.Roll)
	}
	return admission.Arrive(id, t, inv.Roll)
}

// await waits for an environment to boot. If the wait ends first, the invocation is
// cancelled; a grant that came at the same moment is given back.
func (p *pool) await(ctx context.Context, id admission.InvocationID, wait chan admission.Effect) (admission.Effect, Environment, error) {
	var err error
	select {
	case answer := <-wait:
		return p.awaited(&answer)
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
	return admission.Effect{}, nil, err
}

func (p *pool) awaited(answer *admission.Effect) (admission.Effect, Environment, error) {
	if answer.Do == admission.Fail {
		return *answer, nil, errors.New("engine: " + p.explain(answer.Why))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	env := p.grantedLocked(answer)
	if env == nil {
		return *answer, nil, errClosing
	}
	return *answer, env, nil
}

// grantedLocked returns the environment of a grant.
func (p *pool) grantedLocked(answer *admission.Effect) Environment {
	if answer.Do != admission.Grant {
		return nil
	}
	if s := p.slotLocked(answer.Environment); s != nil {
		return s.environment
	}
	return nil
}

// refusal turns the answer to an arrival into its error; nil for a grant.
func (p *pool) refusal(inv *lambda.Invocation, answer *admission.Effect) error {
	switch answer.Do {
	case admission.Throttle:
		t := &Throttle{answer.Reason, p.explain(answer.Why)}
		p.quiet.throttled(p.engine.opt.Logger, inv, t)
		return t
	case admission.Fail:
		return p.missing(inv)
	}
	return nil
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

// missing says why an invocation has no target: there is none, or it cannot be invoked yet.
func (p *pool) missing(inv *lambda.Invocation) error {
	qualifier := inv.Qualifier
	if qualifier == "" {
		qualifier = lambda.Latest
	}
	snapshot := p.engine.opt.Store.Catalog().Snapshot()
	if a, ok := store.Aliases.Get(snapshot, inv.Scope, store.QualifiedName(inv.Function, qualifier)); ok {
		qualifier = a.Version
	}
	if v, ok := store.Versions.Get(snapshot, inv.Scope, store.QualifiedName(inv.Function, qualifier)); ok && v.State != lambda.Active {
		return lambda.Errorf(lambda.CodeResourceConflict,
			"The operation cannot be performed at this time. The function is currently in the following state: %s", v.State).With("Type", "User")
	}
	if inv.Qualifier != "" {
		qualifier = inv.Qualifier
	}
	return lambda.Errorf(lambda.CodeResourceNotFound, "Function not found: %s", inv.Scope.FunctionARN(inv.Function, qualifier)).With("Type", "User")
}
