package engine

import (
	"math"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

// namespace is that of Lambda's metrics.
const namespace = "AWS/Lambda"

// A meter gathers the metrics of one function's invocations by one qualifier that ran on one
// version. Each counts for the function and for the account too.
type meter struct {
	qualifier, version string
	runs               *store.Group
}

// maxMeters bounds the meters of a function; those that come later count for nothing but the
// throttles. AWS has no such bound, but nor does a function have so many versions in use.
const maxMeters = 256

// meterLocked returns the meter of an invocation, or nil if nothing is recorded.
func (p *pool) meterLocked(t *tally, qualifier, version string) *store.Group {
	if p.engine.opt.Recorder == nil {
		return nil
	}
	for i := range t.meters {
		if m := &t.meters[i]; m.qualifier == qualifier && m.version == version {
			return m.runs
		}
	}
	if len(t.meters) >= maxMeters {
		return nil
	}
	s := func(name string, u metric.Unit) *store.Series {
		return p.series(name, u, t.function, qualifier, version)
	}
	g := p.engine.opt.Recorder.Group(
		s("Invocations", metric.Count), s("Errors", metric.Count), s("Duration", metric.Milliseconds),
		s("ProvisionedConcurrencyInvocations", metric.Count), s("ProvisionedConcurrencySpilloverInvocations", metric.Count))
	t.meters = append(t.meters, meter{qualifier, version, g})
	return g
}

// series is a metric with all its dimensions. What it counts, it counts with fewer dimensions
// too: without the version that ran, without the qualifier, and without the function.
func (p *pool) series(name string, u metric.Unit, function, qualifier, version string) *store.Series {
	m := metric.Metric{Namespace: namespace, Name: name}
	also := []*store.Series{store.NewSeries(p.scope, m, u)}
	m.Dimensions = []metric.Dimension{{Name: "FunctionName", Value: function}}
	also = append(also, store.NewSeries(p.scope, m, u))
	m.Dimensions = append(m.Dimensions, metric.Dimension{Name: "Resource", Value: resource(function, qualifier)})
	if qualifier == "" || qualifier == version {
		return store.NewSeries(p.scope, m, u, also...)
	}
	also = append(also, store.NewSeries(p.scope, m, u))
	m.Dimensions = append(m.Dimensions, metric.Dimension{Name: "ExecutedVersion", Value: version})
	return store.NewSeries(p.scope, m, u, also...)
}

// resource names a function, a version or an alias in the dimension Resource.
func resource(function, qualifier string) string {
	if qualifier == "" {
		return function
	}
	return function + ":" + qualifier
}

// measure records an invocation that ran, at the moment when it began.
func (g *Grant) measure(out *lambda.Outcome) {
	if g.meter == nil {
		return
	}
	failed, provisioned, spillover := 0.0, math.NaN(), math.NaN()
	if out.FunctionError != "" {
		failed = 1
	}
	if g.effect.IsProvisioned {
		provisioned = 1
	}
	if g.effect.Spillover {
		spillover = 1
	}
	g.meter.Add(g.at, 1, failed, float64(out.Duration)/float64(time.Millisecond), provisioned, spillover)
}

// record counts one value of a metric of a function, and of the account.
func (e *Engine) record(s lambda.Scope, name string, u metric.Unit, function, qualifier string, value float64) {
	r := e.opt.Recorder
	if r == nil {
		return
	}
	m := metric.Metric{Namespace: namespace, Name: name}
	now := e.now()
	r.Record(s, m, u, now, value)
	m.Dimensions = []metric.Dimension{{Name: "FunctionName", Value: function}}
	r.Record(s, m, u, now, value)
	m.Dimensions = append(m.Dimensions, metric.Dimension{Name: "Resource", Value: resource(function, qualifier)})
	r.Record(s, m, u, now, value)
}

// A use is what is used of the provisioned environments of a version.
type use struct {
	busy, peak int // invocations running, and the most since the last sample
	ran        bool
}

// useLocked returns the use of a version's provisioned environments.
func (p *pool) useLocked(v *lambda.Version) *use {
	name := store.QualifiedName(v.Function, v.Number)
	u := p.mu.uses[name]
	if u == nil {
		u = new(use)
		p.mu.uses[name] = u
	}
	return u
}

func (u *use) begin() {
	u.busy++
	u.peak = max(u.peak, u.busy)
	u.ran = true
}

// gaugeLocked records what is measured rather than counted, once a second: the most since the
// last time. A function or an account to which nothing happened has no datapoint.
func (p *pool) gaugeLocked(now time.Time, s *Sample) {
	r := p.engine.opt.Recorder
	if r == nil || s.Concurrency == 0 {
		return
	}
	at := metric.Instant(now.UnixNano())
	account := func(name string, value int) {
		r.Record(p.scope, metric.Metric{Namespace: namespace, Name: name}, metric.Count, at, float64(value))
	}
	account("ConcurrentExecutions", s.Concurrency)
	account("UnreservedConcurrentExecutions", s.InUse)
	account("ClaimedAccountConcurrency", s.InUse+s.Reserved+s.Provisioned)
	p.provisionedLocked(at)
}

// gaugeFunction records the most invocations of a function that ran at a time.
func (p *pool) gaugeFunction(now time.Time, function string, peak int32) {
	if r := p.engine.opt.Recorder; r != nil && peak > 0 {
		m := metric.Metric{Namespace: namespace, Name: "ConcurrentExecutions", Dimensions: []metric.Dimension{{Name: "FunctionName", Value: function}}}
		r.Record(p.scope, m, metric.Count, metric.Instant(now.UnixNano()), float64(peak))
	}
}

// provisionedLocked records what is used of the provisioned concurrency of each version and
// alias that was invoked.
func (p *pool) provisionedLocked(at metric.Instant) {
	ran := false
	for name, u := range p.mu.uses {
		ran = ran || u.ran
		if !u.ran && u.busy == 0 {
			delete(p.mu.uses, name)
		}
	}
	if !ran {
		return
	}
	snapshot := p.engine.opt.Store.Catalog().Snapshot()
	store.Provisioned.Scan(snapshot, p.scope, "", func(_ string, c *lambda.Provisioned) bool {
		versions := []string{c.Qualifier}
		if a, ok := store.Aliases.Get(snapshot, p.scope, store.QualifiedName(c.Function, c.Qualifier)); ok {
			versions = []string{a.Version, a.Additional}
		}
		busy, ran := 0, false
		for _, v := range versions {
			if u := p.mu.uses[store.QualifiedName(c.Function, v)]; u != nil && u.ran {
				busy, ran = busy+u.peak, true
			}
		}
		if ran {
			p.recordProvisioned(at, c, busy)
		}
		return true
	})
	for _, u := range p.mu.uses {
		u.peak, u.ran = u.busy, u.busy > 0
	}
}

func (p *pool) recordProvisioned(at metric.Instant, c *lambda.Provisioned, busy int) {
	r := p.engine.opt.Recorder
	m := metric.Metric{Namespace: namespace, Name: "ProvisionedConcurrentExecutions", Dimensions: []metric.Dimension{{Name: "FunctionName", Value: c.Function}}}
	r.Record(p.scope, m, metric.Count, at, float64(busy))
	m.Dimensions = append(m.Dimensions, metric.Dimension{Name: "Resource", Value: resource(c.Function, c.Qualifier)})
	r.Record(p.scope, m, metric.Count, at, float64(busy))
	m.Name = "ProvisionedConcurrencyUtilization"
	r.Record(p.scope, m, metric.Count, at, float64(busy)/float64(c.Concurrency))
}
