//go:build linux && (amd64 || arm64)

package seccomp

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// run interprets the program for a system call, as far as the instructions it is made of.
func run(t *testing.T, program []unix.SockFilter, arch, number uint32, args ...uint64) uint32 {
	t.Helper()
	var data [64]byte
	binary.NativeEndian.PutUint32(data[offsetNumber:], number)
	binary.NativeEndian.PutUint32(data[offsetArch:], arch)
	for i, a := range args {
		binary.NativeEndian.PutUint64(data[offsetArgs+8*i:], a)
	}
	var acc uint32
	for pc := 0; pc < len(program); pc++ {
		i := program[pc]
		jump := func(taken bool) {
			if taken {
				pc += int(i.Jt)
			} else {
				pc += int(i.Jf)
			}
		}
		switch i.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			acc = binary.NativeEndian.Uint32(data[i.K:])
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			jump(acc == i.K)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			jump(acc >= i.K)
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			jump(acc&i.K != 0)
		case unix.BPF_RET | unix.BPF_K:
			return i.K
		default:
			t.Fatalf("instruction %d has code %#x", pc, i.Code)
		}
	}
	t.Fatal("the program has no end")
	return 0
}

func TestFilter(t *testing.T) {
	program := Filter()
	if len(program) > 1024 {
		t.Errorf("%d instructions", len(program))
	}
	const eperm, enosys, eafnosupport = retErrno | uint32(unix.EPERM), retErrno | uint32(unix.ENOSYS), retErrno | uint32(unix.EAFNOSUPPORT)
	for _, c := range []struct {
		name   string
		number uint32
		args   []uint64
		want   uint32
	}{
		{"read", unix.SYS_READ, nil, retAllow},
		{"execve", unix.SYS_EXECVE, nil, retAllow},
		{"futex", unix.SYS_FUTEX, nil, retAllow},
		{"mseal", unix.SYS_MSEAL, nil, retAllow},
		{"exit_group", unix.SYS_EXIT_GROUP, nil, retAllow},
		{"mount", unix.SYS_MOUNT, nil, eperm},
		{"ptrace", unix.SYS_PTRACE, nil, eperm},
		{"process_vm_readv", unix.SYS_PROCESS_VM_READV, nil, eperm},
		{"bpf", unix.SYS_BPF, nil, eperm},
		{"keyctl", unix.SYS_KEYCTL, nil, eperm},
		{"io_uring_setup", unix.SYS_IO_URING_SETUP, nil, eperm},
		{"unshare", unix.SYS_UNSHARE, nil, eperm},
		{"setns", unix.SYS_SETNS, nil, eperm},
		{"userfaultfd", unix.SYS_USERFAULTFD, nil, eperm},
		{"perf_event_open", unix.SYS_PERF_EVENT_OPEN, nil, eperm},
		{"open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, nil, eperm},
		{"fsopen", unix.SYS_FSOPEN, nil, eperm},
		{"clone3", unix.SYS_CLONE3, nil, enosys},
		{"the last known", newest, nil, eperm},
		{"newer", newest + 1, nil, enosys},
		{"x32", 0x40000000 | unix.SYS_READ, nil, enosys},
		{"the highest", ^uint32(0), nil, enosys},
		{"fork", unix.SYS_CLONE, []uint64{uint64(unix.SIGCHLD)}, retAllow},
		{"thread", unix.SYS_CLONE, []uint64{unix.CLONE_VM | unix.CLONE_THREAD | unix.CLONE_SIGHAND | unix.CLONE_SETTLS}, retAllow},
		{"user namespace", unix.SYS_CLONE, []uint64{unix.CLONE_NEWUSER | uint64(unix.SIGCHLD)}, eperm},
		{"network namespace", unix.SYS_CLONE, []uint64{unix.CLONE_NEWNET}, eperm},
		{"unix socket", unix.SYS_SOCKET, []uint64{unix.AF_UNIX}, retAllow},
		{"IPv6 socket", unix.SYS_SOCKET, []uint64{unix.AF_INET6}, retAllow},
		{"netlink socket", unix.SYS_SOCKET, []uint64{unix.AF_NETLINK}, retAllow},
		{"vsock", unix.SYS_SOCKET, []uint64{unix.AF_VSOCK}, eafnosupport},
		{"crypto socket", unix.SYS_SOCKET, []uint64{unix.AF_ALG}, eafnosupport},
		{"family 0", unix.SYS_SOCKET, []uint64{0}, eafnosupport},
		{"personality of Linux", unix.SYS_PERSONALITY, []uint64{0}, retAllow},
		{"personality of BSD", unix.SYS_PERSONALITY, []uint64{6}, eperm},
	} {
		if got := run(t, program, auditArch, c.number, c.args...); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, got, c.want)
		}
		if got := run(t, program, auditArch^1, c.number, c.args...); got != enosys {
			t.Errorf("%s of another architecture: %#x", c.name, got)
		}
	}
}

// TestEveryNumber compares the search with the lists it is made from.
func TestEveryNumber(t *testing.T) {
	program := Filter()
	listed := make(map[uint32]bool)
	for _, n := range append(append([]uint32{}, allowed...), allowedArch...) {
		if listed[n] {
			t.Errorf("%d is listed twice", n)
		}
		listed[n] = true
	}
	for n := uint32(0); n < 2*newest; n++ {
		switch n {
		case unix.SYS_CLONE, unix.SYS_CLONE3, unix.SYS_SOCKET, unix.SYS_PERSONALITY:
			continue
		}
		if got := run(t, program, auditArch, n); (got == retAllow) != listed[n] {
			t.Errorf("%d: %#x, listed %v", n, got, listed[n])
		}
	}
}
