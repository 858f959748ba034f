package metric

import (
	"errors"
	"fmt"
	"slices"
)

// check returns what is wrong with the machine's state: tests call it after every Step.
func (m *Machine) check() error {
	return errors.Join(m.checkOpen(), m.checkWatches(), m.checkAlarms())
}

func (m *Machine) checkOpen() error {
	if len(m.dirty) != len(m.open) {
		return fmt.Errorf("%d metrics are open, and %d in the list", len(m.open), len(m.dirty))
	}
	for _, k := range m.dirty {
		o := m.open[k]
		if o == nil || len(o.periods) == 0 {
			return fmt.Errorf("metric %x is in the list and has no open period", k)
		}
		for _, p := range o.periods {
			switch {
			case p.Set.Count <= 0:
				return fmt.Errorf("metric %x has an empty period", k)
			case Floor(p.Start, p.Length) != p.Start:
				return fmt.Errorf("metric %x has a period that starts at %v", k, p.Start)
			}
		}
	}
	return nil
}

func (m *Machine) checkWatches() error {
	for k, w := range m.watches {
		if len(w.alarms) == 0 {
			return fmt.Errorf("metric %x is watched by nobody", k)
		}
		for i, p := range w.points {
			if i > 0 && (p.Start < w.points[i-1].Start || p.Start == w.points[i-1].Start && p.Unit <= w.points[i-1].Unit) {
				return fmt.Errorf("the points of metric %x are out of order", k)
			}
		}
		for _, name := range w.alarms {
			if a := m.alarms[name]; a == nil || !slices.Contains(a.keys, k) {
				return fmt.Errorf("metric %x is watched by %s, which does not look at it", k, name)
			}
		}
	}
	return nil
}

func (m *Machine) checkAlarms() error {
	if len(m.metrics)+len(m.composites) != len(m.alarms) {
		return fmt.Errorf("%d alarms, %d in the lists", len(m.alarms), len(m.metrics)+len(m.composites))
	}
	if !slices.IsSorted(m.metrics) || !slices.IsSorted(m.composites) {
		return errors.New("a list of alarms is out of order")
	}
	if m.started && m.next.Add(Lag) <= m.now {
		return fmt.Errorf("the boundary %v is due at %v", m.next, m.now)
	}
	for name, a := range m.alarms {
		for _, k := range a.keys {
			if w := m.watches[k]; w == nil || !slices.Contains(w.alarms, name) {
				return fmt.Errorf("%s does not watch its metric", name)
			}
		}
	}
	return nil
}
