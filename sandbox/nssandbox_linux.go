//go:build amd64 || arm64

package sandbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-run/weir/sandbox/cgroup"
)

// emptyWait bounds the wait for the processes of a sandbox whose spawner is gone.
const emptyWait = 5 * time.Second

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
	out      *output
	write    *os.File // the end of the output pipe that the command inherits
	exited   chan Exit
	log      *slog.Logger

	// change is held while the processes are started or ended for good: by Restart, Close.
	change sync.Mutex

	mu struct {
		sync.Mutex
		closed bool
		run    *nsRun
		oom    int // kills for lack of memory that were reported
	}
}

// An nsRun is one life of a first process.
type nsRun struct {
	control *os.File
	ready   chan error      // one answer: whether the setup succeeded
	dead    <-chan struct{} // closed when every process is gone
	done    chan struct{}   // closed when its Exit was delivered
	quiet   bool            // guarded by namespaceSandbox.mu: its Exit is not delivered
	ended   bool            // guarded by namespaceSandbox.mu
	frozen  bool            // guarded by namespaceSandbox.mu
}

// newSandbox takes what a sandbox needs besides its processes.
func (d *namespaceDriver) newSandbox(spec Spec) (*namespaceSandbox, error) {
	s := &namespaceSandbox{
		d: d, spec: spec, exited: make(chan Exit, 1), log: d.opts.Logger.With("sandbox", spec.Name),
	}
	var err error
	if err = d.take(s); err != nil {
		return nil, err
	}
	if s.link, err = d.spawner(); err != nil {
		d.forget(s)
		return nil, err
	}
	if s.group, err = d.groups.New(strconv.FormatUint(s.id, 10), maxProcesses+1); err != nil {
		d.forget(s)
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: make output pipe: %w", err), s.group.Close())
	}
	s.out, s.write = &output{file: r}, w
	return s, nil
}

func (s *namespaceSandbox) Listener() net.Listener { return s.lis }
func (s *namespaceSandbox) Endpoint() net.Listener { return s.endpoint }
func (s *namespaceSandbox) Output() io.Reader      { return s.out }
func (s *namespaceSandbox) Exited() <-chan Exit    { return s.exited }

// start makes the sandbox and lets its first process run o.
func (s *namespaceSandbox) start(o order) error {
	m := makeRequest{Name: s.spec.Name, UID: s.uid, HostNet: s.spec.Egress == EgressHost, Binds: s.spec.binds()}
	if m.HostNet {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("sandbox: listen for the runtime: %w", err)
		}
		s.lis = l
	}
	etc, err := ownEtc(s.d.etcDir(), s.uid, s.spec.Egress)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	m.Binds = append(m.Binds, bind{From: etc, To: ownDir})
	volume, binds, err := s.d.tmp(s.id, s.spec.EphemeralMB)
	if err != nil {
		return err
	}
	defer closeIfAny(volume)
	m.Binds = append(m.Binds, binds...)
	if err := s.group.LimitMemory(int64(s.spec.MemoryMB) << 20); err != nil {
		return err
	}
	return s.run(m, o, volume)
}

// run makes a first process and lets it run o.
func (s *namespaceSandbox) run(m makeRequest, o order, volume *os.File) error {
	o.env = append(o.env[:len(o.env):len(o.env)], "AWS_LAMBDA_RUNTIME_API="+s.runtimeAPI())
	ours, theirs, err := packetPair()
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	defer theirs.Close()
	// The order waits in the socket for the process that will obey it.
	if err := sendPacket(ours, o.encode(), nil); err != nil {
		ours.Close()
		return fmt.Errorf("sandbox: %w", err)
	}
	files, seats, err := s.files(&m, theirs, volume)
	if err != nil {
		ours.Close()
		return err
	}
	got, dead, err := s.link.make(s.id, m, files)
	closeAll(seats)
	if err != nil {
		ours.Close()
		return err
	}
	if err := s.adopt(got); err != nil {
		ours.Close()
		return err
	}
	r := &nsRun{control: ours, dead: dead, ready: make(chan error, 1), done: make(chan struct{})}
	s.mu.Lock()
	s.mu.run = r
	s.mu.Unlock()
	go s.watch(r)
	return <-r.ready
}

func (s *namespaceSandbox) runtimeAPI() string {
	if s.spec.Egress == EgressHost {
		return s.lis.Addr().String()
	}
	return runtimeAddr.String()
}

// files collects what goes with a makeRequest. The seats must be closed.
func (s *namespaceSandbox) files(m *makeRequest, control, volume *os.File) (files, seats []*os.File, err error) {
	unified, tasks, err := s.group.Seats()
	if err != nil {
		return nil, nil, err
	}
	files = []*os.File{control, s.write}
	if unified != nil {
		m.Unified = true
		files, seats = append(files, unified), append(seats, unified)
	}
	if volume != nil {
		m.Volume = true
		files = append(files, volume)
	}
	m.Tasks = len(tasks)
	return append(files, tasks...), append(seats, tasks...), nil
}

// adopt takes the listeners that came with a new sandbox.
func (s *namespaceSandbox) adopt(files []*os.File) error {
	defer closeAll(files)
	if len(files) != 2 {
		return nil // started again, or in the host's network
	}
	var err error
	if s.lis, err = net.FileListener(files[0]); err != nil {
		return fmt.Errorf("sandbox: take listener: %w", err)
	}
	if s.endpoint, err = net.FileListener(files[1]); err != nil {
		return fmt.Errorf("sandbox: take listener: %w", err)
	}
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
			exit = Exit{Code: -1, Err: fmt.Errorf("sandbox: run %s: %w", s.spec.Command[0], syscall.Errno(news.value))}
		case newsExit:
			if exit.Err == nil {
				exit = exitOf(syscall.WaitStatus(news.value))
			}
		}
	}
	s.await(r)
	select {
	case r.ready <- errors.New("sandbox: first process has ended"):
	default:
	}
	s.finish(r, exit)
}

func readNews(control *os.File) (pidOneNews, error) {
	var b [12]byte
	if _, err := io.ReadFull(control, b[:]); err != nil {
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
func (s *namespaceSandbox) await(r *nsRun) {
	select {
	case <-r.dead:
		return
	case <-s.link.gone:
	}
	// Nobody tells any more. The first process has ended or will because the control socket
	// is closed, unless it is frozen.
	r.control.Close()
	if err := s.group.Kill(); err != nil {
		s.log.Error("sandbox: kill after loss of the spawner", "error", err)
	}
	for deadline := time.Now().Add(emptyWait); !s.group.Empty() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
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

func (s *namespaceSandbox) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return ErrClosed
	}
	return nil
}

func (s *namespaceSandbox) Freeze() error { return s.freeze(true) }
func (s *namespaceSandbox) Thaw() error   { return s.freeze(false) }

// freeze holds the lock while it writes a file of the kernel's, so that no other freeze, thaw
// or end of the run comes between.
func (s *namespaceSandbox) freeze(frozen bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return ErrClosed
	}
	r := s.mu.run
	if r == nil || r.ended || r.frozen == frozen {
		return nil
	}
	if err := s.freezeLocked(r, frozen); err != nil {
		return err
	}
	r.frozen = frozen
	return nil
}

func (s *namespaceSandbox) freezeLocked(r *nsRun, frozen bool) error {
	switch {
	case !s.d.groups.Has("freezer") && frozen:
		return sendOrder(r.control, orderStop)
	case !s.d.groups.Has("freezer"):
		return sendOrder(r.control, orderContinue)
	case frozen:
		return s.group.Freeze()
	}
	return s.group.Thaw()
}

func (s *namespaceSandbox) Terminate() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return ErrClosed
	}
	if s.mu.run == nil || s.mu.run.ended {
		return nil
	}
	err := sendOrder(s.mu.run.control, orderTerminate)
	if errors.Is(err, unix.EPIPE) || errors.Is(err, os.ErrClosed) {
		return nil // it is ending
	}
	return err
}

func (s *namespaceSandbox) Usage() (Usage, error) {
	if err := s.open(); err != nil {
		return Usage{}, err
	}
	var u Usage
	var err error
	if u.MaxMemory, err = s.group.PeakMemory(); err != nil {
		return Usage{}, err
	}
	u.CPU, err = s.group.CPU()
	return u, err
}

func (s *namespaceSandbox) Restart(ctx context.Context) error {
	s.change.Lock()
	defer s.change.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	if err := s.end(true); err != nil {
		return err
	}
	select {
	case <-s.exited: // of a run that ended by itself but was not asked for yet
	default:
	}
	m := makeRequest{Name: s.spec.Name, UID: s.uid, Again: true, HostNet: s.spec.Egress == EgressHost}
	return s.run(m, order{command: s.spec.Command, env: s.spec.Env, dir: "/var/task"}, nil)
}

// end kills every process and waits for the last.
func (s *namespaceSandbox) end(quiet bool) error {
	s.mu.Lock()
	r := s.mu.run
	if r == nil {
		s.mu.Unlock()
		return nil
	}
	if !r.ended {
		r.quiet = quiet
	}
	frozen := r.frozen
	r.frozen = false
	s.mu.Unlock()
	// With little CPU even dying takes long.
	err := s.group.LimitCPU(0)
	if frozen && s.d.groups.Has("freezer") {
		err = errors.Join(err, s.group.Thaw())
	}
	if _, e := s.link.call(request{Op: opKill, Sandbox: s.id}, nil); e != nil && e != errSpawnerGone {
		err = errors.Join(err, e)
	}
	<-r.done
	return errors.Join(err, ignoreClosed(r.control.Close()))
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

func (s *namespaceSandbox) Close() error {
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.Lock()
	closed := s.mu.closed
	s.mu.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	errs := []error{s.end(false)}
	close(s.exited)
	if _, err := s.link.call(request{Op: opDrop, Sandbox: s.id}, nil); err != nil && err != errSpawnerGone {
		errs = append(errs, err)
	}
	for _, l := range []net.Listener{s.lis, s.endpoint} {
		if l != nil {
			errs = append(errs, ignoreNetClosed(l.Close()))
		}
	}
	s.write.Close()
	s.out.drain()
	errs = append(errs, s.group.Close())
	if s.d.volumes == nil {
		errs = append(errs, os.RemoveAll(s.d.tmpDir(s.id)))
	}
	s.d.forget(s)
	return errors.Join(errs...)
}

func ignoreNetClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
