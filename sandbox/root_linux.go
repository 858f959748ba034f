//go:build amd64 || arm64

package sandbox

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	// hostname is what a sandbox calls itself.
	hostname = "sandbox"

	// emptyDir is an empty directory of the common root that covers what is hidden.
	emptyDir = "/var/empty"

	// ownDir is where the common root shows what differs between sandboxes in /etc.
	ownDir = "/etc/sandbox"
)

// systemDirs are the host's directories that sandboxes see, if they are there.
var systemDirs = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}

// systemEtc are the host's files and directories in /etc that programs need and that tell
// nothing about the host.
var systemEtc = []string{
	"alternatives", "crypto-policies", "ld.so.cache", "mime.types", "os-release",
	"pki/ca-trust", "pki/tls/cert.pem", "pki/tls/certs", "protocols", "services", "ssl/certs", "ssl/openssl.cnf",
}

// devices are what a sandbox finds in /dev.
var devices = []struct {
	name         string
	major, minor uint32
}{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9},
}

// buildRoot builds, in a new mount namespace of the calling thread, the root that all
// sandboxes have in common, and nothing else: a sandbox starts from a copy of it.
func (s *spawner) buildRoot(req *setupRequest) (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return nil, fmt.Errorf("make mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("root", req.Root, "tmpfs", unix.MS_NOSUID, "mode=755,size=8m"); err != nil {
		return nil, fmt.Errorf("mount root: %w", err)
	}
	root := builder{at: req.Root, user: req.User}
	root.build()
	if root.err != nil {
		return nil, root.err
	}
	if err := unix.Chdir(req.Root); err != nil {
		return nil, fmt.Errorf("enter root: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return nil, fmt.Errorf("change root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return nil, fmt.Errorf("leave old root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return nil, fmt.Errorf("enter root: %w", err)
	}
	flags := uintptr(unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY | unix.MS_NOSUID)
	if err := unix.Mount("", "/", "", flags, ""); err != nil {
		return nil, fmt.Errorf("make root read-only: %w", err)
	}
	return s.ownNamespace("mnt")
}

// A builder fills a root. Its first error is kept, and ends it.
type builder struct {
	at   string
	user bool // device nodes cannot be made here
	err  error
}

func (b *builder) build() {
	for _, dir := range []string{
		"/dev", "/etc", ownDir, "/opt", "/proc", "/tmp", "/var/task", "/var/runtime", "/var/lang", emptyDir,
	} {
		b.dir(dir)
	}
	for _, dir := range systemDirs {
		b.system(dir)
	}
	if b.user {
		// Without root, the kernel allows a new /proc only where one is seen already. Each
		// sandbox covers this one with its own.
		b.bind("/proc", "/proc")
	}
	for _, name := range systemEtc {
		b.system("/etc/" + name)
	}
	b.etc()
	for _, d := range devices {
		b.device(d.name, unix.Mkdev(d.major, d.minor))
	}
	for i, name := range []string{"stdin", "stdout", "stderr"} {
		b.link(fmt.Sprintf("/proc/self/fd/%d", i), "/dev/"+name)
	}
	b.link("/proc/self/fd", "/dev/fd")
}

func (b *builder) etc() {
	b.file("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n169.254.100.1 sandbox.localdomain sandbox\n")
	b.file("/etc/hostname", hostname+"\n")
	b.file("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
	for _, name := range ownFiles {
		b.link(filepath.Join(ownDir, name), "/etc/"+name)
	}
}

func (b *builder) dir(path string) {
	if b.err == nil {
		b.err = os.MkdirAll(b.at+path, 0o755)
	}
}

func (b *builder) file(path, text string) {
	b.dir(filepath.Dir(path))
	if b.err == nil {
		b.err = os.WriteFile(b.at+path, []byte(text), 0o644)
	}
}

func (b *builder) link(target, path string) {
	b.dir(filepath.Dir(path))
	if b.err == nil {
		b.err = os.Symlink(target, b.at+path)
	}
}

// system shows a directory of the host, if it exists, where the host has it; a file is
// copied, which is cheaper than a mount in every sandbox. A symbolic link stays one.
func (b *builder) system(path string) {
	info, err := os.Lstat(path)
	if b.err != nil || os.IsNotExist(err) {
		return
	}
	switch {
	case err != nil:
		b.err = err
	case info.Mode()&os.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			b.err = err
			return
		}
		b.link(target, path)
	case info.IsDir():
		b.dir(path)
		b.bind(path, path)
	default:
		text, err := os.ReadFile(path)
		if err != nil {
			b.err = err
			return
		}
		b.file(path, string(text))
	}
}

func (b *builder) bind(from, to string) {
	if b.err != nil {
		return
	}
	tree, err := openTree(bind{From: from})
	if err != nil {
		b.err = err
		return
	}
	b.err = moveMount(tree, b.at+to)
	tree.Close()
}

// device makes a device node, or shows the host's where none can be made.
func (b *builder) device(name string, dev uint64) {
	path := "/dev/" + name
	if b.err != nil {
		return
	}
	if !b.user {
		b.err = unix.Mknod(b.at+path, unix.S_IFCHR|0o666, int(dev))
		if b.err == nil {
			b.err = os.Chmod(b.at+path, 0o666) // whatever the umask
		}
		return
	}
	b.file(path, "")
	if b.err == nil {
		b.err = unix.Mount(path, b.at+path, "", unix.MS_BIND, "")
	}
}

// presentMasks returns what is hidden or read-only in /proc, of what this kernel has. A
// sandbox's user could not read or write it anyway; this is the second lock.
func presentMasks() (masks [maxMasks]procMask) {
	n := 0
	add := func(path, cover string) {
		if _, err := os.Lstat(path); err == nil && n < len(masks) {
			copy(masks[n].path[:], path)
			copy(masks[n].cover[:], cover)
			n++
		}
	}
	add("/proc/sys", "")
	add("/proc/sysrq-trigger", "")
	for _, file := range []string{"kcore", "keys", "latency_stats", "sched_debug", "timer_list"} {
		add("/proc/"+file, "/dev/null")
	}
	for _, dir := range []string{"acpi", "asound", "scsi"} {
		add("/proc/"+dir, emptyDir)
	}
	return masks
}
