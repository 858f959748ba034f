package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	memTableBytes = 64 << 20 // a million queued events reopen in under a second
	cacheBytes    = 32 << 20 // filled on demand
)

// engineFormat is the version of Pebble's own files. It is raised by a decision, never by
// an upgrade of the module.
const engineFormat = pebble.FormatValueSeparation

// sequenceKey holds the number of the last commit, written along with every group.
var sequenceKey = []byte{reserved, 's', 'e', 'q'}

// An engine is the embedded Slot: one Pebble, one goroutine that writes it.
//
// A value is stored behind the eight bytes of its Version, big-endian. That, a read for
// each check and one further small key in each group is what versions cost.
type engine struct {
	db     *pebble.DB
	dir    *directory
	broken *breakage

	queue  chan *request
	stop   chan struct{} // closed by close
	done   chan struct{} // closed when the writer has ended
	closed sync.Once
	result error // of close

	sequence Version // of the last commit; the writer's

	mu struct {
		sync.Mutex
		view *view // nil once closed
	}
	readers sync.WaitGroup // views in use
}

// A view is the state after one group of commits. Pebble shows a batch before its fsync
// has returned; reads go through a view, so they show only what is durable.
type view struct {
	snapshot *pebble.Snapshot
	refs     int // readers, and one while it is the current view
}

func openEngine(dir *directory, log *slog.Logger, broken *breakage) (*engine, error) {
	db, err := pebble.Open(dir.join(slotName), engineOptions(dir.fs, log, broken))
	if err != nil {
		return nil, fmt.Errorf("open the slot in %s: %w", dir.path, err)
	}
	e := &engine{
		db: db, dir: dir, broken: broken,
		queue: make(chan *request, queueRequests),
		stop:  make(chan struct{}),
		done:  make(chan struct{}),
	}
	if e.sequence, err = readSequence(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	e.publish()
	go e.write()
	return e, nil
}

func engineOptions(fs vfs.FS, log *slog.Logger, broken *breakage) *pebble.Options {
	logger := engineLogger{log, broken}
	return &pebble.Options{
		FS:                 fs,
		FormatMajorVersion: engineFormat,
		MemTableSize:       memTableBytes,
		CacheSize:          cacheBytes,
		Logger:             logger,
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { logger.Errorf("in the background: %v", err) },
			// A corrupt block fails the reads that meet it; the others go on.
			DataCorruption: func(info pebble.DataCorruptionInfo) { logger.Errorf("%v", info) },
		},
	}
}

func readSequence(db *pebble.DB) (Version, error) {
	value, closer, err := db.Get(sequenceKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the number of the last commit: %w", err)
	}
	defer closer.Close()
	if len(value) != 8 {
		return 0, fmt.Errorf("the number of the last commit has %d bytes", len(value))
	}
	return Version(binary.BigEndian.Uint64(value)), nil
}

// Get implements Slot.
func (e *engine) Get(key []byte) ([]byte, Version, error) {
	if err := validateKey(key); err != nil {
		return nil, 0, fmt.Errorf("get: %w", err)
	}
	v, err := e.acquire()
	if err != nil {
		return nil, 0, fmt.Errorf("get: %w", err)
	}
	defer e.release(v)
	stored, closer, err := v.snapshot.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("get %.64q: %w", key, err)
	}
	defer closer.Close()
	value, version, err := splitValue(key, stored)
	return append([]byte{}, value...), version, err
}

// Scan implements Slot.
func (e *engine) Scan(lo, hi []byte, limit int, f func(key, value []byte, v Version) bool) error {
	if limit < 1 || limit > MaxScan {
		return fmt.Errorf("scan: limit %d is not in 1..%d", limit, MaxScan)
	}
	v, err := e.acquire()
	if err != nil {
		return fmt.Errorf("scan: %w", err)
	}
	defer e.release(v)
	if len(lo) == 0 || lo[0] == reserved {
		lo = []byte{reserved + 1}
	}
	if len(hi) == 0 {
		hi = nil
	}
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return fmt.Errorf("scan: %w", err)
	}
	defer it.Close() // its error is that of it.Error, below
	for ok := it.First(); ok && limit > 0; ok = it.Next() {
		stored, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("scan at %.64q: %w", it.Key(), err)
		}
		value, version, err := splitValue(it.Key(), stored)
		if err != nil {
			return err
		}
		if !f(it.Key(), value, version) {
			return nil
		}
		limit--
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("scan: %w", err)
	}
	return nil
}

// Epoch implements Slot.
func (e *engine) Epoch() uint64 { return e.dir.epoch }

func splitValue(key, stored []byte) ([]byte, Version, error) {
	if len(stored) < 8 {
		return nil, 0, fmt.Errorf("the value of %.64q has %d bytes and no version", key, len(stored))
	}
	return stored[8:], Version(binary.BigEndian.Uint64(stored)), nil
}

// publish makes what is committed visible.
func (e *engine) publish() {
	next := &view{snapshot: e.db.NewSnapshot(), refs: 1}
	e.readers.Add(1)
	e.mu.Lock()
	last := e.mu.view
	e.mu.view = next
	e.mu.Unlock()
	if last != nil {
		e.release(last)
	}
}

func (e *engine) acquire() (*view, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.view == nil {
		return nil, ErrClosed
	}
	e.mu.view.refs++
	return e.mu.view, nil
}

func (e *engine) release(v *view) {
	e.mu.Lock()
	v.refs--
	last := v.refs == 0
	e.mu.Unlock()
	if last {
		_ = v.snapshot.Close() // returns nil; a second close would panic
		e.readers.Done()
	}
}

// close ends the writer, waits for the reads under way and closes the files. Commits that
// still wait for their turn get ErrClosed. It must not be called from within Scan.
func (e *engine) close() error {
	e.closed.Do(func() {
		close(e.stop)
		<-e.done
		e.mu.Lock()
		last := e.mu.view
		e.mu.view = nil
		e.mu.Unlock()
		e.release(last)
		e.readers.Wait()
		// Flushed, the next open has no log to replay. A broken engine's log must stay.
		if e.broken.err() == nil {
			e.result = e.db.Flush()
		}
		e.result = errors.Join(e.result, e.db.Close())
	})
	return e.result
}
