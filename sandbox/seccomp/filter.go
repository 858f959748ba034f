//go:build linux && (amd64 || arm64)

// Package seccomp holds the system calls a sandboxed process may make, as a BPF program.
//
// What is not known to be harmless is refused: a call that is not in the list fails with
// EPERM, one newer than the list with ENOSYS, as if the kernel were older. The list follows
// the default profile of Docker without capabilities; it further refuses ptrace and its kin,
// and sockets of families that a network namespace does not contain (such as AF_VSOCK, which
// reaches the hypervisor).
package seccomp

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data, and values that x/sys does not name.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16 // eight bytes each, of which the low half comes first

	retAllow = 0x7fff0000
	retErrno = 0x00050000
)

// namespaceFlags are the flags of clone that make namespaces.
const namespaceFlags = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWTIME

// A segment is a run of system call numbers that are treated alike, up to the next segment.
type segment struct {
	first uint32
	code  []unix.SockFilter
}

// Filter returns the program.
func Filter() []unix.SockFilter {
	program := []unix.SockFilter{
		load(offsetArch),
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: auditArch, Jt: 1},
		refuse(unix.ENOSYS), // the other word size of this machine
		load(offsetNumber),
	}
	return append(program, search(segments())...)
}

func segments() []segment {
	special := map[uint32][]unix.SockFilter{
		unix.SYS_CLONE: {
			load(offsetArgs),
			{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: namespaceFlags, Jf: 1},
			refuse(unix.EPERM),
			ret(retAllow),
		},
		// Its flags are behind a pointer, where a filter cannot look; C libraries fall back
		// to clone.
		unix.SYS_CLONE3:      {refuse(unix.ENOSYS)},
		unix.SYS_SOCKET:      oneOf(unix.EAFNOSUPPORT, unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK),
		unix.SYS_PERSONALITY: oneOf(unix.EPERM, 0, 0x8, 0x20000, 0x20008, 0xffffffff),
	}
	numbers := slices.Concat(allowed, allowedArch)
	slices.Sort(numbers)
	allow, deny := []unix.SockFilter{ret(retAllow)}, []unix.SockFilter{refuse(unix.EPERM)}
	var all []segment
	for n := uint32(0); n <= newest; n++ {
		code := deny
		if _, ok := slices.BinarySearch(numbers, n); ok {
			code = allow
		}
		if special[n] != nil {
			code = special[n]
		}
		if len(all) == 0 || !slices.Equal(all[len(all)-1].code, code) {
			all = append(all, segment{n, code})
		}
	}
	return append(all, segment{newest + 1, []unix.SockFilter{refuse(unix.ENOSYS)}})
}

// search is a binary search for the segment of the number in the accumulator.
func search(all []segment) []unix.SockFilter {
	if len(all) == 1 {
		return all[0].code
	}
	middle := len(all) / 2
	below, above := search(all[:middle]), search(all[middle:])
	if len(below) > 255 {
		panic("seccomp: jump too far")
	}
	jump := unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: all[middle].first, Jt: uint8(len(below))}
	return slices.Concat([]unix.SockFilter{jump}, below, above)
}

// oneOf allows a call whose first argument is one of the values.
func oneOf(otherwise unix.Errno, values ...uint32) []unix.SockFilter {
	code := []unix.SockFilter{load(offsetArgs)}
	for i, v := range values {
		code = append(code, unix.SockFilter{
			Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: v, Jt: uint8(len(values) - i),
		})
	}
	return append(code, refuse(otherwise), ret(retAllow))
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func ret(value uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: value}
}

func refuse(err unix.Errno) unix.SockFilter { return ret(retErrno | uint32(err)) }
