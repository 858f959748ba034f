package delivery

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestMappingSeeds plays mappings on a queue with visibility timeouts and functions that fail,
// throttle and report parts of a batch, and holds the promises from outside.
func TestMappingSeeds(t *testing.T) {
	for seed := range *seedsFlag {
		if *seedFlag >= 0 && seed != *seedFlag {
			continue
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(seed), 13))
			if err := newSource(rnd.Uint64N).play(40); err != nil {
				t.Fatalf("%v\nreproduce: go test ./delivery -run TestMappingSeeds -seeds %d -seed %d", err, seed+1, seed)
			}
		})
	}
}

// FuzzMapping lets the fuzzer choose what happens.
func FuzzMapping(f *testing.F) {
	f.Add([]byte("abcdefghijklmnopqrstuvwxyz0123456789"))
	f.Fuzz(func(t *testing.T, data []byte) {
		draw := func(n uint64) uint64 {
			if len(data) == 0 {
				return 0
			}
			x := uint64(data[0])
			data = data[1:]
			return x % n
		}
		if err := newSource(draw).play(min(len(data)/4, 40)); err != nil {
			t.Fatal(err)
		}
	})
}

// A source is a queue and a function behind a mapping, in virtual time.
type source struct {
	draw    func(uint64) uint64
	now     Instant
	machine *Mapping // gets every tick
	late    *Mapping // gets the time with its inputs only
	log     []MappingEffect
	lateLog []MappingEffect
	config  MappingConfig
	fifo    bool
	allowed int // pollers, during the step

	// hides is the visibility timeout. A short one may end while a batch waits or runs: then
	// others get its messages too, as on AWS, and only the bounds are checked.
	hides time.Duration

	queue    []*queued // in the order of sending
	receives map[ReceiveID]int
	running  map[BatchID][]MessageID
	pending  []event
	err      error
}

// A queued is a message in the queue.
type queued struct {
	Message
	hidden  Instant // invisible until then
	taken   Instant // when it was received last
	held    bool    // the mapping has it
	runs    Instant // a batch with it runs, and has it for itself until then
	tries   int
	deleted bool
	done    bool // the function has processed it
}

func newSource(draw func(uint64) uint64) *source {
	s := &source{draw: draw, machine: NewMapping(), late: NewMapping(), receives: map[ReceiveID]int{}, running: map[BatchID][]MessageID{}}
	s.fifo = s.pick(3) == 0
	s.hides = []time.Duration{10 * time.Minute, 10 * time.Minute, 30 * time.Second}[s.pick(3)]
	s.configure()
	return s
}

func (s *source) pick(n int) int { return int(s.draw(uint64(n))) }

func (s *source) configure() {
	s.config = MappingConfig{
		Enabled: s.pick(6) > 0, BatchSize: []int{1, 3, 10, 25}[s.pick(4)],
		MaxConcurrency: []int{0, 2, 7}[s.pick(3)],
		Scaling:        []Scaling{ScalingToday, ScalingClassic, ProvisionedScaling(1, 2), {Start: 3, PerMinute: 600, Max: 9, Floor: 1}}[s.pick(4)],
	}
	if !s.fifo {
		s.config.Window = []time.Duration{0, time.Second, 20 * time.Second, time.Minute}[s.pick(4)]
	}
	s.step(ConfigureMapping(s.config))
}

func (s *source) play(steps int) error {
	for range steps {
		s.pass([]time.Duration{0, time.Millisecond, time.Second, 10 * time.Second, time.Minute}[s.pick(5)])
		if s.pick(10) == 0 {
			s.configure()
		} else {
			s.send(s.pick(30))
		}
		if s.err != nil {
			return s.err
		}
	}
	s.config.Enabled = true
	s.step(ConfigureMapping(s.config))
	for range 200 { // until all got through, failures and all
		s.pass(15 * time.Minute)
		if s.err != nil || !slices.ContainsFunc(s.queue, func(q *queued) bool { return !q.deleted }) {
			return s.err
		}
	}
	return fmt.Errorf("messages are left: %+v", *s.queue[slices.IndexFunc(s.queue, func(q *queued) bool { return !q.deleted })])
}

func (s *source) send(n int) {
	for range n {
		q := &queued{Message: Message{ID: MessageID(len(s.queue) + 1), Bytes: 1 + s.pick(5)*900_000}}
		if s.fifo {
			q.Group = uint64(s.pick(4) + 1)
		}
		s.queue = append(s.queue, q)
	}
}

func (s *source) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("at %v: %s", s.now, fmt.Sprintf(format, args...))
	}
}

func (s *source) pass(d time.Duration) {
	to := s.now.Add(d)
	for s.err == nil {
		at, ok := s.machine.Deadline()
		if !ok {
			at = Never
		}
		if len(s.pending) > 0 && s.pending[0].at <= at {
			if s.pending[0].at > to {
				break
			}
			p := s.pending[0]
			s.pending = s.pending[1:]
			s.now = max(s.now, p.at)
			p.do()
			continue
		}
		if at > to {
			break
		}
		s.now = max(s.now, at)
		s.prompt(MappingTick())
	}
	s.now = to
}

func (s *source) after(d time.Duration, do func()) {
	p := event{s.now.Add(d), do}
	i := len(s.pending)
	for i > 0 && s.pending[i-1].at > p.at {
		i--
	}
	s.pending = slices.Insert(s.pending, i, p)
}

func (s *source) step(in MappingInput) {
	s.lateLog = s.late.Step(s.now, in, s.lateLog)
	s.prompt(MappingTick()) // what falls due now comes first, and is checked apart
	s.prompt(in)
	if a, b := fmt.Sprint(s.log), fmt.Sprint(s.lateLog); a != b {
		s.fail("ticks change a decision:\n  %s\n  %s", a, b)
	}
	s.log, s.lateLog = s.log[:0], s.lateLog[:0]
}

func (s *source) prompt(in MappingInput) {
	s.allowed = s.machine.Pollers()
	effects := s.machine.Step(s.now, in, nil)
	s.allowed = max(s.allowed, s.machine.Pollers())
	if err := s.machine.check(); err != nil {
		s.fail("%v", err)
	}
	s.log = append(s.log, effects...)
	for _, e := range effects {
		switch e.Do {
		case Receive:
			s.receives[e.Receive] = e.Max
			s.after(time.Duration(s.pick(4))*50*time.Millisecond, func() { s.receive(e.Receive, s.now.Add(20*time.Second)) })
		case StopReceive:
			delete(s.receives, e.Receive)
		case Invoke:
			s.invoke(e)
		case Delete:
			for _, id := range e.Messages {
				q := s.queue[id-1]
				if s.strict() && (!q.done || !q.held) {
					s.fail("m%d is deleted, done %t, held %t", id, q.done, q.held)
				}
				q.deleted, q.held = true, false
			}
		case Release:
			for _, id := range e.Messages {
				s.queue[id-1].held = false
			}
		}
	}
}

// receive gives a receive what is visible, or looks again until its time is over.
func (s *source) receive(id ReceiveID, until Instant) {
	n, ok := s.receives[id]
	if !ok {
		return
	}
	var got []Message
	locked := map[uint64]bool{}
	for _, q := range s.queue {
		if q.deleted {
			continue
		}
		if q.hidden > s.now || locked[q.Group] && q.Group > 0 {
			locked[q.Group] = true
			continue
		}
		if len(got) == n {
			break
		}
		q.hidden, q.taken, q.held = s.now.Add(s.hides), s.now, true
		q.Until, q.Start = q.hidden, q.hidden.Add(-runTime)
		got = append(got, q.Message)
	}
	if len(got) == 0 && s.now < until {
		s.after(5*time.Second, func() { s.receive(id, until) })
		return
	}
	delete(s.receives, id)
	s.step(Received(id, got, len(got) == n, len(got) == 0))
}

// runTime is how long a run takes at most.
const runTime = 4 * time.Second

func (s *source) strict() bool { return s.hides > time.Minute }

// invoke runs a batch and checks it.
func (s *source) invoke(e MappingEffect) {
	bytes, group, last := 0, uint64(0), MessageID(0)
	for _, id := range e.Messages {
		q := s.queue[id-1]
		bytes += q.Bytes
		switch {
		case s.strict() && (q.deleted || q.runs > s.now || !q.held || q.hidden <= s.now):
			s.fail("m%d runs, though deleted %t, running until %v, held %t, visible %t", id, q.deleted, q.runs, q.held, q.hidden <= s.now)
		case q.Group > 0 && (group > 0 && q.Group != group || id < last):
			s.fail("batch %d mixes groups or disorders one: %v", e.Batch, e.Messages)
		}
		q.runs, group, last = q.Until, q.Group, id
		q.tries++
	}
	for other, messages := range s.running {
		if s.strict() && group > 0 && s.queue[messages[0]-1].Group == group {
			s.fail("batches %d and %d of group %d run at a time", other, e.Batch, group)
		}
	}
	s.running[e.Batch] = e.Messages
	if n := len(s.running); n > s.allowed {
		s.fail("%d batches run at a time of %d", n, s.allowed)
	}
	if bytes > maxBatchBytes && len(e.Messages) > 1 || len(e.Messages) > 25 {
		s.fail("batch %d has %d messages, %d bytes", e.Batch, len(e.Messages), bytes)
	}
	r := []Result{Succeeded, Succeeded, Succeeded, FunctionFailed, Refused}[s.pick(5)]
	if s.queue[e.Messages[0]-1].tries > 20 {
		r = Succeeded // everything gets through at last
	}
	part := s.pick(3) == 0
	s.after([]time.Duration{time.Millisecond, time.Second, runTime}[s.pick(3)], func() {
		delete(s.running, e.Batch)
		var failed []MessageID
		for i, id := range e.Messages {
			q := s.queue[id-1]
			q.runs = 0
			if r == Succeeded && part && i >= len(e.Messages)/2 && q.tries < 4 {
				failed = append(failed, id)
			} else {
				q.done = r == Succeeded
			}
		}
		s.step(Answered(e.Batch, r, failed))
	})
}
