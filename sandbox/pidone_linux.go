//go:build amd64 || arm64

package sandbox

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The first process of a sandbox is a fork of the spawner that never executes another
// program: a fork of a small process costs 0.2 ms and 150 KB, a start of the server's binary
// 4 ms and 4 MB. It has one thread and a copy of a Go heap whose runtime is not running, so
// its code obeys these rules, as the child in syscall.forkAndExecInChild does: no function
// grows the stack, allocates, or stores a pointer; there are only raw system calls. All
// signals are blocked, so nothing interrupts it.
//
// It mounts /proc and /tmp, gives up every privilege, and then obeys its control socket: it
// starts the command, passes signals on, and reaps what is orphaned. It ends, and with it
// every process of the sandbox, when the command has ended or when the server's end of the
// socket is gone.

// Messages of the server to a first process. Each is one packet that begins with its kind.
const (
	orderVolume    = 1 + iota // the mount of /tmp, if the process expects one; comes first
	orderRun                  // start the command of the packet: see orderHeader
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

// A pidOne is what a first process must know. It holds no pointer that the process would
// have to write.
type pidOne struct {
	control, output, null uintptr // file descriptors, all above signalsFD
	uid, gid              uintptr
	groups                bool // setgroups is permitted
	volume                bool // an orderVolume will come
	filter                unix.SockFprog
	masks                 []procMask
	name                  [16]byte
	order                 *orderBuffer // a mapping of its own, so that a fork has it to itself

	child   uintptr // process id of the command
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
}

// A procMask hides a path of /proc or makes it read-only. Both strings end with a NUL.
type procMask struct {
	path  string
	cover string // what is mounted over it, or "" to make it read-only
}

// pidOneLimits are the resource limits of every process, as AWS sets them.
var pidOneLimits = [...]struct{ resource, soft, hard uint64 }{
	{unix.RLIMIT_NOFILE, 1024, 1024},
	{unix.RLIMIT_NPROC, maxProcesses, maxProcesses},
	{unix.RLIMIT_MEMLOCK, 65536, 65536},
	{unix.RLIMIT_CORE, 0, 0},
}

// start makes the first process of a sandbox in the namespaces that flags ask for, or that
// the calling thread is in, and in the group of the unified hierarchy if it is not negative.
// It returns the process as a file descriptor as well.
func (p *pidOne) start(flags uint64, group int) (pid, pidfd int, err syscall.Errno) {
	fd := int32(-1)
	args := cloneArgs{
		flags: flags | unix.CLONE_PIDFD, exitSignal: uint64(unix.SIGCHLD), pidfd: uint64(uintptr(unsafe.Pointer(&fd))),
	}
	if group >= 0 {
		args.flags |= unix.CLONE_INTO_CGROUP
		args.group = uint64(group)
	}
	all, old := ^uint64(0), uint64(0)
	rawSigmask(&all, &old)
	pid, err = p.fork(&args)
	rawSigmask(&old, nil)
	return pid, int(fd), err
}

//go:norace
func rawSigmask(set, old *uint64) {
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
}

//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) fork(args *cloneArgs) (int, syscall.Errno) {
	pid, _, err := syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(args)), unsafe.Sizeof(*args), 0)
	if err != 0 {
		return 0, err
	}
	if pid != 0 {
		return int(pid), 0
	}
	p.main()
	return 0, 0 // not reached
}

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
func (p *pidOne) main() {
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
		source := cstring(m.cover)
		if len(m.cover) == 0 {
			source = cstring(m.path)
		}
		if _, err = raw6(unix.SYS_MOUNT, source, cstring(m.path), 0, unix.MS_BIND, 0, 0); err == uintptr(unix.ENOENT) {
			err = 0
			continue
		}
		if err != 0 {
			return stepMask, err
		}
		if len(m.cover) > 0 {
			continue
		}
		if _, err = raw6(unix.SYS_MOUNT, 0, cstring(m.path), 0, unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|safe, 0, 0); err != 0 {
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
	for i := range pidOneLimits {
		l := &pidOneLimits[i]
		p.rlimit.Cur, p.rlimit.Max = l.soft, l.hard
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
	_, err = raw(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&p.filter)))
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

// run starts the command of the packet in the buffer.
//
//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) run(pipe uintptr) {
	argv := uintptr(orderHeaderWords)
	envp := p.relocate(argv, uintptr(p.header().args))
	p.relocate(envp, uintptr(p.header().env))
	pid, err := p.spawn(argv, envp, pipe)
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

// spawn makes the process of the command, which shares this process's memory until it
// executes the command. Nothing is in the frame that both could need: the parent returns at
// once.
//
//go:norace
//go:noinline
//go:nosplit
//go:nocheckptr
func (p *pidOne) spawn(argv, envp, pipe uintptr) (pid, err uintptr) {
	pid, err = rawVfork(uintptr(unix.SIGCHLD) | unix.CLONE_VM | unix.CLONE_VFORK)
	if err != 0 || pid != 0 {
		return
	}
	p.exec(argv, envp, pipe)
	return
}

// rawVfork is the system call clone, for a child on the stack of its parent.
func rawVfork(flags uintptr) (pid, errno uintptr)

// relocate turns n offsets, of which the first is a word of the buffer, into addresses and
// returns the word behind the zero that ends them.
//
//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) relocate(word, n uintptr) uintptr {
	for range n {
		p.order[word] += p.base()
		word++
	}
	return word + 1
}

//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) exec(argv, envp, pipe uintptr) {
	raw(unix.SYS_SETSID, 0, 0, 0)
	if pipe != 0 && pipe != prebootFD {
		raw(unix.SYS_DUP3, pipe, prebootFD, 0)
		raw(unix.SYS_CLOSE, pipe, 0, 0)
	}
	p.sigset = 0
	raw6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&p.sigset)), 0, 8, 0, 0)
	if _, err := raw(unix.SYS_CHDIR, p.base()+uintptr(p.header().dir), 0, 0); err != 0 {
		raw(unix.SYS_CHDIR, cstring("/\x00"), 0, 0)
	}
	_, err := raw(unix.SYS_EXECVE, p.order[argv], p.base()+argv*8, p.base()+envp*8)
	p.tell(newsNoExec, uint32(err), 0)
	p.exit()
}

//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) base() uintptr { return uintptr(unsafe.Pointer(p.order)) }

//go:norace
//go:nosplit
//go:nocheckptr
func (p *pidOne) header() *orderHeader { return (*orderHeader)(unsafe.Pointer(p.order)) }
