//go:build amd64 || arm64

package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// A volume is a sandbox's /tmp: an ext4 file system of the size asked for, in a sparse file
// on the host's disk behind a loop device. That makes the size a fact, and what is written no
// part of the sandbox's memory but for the page cache. The file has no name, the mount is
// attached nowhere but in the sandbox, and the device lets go with it: nothing has to be
// cleaned up after a crash.

// volumeExtraMB is what the file system's own structures may take, besides a 32nd of the size.
const volumeExtraMB = 8

// volumeAttempts bounds the tries to get a free loop device, which others may take first.
const volumeAttempts = 50

// volumes makes file systems of any size from templates.
type volumes struct {
	dir string // on disk

	mu struct {
		sync.Mutex
		templates map[int]func() (*template, error) // by size in MB
	}
}

// A template is what differs from zero in a new file system.
type template struct {
	size    int64
	extents []extent
}

type extent struct {
	offset int64
	data   []byte
}

// openVolumes returns an error if there can be no volumes here.
func openVolumes(dir string) (*volumes, error) {
	v := &volumes{dir: dir}
	v.mu.templates = make(map[int]func() (*template, error))
	mount, err := v.create(defaultEphemeralMB)
	if err != nil {
		return nil, err
	}
	return v, mount.Close()
}

// create returns a mount, attached nowhere, of a new file system that holds sizeMB.
func (v *volumes) create(sizeMB int) (*os.File, error) {
	t, err := v.template(sizeMB)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(v.dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make volume: %w", err)
	}
	file := os.NewFile(uintptr(fd), "volume")
	defer file.Close()
	if err := file.Truncate(t.size); err != nil {
		return nil, fmt.Errorf("make volume: %w", err)
	}
	for _, e := range t.extents {
		if _, err := file.WriteAt(e.data, e.offset); err != nil {
			return nil, fmt.Errorf("make volume: %w", err)
		}
	}
	device, err := attachLoop(file)
	if err != nil {
		return nil, err
	}
	defer device.Close()
	return mountVolume(device.Name())
}

// template returns the template of a size, which it makes the first time.
func (v *volumes) template(sizeMB int) (*template, error) {
	v.mu.Lock()
	get := v.mu.templates[sizeMB]
	if get == nil {
		get = sync.OnceValues(func() (*template, error) { return v.format(sizeMB) })
		v.mu.templates[sizeMB] = get
	}
	v.mu.Unlock()
	t, err := get()
	if err != nil {
		v.mu.Lock()
		delete(v.mu.templates, sizeMB) // to try again
		v.mu.Unlock()
	}
	return t, err
}

// format makes a file system with the tools of the host and reads it back.
func (v *volumes) format(sizeMB int) (*template, error) {
	tool, err := findTool("mkfs.ext4")
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(v.dir, "format-")
	if err != nil {
		return nil, fmt.Errorf("format volume: %w", err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	t := &template{size: int64(sizeMB+sizeMB/32+volumeExtraMB) << 20}
	if err := file.Truncate(t.size); err != nil {
		return nil, fmt.Errorf("format volume: %w", err)
	}
	// No journal: what a crash leaves is never read. No reserve for root.
	out, err := exec.Command(tool, "-q", "-F", "-m", "0", "-O", "^has_journal,^resize_inode",
		"-E", "lazy_itable_init=1,nodiscard,root_owner=0:0", file.Name()).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("format volume: %w: %s", err, bytes.TrimSpace(out))
	}
	if err := openUp(file); err != nil {
		return nil, err
	}
	t.extents, err = extents(file)
	return t, err
}

// findTool finds a tool of the administrator's, whose directory is not in every PATH.
func findTool(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no %s on this host", name)
}

// openUp makes the root of a new file system what /tmp should be.
func openUp(file *os.File) error {
	device, err := attachLoop(file)
	if err != nil {
		return err
	}
	defer device.Close()
	mount, err := mountVolume(device.Name())
	if err != nil {
		return err
	}
	defer mount.Close()
	root := int(mount.Fd())
	if err := unix.Unlinkat(root, "lost+found", unix.AT_REMOVEDIR); err != nil {
		return fmt.Errorf("format volume: %w", err)
	}
	if err := unix.Fchmodat(root, ".", 0o1777, 0); err != nil {
		return fmt.Errorf("format volume: %w", err)
	}
	dir, err := unix.Openat(root, ".", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("format volume: %w", err)
	}
	defer unix.Close(dir)
	if err := unix.Syncfs(dir); err != nil {
		return fmt.Errorf("format volume: %w", err)
	}
	return nil
}

// extents reads the blocks of a file that are not zero.
func extents(file *os.File) ([]extent, error) {
	const block = 4096
	var found []extent
	fd := int(file.Fd())
	for end := int64(0); ; {
		start, err := unix.Seek(fd, end, unix.SEEK_DATA)
		if err == unix.ENXIO {
			return found, nil
		}
		if err == nil {
			end, err = unix.Seek(fd, start, unix.SEEK_HOLE)
		}
		if err != nil {
			return nil, fmt.Errorf("read formatted volume: %w", err)
		}
		for at := start; at < end; at += block {
			data := make([]byte, min(block, end-at))
			if _, err := file.ReadAt(data, at); err != nil {
				return nil, fmt.Errorf("read formatted volume: %w", err)
			}
			if len(bytes.Trim(data, "\x00")) == 0 {
				continue
			}
			if n := len(found); n > 0 && found[n-1].offset+int64(len(found[n-1].data)) == at {
				found[n-1].data = append(found[n-1].data, data...)
			} else {
				found = append(found, extent{at, data})
			}
		}
	}
}

// attachLoop puts a loop device before a file. The device lets go of the file when nothing
// uses it any more.
func attachLoop(file *os.File) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("attach loop device: %w", err)
	}
	defer control.Close()
	config := unix.LoopConfig{Fd: uint32(file.Fd())}
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
	for range volumeAttempts {
		var n int
		n, err = unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			break
		}
		var device *os.File
		device, err = os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			break
		}
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return device, nil
		}
		device.Close()
		if !errors.Is(err, unix.EBUSY) {
			break
		}
	}
	return nil, fmt.Errorf("attach loop device: %w", err)
}

// mountVolume mounts the file system on a device without attaching it anywhere.
func mountVolume(device string) (*os.File, error) {
	fs, err := unix.Fsopen("ext4", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("mount volume: %w", err)
	}
	defer unix.Close(fs)
	err = unix.FsconfigSetString(fs, "source", device)
	for _, flag := range []string{"discard", "noinit_itable", "nobarrier"} { // freed blocks go back to the host
		if err == nil {
			err = unix.FsconfigSetFlag(fs, flag)
		}
	}
	if err == nil {
		err = unix.FsconfigCreate(fs)
	}
	if err != nil {
		return nil, fmt.Errorf("mount volume: %w", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return nil, fmt.Errorf("mount volume: %w", err)
	}
	return os.NewFile(uintptr(fd), "volume"), nil
}
