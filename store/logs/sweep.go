package logs

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	sweepEvery = time.Minute
	sweepShare = 64 // of MaxBytes: after so much was written there is a sweep at once
	idleClose  = time.Minute

	// future is how far an event's time may be ahead of its arrival (AWS: PutLogEvents).
	future = 2 * time.Hour
)

// A file is a segment as the sweep finds it on the disk.
type file struct {
	path    string
	size    int64
	written time.Time
}

// sweep removes segments whose events have all expired, and then the oldest ones while all take
// more than they may. It closes what has not been written to for a while.
func (s *Store) sweep(now time.Time) {
	s.written.Store(0)
	byDir := make(map[string]*group)
	for _, g := range s.all() {
		byDir[g.dir] = g
		g.mu.Lock()
		if g.file != nil && now.Sub(time.UnixMilli(g.used)) > idleClose {
			s.warn(g.seal())
		}
		g.mu.Unlock()
	}
	files, total := s.files()
	slices.SortFunc(files, func(a, b file) int {
		return cmp.Or(a.written.Compare(b.written), cmp.Compare(a.path, b.path))
	})
	for _, f := range files {
		g := byDir[filepath.Dir(f.path)]
		if total <= s.opt.MaxBytes && !expired(g, f, now) {
			continue
		}
		if err := removeSegment(g, f.path); err != nil {
			s.warn(err)
			continue
		}
		total -= f.size
	}
}

func (s *Store) warn(err error) {
	if err != nil {
		s.opt.Logger.Error("cleaning up the logs", "err", err)
	}
}

// expired reports whether all events of a segment are older than its group keeps them.
func expired(g *group, f file, now time.Time) bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	keep := time.Duration(g.retention) * time.Millisecond
	return keep > 0 && now.Sub(f.written) > keep+future
}

// files returns all segments of the store, and their size.
func (s *Store) files() (files []file, total int64) {
	err := filepath.WalkDir(s.opt.Dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case d.IsDir() || filepath.Ext(path) != ".log":
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		files = append(files, file{path, info.Size(), info.ModTime()})
		total += info.Size()
		return nil
	})
	s.warn(err)
	return files, total
}

// removeSegment removes a segment, of a group that is in use or of one that is not. In a group
// that is loaded it must be the first one, which it is by its time: the others keep their place
// until the next sweep.
func removeSegment(g *group, path string) error {
	if g == nil {
		return os.Remove(path)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.loaded {
		return os.Remove(path)
	}
	if len(g.segments) == 0 || g.segments[0].path != path {
		return nil
	}
	return g.remove(g.segments[0])
}
