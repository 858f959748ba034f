//go:build amd64 || arm64

package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
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
	spawnerHeap    = 16 << 20               // bytes, before the garbage collector runs
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
	conn    packetConn
	proc    *os.File // the host's /proc
	host    *os.File // the mount namespace with the host's files
	hostNet *os.File
	home    []*os.File // tasks files of the groups that threads return to
	null    *os.File
	lastCap int
	order   *orderBuffer
	filter  []unix.SockFilter

	root  *os.File // the mount namespace that has the common root, set up by opSetup
	user  bool
	masks []procMask

	freezers string // where groups of the version 1 freezer are, or ""

	jobs    chan job
	workers sync.WaitGroup

	mu struct {
		sync.Mutex
		cells map[uint64]*cell
		pids  map[int]uint64
		early map[int]bool // processes that ended before they were entered in pids
	}
}

// A cell is what the spawner knows of a sandbox.
type cell struct {
	pid    int // 0 when its processes are gone
	mounts *os.File
	net    *os.File // nil in the host's network
}

type job struct {
	req   request
	files []*os.File
}

func runSpawner() error {
	// The server decides when this process ends. A terminal's signals are meant for it.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(spawnerHeap)
	s, err := newSpawner()
	if err != nil {
		return err
	}
	go s.reap()
	err = s.serve()
	s.killAll()
	return err
}

func newSpawner() (*spawner, error) {
	unix.CloseOnExec(spawnerFD)
	if err := unix.SetNonblock(spawnerFD, true); err != nil {
		return nil, fmt.Errorf("prepare control socket: %w", err)
	}
	raiseFileLimit()
	unix.Umask(0o022) // the commands inherit it
	s := &spawner{conn: packetConn{os.NewFile(spawnerFD, "control")}, jobs: make(chan job, spawnerWorkers)}
	s.mu.cells, s.mu.pids, s.mu.early = make(map[uint64]*cell), make(map[int]uint64), make(map[int]bool)
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
	text, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		return nil, err
	}
	if s.lastCap, err = strconv.Atoi(string(text[:len(text)-1])); err != nil {
		return nil, fmt.Errorf("find last capability: %w", err)
	}
	buffer, err := unix.Mmap(-1, 0, maxOrder, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("map order buffer: %w", err)
	}
	s.order = (*orderBuffer)(unsafe.Pointer(&buffer[0]))
	s.filter = seccomp.Filter()
	return s, nil
}

func raiseFileLimit() {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		l.Cur = l.Max
		unix.Setrlimit(unix.RLIMIT_NOFILE, &l)
	}
}

// serve obeys requests until the server closes its end.
func (s *spawner) serve() error {
	defer s.workers.Wait()
	defer close(s.jobs)
	for {
		var req request
		files, err := s.conn.receive(&req)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch req.Op {
		case opSetup:
			err = s.setup(req.Setup)
			s.answer(req, err, nil)
		case opMake, opShow:
			s.jobs <- job{req, files}
			continue // the worker closes the files
		case opKill:
			s.answer(req, s.kill(req.Sandbox), nil)
		case opDrop:
			s.answer(req, s.drop(req.Sandbox), nil)
		default:
			s.answer(req, fmt.Errorf("unknown operation %q", req.Op), nil)
		}
		closeAll(files)
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
	if err := s.conn.send(r, files); err != nil && !errors.Is(err, unix.EPIPE) {
		fmt.Fprintln(os.Stderr, "weir sandbox spawner:", err)
	}
}

// setup builds the common root and starts the workers.
func (s *spawner) setup(req *setupRequest) error {
	if req == nil || s.root != nil {
		return errors.New("setup out of order")
	}
	s.user, s.freezers = req.User, req.Freezers
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		var err error
		s.root, err = s.buildRoot(req)
		done <- err
	}()
	if err := <-done; err != nil {
		return err
	}
	s.masks = presentMasks()
	for range spawnerWorkers {
		s.workers.Add(1)
		go s.work()
	}
	return nil
}

// work is a thread whose home is the common root.
func (s *spawner) work() {
	defer s.workers.Done()
	runtime.LockOSThread()
	check(unix.Unshare(unix.CLONE_FS))
	for j := range s.jobs {
		check(s.enter(s.root, unix.CLONE_NEWNS))
		var files []*os.File
		var err error
		if j.req.Op == opMake {
			files, err = s.make(j.req, j.files)
		} else {
			err = s.show(j.req)
		}
		s.answer(j.req, err, files)
		closeAll(files)
		closeAll(j.files)
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
	name := filepath.Join("thread-self/ns", kind)
	fd, err := unix.Openat(int(s.proc.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open namespace: %w", err)
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

func (s *spawner) kill(id uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.mu.cells[id]
	if c == nil || c.pid == 0 {
		return nil // it is dead: the notice was sent or is on its way
	}
	return unix.Kill(c.pid, unix.SIGKILL) // not reaped yet, so the number is still its own
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

// enroll enters a new first process.
func (s *spawner) enroll(id uint64, c *cell, pid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.cells[id] = c
	if s.mu.early[pid] {
		delete(s.mu.early, pid)
		s.send(reply{Died: id}, nil)
		return
	}
	c.pid = pid
	s.mu.pids[pid] = id
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
			s.buried(pid)
		}
	}
}

func (s *spawner) buried(pid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.mu.pids[pid]
	if !ok {
		s.mu.early[pid] = true
		return
	}
	delete(s.mu.pids, pid)
	s.mu.cells[id].pid = 0
	s.send(reply{Died: id}, nil)
}

// killAll ends every sandbox because the server has gone.
func (s *spawner) killAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for pid := range s.mu.pids {
		unix.Kill(pid, unix.SIGKILL)
	}
	cgroup.ThawAll(s.freezers) // a frozen process of version 1 does not die
}
