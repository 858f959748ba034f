package delivery

import "fmt"

// check verifies every invariant. Tests call it after each Step; it takes time in proportion
// to all that the machine holds.
func (m *Async) check() error {
	inFlight, perQueue, trying := 0, make([]int, len(m.queues)), make([]int, len(m.queues))
	rests := 0
	for id, f := range m.flights {
		if id != f.Event || f.stage < delivering || f.stage > settling {
			return fmt.Errorf("%v flies as %v in stage %d", id, f.Event, f.stage)
		}
		if f.stage <= resting {
			inFlight++
			perQueue[f.queue]++
		}
		if f.stage == delivering {
			trying[f.queue]++
		}
		if f.stage == resting {
			rests++
		}
		if _, waits := m.queues[f.queue].window.has[id]; waits {
			return fmt.Errorf("%v flies and waits", id)
		}
	}
	if inFlight != m.inFlight || inFlight > m.settings.InFlight || rests != len(m.rests) {
		return fmt.Errorf("%d in flight of %d, recounted %d; %d rest, recounted %d", m.inFlight, m.settings.InFlight, inFlight, len(m.rests), rests)
	}
	for i := 1; i < len(m.queues); i++ {
		q := &m.queues[i]
		if perQueue[i] != q.inFlight || trying[i] != q.trying {
			return fmt.Errorf("q%d: %d in flight, %d trying; recounted %d, %d", i, q.inFlight, q.trying, perQueue[i], trying[i])
		}
		if err := m.checkQueue(QueueID(i)); err != nil {
			return fmt.Errorf("q%d: %w", i, err)
		}
	}
	return m.checkTimers()
}

func (m *Async) checkQueue(id QueueID) error {
	q := &m.queues[id]
	if len(q.window.heap) != len(q.window.has) || q.window.len() > 2*m.settings.Window+1 {
		return fmt.Errorf("a window of %d indexes %d", len(q.window.heap), len(q.window.has))
	}
	for i := range q.window.heap {
		if e := &q.window.heap[i]; q.more && !q.tail.covers(e) {
			return fmt.Errorf("%v waits beyond the tail", e.Event)
		}
		if i > 0 && q.window.less(i, (i-1)/2) {
			return fmt.Errorf("the window is no heap at %d", i)
		}
	}
	if !q.known {
		return nil
	}
	can := q.window.len() > 0 && q.inFlight < q.limit
	if can && !q.ready && q.timer == 0 {
		return fmt.Errorf("%d wait and nothing wakes it", q.window.len())
	}
	if q.more && !q.loading && q.window.len() <= m.settings.Window/2 {
		return fmt.Errorf("there is more and nobody loads it")
	}
	if q.limit < 1 || q.limit > m.settings.PerQueue {
		return fmt.Errorf("limit %d of %d", q.limit, m.settings.PerQueue)
	}
	return nil
}

func (m *Async) checkTimers() error {
	for i, id := range m.timers {
		q := &m.queues[id]
		if q.timer != i+1 || q.wake == Never || i > 0 && m.sooner(i, (i-1)/2) {
			return fmt.Errorf("timer %d of %v is misplaced", i, id)
		}
	}
	for _, id := range m.ready {
		if !m.queues[id].ready {
			return fmt.Errorf("%v is ready and does not know it", id)
		}
	}
	return nil
}

// check verifies every invariant of a mapping.
func (m *Mapping) check() error {
	if m.pollers < 0 || m.pollers > m.most() && m.config.Enabled {
		return fmt.Errorf("%d pollers of %d", m.pollers, m.most())
	}
	if !m.config.Enabled && (len(m.receives) > 0 || m.open != nil || len(m.resting) > 0) {
		return fmt.Errorf("a disabled mapping receives or collects")
	}
	if m.config.Enabled && m.busy() < m.pollers {
		return fmt.Errorf("%d of %d pollers have nothing to do", m.pollers-m.busy(), m.pollers)
	}
	if m.open != nil && (len(m.open.messages) == 0 || len(m.open.messages) >= m.config.BatchSize || m.open.bytes > maxBatchBytes && len(m.open.messages) > 1) {
		return fmt.Errorf("the open batch has %d messages, %d bytes", len(m.open.messages), m.open.bytes)
	}
	idle, running := 0, 0
	for id, b := range m.batches {
		if b.id != id || len(b.messages) == 0 {
			return fmt.Errorf("batch %d is %d with %d messages", id, b.id, len(b.messages))
		}
		if b.runs {
			running++
		} else {
			idle++
		}
	}
	if idle != len(m.resting)+len(m.waiting) || running != m.running {
		return fmt.Errorf("%d batches do not run, %d + %d are listed; %d run, counted %d", idle, len(m.resting), len(m.waiting), running, m.running)
	}
	if len(m.waiting) > 0 && m.running < m.pollers {
		return fmt.Errorf("%d batches wait and %d of %d run", len(m.waiting), m.running, m.pollers)
	}
	for i, b := range m.resting {
		if b.runs || i > 0 && m.resting[i-1].again > b.again {
			return fmt.Errorf("resting batch %d is misplaced", b.id)
		}
	}
	return nil
}
