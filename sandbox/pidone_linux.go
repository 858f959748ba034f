//go:build amd64 || arm64

package sandbox

import (
	"reflect"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The first process of a sandbox is a fork of the spawner that never executes another
// program: that costs a tenth of a millisecond and some 100 KB, where a start of the server's
// binary costs 4 ms and 4 MB. It has one thread and, of the spawner's memory, the program's
// text and one pidOneMemory; there is no Go runtime, no heap, no global variable. So its code
// obeys rules stricter than those of the child in syscall.forkAndExecInChild: functions are
// marked nosplit, they use constants and the pidOne, and make raw system calls. All signals
// are blocked, so nothing interrupts it.
//
// It mounts /proc and /tmp, gives up every privilege, and then obeys its control socket: it
// starts the command, passes signals on, and reaps what is orphaned. It ends, and with it
// every process of the sandbox, when the command has ended or when the server's end of the
// socket is gone.

// Messages of the server to a first process. Each is one packet that begins with its kind.
const (
	orderVolume    = 1 + iota // the mount of /tmp, if the process expects one; comes first
	orderRun                  // start the command of the packet: see orderHeader
	orderName                 // the packet goes on with a name for this process
	orderTerminate            // SIGTERM to the command
	orderStop                 // SIGSTOP to every process, where nothing can freeze them
	orderContinue             // SIGCONT to every process
)

// Messages of a first process to the server: a pidOneNews.
const (
	newsReady  = 1 + iota // it has been set up
	newsFailed            // it could not be set up: a step, an errno
	newsNoExec            // the command could not be executed: an errno
	newsExit              // the command has ended: a wait status
)

// File descriptors of a first process besides the three of its output. The command finds
// neither, but may find the pipe of a Preboot as the third.
const (
	prebootFD = 3
	controlFD = 64
	signalsFD = 65
)

// maxOrder bounds a packet to a first process, in bytes: arguments and environment.
const maxOrder = 256 << 10

// An orderBuffer holds one packet, which begins with an orderHeader.
type orderBuffer [maxOrder / 8]uintptr

// An orderHeader begins a packet to a first process. In an orderRun, args and env count the
// strings whose offsets in the packet follow, each list ended by a zero, and dir is the
// offset of the working directory; every string ends with a NUL.
type orderHeader struct {
	kind, args, env, dir uint32
}

const orderHeaderWords = 2

// A cloneArgs is the kernel's struct clone_args.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, group uint64
}

type pidOneNews struct {
	kind, value, step uint32
}

// pidOneMemory is the memory of a first process. It is a mapping of its own: the rest of the
// spawner's writable memory is kept from its children.
type pidOneMemory struct {
	stack   [16 << 10]byte
	command [16 << 10]byte // stack of the command's process until it executes the command
	order   orderBuffer
	tls     [8]uint64 // where the compiler's code looks for its goroutine after assembly: none
	one     pidOne
	filter  [1024]unix.SockFilter

	// For start, which hands the kernel addresses that must not move.
	args  cloneArgs
	pidfd int32
}

// A pidOne is what a first process must know. It has no pointer, because storing one is a
// matter of the runtime's.
type pidOne struct {
	control, output, null uintptr // file descriptors, all above signalsFD
	uid, gid              uintptr
	groups                bool // setgroups is permitted
	volume                bool // an orderVolume will come
	filter                uintptr
	filterLen             uintptr
	masks                 [maxMasks]procMask
	limits                [4]processLimit
	name                  [16]byte
	entry                 uintptr // of the command's process

	child   uintptr // process id of the command
	argv    uintptr // word of the order
	envp    uintptr // word of the order
	pipe    uintptr // of a Preboot, or 0
	news    pidOneNews
	poll    [2]unix.PollFd
	status  uint32
	rlimit  unix.Rlimit
	sigset  uint64
	capHead [2]uint32
	capData [6]uint32
	iov     [2]uintptr
	msg     unix.Msghdr
	cmsg    [3]uint64 // room for one file descriptor
	prog    [2]uintptr
}

// maxMasks bounds the paths of /proc that are hidden or read-only.
const maxMasks = 16

// A procMask hides a path of /proc or makes it read-only. Both end with a NUL.
type procMask struct {
	path  [32]byte // empty behind the last mask
	cover [32]byte // what is mounted over it; empty to make it read-only
}

type processLimit struct {
	resource, value uint64
}

// processLimits are the resource limits of every process, as AWS sets them.
var processLimits = [4]processLimit{
	{unix.RLIMIT_NOFILE, 1024},
	{unix.RLIMIT_NPROC, maxProcesses},
	{unix.RLIMIT_MEMLOCK, 65536},
	{unix.RLIMIT_CORE, 0},
}

// start makes the first process of a sandbox in the namespaces that flags ask for, or that
// the calling thread is in, and in the group of the unified hierarchy if it is not negative.
// It returns the process as a file descriptor as well.
func (m *pidOneMemory) start(flags uint64, group int) (pid, pidfd int, err error) {
	m.args = cloneArgs{
		flags:      flags | unix.CLONE_PIDFD | unix.CLONE_SETTLS,
		pidfd:      uint64(uintptr(unsafe.Pointer(&m.pidfd))),
		exitSignal: uint64(unix.SIGCHLD),
		stack:      uint64(uintptr(unsafe.Pointer(&m.stack))),
		stackSize:  uint64(len(m.stack)),
		tls:        uint64(uintptr(unsafe.Pointer(&m.tls[len(m.tls)/2]))),
	}
	if group >= 0 {
		m.args.flags |= unix.CLONE_INTO_CGROUP
		m.args.group = uint64(group)
	}
	m.one.entry = reflect.ValueOf(pidOneCommand).Pointer()
	entry := reflect.ValueOf(pidOneMain).Pointer()
	all, old := ^uint64(0), uint64(0)
	rawSigmask(&all, &old)
	child, errno := rawClone(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&m.args)), unsafe.Sizeof(m.args), entry, uintptr(unsafe.Pointer(&m.one)))
	rawSigmask(&old, nil)
	if errno != 0 {
		return 0, 0, syscall.Errno(errno)
	}
	return int(child), int(m.pidfd), nil
}

func rawSigmask(set, old *uint64) {
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
}

// rawClone makes a system call of the clone family that gives the child a stack of its own.
// The child calls the function at entry, which must not return, with arg.
func rawClone(trap, a1, a2, entry, arg uintptr) (pid, errno uintptr)

//go:norace
//go:nosplit
//go:nocheckptr
func raw(trap, a, b, c uintptr) (uintptr, uintptr) {
	r, _, err := syscall.RawSyscall(trap, a, b, c)
	return r, uintptr(err)
}

//go:norace
//go:nosplit
//go:nocheckptr
func raw6(trap, a, b, c, d, e, f uintptr) (uintptr, uintptr) {
	r, _, err := syscall.RawSyscall6(trap, a, b, c, d, e, f)
	return r, uintptr(err)
}

// cstring returns the address of a string that ends with a NUL.
//
//go:norace
//go:nosplit
//go:nocheckptr
func cstring(s string) uintptr { return uintptr(unsafe.Pointer(unsafe.StringData(s))) }

//go:norace
//go:nosplit
//go:nocheckptr
func pidOneMain(p *pidOne) {
	step, err := p.descriptors()
	if err == 0 {
		step, err = p.mounts()
	}
	if err == 0 {
		step, err = p.privileges()
	}
	if err != 0 {
		p.tell(newsFailed, uint32(err), uint32(step))
		p.exit()
	}
	p.tell(newsReady, 0, 0)
	p.loop()
}

//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) exit() {
	for {
		raw(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) tell(kind, value, step uint32) {
	p.news.kind, p.news.value, p.news.step = kind, value, step
	raw(unix.SYS_WRITE, controlFD, uintptr(unsafe.Pointer(&p.news)), unsafe.Sizeof(p.news))
}

// Steps of the setup, for the report of a failure.
const (
	stepDescriptors = 1 + iota
	stepHostname
	stepProc
	stepMask
	stepVolume
	stepLimits
	stepCapabilities
	stepIdentity
	stepSeccomp
)

var stepNames = [...]string{
	stepDescriptors:  "arrange file descriptors",
	stepHostname:     "set host name",
	stepProc:         "mount /proc",
	stepMask:         "mask parts of /proc",
	stepVolume:       "mount /tmp",
	stepLimits:       "set resource limits",
	stepCapabilities: "drop capabilities",
	stepIdentity:     "change user",
	stepSeccomp:      "filter system calls",
}

//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) descriptors() (step, err uintptr) {
	step = stepDescriptors
	if _, err = raw(unix.SYS_DUP3, p.control, controlFD, unix.O_CLOEXEC); err != 0 {
		return
	}
	if _, err = raw(unix.SYS_DUP3, p.null, 0, 0); err != 0 {
		return
	}
	if _, err = raw(unix.SYS_DUP3, p.output, 1, 0); err != 0 {
		return
	}
	if _, err = raw(unix.SYS_DUP3, p.output, 2, 0); err != 0 {
		return
	}
	if _, err = raw(unix.SYS_CLOSE_RANGE, prebootFD, controlFD-1, 0); err != 0 {
		return
	}
	if _, err = raw(unix.SYS_CLOSE_RANGE, controlFD+1, uintptr(^uint32(0)), 0); err != 0 {
		return
	}
	p.sigset = 1 << (unix.SIGCHLD - 1)
	fd, err := raw6(unix.SYS_SIGNALFD4, ^uintptr(0), uintptr(unsafe.Pointer(&p.sigset)), 8, unix.SFD_CLOEXEC, 0, 0)
	if err != 0 {
		return step, err
	}
	if _, err = raw(unix.SYS_DUP3, fd, signalsFD, unix.O_CLOEXEC); err != 0 {
		return
	}
	_, err = raw(unix.SYS_CLOSE, fd, 0, 0)
	return
}

//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) mounts() (step, err uintptr) {
	const safe = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	raw(unix.SYS_PRCTL, unix.PR_SET_NAME, uintptr(unsafe.Pointer(&p.name)), 0)
	if _, err = raw(unix.SYS_SETHOSTNAME, cstring(hostname), uintptr(len(hostname)), 0); err != 0 {
		return stepHostname, err
	}
	if _, err = raw6(unix.SYS_MOUNT, cstring("proc\x00"), cstring("/proc\x00"), cstring("proc\x00"), safe, 0, 0); err != 0 {
		return stepProc, err
	}
	for i := range p.masks {
		m := &p.masks[i]
		if m.path[0] == 0 {
			break
		}
		path, source := uintptr(unsafe.Pointer(&m.path)), uintptr(unsafe.Pointer(&m.cover))
		if m.cover[0] == 0 {
			source = path
		}
		if _, err = raw6(unix.SYS_MOUNT, source, path, 0, unix.MS_BIND, 0, 0); err != 0 {
			return stepMask, err
		}
		if m.cover[0] != 0 {
			continue
		}
		if _, err = raw6(unix.SYS_MOUNT, 0, path, 0, unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|safe, 0, 0); err != 0 {
			return stepMask, err
		}
	}
	if p.volume {
		return stepVolume, p.mountVolume()
	}
	return 0, 0
}

// mountVolume waits for /tmp, which the server makes while this process is being made.
//
//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) mountVolume() uintptr {
	n, fd := p.receive()
	if n < 4 || p.header().kind != orderVolume {
		p.exit() // the server has given up
	}
	_, err := raw6(unix.SYS_MOVE_MOUNT, fd, cstring("\x00"), unix.AT_FDCWD&(1<<64-1), cstring("/tmp\x00"), unix.MOVE_MOUNT_F_EMPTY_PATH, 0)
	raw(unix.SYS_CLOSE, fd, 0, 0)
	return err
}

//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) privileges() (step, err uintptr) {
	for i := range p.limits {
		l := &p.limits[i]
		p.rlimit.Cur, p.rlimit.Max = l.value, l.value
		if _, err = raw6(unix.SYS_PRLIMIT64, 0, uintptr(l.resource), uintptr(unsafe.Pointer(&p.rlimit)), 0, 0, 0); err != 0 {
			return stepLimits, err
		}
	}
	if p.groups {
		if _, err = raw(unix.SYS_SETGROUPS, 0, 0, 0); err != 0 {
			return stepIdentity, err
		}
	}
	if _, err = raw(unix.SYS_SETRESGID, p.gid, p.gid, p.gid); err != 0 {
		return stepIdentity, err
	}
	if _, err = raw(unix.SYS_SETRESUID, p.uid, p.uid, p.uid); err != 0 {
		return stepIdentity, err
	}
	raw6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0)
	p.capHead[0] = unix.LINUX_CAPABILITY_VERSION_3
	if _, err = raw(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&p.capHead)), uintptr(unsafe.Pointer(&p.capData)), 0); err != 0 {
		return stepCapabilities, err
	}
	// The command shares this process's user but must not look into it.
	raw(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0)
	if _, err = raw6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); err != 0 {
		return stepSeccomp, err
	}
	p.prog[0], p.prog[1] = p.filterLen, p.filter // a struct sock_fprog
	_, err = raw(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&p.prog)))
	return stepSeccomp, err
}

//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) loop() {
	p.poll[0].Fd, p.poll[0].Events = controlFD, unix.POLLIN
	p.poll[1].Fd, p.poll[1].Events = signalsFD, unix.POLLIN
	for {
		raw6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p.poll)), 2, 0, 0, 0, 0)
		if p.poll[1].Revents != 0 {
			p.reap()
		}
		if p.poll[0].Revents != 0 {
			p.obey()
		}
	}
}

// reap collects every process that has ended, and ends this one if it was the command.
//
//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) reap() {
	raw(unix.SYS_READ, signalsFD, p.base(), unsafe.Sizeof(unix.SignalfdSiginfo{}))
	for {
		pid, err := raw6(unix.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&p.status)), unix.WNOHANG, 0, 0, 0)
		if err != 0 || pid == 0 {
			return
		}
		if pid == p.child {
			p.tell(newsExit, p.status, 0)
			p.exit()
		}
	}
}

// obey reads one order and does it.
//
//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) obey() {
	n, pipe := p.receive()
	if n < 4 {
		p.exit() // the server has gone
	}
	switch p.header().kind {
	case orderRun:
		p.run(pipe)
	case orderName:
		raw(unix.SYS_PRCTL, unix.PR_SET_NAME, p.base()+4, 0)
	case orderTerminate:
		if p.child != 0 {
			raw(unix.SYS_KILL, p.child, uintptr(unix.SIGTERM), 0)
		}
	case orderStop:
		raw(unix.SYS_KILL, ^uintptr(0), uintptr(unix.SIGSTOP), 0)
	case orderContinue:
		raw(unix.SYS_KILL, ^uintptr(0), uintptr(unix.SIGCONT), 0)
	}
}

// receive reads a packet into the buffer, and the file descriptor that may come with it.
//
//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) receive() (n, fd uintptr) {
	// The header is filled in as numbers: a pointer stored here would wake the garbage
	// collector's write barrier.
	p.iov[0], p.iov[1] = p.base(), maxOrder
	h := (*[7]uintptr)(unsafe.Pointer(&p.msg))
	*h = [7]uintptr{}
	h[2], h[3] = uintptr(unsafe.Pointer(&p.iov)), 1
	h[4], h[5] = uintptr(unsafe.Pointer(&p.cmsg)), unsafe.Sizeof(p.cmsg)
	n, err := raw(unix.SYS_RECVMSG, controlFD, uintptr(unsafe.Pointer(&p.msg)), 0)
	if err != 0 {
		return 0, 0
	}
	if h[5] > unix.SizeofCmsghdr {
		fd = uintptr(uint32(p.cmsg[2]))
	}
	return n, fd
}

// run starts the command of the packet in the buffer. The command's process shares this one's
// memory, but for the stack, until it executes the command.
//
//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) run(pipe uintptr) {
	p.argv, p.pipe = orderHeaderWords, pipe
	p.envp = p.relocate(p.argv, uintptr(p.header().args))
	p.relocate(p.envp, uintptr(p.header().env))
	stack := uintptr(unsafe.Pointer(&p.memory().command)) + unsafe.Sizeof(p.memory().command)
	flags := uintptr(unix.SIGCHLD) | unix.CLONE_VM | unix.CLONE_VFORK
	pid, err := rawClone(unix.SYS_CLONE, flags, stack, p.entry, uintptr(unsafe.Pointer(p)))
	if err != 0 {
		p.tell(newsNoExec, uint32(err), 0)
		p.exit()
	}
	p.child = pid
	if pipe != 0 {
		raw(unix.SYS_CLOSE, pipe, 0, 0)
	}
	raw(unix.SYS_MADVISE, p.base(), maxOrder, unix.MADV_DONTNEED)
}

// relocate turns n offsets, of which the first is a word of the buffer, into addresses and
// returns the word behind the zero that ends them.
//
//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) relocate(word, n uintptr) uintptr {
	order := &p.memory().order
	for range n {
		order[word] += p.base()
		word++
	}
	return word + 1
}

// pidOneCommand is the command's process until it executes the command.
//
//go:norace
//go:nosplit
//go:nocheckptr
func pidOneCommand(p *pidOne) {
	raw(unix.SYS_SETSID, 0, 0, 0)
	if p.pipe != 0 && p.pipe != prebootFD {
		raw(unix.SYS_DUP3, p.pipe, prebootFD, 0)
		raw(unix.SYS_CLOSE, p.pipe, 0, 0)
	}
	p.sigset = 0
	raw6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&p.sigset)), 0, 8, 0, 0)
	if _, err := raw(unix.SYS_CHDIR, p.base()+uintptr(p.header().dir), 0, 0); err != 0 {
		raw(unix.SYS_CHDIR, cstring("/\x00"), 0, 0)
	}
	_, err := raw(unix.SYS_EXECVE, p.memory().order[p.argv], p.base()+p.argv*8, p.base()+p.envp*8)
	p.tell(newsNoExec, uint32(err), 0)
	p.exit()
}

// memory returns what p is part of.
//
//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) memory() *pidOneMemory {
	return (*pidOneMemory)(unsafe.Add(unsafe.Pointer(p), -int(unsafe.Offsetof(pidOneMemory{}.one))))
}

// base returns the address of the order.
//
//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) base() uintptr { return uintptr(unsafe.Pointer(&p.memory().order)) }

//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) header() *orderHeader {
	return (*orderHeader)(unsafe.Pointer(&p.memory().order))
}
