package delivery

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Int64("seed", -1, "play only this seed")
	seedsFlag = flag.Int64("seeds", 300, "how many seeds to play")
)

// TestAsyncSeeds plays random lives of events, with slow commits, stale reads of the index and
// crashes, and holds the promises of the package from outside.
func TestAsyncSeeds(t *testing.T) {
	for seed := range *seedsFlag {
		if *seedFlag >= 0 && seed != *seedFlag {
			continue
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(seed), 11))
			if err := newWorld(rnd.Uint64N).play(120); err != nil {
				t.Fatalf("%v\nreproduce: go test ./delivery -run TestAsyncSeeds -seeds %d -seed %d", err, seed+1, seed)
			}
		})
	}
}

// FuzzAsync lets the fuzzer choose what happens.
func FuzzAsync(f *testing.F) {
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
		if err := newWorld(draw).play(min(len(data)/4, 60)); err != nil {
			t.Fatal(err)
		}
	})
}

// A world is a driver with a durable index whose commits and reads take time, and functions
// whose attempts end as the dice say. It knows for each event what must come next.
type world struct {
	draw     func(uint64) uint64
	settings Settings
	now      Instant
	machine  *Async // gets every tick
	late     *Async // gets the time with its inputs only
	log      []Effect
	lateLog  []Effect

	configs map[QueueID]Config
	index   map[EventID]indexed
	last    EventID
	pending []event
	lives   map[EventID]*life
	flying  map[EventID]bool
	perQ    map[QueueID]int
	err     error
}

type indexed struct {
	Entry
	queue QueueID
}

// An event of the world happens at a time.
type event struct {
	at Instant
	do func()
}

// A life is what an event has been through, counted by the world.
type life struct {
	born     Instant
	failures int
	refusals int
	notAgo   Instant // not to be tried before
	settled  bool
	must     Condition // it must be settled for this; 0: not yet decided
}

func newWorld(draw func(uint64) uint64) *world {
	w := &world{
		draw: draw, index: map[EventID]indexed{}, lives: map[EventID]*life{},
		settings: Settings{InFlight: int(draw(12)) + 1, PerQueue: int(draw(6)) + 1, Window: int(draw(6)) + 1},
		configs:  map[QueueID]Config{},
	}
	for q := range QueueID(3) {
		w.configs[q+1] = w.config()
	}
	w.boot()
	return w
}

func (w *world) pick(n int) int { return int(w.draw(uint64(n))) }

func (w *world) config() Config {
	return Config{
		MaxAge:     []time.Duration{time.Minute, 10 * time.Minute, 6 * time.Hour}[w.pick(3)],
		MaxRetries: w.pick(3), Off: w.pick(6) == 0, OnSuccess: w.pick(2) == 0, OnFailure: w.pick(2) == 0,
	}
}

// boot starts the machines anew on the index, as after a crash.
func (w *world) boot() {
	w.machine, w.late = NewAsync(w.settings), NewAsync(w.settings)
	w.log, w.lateLog = nil, nil
	w.pending, w.flying, w.perQ = nil, map[EventID]bool{}, map[QueueID]int{}
	for _, l := range w.lives {
		if !l.settled {
			l.must = 0
		}
	}
	for e, x := range w.index { // what was not made durable never happened
		l := w.lives[e]
		l.failures, l.refusals, l.notAgo = int(x.Failures), int(x.Refusals), x.Due
	}
	for _, q := range sortedKeys(w.configs) {
		w.step(Configure(q, w.configs[q]))
	}
}

func (w *world) play(steps int) error {
	for range steps {
		w.pass([]time.Duration{0, time.Millisecond, time.Second, 30 * time.Second, 3 * time.Minute}[w.pick(5)])
		switch w.pick(12) {
		case 0:
			w.boot()
		case 1:
			q := QueueID(w.pick(3) + 1)
			w.configs[q] = w.config()
			w.step(Configure(q, w.configs[q]))
		case 2:
			w.step(Attempted(EventID(w.pick(9)+1000), Succeeded)) // stale
		default:
			w.enqueue(QueueID(w.pick(3)+1), w.pick(8))
		}
		if w.err != nil {
			return w.err
		}
	}
	w.pass(7 * time.Hour)
	for e, l := range w.lives {
		if !l.settled {
			return fmt.Errorf("%v was never settled: %+v; index %+v", e, *l, w.index[e])
		}
	}
	return w.err
}

func (w *world) enqueue(q QueueID, n int) {
	for range n {
		w.last++
		e := Entry{Event: w.last, Due: w.now, Born: w.now}
		w.index[e.Event] = indexed{e, q}
		w.lives[e.Event] = &life{born: w.now, notAgo: w.now}
		w.step(Enqueued(q, e))
	}
}

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	to := w.now.Add(d)
	for w.err == nil {
		at, ok := w.machine.Deadline()
		if !ok {
			at = Never
		}
		if len(w.pending) > 0 && w.pending[0].at <= at {
			if w.pending[0].at > to {
				break
			}
			p := w.pending[0]
			w.pending = w.pending[1:]
			w.now = max(w.now, p.at)
			p.do()
			continue
		}
		if at > to {
			break
		}
		w.now = max(w.now, at)
		w.prompt(Tick())
	}
	w.now = to
}

// soon has something happen after a random while.
func (w *world) soon(do func()) {
	p := event{w.now.Add([]time.Duration{0, time.Millisecond, 200 * time.Millisecond, 5 * time.Second}[w.pick(4)]), do}
	i := len(w.pending)
	for i > 0 && w.pending[i-1].at > p.at {
		i--
	}
	w.pending = slices.Insert(w.pending, i, p)
}

func (w *world) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("at %v: %s", w.now, fmt.Sprintf(format, args...))
	}
}

// step gives both machines an input and compares what they have done so far.
func (w *world) step(in Input) {
	w.lateLog = w.late.Step(w.now, in, w.lateLog)
	w.prompt(in)
	if !slices.Equal(w.log, w.lateLog) {
		w.fail("ticks change a decision:\n  %+v\n  %+v", w.log, w.lateLog)
	}
	w.log, w.lateLog = w.log[:0], w.lateLog[:0]
}

func (w *world) prompt(in Input) {
	effects := w.machine.Step(w.now, in, nil)
	if err := w.machine.check(); err != nil {
		w.fail("%v", err)
	}
	w.log = append(w.log, effects...)
	for _, e := range effects {
		w.perform(e)
	}
}

func (w *world) perform(e Effect) {
	l := w.lives[e.Event]
	switch e.Do {
	case Load:
		w.load(e)
		return
	case Undeliverable:
		return
	}
	if l == nil || l.settled {
		w.fail("%+v of an event that is settled or unknown", e)
		return
	}
	switch e.Do {
	case Deliver:
		w.deliver(e, l)
	case Move:
		w.move(e, l)
	case Dispose:
		w.dispose(e, l)
	case Settle:
		w.settle(e, l)
	}
}

// load reads the index now and answers later, when it may have changed.
func (w *world) load(e Effect) {
	var found []Entry
	for _, x := range w.index {
		if x.queue == e.Queue && !x.before(e.Due, e.Event) {
			found = append(found, x.Entry)
		}
	}
	slices.SortFunc(found, func(a, b Entry) int {
		if a.before(b.Due, b.Event) {
			return -1
		}
		return 1
	})
	n := min(len(found), e.Limit)
	more := n < len(found)
	w.soon(func() { w.step(Loaded(e.Queue, found[:n], more)) })
}

func (w *world) deliver(e Effect, l *life) {
	c := w.configs[e.Queue]
	w.perQ[e.Queue]++
	switch {
	case w.flying[e.Event]:
		w.fail("%v is delivered twice at a time", e.Event)
	case w.now < l.notAgo:
		w.fail("%v is tried at %v, before %v", e.Event, w.now, l.notAgo)
	case c.Off || w.now.Sub(l.born) > c.MaxAge:
		w.fail("%v is tried though off or too old", e.Event)
	case w.perQ[e.Queue] > w.settings.PerQueue:
		w.fail("%d of %v at a time", w.perQ[e.Queue], e.Queue)
	case int(e.Failures) != l.failures || int(e.Refusals) != l.refusals:
		w.fail("%v: %d failures and %d refusals, counted %d and %d", e.Event, e.Failures, e.Refusals, l.failures, l.refusals)
	}
	w.flying[e.Event] = true
	r := []Result{Succeeded, Succeeded, FunctionFailed, Refused, Refused, Looped}[w.pick(6)]
	w.soon(func() {
		delete(w.flying, e.Event)
		w.perQ[e.Queue]--
		w.expect(e, l, r)
		w.step(Attempted(e.Event, r))
	})
}

// expect works out what must follow an attempt, straight from AWS's rules.
func (w *world) expect(e Effect, l *life, r Result) {
	c := w.configs[e.Queue]
	var wait time.Duration
	switch r {
	case Succeeded:
		l.must = Success
		return
	case Looped:
		l.must = RecursiveInvocation
		return
	case FunctionFailed:
		l.failures++
		wait = time.Duration(l.failures) * time.Minute
	case Refused:
		l.refusals++
		wait = time.Second
		for range l.refusals - 1 {
			wait = min(2*wait, 5*time.Minute)
		}
	}
	switch {
	case c.Off:
		l.must = ZeroReservedConcurrency
	case r == FunctionFailed && l.failures > c.MaxRetries:
		l.must = RetriesExhausted
	case w.now.Add(wait).Sub(l.born) > c.MaxAge:
		l.must = EventAgeExceeded
	default:
		l.notAgo = w.now.Add(wait)
	}
}

func (w *world) move(e Effect, l *life) {
	if l.must != 0 || e.Due != l.notAgo {
		w.fail("%v is retried at %v; it must end for %v or be tried at %v", e.Event, e.Due, l.must, l.notAgo)
	}
	w.soon(func() {
		x := w.index[e.Event]
		if x.Due != e.From {
			w.fail("%v is due at %v in the index, not at %v", e.Event, x.Due, e.From)
		}
		x.Due, x.Failures, x.Refusals = e.Due, e.Failures, e.Refusals
		w.index[e.Event] = x
		w.step(Moved(e.Event))
	})
}

// mayEnd checks the condition that an event ends for. One that was not tried may end because
// it is off or too old.
func (w *world) mayEnd(e Effect, l *life) {
	c := w.configs[e.Queue]
	switch {
	case l.must != 0:
		if e.Condition != l.must {
			w.fail("%v ends for %v, not for %v", e.Event, e.Condition, l.must)
		}
	case e.Condition == ZeroReservedConcurrency && c.Off || e.Condition == EventAgeExceeded && w.now.Sub(l.born) > c.MaxAge:
		l.must = e.Condition
	default:
		w.fail("%v ends for %v for no reason", e.Event, e.Condition)
	}
}

func (w *world) dispose(e Effect, l *life) {
	w.mayEnd(e, l)
	told := w.pick(3) > 0
	w.soon(func() { w.step(Disposed(e.Event, told)) })
}

func (w *world) settle(e Effect, l *life) {
	w.mayEnd(e, l)
	w.soon(func() {
		if x := w.index[e.Event]; x.Due != e.Due {
			w.fail("%v is due at %v in the index, not at %v", e.Event, x.Due, e.Due)
		}
		delete(w.index, e.Event)
		l.settled = true
		w.step(Settled(e.Event))
	})
}
