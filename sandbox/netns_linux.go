//go:build amd64 || arm64

package sandbox

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Addresses on the loopback device of a sandbox's network, as on AWS.
var (
	runtimeAddr  = netip.MustParseAddrPort("169.254.100.1:9001")
	endpointAddr = netip.MustParseAddrPort(EndpointAddr)
	daemonAddr   = netip.MustParseAddrPort(DaemonAddr)
)

// listenBacklog is how many connections of a sandbox wait to be accepted.
const listenBacklog = 256

// newNetwork moves the calling thread into a new network that has only a loopback device, and
// a tie to the outside if that is not nil. It returns the network with the sockets that listen
// in it: the runtime's, the endpoint's and the daemon's.
func (s *spawner) newNetwork(tie *natTie) (*os.File, []*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, nil, fmt.Errorf("make network: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return nil, nil, err
	}
	var sockets []*os.File
	for _, l := range []struct {
		kind int
		at   netip.AddrPort
	}{{unix.SOCK_STREAM, runtimeAddr}, {unix.SOCK_STREAM, endpointAddr}, {unix.SOCK_DGRAM, daemonAddr}} {
		f, err := listen(l.kind, l.at)
		if err != nil {
			closeAll(sockets)
			return nil, nil, err
		}
		sockets = append(sockets, f)
	}
	ns, err := s.ownNamespace("net")
	if err == nil && tie != nil {
		err = tieNetwork(s.routes, ns, tie)
	}
	if err != nil {
		closeAll(append(sockets, ns))
		return nil, nil, err
	}
	return ns, sockets, nil
}

// An ifreq is the kernel's struct for questions about an interface: a name and a value.
type ifreq struct {
	name  [unix.IFNAMSIZ]byte
	value [24]byte
}

// loopbackUp starts the loopback device of the calling thread's network and gives it the
// second address.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open control socket of network: %w", err)
	}
	defer unix.Close(fd)
	address := func(a [4]byte) (v [24]byte) { // a struct sockaddr_in
		binary.NativeEndian.PutUint16(v[:], unix.AF_INET)
		copy(v[4:], a[:])
		return v
	}
	var up [24]byte
	binary.NativeEndian.PutUint16(up[:], unix.IFF_UP|unix.IFF_RUNNING)
	for _, step := range []struct {
		call  uint
		name  string
		value [24]byte
	}{
		{unix.SIOCSIFFLAGS, "lo", up},
		{unix.SIOCSIFADDR, "lo:1", address(runtimeAddr.Addr().As4())},
		{unix.SIOCSIFNETMASK, "lo:1", address([4]byte{255, 255, 255, 255})},
	} {
		req := ifreq{value: step.value}
		copy(req.name[:], step.name)
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(step.call), uintptr(unsafe.Pointer(&req)))
		if errno != 0 {
			return fmt.Errorf("configure loopback device: %w", errno)
		}
	}
	return nil
}

// listen opens a socket of a kind in the calling thread's network.
func listen(kind int, at netip.AddrPort) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open listener: %w", err)
	}
	err = unix.Bind(fd, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()})
	if err == nil && kind == unix.SOCK_STREAM {
		err = unix.Listen(fd, listenBacklog)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("listen on %s: %w", at, err)
	}
	return os.NewFile(uintptr(fd), "listener"), nil
}
