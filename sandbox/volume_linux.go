//go:build amd64 || arm64

package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A volume is a sandbox's /tmp: an ext4 file system of the size asked for, in a sparse file
// on the host's disk behind a loop device. That makes the size a fact, and what is written no
// part of the sandbox's memory but for the page cache. The file has no name, the mount is
// attached nowhere but in the sandbox, and the device lets go with its last user: nothing has
// to be cleaned up after a crash.

const (
	// volumeAttempts bounds the tries to get a free loop device, which others may take first.
	volumeAttempts = 50

	// volumesUsed bounds the disks that wait for their file system to be unmounted, and
	// volumesSpare those that wait to be used again; each takes some 50 KB.
	volumesUsed  = 64
	volumesSpare = 16

	// unmountWait is how long an unmount may take, and unmountPause is between two looks.
	unmountWait  = 5 * time.Second
	unmountPause = time.Millisecond
)

// volumes makes file systems of any size from templates.
type volumes struct {
	dir   string // on disk
	used  chan *disk
	spare chan *disk // of the default size, with a new file system
	stop  chan struct{}
	ended chan struct{} // closed when recycle has ended

	mu struct {
		sync.Mutex
		templates map[int]func() (*template, error) // by size in MB
	}
}

// A disk is a loop device and the file behind it.
type disk struct {
	file, device *os.File
	template     *template
	blocks       int64 // of the file when the file system was new
}

// openVolumes returns an error if there can be no volumes here.
func openVolumes(dir string) (*volumes, error) {
	v := &volumes{
		dir: dir, used: make(chan *disk, volumesUsed), spare: make(chan *disk, volumesSpare),
		stop: make(chan struct{}), ended: make(chan struct{}),
	}
	v.mu.templates = make(map[int]func() (*template, error))
	mount, d, err := v.create(defaultEphemeralMB)
	if err != nil {
		return nil, err
	}
	go v.recycle()
	v.release(d)
	return v, mount.Close()
}

// create returns a mount, attached nowhere, of a new file system that holds sizeMB. The disk
// must be released when the mount is no longer needed.
func (v *volumes) create(sizeMB int) (*os.File, *disk, error) {
	d, err := v.disk(sizeMB)
	if err != nil {
		return nil, nil, err
	}
	mount, err := mountVolume(d.device.Name())
	if err != nil {
		d.close()
		return nil, nil, err
	}
	return mount, d, nil
}

// disk returns a disk with a new file system.
func (v *volumes) disk(sizeMB int) (*disk, error) {
	if sizeMB == defaultEphemeralMB {
		select {
		case d := <-v.spare:
			return d, nil
		default:
		}
	}
	t, err := v.template(sizeMB)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(v.dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make volume: %w", err)
	}
	d := &disk{file: os.NewFile(uintptr(fd), "volume"), template: t}
	if err := d.file.Truncate(t.size); err != nil {
		d.close()
		return nil, fmt.Errorf("make volume: %w", err)
	}
	if d.device, err = attachLoop(d.file); err == nil {
		err = d.format()
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// release gives back a disk whose file system is about to be unmounted.
func (v *volumes) release(d *disk) {
	if d.template.size == volumeSize(defaultEphemeralMB) {
		select {
		case v.used <- d:
			return
		default:
		}
	}
	d.close()
}

// recycle makes used disks new until stop.
func (v *volumes) recycle() {
	defer close(v.ended)
	for {
		select {
		case <-v.stop:
			return
		case d := <-v.used:
			if !v.renew(d) {
				d.close()
			}
		}
	}
}

// renew waits until a disk is unmounted and gives it a new file system.
func (v *volumes) renew(d *disk) bool {
	for deadline := time.Now().Add(unmountWait); d.mounted(); {
		if time.Now().After(deadline) {
			return false
		}
		select {
		case <-v.stop:
			return false
		case <-time.After(unmountPause):
		}
	}
	if err := d.reset(); err != nil {
		return false
	}
	select {
	case v.spare <- d:
		return true
	default:
		return false // there are enough
	}
}

// close detaches every disk that is not in use.
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

func (d *disk) close() { closeAll([]*os.File{d.device, d.file}) }

// mounted tells whether a file system uses the disk: nobody else may claim it then.
func (d *disk) mounted() bool {
	claim, err := os.OpenFile(d.device.Name(), os.O_RDWR|unix.O_EXCL, 0)
	if err != nil {
		return true
	}
	claim.Close()
	return false
}

// format writes a new file system to an empty disk.
func (d *disk) format() error {
	for _, e := range d.template.extents {
		// Through the device, into the cache that the mount will read from.
		if _, err := d.device.WriteAt(e.data, e.offset); err != nil {
			return fmt.Errorf("format volume: %w", err)
		}
	}
	var err error
	d.blocks, err = d.allocated()
	return err
}

// reset makes a used file system a new one. What its files held is out of reach then, as in
// any block of a file system that is not allocated; but it goes back to the host if it is
// much.
func (d *disk) reset() error {
	const slack = 1 << 20 / 512 // blocks of 512 bytes
	blocks, err := d.allocated()
	if err != nil {
		return err
	}
	if blocks > d.blocks+slack {
		all := [2]uint64{0, uint64(d.template.size)}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, d.device.Fd(), unix.BLKDISCARD, uintptr(unsafe.Pointer(&all)))
		if errno != 0 {
			return fmt.Errorf("empty volume: %w", errno)
		}
		return d.format()
	}
	for _, e := range d.template.extents {
		for at := 0; at < len(e.data); at += templateBlock {
			if err := d.restore(e.offset+int64(at), e.data[at:min(at+templateBlock, len(e.data))]); err != nil {
				return err
			}
		}
	}
	return nil
}

// restore writes a block unless it is there already: what is not written here need not be
// written to the disk.
func (d *disk) restore(offset int64, want []byte) error {
	var have [templateBlock]byte
	if _, err := d.device.ReadAt(have[:len(want)], offset); err != nil {
		return fmt.Errorf("read volume: %w", err)
	}
	if bytes.Equal(have[:len(want)], want) {
		return nil
	}
	if _, err := d.device.WriteAt(want, offset); err != nil {
		return fmt.Errorf("format volume: %w", err)
	}
	return nil
}

// allocated returns what the file takes of the host's disk, in blocks of 512 bytes.
func (d *disk) allocated() (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(d.file.Fd()), &st); err != nil {
		return 0, fmt.Errorf("measure volume: %w", err)
	}
	return st.Blocks, nil
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
