// Package tally counts, in a file that many processes map, how many of them work at the same
// time.
package tally

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// A Tally is the page of memory that the processes share.
type Tally struct {
	page []byte
	n    *counters
}

type counters struct {
	now, peak, begun, ended atomic.Int64
}

const pageSize = 4096

// Open maps a tally, and makes it where it is missing.
func Open(path string) (*Tally, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, fmt.Errorf("open a tally: %w", err)
	}
	defer f.Close()
	if err := f.Truncate(pageSize); err != nil {
		return nil, fmt.Errorf("open a tally: %w", err)
	}
	page, err := syscall.Mmap(int(f.Fd()), 0, pageSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map a tally: %w", err)
	}
	return &Tally{page, (*counters)(unsafe.Pointer(&page[0]))}, nil
}

// Begin counts one more at work.
func (t *Tally) Begin() {
	t.n.begun.Add(1)
	now := t.n.now.Add(1)
	for peak := t.n.peak.Load(); now > peak && !t.n.peak.CompareAndSwap(peak, now); {
		peak = t.n.peak.Load()
	}
}

// End counts one less at work.
func (t *Tally) End() {
	t.n.ended.Add(1)
	t.n.now.Add(-1)
}

// A Count is what a tally says at one moment.
type Count struct{ Now, Peak, Begun, Ended int64 }

// Count reads the tally.
func (t *Tally) Count() Count {
	return Count{t.n.now.Load(), t.n.peak.Load(), t.n.begun.Load(), t.n.ended.Load()}
}

// Close unmaps the tally; its file stays.
func (t *Tally) Close() error { return syscall.Munmap(t.page) }
