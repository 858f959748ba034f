package sns

import (
	"container/heap"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/weir-run/weir/store"
)

// Bounds of the deliveries.
const (
	maxWorkers = 64        // attempts at a time
	maxPerLane = 16        // attempts at a time to one subscription
	maxWaiting = 1_000_000 // deliveries that are not settled, some 200 bytes of memory each
)

// A carrier attempts deliveries when they are due: by a bounded number of goroutines, and one
// timer for all that wait.
type carrier struct {
	fanOut  *store.FanOut
	attempt func(ctx context.Context, d store.Delivery) (retry time.Duration, again bool)
	log     *slog.Logger
	ctx     context.Context
	cancel  context.CancelFunc
	timer   *time.Timer
	work    sync.WaitGroup

	mu struct {
		sync.Mutex
		lanes   map[string]*lane
		ready   []*lane // with a delivery to attempt and room for an attempt
		waiting dueHeap
		count   int // deliveries that are not settled
		workers int
		closed  bool
	}
}

// A lane holds the deliveries of one subscription, or of one group of a FIFO topic, which
// keep their order: none is attempted while one before it waits.
type lane struct {
	name    string
	width   int
	queue   []store.Delivery
	running int
	asleep  bool // of width 1: its first delivery waits for its retry
	isReady bool
}

func newCarrier(f *store.FanOut, attempt func(context.Context, store.Delivery) (time.Duration, bool), log *slog.Logger) *carrier {
	c := &carrier{fanOut: f, attempt: attempt, log: log}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.mu.lanes = make(map[string]*lane)
	c.timer = time.AfterFunc(time.Hour, c.wake)
	return c
}

// hasRoom reports whether n more deliveries may wait.
func (c *carrier) hasRoom(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.count+n <= maxWaiting
}

// take takes a delivery up.
func (c *carrier) take(d store.Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.count++
	name, width := laneOf(d.Target)
	if width > 1 && d.Due > time.Now().UnixNano() {
		c.waitLocked(d)
		return
	}
	// In a lane of width 1 even one that is not due keeps its place: when its turn comes it
	// goes to sleep.
	c.enterLocked(c.laneLocked(name, width), d)
}

func (c *carrier) laneLocked(name string, width int) *lane {
	l := c.mu.lanes[name]
	if l == nil {
		l = &lane{name: name, width: width}
		c.mu.lanes[name] = l
	}
	return l
}

func (c *carrier) enterLocked(l *lane, d store.Delivery) {
	l.queue = append(l.queue, d)
	c.readyLocked(l)
}

// readyLocked notes that a lane may have something to attempt, and sees to a worker.
func (c *carrier) readyLocked(l *lane) {
	if len(l.queue) == 0 && l.running == 0 && !l.asleep {
		delete(c.mu.lanes, l.name)
		return
	}
	if l.isReady || l.asleep || len(l.queue) == 0 || l.running >= l.width || c.mu.closed {
		return
	}
	l.isReady = true
	c.mu.ready = append(c.mu.ready, l)
	if c.mu.workers < maxWorkers {
		c.mu.workers++
		c.work.Go(c.run)
	}
}

// run attempts deliveries until none is ready.
func (c *carrier) run() {
	for {
		l, d, ok := c.next()
		if !ok {
			return
		}
		retry, again := c.attempt(c.ctx, d)
		d.Attempts++
		if again {
			d.Due = time.Now().Add(retry).UnixNano()
		}
		var err error
		switch {
		case c.ctx.Err() != nil && again: // the next start repeats it
		case again:
			err = c.fanOut.Move(context.Background(), d)
		default:
			err = c.fanOut.Settle(context.Background(), d)
		}
		if err != nil {
			c.log.Error("a delivery of SNS could not be written down", "message", d.Message, "error", err)
		}
		c.finished(l, d, again)
	}
}

// next takes the next delivery to attempt; a lane of width 1 whose first is not due sleeps.
func (c *carrier) next() (*lane, store.Delivery, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.mu.ready) > 0 && !c.mu.closed {
		l := c.mu.ready[0]
		c.mu.ready = c.mu.ready[1:]
		l.isReady = false
		d := l.queue[0]
		l.queue = l.queue[1:]
		if d.Due > time.Now().UnixNano() {
			l.asleep = l.width == 1
			c.waitLocked(d)
			c.readyLocked(l)
			continue
		}
		l.running++
		c.readyLocked(l)
		return l, d, true
	}
	c.mu.workers--
	return nil, store.Delivery{}, false
}

// finished notes that an attempt has ended.
func (c *carrier) finished(l *lane, d store.Delivery, again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.running--
	if again {
		l.asleep = l.width == 1
		c.waitLocked(d)
	} else {
		c.mu.count--
	}
	c.readyLocked(l)
}

func (c *carrier) waitLocked(d store.Delivery) {
	heap.Push(&c.mu.waiting, d)
	c.armLocked()
}

func (c *carrier) armLocked() {
	if len(c.mu.waiting) > 0 && !c.mu.closed {
		c.timer.Reset(time.Duration(c.mu.waiting[0].Due - time.Now().UnixNano()))
	}
}

// wake brings the deliveries that are due back to their lanes.
func (c *carrier) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now().UnixNano()
	for len(c.mu.waiting) > 0 && c.mu.waiting[0].Due <= now {
		d := heap.Pop(&c.mu.waiting).(store.Delivery)
		l := c.laneLocked(laneOf(d.Target))
		if l.asleep {
			l.asleep = false
			l.queue = append([]store.Delivery{d}, l.queue...)
			c.readyLocked(l)
			continue
		}
		c.enterLocked(l, d)
	}
	c.armLocked()
}

// close ends the attempts and waits for those under way.
func (c *carrier) close() {
	c.mu.Lock()
	c.mu.closed = true
	c.mu.Unlock()
	c.timer.Stop()
	c.cancel()
	c.work.Wait()
}

// A dueHeap has the delivery that is due first on top.
type dueHeap []store.Delivery

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].Due < h[j].Due }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(store.Delivery)) }
func (h *dueHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
