package engine

import (
	"slices"
	"time"

	"github.com/weir-run/weir/lambda"
)

// Bounds of the history in memory.
const (
	sampleEvery  = time.Second
	historyLen   = 15 * 60 // samples: a quarter of an hour
	maxHistories = 256     // functions of an account and region that have one
)

// A Sample is one second of an account and region.
type Sample struct {
	Time        int64 // seconds since 1970
	Limit       int
	Reserved    int // Σ reserved concurrency
	Provisioned int // Σ provisioned concurrency without a reservation
	Unreserved  int // what is shared
	InUse       int // the most of Unreserved that was used at a time in this second
	Concurrency int // the most invocations that ran at a time in this second
	Invocations int // in this second, as all that follow
	Errors      int
	Throttles   int
	Cold        int
	Queued      int // asynchronous events not settled, at its end
	QueueAge    int // seconds, of the oldest of them that is due next or being tried
}

// A FunctionSample is one second of a function.
type FunctionSample struct {
	Concurrency int32 // the most invocations that ran at a time
	Invocations int32
	Errors      int32
	Throttles   int32
	Cold        int32
}

// past holds the last samples of a pool: a ring in which the functions' histories have the same
// places.
type past struct {
	samples   []Sample
	next      int
	histories int // functions that have one
}

// A history is a function's part of past.
type history struct {
	samples [historyLen]FunctionSample
	quiet   int // samples since something happened
}

// touchLocked has a tally sampled from now on.
func (p *pool) touchLocked(t *tally) {
	if !t.active {
		t.active = true
		p.mu.active = append(p.mu.active, t)
	}
}

// sample takes a sample of every pool each second.
func (e *Engine) sample() {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			e.sampleAll(time.Now())
		case <-e.ctx.Done():
			return
		}
	}
}

func (e *Engine) sampleAll(now time.Time) {
	queued := make(map[lambda.Scope]Async)
	for key, q := range e.async.depths(e.now()) {
		queued[key.scope] = queued[key.scope].add(q)
	}
	for _, p := range e.pools() {
		p.sample(now, queued[p.scope])
	}
}

func (p *pool) sample(now time.Time, queued Async) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pool := p.mu.machine.Pool()
	s := Sample{
		Time: now.Unix(), Limit: pool.Limit, Reserved: pool.Reserved, Provisioned: pool.Provisioned,
		Unreserved: pool.Unreserved, InUse: max(p.mu.inUse, pool.InUse), Queued: queued.Queued, QueueAge: int(queued.Oldest / time.Second),
		Concurrency: int(p.mu.peak),
	}
	p.gaugeLocked(now, &s)
	p.mu.peak, p.mu.inUse = p.mu.busy, pool.InUse
	past := &p.mu.past
	i := past.next
	past.next = (past.next + 1) % historyLen
	p.mu.active = slices.DeleteFunc(p.mu.active, func(t *tally) bool {
		f := t.sample()
		p.gaugeFunction(now, t.function, f.Concurrency)
		s.Invocations += int(f.Invocations)
		s.Errors += int(f.Errors)
		s.Throttles += int(f.Throttles)
		s.Cold += int(f.Cold)
		t.active = p.recordLocked(t, i, f)
		return !t.active
	})
	if len(past.samples) < historyLen {
		past.samples = append(past.samples, s)
	} else {
		past.samples[i] = s
	}
}

// sample returns what happened to a function since it was called last.
func (t *tally) sample() FunctionSample {
	throttles := t.Throttled()
	f := FunctionSample{
		Concurrency: t.peak, Invocations: int32(t.Invocations - t.sampled.invocations), Errors: int32(t.Errors - t.sampled.errors),
		Throttles: int32(throttles - t.sampled.throttles), Cold: int32(t.Cold - t.sampled.cold),
	}
	t.peak = t.busy
	t.sampled.invocations, t.sampled.errors, t.sampled.throttles, t.sampled.cold = t.Invocations, t.Errors, throttles, t.Cold
	return f
}

// recordLocked puts a sample in its place and reports whether the next one is wanted.
func (p *pool) recordLocked(t *tally, i int, f FunctionSample) bool {
	happened := f != FunctionSample{}
	if t.history == nil {
		if !happened {
			return t.busy > 0
		}
		if p.mu.past.histories >= maxHistories {
			return true
		}
		p.mu.past.histories++
		t.history = new(history)
	}
	t.history.samples[i] = f
	t.history.quiet++
	if happened {
		t.history.quiet = 0
	}
	if t.history.quiet < historyLen {
		return true
	}
	p.mu.past.histories--
	t.history = nil
	return false
}

// A History is the last quarter of an hour of an account and region, one sample a second, the
// oldest first. Functions are those to which something happened.
type History struct {
	Samples   []Sample
	Functions map[string][]FunctionSample
}

// History returns the samples taken after a time, in seconds since 1970.
func (e *Engine) History(s lambda.Scope, after int64) History {
	h := History{Samples: []Sample{}, Functions: make(map[string][]FunctionSample)}
	p := e.known(s)
	if p == nil {
		return h
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	past := &p.mu.past
	var places []int
	for k := range past.samples {
		i := k
		if len(past.samples) == historyLen {
			i = (past.next + k) % historyLen
		}
		if past.samples[i].Time > after {
			places = append(places, i)
			h.Samples = append(h.Samples, past.samples[i])
		}
	}
	for _, t := range p.mu.active {
		if t.history == nil {
			continue
		}
		f, some := make([]FunctionSample, len(places)), false
		for k, i := range places {
			f[k] = t.history.samples[i]
			some = some || f[k] != FunctionSample{}
		}
		if some {
			h.Functions[t.function] = f
		}
	}
	return h
}

// known returns the pool of a scope, or nil if it has none.
func (e *Engine) known(s lambda.Scope) *pool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.mu.pools[s]
}
