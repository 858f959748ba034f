package metric

import (
	"slices"
	"time"
)

// A watch is what the alarms of a metric look back on: its datapoints by the minute, or by ten
// seconds if an alarm has a period under a minute.
type watch struct {
	alarms  []string      // that look at it, in order
	span    time.Duration // how far the farthest of them looks back
	step    time.Duration // length of a point
	loading bool          // until Loaded: nothing is evaluated, and open periods wait
	points  []Period      // in the order of start, then unit
}

func (w *watch) add(u Unit, at Instant, s *Set) {
	start := Floor(at, w.step)
	i := len(w.points)
	for i > 0 && (w.points[i-1].Start > start || w.points[i-1].Start == start && w.points[i-1].Unit > u) {
		i--
	}
	if i > 0 && w.points[i-1].Start == start && w.points[i-1].Unit == u {
		w.points[i-1].Set.Merge(s)
		return
	}
	w.points = slices.Insert(w.points, i, Period{Unit: u, Start: start, Length: w.step, Set: s.Clone()})
}

// window merges the datapoints in a unit, or any, from lo (inclusive) to hi (exclusive).
func (w *watch) window(u Unit, lo, hi Instant) Set {
	first, _ := slices.BinarySearchFunc(w.points, lo, func(p Period, at Instant) int {
		if p.Start < at {
			return -1
		}
		return 1
	})
	var s Set
	for i := first; i < len(w.points) && w.points[i].Start < hi; i++ {
		if p := &w.points[i]; u == AnyUnit || p.Unit == u {
			s.Merge(&p.Set)
		}
	}
	return s
}

// forget drops what no alarm will look at any more.
func (w *watch) forget(boundary Instant) {
	n := 0
	for n < len(w.points) && w.points[n].Start.Add(w.span) < boundary {
		n++
	}
	// The rest moves down now and then, so that each point moves about once.
	if n > 0 && n*2 >= len(w.points) || n > 64 {
		w.points = slices.Delete(w.points, 0, n)
	}
}

// follow makes an alarm look at its metrics, and asks for what the store has of them.
func (m *Machine) follow(a *alarm) {
	for _, k := range a.keys {
		w := m.watches[k]
		if w == nil {
			w = &watch{step: time.Minute, loading: true}
			m.watches[k] = w
		}
		w.alarms = insert(w.alarms, a.Name)
		need, step := a.lookBack(), w.step
		if a.Period < time.Minute {
			step = time.Duration(fine)
		}
		if !w.loading && need <= w.span && step == w.step {
			continue
		}
		w.span, w.step = max(w.span, need), step
		w.loading, w.points = true, nil
		m.do(Effect{Do: Load, Key: k, From: Floor(m.now, time.Minute) - Instant(w.span), Fine: w.step < time.Minute})
	}
}

// unfollow ends what follow began.
func (m *Machine) unfollow(a *alarm) {
	for _, k := range a.keys {
		w := m.watches[k]
		if w.alarms = remove(w.alarms, a.Name); len(w.alarms) == 0 {
			delete(m.watches, k)
		}
	}
}

// loaded fills a watch from the store and from what is open.
func (m *Machine) loaded(k Key, closed []Period) {
	w := m.watches[k.Metric()]
	if w == nil || !w.loading {
		m.stale++
		return
	}
	w.loading, w.points = false, nil
	for i := range closed {
		w.add(closed[i].Unit, closed[i].Start, &closed[i].Set)
	}
	// A high-resolution metric is open by the second and by the minute: one of them counts.
	length := time.Minute
	if w.step < time.Minute {
		m.Open(k, func(p *Period) { length = min(length, p.Length) })
	}
	m.Open(k, func(p *Period) {
		if p.Length == length {
			w.add(p.Unit, p.Start, &p.Set)
		}
	})
}
