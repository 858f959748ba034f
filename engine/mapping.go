package engine

import (
	"sync"
	"time"

	"github.com/weir-run/weir/delivery"
	"github.com/weir-run/weir/filter"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
)

// A mapping drives the machine of one event source mapping: it receives from the queue, runs
// the function on batches, and deletes what was processed.
type mapping struct {
	engine *Engine
	scope  lambda.Scope
	source Source
	timer  *time.Timer
	work   sync.WaitGroup // invocations and deletions under way

	mu struct {
		sync.Mutex
		record   *lambda.EventSourceMapping
		criteria *filter.Criteria
		machine  *delivery.Mapping
		effects  []delivery.MappingEffect
		armed    delivery.Instant
		stops    map[delivery.ReceiveID]func()
		held     map[delivery.MessageID]*heldMessage
		last     delivery.MessageID
		groups   map[string]uint64
		running  int // of work
		failures int // receives in a row that failed
	}
}

// A heldMessage is a received message with its record, until it is let go.
type heldMessage struct {
	message SourceMessage
	record  []byte
}

func newMapping(e *Engine, scope lambda.Scope, s Source) *mapping {
	m := &mapping{engine: e, scope: scope, source: s}
	m.mu.machine = delivery.NewMapping()
	m.mu.armed = delivery.Never
	m.mu.stops = make(map[delivery.ReceiveID]func())
	m.mu.held = make(map[delivery.MessageID]*heldMessage)
	m.mu.groups = make(map[string]uint64)
	m.timer = time.AfterFunc(time.Hour, m.tick)
	m.timer.Stop()
	return m
}

// configure makes the mapping work as a record says; enabled false stops it.
func (m *mapping) configure(r *lambda.EventSourceMapping, enabled bool) error {
	criteria, err := filter.NewCriteria(filter.SQS, r.Filters)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.record, m.mu.criteria = r, criteria
	m.stepLocked(delivery.ConfigureMapping(delivery.MappingConfig{
		Enabled: enabled, BatchSize: r.BatchSize, Window: time.Duration(r.WindowSec) * time.Second,
		MaxConcurrency: r.MaxConcurrency, Scaling: m.engine.scaling(r),
	}))
	return nil
}

// scaling is how the pollers of a mapping follow its queue.
func (e *Engine) scaling(r *lambda.EventSourceMapping) delivery.Scaling {
	switch {
	case r.MaxPollers > 0:
		return delivery.ProvisionedScaling(r.MinPollers, r.MaxPollers)
	case e.opt.Account.Profile.IsClassic():
		return delivery.ScalingClassic
	}
	return delivery.ScalingToday
}

func (m *mapping) stepLocked(in delivery.MappingInput) {
	m.mu.effects = m.mu.machine.Step(m.engine.now(), in, m.mu.effects[:0])
	for _, x := range m.mu.effects {
		m.performLocked(x)
	}
	if at, ok := m.mu.machine.Deadline(); ok && at < m.mu.armed {
		m.mu.armed = at
		m.timer.Reset(time.Duration(at - m.engine.now()))
	}
}

func (m *mapping) tick() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.armed = delivery.Never
	m.stepLocked(delivery.MappingTick())
}

// performLocked starts what an effect says.
func (m *mapping) performLocked(x delivery.MappingEffect) {
	switch x.Do {
	case delivery.Receive:
		m.mu.stops[x.Receive] = m.source.Receive(x.Max, func(got []SourceMessage, err error) {
			m.received(x, got, err)
		})
	case delivery.StopReceive:
		if stop := m.mu.stops[x.Receive]; stop != nil {
			delete(m.mu.stops, x.Receive)
			stop()
		}
	case delivery.Invoke:
		b := m.batchLocked(x)
		m.countLocked("InvokedEventCount", len(x.Messages))
		m.goLocked(func() { m.invoke(b) })
	case delivery.Delete:
		messages := m.takeLocked(x.Messages)
		m.countLocked("DeletedEventCount", len(messages))
		m.goLocked(func() { m.remove(messages) })
	case delivery.Release:
		m.takeLocked(x.Messages)
	}
}

// countLocked records one of the mapping's metrics, if it has any.
func (m *mapping) countLocked(name string, n int) {
	r := m.engine.opt.Recorder
	if r == nil || !m.mu.record.CountsEvents {
		return
	}
	x := metric.Metric{Namespace: namespace, Name: name, Dimensions: []metric.Dimension{{Name: "EventSourceMappingUUID", Value: m.mu.record.ID}}}
	r.Record(m.scope, x, metric.Count, m.engine.now(), float64(n))
}

func (m *mapping) goLocked(f func()) {
	m.mu.running++
	m.work.Go(func() {
		f()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.mu.running--
	})
}

// takeLocked forgets messages and returns them.
func (m *mapping) takeLocked(ids []delivery.MessageID) []SourceMessage {
	messages := make([]SourceMessage, 0, len(ids))
	for _, id := range ids {
		messages = append(messages, m.mu.held[id].message)
		delete(m.mu.held, id)
	}
	return messages
}

// receiveAgain is how long a receive that failed waits before it counts as empty, so that a
// queue that is gone or out of reach is not asked without a pause. It doubles up to
// maxReceiveAgain.
const (
	receiveAgain    = time.Second
	maxReceiveAgain = 30 * time.Second
)

// received takes the answer of a receive: those messages that the filters want go to the
// machine, the others are deleted.
func (m *mapping) received(x delivery.MappingEffect, got []SourceMessage, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.mu.stops, x.Receive)
	if err != nil {
		m.failedLocked(x, err)
		return
	}
	m.mu.failures = 0
	now := m.engine.now()
	timeout := m.timeoutLocked()
	var messages []delivery.Message
	var unwanted []SourceMessage
	for _, s := range got {
		record, err := newRecordOf(&s, m.mu.record.Source, m.scope.Region, m.mu.record.WindowSec > 0)
		if err != nil {
			m.engine.opt.Logger.Error("encode a message", "queue", m.mu.record.Source, "messageId", s.ID, "error", err)
			continue // it comes again, and ends in the dead-letter queue
		}
		if !m.mu.criteria.Match(record, s.Body) {
			unwanted = append(unwanted, s)
			continue
		}
		m.mu.last++
		m.mu.held[m.mu.last] = &heldMessage{s, record}
		until := now.Add(s.Hidden)
		messages = append(messages, delivery.Message{
			ID: m.mu.last, Group: m.groupLocked(s.Group), Bytes: len(record) + 1, Until: until, Start: max(until.Add(-min(timeout, s.Hidden/2)), 1),
		})
	}
	m.countLocked("PolledEventCount", len(got))
	m.countLocked("FilteredOutEventCount", len(unwanted))
	if len(unwanted) > 0 {
		m.goLocked(func() { m.remove(unwanted) })
	}
	m.stepLocked(delivery.Received(x.Receive, messages, len(got) == x.Max, len(got) == 0))
}

// timeoutLocked is how long a run of the function may take, at least a second.
func (m *mapping) timeoutLocked() time.Duration {
	r := m.mu.record
	timeout := time.Second
	if v, ok := versionOf(m.engine.opt.Store.Catalog().Snapshot(), m.scope, r.Function, r.Qualifier); ok {
		timeout = max(timeout, time.Duration(v.TimeoutSec)*time.Second)
	}
	return timeout
}

// failedLocked has a receive that failed end after a pause.
func (m *mapping) failedLocked(x delivery.MappingEffect, err error) {
	wait := min(receiveAgain<<min(m.mu.failures, 8), maxReceiveAgain)
	m.mu.failures++
	if m.mu.failures == 1 {
		m.engine.opt.Logger.Error("receive from the queue of an event source mapping", "mapping", m.mu.record.ID, "queue", m.mu.record.Source, "error", err)
	}
	again := time.AfterFunc(wait, func() { m.received(x, nil, nil) })
	m.mu.stops[x.Receive] = func() {
		if again.Stop() {
			go m.received(x, nil, nil)
		}
	}
}

// groupLocked numbers the message groups of a FIFO queue.
func (m *mapping) groupLocked(name string) uint64 {
	if name == "" {
		return 0
	}
	n, ok := m.mu.groups[name]
	if !ok {
		if len(m.mu.groups) >= maxGroups {
			clear(m.mu.groups)
		}
		n = uint64(m.mu.last)<<16 | uint64(len(m.mu.groups)+1)
		m.mu.groups[name] = n
	}
	return n
}

// maxGroups bounds the message groups whose number is remembered. A number only has to be the
// same within one receive: a queue does not give out more of a group while some of it is
// being processed.
const maxGroups = 1 << 15

// stop lets nothing new begin: messages that are not being processed are let go.
func (m *mapping) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.timer.Stop()
	m.stepLocked(delivery.ConfigureMapping(delivery.MappingConfig{}))
}

// drained reports whether nothing is being processed.
func (m *mapping) drained() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.running == 0
}
