package environment

import (
	"io"
	"sync"
	"syscall"
	"time"
)

// Bounds of a function's output. One that prints faster is held up by its full pipe, as it is
// by a log that cannot take more; nothing is dropped and no one else waits.
const (
	outputBurst = 16 << 20  // bytes at once
	outputRate  = 8 << 20   // bytes per second beyond
	outputRead  = 16 << 10  // bytes per read
	maxCatchUp  = 256 << 10 // bytes read before an END line; what comes later stands behind it
)

// An output carries what a function prints from the sandbox's pipe to the log stream.
//
// The pipe is read under the stream's lock and without waiting, so that whoever is about to
// write an END line can first take what the function printed before.
type output struct {
	stream  *stream
	src     io.Reader
	raw     syscall.RawConn  // of src; nil: src cannot be read without waiting
	readAll func(fd uintptr) // for catchUp
	budget  float64          // bytes that may be read at once
	last    time.Time        // when budget was right
}

var outputBuffers = sync.Pool{New: func() any { return new([outputRead]byte) }}

func newOutput(src io.Reader, s *stream) *output {
	o := &output{stream: s, src: src, raw: nonblocking(src), budget: outputBurst, last: time.Now()}
	o.readAll = func(fd uintptr) {
		for total := 0; total < maxCatchUp; {
			n, err := o.read(fd)
			if err != nil || n == 0 {
				return
			}
			total += n
		}
	}
	return o
}

// nonblocking returns the raw connection of a file in non-blocking mode, or nil.
func nonblocking(src io.Reader) syscall.RawConn {
	sc, ok := src.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	var flags uintptr
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		flags, _, errno = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_GETFL, 0)
	})
	if err != nil || errno != 0 || flags&syscall.O_NONBLOCK == 0 {
		return nil
	}
	return raw
}

// copy reads until the pipe ends or done is closed.
func (o *output) copy(done <-chan struct{}) {
	for {
		n, err := o.wait()
		if err != nil {
			return
		}
		if d := o.spend(n, time.Now()); d > 0 {
			select {
			case <-time.After(d):
			case <-done:
				return
			}
		}
	}
}

// wait reads once, waiting for output.
func (o *output) wait() (n int, err error) {
	defer o.stream.flush()
	if o.raw == nil {
		buf := outputBuffers.Get().(*[outputRead]byte)
		defer outputBuffers.Put(buf)
		n, err = o.src.Read(buf[:])
		o.stream.output(buf[:n])
		return n, err
	}
	waitErr := o.raw.Read(func(fd uintptr) bool {
		n, err = o.read(fd)
		return err != syscall.EAGAIN
	})
	switch {
	case waitErr != nil:
		return 0, waitErr
	case err == nil && n == 0:
		return 0, io.EOF
	}
	return n, err
}

// read reads once without waiting and passes on what it got.
func (o *output) read(fd uintptr) (int, error) {
	buf := outputBuffers.Get().(*[outputRead]byte)
	defer outputBuffers.Put(buf)
	s := o.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		n, err := syscall.Read(int(fd), buf[:])
		switch err {
		case nil:
			s.outputLocked(buf[:n])
			return n, nil
		case syscall.EINTR:
		default:
			return 0, err
		}
	}
}

// catchUp passes on what the function has printed so far, if that can be known.
func (o *output) catchUp() {
	if o.raw == nil {
		return
	}
	// An error means that the pipe is closed: there is nothing left to pass on.
	_ = o.raw.Control(o.readAll)
}

// spend takes n bytes off the budget and returns how long to wait until it is in credit again.
func (o *output) spend(n int, now time.Time) time.Duration {
	o.budget = min(outputBurst, o.budget+now.Sub(o.last).Seconds()*outputRate) - float64(n)
	o.last = now
	if o.budget >= 0 {
		return 0
	}
	return time.Duration(-o.budget / outputRate * float64(time.Second))
}
