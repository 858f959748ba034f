package delivery

// setTimer makes a queue take its turn at a time; Never takes it out of the timers. The
// timers are a heap, and each queue knows its place in it.
func (m *Async) setTimer(id QueueID, at Instant) {
	q := &m.queues[id]
	switch {
	case at == q.wake:
		return
	case at == Never:
		m.dropTimer(q.timer - 1)
	case q.timer == 0:
		q.wake = at
		m.timers = append(m.timers, id)
		q.timer = len(m.timers)
		m.sift(q.timer - 1)
		return
	default:
		q.wake = at
		m.sift(q.timer - 1)
		return
	}
	q.wake, q.timer = Never, 0
}

func (m *Async) dropTimer(i int) {
	n := len(m.timers) - 1
	m.swapTimers(i, n)
	m.timers = m.timers[:n]
	if i < n {
		m.sift(i)
	}
}

// sift moves the timer at i to where it belongs.
func (m *Async) sift(i int) {
	for i > 0 && m.sooner(i, (i-1)/2) {
		m.swapTimers(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		child := 2*i + 1
		if child >= len(m.timers) {
			return
		}
		if child+1 < len(m.timers) && m.sooner(child+1, child) {
			child++
		}
		if !m.sooner(child, i) {
			return
		}
		m.swapTimers(i, child)
		i = child
	}
}

func (m *Async) sooner(i, j int) bool {
	a, b := m.timers[i], m.timers[j]
	if m.queues[a].wake != m.queues[b].wake {
		return m.queues[a].wake < m.queues[b].wake
	}
	return a < b
}

func (m *Async) swapTimers(i, j int) {
	m.timers[i], m.timers[j] = m.timers[j], m.timers[i]
	m.queues[m.timers[i]].timer, m.queues[m.timers[j]].timer = i+1, j+1
}
