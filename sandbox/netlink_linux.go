//go:build amd64 || arm64

package sandbox

import (
	"encoding/binary"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// A netlink is a socket to a part of the kernel's network, of the network that the thread was
// in that opened it.
type netlink struct {
	fd int

	mu struct {
		sync.Mutex
		sequence uint32
	}
}

// openNetlink opens a socket to a netlink family such as unix.NETLINK_ROUTE.
func openNetlink(family int) (*netlink, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, family)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return &netlink{fd: fd}, nil
}

func (n *netlink) close() error { return unix.Close(n.fd) }

// A message is a netlink request: its type, flags besides request and acknowledge, and what
// follows the header.
type message struct {
	kind, flags uint16
	body        []byte
}

// do sends messages as one packet and waits until the last of them is acknowledged, or one
// refused. In a batch of nftables the first and the last are not acknowledged.
func (n *netlink) do(batch bool, messages ...message) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var packet []byte
	waiting := make(map[uint32]bool)
	for i, m := range messages {
		n.mu.sequence++
		flags := m.flags | unix.NLM_F_REQUEST
		if !batch || i > 0 && i < len(messages)-1 {
			flags |= unix.NLM_F_ACK
			waiting[n.mu.sequence] = true
		}
		packet = binary.NativeEndian.AppendUint32(packet, uint32(unix.NLMSG_HDRLEN+len(m.body)))
		packet = binary.NativeEndian.AppendUint16(packet, m.kind)
		packet = binary.NativeEndian.AppendUint16(packet, flags)
		packet = binary.NativeEndian.AppendUint32(packet, n.mu.sequence)
		packet = binary.NativeEndian.AppendUint32(packet, 0)
		packet = pad(append(packet, m.body...))
	}
	if err := unix.Sendto(n.fd, packet, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send netlink: %w", err)
	}
	var refused error
	buffer := make([]byte, 8192)
	for len(waiting) > 0 {
		size, _, err := unix.Recvfrom(n.fd, buffer, 0)
		if err != nil {
			return fmt.Errorf("receive netlink: %w", err)
		}
		for answer := buffer[:size]; len(answer) >= unix.NLMSG_HDRLEN+4; {
			length := min(max(int(binary.NativeEndian.Uint32(answer)), unix.NLMSG_HDRLEN), len(answer))
			kind := binary.NativeEndian.Uint16(answer[4:])
			delete(waiting, binary.NativeEndian.Uint32(answer[8:]))
			errno := -int32(binary.NativeEndian.Uint32(answer[unix.NLMSG_HDRLEN:]))
			if kind == unix.NLMSG_ERROR && errno != 0 && refused == nil {
				refused = unix.Errno(errno)
			}
			answer = answer[min((length+3)&^3, len(answer)):]
		}
		if refused != nil && batch {
			return refused // the kernel has dropped the whole batch
		}
	}
	return refused
}

// pad fills up to a multiple of four bytes.
func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// attr encodes an attribute of bytes.
func attr(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return pad(append(b, value...))
}

// nest encodes an attribute of attributes.
func nest(kind uint16, values ...[]byte) []byte {
	var all []byte
	for _, v := range values {
		all = append(all, v...)
	}
	return attr(kind|unix.NLA_F_NESTED, all)
}

func attrString(kind uint16, s string) []byte { return attr(kind, append([]byte(s), 0)) }

func attr32(kind uint16, v uint32) []byte {
	return attr(kind, binary.NativeEndian.AppendUint32(nil, v))
}

// attrBig32 is for nftables, which counts in network order.
func attrBig32(kind uint16, v uint32) []byte {
	return attr(kind, binary.BigEndian.AppendUint32(nil, v))
}
