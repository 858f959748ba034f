//go:build amd64 || arm64

package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Server and spawner talk in JSON packets over a socket pair, with file descriptors beside
// them.

// maxPacket bounds a packet between server and spawner, in bytes.
const maxPacket = 64 << 10

// maxPacketFiles bounds the file descriptors of one packet.
const maxPacketFiles = 16

// Operations of the spawner.
const (
	opSetup = "setup" // build the root that sandboxes share; must come first, once
	opMake  = "make"  // make a sandbox, or its first process again
	opShow  = "show"  // mount directories in a sandbox
	opDrop  = "drop"  // forget a sandbox, whose processes are gone; not answered
)

// A request asks the spawner for one operation.
type request struct {
	Number  uint64
	Op      string
	Setup   *setupRequest `json:",omitempty"`
	Make    *makeRequest  `json:",omitempty"`
	Sandbox uint64        `json:",omitempty"`
	Binds   []bind        `json:",omitempty"` // opShow
}

// A setupRequest tells what all sandboxes have in common.
type setupRequest struct {
	Root     string // an empty directory to build the common root at
	User     bool   // the spawner's privileges end at its user namespace
	Freezers string // see cgroup.Host.Freezers
}

// A makeRequest comes with two files, the first process's control socket and its output. The
// spawner makes the network while the server prepares the rest, then takes a parcel that is
// the first packet in the control socket; the volume for /tmp comes later still, as the first
// order to the first process.
type makeRequest struct {
	Name    string
	UID     int
	Again   bool    // in the namespaces that the sandbox already has
	HostNet bool    // in the host's network instead of one of its own
	NAT     *natTie `json:",omitempty"` // of its own network to the outside
	Volume  bool    // an orderVolume will come
	Binds   []bind
}

// A parcel brings files: the group of the unified hierarchy if Unified, and the tasks files of
// version 1.
type parcel struct {
	Unified bool
}

// A bind shows a directory or file of the host.
type bind struct {
	From, To string
	Write    bool `json:",omitempty"`
}

// A reply answers a request. That to opMake brings the first process as a file descriptor,
// and the sockets of the runtime, the endpoint and the daemon unless it was Again or HostNet.
type reply struct {
	Number uint64
	Error  string `json:",omitempty"`
}

// A packetConn is one end of the socket pair. One goroutine at a time may receive.
type packetConn struct {
	file   *os.File
	data   [maxPacket]byte
	rights [64 + 4*maxPacketFiles]byte
}

func newPacketConn(file *os.File) *packetConn { return &packetConn{file: file} }

// send writes one packet.
func (c *packetConn) send(message any, files []*os.File) error {
	return sendJSON(c.file, message, files)
}

func sendJSON(to *os.File, message any, files []*os.File) error {
	data, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode packet: %w", err)
	}
	if len(data) > maxPacket || len(files) > maxPacketFiles {
		return fmt.Errorf("packet of %d bytes and %d files is too long", len(data), len(files))
	}
	return sendPacket(to, data, files)
}

// receive reads one packet. The files are the caller's. It returns io.EOF at the end.
func (c *packetConn) receive(message any) ([]*os.File, error) {
	return c.receiveFrom(c.file, message)
}

// receiveFrom reads a packet of another socket into the buffers of this one.
func (c *packetConn) receiveFrom(file *os.File, message any) ([]*os.File, error) {
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	var n, spaceN, flags int
	var received error
	err = conn.Read(func(fd uintptr) bool {
		n, spaceN, flags, _, received = unix.Recvmsg(int(fd), c.data[:], c.rights[:], unix.MSG_CMSG_CLOEXEC)
		return received != unix.EAGAIN
	})
	if err = errors.Join(err, received); err != nil {
		return nil, fmt.Errorf("receive packet: %w", err)
	}
	if n == 0 {
		return nil, io.EOF
	}
	files, err := packetFiles(c.rights[:spaceN])
	if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = errors.New("receive packet: truncated")
	}
	if err == nil {
		err = json.Unmarshal(c.data[:n], message)
	}
	if err != nil {
		closeAll(files)
		return nil, err
	}
	return files, nil
}

func packetFiles(space []byte) ([]*os.File, error) {
	if len(space) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(space)
	if err != nil {
		return nil, fmt.Errorf("parse control message: %w", err)
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			closeAll(files)
			return nil, fmt.Errorf("parse file descriptors: %w", err)
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "passed"))
		}
	}
	return files, nil
}

// sendPacket writes one packet with files beside it.
func sendPacket(to *os.File, data []byte, files []*os.File) error {
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		rights = unix.UnixRights(fds...)
	}
	conn, err := to.SyscallConn()
	if err != nil {
		return fmt.Errorf("send packet: %w", err)
	}
	var sent error
	err = conn.Write(func(fd uintptr) bool {
		sent = unix.Sendmsg(int(fd), data, rights, nil, unix.MSG_NOSIGNAL)
		return sent != unix.EAGAIN
	})
	if err = errors.Join(err, sent); err != nil {
		return fmt.Errorf("send packet: %w", err)
	}
	return nil
}

// packetPair returns a connected pair of sockets that keep packets apart. Ours does not
// block; theirs does, for a process that has nothing else to do.
func packetPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make socket pair: %w", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, fmt.Errorf("make socket pair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control"), nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close() // nil is fine
	}
}
