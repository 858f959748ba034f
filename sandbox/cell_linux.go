//go:build amd64 || arm64

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// maxProcesses is how many processes and threads a sandbox may have, as on AWS.
const maxProcesses = 1024

// make builds a sandbox around its first process, on a worker's thread. What it returns are
// the listeners.
func (s *spawner) make(req request, files []*os.File) ([]*os.File, error) {
	m := req.Make
	if m == nil || len(files) != m.files() {
		return nil, fmt.Errorf("request comes with %d files", len(files))
	}
	given := takeFiles(m, files)
	defer s.goHome()
	if err := takeSeats(given.tasks); err != nil {
		return nil, err
	}
	c, listeners, err := s.enterCell(req, given.volume)
	if err != nil {
		return nil, err
	}
	pid, err := s.fork(m, given)
	if err != nil {
		closeAll(listeners)
		if !m.Again {
			closeAll([]*os.File{c.mounts, c.net})
		}
		return nil, err
	}
	s.enroll(req.Sandbox, c, pid)
	return listeners, nil
}

// files counts the files that come with a request.
func (m *makeRequest) files() int {
	n := 2 + m.Tasks
	if m.Unified {
		n++
	}
	if m.Volume {
		n++
	}
	return n
}

// givenFiles are the files that came with a request.
type givenFiles struct {
	control, output, unified, volume *os.File
	tasks                            []*os.File
}

func takeFiles(m *makeRequest, files []*os.File) givenFiles {
	g := givenFiles{control: files[0], output: files[1]}
	files = files[2:]
	if m.Unified {
		g.unified, files = files[0], files[1:]
	}
	if m.Volume {
		g.volume, files = files[0], files[1:]
	}
	g.tasks = files
	return g
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
	check(s.enter(s.hostNet, unix.CLONE_NEWNET))
}

// enterCell moves the calling thread into a sandbox's namespaces, which it makes if need be.
func (s *spawner) enterCell(req request, volume *os.File) (*cell, []*os.File, error) {
	m := req.Make
	if m.Again {
		c, err := s.cell(req.Sandbox)
		if err != nil {
			return nil, nil, err
		}
		return c, nil, s.reenter(c)
	}
	c := &cell{}
	var err error
	var listeners []*os.File
	if !m.HostNet {
		if c.net, listeners, err = s.newNetwork(); err != nil {
			return nil, nil, err
		}
	}
	if err = s.newMounts(m.Binds, volume); err == nil {
		c.mounts, err = s.ownNamespace("mnt")
	}
	if err != nil {
		closeAll(append(listeners, c.net))
		return nil, nil, err
	}
	return c, listeners, nil
}

// reenter moves the calling thread into the namespaces of a sandbox whose processes are gone.
func (s *spawner) reenter(c *cell) error {
	if c.net != nil {
		if err := s.enter(c.net, unix.CLONE_NEWNET); err != nil {
			return err
		}
	}
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
func (s *spawner) newMounts(binds []bind, volume *os.File) error {
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
	if volume != nil {
		if err := moveMount(volume, "/tmp"); err != nil {
			return err
		}
	}
	return moveMounts(trees, binds)
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

// show mounts directories in a sandbox that exists, on a worker's thread.
func (s *spawner) show(req request) error {
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
	return moveMounts(trees, req.Binds)
}

// fork makes the first process in the calling thread's namespaces and groups.
func (s *spawner) fork(m *makeRequest, given givenFiles) (int, error) {
	p := &pidOne{
		uid: uintptr(m.UID), gid: uintptr(m.UID),
		groups:  !s.user,
		lastCap: uintptr(s.lastCap),
		filter:  unix.SockFprog{Len: uint16(len(s.filter)), Filter: &s.filter[0]},
		masks:   s.masks,
		order:   s.order,
	}
	copy(p.name[:len(p.name)-1], "weir:"+m.Name)
	var above []int
	defer func() {
		for _, fd := range above {
			unix.Close(fd)
		}
	}()
	for _, to := range []struct {
		fd   *uintptr
		file *os.File
	}{{&p.control, given.control}, {&p.output, given.output}, {&p.null, s.null}} {
		fd, err := unix.FcntlInt(to.file.Fd(), unix.F_DUPFD_CLOEXEC, signalsFD+1)
		if err != nil {
			return 0, fmt.Errorf("duplicate file descriptor: %w", err)
		}
		above = append(above, fd)
		*to.fd = uintptr(fd)
	}
	group := -1
	if given.unified != nil {
		group = int(given.unified.Fd())
	}
	const flags = unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP
	pid, errno := p.start(flags, group)
	runtime.KeepAlive(p)
	if errno != 0 {
		return 0, fmt.Errorf("fork first process: %w", errors.Join(errno))
	}
	return pid, nil
}
