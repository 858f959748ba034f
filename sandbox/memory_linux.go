//go:build amd64 || arm64

package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/weir-run/weir/sandbox/seccomp"
)

type addresses struct{ start, end uintptr }

func (s *spawner) newWorker() (*worker, error) {
	page := os.Getpagesize()
	size := (int(unsafe.Sizeof(pidOneMemory{})) + page - 1) / page * page
	data, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("map memory of first processes: %w", err)
	}
	memory := (*pidOneMemory)(unsafe.Pointer(&data[0]))
	start := uintptr(unsafe.Pointer(memory))
	s.shared = append(s.shared, addresses{start, start + uintptr(size)})
	slices.SortFunc(s.shared, func(a, b addresses) int { return cmp.Compare(a.start, b.start) })
	s.filterLen = copy(memory.filter[:], seccomp.Filter())
	// A file of its own for each worker: os.File lets one read at a time.
	fd, err := unix.FcntlInt(s.control.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate control socket: %w", err)
	}
	return &worker{newPacketConn(os.NewFile(uintptr(fd), "control")), memory}, nil
}

// keepMemory keeps the spawner's writable memory from its children, but for the memory of
// first processes. It saves more than their copy: every page that a fork shares is copied
// again when the spawner next writes to it, which interrupts all its threads.
func (s *spawner) keepMemory() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.forks = 0
	file, err := s.openProc("self/maps")
	if err != nil {
		return err
	}
	defer file.Close()
	maps, err := io.ReadAll(file)
	if err != nil {
		return fmt.Errorf("read memory map: %w", err)
	}
	for line := range strings.Lines(string(maps)) {
		var start, end uintptr
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &start, &end, &mode); err != nil {
			return fmt.Errorf("parse memory map: %w", err)
		}
		if mode != "rw-p" {
			continue
		}
		if err := s.keepBetween(start, end); err != nil {
			return err
		}
	}
	return nil
}

// keepBetween keeps a range of addresses from children, but for what they share.
func (s *spawner) keepBetween(start, end uintptr) error {
	for _, m := range s.shared {
		if m.start >= end || m.end <= start {
			continue
		}
		if err := advise(start, m.start, unix.MADV_DONTFORK); err != nil {
			return err
		}
		start = min(m.end, end)
	}
	return advise(start, end, unix.MADV_DONTFORK)
}

func advise(start, end uintptr, advice int) error {
	if start >= end {
		return nil
	}
	if _, _, errno := unix.Syscall(unix.SYS_MADVISE, start, end-start, uintptr(advice)); errno != 0 {
		return fmt.Errorf("advise on memory: %w", errno)
	}
	return nil
}

// shareThread gives the children of the calling thread the pages about the thread pointer: the
// C library, if there is one, has registered a struct there that the kernel writes to (rseq).
func shareThread() error {
	page := uintptr(os.Getpagesize())
	thread := threadPointer() &^ (page - 1)
	err := advise(thread-page, thread+2*page, unix.MADV_DOFORK)
	if errors.Is(err, unix.ENOMEM) { // not all of it need be mapped
		return nil
	}
	return err
}

// manyForks tells whether keepMemory is due.
func (s *spawner) manyForks() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.forks >= spawnerForks
}
