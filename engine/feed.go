package engine

import (
	"strings"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// feedAll tells the pools what the catalogue holds at the start.
func (e *Engine) feedAll(s *store.Snapshot) {
	store.Functions.ScanAll(s, func(scope lambda.Scope, name string, _ *lambda.Function) bool {
		e.pool(scope).feedFunction(s, name)
		return true
	})
	store.Versions.ScanAll(s, func(scope lambda.Scope, name string, v *lambda.Version) bool {
		e.pool(scope).feedVersion(s, name)
		return true
	})
	store.Aliases.ScanAll(s, func(scope lambda.Scope, name string, _ *lambda.Alias) bool {
		e.pool(scope).feedAlias(s, name)
		return true
	})
	store.Provisioned.ScanAll(s, func(scope lambda.Scope, name string, _ *lambda.Provisioned) bool {
		e.pool(scope).feedProvisioned(s, name)
		return true
	})
}

// feed tells the pools what an Update of the catalogue changed.
func (e *Engine) feed(s *store.Snapshot, changes []store.Change) {
	for _, c := range changes {
		p := e.pool(c.Scope)
		switch c.Kind {
		case store.Functions.Name, store.Reserved.Name:
			p.feedFunction(s, c.Name)
			e.async.feed(s, c.Scope, c.Name)
		case store.Versions.Name:
			p.feedVersion(s, c.Name)
			e.async.feed(s, c.Scope, unqualify(c.Name).function)
		case store.Aliases.Name:
			p.feedAlias(s, c.Name)
			e.async.feed(s, c.Scope, unqualify(c.Name).function)
		case store.EventInvokes.Name:
			e.async.feed(s, c.Scope, unqualify(c.Name).function)
		case store.EventSourceMappings.Name:
			e.mappings.feed(s, c.Scope, c.Name)
		case store.Provisioned.Name:
			p.feedProvisioned(s, c.Name)
		case store.AccountLimits.Name:
			p.step(admission.Configure(e.account(s, c.Scope)))
		}
	}
}

// account returns what applies to an account and region.
func (e *Engine) account(s *store.Snapshot, scope lambda.Scope) admission.Account {
	a := e.opt.Account
	a.Limit = store.ConcurrencyLimit(s, scope, a.Limit)
	return a
}

// feedFunction makes a function and its reservation known, or forgets it.
func (p *pool) feedFunction(s *store.Snapshot, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := store.Functions.Get(s, p.scope, name); !ok {
		if id, ok := p.mu.functions.ids[name]; ok {
			p.mu.functions.forget(name)
			delete(p.mu.tallies, name)
			p.stepLocked(admission.RemoveFunction(id))
		}
		return
	}
	reserved := admission.Unreserved
	if r, ok := store.Reserved.Get(s, p.scope, name); ok {
		reserved = r.Concurrency
	}
	id, _ := p.mu.functions.id(name)
	p.stepLocked(admission.Function(id, reserved))
}

// feedVersion makes a version known once it is active, notes an update of it once that is
// complete, or forgets it.
func (p *pool) feedVersion(s *store.Snapshot, name string) {
	q := unqualify(name)
	v, ok := store.Versions.Get(s, p.scope, name)
	if ok && unfinished(v) {
		p.engine.deploy(p.scope, name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !ok || v.State != lambda.Active {
		if id, ok := p.mu.versions.ids[q]; ok {
			p.mu.versions.forget(q)
			p.stepLocked(admission.RemoveVersion(id))
		}
		return
	}
	id, had := p.mu.versions.id(q)
	switch {
	case !had:
		f := p.mu.functions.ids[q.function]
		p.mu.run(id, v)
		p.stepLocked(admission.Version(id, f))
		p.feedPartsLocked(s, q)
	case v.UpdateStatus == lambda.UpdateSuccessful && v.Generation != p.mu.runs[id].Generation:
		p.mu.run(id, v)
		p.stepLocked(admission.Update(id))
	}
}

// feedPartsLocked tells the machine, once a version is known, what the catalogue hangs on it:
// its provisioned concurrency, the aliases that point to it, and theirs.
func (p *pool) feedPartsLocked(s *store.Snapshot, q qualified) {
	p.feedProvisionedLocked(s, store.QualifiedName(q.function, q.qualifier))
	store.Aliases.ScanPrefix(s, p.scope, store.QualifiedPrefix(q.function), "", func(name string, a *lambda.Alias) bool {
		if a.Version == q.qualifier || a.Additional == q.qualifier {
			p.feedAliasLocked(s, name)
			p.feedProvisionedLocked(s, name)
		}
		return true
	})
}

func (p *pool) feedAlias(s *store.Snapshot, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.feedAliasLocked(s, name)
}

// feedAliasLocked points an alias, or forgets it.
func (p *pool) feedAliasLocked(s *store.Snapshot, name string) {
	q := unqualify(name)
	a, ok := store.Aliases.Get(s, p.scope, name)
	if !ok {
		if id, ok := p.mu.aliases.ids[q]; ok {
			p.mu.aliases.forget(q)
			p.stepLocked(admission.RemoveAlias(id))
		}
		return
	}
	id, _ := p.mu.aliases.id(q)
	var second admission.VersionID
	if a.Additional != "" {
		second = p.mu.versions.ids[qualified{q.function, a.Additional}]
	}
	p.stepLocked(admission.Alias(id, p.mu.versions.ids[qualified{q.function, a.Version}], second, a.Weight))
}

func (p *pool) feedProvisioned(s *store.Snapshot, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.feedProvisionedLocked(s, name)
}

// feedProvisionedLocked sets a provisioned concurrency configuration, or takes it away.
func (p *pool) feedProvisionedLocked(s *store.Snapshot, name string) {
	q := unqualify(name)
	t, ok := p.mu.target(q.function, q.qualifier)
	if !ok {
		return
	}
	c, ok := store.Provisioned.Get(s, p.scope, name)
	switch {
	case ok:
		p.stepLocked(admission.Provision(t, c.Concurrency))
	case p.mu.machine.Provisioned(t).Requested > 0:
		p.stepLocked(admission.Provision(t, 0))
	}
}

// unqualify splits the catalogue's name of a version or an alias.
func unqualify(name string) qualified {
	function, qualifier, _ := strings.Cut(name, "\x00")
	if trimmed := strings.TrimLeft(qualifier, "0"); lambda.IsVersionNumber(qualifier) && trimmed != "" {
		qualifier = trimmed
	}
	return qualified{function, qualifier}
}
