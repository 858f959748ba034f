//go:build amd64 || arm64

package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/weir-run/weir/sandbox/cgroup"
	"github.com/weir-run/weir/sandbox/seccomp"
)

// The spawner is a second process of the server's program. It holds what sandboxes have in
// common, the root that they see, and makes their first processes by forking itself, which
// its small memory keeps cheap. It shares nothing else with the server, so the forked copies
// know no secret: a sandbox's command and variables go to its first process directly.

const (
	spawnerArg     = "weir-sandbox-spawner" // its argv[0]
	spawnerFD      = 3                      // its end of the socket pair
	spawnerWorkers = 4                      // threads that make sandboxes side by side
	spawnerGC      = 25                     // percent of garbage: the heap stays near 1 MB
	spawnerForks   = 100                    // between two calls of keepMemory
)

// Reexec takes the process over, and does not return, if it was started as a driver's helper.
// A program that opens a Driver calls it at the very beginning of main (a test program, of
// TestMain).
func Reexec() {
	if os.Args[0] != spawnerArg {
		return
	}
	if err := runSpawner(); err != nil {
		fmt.Fprintln(os.Stderr, "weir sandbox spawner:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A spawner makes and kills first processes.
type spawner struct {
	control   *os.File
	proc      *os.File // the host's /proc
	host      *os.File // the mount namespace with the host's files
	hostNet   *os.File
	home      []*os.File // tasks files of the groups that threads return to
	null      *os.File
	filterLen int

	root  *os.File // the mount namespace that has the common root, set up by opSetup
	user  bool
	masks [maxMasks]procMask

	freezers string // where groups of the version 1 freezer are, or ""

	mu struct {
		sync.Mutex
		cells  map[uint64]*cell
		shared []addresses  // with children, in order; see share
		forks  int          // since keepMemory
		pids   map[int]bool // first processes that have not been reaped
	}
}

// A cell is what the spawner knows of a sandbox.
type cell struct {
	mounts *os.File
	net    *os.File // nil in the host's network
}

func runSpawner() error {
	// The server decides when this process ends; a terminal's signals are meant for it. They
	// are caught, not ignored, because commands would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	debug.SetGCPercent(spawnerGC)
	s, err := newSpawner()
	if err != nil {
		return err
	}
	go s.reap()
	if err := s.setup(); err != nil {
		return err
	}
	var all [spawnerWorkers]*worker
	for i := range all {
		if all[i], err = s.newWorker(); err != nil {
			return err
		}
	}
	debug.FreeOSMemory() // what starting up has left
	var workers sync.WaitGroup
	errs := make([]error, len(all))
	for i, w := range all {
		workers.Go(func() { errs[i] = s.work(w) })
	}
	workers.Wait()
	s.killAll()
	return errors.Join(errs...)
}

func newSpawner() (*spawner, error) {
	unix.CloseOnExec(spawnerFD)
	raiseFileLimit()
	unix.Umask(0o022) // the commands inherit it
	s := &spawner{control: os.NewFile(spawnerFD, "control")}
	s.mu.cells, s.mu.pids = make(map[uint64]*cell), make(map[int]bool)
	var err error
	open := func(name string, flags int) *os.File {
		var f *os.File
		if err == nil {
			f, err = os.OpenFile(name, flags, 0)
		}
		return f
	}
	s.proc = open("/proc", unix.O_PATH)
	s.host = open("/proc/self/ns/mnt", 0)
	s.hostNet = open("/proc/self/ns/net", 0)
	s.null = open("/dev/null", os.O_RDWR)
	if err == nil {
		s.home, err = cgroup.Home()
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func raiseFileLimit() {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		l.Cur = l.Max
		unix.Setrlimit(unix.RLIMIT_NOFILE, &l)
	}
}

func (s *spawner) answer(req request, err error, files []*os.File) {
	r := reply{Number: req.Number}
	if err != nil {
		r.Error = err.Error()
	}
	s.send(r, files)
}

// send reports to the server. If the server is gone, serve notices.
func (s *spawner) send(r reply, files []*os.File) {
	if err := sendJSON(s.control, r, files); err != nil && !errors.Is(err, unix.EPIPE) {
		fmt.Fprintln(os.Stderr, "weir sandbox spawner:", err)
	}
}

// setup takes the first request and builds the common root.
func (s *spawner) setup() error {
	var req request
	files, err := newPacketConn(s.control).receive(&req)
	if err != nil {
		return err
	}
	closeAll(files)
	if req.Op != opSetup || req.Setup == nil {
		return fmt.Errorf("%q came before the setup", req.Op)
	}
	s.user, s.freezers = req.Setup.User, req.Setup.Freezers
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		var err error
		s.root, err = s.buildRoot(req.Setup)
		done <- err
	}()
	err = <-done
	s.masks = presentMasks()
	s.answer(req, err, nil)
	return err
}

type addresses struct{ start, end uintptr }

// A worker is a thread that obeys requests.
type worker struct {
	conn   *packetConn
	memory *pidOneMemory // of the first processes that it forks
}

func (s *spawner) newWorker() (*worker, error) {
	data, err := unix.Mmap(-1, 0, int(unsafe.Sizeof(pidOneMemory{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("map memory of first processes: %w", err)
	}
	// A file of its own for each worker: os.File lets one read at a time.
	fd, err := unix.FcntlInt(s.control.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate control socket: %w", err)
	}
	w := &worker{newPacketConn(os.NewFile(uintptr(fd), "control")), (*pidOneMemory)(unsafe.Pointer(&data[0]))}
	s.filterLen = copy(w.memory.filter[:], seccomp.Filter())
	return w, nil
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
		for _, m := range s.mu.shared {
			if m.start >= end || m.end <= start {
				continue
			}
			if err := advise(start, m.start, unix.MADV_DONTFORK); err != nil {
				return err
			}
			start = min(m.end, end)
		}
		if err := advise(start, end, unix.MADV_DONTFORK); err != nil {
			return err
		}
	}
	for _, m := range s.mu.shared {
		err := advise(m.start, m.end, unix.MADV_DOFORK)
		if err != nil && !errors.Is(err, unix.ENOMEM) { // not all of it need be mapped
			return err
		}
	}
	return nil
}

func advise(start, end uintptr, advice int) error {
	if start >= end {
		return nil
	}
	if _, _, errno := unix.Syscall(unix.SYS_MADVISE, start, end-start, uintptr(advice)); errno != 0 {
		return fmt.Errorf("keep memory: %w", errno)
	}
	return nil
}

// share enters what children of the calling thread need: the memory of the first process, and
// the pages about the thread pointer, where the C library, if there is one, has registered a
// struct that the kernel writes to (rseq).
func (s *spawner) share(w *worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	page := uintptr(os.Getpagesize())
	thread := threadPointer() &^ (page - 1)
	memory := uintptr(unsafe.Pointer(w.memory))
	end := (memory + unsafe.Sizeof(*w.memory) + page - 1) &^ (page - 1)
	s.mu.shared = append(s.mu.shared, addresses{thread - page, thread + 2*page}, addresses{memory, end})
	slices.SortFunc(s.mu.shared, func(a, b addresses) int { return cmp.Compare(a.start, b.start) })
}

// work obeys requests on a thread of its own until the server closes its end. The threads
// wait side by side in the kernel for the next packet: whoever gets it is awake at once.
func (s *spawner) work(w *worker) error {
	runtime.LockOSThread()
	s.share(w)
	check(s.keepMemory())
	check(unix.Unshare(unix.CLONE_FS))
	for c := uintptr(0); ; c++ {
		// What this thread forks can never get a capability back. It itself keeps its own.
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			if err == unix.EINVAL && c > unix.CAP_SETFCAP {
				break // there are no more
			}
			check(err)
		}
	}
	for {
		check(s.enter(s.root, unix.CLONE_NEWNS))
		var req request
		files, err := w.conn.receive(&req)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if req.Op == opDrop {
			check(s.drop(req.Sandbox))
			continue
		}
		got, err := s.obey(req, files, w)
		s.answer(req, err, got)
		closeAll(got)
		closeAll(files)
		if s.manyForks() {
			check(s.keepMemory()) // what the heap has grown by
		}
	}
}

func (s *spawner) manyForks() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.forks >= spawnerForks
}

func (s *spawner) obey(req request, files []*os.File, w *worker) ([]*os.File, error) {
	switch req.Op {
	case opMake:
		return s.make(req, files, w)
	case opShow:
		return nil, s.show(req, files)
	}
	return nil, fmt.Errorf("unknown operation %q", req.Op)
}

// check ends the process if a worker cannot go where it must: its next sandbox would get
// another's groups or network. The server starts a new spawner.
func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "weir sandbox spawner: worker lost:", err)
		os.Exit(1)
	}
}

func (s *spawner) enter(ns *os.File, kind int) error {
	if err := unix.Setns(int(ns.Fd()), kind); err != nil {
		return fmt.Errorf("enter namespace: %w", err)
	}
	return nil
}

// ownNamespace opens a namespace of the calling thread.
func (s *spawner) ownNamespace(kind string) (*os.File, error) {
	return s.openProc("thread-self/ns/" + kind)
}

// openProc opens a file of the host's /proc, from wherever the calling thread is.
func (s *spawner) openProc(name string) (*os.File, error) {
	fd, err := unix.Openat(int(s.proc.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /proc/%s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// cell returns a sandbox.
func (s *spawner) cell(id uint64) (*cell, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.mu.cells[id]
	if c == nil {
		return nil, fmt.Errorf("no sandbox %d", id)
	}
	return c, nil
}

func (s *spawner) drop(id uint64) error {
	s.mu.Lock()
	c := s.mu.cells[id]
	delete(s.mu.cells, id)
	s.mu.Unlock()
	if c == nil {
		return nil
	}
	return errors.Join(c.mounts.Close(), closeIfAny(c.net))
}

func closeIfAny(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

// reap collects first processes as they end. It runs as long as the process.
func (s *spawner) reap() {
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	for range children {
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if err == unix.EINTR {
				continue
			}
			if err != nil || pid == 0 {
				break
			}
			s.mu.Lock()
			delete(s.mu.pids, pid)
			s.mu.Unlock()
		}
	}
}

// killAll ends every sandbox because the server has gone: one that is frozen does not notice.
func (s *spawner) killAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for pid := range s.mu.pids {
		unix.Kill(pid, unix.SIGKILL)
	}
	cgroup.ThawAll(s.freezers) // in version 1 it does not even die
}
