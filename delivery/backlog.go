package delivery

// A Backlog is what a queue of asynchronous events has to do, as far as it is in memory.
type Backlog struct {
	InFlight int     // events being delivered or disposed of
	Oldest   Instant // when the oldest event that is due next, or being tried, was sent; Never: there is none
	Refusals int     // attempts that were throttled in a row
	Retrying int     // events known to be waiting for another attempt
}

// Backlogs calls f with every queue that has something to do. It takes time in proportion to
// the events in memory.
func (m *Async) Backlogs(f func(QueueID, Backlog)) {
	all := make([]Backlog, len(m.queues))
	for i := range m.queues {
		q := &m.queues[i]
		all[i] = Backlog{InFlight: q.inFlight, Oldest: Never, Refusals: q.refusals}
		for j := range q.window.heap {
			e := &q.window.heap[j]
			all[i].see(e)
			if e.Failures > 0 || e.Refusals > 0 {
				all[i].Retrying++
			}
		}
	}
	for _, x := range m.flights {
		if x.stage != settling {
			all[x.queue].see(&x.Entry)
		}
	}
	for i := range all {
		if b := all[i]; b.InFlight > 0 || b.Oldest != Never {
			f(QueueID(i), b)
		}
	}
}

func (b *Backlog) see(e *Entry) { b.Oldest = min(b.Oldest, e.Born) }
