package engine

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/delivery"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// A View is an account and region at one moment.
type View struct {
	Scope     lambda.Scope
	At        time.Time
	Pool      admission.Pool
	Functions []FunctionView // by name
	Starvings []Starving     // the last first
}

// A FunctionView is one function at that moment.
type FunctionView struct {
	Name        string
	Reserved    int // admission.Unreserved, or its reservation
	Provisioned int // concurrency charged for it
	Running     int // permits in use: on-demand environments booting or busy
	Concurrency int // invocations running
	Counters
	Environments []Environments // by version
	Configs      []Provision    // its provisioned concurrency, by qualifier
	Async        Async
	Throttled    []Incident // the last ones, the last first
	ColdStarts   []Incident
}

// Environments counts those of one version by their phase.
type Environments struct {
	Version string

	Booting, Idle, Busy                                  int // on demand
	ProvisionedBooting, ProvisionedIdle, ProvisionedBusy int
}

// A Provision is the provisioned concurrency of a version or an alias.
type Provision struct {
	Qualifier string
	Requested int
	Allocated int // environments that are up
	Available int // that invocations can use, busy ones included
	Status    string
}

// Async is what waits of the asynchronous events of a function.
type Async struct {
	Queued   int           // events not settled
	InFlight int           // of them, being delivered or disposed of
	Retrying int           // of them, known to be waiting for another attempt
	Oldest   time.Duration // age of the oldest that is due next or being tried
}

func (a Async) add(b Async) Async {
	return Async{a.Queued + b.Queued, a.InFlight + b.InFlight, a.Retrying + b.Retrying, max(a.Oldest, b.Oldest)}
}

// An Incident is a throttle or a cold start. Reason is empty for the latter.
type Incident struct {
	At     time.Time
	Reason string
	Limit  string // what stood in the way
	Why    string // in words
	Holder string // the function that held most of it, if it was shared
}

// A Starving is a series of throttles of one function for one cause, without a minute's pause.
type Starving struct {
	Incident // the last throttle; its numbers are the worst
	Victim   string
	First    time.Time
	Count    uint64
	Held     int // the most that Holder held at a throttle
	Value    int // of the limit
}

// Scopes returns the accounts and regions that have, or had, a function.
func (e *Engine) Scopes() []lambda.Scope {
	var all []lambda.Scope
	for _, p := range e.pools() {
		all = append(all, p.scope)
	}
	slices.SortFunc(all, func(a, b lambda.Scope) int { return cmp.Compare(a.String(), b.String()) })
	return all
}

// View returns what an account and region looks like now. One without functions is empty.
func (e *Engine) View(s lambda.Scope) View {
	p := e.known(s)
	if p == nil {
		return View{Scope: s, At: time.Now(), Pool: admission.New(e.opt.Account).Pool()}
	}
	v := p.view(e.opt.Store.Catalog().Snapshot())
	queues := e.async.depths(e.now())
	for i := range v.Functions {
		v.Functions[i].Async = queues[functionKey{s, v.Functions[i].Name}]
	}
	return v
}

func (p *pool) view(snapshot *store.Snapshot) View {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := View{Scope: p.scope, At: time.Now(), Pool: p.mu.machine.Pool()}
	environments := p.environmentsLocked()
	for name, id := range p.mu.functions.ids {
		h := p.mu.machine.Holding(id)
		f := FunctionView{
			Name: name, Reserved: h.Reserved, Provisioned: h.Provisioned, Running: h.Running,
			Environments: environments[name],
		}
		if t := p.mu.tallies[name]; t != nil {
			f.Counters, f.Concurrency = t.Counters, int(t.busy)
			f.Throttled, f.ColdStarts = p.words(&t.throttles), p.words(&t.colds)
		}
		v.Functions = append(v.Functions, f)
	}
	slices.SortFunc(v.Functions, func(a, b FunctionView) int { return cmp.Compare(a.Name, b.Name) })
	store.Provisioned.Scan(snapshot, p.scope, "", func(_ string, c *lambda.Provisioned) bool {
		i, ok := slices.BinarySearchFunc(v.Functions, c.Function, func(f FunctionView, name string) int { return strings.Compare(f.Name, name) })
		if ok {
			v.Functions[i].Configs = append(v.Functions[i].Configs, p.provisionLocked(c))
		}
		return true
	})
	for _, s := range p.mu.starvings {
		v.Starvings = append(v.Starvings, Starving{
			Incident: p.word(&s.incident), Victim: s.victim, First: p.engine.time(s.first), Count: s.count,
			Held: s.why.Held, Value: s.why.Value,
		})
	}
	slices.SortFunc(v.Starvings, func(a, b Starving) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Victim, b.Victim))
	})
	return v
}

// provisionLocked tells what has become of a provisioned configuration.
func (p *pool) provisionLocked(c *lambda.Provisioned) Provision {
	now := Provision{Qualifier: c.Qualifier, Requested: c.Concurrency, Status: admission.InProgress.String()}
	t, ok := p.mu.target(c.Function, c.Qualifier)
	if !ok {
		return now
	}
	if x := p.mu.machine.Provisioned(t); x.Status != admission.NotProvisioned {
		now.Allocated, now.Available, now.Status = x.Available, x.Available, x.Status.String()
	}
	return now
}

// environmentsLocked counts the environments of each function, by version.
func (p *pool) environmentsLocked() map[string][]Environments {
	all := make(map[string][]Environments)
	for i := range p.mu.slots {
		s := &p.mu.slots[i]
		if s.id == 0 {
			continue
		}
		of := all[s.boot.version.Function]
		k := slices.IndexFunc(of, func(e Environments) bool { return e.Version == s.boot.version.Number })
		if k < 0 {
			k = len(of)
			of = append(of, Environments{Version: s.boot.version.Number})
		}
		of[k].count(p.mu.machine.Phase(s.id))
		all[s.boot.version.Function] = of
	}
	for _, of := range all {
		slices.SortFunc(of, func(a, b Environments) int { return cmp.Compare(a.Version, b.Version) })
	}
	return all
}

func (e *Environments) count(p admission.Phase) {
	switch p {
	case admission.PhaseBooting:
		e.Booting++
	case admission.PhaseIdle:
		e.Idle++
	case admission.PhaseBusy:
		e.Busy++
	case admission.PhaseProvisionedBooting:
		e.ProvisionedBooting++
	case admission.PhaseProvisionedIdle:
		e.ProvisionedIdle++
	case admission.PhaseProvisionedBusy:
		e.ProvisionedBusy++
	}
}

// words puts the incidents of a ring into words, the last first.
func (p *pool) words(r *ring) []Incident {
	var all []Incident
	for k := len(r.kept) - 1; k >= 0; k-- {
		all = append(all, p.word(&r.kept[(r.next+k)%len(r.kept)]))
	}
	return all
}

func (p *pool) word(x *incident) Incident {
	i := Incident{At: p.engine.time(x.at), Limit: x.why.Limit.String(), Holder: x.holder}
	i.Reason = x.reason.String()
	i.Why = x.why.Text(func(admission.FunctionID) string { return x.holder })
	return i
}

// time is a moment of the machines' clock as the wall shows it.
func (e *Engine) time(at admission.Instant) time.Time { return time.Unix(0, int64(at)) }

// depths tells what waits of the events of every function.
func (a *async) depths(now delivery.Instant) map[functionKey]Async {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make(map[functionKey]Async)
	key := func(id delivery.QueueID) functionKey {
		q := a.mu.queues.keys[id]
		return functionKey{q.Scope, q.Function}
	}
	for id, n := range a.mu.depth {
		if n > 0 {
			all[key(id)] = all[key(id)].add(Async{Queued: n})
		}
	}
	a.mu.machine.Backlogs(func(id delivery.QueueID, b delivery.Backlog) {
		x := Async{InFlight: b.InFlight, Retrying: b.Retrying}
		if b.Oldest != delivery.Never {
			x.Oldest = max(now.Sub(b.Oldest), 0)
		}
		all[key(id)] = all[key(id)].add(x)
	})
	return all
}
