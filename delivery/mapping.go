package delivery

import (
	"slices"
	"time"
)

// A Mapping decides about one event source mapping of a queue: how many pollers read it, how
// messages become batches, and what becomes of a batch. It is not safe for concurrent use;
// its driver holds a mutex.
//
// A poller is one thing at a time: a receive that waits for messages, the batch that is being
// collected, or a batch that is being run. The number of pollers is thus the bound on both.
type Mapping struct {
	now    Instant
	config MappingConfig

	pollers   int     // allowed now
	grown     Instant // when their number last changed by itself
	pressed   bool    // a receive was full since then
	hurt      Instant // no growth before: the function failed or was throttled
	receives  map[ReceiveID]struct{}
	stopped   map[ReceiveID]struct{} // given up, not yet answered
	last      ReceiveID
	lastBatch BatchID

	open    *batch // being collected; nil: none
	batches map[BatchID]*batch
	running int
	waiting []*batch // complete, for a poller to run them
	resting []*batch // throttled, by the time of their next attempt

	stale   uint64
	effects []MappingEffect
}

// Identities of a mapping's receives and batches, chosen by the machine, and of messages,
// chosen by the driver.
type (
	ReceiveID uint64
	BatchID   uint64
	MessageID uint64
)

// MappingConfig is what an event source mapping says, and the scaling it gets.
type MappingConfig struct {
	Enabled        bool
	BatchSize      int           // messages, 1 to 10,000
	Window         time.Duration // that a batch waits for more messages, 0 to 300 s
	MaxConcurrency int           // batches run at a time, 2 to 1,000; 0: not limited by the mapping
	Scaling        Scaling
}

// Scaling is how the number of pollers follows the queue.
type Scaling struct {
	Start     int // pollers at first
	PerMinute int // more, while messages are waiting
	Max       int
	Floor     int // pollers of a quiet queue
}

// The scaling that AWS documents for SQS: today's, and the one before November 2023.
var (
	ScalingToday   = Scaling{Start: 5, PerMinute: 300, Max: 1250, Floor: 2}
	ScalingClassic = Scaling{Start: 5, PerMinute: 60, Max: 1000, Floor: 2}
)

// ProvisionedScaling is the scaling of provisioned mode: each poller runs up to 10 batches, and
// a thousand more come in a minute.
func ProvisionedScaling(least, most int) Scaling {
	return Scaling{Start: 10 * least, PerMinute: 1000, Max: 10 * most, Floor: 10 * least}
}

// maxReceive is the most messages of one receive (SQS).
const maxReceive = 10

// maxBatchBytes is the most a batch may hold, the quota of a synchronous invocation.
const maxBatchBytes = 6 << 20

// A Message is what the machine knows of a received message.
type Message struct {
	ID    MessageID
	Group uint64  // of a FIFO queue: messages of one group are in order, one batch at a time; 0: none
	Bytes int     // of its record in the event
	Until Instant // when it becomes visible to others again
	Start Instant // when its batch must start, so that a run can end before Until; 0: no such time
}

type batch struct {
	id       BatchID
	messages []Message
	bytes    int
	closes   Instant // when its window ends, or its messages must start
	until    Instant // the earliest Until of its messages
	refusals uint16
	again    Instant // when it is tried again
	runs     bool
	next     *batch // more of the same group, to run when this one succeeded; nil: none
}

// NewMapping returns a machine for a mapping that is not enabled.
func NewMapping() *Mapping {
	return &Mapping{receives: make(map[ReceiveID]struct{}), stopped: make(map[ReceiveID]struct{}), batches: make(map[BatchID]*batch)}
}

// Step takes one input at a time and appends what must be done to out.
func (m *Mapping) Step(now Instant, in MappingInput, out []MappingEffect) []MappingEffect {
	m.effects = out
	m.advance(now)
	switch in.kind {
	case mapConfigure:
		m.configure(in.config)
	case mapReceived:
		m.received(in)
	case mapAnswered:
		m.answered(in)
	}
	m.poll()
	out, m.effects = m.effects, nil
	return out
}

// Stale returns how many inputs named something that is not.
func (m *Mapping) Stale() uint64 { return m.stale }

// Pollers returns how many pollers are allowed now.
func (m *Mapping) Pollers() int { return m.pollers }

// Deadline returns when a Tick would next do something, and whether it ever would.
func (m *Mapping) Deadline() (Instant, bool) {
	at := m.due()
	return at, at != Never
}

func (m *Mapping) due() Instant {
	at := Never
	if m.open != nil {
		at = m.open.closes
	}
	if len(m.resting) > 0 {
		at = min(at, m.resting[0].again)
	}
	if m.pressed && m.config.Enabled && m.pollers < m.most() {
		at = min(at, max(m.grown.Add(m.growth()), m.hurt))
	}
	return at
}

// advance walks to a time by way of everything that falls due before.
func (m *Mapping) advance(to Instant) {
	for at := m.due(); at <= to; at = m.due() {
		m.now = max(m.now, at)
		switch {
		case m.open != nil && m.open.closes <= m.now:
			m.close()
		case len(m.resting) > 0 && m.resting[0].again <= m.now:
			m.waiting = append(m.waiting, m.resting[0])
			m.resting = m.resting[1:]
		default:
			m.grow()
		}
		m.poll()
	}
	m.now = max(m.now, to)
}

func (m *Mapping) do(e MappingEffect) { m.effects = append(m.effects, e) }

// configure takes a mapping's settings. A mapping that is disabled lets go of what it has not
// begun to run.
func (m *Mapping) configure(c MappingConfig) {
	was := m.config.Enabled
	c.BatchSize = max(c.BatchSize, 1)
	c.Scaling.Start, c.Scaling.Max, c.Scaling.Floor = max(c.Scaling.Start, 1), max(c.Scaling.Max, 1), max(c.Scaling.Floor, 1)
	m.config = c
	switch {
	case !c.Enabled:
		m.letGo()
	case !was:
		m.pollers, m.grown, m.pressed, m.hurt = min(c.Scaling.Start, m.most()), m.now, false, 0
	default:
		m.pollers = min(max(m.pollers, c.Scaling.Floor), m.most())
		if m.open != nil && len(m.open.messages) >= c.BatchSize {
			m.close()
		}
	}
}

// most is the bound on the pollers.
func (m *Mapping) most() int {
	if n := m.config.MaxConcurrency; n > 0 {
		return min(n, m.config.Scaling.Max)
	}
	return m.config.Scaling.Max
}

// least is how many pollers a quiet queue keeps. With a maximum concurrency AWS does not go
// below the start.
func (m *Mapping) least() int {
	if m.config.MaxConcurrency > 0 {
		return min(m.config.Scaling.Start, m.most())
	}
	return min(m.config.Scaling.Floor, m.most())
}

// letGo gives up the receives and the batches that do not run.
func (m *Mapping) letGo() {
	for id := m.last; id > 0 && len(m.receives) > 0; id-- {
		if _, ok := m.receives[id]; ok {
			delete(m.receives, id)
			m.stopped[id] = struct{}{}
			m.do(MappingEffect{Do: StopReceive, Receive: id})
		}
	}
	if m.open != nil {
		m.release(m.open)
		m.open = nil
	}
	for _, b := range slices.Concat(m.waiting, m.resting) {
		delete(m.batches, b.id)
		m.release(b)
	}
	m.waiting, m.resting = nil, nil
}

// busy counts the pollers in use.
func (m *Mapping) busy() int {
	n := len(m.receives) + len(m.batches)
	if m.open != nil {
		n++
	}
	return n
}

// poll runs the batches that wait and starts a receive for each poller that has nothing to
// do. What a receive brings can be more than one batch, so batches come first.
func (m *Mapping) poll() {
	for len(m.waiting) > 0 && m.running < m.pollers {
		b := m.waiting[0]
		m.waiting = m.waiting[1:]
		m.run(b)
	}
	for m.config.Enabled && m.busy() < m.pollers {
		m.last++
		m.receives[m.last] = struct{}{}
		n := min(maxReceive, m.config.BatchSize)
		m.do(MappingEffect{Do: Receive, Receive: m.last, Max: n})
	}
}

// received takes the messages of a receive. One that was stopped too late brings messages that
// nobody else will see for a while: they are processed, unless the mapping is disabled.
func (m *Mapping) received(in MappingInput) {
	_, expected := m.receives[in.receive]
	_, stopped := m.stopped[in.receive]
	if !expected && !stopped {
		m.stale++
	}
	if !expected && (!stopped || !m.config.Enabled) {
		delete(m.stopped, in.receive)
		if len(in.messages) > 0 {
			m.do(MappingEffect{Do: Release, Messages: ids(in.messages)})
		}
		return
	}
	delete(m.receives, in.receive)
	delete(m.stopped, in.receive)
	switch {
	case stopped:
	case in.full:
		m.pressed = true
	case in.empty:
		m.shrink()
	}
	for _, group := range byGroup(in.messages) {
		m.collect(group)
	}
}

// byGroup splits messages into those of each FIFO group, in order; messages of no group stay
// together.
func byGroup(messages []Message) [][]Message {
	var groups [][]Message
	for len(messages) > 0 {
		g := messages[0].Group
		var same, rest []Message
		for _, x := range messages {
			if x.Group == g {
				same = append(same, x)
			} else {
				rest = append(rest, x)
			}
		}
		groups = append(groups, same)
		messages = rest
	}
	return groups
}

// collect adds messages to the open batch and closes it when it is full. Without a window a
// batch is what came together.
func (m *Mapping) collect(messages []Message) {
	grouped := messages[0].Group != 0
	if (grouped || m.config.Window == 0) && m.open != nil {
		m.close()
	}
	if grouped {
		m.enqueue(m.chain(messages))
		return
	}
	for _, x := range messages {
		if m.open != nil && m.open.bytes+x.Bytes > maxBatchBytes {
			m.close()
		}
		if m.open == nil {
			m.open = m.newBatch()
		}
		m.open.add(x)
		if len(m.open.messages) >= m.config.BatchSize {
			m.close()
		}
	}
	if m.open != nil && (m.config.Window == 0 || m.open.closes <= m.now) {
		m.close()
	}
}

// chain makes batches of a group's messages: one, or each to follow the one before it if they
// are too many for one.
func (m *Mapping) chain(messages []Message) *batch {
	first := m.newBatch()
	last := first
	for _, x := range messages {
		if n := len(last.messages); n > 0 && (n >= m.config.BatchSize || last.bytes+x.Bytes > maxBatchBytes) {
			last.next = m.newBatch()
			last = last.next
		}
		last.add(x)
	}
	return first
}

func (m *Mapping) newBatch() *batch {
	m.lastBatch++
	return &batch{id: m.lastBatch, closes: m.now.Add(m.config.Window), until: Never}
}

func (b *batch) add(x Message) {
	b.messages = append(b.messages, x)
	b.bytes += x.Bytes
	b.until = min(b.until, x.Until)
	if x.Start > 0 {
		b.closes = min(b.closes, x.Start)
	}
}

// close ends the collection of the open batch.
func (m *Mapping) close() {
	b := m.open
	m.open = nil
	m.enqueue(b)
}

// enqueue has a complete batch run when a poller is free.
func (m *Mapping) enqueue(b *batch) {
	m.batches[b.id] = b
	m.waiting = append(m.waiting, b)
}

// run runs a batch, unless its messages have become visible to others while it waited.
func (m *Mapping) run(b *batch) {
	if b.until <= m.now {
		delete(m.batches, b.id)
		m.release(b)
		return
	}
	b.runs = true
	m.running++
	m.do(MappingEffect{Do: Invoke, Batch: b.id, Messages: ids(b.messages)})
}

func ids(messages []Message) []MessageID {
	list := make([]MessageID, len(messages))
	for i, x := range messages {
		list[i] = x.ID
	}
	return list
}

// release lets go of the messages of a batch and of those that were to follow it: they become
// visible again in their time.
func (m *Mapping) release(b *batch) {
	for ; b != nil; b = b.next {
		m.do(MappingEffect{Do: Release, Batch: b.id, Messages: ids(b.messages)})
	}
}

// answered decides what becomes of a batch that was run.
func (m *Mapping) answered(in MappingInput) {
	b := m.batches[in.batch]
	if b == nil || !b.runs {
		m.stale++
		return
	}
	b.runs = false
	m.running--
	if in.result == Refused {
		m.refused(b)
		return
	}
	delete(m.batches, b.id)
	if in.result != Succeeded {
		m.backOff(time.Second)
		m.release(b)
		return
	}
	m.relieve()
	failed := make(map[MessageID]bool, len(in.failed))
	for _, id := range in.failed {
		failed[id] = true
	}
	var done, left []MessageID
	for _, x := range b.messages {
		if failed[x.ID] {
			left = append(left, x.ID)
		} else {
			done = append(done, x.ID)
		}
	}
	if len(done) > 0 {
		m.do(MappingEffect{Do: Delete, Batch: b.id, Messages: done})
	}
	if len(left) > 0 {
		m.do(MappingEffect{Do: Release, Batch: b.id, Messages: left})
	}
	switch {
	case b.next == nil:
	case m.config.Enabled && len(left) == 0:
		m.enqueue(b.next)
	default:
		m.release(b.next)
	}
}

// refused has a throttled batch tried again after a while, unless its messages would be
// visible to others by then.
func (m *Mapping) refused(b *batch) {
	b.refusals++
	wait := min(backoff(b.refusals), 30*time.Second)
	m.backOff(wait)
	b.again = m.now.Add(wait)
	if !m.config.Enabled || b.again >= b.until {
		delete(m.batches, b.id)
		m.release(b)
		return
	}
	i := len(m.resting)
	for i > 0 && m.resting[i-1].again > b.again {
		i--
	}
	m.resting = append(m.resting, nil)
	copy(m.resting[i+1:], m.resting[i:])
	m.resting[i] = b
}

// relieve has the throttled batch that is due first tried again at once: what has just
// succeeded has left room for it.
func (m *Mapping) relieve() {
	if len(m.resting) > 0 {
		m.waiting = append(m.waiting, m.resting[0])
		m.resting = m.resting[1:]
	}
}

// backOff halves the pollers, and lets them grow again only after a while.
func (m *Mapping) backOff(wait time.Duration) {
	if m.now < m.hurt { // one of many that failed together
		m.hurt = max(m.hurt, m.now.Add(wait))
		return
	}
	m.hurt = m.now.Add(wait)
	m.pollers = max(m.pollers/2, min(2, m.most()))
	m.trim()
}

// shrink gives up a poller that found nothing.
func (m *Mapping) shrink() {
	m.pollers = max(m.pollers-1, m.least())
}

// trim stops receives that are too many.
func (m *Mapping) trim() {
	for id := m.last; m.busy() > m.pollers && len(m.receives) > 0 && id > 0; id-- {
		if _, ok := m.receives[id]; ok {
			delete(m.receives, id)
			m.stopped[id] = struct{}{}
			m.do(MappingEffect{Do: StopReceive, Receive: id})
		}
	}
}

// growth is the time in which one more poller may come.
func (m *Mapping) growth() time.Duration {
	return time.Minute / time.Duration(max(m.config.Scaling.PerMinute, 1))
}

// grow adds a poller, since messages are waiting.
func (m *Mapping) grow() {
	m.grown = m.now
	m.pressed = false
	m.pollers = min(m.pollers+1, m.most())
}
