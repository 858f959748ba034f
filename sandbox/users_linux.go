//go:build amd64 || arm64

package sandbox

import (
	"errors"
	"fmt"
	"net"
	"sync"
)

// Every sandbox has a user id of the host to itself while it lives: the kernel counts and
// restricts many things by user.
const (
	firstUser      = 1_900_000_000 // above what distributions and container runtimes give out
	usersPerDriver = 1 << 14
	userRanges     = 1 << 12 // of drivers on one host

	// usersResting is how many freed ids rest before one is given out again: what the kernel
	// ties to them (such as a network that is being dismantled) lives on for a moment.
	usersResting = 64
)

// users gives out user ids of a range that no other driver of the host has.
type users struct {
	lock net.Listener // an abstract socket: its name is taken as long as it is open
	base int

	mu struct {
		sync.Mutex
		next int
		free []int // the longest free first
	}
}

// openUsers takes the range that seed points to, or the next free one.
func openUsers(seed uint32) (*users, error) {
	for i := range uint32(userRanges) {
		n := (seed + i) % userRanges
		lock, err := net.Listen("unix", fmt.Sprintf("@weir-sandbox-users-%d", n))
		if err == nil {
			return &users{lock: lock, base: firstUser + int(n)*usersPerDriver}, nil
		}
	}
	return nil, errors.New("sandbox: every range of user ids is taken")
}

func (u *users) take() (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n := len(u.mu.free); n > usersResting || n > 0 && u.mu.next == usersPerDriver {
		uid := u.mu.free[0]
		u.mu.free = u.mu.free[1:]
		return uid, nil
	}
	if u.mu.next == usersPerDriver {
		return 0, fmt.Errorf("sandbox: %d sandboxes at once are the most", usersPerDriver)
	}
	u.mu.next++
	return u.base + u.mu.next - 1, nil
}

func (u *users) give(uid int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mu.free = append(u.mu.free, uid)
}

func (u *users) close() error { return u.lock.Close() }
