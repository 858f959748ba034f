//go:build linux

// Payload is a function's program for tests and benchmarks: its arguments are what it does,
// one after the other. What it finds out it prints, a line each.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

var deeds = map[string]func(arg string){
	"alloc":    alloc,
	"datagram": datagram,
	"dial":     dial,
	"exit":     func(code string) { os.Exit(number(code)) },
	"env":      func(string) { fmt.Println(strings.Join(os.Environ(), "\n")) },
	"fill":     fill,
	"ignore":   func(string) { signal.Ignore(syscall.SIGTERM) },
	"kill":     func(sig string) { syscall.Kill(os.Getpid(), syscall.Signal(number(sig))) },
	"listen":   listen,
	"next":     next,
	"preboot":  preboot,
	"read":     read,
	"say":      func(text string) { fmt.Println(text) },
	"sleep":    func(string) { time.Sleep(time.Hour) },
	"spin":     spin,
	"syscall":  try,
	"write":    write,
}

func main() {
	for _, arg := range os.Args[1:] {
		name, rest, _ := strings.Cut(arg, "=")
		deeds[name](os.ExpandEnv(rest))
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// result prints what became of a deed.
func result(name string, err error) {
	var errno syscall.Errno
	switch {
	case err == nil:
		fmt.Println(name, "ok")
	case errors.As(err, &errno):
		fmt.Println(name, errno)
	default:
		fmt.Println(name, err)
	}
}

// next asks the Runtime API for an invocation, and waits for what never comes.
func next(string) {
	conn, err := net.Dial("tcp", os.Getenv("AWS_LAMBDA_RUNTIME_API"))
	if err != nil {
		result("next", err)
		os.Exit(1)
	}
	fmt.Fprint(conn, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
	bufio.NewReader(conn).ReadString('\n')
}

// preboot waits for its assignment and takes it over.
func preboot(string) {
	for pipe := bufio.NewReader(os.NewFile(3, "assignment")); ; {
		text, err := pipe.ReadString(0)
		if err != nil {
			break
		}
		key, value, _ := strings.Cut(strings.TrimSuffix(text, "\x00"), "=")
		os.Setenv(key, value)
	}
	if err := os.Chdir(os.Getenv("LAMBDA_TASK_ROOT")); err != nil {
		result("preboot", err)
	}
}

// alloc takes memory and touches all of it.
func alloc(mb string) {
	for range number(mb) {
		block, err := syscall.Mmap(-1, 0, 1<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			result("alloc", err)
			return
		}
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
	}
	result("alloc", nil)
}

// fill writes to a file until that fails, and prints how many megabytes there was room for.
func fill(path string) {
	f, err := os.Create(path)
	if err != nil {
		result("fill", err)
		return
	}
	block := make([]byte, 1<<20)
	for mb := 0; ; mb++ {
		if _, err := f.Write(block); err != nil {
			result(fmt.Sprintf("fill %d", mb), err)
			return
		}
	}
}

func read(path string) {
	text, err := os.ReadFile(path)
	result("read", err)
	fmt.Print(string(text))
}

func write(path string) {
	result("write", os.WriteFile(path, []byte("written\n"), 0o644))
}

// datagram sends what it is told after a comma to the address before.
func datagram(to string) {
	address, text, _ := strings.Cut(to, ",")
	c, err := net.Dial("udp", address)
	if err == nil {
		_, err = c.Write([]byte(text))
	}
	result("datagram", err)
}

func dial(addr string) {
	conn, err := net.DialTimeout("tcp", addr, 500*time.Millisecond)
	result("dial", err)
	if err == nil {
		conn.Close()
	}
}

// listen accepts connections on a port of its own choice, which it prints.
func listen(addr string) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		result("listen", err)
		return
	}
	fmt.Println("listen", l.Addr())
	go func() {
		for {
			if c, err := l.Accept(); err == nil {
				c.Close()
			}
		}
	}()
}

func spin(string) {
	for {
	}
}

// try makes a system call that a sandbox refuses.
func try(name string) {
	call := func(trap uintptr, args ...uintptr) error {
		var a [6]uintptr
		copy(a[:], args)
		if _, _, errno := syscall.Syscall6(trap, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
			return errno
		}
		return nil
	}
	text := func(s string) uintptr {
		p, _ := syscall.BytePtrFromString(s)
		return uintptr(unsafe.Pointer(p))
	}
	var err error
	switch name {
	case "mount":
		err = call(syscall.SYS_MOUNT, text("none"), text("/tmp"), text("tmpfs"))
	case "remount":
		err = call(syscall.SYS_MOUNT, 0, text("/"), 0, syscall.MS_REMOUNT|syscall.MS_BIND)
	case "umount":
		err = call(syscall.SYS_UMOUNT2, text("/proc"), syscall.MNT_DETACH)
	case "unshare":
		err = call(syscall.SYS_UNSHARE, syscall.CLONE_NEWUSER)
	case "clone":
		err = call(syscall.SYS_CLONE, syscall.CLONE_NEWUSER|uintptr(syscall.SIGCHLD))
	case "chroot":
		err = call(syscall.SYS_CHROOT, text("/tmp"))
	case "ptrace":
		err = call(syscall.SYS_PTRACE, syscall.PTRACE_ATTACH, 1)
	case "killinit":
		err = call(syscall.SYS_KILL, 1, uintptr(syscall.SIGKILL))
	case "setuid":
		err = call(syscall.SYS_SETUID, 0)
	case "sethostname":
		err = call(syscall.SYS_SETHOSTNAME, text("mine"), 4)
	case "reboot":
		err = call(syscall.SYS_REBOOT, 0xfee1dead, 672274793, 0)
	case "mknod":
		err = call(syscall.SYS_MKNODAT, ^uintptr(99), text("/tmp/null"), syscall.S_IFCHR|0o666, 1<<8|3)
	case "vsock":
		err = call(syscall.SYS_SOCKET, 40, syscall.SOCK_STREAM)
	case "packet":
		err = call(syscall.SYS_SOCKET, syscall.AF_PACKET, syscall.SOCK_RAW)
	case "raw":
		err = call(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_ICMP)
	case "unknown":
		err = call(1000)
	}
	result(name, err)
}
