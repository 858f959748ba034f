package xray

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"

	"github.com/weir-run/weir/lambda"
)

// Bounds of the daemons.
const (
	maxDaemons  = 256      // scopes; functions in others get no address
	maxDatagram = 64 << 10 // bytes, more than UDP has
)

// daemons speak the protocol of X-Ray's daemon, by which SDKs send segments: UDP datagrams of a
// header line and a segment document. A datagram names no account, so each scope has a port on
// the loopback device, for functions in the server's own network.
type daemons struct {
	service *Service
	work    sync.WaitGroup

	mu struct {
		sync.Mutex
		open   map[lambda.Scope]*daemon
		closed bool
	}
}

type daemon struct {
	scope lambda.Scope
	conn  *net.UDPConn
}

// DaemonAddress is where the functions of a scope reach the daemon on the loopback device.
func (s *Service) DaemonAddress(scope lambda.Scope) (string, error) {
	d := &s.daemons
	d.mu.Lock()
	defer d.mu.Unlock()
	if x := d.mu.open[scope]; x != nil {
		return x.conn.LocalAddr().String(), nil
	}
	if d.mu.closed {
		return "", errors.New("xray: closed")
	}
	if len(d.mu.open) >= maxDaemons {
		return "", fmt.Errorf("xray: more than %d scopes trace", maxDaemons)
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return "", fmt.Errorf("xray: listen: %w", err)
	}
	x := &daemon{scope, conn}
	d.mu.open[scope] = x
	d.work.Go(func() { s.ServeDaemon(scope, conn) })
	return conn.LocalAddr().String(), nil
}

// ServeDaemon takes the datagrams of a scope's functions until the connection is closed. Nobody
// hears of a bad one, as with X-Ray's daemon, but for the log.
func (s *Service) ServeDaemon(scope lambda.Scope, conn *net.UDPConn) {
	raw, err := conn.SyscallConn()
	for err == nil {
		err = receive(raw, func(datagram []byte) {
			why := parseError
			if text, ok := unwrap(datagram); ok {
				_, why = s.take(scope, text)
			}
			if why != "" {
				s.log.Debug("a segment was dropped", "scope", scope.String(), "why", string(why))
			}
		})
	}
}

var datagrams = sync.Pool{New: func() any { return new([maxDatagram]byte) }}

// receive waits for a datagram. It holds no buffer meanwhile: every environment has a connection,
// and few are ever used.
func receive(raw syscall.RawConn, take func([]byte)) error {
	var failed error
	err := raw.Read(func(fd uintptr) bool {
		buffer := datagrams.Get().(*[maxDatagram]byte)
		defer datagrams.Put(buffer)
		n, _, err := syscall.Recvfrom(int(fd), buffer[:], 0)
		switch err {
		case nil:
			take(buffer[:n])
			return true
		case syscall.EAGAIN:
			return false
		case syscall.EINTR:
			return true
		}
		failed = err
		return true
	})
	if err != nil {
		return err
	}
	return failed
}

// unwrap returns the segment document of a datagram, copied, or false if its header is not
// {"format":"json","version":1}.
func unwrap(datagram []byte) ([]byte, bool) {
	header, rest, ok := bytes.Cut(datagram, []byte("\n"))
	var h struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if !ok || json.Unmarshal(header, &h) != nil || h.Format != "json" || h.Version != 1 {
		return nil, false
	}
	return bytes.Clone(rest), true
}

func (d *daemons) close() {
	d.mu.Lock()
	d.mu.closed = true
	for _, x := range d.mu.open {
		x.conn.Close()
	}
	d.mu.Unlock()
	d.work.Wait()
}
