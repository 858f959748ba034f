//go:build linux && (amd64 || arm64)

package sandbox

import (
	"net"
	"os"
	"strings"
	"testing"
)

func TestNAT(t *testing.T) {
	shared := namespaces(t)
	if shared.user {
		spec := deeds("exit=0")
		spec.Egress = EgressNAT
		if _, err := shared.Start(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "needs root") {
			t.Errorf("without root: %v", err)
		}
		return
	}
	const forward = "/proc/sys/net/ipv4/ip_forward"
	was, err := os.ReadFile(forward)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.WriteFile(forward, was, 0) })
	d := openDriver(t, Options{Mechanism: Namespace, Egress: EgressNAT, Pool: Pool{ReadyMin: 1, ReadyMax: 1}}).(*namespaceDriver)
	n := d.out.nat
	host := listenOnHost(t, "0.0.0.0:0")
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		t.Fatal(err)
	}
	a := start(t, d, deeds("listen=0.0.0.0:8000", "next"))
	a.line("listen")
	a.next()
	outside := outsideWorld(t)
	for addr, reached := range map[string]bool{
		outside:                           true,
		"169.254.169.254:80":              false,
		n.gateway().String() + ":" + port: false,
		n.tie(0).Address.Addr().String() + ":8000": false,
		n.tie(1).Address.Addr().String() + ":8000": false,
	} {
		b := start(t, d, deeds("dial="+addr, "next"))
		b.next() // the Runtime API as ever
		if got := b.line("dial "); (got == "ok") != reached {
			t.Errorf("%s: %s", addr, got)
		}
		if err := b.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.next()
	}
	none := deeds("dial="+outside, "exit=0")
	none.Egress = EgressNone
	if b := start(t, d, none); b.line("dial ") == "ok" {
		t.Error("a sandbox without egress gets out")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := net.InterfaceByName(d.name); err == nil {
		t.Error("the bridge is left")
	}
}

// outsideWorld returns an address beyond the host that the host reaches.
func outsideWorld(t *testing.T) string {
	t.Helper()
	for _, addr := range []string{"1.1.1.1:53", "8.8.8.8:53"} {
		if c, err := dialHost(addr); err == nil {
			c.Close()
			return addr
		}
	}
	t.Skip("this machine reaches nothing outside")
	return ""
}

func TestEgressHost(t *testing.T) {
	d := namespaces(t)
	host := listenOnHost(t, "127.0.0.1:0")
	spec := deeds("dial="+host, "next")
	spec.Egress = EgressHost
	b := start(t, d, spec)
	b.line("dial ok")
	b.next()
	if b.Endpoint() != nil || !strings.HasPrefix(b.Listener().Addr().String(), "127.0.0.1:") {
		t.Errorf("listener %s, endpoint %v", b.Listener().Addr(), b.Endpoint())
	}
	if b.Daemon() != nil {
		t.Errorf("a daemon at %v", b.Daemon().LocalAddr())
	}
	if err := b.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.next()
}

func TestRoutesAreRead(t *testing.T) {
	for line, want := range map[string]string{
		"eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n": "192.0.2.0/24",
		"eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n": "0.0.0.0/0",
		"Iface\tDestination\tGateway\n":                                "",
		"eth0\tX\t0\t0\t0\t0\t0\tY\n":                                  "",
	} {
		p, ok := routeOf(line)
		if ok != (want != "") || ok && p.String() != want {
			t.Errorf("%q: %v, %v", line, p, ok)
		}
	}
	if p, err := freeSubnet(); err != nil || p.Bits() != 16 {
		t.Errorf("subnet %v, %v", p, err)
	}
	if _, err := os.Stat("/proc/net/route"); err != nil {
		t.Error(err)
	}
}
