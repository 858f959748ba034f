//go:build amd64 || arm64

package sandbox

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memoryPerCPU is how many megabytes of memory buy one CPU, as on AWS.
const memoryPerCPU = 1769

// maxProcesses is how many processes and threads a sandbox may have, as on AWS.
const maxProcesses = 1024

// make builds a sandbox around its first process, on a worker's thread. What it returns are
// the process and the listeners.
func (s *spawner) make(req request, files []*os.File, w *worker) ([]*os.File, error) {
	if req.Make == nil || len(files) != 2 {
		return nil, fmt.Errorf("request comes with %d files", len(files))
	}
	defer s.goHome()
	c, listeners, err := s.enterNetwork(req)
	if err != nil {
		return nil, err
	}
	process, err := s.makeInside(req.Make, c, files[0], files[1], w)
	if err != nil {
		closeAll(listeners)
		if !req.Make.Again {
			closeAll([]*os.File{c.mounts, c.net})
		}
		return nil, err
	}
	s.mu.Lock()
	s.mu.cells[req.Sandbox] = c
	s.mu.Unlock()
	return append([]*os.File{process}, listeners...), nil
}

// enterNetwork moves the calling thread into a sandbox's network, which it makes if need be.
func (s *spawner) enterNetwork(req request) (*cell, []*os.File, error) {
	if req.Make.Again {
		c, err := s.cell(req.Sandbox)
		if err == nil && c.net != nil {
			err = s.enter(c.net, unix.CLONE_NEWNET)
		}
		return c, nil, err
	}
	c := &cell{}
	if req.Make.HostNet {
		return c, nil, nil
	}
	var listeners []*os.File
	var err error
	c.net, listeners, err = s.newNetwork(req.Make.NAT)
	return c, listeners, err
}

// makeInside makes the first process once the calling thread is in its network.
func (s *spawner) makeInside(m *makeRequest, c *cell, control, output *os.File, w *worker) (*os.File, error) {
	var p parcel
	seats, err := w.conn.receiveFrom(control, &p)
	defer func() { closeAll(seats) }()
	if err != nil {
		return nil, fmt.Errorf("wait for parcel: %w", err)
	}
	var unified *os.File
	tasks := seats
	if p.Unified && len(seats) > 0 {
		unified, tasks = seats[0], seats[1:]
	}
	if err := takeSeats(tasks); err != nil {
		return nil, err
	}
	if m.Again {
		err = s.reenterMounts(c)
	} else {
		err = s.newMounts(c, m.Binds)
	}
	if err != nil {
		return nil, err
	}
	return s.fork(m, control, output, unified, w.memory)
}

// takeSeats moves the calling thread, and so what it forks, into groups of version 1.
func takeSeats(tasks []*os.File) error {
	for _, f := range tasks {
		if _, err := f.Write([]byte("0")); err != nil {
			return fmt.Errorf("enter group: %w", err)
		}
	}
	return nil
}

// goHome returns the calling thread to the spawner's groups and network.
func (s *spawner) goHome() {
	check(takeSeats(s.home))
	check(s.enter(s.homeNet, unix.CLONE_NEWNET))
}

// reenterMounts moves the calling thread to the files of a sandbox whose processes are gone.
func (s *spawner) reenterMounts(c *cell) error {
	if err := s.enter(c.mounts, unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Unmount("/proc", unix.MNT_DETACH); err != nil && err != unix.EINVAL {
		return fmt.Errorf("unmount old /proc: %w", err)
	}
	return nil
}

// newMounts gives the calling thread a copy of the common root with what belongs to one
// sandbox.
func (s *spawner) newMounts(c *cell, binds []bind) error {
	trees, err := s.openTrees(binds)
	defer closeAll(trees)
	if err != nil {
		return err
	}
	if err := s.enter(s.root, unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make mount namespace: %w", err)
	}
	if err := moveMounts(trees, binds); err != nil {
		return err
	}
	c.mounts, err = s.ownNamespace("mnt")
	return err
}

// openTrees makes mounts of directories of the host that are not attached anywhere yet. It
// leaves the calling thread in the host's mount namespace.
func (s *spawner) openTrees(binds []bind) ([]*os.File, error) {
	if len(binds) == 0 {
		return nil, nil
	}
	if err := s.enter(s.host, unix.CLONE_NEWNS); err != nil {
		return nil, err
	}
	var trees []*os.File
	for _, b := range binds {
		tree, err := openTree(b)
		if err != nil {
			return trees, err
		}
		trees = append(trees, tree)
	}
	return trees, nil
}

func openTree(b bind) (*os.File, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, b.From, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return nil, fmt.Errorf("show %s: %w", b.From, err)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Propagation: unix.MS_PRIVATE}
	if !b.Write {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make %s read-only: %w", b.From, err)
	}
	return os.NewFile(uintptr(fd), b.From), nil
}

func moveMounts(trees []*os.File, binds []bind) error {
	for i, tree := range trees {
		if err := moveMount(tree, binds[i].To); err != nil {
			return err
		}
	}
	return nil
}

func moveMount(tree *os.File, to string) error {
	if err := unix.MoveMount(int(tree.Fd()), "", unix.AT_FDCWD, to, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount %s: %w", to, err)
	}
	return nil
}

// show mounts directories, and a volume over /tmp if one comes with the request, in a sandbox
// that exists, on a worker's thread.
func (s *spawner) show(req request, files []*os.File) error {
	c, err := s.cell(req.Sandbox)
	if err != nil {
		return err
	}
	trees, err := s.openTrees(req.Binds)
	defer closeAll(trees)
	if err != nil {
		return err
	}
	if err := s.enter(c.mounts, unix.CLONE_NEWNS); err != nil {
		return err
	}
	if len(files) == 1 {
		if err := moveMount(files[0], "/tmp"); err != nil {
			return err
		}
	}
	return moveMounts(trees, req.Binds)
}

// fork makes the first process in the calling thread's namespaces and groups.
func (s *spawner) fork(m *makeRequest, control, output, unified *os.File, memory *pidOneMemory) (*os.File, error) {
	p := &memory.one
	*p = pidOne{
		uid: uintptr(m.UID), gid: uintptr(m.UID),
		groups:    !s.user,
		volume:    m.Volume,
		filter:    uintptr(unsafe.Pointer(&memory.filter)),
		filterLen: uintptr(s.filterLen),
		masks:     s.masks,
		limits:    processLimits,
	}
	copy(p.name[:], processName(m.Name))
	var above []int
	defer func() {
		for _, fd := range above {
			unix.Close(fd)
		}
	}()
	for _, to := range []struct {
		fd   *uintptr
		file *os.File
	}{{&p.control, control}, {&p.output, output}, {&p.null, s.null}} {
		fd, err := unix.FcntlInt(to.file.Fd(), unix.F_DUPFD_CLOEXEC, signalsFD+1)
		if err != nil {
			return nil, fmt.Errorf("duplicate file descriptor: %w", err)
		}
		above = append(above, fd)
		*to.fd = uintptr(fd)
	}
	group := -1
	if unified != nil {
		group = int(unified.Fd())
	}
	const flags = unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP
	s.mu.Lock() // reap must not be faster than the entry
	defer s.mu.Unlock()
	if err := shareThread(); err != nil {
		return nil, err
	}
	pid, pidfd, err := memory.start(flags, group)
	if err != nil {
		return nil, fmt.Errorf("fork first process: %w", err)
	}
	s.mu.pids[pid] = true
	s.mu.forks++
	process := os.NewFile(uintptr(pidfd), "process")
	if err := unix.SetNonblock(pidfd, true); err != nil { // the server waits for it in its poller
		process.Close()
		return nil, fmt.Errorf("prepare process: %w", err)
	}
	return process, nil
}
