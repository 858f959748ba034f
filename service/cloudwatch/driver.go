package cloudwatch

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

// A driver owns the machines: it feeds them, and performs their effects one after the other.
type driver struct {
	opt  Options
	now  func() metric.Instant
	wake chan struct{}      // something is queued
	sync chan chan struct{} // closed when all that was queued before is done
	stop chan struct{}
	done chan struct{}

	actions *actions

	ctx      context.Context // ends with stop
	cancel   context.CancelFunc
	hour     metric.Instant // of the last expiry; the loop's
	expiring atomic.Bool
	work     sync.WaitGroup // the expiry under way

	mu struct {
		sync.Mutex
		accounts map[lambda.Scope]*account
	}
}

// An account is a machine with what it wants done.
type account struct {
	scope lambda.Scope

	// commit is held to write while closed periods become stored ones, and to read by who reads
	// both. It is taken before mu.
	commit sync.RWMutex

	mu struct {
		sync.Mutex
		machine *metric.Machine
		queue   []metric.Effect
		writing []metric.Effect                  // flushes under way
		named   map[metric.Key]metric.Instant    // the day on which a metric was last named
		unnamed map[metric.Key]store.NamedMetric // that the store does not know today
	}
}

// An Instant of the machines is the wall clock's.
func wallClock() metric.Instant { return metric.Instant(time.Now().UnixNano()) }

func (d *driver) account(s lambda.Scope) *account {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.mu.accounts[s]
	if a == nil {
		a = &account{scope: s}
		a.mu.machine = metric.New()
		a.mu.named = make(map[metric.Key]metric.Instant)
		a.mu.unnamed = make(map[metric.Key]store.NamedMetric)
		d.mu.accounts[s] = a
	}
	return a
}

// all returns the accounts in order.
func (d *driver) all() []*account {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []*account
	for _, a := range d.mu.accounts {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b *account) int {
		if a.scope.String() < b.scope.String() {
			return -1
		}
		return 1
	})
	return list
}

// step feeds a machine and queues what it wants done.
func (d *driver) step(a *account, inputs ...metric.Input) {
	a.mu.Lock()
	before := len(a.mu.queue)
	now := a.present(d.now())
	for _, in := range inputs {
		a.mu.queue = a.mu.machine.Step(now, in, a.mu.queue)
	}
	more := len(a.mu.queue) > before
	a.mu.Unlock()
	if more {
		d.rouse()
	}
}

// present is the time for an input. A boundary that is due waits for the loop, which hands over
// what the recorder gathered before it passes one. The caller holds mu.
func (a *account) present(now metric.Instant) metric.Instant {
	if due, ok := a.mu.machine.Deadline(); ok {
		now = min(now, due-1)
	}
	return now
}

// tick lets a machine pass the boundaries that are due.
func (d *driver) tick(a *account) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.queue = a.mu.machine.Step(d.now(), metric.Tick(), a.mu.queue)
}

func (d *driver) rouse() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// settle waits until what was queued is done.
func (d *driver) settle(ctx context.Context) error {
	ready := make(chan struct{})
	select {
	case d.sync <- ready:
	case <-d.done:
		return store.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// note notes the name of a metric once a day. The caller holds mu.
func (a *account) note(k metric.Key, m metric.Metric, now metric.Instant) {
	k = k.Metric()
	day := metric.Floor(now, 24*time.Hour)
	if a.mu.named[k] == day {
		return
	}
	a.mu.named[k] = day
	a.mu.unnamed[k] = store.NamedMetric{Scope: a.scope, Metric: m, Last: now}
}

// drain hands the recorder's datapoints to the machines.
func (d *driver) drain() {
	d.opt.Recorder.Drain(func(s *store.Series, start metric.Instant, set *metric.Set) {
		a := d.account(s.Scope)
		a.mu.Lock()
		a.note(s.Key, s.Metric, d.now())
		a.mu.queue = a.mu.machine.Step(a.present(d.now()), metric.Put(s.Key, start, set, false), a.mu.queue)
		a.mu.Unlock()
	})
}

// loop works until stop.
func (d *driver) loop() {
	defer close(d.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var waiting chan struct{}
		select {
		case <-timer.C:
			d.drain()
			for _, a := range d.all() {
				d.tick(a)
			}
		case <-d.wake:
		case waiting = <-d.sync:
		case <-d.stop:
			d.finish()
			return
		}
		d.performAll()
		if waiting != nil {
			close(waiting)
		}
		d.expire()
		timer.Reset(time.Duration(d.deadline() - d.now()))
	}
}

// deadline is when the loop must look again: at the machines' boundaries, each minute at least.
func (d *driver) deadline() metric.Instant {
	now := d.now()
	at := metric.Floor(now-metric.Instant(metric.Lag), time.Minute).Add(time.Minute + metric.Lag)
	for _, a := range d.all() {
		a.mu.Lock()
		if x, ok := a.mu.machine.Deadline(); ok {
			at = min(at, x)
		}
		a.mu.Unlock()
	}
	return max(at, now)
}

// performAll works off the queues, also what is queued meanwhile.
func (d *driver) performAll() {
	for _, a := range d.all() {
		for d.perform(a) {
		}
	}
}

// perform does what an account's queue holds, flushes first: what is loaded must be stored.
func (d *driver) perform(a *account) bool {
	a.mu.Lock()
	queue := a.mu.queue
	a.mu.queue = nil
	var others []metric.Effect
	for _, e := range queue {
		if e.Do == metric.Flush {
			a.mu.writing = append(a.mu.writing, e)
		} else {
			others = append(others, e)
		}
	}
	a.mu.Unlock()
	if len(queue) == 0 {
		return false
	}
	d.write(a)
	for _, e := range others {
		switch e.Do {
		case metric.Load:
			d.load(a, e)
		case metric.Transition:
			d.transition(a, e)
		case metric.Persist:
			d.persist(a, e)
		}
	}
	return true
}

// write stores closed periods and new names. What cannot be stored stays, to be tried with the
// next minute's, up to maxUnwritten.
func (d *driver) write(a *account) {
	a.mu.Lock()
	flushes := a.mu.writing
	var names []store.NamedMetric
	for _, n := range a.mu.unnamed {
		names = append(names, n)
	}
	clear(a.mu.unnamed)
	a.mu.Unlock()
	ctx := context.Background()
	if len(names) > 0 {
		if err := d.opt.Store.Metrics().Name(ctx, names); err != nil {
			d.opt.Logger.Error("the names of metrics were not stored", "error", err)
			a.mu.Lock()
			for _, n := range names {
				delete(a.mu.named, metric.KeyOf(n.Scope, n.Metric, metric.AnyUnit))
			}
			a.mu.Unlock()
		}
	}
	if len(flushes) == 0 {
		return
	}
	periods := make([]store.StoredPeriod, len(flushes))
	for i, e := range flushes {
		periods[i] = store.StoredPeriod{Key: e.Key, Period: e.Period}
	}
	a.commit.Lock()
	defer a.commit.Unlock()
	stored, err := d.opt.Store.Metrics().Write(ctx, periods)
	left := flushes[stored:]
	if err != nil && len(left) < maxUnwritten {
		d.opt.Logger.Error("metrics were not stored; they are kept for the next minute", "periods", len(left), "error", err)
	} else if err != nil {
		d.opt.Logger.Error("metrics are lost", "periods", len(left), "error", err)
		left = nil
	}
	a.mu.Lock()
	a.mu.writing = left
	a.mu.Unlock()
}

// maxUnwritten bounds the periods that wait for a disk that takes none.
const maxUnwritten = 1_000_000

// load reads what an alarm looks back on. While the queue holds periods of the metric it waits
// behind them.
func (d *driver) load(a *account, e metric.Effect) {
	var closed []metric.Period
	keep := func(p *metric.Period) {
		c := *p
		c.Set = p.Set.Clone()
		closed = append(closed, c)
	}
	now, metrics := d.now(), d.opt.Store.Metrics()
	var err error
	if e.Fine {
		err = metrics.Read(e.Key, time.Second, e.From, now+1, keep)
	}
	if err == nil && len(closed) == 0 {
		err = metrics.Read(e.Key, time.Minute, e.From, now+1, keep)
	}
	if err != nil {
		d.opt.Logger.Error("an alarm does not see what was measured before", "error", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if slices.ContainsFunc(a.mu.queue, func(x metric.Effect) bool { return x.Do == metric.Flush && x.Key == e.Key }) {
		a.mu.queue = append(a.mu.queue, e)
		return
	}
	for _, x := range a.mu.writing { // that could not be stored
		if x.Key == e.Key {
			closed = append(closed, x.Period)
		}
	}
	a.mu.queue = a.mu.machine.Step(a.present(now), metric.Loaded(e.Key, closed), a.mu.queue)
}

// expire drops old periods at the start and each hour, beside the loop: it may take a while.
func (d *driver) expire() {
	hour := metric.Floor(d.now(), time.Hour)
	if hour == d.hour || !d.expiring.CompareAndSwap(false, true) {
		return
	}
	d.hour = hour
	d.work.Go(func() {
		defer d.expiring.Store(false)
		if err := d.opt.Store.Metrics().Expire(d.ctx, d.now()); err != nil && d.ctx.Err() == nil {
			d.opt.Logger.Error("old metrics were not dropped", "error", err)
		}
	})
	// Names are noted anew each day; what was not measured since is forgotten here.
	for _, a := range d.all() {
		a.mu.Lock()
		for k, at := range a.mu.named {
			if at.Add(24*time.Hour) <= d.now() {
				delete(a.mu.named, k)
			}
		}
		a.mu.Unlock()
	}
}

// finish stores all that is open.
func (d *driver) finish() {
	d.drain()
	for _, a := range d.all() {
		a.mu.Lock()
		a.mu.queue = a.mu.machine.Close(a.mu.queue)
		a.mu.Unlock()
	}
	d.performAll()
}

// newDriver starts a driver on what the catalogue holds.
func newDriver(opt Options) *driver {
	d := &driver{
		opt: opt, now: wallClock, hour: -1,
		wake: make(chan struct{}, 1), sync: make(chan chan struct{}),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.mu.accounts = make(map[lambda.Scope]*account)
	d.actions = newActions(opt, d.now)
	s := opt.Store.Catalog().Subscribe(d.told)
	alarmKind.ScanAll(s, func(scope lambda.Scope, name string, r *alarmRecord) bool {
		d.known(scope, s, name, r)
		return true
	})
	go d.loop()
	return d
}

// told hears of every change of the catalogue, in order.
func (d *driver) told(s *store.Snapshot, changes []store.Change) {
	for _, c := range changes {
		if c.Kind != alarmKind.Name {
			continue
		}
		if c.Deleted {
			d.step(d.account(c.Scope), metric.DeleteAlarm(c.Name))
			continue
		}
		if r, ok := alarmKind.Get(s, c.Scope, c.Name); ok {
			d.known(c.Scope, s, c.Name, r)
		}
	}
}

// known makes a machine know an alarm.
func (d *driver) known(scope lambda.Scope, s store.Reader, name string, r *alarmRecord) {
	alarm, err := r.alarm(scope, name)
	if err != nil {
		d.opt.Logger.Error("an alarm cannot be evaluated", "alarm", name, "error", err)
		return
	}
	if st, ok := stateKind.Get(s, scope, name); ok {
		alarm.State, _ = metric.ParseState(st.State)
	}
	d.step(d.account(scope), metric.PutAlarm(alarm))
}

// close ends the loop and the actions.
func (d *driver) close() {
	close(d.stop)
	d.cancel()
	<-d.done
	d.work.Wait()
	d.actions.close()
}
