package delivery

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An asyncPlayer gives a script's commands to an Async machine and prints its effects, each
// with its time. It keeps the durable index itself and answers Load, Move and Settle at once.
//
//	t=1s COMMAND            at this time; without t= at the time of the line before
//	settings inflight=4096 perqueue=1000 window=128
//	queue q1 [age=6h] [retries=2] [off] [success] [failure]
//	enqueue q1 i1[..i9]
//	ok, fail, throttle, loop   i1[..i9]      what an attempt came to
//	told, untold i1                          whether the destination was told
//	always q1 ok|fail|throttle|none [takes=1s] [untold]   answers attempts by itself from now on
//	run 6h                                   lets that time pass
//	restart                                  a new machine on the same index
//	count                                    prints what waits
type asyncPlayer struct {
	t        *testing.T
	machine  *Async
	settings Settings
	now      Instant
	configs  map[QueueID]Config
	index    map[QueueID][]Entry
	policies map[QueueID]policy
	pending  []answer
	out      []string
	tried    int
}

type policy struct {
	result Result
	takes  time.Duration
	untold bool
}

// An answer is an input that comes later.
type answer struct {
	at Instant
	in Input
}

func newAsyncPlayer(t *testing.T) *asyncPlayer {
	s := Settings{InFlight: 4096, PerQueue: 1000, Window: 128}
	return &asyncPlayer{t: t, machine: NewAsync(s), settings: s, configs: map[QueueID]Config{}, index: map[QueueID][]Entry{}, policies: map[QueueID]policy{}}
}

func (p *asyncPlayer) command(line string) []string {
	words := strings.Fields(line)
	if at, ok := strings.CutPrefix(words[0], "t="); ok {
		to := Instant(p.duration(at))
		if to < p.now {
			p.t.Fatalf("%s: time runs backward", line)
		}
		p.now = to
		words = words[1:]
	}
	p.out = nil
	if len(words) == 0 {
		words = []string{"tick"}
	}
	p.do(words)
	return p.out
}

var results = map[string]Result{"ok": Succeeded, "fail": FunctionFailed, "throttle": Refused, "loop": Looped}

func (p *asyncPlayer) do(words []string) {
	switch words[0] {
	case "tick":
		p.step(Tick())
	case "settings":
		for _, w := range words[1:] {
			key, value, _ := strings.Cut(w, "=")
			n, _ := strconv.Atoi(value)
			switch key {
			case "inflight":
				p.settings.InFlight = n
			case "perqueue":
				p.settings.PerQueue = n
			case "window":
				p.settings.Window = n
			}
		}
		p.machine = NewAsync(p.settings)
	case "queue":
		p.configure(words)
	case "enqueue":
		for _, i := range numbers(p.t, words[2], "i") {
			e := Entry{Event: EventID(i), Due: p.now, Born: p.now}
			p.put(p.queue(words[1]), e)
			p.step(Enqueued(p.queue(words[1]), e))
		}
	case "ok", "fail", "throttle", "loop":
		for _, i := range numbers(p.t, words[1], "i") {
			p.step(Attempted(EventID(i), results[words[0]]))
		}
	case "told", "untold":
		p.step(Disposed(EventID(numbers(p.t, words[1], "i")[0]), words[0] == "told"))
	case "always":
		p.always(words)
	case "run":
		p.run(p.now.Add(p.duration(words[1])))
	case "restart":
		p.restart()
	case "count":
		for id := range p.configs {
			p.out = append(p.out, fmt.Sprintf("%v: %d in the index, %d attempts made, window of %d", id, len(p.index[id]), p.tried, p.machine.queues[id].window.len()))
		}
	default:
		p.t.Fatalf("what is %v?", words)
	}
}

func (p *asyncPlayer) configure(words []string) {
	c := DefaultConfig
	for _, w := range words[2:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "age":
			c.MaxAge = p.duration(value)
		case "retries":
			c.MaxRetries, _ = strconv.Atoi(value)
		case "off":
			c.Off = true
		case "success":
			c.OnSuccess = true
		case "failure":
			c.OnFailure = true
		}
	}
	p.configs[p.queue(words[1])] = c
	p.step(Configure(p.queue(words[1]), c))
}

func (p *asyncPlayer) always(words []string) {
	pol := policy{result: results[words[2]]}
	for _, w := range words[3:] {
		if d, ok := strings.CutPrefix(w, "takes="); ok {
			pol.takes = p.duration(d)
		}
		pol.untold = pol.untold || w == "untold"
	}
	p.policies[p.queue(words[1])] = pol
}

func (p *asyncPlayer) restart() {
	p.machine = NewAsync(p.settings)
	p.pending = nil
	for _, id := range sortedKeys(p.configs) {
		p.step(Configure(id, p.configs[id]))
	}
}

// run lets time pass, with every tick and every answer that falls due.
func (p *asyncPlayer) run(to Instant) {
	for {
		at, ok := p.machine.Deadline()
		if !ok {
			at = Never
		}
		if len(p.pending) > 0 && p.pending[0].at <= at {
			a := p.pending[0]
			if a.at > to {
				break
			}
			p.pending = p.pending[1:]
			p.now = max(p.now, a.at)
			p.step(a.in)
			continue
		}
		if at > to {
			break
		}
		p.now = max(p.now, at)
		p.step(Tick())
	}
	p.now = to
}

func (p *asyncPlayer) later(d time.Duration, in Input) {
	a := answer{p.now.Add(d), in}
	i, _ := slices.BinarySearchFunc(p.pending, a, func(x, y answer) int {
		if x.at <= y.at {
			return -1
		}
		return 1
	})
	p.pending = slices.Insert(p.pending, i, a)
}

func (p *asyncPlayer) step(in Input) {
	effects := p.machine.Step(p.now, in, nil)
	if err := p.machine.check(); err != nil {
		p.t.Fatalf("at %v: %v", p.now, err)
	}
	for _, e := range effects {
		p.perform(e)
	}
}

func (p *asyncPlayer) say(format string, args ...any) {
	p.out = append(p.out, fmt.Sprintf("%v ", p.now)+fmt.Sprintf(format, args...))
}

// perform does what a driver does, with an index that is always durable at once.
func (p *asyncPlayer) perform(e Effect) {
	pol := p.policies[e.Queue]
	switch e.Do {
	case Load:
		var found []Entry
		for _, x := range p.index[e.Queue] {
			if !x.before(e.Due, e.Event) {
				found = append(found, x)
			}
		}
		n := min(len(found), e.Limit)
		p.step(Loaded(e.Queue, found[:n], n < len(found)))
	case Deliver:
		p.tried++
		p.say("deliver %v of %v%s", e.Event, e.Queue, after(e))
		if pol.result != 0 {
			p.later(pol.takes, Attempted(e.Event, pol.result))
			if pol.takes == 0 {
				p.run(p.now)
			}
		}
	case Move:
		p.say("retry %v in %v", e.Event, e.Due.Sub(p.now))
		i := p.find(e.Queue, e.Event)
		x := p.index[e.Queue][i]
		if x.Due != e.From {
			p.t.Fatalf("%v is due at %v, not at %v", e.Event, x.Due, e.From)
		}
		x.Due, x.Failures, x.Refusals = e.Due, e.Failures, e.Refusals
		p.index[e.Queue] = slices.Delete(p.index[e.Queue], i, i+1)
		p.put(e.Queue, x)
		p.step(Moved(e.Event))
	case Dispose:
		p.say("tell %v of %v: %v%s", e.Event, e.Queue, e.Condition, after(e))
		if pol.result != 0 {
			p.step(Disposed(e.Event, !pol.untold))
		}
	case Settle:
		p.say("settle %v: %v%s", e.Event, e.Condition, after(e))
		i := p.find(e.Queue, e.Event)
		p.index[e.Queue] = slices.Delete(p.index[e.Queue], i, i+1)
		p.step(Settled(e.Event))
	case Undeliverable:
		p.say("nobody was told of %v", e.Event)
	}
}

// after says what an event went through.
func after(e Effect) string {
	s := ""
	if e.Failures > 0 {
		s += fmt.Sprintf(", %d failed", e.Failures)
	}
	if e.Refusals > 0 {
		s += fmt.Sprintf(", %d throttled", e.Refusals)
	}
	return s
}

func (p *asyncPlayer) put(q QueueID, e Entry) {
	i, _ := slices.BinarySearchFunc(p.index[q], e, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.Event, b.Event))
	})
	p.index[q] = slices.Insert(p.index[q], i, e)
}

func (p *asyncPlayer) find(q QueueID, id EventID) int {
	i := slices.IndexFunc(p.index[q], func(e Entry) bool { return e.Event == id })
	if i < 0 {
		p.t.Fatalf("%v is not in the index", id)
	}
	return i
}

func (p *asyncPlayer) queue(s string) QueueID { return QueueID(numbers(p.t, s, "q")[0]) }

func (p *asyncPlayer) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

// numbers reads "i3" or "i1..i9".
func numbers(t *testing.T, s, prefix string) []int {
	from, to, ok := strings.Cut(s, "..")
	if !ok {
		to = from
	}
	a, err1 := strconv.Atoi(strings.TrimPrefix(from, prefix))
	b, err2 := strconv.Atoi(strings.TrimPrefix(to, prefix))
	if err1 != nil || err2 != nil {
		t.Fatalf("%q is not like %s1 or %s1..%s9", s, prefix, prefix, prefix)
	}
	var ns []int
	for n := a; n <= b; n++ {
		ns = append(ns, n)
	}
	return ns
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	var keys []K
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
