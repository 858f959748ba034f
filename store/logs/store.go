package logs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-run/weir/lambda"
)

// DefaultMaxBytes is the disk space that all log groups of a server take together by default.
// When they take more, the oldest segments are removed.
const DefaultMaxBytes = 4 << 30

// Options say where the logs are kept and who is told of them.
type Options struct {
	Dir      string // made when the first event is written
	MaxBytes int64  // of all segments together; 0: DefaultMaxBytes

	// Tell is called with every batch of events that was written, one at a time for each
	// group. The events and their messages are its only during the call.
	Tell func(Batch)

	Logger *slog.Logger // receives what background work failed at; nil: slog.Default()
}

// A GroupID names a log group.
type GroupID struct {
	Scope lambda.Scope
	Name  string
}

// An Event is one message of a log stream. Times are milliseconds since 1970.
type Event struct {
	Time     int64
	Ingested int64
	Message  []byte

	Stream string // set by Read
	at     position
}

// ID returns what no other event of its group has: 56 digits that sort by time.
func (e *Event) ID() string { return e.at.String() }

// A Batch is events of one stream.
type Batch struct {
	Group  GroupID
	Stream string
	Events []Event
}

// A Stream describes a log stream. Times are milliseconds since 1970.
type Stream struct {
	Name      string
	Created   int64
	HasEvents bool
	First     int64 // of its events
	Last      int64
	Ingested  int64 // the last event's ingestion
}

// What an operation on a group or stream may fail with.
var (
	ErrGone     = errors.New("the log group was removed")
	ErrExists   = errors.New("the log stream exists")
	ErrNoStream = errors.New("the log stream does not exist")
)

// A Store keeps log groups.
type Store struct {
	opt     Options
	maxRead int64        // MaxRead, but in tests
	pending atomic.Int64 // bytes in writers
	written atomic.Int64 // bytes since the last sweep
	wake    chan struct{}
	stop    chan struct{}
	done    sync.WaitGroup
	closed  sync.Once

	mu struct {
		sync.Mutex
		groups map[GroupID]*group
		dirty  map[GroupID][]*Writer
	}
}

// Open returns the store of a directory and starts the goroutine that writes what the Writers
// took.
func Open(o Options) (*Store, error) {
	if o.Dir == "" {
		return nil, errors.New("open the logs: no directory given")
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Store{opt: o, maxRead: MaxRead, wake: make(chan struct{}, 1), stop: make(chan struct{})}
	s.mu.groups = make(map[GroupID]*group)
	s.mu.dirty = make(map[GroupID][]*Writer)
	if err := s.clearTrash(); err != nil {
		return nil, fmt.Errorf("open the logs: %w", err)
	}
	s.done.Go(s.run)
	return s, nil
}

// Close writes what the Writers took and ends the store. It is idempotent.
func (s *Store) Close() error {
	var err error
	s.closed.Do(func() {
		close(s.stop)
		s.done.Wait()
		s.flushAll()
		for _, g := range s.all() {
			g.mu.Lock()
			err = errors.Join(err, g.seal())
			g.mu.Unlock()
		}
	})
	return err
}

func (s *Store) all() []*group {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*group, 0, len(s.mu.groups))
	for _, g := range s.mu.groups {
		all = append(all, g)
	}
	return all
}

func (s *Store) group(id GroupID) *group {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.mu.groups[id]
	if !ok {
		g = &group{id: id, written: &s.written, log: s.opt.Logger, dir: filepath.Join(s.opt.Dir, id.Scope.Account, id.Scope.Region, dirName(id.Name))}
		s.mu.groups[id] = g
	}
	return g
}

// use calls f with a group, loaded and with everything written that its Writers took.
func (s *Store) use(id GroupID, f func(g *group) error) error {
	g := s.group(id)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.load(); err != nil {
		return err
	}
	s.flushLocked(g)
	return f(g)
}

// Put writes events of a stream, durably when it returns. The stream must exist. They are told
// in the order in which they are given.
func (s *Store) Put(id GroupID, name string, events []Event) error {
	now := time.Now().UnixMilli()
	return s.use(id, func(g *group) error {
		st, ok := g.streams[name]
		if !ok {
			return ErrNoStream
		}
		seg, err := g.append(name, st.created, events, now)
		if err != nil {
			return err
		}
		if err := g.sync(seg); err != nil {
			return err
		}
		s.tell(g, name, events)
		return nil
	})
}

func (s *Store) tell(g *group, name string, events []Event) {
	if s.opt.Tell != nil && len(events) > 0 {
		s.opt.Tell(Batch{g.id, name, events})
	}
}

// CreateStream makes a stream, durably when it returns.
func (s *Store) CreateStream(id GroupID, name string) error {
	now := time.Now().UnixMilli()
	return s.use(id, func(g *group) error {
		if _, ok := g.streams[name]; ok {
			return ErrExists
		}
		seg, err := g.append(name, now, nil, now)
		if err != nil {
			return err
		}
		return g.sync(seg)
	})
}

// DeleteStream removes a stream and hides its events, durably when it returns. Their disk
// space is free when their segments are removed.
func (s *Store) DeleteStream(id GroupID, name string) error {
	return s.use(id, func(g *group) error {
		if _, ok := g.streams[name]; !ok {
			return ErrNoStream
		}
		seg, err := g.room(time.Now().UnixMilli())
		if err != nil {
			return err
		}
		line := appendGone(nil, name)
		if err := g.write(seg, line); err != nil {
			return err
		}
		seg.size += int64(len(line))
		g.forget(name)
		return g.sync(seg)
	})
}

// Streams returns the streams of a group in the order of their names.
func (s *Store) Streams(id GroupID) (streams []Stream, err error) {
	err = s.use(id, func(g *group) error {
		streams = g.list()
		return nil
	})
	return streams, err
}

// HasStream reports whether a group has a stream.
func (s *Store) HasStream(id GroupID, name string) (has bool, err error) {
	err = s.use(id, func(g *group) error {
		_, has = g.streams[name]
		return nil
	})
	return has, err
}

// Bytes returns the disk space of a group.
func (s *Store) Bytes(id GroupID) (n int64, err error) {
	err = s.use(id, func(g *group) error {
		for _, seg := range g.segments {
			n += seg.size
		}
		return nil
	})
	return n, err
}

// SetRetention hides events of a group that are older than d, and removes their segments; 0
// keeps them for ever. It is not stored: the owner of the group's settings says it at start.
func (s *Store) SetRetention(id GroupID, d time.Duration) {
	g := s.group(id)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.retention = d.Milliseconds()
}

const trash = "removed-"

// Remove removes a group with everything in it.
func (s *Store) Remove(id GroupID) error {
	g := s.group(id)
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.seal()
	g.removed = true
	s.discardAll(id)
	s.mu.Lock()
	delete(s.mu.groups, id)
	s.mu.Unlock()
	// The name goes in one step: a crash leaves the group whole or none of it.
	away := filepath.Join(s.opt.Dir, trash+fmt.Sprint(time.Now().UnixNano()))
	switch renamed := os.Rename(g.dir, away); {
	case errors.Is(renamed, os.ErrNotExist):
		return err
	case renamed != nil:
		return errors.Join(err, fmt.Errorf("remove a log group: %w", renamed))
	}
	if gone := os.RemoveAll(away); gone != nil {
		err = errors.Join(err, fmt.Errorf("remove a log group: %w", gone))
	}
	return err
}

// clearTrash ends the removals that a crash interrupted.
func (s *Store) clearTrash() error {
	entries, err := os.ReadDir(s.opt.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), trash) {
			if err := os.RemoveAll(filepath.Join(s.opt.Dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxDirName is the longest directory name in bytes; a longer group's begins with its name and
// ends with a digest.
const maxDirName = 200

// dirName returns the directory of a group.
func dirName(group string) string {
	name := strings.ReplaceAll(group, "/", "+")
	if strings.HasPrefix(name, ".") {
		name = "," + name[1:]
	}
	if len(name) <= maxDirName {
		return name
	}
	return name[:maxDirName-len(digest(group))-1] + "," + digest(group)
}

// digest is a short name of a long text.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}
