//go:build amd64 || arm64

package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A volume is a sandbox's /tmp: an ext4 file system of the size asked for, in a sparse file
// on the host's disk behind a loop device. That makes the size a fact, and what is written no
// part of the sandbox's memory but for the page cache. The file has no name, a mount is
// attached nowhere but in its sandbox, and the device lets go with its last user: nothing has
// to be cleaned up after a crash.
//
// To mount and unmount costs 2 ms and many waits for the device. So a file system of the
// default size stays mounted when its sandbox is closed: it is emptied, and the next sandbox
// gets another mount of it, which costs 0.1 ms. It is not used again if that leaves a trace.

const (
	// volumeAttempts bounds the tries to get a free loop device, which others may take first.
	volumeAttempts = 50

	// volumesUsed bounds the disks that wait to be emptied, and volumesSpare those that wait
	// to be used again; each takes some 150 KB.
	volumesUsed  = 64
	volumesSpare = 16

	// volumeFiles and volumeGrown are how many files, and how many bytes, it is worth to
	// remove rather than to start from a new file system; volumeSlack is how many bytes of
	// directory may be left over.
	volumeFiles = 1000
	volumeGrown = 64 << 20
	volumeSlack = 256 << 10
)

// volumes makes file systems of any size from templates.
type volumes struct {
	dir   string // on disk
	used  chan *disk
	spare chan *disk // of the default size, empty
	stop  chan struct{}
	ended chan struct{} // closed when recycle has ended

	mu struct {
		sync.Mutex
		templates map[int]func() (*template, error) // by size in MB
	}
}

// A disk is a mounted file system on a loop device.
type disk struct {
	sizeMB int
	device string        // such as /dev/loop0
	root   *os.File      // its root directory; it keeps the file system mounted
	empty  unix.Statfs_t // what was free at first
}

// openVolumes returns an error if there can be no volumes here.
func openVolumes(dir string) (*volumes, error) {
	v := &volumes{
		dir: dir, used: make(chan *disk, volumesUsed), spare: make(chan *disk, volumesSpare),
		stop: make(chan struct{}), ended: make(chan struct{}),
	}
	v.mu.templates = make(map[int]func() (*template, error))
	d, err := v.newDisk(defaultEphemeralMB)
	if err != nil {
		return nil, err
	}
	v.spare <- d
	go v.recycle()
	return v, nil
}

// create returns a mount, attached nowhere, of an empty file system that holds sizeMB. The
// disk must be released when no process uses the mount any longer.
func (v *volumes) create(sizeMB int) (*os.File, *disk, error) {
	d, err := v.disk(sizeMB)
	if err != nil {
		return nil, nil, err
	}
	mount, err := mountVolume(d.device)
	if err != nil {
		d.close()
		return nil, nil, err
	}
	return mount, d, nil
}

func (v *volumes) disk(sizeMB int) (*disk, error) {
	if sizeMB == defaultEphemeralMB {
		select {
		case d := <-v.spare:
			return d, nil
		default:
		}
	}
	return v.newDisk(sizeMB)
}

// newDisk makes a file system and mounts it.
func (v *volumes) newDisk(sizeMB int) (*disk, error) {
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
	device, err := attachLoop(file)
	if err != nil {
		return nil, err
	}
	defer device.Close()
	for _, e := range t.extents {
		// Through the device, into the cache that the mount reads from.
		if _, err := device.WriteAt(e.data, e.offset); err != nil {
			return nil, fmt.Errorf("format volume: %w", err)
		}
	}
	mount, err := mountVolume(device.Name())
	if err != nil {
		return nil, err
	}
	defer mount.Close()
	d := &disk{sizeMB: sizeMB, device: device.Name()}
	if fd, err = unix.Openat(int(mount.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open volume: %w", err)
	}
	d.root = os.NewFile(uintptr(fd), "volume")
	if err := unix.Fstatfs(fd, &d.empty); err != nil {
		d.close()
		return nil, fmt.Errorf("measure volume: %w", err)
	}
	return d, nil
}

// release gives back a disk.
func (v *volumes) release(d *disk) {
	if d.sizeMB == defaultEphemeralMB {
		select {
		case v.used <- d:
			return
		default: // faster than they are emptied
		}
	}
	d.close()
}

// recycle empties used disks until stop.
func (v *volumes) recycle() {
	defer close(v.ended)
	for {
		select {
		case <-v.stop:
			return
		case d := <-v.used:
			if !d.clear() {
				d.close()
				continue
			}
			select {
			case v.spare <- d:
			default: // there are enough
				d.close()
			}
		}
	}
}

// close unmounts every disk that is not in use.
func (v *volumes) close() {
	close(v.stop)
	<-v.ended
	for {
		select {
		case d := <-v.used:
			d.close()
		case d := <-v.spare:
			d.close()
		default:
			return
		}
	}
}

// close lets the file system be unmounted with its last mount.
func (d *disk) close() { d.root.Close() }

// clear removes all files, if they are few, and tells whether the disk is as good as new.
func (d *disk) clear() bool {
	now, ok := d.free()
	if !ok || d.empty.Ffree-now.Ffree > volumeFiles || (d.empty.Bfree-now.Bfree)*uint64(now.Bsize) > volumeGrown {
		return false
	}
	root, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", d.root.Fd()))
	if err != nil {
		return false
	}
	defer root.Close()
	if _, err := d.root.Seek(0, io.SeekStart); err != nil {
		return false
	}
	names, err := d.root.Readdirnames(volumeFiles)
	if err != nil && err != io.EOF {
		return false
	}
	for _, name := range names {
		if root.RemoveAll(name) != nil {
			return false
		}
	}
	now, ok = d.free()
	var st unix.Stat_t
	return ok && now.Ffree == d.empty.Ffree && (d.empty.Bfree-now.Bfree)*uint64(now.Bsize) <= volumeSlack &&
		unix.Fstat(int(d.root.Fd()), &st) == nil && st.Uid == 0 && st.Mode == unix.S_IFDIR|0o1777
}

// free measures the file system. It never has more free than when it was empty.
func (d *disk) free() (unix.Statfs_t, bool) {
	var now unix.Statfs_t
	err := unix.Fstatfs(int(d.root.Fd()), &now)
	return now, err == nil && now.Ffree <= d.empty.Ffree && now.Bfree <= d.empty.Bfree
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
