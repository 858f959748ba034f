package sandbox

import (
	"io"
	"os"
	"syscall"
	"time"
)

// outputLinger is how long a closed sandbox's last output can still be read.
const outputLinger = time.Second

// output is the read end of a sandbox's output pipe.
type output struct {
	file *os.File
}

func (o *output) Read(p []byte) (int, error) {
	n, err := o.file.Read(p)
	if err != nil {
		o.file.Close()
		return n, io.EOF // the pipe has no other way to fail than to end
	}
	return n, nil
}

// SyscallConn lets the reader look for output without waiting for it.
func (o *output) SyscallConn() (syscall.RawConn, error) { return o.file.SyscallConn() }

// drain closes the pipe once its reader had time to take what is left: a process that
// escaped may hold the other end open for ever.
func (o *output) drain() {
	time.AfterFunc(outputLinger, func() { o.file.Close() })
}
