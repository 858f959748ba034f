package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options say where a store is and whom it tells of trouble.
type Options struct {
	// Dir is the data directory, made if missing. One process at a time may have it open.
	Dir string

	// FS replaces the host's file system below Dir in tests. Code is unpacked on the
	// host's file system in any case.
	FS vfs.FS

	// Logger receives failures of the engine's background work. nil discards them.
	Logger *slog.Logger

	// Fatal is called once when the store can no longer vouch for its data, above all
	// when an fsync failed: what the disk kept is unknown then, and only the replay of a
	// new start can tell. It should end the process; if it returns, commits keep failing
	// and reads go on. nil prints the error and exits with status 1.
	Fatal func(error)
}

// A Store is an open data directory.
type Store struct {
	dir     *directory
	engine  *engine
	blobs   *Blobs
	catalog *Catalog
	events  *Events
	queues  *Queues
	fanOut  *FanOut
	metrics *Metrics
	closed  sync.Once
	result  error // of Close
}

// Open opens a data directory, and makes it if it is missing. It fails with ErrLocked if
// another process has it open, and with ErrNewer if a later weir has written it.
func Open(o Options) (*Store, error) {
	if o.Dir == "" {
		return nil, errors.New("open the store: no data directory given")
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Fatal == nil {
		o.Fatal = exit
	}
	s, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	return s, nil
}

func open(o Options) (*Store, error) {
	broken := &breakage{fatal: o.Fatal}
	dir, err := openDirectory(syncFS{o.FS, broken.fail}, o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir}
	if s.engine, err = openEngine(dir, o.Logger, broken); err != nil {
		return nil, errors.Join(err, dir.close())
	}
	if s.blobs, err = openBlobs(dir); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if s.catalog, err = openCatalog(s.engine); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.events = openEvents(s.engine)
	if s.queues, err = openQueues(s.engine, s.catalog, o.Logger); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.fanOut = openFanOut(s.engine)
	s.metrics = &Metrics{slot: s.engine}
	return s, nil
}

// Slot returns the store's slot.
func (s *Store) Slot() Slot { return s.engine }

// Blobs returns the store's content-addressed files.
func (s *Store) Blobs() *Blobs { return s.blobs }

// Catalog returns the store's configuration records.
func (s *Store) Catalog() *Catalog { return s.catalog }

// Events returns the store's asynchronous events.
func (s *Store) Events() *Events { return s.events }

// Queues returns the store's message queues.
func (s *Store) Queues() *Queues { return s.queues }

// FanOut returns the store's published messages.
func (s *Store) FanOut() *FanOut { return s.fanOut }

// Metrics returns the store's periods of metrics.
func (s *Store) Metrics() *Metrics { return s.metrics }

// Close waits for the commits and reads under way and gives the directory up. Commits that
// still wait for their turn, and whatever comes later, fail with ErrClosed; snapshots of the
// catalogue stay readable. It must not be called while a blob is put or unpacked, nor from
// within Scan. Close is idempotent.
func (s *Store) Close() error {
	s.closed.Do(func() {
		if s.queues != nil {
			s.queues.close()
		}
		if err := errors.Join(s.engine.close(), s.dir.close()); err != nil {
			s.result = fmt.Errorf("close the store: %w", err)
		}
	})
	return s.result
}

// exit ends the process: there is nothing left that it may acknowledge.
func exit(err error) {
	fmt.Fprintf(os.Stderr, "weir: the data can no longer be trusted to reach the disk, ending: %v\n", err)
	os.Exit(1)
}
