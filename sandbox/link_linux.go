//go:build amd64 || arm64

package sandbox

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// spawnerGrace is how long a spawner may take to end.
const spawnerGrace = 5 * time.Second

// errSpawnerGone is what requests to a dead spawner get.
var errSpawnerGone = errors.New("sandbox: spawner has ended")

// A link is the server's side of a running spawner.
type link struct {
	cmd  *exec.Cmd
	conn *packetConn
	log  *slog.Logger
	gone chan struct{} // closed when the spawner has ended

	mu struct {
		sync.Mutex
		number  uint64
		waiting map[uint64]chan answer
		closed  bool // no more requests
	}
}

type answer struct {
	err   error
	files []*os.File
}

// startSpawner starts a spawner; its privileges are the server's, or with user those it gets
// in a user namespace of its own.
func startSpawner(setup setupRequest, log *slog.Logger) (*link, error) {
	ours, theirs, err := packetPair()
	if err != nil {
		return nil, fmt.Errorf("sandbox: start spawner: %w", err)
	}
	defer theirs.Close()
	cmd := &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       []string{spawnerArg},
		Env:        []string{},
		Dir:        "/",
		Stderr:     os.Stderr,
		ExtraFiles: []*os.File{theirs},
	}
	if setup.User {
		cmd.SysProcAttr = userNamespace()
	}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, fmt.Errorf("sandbox: start spawner: %w", err)
	}
	l := &link{cmd: cmd, conn: newPacketConn(ours), log: log, gone: make(chan struct{})}
	l.mu.waiting = make(map[uint64]chan answer)
	go l.read()
	if _, err := l.call(request{Op: opSetup, Setup: &setup}, nil); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// userNamespace makes the spawner a user namespace's administrator under the identity that
// its sandboxes have.
func userNamespace() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Cloneflags:                 syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings:                []syscall.SysProcIDMap{{ContainerID: userModeID, HostID: os.Geteuid(), Size: 1}},
		GidMappings:                []syscall.SysProcIDMap{{ContainerID: userModeID, HostID: os.Getegid(), Size: 1}},
		GidMappingsEnableSetgroups: false,
	}
	for c := range uintptr(lastKnownCap + 1) {
		attr.AmbientCaps = append(attr.AmbientCaps, c)
	}
	return attr
}

// read delivers what the spawner says until it ends.
func (l *link) read() {
	for {
		var r reply
		files, err := l.conn.receive(&r)
		if err != nil {
			l.end()
			return
		}
		l.deliver(r, files)
	}
}

func (l *link) deliver(r reply, files []*os.File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := answer{files: files}
	if r.Error != "" {
		a.err = fmt.Errorf("sandbox: %s", r.Error)
	}
	if c := l.mu.waiting[r.Number]; c != nil {
		c <- a // has room for its one answer
		delete(l.mu.waiting, r.Number)
	}
}

// end waits for the spawner, which ends when it cannot talk to the server, and gives up:
// every request fails.
func (l *link) end() {
	l.mu.Lock()
	l.mu.closed = true
	l.mu.Unlock()
	l.conn.file.Close()
	late := time.AfterFunc(spawnerGrace, func() { l.cmd.Process.Kill() })
	defer late.Stop()
	if err := l.cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		l.log.Error("sandbox: wait for spawner", "error", err)
	}
	l.mu.Lock()
	for _, c := range l.mu.waiting {
		c <- answer{err: errSpawnerGone}
	}
	clear(l.mu.waiting)
	l.mu.Unlock()
	close(l.gone)
}

// call sends a request and waits for its answer.
func (l *link) call(req request, files []*os.File) ([]*os.File, error) {
	c, err := l.ask(req, files)
	if err != nil {
		return nil, err
	}
	a := <-c
	return a.files, a.err
}

// ask sends a request. The returned channel brings the answer.
func (l *link) ask(req request, files []*os.File) (<-chan answer, error) {
	c := make(chan answer, 1)
	l.mu.Lock()
	if l.mu.closed {
		l.mu.Unlock()
		return nil, errSpawnerGone
	}
	l.mu.number++
	req.Number = l.mu.number
	l.mu.waiting[req.Number] = c
	l.mu.Unlock()
	if err := l.conn.send(req, files); err != nil {
		l.mu.Lock()
		delete(l.mu.waiting, req.Number)
		l.mu.Unlock()
		return nil, fmt.Errorf("sandbox: ask spawner: %w", err)
	}
	return c, nil
}

// drop tells that a sandbox whose processes are gone is not needed any more.
func (l *link) drop(id uint64) error {
	err := l.conn.send(request{Op: opDrop, Sandbox: id}, nil)
	if err != nil && !l.ended() {
		return fmt.Errorf("sandbox: tell spawner: %w", err)
	}
	return nil
}

// close ends the spawner, and with it every sandbox it made. It is idempotent.
func (l *link) close() {
	l.mu.Lock()
	l.mu.closed = true
	l.mu.Unlock()
	l.conn.file.Close()
	<-l.gone
}

// ended tells whether the spawner is gone.
func (l *link) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.closed
}
