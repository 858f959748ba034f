package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrLocked means that another process has the data directory open.
var ErrLocked = errors.New("the data directory is in use by another process")

// ErrNewer means that the data directory was written by a later weir than this one.
var ErrNewer = errors.New("the data was written by a newer version of weir")

// Names in the data directory.
const (
	lockName    = "LOCK"
	formatName  = "FORMAT"
	epochPrefix = "epoch-"
	slotName    = "slot"
	blobsName   = "blobs"
	codeName    = "code"
)

// format is the version of the directory's layout and of the slot's key space.
const format = 1

// A directory is the right of this process to a data directory: its lock and its epoch.
type directory struct {
	fs      vfs.FS
	path    string
	epoch   uint64
	reserve uint64 // bytes of the disk that are kept free
	lock    io.Closer
	closed  atomic.Bool
}

// A commit or a blob is refused with ErrFull when less than this would be left, or a
// twentieth of a small disk: room for the engine to flush its tables, which it must never
// lack.
const (
	reserveBytes = 256 << 20
	reserveShare = 20
)

// openDirectory makes the directory if need be, locks it, checks its format and begins a
// new epoch.
func openDirectory(fsys vfs.FS, path string) (*directory, error) {
	if err := makeDurable(fsys, path); err != nil {
		return nil, err
	}
	lock, err := fsys.Lock(fsys.PathJoin(path, lockName))
	if err != nil {
		return nil, lockError(path, err)
	}
	d := &directory{fs: fsys, path: path, lock: lock}
	if u, err := fsys.GetDiskUsage(path); err == nil {
		d.reserve = min(reserveBytes, u.TotalBytes/reserveShare)
	}
	if err := d.begin(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

// lockError tells a lock that somebody holds from one that cannot be had. That this process
// itself holds it comes without an error number.
func lockError(path string, err error) error {
	_, file := errors.AsType[*fs.PathError](err)
	no, number := errors.AsType[syscall.Errno](err)
	if !number || !file && (no == syscall.EAGAIN || no == syscall.EACCES) {
		return fmt.Errorf("%s: %w", path, ErrLocked)
	}
	return fmt.Errorf("lock %s: %w", path, err)
}

func (d *directory) begin() error {
	if err := d.checkFormat(); err != nil {
		return err
	}
	for _, name := range []string{slotName, blobsName} {
		if err := d.makePrivate(name); err != nil {
			return err
		}
	}
	if err := d.beginEpoch(); err != nil {
		return err
	}
	return syncDir(d.fs, d.path)
}

func (d *directory) close() error {
	d.closed.Store(true)
	return d.lock.Close()
}

func (d *directory) join(name string) string { return d.fs.PathJoin(d.path, name) }

// fenced reports with ErrFenced that this epoch is over. The lock keeps a second process
// out; the epoch's file is what notices that the directory was removed or replaced under
// a running process, lock and all.
func (d *directory) fenced() error {
	_, err := d.fs.Stat(d.join(epochName(d.epoch)))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is no longer at epoch %d: %w", d.path, d.epoch, ErrFenced)
	}
	return err
}

// checkRoom fails with ErrFull if the disk does not take need bytes beside the reserve. A
// file system that cannot tell has room. It fails with ErrClosed after close.
func (d *directory) checkRoom(need uint64) error {
	if d.closed.Load() {
		return ErrClosed
	}
	u, err := d.fs.GetDiskUsage(d.path)
	if err != nil || u.AvailBytes >= d.reserve+need {
		return nil
	}
	return fmt.Errorf("%d MB are left in %s and %d MB kept in reserve: %w",
		u.AvailBytes>>20, d.path, d.reserve>>20, ErrFull)
}

// checkFormat reads FORMAT, and writes it into a new directory before anything else.
func (d *directory) checkFormat() error {
	name := d.join(formatName)
	text, err := readFile(d.fs, name)
	if errors.Is(err, fs.ErrNotExist) {
		return d.writeFormat(name)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	number, ok := strings.CutPrefix(strings.TrimSpace(string(text)), "weir ")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 1 {
		return fmt.Errorf("%s does not name a format of weir: %.40q", name, text)
	}
	if n > format {
		return fmt.Errorf("%s has format %d, this weir knows up to %d: %w", d.path, n, format, ErrNewer)
	}
	return nil
}

func (d *directory) writeFormat(name string) error {
	for _, mine := range []string{slotName, blobsName} {
		if _, err := d.fs.Stat(d.join(mine)); err == nil {
			return fmt.Errorf("%s has %s but no %s: refusing to guess its format", d.path, mine, formatName)
		}
	}
	if err := writeFile(d.fs, name+".tmp", fmt.Appendf(nil, "weir %d\n", format)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := d.fs.Rename(name+".tmp", name); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return syncDir(d.fs, d.path)
}

// beginEpoch renames the file of the last epoch to that of the next. A crash may have left
// both names of one rename; the highest counts.
func (d *directory) beginEpoch() error {
	names, err := d.fs.List(d.path)
	if err != nil {
		return fmt.Errorf("list %s: %w", d.path, err)
	}
	var last uint64
	var old []string
	for _, name := range names {
		number, ok := strings.CutPrefix(name, epochPrefix)
		n, err := strconv.ParseUint(number, 10, 64)
		if ok && err == nil {
			last = max(last, n)
			old = append(old, name)
		}
	}
	d.epoch = last + 1
	next := d.join(epochName(d.epoch))
	if last == 0 {
		err = create(d.fs, next)
	} else {
		err = d.fs.Rename(d.join(epochName(last)), next)
	}
	if err != nil {
		return fmt.Errorf("begin epoch %d of %s: %w", d.epoch, d.path, err)
	}
	for _, name := range old {
		if err := d.fs.Remove(d.join(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the epoch before: %w", err)
		}
	}
	return nil
}

func epochName(n uint64) string { return epochPrefix + strconv.FormatUint(n, 10) }

// makeDurable makes a directory and those above it that are missing, and syncs the
// directories that name the new ones.
func makeDurable(fsys vfs.FS, path string) error {
	var parents []string
	for p := path; ; p = fsys.PathDir(p) {
		if _, err := fsys.Stat(p); err == nil || fsys.PathDir(p) == p {
			break
		}
		parents = append(parents, fsys.PathDir(p))
	}
	if err := fsys.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	for _, p := range parents {
		if err := syncDir(fsys, p); err != nil {
			return err
		}
	}
	return nil
}

// makePrivate makes a directory in the data directory that only the owner may enter: it
// holds the environment variables and the code of functions.
func (d *directory) makePrivate(name string) error {
	path := d.join(name)
	if _, err := d.fs.Stat(path); err == nil {
		return nil
	}
	if err := d.fs.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	return nil
}

func syncDir(fsys vfs.FS, path string) error {
	f, err := fsys.OpenDir(path)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}

func readFile(fsys vfs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(f)
	return text, errors.Join(err, f.Close())
}

func create(fsys vfs.FS, name string) error {
	f, err := fsys.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	return f.Close()
}

func writeFile(fsys vfs.FS, name string, data []byte) error {
	f, err := fsys.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
