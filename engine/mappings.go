package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// mappings are the event source mappings that are enabled.
type mappings struct {
	engine *Engine
	mu     struct {
		sync.Mutex
		running map[mappingKey]*mapping
		ended   []*mapping // stopped, perhaps still processing
		closed  bool
	}
}

type mappingKey struct {
	scope lambda.Scope
	id    string
}

func newMappings(e *Engine) *mappings {
	s := &mappings{engine: e}
	s.mu.running = make(map[mappingKey]*mapping)
	return s
}

// resume starts the mappings that the catalogue holds. The functions must be known before.
func (s *mappings) resume() {
	snapshot := s.engine.opt.Store.Catalog().Snapshot()
	store.EventSourceMappings.ScanAll(snapshot, func(scope lambda.Scope, id string, _ *lambda.EventSourceMapping) bool {
		s.feed(snapshot, scope, id)
		return true
	})
}

// Source opens the queue that an ARN names. It returns ErrNoSource if there is none.
func (e *Engine) Source(ctx context.Context, arn string) (Source, SourceInfo, error) {
	if e.opt.Source == nil {
		return nil, SourceInfo{}, ErrNoSource
	}
	s, err := e.opt.Source(arn)
	if err != nil {
		return nil, SourceInfo{}, err
	}
	info, err := s.Describe(ctx)
	return s, info, err
}

// feed makes a mapping work as the catalogue says, and brings its state forward.
func (s *mappings) feed(snapshot *store.Snapshot, scope lambda.Scope, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return
	}
	key := mappingKey{scope, id}
	r, ok := store.EventSourceMappings.Get(snapshot, scope, id)
	switch {
	case !ok || r.State == lambda.MappingDisabling || r.State == lambda.MappingDisabled || r.State == lambda.MappingDeleting:
		s.stopLocked(key)
	default:
		s.startLocked(key, r)
	}
	if ok {
		if next, more := r.State.Next(); more {
			s.engine.work.Go(func() { s.advance(key, r.State, next) })
		}
	}
}

func (s *mappings) startLocked(key mappingKey, r *lambda.EventSourceMapping) {
	m := s.mu.running[key]
	if m == nil {
		source, err := s.engine.opt.Source(r.Source)
		if err != nil {
			s.engine.opt.Logger.Error("open the queue of an event source mapping", "mapping", r.ID, "queue", r.Source, "error", err)
			return
		}
		m = newMapping(s.engine, key.scope, source)
		s.mu.running[key] = m
	}
	if err := m.configure(r, true); err != nil {
		s.engine.opt.Logger.Error("event source mapping", "mapping", r.ID, "error", err)
	}
}

func (s *mappings) stopLocked(key mappingKey) {
	m := s.mu.running[key]
	if m == nil {
		return
	}
	delete(s.mu.running, key)
	m.stop()
	var left []*mapping
	for _, x := range append(s.mu.ended, m) {
		if !x.drained() {
			left = append(left, x)
		}
	}
	s.mu.ended = left
}

// advance brings a mapping into the state that follows, unless it has changed meanwhile.
func (s *mappings) advance(key mappingKey, from, next lambda.MappingState) {
	err := s.engine.opt.Store.Catalog().Update(s.engine.ctx, func(tx *store.Tx) error {
		now, ok := store.EventSourceMappings.Get(tx, key.scope, key.id)
		switch {
		case !ok || now.State != from:
		case from == lambda.MappingDeleting:
			store.EventSourceMappings.Delete(tx, key.scope, key.id)
		default:
			changed := *now
			changed.State = next
			store.EventSourceMappings.Put(tx, key.scope, key.id, &changed)
		}
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		s.engine.opt.Logger.Error("event source mapping", "mapping", key.id, "state", from, "error", err)
	}
}

// stop stops all mappings for good.
func (s *mappings) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.closed = true
	for key := range s.mu.running {
		s.stopLocked(key)
	}
}

// drain stops all mappings and waits until nothing is being processed, or for as long as the
// context allows.
func (s *mappings) drain(ctx context.Context) {
	s.stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		s.mu.Lock()
		busy := false
		for _, m := range s.mu.ended {
			busy = busy || !m.drained()
		}
		s.mu.Unlock()
		if !busy {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// wait returns when the goroutines of all mappings have ended.
func (s *mappings) wait() {
	s.mu.Lock()
	ended := s.mu.ended
	s.mu.Unlock()
	for _, m := range ended {
		m.work.Wait()
	}
}
