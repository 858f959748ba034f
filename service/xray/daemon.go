package xray

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/weir-run/weir/lambda"
)

// Bounds of the daemons.
const (
	maxDaemons  = 256       // scopes; functions in others get no address
	maxDatagram = 256 << 10 // bytes, as X-Ray's daemon
)

// daemons speak the protocol of X-Ray's daemon, by which SDKs send segments: UDP datagrams of a
// header line and a segment document. A datagram names no account, so each scope has a port.
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
	conn  net.PacketConn
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
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("xray: listen: %w", err)
	}
	x := &daemon{scope, conn}
	d.mu.open[scope] = x
	d.work.Go(func() { d.serve(x) })
	return conn.LocalAddr().String(), nil
}

// serve takes datagrams until the daemon is closed. Nobody hears of a bad one, as with X-Ray's
// daemon, but for the log.
func (d *daemons) serve(x *daemon) {
	buffer := make([]byte, maxDatagram)
	for {
		n, _, err := x.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		why := parseError
		if text, ok := unwrap(buffer[:n]); ok {
			_, why = d.service.take(x.scope, text)
		}
		if why != "" {
			d.service.log.Debug("a segment was dropped", "scope", x.scope.String(), "why", string(why))
		}
	}
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
