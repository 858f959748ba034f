//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// known are the processes that the tests started themselves, which are no orphans.
var known struct {
	sync.Mutex
	pids map[int]bool
}

func know(pid int) {
	known.Lock()
	defer known.Unlock()
	if known.pids == nil {
		known.pids = make(map[int]bool)
	}
	known.pids[pid] = true
}

func forget(pid int) {
	known.Lock()
	defer known.Unlock()
	delete(known.pids, pid)
}

// A process is a line of /proc.
type process struct {
	pid, parent int
	state       byte
	command     string
}

func (p process) String() string { return fmt.Sprintf("%d (%s, state %c)", p.pid, p.command, p.state) }

// processes lists the processes of this machine.
func processes() ([]process, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var all []process
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, err
		}
		// The command is in brackets and may hold anything, so it ends at the last one.
		end := bytes.LastIndexByte(text, ')')
		fields := strings.Fields(string(text[end+1:]))
		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, err
		}
		all = append(all, process{pid, parent, fields[0][0], string(text[bytes.IndexByte(text, '(')+1 : end])})
	}
	return all, nil
}

// orphans returns the processes whose server has ended without them, and reaps the dead.
func orphans() ([]process, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	known.Lock()
	defer known.Unlock()
	var left []process
	for _, p := range all {
		if p.parent != os.Getpid() || known.pids[p.pid] {
			continue
		}
		if p.state == 'Z' {
			if _, err := unix.Wait4(p.pid, nil, unix.WNOHANG, nil); err != nil {
				return nil, fmt.Errorf("reap %v: %w", p, err)
			}
			continue
		}
		left = append(left, p)
	}
	return left, nil
}
