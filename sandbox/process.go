package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// processDriver runs commands as plain process groups of the server's own user.
type processDriver struct {
	opts   Options
	report Report
	lock   *os.File
	empty  string // shown for a root that a Spec leaves out

	mu struct {
		sync.Mutex
		closed bool
		next   int
		live   map[*processSandbox]struct{}
	}
}

func openProcess(o Options, reason string) (Driver, error) {
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	d := &processDriver{opts: o, lock: lock, empty: filepath.Join(o.Dir, "empty")}
	d.mu.live = make(map[*processSandbox]struct{})
	d.report = Report{
		Mechanism: Process,
		Reason:    reason,
		Exposed: []string{
			"nothing at all is isolated: functions run as the server's user and can read and change whatever it can",
			"functions reach each other, each other's Runtime API and the whole network",
			"memory, CPU, processes and /tmp are not limited",
			"a process that leaves its process group outlives its sandbox",
		},
	}
	if err := d.recover(); err != nil {
		lock.Close()
		return nil, err
	}
	return d, nil
}

// recover removes what an earlier driver left in Dir when it was killed.
func (d *processDriver) recover() error {
	killStrays(d.opts.Dir)
	entries, err := os.ReadDir(d.opts.Dir)
	if err != nil {
		return fmt.Errorf("sandbox: read scratch directory: %w", err)
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue // not a sandbox's
		}
		if err := os.RemoveAll(filepath.Join(d.opts.Dir, e.Name())); err != nil {
			return fmt.Errorf("sandbox: empty scratch directory: %w", err)
		}
	}
	if err := os.MkdirAll(d.empty, 0o755); err != nil {
		return fmt.Errorf("sandbox: prepare scratch directory: %w", err)
	}
	return nil
}

func (d *processDriver) Report() Report { return d.report }

func (d *processDriver) Start(ctx context.Context, spec Spec) (Sandbox, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := d.opts.prepare(&spec); err != nil {
		return nil, err
	}
	dir, err := d.newDir()
	if err != nil {
		return nil, err
	}
	s, err := d.newSandbox(spec, dir)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	d.mu.Lock()
	if d.mu.closed {
		d.mu.Unlock()
		s.release()
		return nil, ErrClosed
	}
	d.mu.live[s] = struct{}{}
	d.mu.Unlock()
	if err := s.Restart(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (d *processDriver) newDir() (string, error) {
	d.mu.Lock()
	d.mu.next++
	dir := filepath.Join(d.opts.Dir, strconv.Itoa(d.mu.next))
	d.mu.Unlock()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("sandbox: make temporary directory: %w", err)
	}
	return dir, nil
}

func (d *processDriver) newSandbox(spec Spec, dir string) (*processSandbox, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("sandbox: listen for the runtime: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("sandbox: make output pipe: %w", err)
	}
	s := &processSandbox{
		driver: d,
		dir:    dir,
		lis:    l,
		out:    &output{file: r},
		write:  w,
		exited: make(chan Exit, 1),
		log:    d.opts.Logger.With("sandbox", spec.Name),
	}
	roots := newRoots(spec, d.empty, dir)
	s.command = make([]string, len(spec.Command))
	for i, arg := range spec.Command {
		s.command[i] = roots.apply(arg)
	}
	s.env = append(s.env, "TMPDIR="+dir)
	for _, kv := range spec.Env {
		key, value, _ := strings.Cut(kv, "=")
		s.env = append(s.env, key+"="+roots.apply(value))
	}
	s.env = append(s.env, "AWS_LAMBDA_RUNTIME_API="+l.Addr().String())
	s.workDir = spec.Code
	if s.workDir == "" {
		s.workDir = dir
	}
	return s, nil
}

// Close closes every sandbox.
func (d *processDriver) Close() error {
	d.mu.Lock()
	closed := d.mu.closed
	d.mu.closed = true
	live := make([]*processSandbox, 0, len(d.mu.live))
	for s := range d.mu.live {
		live = append(live, s)
	}
	d.mu.Unlock()
	var errs []error
	for _, s := range live {
		errs = append(errs, s.Close())
	}
	if !closed {
		errs = append(errs, d.lock.Close())
	}
	return errors.Join(errs...)
}

// roots replaces the directories of a sandbox by the host's.
type roots [][2]string

func newRoots(s Spec, empty, tmp string) roots {
	r := roots{{"/var/task", s.Code}, {"/opt", s.Opt}, {"/var/runtime", s.Runtime}, {"/var/lang", s.Lang}, {"/tmp", tmp}}
	for i := range r {
		if r[i][1] == "" {
			r[i][1] = empty
		}
	}
	return r
}

// apply replaces a root where it begins an element of the colon-separated list.
func (r roots) apply(list string) string {
	elements := strings.Split(list, ":")
	for i, e := range elements {
		for _, root := range r {
			rest, ok := strings.CutPrefix(e, root[0])
			if ok && (rest == "" || rest[0] == '/') {
				elements[i] = root[1] + rest
				break
			}
		}
	}
	return strings.Join(elements, ":")
}

// processSandbox is one process group.
type processSandbox struct {
	driver  *processDriver
	dir     string // its /tmp
	workDir string
	command []string
	env     []string
	lis     net.Listener
	out     *output
	write   *os.File // the end of the output pipe that the command inherits
	exited  chan Exit
	log     *slog.Logger

	// restart is held while processes are started or ended for good: by Restart, Close.
	restart sync.Mutex

	mu struct {
		sync.Mutex
		closed bool
		frozen bool
		run    *run          // nil before the first start and when it could not be run
		peak   int64         // of all ended runs, in bytes
		cpu    time.Duration // of all ended runs
	}
}

// A run is one life of the command.
type run struct {
	cmd   *exec.Cmd
	done  chan struct{} // closed when the command is reaped
	ended bool          // guarded by processSandbox.mu: the process group may no longer be signalled
	quiet bool          // guarded by processSandbox.mu: its Exit is not delivered
}

func (s *processSandbox) Listener() net.Listener { return s.lis }
func (s *processSandbox) Endpoint() net.Listener { return nil }
func (s *processSandbox) Daemon() *net.UDPConn   { return nil }
func (s *processSandbox) Output() io.Reader      { return s.out }
func (s *processSandbox) Exited() <-chan Exit    { return s.exited }

// Settle has nothing to do: there is no CPU share.
func (s *processSandbox) Settle() error { return nil }

func (s *processSandbox) Restart(ctx context.Context) error {
	s.restart.Lock()
	defer s.restart.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	s.end(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return ErrClosed
	}
	select {
	case <-s.exited: // of a run that ended by itself but was not asked for yet
	default:
	}
	return s.startLocked()
}

func (s *processSandbox) startLocked() error {
	cmd := &exec.Cmd{
		Path:        s.command[0],
		Args:        s.command,
		Env:         s.env,
		Dir:         s.workDir,
		Stdout:      s.write,
		Stderr:      s.write,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	s.mu.run, s.mu.frozen = nil, false
	if err := cmd.Start(); err != nil {
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOMEM) || !errors.As(err, new(*fs.PathError)) {
			return fmt.Errorf("sandbox: start command: %w", err)
		}
		s.exited <- Exit{Code: -1, Err: fmt.Errorf("sandbox: run command: %w", err)}
		return nil
	}
	r := &run{cmd: cmd, done: make(chan struct{})}
	s.mu.run = r
	go s.wait(r)
	return nil
}

// wait reaps a run. It ends with the command, which end kills at the latest.
func (s *processSandbox) wait(r *run) {
	defer close(r.done)
	err := r.cmd.Wait()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		s.log.Error("sandbox: wait for command", "error", err)
	}
	pgid := r.cmd.Process.Pid
	exit := Exit{Code: -1}
	if state := r.cmd.ProcessState; state != nil {
		exit.Code = state.ExitCode()
		if ws := state.Sys().(syscall.WaitStatus); ws.Signaled() {
			exit.Signal = ws.Signal().String()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	syscall.Kill(-pgid, syscall.SIGKILL) // the children it leaves behind
	r.ended = true
	if state := r.cmd.ProcessState; state != nil {
		usage := state.SysUsage().(*syscall.Rusage)
		s.mu.peak = max(s.mu.peak, usage.Maxrss*maxRSSUnit)
		s.mu.cpu += state.UserTime() + state.SystemTime()
	}
	if !r.quiet {
		s.exited <- exit // has room: the run before this one was taken out by Restart
	}
}

// end kills the current run, if any, and waits for it.
func (s *processSandbox) end(quiet bool) {
	s.mu.Lock()
	r := s.mu.run
	if r != nil && !r.ended {
		r.quiet = quiet
		syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
	}
	s.mu.Unlock()
	if r != nil {
		<-r.done
	}
}

func (s *processSandbox) Freeze() error { return s.signalGroup(syscall.SIGSTOP, true) }
func (s *processSandbox) Thaw() error   { return s.signalGroup(syscall.SIGCONT, false) }

func (s *processSandbox) signalGroup(sig syscall.Signal, frozen bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return ErrClosed
	}
	if s.mu.run == nil || s.mu.run.ended || s.mu.frozen == frozen {
		return nil
	}
	if err := syscall.Kill(-s.mu.run.cmd.Process.Pid, sig); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("sandbox: signal process group: %w", err)
	}
	s.mu.frozen = frozen
	return nil
}

func (s *processSandbox) Terminate() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return ErrClosed
	}
	if s.mu.run == nil || s.mu.run.ended {
		return nil
	}
	if err := s.mu.run.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sandbox: terminate command: %w", err)
	}
	return nil
}

func (s *processSandbox) Usage() (Usage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := Usage{MaxMemory: s.mu.peak, CPU: s.mu.cpu}
	if r := s.mu.run; r != nil && !r.ended {
		live := treeUsage(r.cmd.Process.Pid)
		u.MaxMemory = max(u.MaxMemory, live.MaxMemory)
		u.CPU += live.CPU
	}
	return u, nil
}

func (s *processSandbox) Close() error {
	s.restart.Lock()
	defer s.restart.Unlock()
	s.mu.Lock()
	closed := s.mu.closed
	s.mu.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	s.end(false)
	close(s.exited)
	s.driver.mu.Lock()
	delete(s.driver.mu.live, s)
	s.driver.mu.Unlock()
	return s.release()
}

// release gives back what newSandbox took.
func (s *processSandbox) release() error {
	s.write.Close()
	s.out.drain()
	return errors.Join(s.lis.Close(), os.RemoveAll(s.dir))
}
