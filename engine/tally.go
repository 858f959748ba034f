package engine

import (
	"time"

	"github.com/weir-run/weir/admission"
)

// Bounds of what is remembered of throttles and cold starts.
const (
	maxIncidents = 16          // of a function and kind; then the oldest are overwritten
	maxStarvings = 256         // of an account and region; the same
	sameStarving = time.Minute // without a throttle ends a starving
	maxOpen      = 4           // starvings of one function that go on at a time
	reasons      = 4           // of a throttle
	buckets      = 12          // of a histogram
)

// A Histogram counts durations. Bounds are those of OpenTelemetry's semantic conventions for
// functions.
type Histogram struct {
	Counts [buckets + 1]uint64 // by DurationBounds; the last has no bound
	Sum    time.Duration
}

// DurationBounds are the upper bounds of a Histogram's buckets, in seconds.
var DurationBounds = [buckets]float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60}

func (h *Histogram) add(d time.Duration) {
	i, s := 0, d.Seconds()
	for i < buckets && s > DurationBounds[i] {
		i++
	}
	h.Counts[i]++
	h.Sum += d
}

// Counters count what happened to a function since the engine was opened, or the function
// created.
type Counters struct {
	Invocations   uint64              // that ran
	Errors        uint64              // of them, by the function
	Throttles     [reasons + 1]uint64 // by admission.Reason
	Cold          uint64              // invocations that waited for a boot
	OnProvisioned uint64              // that ran on provisioned concurrency
	Spillover     uint64              // that provisioned concurrency could not serve
	Durations     Histogram
	Inits         Histogram // of environments, provisioned ones too
}

// Throttled sums the throttles of all reasons.
func (c *Counters) Throttled() uint64 {
	n := uint64(0)
	for _, k := range c.Throttles {
		n += k
	}
	return n
}

// A tally is what the engine counts of a function. The pool's lock guards it.
type tally struct {
	Counters
	function   string
	active     bool  // in the pool's list of those to be sampled
	busy, peak int32 // invocations running, and the most at a time since the last sample
	throttles  ring
	colds      ring
	open       [maxOpen]*starving // those that may go on
	next       int                // entry of open to be given up next
	history    *history           // nil: nothing happened lately
	meters     []meter
	sampled    struct{ invocations, errors, throttles, cold uint64 }
}

// grantLocked counts an invocation that begins to run.
func (p *pool) grantLocked(t *tally, x *admission.Effect) {
	p.touchLocked(t)
	t.Invocations++
	t.busy++
	t.peak = max(t.peak, t.busy)
	p.mu.busy++
	p.mu.peak = max(p.mu.peak, p.mu.busy)
	p.mu.inUse = max(p.mu.inUse, p.mu.machine.Pool().InUse)
	if x.IsProvisioned {
		t.OnProvisioned++
	}
	if x.Spillover {
		t.Spillover++
	}
	if x.Cold {
		t.Cold++
		t.colds.add(incident{at: p.engine.now(), why: x.Why})
	}
}

// An incident is a throttle or a cold start as it is kept: words are made of it when somebody
// looks.
type incident struct {
	at     admission.Instant
	reason admission.Reason
	why    admission.Why
	holder string // function that Why names
}

// A ring keeps the last incidents.
type ring struct {
	kept []incident
	next int
}

func (r *ring) add(x incident) {
	if len(r.kept) < maxIncidents {
		r.kept = append(r.kept, x)
		return
	}
	r.kept[r.next] = x
	r.next = (r.next + 1) % maxIncidents
}

// A starving is a series of throttles of one function for one cause: the limit, and who held
// most of it.
type starving struct {
	incident
	victim string
	first  admission.Instant
	count  uint64
}

// starve notes a throttle. It returns the starving that begins with it, or nil if one goes on.
func (t *tally) starve(victim string, x incident) *starving {
	for _, s := range t.open {
		if s != nil && s.why.Limit == x.why.Limit && s.holder == x.holder && x.at.Sub(s.at) < sameStarving {
			s.count++
			worst := max(s.why.Held, x.why.Held)
			s.incident = x
			s.why.Held = worst
			return nil
		}
	}
	s := &starving{incident: x, victim: victim, first: x.at, count: 1}
	t.open[t.next] = s
	t.next = (t.next + 1) % maxOpen
	return s
}

// tallyLocked returns the tally of a function, making one if it is new.
func (p *pool) tallyLocked(function string) *tally {
	t := p.mu.tallies[function]
	if t == nil {
		t = &tally{function: function}
		p.mu.tallies[function] = t
	}
	return t
}

// throttled counts a throttle and returns the name of the function that Why blames.
func (p *pool) throttled(function string, x *admission.Effect) (holder string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x.Why.Holder != 0 {
		holder = p.mu.functions.keys[x.Why.Holder]
	}
	if _, known := p.mu.functions.ids[function]; !known {
		return holder // deleted meanwhile
	}
	t := p.tallyLocked(function)
	p.touchLocked(t)
	t.Throttles[x.Reason]++
	i := incident{p.engine.now(), x.Reason, x.Why, holder}
	t.throttles.add(i)
	if s := t.starve(function, i); s != nil {
		if len(p.mu.starvings) < maxStarvings {
			p.mu.starvings = append(p.mu.starvings, s)
		} else {
			p.mu.starvings[p.mu.oldest] = s
			p.mu.oldest = (p.mu.oldest + 1) % maxStarvings
		}
	}
	return holder
}

// erred counts an invocation that the function failed.
func (p *pool) erred(t *tally) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.Errors++
}

// endLocked counts the end of the invocation that runs on an environment, if one does.
func (p *pool) endLocked(s *slot) {
	if !s.busy {
		return
	}
	s.busy = false
	s.boot.tally.busy--
	p.mu.busy--
	if s.boot.provisioned {
		p.useLocked(s.boot.version).busy--
	}
}
