package store

import (
	"math"
	"sync"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
)

// A Recorder gathers the server's own datapoints at little cost, until they are drained once a
// minute. What is measured often has a Group, with its own lock.
type Recorder struct {
	mu struct {
		sync.Mutex
		dirty []*Group          // that hold something
		named map[string]*Group // of Record, since the last Drain
	}
}

// A Series is one metric of a Recorder, resolved once.
type Series struct {
	Scope  lambda.Scope
	Metric metric.Metric
	Key    metric.Key

	also []*Series
}

// NewSeries resolves a metric. What it gathers counts for the series in also too: a function's
// invocations are the account's, at no cost. The maximum of something that happens in several
// at once, such as concurrency, must be measured for each.
func NewSeries(s lambda.Scope, m metric.Metric, u metric.Unit, also ...*Series) *Series {
	m = m.Sorted()
	return &Series{Scope: s, Metric: m, Key: metric.KeyOf(s, m, u), also: also}
}

// A Group is series that are measured together, such as those of one function.
type Group struct {
	recorder *Recorder
	series   []*Series

	mu struct {
		sync.Mutex
		start metric.Instant // of the minute in sets
		sets  []metric.Set   // by series
		past  []pastMinute   // other minutes, few
		dirty bool
	}
}

type pastMinute struct {
	start metric.Instant
	sets  []metric.Set
}

// Group returns a group to add to.
func (r *Recorder) Group(series ...*Series) *Group {
	g := &Group{recorder: r, series: series}
	g.mu.sets = make([]metric.Set, len(series))
	return g
}

// Add counts a value of each series, in the order of the group, measured at a moment. NaN
// stands for none, as do values that are left out.
func (g *Group) Add(at metric.Instant, values ...float64) {
	g.mu.Lock()
	if at-g.mu.start >= metric.Instant(time.Minute) || at < g.mu.start {
		g.turn(at)
	}
	sets := g.mu.sets
	if at < g.mu.start {
		sets = g.past(at)
	}
	for i, v := range values[:min(len(values), len(sets))] {
		if !math.IsNaN(v) {
			sets[i].Add(v, 1)
		}
	}
	first := !g.mu.dirty
	g.mu.dirty = true
	g.mu.Unlock()
	if first {
		g.recorder.mu.Lock()
		g.recorder.mu.dirty = append(g.recorder.mu.dirty, g)
		g.recorder.mu.Unlock()
	}
}

// turn opens a later minute. An earlier one is added to apart.
func (g *Group) turn(at metric.Instant) {
	start := metric.Floor(at, time.Minute)
	if start < g.mu.start {
		return
	}
	if g.mu.dirty {
		g.mu.past = append(g.mu.past, pastMinute{g.mu.start, g.mu.sets})
		g.mu.sets = make([]metric.Set, len(g.series))
	}
	g.mu.start = start
}

// past returns the sets of an earlier minute.
func (g *Group) past(at metric.Instant) []metric.Set {
	start := metric.Floor(at, time.Minute)
	for _, p := range g.mu.past {
		if p.start == start {
			return p.sets
		}
	}
	p := pastMinute{start, make([]metric.Set, len(g.series))}
	g.mu.past = append(g.mu.past, p)
	return p.sets
}

// Record counts one value of a metric that is not measured often.
func (r *Recorder) Record(s lambda.Scope, m metric.Metric, u metric.Unit, at metric.Instant, value float64) {
	m = m.Sorted()
	name := s.String() + "\x00" + m.Text() + "\x00" + u.String()
	r.mu.Lock()
	g := r.mu.named[name]
	if g == nil {
		g = r.Group(NewSeries(s, m, u))
		if r.mu.named == nil {
			r.mu.named = make(map[string]*Group)
		}
		r.mu.named[name] = g
	}
	r.mu.Unlock()
	g.Add(at, value)
}

// Drain calls f with what every series gathered since the last Drain, by the minute, and forgets
// it. f may keep the set, must not change it, and is called for a series and those in its also.
func (r *Recorder) Drain(f func(s *Series, start metric.Instant, set *metric.Set)) {
	r.mu.Lock()
	dirty := r.mu.dirty
	r.mu.dirty = make([]*Group, 0, len(dirty))
	clear(r.mu.named)
	r.mu.Unlock()
	for _, g := range dirty {
		g.mu.Lock()
		last := pastMinute{g.mu.start, g.mu.sets}
		past := g.mu.past
		g.mu.sets, g.mu.past, g.mu.dirty = make([]metric.Set, len(g.series)), nil, false
		g.mu.Unlock()
		for _, p := range past {
			g.give(p, f)
		}
		g.give(last, f)
	}
}

func (g *Group) give(p pastMinute, f func(*Series, metric.Instant, *metric.Set)) {
	for i, s := range g.series {
		if p.sets[i].Count == 0 {
			continue
		}
		f(s, p.start, &p.sets[i])
		for _, x := range s.also {
			f(x, p.start, &p.sets[i])
		}
	}
}
