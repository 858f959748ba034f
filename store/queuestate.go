package store

import (
	"slices"

	"github.com/tidwall/btree"
)

// A queueState is the index of a queue's messages in memory: who is visible, who will be
// when, which message group may be delivered from. It does no I/O and knows no clock.
//
//  1. A message is in exactly one state, and count says how many are in each.
//  2. A visible message of a standard queue is in ready; a message that becomes visible
//     later is in waiting, by when.
//  3. A group is in readyGroups if and only if its first message is visible and none of
//     its messages is in flight or leaving.
type queueState struct {
	messages    btree.Map[uint64, *queued] // by sequence number
	ready       heap[*queued]
	waiting     heap[*queued]
	groups      map[string]*messageGroup
	readyGroups heap[*messageGroup]
	count       [messageStates]int
}

// A queued is what memory holds of a message. Times are nanoseconds since 1970.
type queued struct {
	seq       uint64
	visibleAt int64
	sent      int64
	first     int64 // first receive; 0 before
	leased    int64 // last receive
	group     *messageGroup
	receives  uint32
	at        int32 // in ready or waiting
	state     messageState
	dirty     bool // its row is to be written anew
	moved     bool // another queue has it: its mark goes with it
}

type messageState uint8

const (
	messageAbsent   messageState = iota
	messageVisible               // may be received
	messageDelayed               // never received, and not visible yet
	messageInFlight              // received, and not visible again yet
	messageLeaving               // on its way out: deleted, expired or moved, but not durably yet
	messageStates
)

// blocks tells whether a message in this state keeps its group from being delivered.
func (s messageState) blocks() bool { return s == messageInFlight || s == messageLeaving }

// A messageGroup is the messages of one MessageGroupId of a FIFO queue, in their order.
type messageGroup struct {
	name     string
	messages []*queued
	blocking int // messages in flight or leaving
	at       int32
}

func newQueueState() *queueState {
	at := func(m *queued) *int32 { return &m.at }
	return &queueState{
		ready:   heap[*queued]{less: func(a, b *queued) bool { return a.seq < b.seq }, place: at},
		waiting: heap[*queued]{less: func(a, b *queued) bool { return a.visibleAt < b.visibleAt }, place: at},
		groups:  make(map[string]*messageGroup),
		readyGroups: heap[*messageGroup]{
			less:  func(a, b *messageGroup) bool { return a.messages[0].seq < b.messages[0].seq },
			place: func(g *messageGroup) *int32 { return &g.at },
		},
	}
}

// add enters a message with a larger sequence number than all before it. ordered messages
// belong to a group.
func (s *queueState) add(m *queued, ordered bool, group string, now int64) {
	m.at = outside
	s.messages.Set(m.seq, m)
	if ordered {
		g := s.groups[group]
		if g == nil {
			g = &messageGroup{name: group, at: outside}
			s.groups[group] = g
		}
		g.messages = append(g.messages, m)
		m.group = g
	}
	s.place(m, now)
}

// place makes a message visible, now or at its time.
func (s *queueState) place(m *queued, now int64) {
	switch {
	case m.visibleAt <= now:
		s.set(m, messageVisible)
		if m.group == nil {
			s.ready.push(m)
		} else {
			s.wake(m.group)
		}
		return
	case m.receives == 0:
		s.set(m, messageDelayed)
	default:
		s.set(m, messageInFlight)
	}
	s.waiting.push(m)
}

// advance makes visible what has become so by now.
func (s *queueState) advance(now int64) {
	for len(s.waiting.items) > 0 && s.waiting.items[0].visibleAt <= now {
		m := s.waiting.items[0]
		s.waiting.remove(m)
		s.place(m, now)
	}
}

// next returns when a message becomes visible next, or false if none will by itself.
func (s *queueState) next() (int64, bool) {
	if len(s.waiting.items) == 0 {
		return 0, false
	}
	return s.waiting.items[0].visibleAt, true
}

// A verdict says what to do with a message whose turn to be received it is.
type verdict uint8

const (
	verdictDeliver      verdict = iota
	verdictLeave                // it is too old, or goes to the dead-letter queue
	verdictLeaveInOrder         // the same, and the rest of its group waits until it is gone
)

// take picks at most limit visible messages, the earliest first, and puts them in flight;
// the caller sets until when and then calls place. Others whose turn it is, at most leaving
// of them, leave as judge says.
func (s *queueState) take(limit, leaving int, judge func(*queued) verdict) (taken, left []*queued) {
	for len(taken) < limit && len(left) < leaving && len(s.ready.items) > 0 {
		m := s.ready.items[0]
		s.ready.remove(m)
		if judge(m) == verdictDeliver {
			s.set(m, messageInFlight)
			taken = append(taken, m)
		} else {
			s.set(m, messageLeaving)
			left = append(left, m)
		}
	}
	for len(taken) < limit && len(left) < leaving && len(s.readyGroups.items) > 0 {
		g := s.readyGroups.items[0]
		for _, m := range g.messages {
			if m.state != messageVisible || len(taken) == limit || len(left) == leaving {
				break
			}
			v := judge(m)
			if v == verdictDeliver {
				s.set(m, messageInFlight)
				taken = append(taken, m)
				continue
			}
			s.set(m, messageLeaving)
			left = append(left, m)
			if v == verdictLeaveInOrder {
				break
			}
		}
	}
	return taken, left
}

// leave takes a message out of what can be received, until it is removed or placed again.
func (s *queueState) leave(m *queued) {
	s.detach(m)
	s.set(m, messageLeaving)
}

// remove forgets a message.
func (s *queueState) remove(m *queued) {
	s.detach(m)
	s.messages.Delete(m.seq)
	g := m.group
	if g == nil {
		s.set(m, messageAbsent)
		return
	}
	if g.at != outside {
		s.readyGroups.remove(g)
	}
	s.set(m, messageAbsent)
	if i := slices.Index(g.messages, m); i == 0 {
		g.messages[0] = nil
		g.messages = g.messages[1:]
	} else {
		g.messages = slices.Delete(g.messages, i, i+1)
	}
	if len(g.messages) == 0 {
		delete(s.groups, g.name)
		return
	}
	s.wake(g)
}

func (s *queueState) detach(m *queued) {
	switch {
	case m.at == outside:
	case m.state == messageVisible:
		s.ready.remove(m)
	default:
		s.waiting.remove(m)
	}
}

// set changes a message's state, and what follows from it for its group.
func (s *queueState) set(m *queued, to messageState) {
	from := m.state
	m.state = to
	if from != messageAbsent {
		s.count[from]--
	}
	if to != messageAbsent {
		s.count[to]++
	}
	g := m.group
	if g == nil || from.blocks() == to.blocks() {
		return
	}
	if !to.blocks() {
		g.blocking--
		return
	}
	g.blocking++
	if g.at != outside {
		s.readyGroups.remove(g)
	}
}

func (s *queueState) wake(g *messageGroup) {
	if g.at == outside && g.blocking == 0 && g.messages[0].state == messageVisible {
		s.readyGroups.push(g)
	}
}
