package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/weir-run/weir/delivery"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

// async drives the machine of asynchronous events, for all accounts: what is durable is in
// the store, what happens next the machine says, what a destination is told is in record.go.
type async struct {
	engine *Engine
	events *store.Events
	timer  *time.Timer
	work   sync.WaitGroup // attempts, commits and destinations under way

	mu struct {
		sync.Mutex
		machine *delivery.Async
		effects []delivery.Effect // of the last step; its memory is used again
		queues  table[store.EventQueue, delivery.QueueID]
		ofFunc  map[functionKey][]delivery.QueueID
		running int // attempts
		fresh   freshEvents
		depth   map[delivery.QueueID]int    // events not settled
		ended   map[delivery.EventID]*ended // waiting for their destination
		armed   delivery.Instant
		stopped bool
	}
}

type functionKey struct {
	scope lambda.Scope
	name  string
}

// asyncSettings bound the machine of asynchronous events.
var asyncSettings = delivery.Settings{InFlight: 8192, PerQueue: 2000, Window: 256}

// An ended event is what its last attempt came to.
type ended struct {
	event   *store.Event
	outcome *lambda.Outcome // nil: it was never run to an end
	reason  string          // of a last attempt that was refused
	trace   string          // with the last attempt in its lineage; empty: it was not run
	told    struct{ destination, deadLetter bool }
}

func newAsync(e *Engine) *async {
	a := &async{engine: e, events: e.opt.Store.Events()}
	a.mu.machine = delivery.NewAsync(asyncSettings)
	a.mu.queues = newTable[store.EventQueue, delivery.QueueID]()
	a.mu.ofFunc = make(map[functionKey][]delivery.QueueID)
	a.mu.fresh.events = make(map[uint64]*store.Event)
	a.mu.depth = make(map[delivery.QueueID]int)
	a.mu.ended = make(map[delivery.EventID]*ended)
	a.mu.armed = delivery.Never
	a.timer = time.AfterFunc(time.Hour, a.tick)
	a.timer.Stop()
	return a
}

// resume takes up the events of earlier times. The functions must be known before.
func (a *async) resume() error {
	return a.events.Queues(func(q store.EventQueue) error {
		n, err := a.events.Count(q)
		if err != nil {
			return err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.mu.depth[a.queueLocked(q)] = n
		return nil
	})
}

// enqueue makes an invocation's event durable and hands it to the machine.
func (a *async) enqueue(ctx context.Context, inv *lambda.Invocation) error {
	x := &store.Event{
		Queue:     store.EventQueue{Scope: inv.Scope, Function: inv.Function, Qualifier: inv.Qualifier},
		RequestID: inv.RequestID, TraceID: inv.TraceID, Payload: inv.Payload,
	}
	entry, err := a.events.Add(ctx, x, int64(a.engine.now()))
	if err != nil {
		return err
	}
	a.engine.record(inv.Scope, "AsyncEventsReceived", metric.Count, inv.Function, inv.Qualifier, 1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.fresh.put(entry.Event, x)
	id := a.queueLocked(x.Queue)
	a.mu.depth[id]++
	a.stepLocked(delivery.Enqueued(id, machineEntry(entry)))
	return nil
}

// queueLocked returns the number of a queue, making it known to the machine.
func (a *async) queueLocked(q store.EventQueue) delivery.QueueID {
	id, had := a.mu.queues.id(q)
	if !had {
		key := functionKey{q.Scope, q.Function}
		a.mu.ofFunc[key] = append(a.mu.ofFunc[key], id)
		a.stepLocked(delivery.Configure(id, a.config(a.engine.opt.Store.Catalog().Snapshot(), q)))
	}
	return id
}

// config reads what applies to a queue's events.
func (a *async) config(s *store.Snapshot, q store.EventQueue) delivery.Config {
	c := delivery.DefaultConfig
	qualifier := q.Qualifier
	if qualifier == "" {
		qualifier = lambda.Latest
	}
	if i, ok := store.EventInvokes.Get(s, q.Scope, store.QualifiedName(q.Function, qualifier)); ok {
		if i.MaxRetries != lambda.NotSet {
			c.MaxRetries = i.MaxRetries
		}
		if i.MaxAgeSec != lambda.NotSet {
			c.MaxAge = time.Duration(i.MaxAgeSec) * time.Second
		}
		c.OnSuccess, c.OnFailure = i.OnSuccess != "", i.OnFailure != ""
	}
	if deadLetter(s, q) != "" {
		c.OnFailure = true
	}
	if r, ok := store.Reserved.Get(s, q.Scope, q.Function); ok {
		c.Off = r.Concurrency == 0
	}
	return c
}

// deadLetter is the dead-letter queue of the version that a queue's events run on, or empty.
func deadLetter(s *store.Snapshot, q store.EventQueue) string {
	if v, ok := versionOf(s, q.Scope, q.Function, q.Qualifier); ok {
		return v.DeadLetter
	}
	return ""
}

// feed tells the machine that something about a function changed.
func (a *async) feed(s *store.Snapshot, scope lambda.Scope, function string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range a.mu.ofFunc[functionKey{scope, function}] {
		a.stepLocked(delivery.Configure(id, a.config(s, a.mu.queues.keys[id])))
	}
}

func (a *async) step(in delivery.Input) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stepLocked(in)
}

func (a *async) stepLocked(in delivery.Input) {
	a.mu.effects = a.mu.machine.Step(a.engine.now(), in, a.mu.effects[:0])
	for _, x := range a.mu.effects {
		a.performLocked(x)
	}
	if at, ok := a.mu.machine.Deadline(); ok && at < a.mu.armed {
		a.mu.armed = at
		a.timer.Reset(time.Duration(at - a.engine.now()))
	}
}

func (a *async) tick() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.armed = delivery.Never
	a.stepLocked(delivery.Tick())
}

// performLocked starts what an effect says.
func (a *async) performLocked(x delivery.Effect) {
	q := a.mu.queues.keys[x.Queue]
	switch x.Do {
	case delivery.Load:
		a.work.Go(func() { a.load(x, q) })
	case delivery.Deliver:
		event := a.mu.fresh.take(uint64(x.Event))
		if a.mu.stopped {
			return // the next start delivers it
		}
		a.mu.running++
		a.work.Go(func() { a.deliver(x, event) })
	case delivery.Move:
		a.work.Go(func() { a.move(x, q) })
	case delivery.Dispose:
		end := a.mu.ended[x.Event]
		if end == nil { // it was not run
			end = &ended{event: a.mu.fresh.take(uint64(x.Event))}
			a.mu.ended[x.Event] = end
		}
		a.work.Go(func() { a.dispose(x, q, end) })
	case delivery.Settle:
		if x.Condition != delivery.Success {
			a.engine.record(q.Scope, "AsyncEventsDropped", metric.Count, q.Function, q.Qualifier, 1)
		}
		a.mu.depth[x.Queue]--
		delete(a.mu.ended, x.Event)
		a.mu.fresh.take(uint64(x.Event))
		a.work.Go(func() { a.settle(x, q) })
	case delivery.Undeliverable:
		a.undeliverableLocked(x, q)
		a.engine.opt.Logger.Error("event lost: nobody could be told of its end", "function", q.Function, "condition", x.Condition.String())
	}
}

func (a *async) load(x delivery.Effect, q store.EventQueue) {
	var entries []store.EventEntry
	var more bool
	a.persist("load events", func() (err error) {
		entries, more, err = a.events.Load(q, int64(x.Due), uint64(x.Event), x.Limit)
		return err
	})
	in := make([]delivery.Entry, len(entries))
	for i, e := range entries {
		in[i] = machineEntry(e)
	}
	a.step(delivery.Loaded(x.Queue, in, more))
}

// deliver runs one attempt.
func (a *async) deliver(x delivery.Effect, event *store.Event) {
	if event == nil {
		a.persist("read an event", func() (err error) {
			event, err = a.events.Read(uint64(x.Event))
			return err
		})
	}
	end, result := &ended{reason: "the engine is closing"}, delivery.Refused
	if event != nil {
		age := a.engine.now().Sub(x.Born)
		end, result = a.engine.attempt(event)
		if result == delivery.Succeeded || result == delivery.FunctionFailed {
			q := event.Queue
			a.engine.record(q.Scope, "AsyncEventAge", metric.Milliseconds, q.Function, q.Qualifier, float64(age)/float64(time.Millisecond))
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.running--
	if a.engine.ctx.Err() != nil && result != delivery.Succeeded {
		return // the engine's end was its end: the next start tries it again
	}
	a.mu.ended[x.Event] = end
	a.stepLocked(delivery.Attempted(x.Event, result))
}

func (a *async) move(x delivery.Effect, q store.EventQueue) {
	to := store.EventEntry{Event: uint64(x.Event), Due: int64(x.Due), Born: int64(x.Born), Failures: x.Failures, Refusals: x.Refusals}
	a.mu.Lock()
	end := a.mu.ended[x.Event]
	delete(a.mu.ended, x.Event)
	a.mu.Unlock()
	a.persist("move an event", func() error { return a.events.Move(context.Background(), q, int64(x.From), to) })
	a.engine.logRetry(q, end, x)
	a.step(delivery.Moved(x.Event))
}

func (a *async) settle(x delivery.Effect, q store.EventQueue) {
	a.persist("settle an event", func() error { return a.events.Settle(context.Background(), q, int64(x.Due), uint64(x.Event)) })
	a.step(delivery.Settled(x.Event))
}

// persistEvery is how long persist waits between its tries.
const persistEvery = time.Second

// persist does something with the store until it succeeds or the engine closes: a disk that
// is full today may not be tomorrow.
func (a *async) persist(what string, f func() error) {
	for {
		err := f()
		if err == nil || a.engine.ctx.Err() != nil {
			return
		}
		a.engine.opt.Logger.Error(what, "error", err)
		select {
		case <-time.After(persistEvery):
		case <-a.engine.ctx.Done():
			return
		}
	}
}

// stop lets no further attempt start.
func (a *async) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.stopped = true
	a.timer.Stop()
}

// drain stops and waits until no attempt runs, or for as long as the context allows.
func (a *async) drain(ctx context.Context) {
	a.stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		a.mu.Lock()
		running := a.mu.running
		a.mu.Unlock()
		if running == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func machineEntry(e store.EventEntry) delivery.Entry {
	return delivery.Entry{
		Event: delivery.EventID(e.Event), Due: delivery.Instant(e.Due), Born: delivery.Instant(e.Born),
		Failures: e.Failures, Refusals: e.Refusals,
	}
}

// freshEvents keeps the events that were just sent, so that those delivered at once need not
// be read again.
type freshEvents struct {
	events map[uint64]*store.Event
	bytes  int
}

// maxFresh bounds the payloads kept in memory, in bytes; others are read from the store.
const maxFresh = 64 << 20

func (f *freshEvents) put(id uint64, x *store.Event) {
	if f.bytes+len(x.Payload) <= maxFresh {
		f.events[id] = x
		f.bytes += len(x.Payload)
	}
}

func (f *freshEvents) take(id uint64) *store.Event {
	x := f.events[id]
	if x != nil {
		f.bytes -= len(x.Payload)
		delete(f.events, id)
	}
	return x
}

// attempt runs an event once.
func (e *Engine) attempt(x *store.Event) (*ended, delivery.Result) {
	inv := &lambda.Invocation{
		Scope: x.Queue.Scope, Function: x.Queue.Function, Qualifier: x.Queue.Qualifier,
		Type: lambda.Event, RequestID: x.RequestID, TraceID: x.TraceID, Payload: x.Payload, Roll: e.roll(),
	}
	out, err := e.Invoke(e.ctx, inv)
	switch {
	case err == nil && out.FunctionError != "":
		return &ended{event: x, outcome: &out, trace: inv.TraceID}, delivery.FunctionFailed
	case err == nil:
		return &ended{event: x, outcome: &out, trace: inv.TraceID}, delivery.Succeeded
	case isCode(err, codeRecursion):
		return &ended{event: x, reason: err.Error(), trace: inv.TraceID}, delivery.Looped
	}
	return &ended{event: x, reason: err.Error()}, delivery.Refused
}

// traceID is the trace that goes on to who is told of an event's end, so that a chain of
// events that comes back to the function is seen as one.
func (x *ended) traceID() string {
	if x.trace != "" {
		return x.trace
	}
	return x.event.TraceID
}

// logRetry says in the log why an event is tried again, and when.
func (e *Engine) logRetry(q store.EventQueue, end *ended, x delivery.Effect) {
	why := "function error"
	id := ""
	if end != nil {
		id = end.event.RequestID
		if end.reason != "" {
			why = end.reason
		}
	}
	e.opt.Logger.Info("event will be tried again", "scope", q.Scope.String(), "function", q.Function, "requestId", id,
		"in", fmt.Sprint(x.Due.Sub(e.now()).Round(100*time.Millisecond)), "failures", x.Failures, "throttles", x.Refusals, "why", why)
}
