//go:build amd64 || arm64

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

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
		return r.tell(orderStop)
	case !s.d.groups.Has("freezer"):
		return r.tell(orderContinue)
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
	return s.mu.run.tell(orderTerminate)
}

// tell sends an order to a run's first process. One that is ending needs none.
func (r *nsRun) tell(kind uint32) error {
	err := sendOrder(r.control, kind, nil)
	if errors.Is(err, unix.EPIPE) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

func (s *namespaceSandbox) Usage() (Usage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return Usage{}, ErrClosed
	}
	var u Usage
	var err error
	if !s.d.groups.Has("memory") || !s.d.groups.Has("cpuacct") {
		u = s.sampleLocked()
	}
	if s.d.groups.Has("memory") {
		if u.MaxMemory, err = s.group.PeakMemory(); err != nil {
			return Usage{}, err
		}
	}
	if s.d.groups.Has("cpuacct") {
		u.CPU, err = s.group.CPU()
	}
	return u, err
}

// sampleLocked does without control groups: it knows of a run what it saw when it last looked.
func (s *namespaceSandbox) sampleLocked() Usage {
	if r := s.mu.run; r != nil && !r.ended {
		live := treeUsage(pidOf(r.process))
		s.mu.peak = max(s.mu.peak, live.MaxMemory)
		r.cpu = max(r.cpu, live.CPU)
	}
	cpu := s.mu.cpu
	if s.mu.run != nil {
		cpu += s.mu.run.cpu
	}
	return Usage{MaxMemory: s.mu.peak, CPU: cpu}
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
	return s.run(m, &order{command: s.spec.Command, env: s.spec.Env, dir: taskDir})
}

// end kills every process and waits for the last.
func (s *namespaceSandbox) end(quiet bool) error {
	s.mu.Lock()
	r := s.mu.run
	if r == nil {
		s.mu.Unlock()
		return nil
	}
	// With little CPU even dying takes long.
	err := s.group.LimitCPU(0)
	if !r.ended {
		r.quiet = quiet
		err = errors.Join(err, s.killLocked(r))
	}
	s.mu.run, s.mu.cpu = nil, s.mu.cpu+r.cpu
	s.mu.Unlock()
	<-r.done
	return errors.Join(err, r.control.Close(), r.process.Close())
}

// killLocked kills every process of a run.
func (s *namespaceSandbox) killLocked(r *nsRun) error {
	err := r.kill()
	if r.frozen && s.d.groups.Has("freezer") {
		err = errors.Join(err, s.group.Thaw()) // in version 1 what is frozen does not die
		r.frozen = false
	}
	return err
}

// killLost kills the processes because their spawner has ended.
func (s *namespaceSandbox) killLost() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.run == nil || s.mu.run.ended {
		return nil
	}
	return s.killLocked(s.mu.run)
}

// pidOf returns the process id behind a process's file descriptor, or 0. It may be the id of
// another by the time it is used.
func pidOf(process *os.File) int {
	conn, err := process.SyscallConn()
	if err != nil {
		return 0
	}
	var text []byte
	err = conn.Control(func(fd uintptr) {
		text, err = os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(int(fd)))
	})
	_, after, _ := strings.Cut(string(text), "\nPid:\t")
	line, _, _ := strings.Cut(after, "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		return 0
	}
	return pid
}

// kill kills the first process, and so every other.
func (r *nsRun) kill() error {
	conn, err := r.process.SyscallConn()
	if err != nil {
		return fmt.Errorf("sandbox: kill first process: %w", err)
	}
	var killed error
	err = conn.Control(func(fd uintptr) { killed = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0) })
	if killed == unix.ESRCH {
		killed = nil // it has ended by itself
	}
	if err = errors.Join(err, killed); err != nil {
		return fmt.Errorf("sandbox: kill first process: %w", err)
	}
	return nil
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
	errs = append(errs, s.link.drop(s.id))
	for _, l := range []net.Listener{s.lis, s.endpoint} {
		if l != nil {
			errs = append(errs, ignoreNetClosed(l.Close()))
		}
	}
	if s.daemon != nil {
		errs = append(errs, ignoreNetClosed(s.daemon.Close()))
	}
	closeAll([]*os.File{s.write, s.assignment})
	s.out.drain()
	if s.group != nil {
		errs = append(errs, s.group.Close())
	}
	for _, disk := range s.disks {
		s.d.volumes.release(disk)
	}
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
