//go:build amd64 || arm64

package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-run/weir/sandbox/cgroup"
)

// namespaceSandbox is a process tree in namespaces and groups of its own.
type namespaceSandbox struct {
	d        *namespaceDriver
	id       uint64
	uid      int
	spec     Spec
	group    *cgroup.Group
	link     *link // the spawner that holds its namespaces
	lis      net.Listener
	endpoint net.Listener // nil in the host's network
	daemon   *net.UDPConn // nil in the host's network
	out      *output
	write    *os.File // the end of the output pipe that the command inherits
	exited   chan Exit
	log      *slog.Logger

	disks      []*disk  // of its volumes
	assignment *os.File // the end of a Preboot's pipe, until it is assigned

	// change is held while the processes are started or ended for good: by Restart, Close.
	change sync.Mutex

	mu struct {
		sync.Mutex
		closed bool
		run    *nsRun
		oom    int           // kills for lack of memory that were reported
		peak   int64         // see sampleLocked
		cpu    time.Duration // of the runs before this one, see sampleLocked
	}
}

// An nsRun is one life of a first process.
type nsRun struct {
	control *os.File
	cpu     time.Duration // guarded by namespaceSandbox.mu: see sampleLocked
	ready   chan error    // one answer: whether the setup succeeded
	process *os.File      // the first process; its end is the end of all others
	done    chan struct{} // closed when its Exit was delivered
	quiet   bool          // guarded by namespaceSandbox.mu: its Exit is not delivered
	ended   bool          // guarded by namespaceSandbox.mu
	frozen  bool          // guarded by namespaceSandbox.mu
}

// newSandbox enters a sandbox that has no processes and groups yet.
func (d *namespaceDriver) newSandbox(spec Spec) (*namespaceSandbox, error) {
	l, err := d.spawner()
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("sandbox: make output pipe: %w", err)
	}
	s := &namespaceSandbox{
		d: d, spec: spec, link: l, out: &output{file: r}, write: w,
		exited: make(chan Exit, 1), log: d.opts.Logger.With("sandbox", spec.Name),
	}
	if err := d.take(s); err != nil {
		closeAll([]*os.File{r, w})
		return nil, err
	}
	return s, nil
}

func (s *namespaceSandbox) Listener() net.Listener { return s.lis }
func (s *namespaceSandbox) Endpoint() net.Listener { return s.endpoint }
func (s *namespaceSandbox) Daemon() *net.UDPConn   { return s.daemon }
func (s *namespaceSandbox) Output() io.Reader      { return s.out }
func (s *namespaceSandbox) Exited() <-chan Exit    { return s.exited }

// start makes the sandbox and lets its first process run o.
func (s *namespaceSandbox) start(o *order) error {
	s.change.Lock()
	defer s.change.Unlock()
	if err := s.open(); err != nil {
		return err // the driver is closing
	}
	m := makeRequest{Name: s.spec.Name, UID: s.uid, HostNet: s.spec.Egress == EgressHost, Binds: s.spec.binds()}
	if m.HostNet {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("sandbox: listen for the runtime: %w", err)
		}
		s.lis = l
	}
	if s.spec.Egress == EgressNAT {
		n, err := s.d.nat()
		if err != nil {
			return err
		}
		m.NAT = n.tie(s.uid - s.d.users.base)
	}
	s.d.etc.Lock()
	etc, err := ownEtc(filepath.Join(s.d.opts.Dir, "etc"), s.uid, s.spec.Egress)
	s.d.etc.Unlock()
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	m.Binds = append(m.Binds, bind{From: etc, To: ownDir})
	if s.d.volumes == nil {
		dir, err := s.d.makeTmp(s.id)
		if err != nil {
			return err
		}
		m.Binds = append(m.Binds, bind{From: dir, To: "/tmp", Write: true})
	}
	return s.run(m, o)
}

// run makes a first process and lets it run o, if that is not nil.
func (s *namespaceSandbox) run(m makeRequest, o *order) error {
	ours, theirs, err := packetPair()
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	files, err := s.make(m, o, ours, theirs)
	theirs.Close() // the first process has it, or nobody
	if err != nil {
		ours.Close()
		return err
	}
	r := &nsRun{control: ours, process: files[0], ready: make(chan error, 1), done: make(chan struct{})}
	s.mu.Lock()
	s.mu.run = r
	s.mu.Unlock()
	go s.watch(r)
	if err := s.adopt(files[1:]); err != nil {
		return err
	}
	return <-r.ready
}

// make asks for a first process, and prepares the rest while the spawner makes the network.
// What it returns are the process and the listeners.
func (s *namespaceSandbox) make(m makeRequest, o *order, ours, theirs *os.File) ([]*os.File, error) {
	m.Volume = !m.Again && s.d.volumes != nil
	answer, err := s.link.ask(request{Op: opMake, Sandbox: s.id, Make: &m}, []*os.File{theirs, s.write})
	if err != nil {
		return nil, err
	}
	err = s.sendSeats(ours, m.Again)
	if err == nil && m.Volume {
		err = s.sendVolume(ours)
	}
	if err == nil && o != nil {
		// The order waits in the socket for the process that will obey it.
		o.env = s.environment(o.env)
		err = o.send(ours)
	}
	if err != nil {
		ours.Close() // nobody waits for the rest any longer
	}
	a := <-answer
	if err = errors.Join(err, a.err); err == nil && len(a.files) == 0 {
		err = errors.New("sandbox: spawner sends no process")
	}
	if err != nil {
		closeAll(a.files)
		return nil, err
	}
	return a.files, nil
}

// sendSeats makes the groups, unless they are there, and sends their seats.
func (s *namespaceSandbox) sendSeats(to *os.File, again bool) error {
	if !again {
		var err error
		if s.group, err = s.d.groups.New(strconv.FormatUint(s.id, 10), maxProcesses+1); err != nil {
			return err
		}
		if err := s.limitMemory(); err != nil {
			return err
		}
	}
	unified, files, err := s.group.Seats()
	if err != nil {
		return err
	}
	if unified != nil {
		files = append([]*os.File{unified}, files...)
	}
	defer closeAll(files)
	if err := sendJSON(to, parcel{Unified: unified != nil}, files); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

// limitMemory sets the limit, which a sandbox in a pool does not have yet.
func (s *namespaceSandbox) limitMemory() error {
	if s.spec.MemoryMB == 0 {
		return nil
	}
	return s.group.LimitMemory(int64(s.spec.MemoryMB) << 20)
}

// sendVolume makes a volume and sends it.
func (s *namespaceSandbox) sendVolume(to *os.File) error {
	volume, err := s.newVolume(s.spec.EphemeralMB)
	if err != nil {
		return err
	}
	defer volume.Close()
	return sendOrder(to, orderVolume, volume)
}

// newVolume returns a mount for /tmp.
func (s *namespaceSandbox) newVolume(sizeMB int) (*os.File, error) {
	volume, disk, err := s.d.volumes.create(sizeMB)
	if err != nil {
		return nil, err
	}
	s.disks = append(s.disks, disk)
	return volume, nil
}

// environment adds to env what only this sandbox knows.
func (s *namespaceSandbox) environment(env []string) []string {
	addr := runtimeAddr.String()
	if s.spec.Egress == EgressHost {
		addr = s.lis.Addr().String()
	}
	return append(env[:len(env):len(env)], "AWS_LAMBDA_RUNTIME_API="+addr)
}

// adopt takes the listeners that came with a new sandbox.
func (s *namespaceSandbox) adopt(files []*os.File) error {
	defer closeAll(files)
	if len(files) == 0 {
		return nil // started again, or in the host's network
	}
	if len(files) != 3 {
		return fmt.Errorf("sandbox: spawner sends %d listeners", len(files))
	}
	var err error
	if s.lis, err = net.FileListener(files[0]); err != nil {
		return fmt.Errorf("sandbox: take listener: %w", err)
	}
	if s.endpoint, err = net.FileListener(files[1]); err != nil {
		return fmt.Errorf("sandbox: take listener: %w", err)
	}
	daemon, err := net.FilePacketConn(files[2])
	if err != nil {
		return fmt.Errorf("sandbox: take listener: %w", err)
	}
	s.daemon = daemon.(*net.UDPConn)
	return nil
}

// watch follows a first process to its end. It stops when every process of the run is gone.
func (s *namespaceSandbox) watch(r *nsRun) {
	defer close(r.done)
	exit := Exit{Code: -1, Signal: syscall.SIGKILL.String()} // unless it says otherwise
	for {
		news, err := readNews(r.control)
		if err != nil {
			break
		}
		switch news.kind {
		case newsReady:
			r.ready <- nil
		case newsFailed:
			r.ready <- fmt.Errorf("sandbox: %s: %w", stepNames[news.step], syscall.Errno(news.value))
		case newsNoExec:
			exit = Exit{Code: -1, Err: fmt.Errorf("sandbox: run command: %w", syscall.Errno(news.value))}
		case newsExit:
			if exit.Err == nil {
				exit = exitOf(syscall.WaitStatus(news.value))
			}
		}
	}
	if err := r.await(); err != nil {
		s.log.Error("sandbox: processes may be left", "error", err)
	}
	select {
	case r.ready <- errors.New("sandbox: first process has ended"):
	default:
	}
	s.finish(r, exit)
}

func readNews(control *os.File) (pidOneNews, error) {
	var b [12]byte
	_, err := io.ReadFull(control, b[:])
	if errors.Is(err, unix.ECONNRESET) { // it ended with an order unread: its last news is still there
		_, err = io.ReadFull(control, b[:])
	}
	if err != nil {
		return pidOneNews{}, err
	}
	order := binary.NativeEndian
	return pidOneNews{order.Uint32(b[:]), order.Uint32(b[4:]), order.Uint32(b[8:])}, nil
}

func exitOf(ws syscall.WaitStatus) Exit {
	if ws.Signaled() {
		return Exit{Code: -1, Signal: ws.Signal().String()}
	}
	return Exit{Code: ws.ExitStatus()}
}

// await waits for the last process of a run.
func (r *nsRun) await() error {
	conn, err := r.process.SyscallConn()
	if err != nil {
		return fmt.Errorf("sandbox: wait for first process: %w", err)
	}
	err = conn.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
	if err != nil {
		return fmt.Errorf("sandbox: wait for first process: %w", err)
	}
	return nil
}

// finish delivers the Exit of a run.
func (s *namespaceSandbox) finish(r *nsRun, exit Exit) {
	kills, err := s.group.OOMKills()
	if err != nil {
		s.log.Error("sandbox: count kills for lack of memory", "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	exit.OutOfMem = kills > s.mu.oom
	s.mu.oom = kills
	r.ended = true
	if !r.quiet {
		s.exited <- exit // has room: Restart took the Exit before this one out
	}
}

func (s *namespaceSandbox) Settle() error {
	if err := s.open(); err != nil {
		return err
	}
	return s.group.LimitCPU(s.spec.MemoryMB * 1000 / memoryPerCPU)
}

// assign makes a sandbox of a pool that of a Spec.
func (s *namespaceSandbox) assign(spec Spec) error {
	s.change.Lock()
	defer s.change.Unlock()
	if err := s.open(); err != nil {
		return err
	}
	binds := spec.binds()
	if s.assignment != nil {
		binds = slices.DeleteFunc(binds, func(b bind) bool { return b.To == runtimeDir || b.To == langDir }) // shown already
	}
	s.mu.Lock()
	control := s.mu.run.control
	larger := spec.EphemeralMB != s.spec.EphemeralMB
	s.spec = spec
	s.log = s.d.opts.Logger.With("sandbox", spec.Name)
	s.mu.Unlock()
	if err := s.limitMemory(); err != nil {
		return err
	}
	var files []*os.File
	if larger {
		volume, err := s.newVolume(spec.EphemeralMB)
		if err != nil {
			return err
		}
		defer volume.Close()
		files = append(files, volume)
	}
	if len(binds)+len(files) > 0 {
		if _, err := s.link.call(request{Op: opShow, Sandbox: s.id, Binds: binds}, files); err != nil {
			return err
		}
	}
	if err := sendName(control, spec.Name); err != nil {
		return err
	}
	if s.assignment == nil {
		o := order{command: spec.Command, env: s.environment(spec.Env), dir: taskDir}
		return o.send(control)
	}
	_, err := s.assignment.Write(assignment(s.environment(spec.Env)))
	if err = errors.Join(err, s.assignment.Close()); err != nil && !errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("sandbox: assign: %w", err)
	}
	s.assignment = nil
	return nil // if the process has ended, its Exit says so
}

// alive tells whether the command, or what waits for it, runs.
func (s *namespaceSandbox) alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.mu.closed && s.mu.run != nil && !s.mu.run.ended
}

func (s *namespaceSandbox) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return ErrClosed
	}
	return nil
}
