//go:build amd64 || arm64

package sandbox

import (
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	// poolWindow is the time over which demand is counted.
	poolWindow = 5 * time.Second

	// poolQuiet is how long no sandbox may have been started before one is made for a pool,
	// so that it does not take the CPU from a start; poolPatience is how long that is waited
	// for.
	poolQuiet    = 20 * time.Millisecond
	poolPatience = 250 * time.Millisecond

	// poolKeys bounds the pools of prebooted sandboxes.
	poolKeys = 32
)

// pools keep sandboxes that only await their assignment: some with a prebooted process, some
// without a process but the first. How many depends on how many were lately asked for. A
// sandbox leaves its pool once and does not come back.
type pools struct {
	d     *namespaceDriver
	poke  chan struct{} // something has changed
	stop  chan struct{}
	ended chan struct{} // closed when the keeper has ended

	mu struct {
		sync.Mutex
		all       map[string]*pool // by key of the Preboot; "" is ready for any command
		starting  int
		lastStart time.Time
	}
}

type pool struct {
	preboot  *Preboot // nil: ready for any command
	min, max int
	idle     []*namespaceSandbox // the oldest first
	asked    [2]int              // for, in this window and the last
	failed   time.Time           // when making one last failed
}

func openPools(d *namespaceDriver) *pools {
	p := &pools{d: d, poke: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{})}
	o := &d.opts.Pool
	p.mu.all = map[string]*pool{"": {min: o.ReadyMin, max: max(o.ReadyMin, o.ReadyMax)}}
	for _, b := range o.Preboot {
		p.addLocked(&b)
	}
	go p.keep()
	p.changed()
	return p
}

// addLocked makes a pool for a kind of prebooted sandboxes, if there may be one more.
func (p *pools) addLocked(b *Preboot) *pool {
	o := &p.d.opts.Pool
	if len(p.mu.all) > poolKeys {
		return nil
	}
	made := &pool{preboot: b, min: o.PrebootMin, max: max(o.PrebootMin, o.PrebootMax)}
	p.mu.all[b.Key] = made
	return made
}

func (p *pools) changed() {
	select {
	case p.poke <- struct{}{}:
	default: // it will look anyway
	}
}

// take counts a demand and returns a sandbox that can be assigned to a Spec, or nil. started
// must be called when the start is over.
func (p *pools) take(spec *Spec) *namespaceSandbox {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.starting++
	if spec.Egress != p.d.opts.Egress {
		return nil
	}
	if b := spec.Preboot; b != nil && b.fits(spec) {
		of := p.mu.all[b.Key]
		if of == nil {
			of = p.addLocked(b)
		}
		if of != nil {
			if s := of.take(); s != nil {
				return s
			}
		}
	}
	return p.mu.all[""].take()
}

// fits tells whether a process of b can become that of a Spec.
func (b *Preboot) fits(spec *Spec) bool {
	return b.Runtime == spec.Runtime && b.Lang == spec.Lang && assignmentSize(spec.Env) <= maxAssignment
}

func (of *pool) take() *namespaceSandbox {
	of.asked[0]++
	for i, s := range of.idle {
		if s.alive() { // shrink closes the others
			of.idle = slices.Delete(of.idle, i, i+1)
			return s
		}
	}
	return nil
}

// want is how many there should be.
func (of *pool) want() int {
	return min(max(of.min, of.asked[0], of.asked[1]), of.max)
}

func (p *pools) started() {
	p.mu.Lock()
	p.mu.starting--
	p.mu.lastStart = time.Now()
	p.mu.Unlock()
	p.changed()
}

// keep fills and empties the pools until stop.
func (p *pools) keep() {
	defer close(p.ended)
	window := time.NewTicker(poolWindow)
	defer window.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-window.C:
			p.shrink()
		case <-p.poke:
		}
		for of := p.lacking(); of != nil && p.quiet(); of = p.lacking() {
			p.fill(of)
		}
	}
}

// lacking returns a pool that has fewer than it should.
func (p *pools) lacking() *pool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, of := range p.mu.all {
		if len(of.idle) < of.want() && time.Since(of.failed) > poolWindow {
			return of
		}
	}
	return nil
}

// quiet waits for a moment without starts, but not for ever. It returns false on stop.
func (p *pools) quiet() bool {
	for deadline := time.Now().Add(poolPatience); ; {
		p.mu.Lock()
		wait := poolQuiet - time.Since(p.mu.lastStart)
		if p.mu.starting > 0 {
			wait = poolQuiet
		}
		p.mu.Unlock()
		if wait <= 0 || time.Now().After(deadline) {
			return true
		}
		select {
		case <-p.stop:
			return false
		case <-time.After(wait):
		}
	}
}

// fill makes one sandbox for a pool.
func (p *pools) fill(of *pool) {
	s, err := p.d.makeIdle(of.preboot)
	if err != nil && !errors.Is(err, ErrClosed) {
		p.d.opts.Logger.Warn("sandbox: make a sandbox in advance", "error", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		of.failed = time.Now()
		return
	}
	of.idle = append(of.idle, s)
}

// shrink begins a new window and closes what is no longer wanted.
func (p *pools) shrink() {
	var extra []*namespaceSandbox
	p.mu.Lock()
	for key, of := range p.mu.all {
		of.asked = [2]int{0, of.asked[0]}
		alive := slices.DeleteFunc(of.idle, func(s *namespaceSandbox) bool {
			if s.alive() {
				return false
			}
			extra = append(extra, s)
			return true
		})
		keep := min(len(alive), of.want())
		extra = append(extra, alive[keep:]...)
		of.idle = alive[:keep:keep]
		if of.preboot != nil && of.min == 0 && of.asked == [2]int{} {
			delete(p.mu.all, key) // room for another key
		}
	}
	p.mu.Unlock()
	for _, s := range extra {
		if err := s.Close(); err != nil {
			p.d.opts.Logger.Error("sandbox: close an idle sandbox", "error", err)
		}
	}
}

// close ends the keeper. What is idle is closed with the driver.
func (p *pools) close() {
	close(p.stop)
	<-p.ended
}
