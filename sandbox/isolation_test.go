//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// namespaces returns a namespace driver that tests share.
func namespaces(t testing.TB) *namespaceDriver {
	t.Helper()
	return sharedDriver(t, Namespace).(*namespaceDriver)
}

// ownNamespaces opens a namespace driver for one test.
func ownNamespaces(t testing.TB) *namespaceDriver {
	t.Helper()
	return openDriver(t, Options{Mechanism: Namespace}).(*namespaceDriver)
}

// need skips a test without a controller of control groups.
func need(t *testing.T, d *namespaceDriver, controller string) {
	t.Helper()
	if !d.groups.Has(controller) {
		t.Skipf("no %s controller here", controller)
	}
}

// neighbour starts a sandbox that must not notice anything; it is asked with the returned
// function.
func neighbour(t *testing.T, d Driver) (unharmed func()) {
	t.Helper()
	spec := deeds()
	spec.Command = []string{"/bin/sh", "-c", "while :; do date >/tmp/now && cat /tmp/now; sleep 0.02; done"}
	b := start(t, d, spec)
	b.line("")
	return func() {
		t.Helper()
		n := len(b.written())
		eventually(t, "the neighbour works", func() bool { return len(b.written()) > n+2 })
		select {
		case e := <-b.Exited():
			t.Errorf("the neighbour has ended: %+v", e)
		default:
		}
	}
}

func TestMemoryIsLimited(t *testing.T) {
	d := namespaces(t)
	need(t, d, "memory")
	unharmed := neighbour(t, d)
	spec := deeds("alloc=300", "say=survived", "sleep")
	spec.MemoryMB = 128
	b := start(t, d, spec)
	if e := b.exit(); !e.OutOfMem || e.Signal != "killed" {
		t.Errorf("exit %+v", e)
	}
	unharmed()
	// The next run is told apart.
	if err := b.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := b.exit(); !e.OutOfMem {
		t.Errorf("second exit %+v", e)
	}
	kill := start(t, d, deeds("kill=9"))
	if e := kill.exit(); e.OutOfMem {
		t.Errorf("a kill for another reason: %+v", e)
	}
}

func TestChildOutOfMemoryIsReported(t *testing.T) {
	d := namespaces(t)
	need(t, d, "memory")
	spec := deeds()
	spec.MemoryMB = 128
	spec.Command = []string{"/bin/sh", "-c", "/var/task/payload alloc=300; exit 7"}
	if e := start(t, d, spec).exit(); !e.OutOfMem {
		t.Errorf("exit %+v", e)
	}
}

func TestTmpIsLimitedAndNoMemory(t *testing.T) {
	d := namespaces(t)
	need(t, d, "memory")
	if d.volumes == nil {
		t.Skip("no volumes here")
	}
	unharmed := neighbour(t, d)
	spec := deeds("fill=/tmp/full", "alloc=40", "sleep")
	spec.MemoryMB = 128
	b := start(t, d, spec)
	mb, err := strconv.Atoi(strings.Fields(b.line("fill "))[0])
	if err != nil || mb < 512 || mb > 512+50 {
		t.Errorf("/tmp of 512 MB holds %d MB, %v", mb, err)
	}
	b.line(fmt.Sprintf("fill %d no space left on device", mb))
	unharmed()
	b.line("alloc ok")
	u, err := b.Usage()
	if err != nil || u.MaxMemory > 100<<20 {
		t.Errorf("usage %+v, %v after 40 MB of memory and 512 MB of files", u, err)
	}
}

func TestTmpOfAnySize(t *testing.T) {
	d := namespaces(t)
	if d.volumes == nil {
		t.Skip("no volumes here")
	}
	for _, sizeMB := range []int{513, 3000, 10240} {
		spec := deeds()
		spec.EphemeralMB = sizeMB
		spec.Command = []string{"/bin/df", "-m", "--output=avail", "/tmp"}
		b := start(t, d, spec)
		b.exit()
		eventually(t, "two lines", func() bool { return len(b.written()) == 2 })
		mb, err := strconv.Atoi(strings.TrimSpace(b.written()[1]))
		if err != nil || mb < sizeMB || mb > sizeMB+sizeMB/10 {
			t.Errorf("/tmp of %d MB has %d MB, %v", sizeMB, mb, err)
		}
	}
}

func TestProcessesAreLimited(t *testing.T) {
	d := namespaces(t)
	need(t, d, "pids")
	unharmed := neighbour(t, d)
	spec := deeds()
	spec.MemoryMB = 1024
	spec.Command = []string{"/bin/sh", "-c", "b() { b | b & }; b 2>/dev/null; echo armed; exec sleep 1000"}
	b := start(t, d, spec)
	if err := b.Settle(); err != nil {
		t.Fatal(err)
	}
	b.line("armed")
	count := func() int {
		id := strconv.FormatUint(b.Sandbox.(*namespaceSandbox).id, 10)
		procs, err := os.ReadFile(filepath.Join(d.groups.Dirs()[0], id, "cgroup.procs"))
		if err != nil {
			return 0
		}
		return strings.Count(string(procs), "\n")
	}
	eventually(t, "the bomb has gone off", func() bool { return count() > 500 })
	unharmed()
	if n := count(); n > maxProcesses+1 {
		t.Errorf("%d processes", n)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 0 {
		t.Errorf("%d processes are left", n)
	}
	unharmed()
}

// processes lists the processes of a driver's users.
func processes(t testing.TB, d *namespaceDriver) []string {
	t.Helper()
	statuses, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, s := range statuses {
		text, err := os.ReadFile(s)
		if err != nil || strings.Contains(string(text), "\nState:\tZ") {
			continue // ended meanwhile
		}
		_, after, _ := strings.Cut(string(text), "\nUid:\t")
		uid, _, _ := strings.Cut(after, "\t")
		if n, err := strconv.Atoi(uid); err == nil && d.users != nil && n >= d.users.base && n < d.users.base+usersPerDriver {
			found = append(found, s)
		}
	}
	return found
}

func TestFilesAreHidden(t *testing.T) {
	d := namespaces(t)
	other := start(t, d, deeds("write=/tmp/secret", "sleep"))
	other.line("write ok")
	secret := filepath.Join(scratch(t), "code")
	if err := os.MkdirAll(secret, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(secret, "secret"), []byte("top secret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"/etc/shadow", "/etc/gshadow", "/root/.profile", "/home", "/work", "/var/lib", "/boot", "/sys",
		filepath.Join(secret, "secret"), filepath.Join(payload, "payload"), d.opts.Dir, "/tmp/secret",
		"/proc/1/environ", "/proc/1/root/etc/shadow", "/proc/1/mem", "/proc/kcore", "/proc/sched_debug", "/dev/mem", "/dev/kmsg", "/dev/shm",
		"/dev/vda", "/dev/loop0", "/dev/loop-control",
	} {
		b := start(t, d, deeds("read="+path, "exit=0"))
		b.exit()
		got := b.line("read ")
		if got != "no such file or directory" && got != "permission denied" {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestFilesAreReadOnly(t *testing.T) {
	d := namespaces(t)
	for _, path := range []string{
		"/x", "/usr/x", "/etc/x", "/etc/passwd", "/var/task/x", "/var/task/payload", "/opt/x", "/var/runtime/x", "/dev/x",
		"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger", "/run/x", "/var/x",
	} {
		b := start(t, d, deeds("write="+path, "exit=0"))
		b.exit()
		switch got := b.line("write "); got {
		case "read-only file system", "permission denied", "no such file or directory", "text file busy":
		default:
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestPrivilegesAreGone(t *testing.T) {
	d := namespaces(t)
	b := start(t, d, deeds("read=/proc/self/status", "exit=0"))
	b.exit()
	for _, want := range []string{
		"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000",
		"CapBnd:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "Groups:\t",
		"SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000",
	} {
		b.line(want)
	}
	limits := start(t, d, deeds("read=/proc/self/limits", "exit=0"))
	limits.exit()
	for _, l := range limits.written() {
		f := strings.Fields(l)
		for name, want := range map[string]string{"Max open files": "1024", "Max processes": "1024", "Max locked memory": "65536", "Max core file size": "0"} {
			if strings.HasPrefix(l, name) && (f[len(f)-2] != want || f[len(f)-3] != want) {
				t.Errorf("%s", l)
			}
		}
	}
}

func TestSystemCallsAreRefused(t *testing.T) {
	d := namespaces(t)
	const refused, unknown = "operation not permitted", "function not implemented"
	setuid := refused
	if d.user {
		setuid = "invalid argument" // there is no root in this user namespace
	}
	for name, want := range map[string]string{
		"mount": refused, "remount": refused, "umount": refused, "unshare": refused, "clone": refused, "chroot": refused,
		"ptrace": refused, "setuid": setuid, "sethostname": refused, "reboot": refused, "mknod": refused,
		"vsock": "address family not supported by protocol", "packet": "address family not supported by protocol",
		"raw": refused, "unknown": unknown,
		"killinit": "ok", // the kernel drops it: the process goes on
	} {
		b := start(t, d, deeds("syscall="+name, "say=alive", "exit=0"))
		if e := b.exit(); e != (Exit{}) {
			t.Errorf("%s: %+v", name, e)
		}
		if got := b.line(name + " "); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestSetuidProgramsDoNothing(t *testing.T) {
	d := namespaces(t)
	dir := scratch(t)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("/usr/bin/id")
	if err != nil {
		t.Skip("no id program: ", err)
	}
	suid := filepath.Join(dir, "id")
	if err := os.WriteFile(suid, program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(suid, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	spec := deeds()
	spec.Code, spec.Command = dir, []string{"/var/task/id", "-u"}
	b := start(t, d, spec)
	b.exit()
	if uid := b.line(""); uid == "0" {
		t.Error("a set-user-id program runs as root")
	}
}

func TestNetworkIsItsOwn(t *testing.T) {
	d := namespaces(t)
	server := start(t, d, deeds("listen=127.0.0.1:0", "sleep"))
	_, port, _ := strings.Cut(server.line("listen "), ":")
	host := listenOnHost(t, "127.0.0.1:0")
	for _, addr := range []string{"127.0.0.1:" + port, host, "10.0.0.1:80", "1.1.1.1:53", "169.254.169.254:80"} {
		b := start(t, d, deeds("dial="+addr, "exit=0"))
		b.exit()
		if got := b.line("dial "); got == "ok" {
			t.Errorf("a sandbox reaches %s", addr)
		}
	}
	if c, err := dialHost("127.0.0.1:" + port); err == nil {
		c.Close()
		t.Error("the host reaches a sandbox's listener")
	}
	// Something else may answer at the address of the Runtime API, but not this sandbox.
	if c, err := dialHost(server.Listener().Addr().String()); err == nil {
		defer c.Close()
	}
	l := server.Listener().(*net.TCPListener)
	if err := l.SetDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if c, err := l.Accept(); err == nil {
		c.Close()
		t.Error("the host reaches a sandbox's Runtime API")
	}
}

func TestEndpoint(t *testing.T) {
	d := namespaces(t)
	a, b := start(t, d, deeds("dial="+EndpointAddr, "exit=0")), start(t, d, deeds("sleep"))
	c, err := a.Endpoint().Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	a.line("dial ok")
	if b.Endpoint().Addr().String() != EndpointAddr {
		t.Errorf("endpoint %s", b.Endpoint().Addr())
	}
}

func TestDaemon(t *testing.T) {
	d := namespaces(t)
	a, b := start(t, d, deeds("datagram="+DaemonAddr+",a", "sleep")), start(t, d, deeds("datagram="+DaemonAddr+",b", "sleep"))
	for want, s := range map[string]*box{"a": a, "b": b} {
		if err := s.Daemon().SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 10)
		if n, err := s.Daemon().Read(got); err != nil || string(got[:n]) != want {
			t.Errorf("sandbox %s sent %q (%v)", want, got[:n], err)
		}
	}
	a.Close()
	if _, err := a.Daemon().Read(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("when the sandbox is closed: %v", err)
	}
}

func TestProcessesAreHidden(t *testing.T) {
	d := namespaces(t)
	start(t, d, deeds("say=other", "sleep")).line("other")
	spec := deeds()
	spec.Command = []string{"/bin/sh", "-c", "echo /proc/[0-9]*; hostname; id -un"}
	b := start(t, d, spec)
	b.exit()
	eventually(t, "three lines", func() bool { return len(b.written()) >= 3 })
	lines := b.written()
	if lines[0] != "/proc/1 /proc/2" || lines[1] != hostname || lines[2] != userName {
		t.Errorf("it sees %q", lines)
	}
}

func TestOrphansAreReaped(t *testing.T) {
	d := namespaces(t)
	spec := deeds()
	spec.Command = []string{"/bin/sh", "-c", "for i in 1 2 3 4 5; do (true & ) ; done; sleep 0.2; grep -s State: /proc/[0-9]*/status; echo end"}
	b := start(t, d, spec)
	b.exit()
	b.line("end")
	for _, l := range b.written() {
		if strings.Contains(l, "zombie") {
			t.Error(l)
		}
	}
}

func TestCPUShare(t *testing.T) {
	d := namespaces(t)
	need(t, d, "cpu")
	spec := deeds("say=up", "spin")
	spec.MemoryMB = 177 // a tenth of a CPU
	b := start(t, d, spec)
	b.line("up")
	share := func(over time.Duration) float64 {
		before, err := b.Usage()
		if err != nil {
			t.Fatal(err)
		}
		from := time.Now()
		<-time.After(over)
		after, err := b.Usage()
		if err != nil {
			t.Fatal(err)
		}
		return float64(after.CPU-before.CPU) / float64(time.Since(from))
	}
	if got := share(300 * time.Millisecond); got < 0.15 {
		t.Logf("only %.2f of a CPU during initialisation: this machine is busy", got)
	}
	if err := b.Settle(); err != nil {
		t.Fatal(err)
	}
	if got := share(time.Second); got > 0.13 {
		t.Errorf("%.2f of a CPU for a tenth", got)
	}
	if err := b.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := share(300 * time.Millisecond); got < 0.15 {
		t.Logf("only %.2f of a CPU during the second initialisation: this machine is busy", got)
	}
}
