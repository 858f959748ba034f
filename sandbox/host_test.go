package sandbox

import (
	"net"
	"testing"
	"time"
)

// listenOnHost returns the address of a listener outside of every sandbox.
func listenOnHost(t testing.TB, addr string) string {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func dialHost(addr string) (net.Conn, error) { return net.DialTimeout("tcp", addr, time.Second) }
