//go:build amd64 || arm64

package sandbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A nat is the way out for sandboxes with EgressNAT: a bridge that each is tied to, and rules
// that masquerade what leaves by it. Sandboxes do not reach each other over the bridge, nor the
// host itself, nor link-local addresses, behind which clouds keep credentials.
type nat struct {
	name   string // of the bridge and the tables
	index  int
	subnet netip.Prefix
	routes *netlink
	rules  *netlink
}

// natSubnets are what a subnet for the bridge is chosen from: the first that the host does not
// use.
var natSubnets = []netip.Prefix{
	netip.MustParsePrefix("100.100.0.0/16"), netip.MustParsePrefix("10.213.0.0/16"),
	netip.MustParsePrefix("172.29.0.0/16"), netip.MustParsePrefix("100.101.0.0/16"),
}

// vethPeer is VETH_INFO_PEER.
const vethPeer = 1

// natFirst is the number of the first sandbox's address in the subnet; the bridge has 1.
const natFirst = 2

// A natTie is what a sandbox's network needs to know of the nat.
type natTie struct {
	Bridge  int
	Address netip.Prefix
	Gateway netip.Addr
}

// openNAT makes the bridge and the rules, after removing what an earlier driver left, and lets
// the host forward packets, which stays so.
func openNAT(name string) (_ *nat, err error) {
	n := &nat{name: name}
	if n.routes, err = openNetlink(unix.NETLINK_ROUTE); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("sandbox: prepare egress nat: %w", err), n.close())
		}
	}()
	if n.rules, err = openNetlink(unix.NETLINK_NETFILTER); err != nil {
		return nil, err
	}
	if err := n.remove(); err != nil {
		return nil, err
	}
	if n.subnet, err = freeSubnet(); err != nil {
		return nil, err
	}
	if err := n.routes.do(false, linkMessage(unix.RTM_NEWLINK, create, 0, unix.IFF_UP,
		attrString(unix.IFLA_IFNAME, name), nest(unix.IFLA_LINKINFO, attr(unix.IFLA_INFO_KIND, []byte("bridge"))))); err != nil {
		return nil, fmt.Errorf("make bridge: %w", err)
	}
	bridge, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	n.index = bridge.Index
	if err := n.routes.do(false, addressMessage(n.index, netip.PrefixFrom(n.gateway(), n.subnet.Bits()))); err != nil {
		return nil, fmt.Errorf("set address of bridge: %w", err)
	}
	if err := n.rules.do(true, n.ruleset()...); err != nil {
		return nil, fmt.Errorf("set rules of nftables: %w", err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return nil, fmt.Errorf("forward packets: %w", err)
	}
	return n, nil
}

func (n *nat) gateway() netip.Addr { return n.subnet.Addr().Next() }

// tie returns the tie of the sandbox with a number below usersPerDriver.
func (n *nat) tie(number int) *natTie {
	a := n.subnet.Addr().As4()
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])+natFirst+uint32(number))
	return &natTie{Bridge: n.index, Address: netip.PrefixFrom(netip.AddrFrom4(a), n.subnet.Bits()), Gateway: n.gateway()}
}

// remove removes bridge and rules, if they are there.
func (n *nat) remove() error {
	var errs []error
	if bridge, err := net.InterfaceByName(n.name); err == nil {
		if err := n.routes.do(false, linkMessage(unix.RTM_DELLINK, 0, bridge.Index, 0)); err != nil {
			errs = append(errs, fmt.Errorf("remove bridge: %w", err))
		}
	}
	for _, family := range []byte{unix.NFPROTO_IPV4, unix.NFPROTO_IPV6} {
		err := n.rules.do(true, batch(tableMessage(unix.NFT_MSG_DELTABLE, family, n.name))...)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("remove rules of nftables: %w", err))
		}
	}
	return errors.Join(errs...)
}

// close removes bridge and rules.
func (n *nat) close() error {
	var errs []error
	if n.routes != nil && n.rules != nil {
		errs = append(errs, n.remove())
	}
	for _, socket := range []*netlink{n.routes, n.rules} {
		if socket != nil {
			errs = append(errs, socket.close())
		}
	}
	return errors.Join(errs...)
}

// freeSubnet returns a subnet that no interface and no route of the host has.
func freeSubnet() (netip.Prefix, error) {
	var taken []netip.Prefix
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Prefix{}, err
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			taken = append(taken, p)
		}
	}
	routes, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return netip.Prefix{}, err
	}
	for line := range bytes.Lines(routes) {
		if p, ok := routeOf(string(line)); ok && p.Bits() > 0 {
			taken = append(taken, p)
		}
	}
	for _, s := range natSubnets {
		if !slices.ContainsFunc(taken, s.Overlaps) {
			return s, nil
		}
	}
	return netip.Prefix{}, errors.New("every subnet for the bridge is taken")
}

// routeOf reads a line of /proc/net/route.
func routeOf(line string) (netip.Prefix, bool) {
	fields := strings.Fields(line)
	if len(fields) < 8 {
		return netip.Prefix{}, false
	}
	var to, mask uint32
	if _, err := fmt.Sscanf(fields[1]+" "+fields[7], "%x %x", &to, &mask); err != nil {
		return netip.Prefix{}, false
	}
	var a [4]byte
	binary.NativeEndian.PutUint32(a[:], to)
	bits := 0
	for ; mask != 0; mask &= mask - 1 {
		bits++
	}
	return netip.PrefixFrom(netip.AddrFrom4(a), bits), true
}

// tieNetwork ties the network at ns to the bridge, as eth0 with an address and the default
// route. host is a socket of the host's network; the calling thread is in the network.
func tieNetwork(host *netlink, ns *os.File, t *natTie) error {
	peer := append(linkHeader(0, 0),
		slices.Concat(attrString(unix.IFLA_IFNAME, "eth0"), attr32(unix.IFLA_NET_NS_FD, uint32(ns.Fd())))...)
	name := fmt.Sprintf("wv%x", binary.BigEndian.Uint32(t.Address.Addr().AsSlice()))
	err := host.do(false, linkMessage(unix.RTM_NEWLINK, create, 0, unix.IFF_UP,
		attrString(unix.IFLA_IFNAME, name), attr32(unix.IFLA_MASTER, uint32(t.Bridge)),
		nest(unix.IFLA_LINKINFO, attr(unix.IFLA_INFO_KIND, []byte("veth")),
			nest(unix.IFLA_INFO_DATA, attr(vethPeer, peer)))))
	if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	own, err := openNetlink(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer own.close()
	// It is the second device of a new network, behind lo.
	index, err := interfaceIndex("eth0")
	if err != nil {
		return err
	}
	if err := own.do(false, linkMessage(unix.RTM_NEWLINK, 0, index, unix.IFF_UP), addressMessage(index, t.Address)); err != nil {
		return fmt.Errorf("set address: %w", err)
	}
	if err := own.do(false, defaultRouteMessage(t.Gateway)); err != nil {
		return fmt.Errorf("set default route: %w", err)
	}
	return isolatePort(host, name)
}

// interfaceIndex returns the index of a device of the calling thread's network.
func interfaceIndex(name string) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("find %s: %w", name, err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req)
	}
	if err != nil {
		return 0, fmt.Errorf("find %s: %w", name, err)
	}
	return int(req.Uint32()), nil
}
