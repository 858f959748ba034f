//go:build amd64 || arm64

package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// volumeExtraMB is what the file system's own structures may take, besides a 32nd of the size.
const volumeExtraMB = 8

// A template is what differs from zero in a new file system.
type template struct {
	size    int64
	extents []extent
}

// templateBlock is the size of the file system's blocks.
const templateBlock = 4096

type extent struct {
	offset int64
	data   []byte
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

// volumeSize returns how large a disk must be for files of sizeMB.
func volumeSize(sizeMB int) int64 { return int64(sizeMB+sizeMB/32+volumeExtraMB) << 20 }

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
	t := &template{size: volumeSize(sizeMB)}
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
		for at := start; at < end; at += templateBlock {
			data := make([]byte, min(templateBlock, end-at))
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
