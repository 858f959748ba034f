//go:build amd64 || arm64

package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/weir-run/weir/sandbox/cgroup"
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

// A spawner makes first processes.
type spawner struct {
	control   *os.File
	proc      *os.File    // the host's /proc
	host      *os.File    // the mount namespace with the host's files
	root      *os.File    // the mount namespace with the common root
	homeNet   *os.File    // the network that workers return to
	home      []*os.File  // tasks files of the groups that they return to
	null      *os.File    // /dev/null
	routes    *netlink    // of the host's network
	filterLen int         // of the filter in each pidOneMemory
	shared    []addresses // with children, in order: the memories of the workers
	user      bool        // its privileges end at its user namespace
	masks     [maxMasks]procMask
	freezers  string // where groups of the version 1 freezer are, or ""

	mu struct {
		sync.Mutex
		cells map[uint64]*cell
		pids  map[int]bool // first processes that have not been reaped
		forks int          // since keepMemory
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
	raiseFileLimit()
	unix.Umask(0o022) // the commands inherit it
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
	if err := s.keepMemory(); err != nil {
		return err
	}
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
	s := &spawner{control: os.NewFile(spawnerFD, "control")}
	s.mu.cells, s.mu.pids = make(map[uint64]*cell), make(map[int]bool)
	for _, f := range []struct {
		to    **os.File
		name  string
		flags int
	}{
		{&s.proc, "/proc", unix.O_PATH}, {&s.host, "/proc/self/ns/mnt", 0}, {&s.null, "/dev/null", os.O_RDWR},
	} {
		var err error
		if *f.to, err = os.OpenFile(f.name, f.flags, 0); err != nil {
			return nil, err
		}
	}
	var err error
	if s.routes, err = openNetlink(unix.NETLINK_ROUTE); err == nil {
		s.home, err = cgroup.Home()
	}
	return s, err
}

func raiseFileLimit() {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		l.Cur = l.Max
		unix.Setrlimit(unix.RLIMIT_NOFILE, &l) // what it was may do as well
	}
}

// setup takes the first request and builds what sandboxes have in common.
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
	err = onThread(func() (err error) {
		s.root, err = s.buildRoot(req.Setup)
		return err
	})
	if err == nil {
		err = onThread(func() (err error) {
			s.homeNet, err = s.findHome()
			return err
		})
	}
	s.masks = presentMasks()
	s.answer(req, err, nil)
	return err
}

// findHome returns the network that workers return to: the host's, or, as only root gets back
// into that, one of their own.
func (s *spawner) findHome() (*os.File, error) {
	if s.user {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return nil, fmt.Errorf("make network: %w", err)
		}
	}
	return s.ownNamespace("net")
}

// onThread calls f on a thread that has left none of the spawner's first namespaces, and that
// ends afterwards.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		done <- f()
	}()
	return <-done
}

// A worker is a thread that obeys requests.
type worker struct {
	conn   *packetConn
	memory *pidOneMemory // of the first processes that it forks
}

// work obeys requests on a thread of its own until the server closes its end. The threads
// wait side by side in the kernel for the next packet: whoever gets it is awake at once.
func (s *spawner) work(w *worker) error {
	runtime.LockOSThread()
	check(leaveProcess())
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

func (s *spawner) obey(req request, files []*os.File, w *worker) ([]*os.File, error) {
	switch {
	case req.Op == opMake && s.user && req.Make != nil && req.Make.HostNet:
		var got []*os.File
		err := onThread(func() (err error) { // one that is still in the host's network
			check(leaveProcess())
			got, err = s.make(req, files, w)
			return err
		})
		return got, err
	case req.Op == opMake:
		return s.make(req, files, w)
	case req.Op == opShow:
		return nil, s.show(req, files)
	}
	return nil, fmt.Errorf("unknown operation %q", req.Op)
}

func (s *spawner) answer(req request, err error, files []*os.File) {
	r := reply{Number: req.Number}
	if err != nil {
		r.Error = err.Error()
	}
	if err := sendJSON(s.control, r, files); err != nil && !errors.Is(err, unix.EPIPE) {
		fmt.Fprintln(os.Stderr, "weir sandbox spawner:", err)
	}
}

// leaveProcess separates the calling thread from the others, as far as what it forks needs.
func leaveProcess() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("leave common directory: %w", err)
	}
	for c := uintptr(0); ; c++ {
		// What this thread forks can never get a capability back. It itself keeps its own.
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if err == unix.EINVAL && c > lastKnownCap {
			return nil // there are no more
		}
		if err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
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

// drop forgets a sandbox. If it was never made, that is not an error.
func (s *spawner) drop(id uint64) error {
	s.mu.Lock()
	c := s.mu.cells[id]
	delete(s.mu.cells, id)
	s.mu.Unlock()
	if c == nil {
		return nil
	}
	closeAll([]*os.File{c.net})
	return c.mounts.Close()
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
