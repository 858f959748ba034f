//go:build amd64 || arm64

package sandbox

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// create is the flags of a message that makes something new.
const create = unix.NLM_F_CREATE | unix.NLM_F_EXCL

// linkHeader is a struct ifinfomsg.
func linkHeader(index int, flags uint32) []byte {
	b := make([]byte, 0, unix.SizeofIfInfomsg)
	b = append(b, unix.AF_UNSPEC, 0, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, uint32(index))
	b = binary.NativeEndian.AppendUint32(b, flags)
	return binary.NativeEndian.AppendUint32(b, flags) // which of them to change
}

func linkMessage(kind, flags uint16, index int, linkFlags uint32, attributes ...[]byte) message {
	body := linkHeader(index, linkFlags)
	for _, a := range attributes {
		body = append(body, a...)
	}
	return message{kind, flags, body}
}

// addressMessage gives a device an address.
func addressMessage(index int, p netip.Prefix) message {
	body := []byte{unix.AF_INET, byte(p.Bits()), 0, unix.RT_SCOPE_UNIVERSE} // a struct ifaddrmsg
	body = binary.NativeEndian.AppendUint32(body, uint32(index))
	body = append(body, attr(unix.IFA_LOCAL, p.Addr().AsSlice())...)
	body = append(body, attr(unix.IFA_ADDRESS, p.Addr().AsSlice())...)
	return message{unix.RTM_NEWADDR, create, body}
}

func defaultRouteMessage(gateway netip.Addr) message {
	body := []byte{ // a struct rtmsg
		unix.AF_INET, 0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_BOOT, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST, 0, 0, 0, 0,
	}
	return message{unix.RTM_NEWROUTE, create, append(body, attr(unix.RTA_GATEWAY, gateway.AsSlice())...)}
}

// isolatePort keeps a bridge's port from the other isolated ones.
func isolatePort(host *netlink, name string) error {
	m := linkMessage(unix.RTM_NEWLINK, 0, 0, 0, attrString(unix.IFLA_IFNAME, name),
		nest(unix.IFLA_PROTINFO, attr(unix.IFLA_BRPORT_ISOLATED, []byte{1})))
	m.body[0] = unix.AF_BRIDGE
	return host.do(false, m)
}

// Values of nftables that x/sys does not name.
const (
	nftables = unix.NFNL_SUBSYS_NFTABLES << 8

	hookInput, hookForward, hookPostrouting = 1, 2, 4 // NF_INET_LOCAL_IN and so on

	priorityFilter, prioritySource = 0, 100

	verdictDrop = 0 // NF_DROP
	register    = unix.NFT_REG_1
)

// ruleset returns the batch that makes the rules of a nat:
//
//	table ip NAME {
//		chain out { type nat hook postrouting priority srcnat; ip saddr SUBNET oifname != NAME masquerade }
//		chain forward { type filter hook forward priority filter
//			iifname NAME oifname NAME drop
//			iifname NAME ip daddr 169.254.0.0/16 drop }
//		chain input { type filter hook input priority filter; iifname NAME drop }
//	}
//	table ip6 NAME { both chains of the filter drop all that comes from NAME }
func (n *nat) ruleset() []message {
	const v4, v6 = unix.NFPROTO_IPV4, unix.NFPROTO_IPV6
	const source, destination = 12, 16 // offsets in the header of IPv4
	from, to, notTo := n.device(unix.NFT_META_IIFNAME, unix.NFT_CMP_EQ), n.device(unix.NFT_META_OIFNAME, unix.NFT_CMP_EQ), n.device(unix.NFT_META_OIFNAME, unix.NFT_CMP_NEQ)
	drop := expression("immediate", attrBig32(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_VERDICT),
		nest(unix.NFTA_IMMEDIATE_DATA, nest(unix.NFTA_DATA_VERDICT, attrBig32(unix.NFTA_VERDICT_CODE, verdictDrop))))
	return batch(
		tableMessage(unix.NFT_MSG_NEWTABLE, v4, n.name),
		n.chain(v4, "out", "nat", hookPostrouting, prioritySource),
		n.chain(v4, "forward", "filter", hookForward, priorityFilter),
		n.chain(v4, "input", "filter", hookInput, priorityFilter),
		n.rule(v4, "out", inside(source, n.subnet), notTo, expression("masq")),
		n.rule(v4, "forward", from, to, drop),
		n.rule(v4, "forward", from, inside(destination, netip.MustParsePrefix("169.254.0.0/16")), drop),
		n.rule(v4, "input", from, drop),
		tableMessage(unix.NFT_MSG_NEWTABLE, v6, n.name),
		n.chain(v6, "forward", "filter", hookForward, priorityFilter),
		n.chain(v6, "input", "filter", hookInput, priorityFilter),
		n.rule(v6, "forward", from, drop),
		n.rule(v6, "input", from, drop),
	)
}

// batch puts messages between those that begin and end a transaction.
func batch(messages ...message) []message {
	edge := []byte{unix.AF_UNSPEC, 0, 0, unix.NFNL_SUBSYS_NFTABLES}
	all := append([]message{{unix.NFNL_MSG_BATCH_BEGIN, 0, edge}}, messages...)
	return append(all, message{unix.NFNL_MSG_BATCH_END, 0, edge})
}

func nftMessage(kind, flags uint16, family byte, attributes ...[]byte) message {
	body := []byte{family, 0, 0, 0} // a struct nfgenmsg
	for _, a := range attributes {
		body = append(body, a...)
	}
	return message{nftables | kind, flags, body}
}

func tableMessage(kind uint16, family byte, name string) message {
	flags := uint16(create)
	if kind == unix.NFT_MSG_DELTABLE {
		flags = 0
	}
	return nftMessage(kind, flags, family, attrString(unix.NFTA_TABLE_NAME, name))
}

func (n *nat) chain(family byte, name, kind string, hook, priority uint32) message {
	return nftMessage(unix.NFT_MSG_NEWCHAIN, create, family,
		attrString(unix.NFTA_CHAIN_TABLE, n.name), attrString(unix.NFTA_CHAIN_NAME, name), attrString(unix.NFTA_CHAIN_TYPE, kind),
		nest(unix.NFTA_CHAIN_HOOK, attrBig32(unix.NFTA_HOOK_HOOKNUM, hook), attrBig32(unix.NFTA_HOOK_PRIORITY, priority)))
}

// rule appends a rule to a chain. Each part is one or more expressions.
func (n *nat) rule(family byte, chain string, parts ...[]byte) message {
	return nftMessage(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, family,
		attrString(unix.NFTA_RULE_TABLE, n.name), attrString(unix.NFTA_RULE_CHAIN, chain),
		nest(unix.NFTA_RULE_EXPRESSIONS, parts...))
}

func expression(name string, data ...[]byte) []byte {
	return nest(unix.NFTA_LIST_ELEM, attrString(unix.NFTA_EXPR_NAME, name), nest(unix.NFTA_EXPR_DATA, data...))
}

func compare(operator uint32, value []byte) []byte {
	return expression("cmp", attrBig32(unix.NFTA_CMP_SREG, register), attrBig32(unix.NFTA_CMP_OP, operator),
		nest(unix.NFTA_CMP_DATA, attr(unix.NFTA_DATA_VALUE, value)))
}

// device matches the bridge as the device that a packet comes from or goes to, or not.
func (n *nat) device(key, operator uint32) []byte {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, n.name)
	load := expression("meta", attrBig32(unix.NFTA_META_KEY, key), attrBig32(unix.NFTA_META_DREG, register))
	return append(load, compare(operator, name)...)
}

// inside matches an address in the header of IPv4.
func inside(offset uint32, p netip.Prefix) []byte {
	const networkHeader = 1 // NFT_PAYLOAD_NETWORK_HEADER
	mask := binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-p.Bits()))
	load := expression("payload", attrBig32(unix.NFTA_PAYLOAD_DREG, register), attrBig32(unix.NFTA_PAYLOAD_BASE, networkHeader),
		attrBig32(unix.NFTA_PAYLOAD_OFFSET, offset), attrBig32(unix.NFTA_PAYLOAD_LEN, 4))
	and := expression("bitwise", attrBig32(unix.NFTA_BITWISE_SREG, register), attrBig32(unix.NFTA_BITWISE_DREG, register),
		attrBig32(unix.NFTA_BITWISE_LEN, 4), nest(unix.NFTA_BITWISE_MASK, attr(unix.NFTA_DATA_VALUE, mask)),
		nest(unix.NFTA_BITWISE_XOR, attr(unix.NFTA_DATA_VALUE, make([]byte, 4))))
	return append(append(load, and...), compare(unix.NFT_CMP_EQ, p.Masked().Addr().AsSlice())...)
}
