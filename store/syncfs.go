package store

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A syncFS reports every fsync that fails. After such a failure nobody knows what the disk
// kept, and a second fsync may succeed without having written anything; so the process
// must end before anything is acknowledged on the strength of it.
type syncFS struct {
	vfs.FS
	failed func(error)
}

func (f syncFS) Unwrap() vfs.FS { return f.FS }

func (f syncFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.wrap(name)(f.FS.Create(name, c))
	if err == nil && strings.HasPrefix(f.PathBase(name), "MANIFEST-") {
		// Pebble names a new manifest in a marker file before it has synced the directory
		// of both. Should the marker alone survive a power cut, nothing would open.
		file = &manifest{File: file, syncDir: func() error { return syncDir(f, f.PathDir(name)) }}
	}
	return file, err
}

func (f syncFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return f.wrap(name)(f.FS.OpenReadWrite(name, c, o...))
}

func (f syncFS) OpenDir(name string) (vfs.File, error) {
	return f.wrap(name)(f.FS.OpenDir(name))
}

func (f syncFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.wrap(name)(f.FS.ReuseForWrite(old, name, c))
}

func (f syncFS) wrap(name string) func(vfs.File, error) (vfs.File, error) {
	return func(file vfs.File, err error) (vfs.File, error) {
		if err != nil {
			return nil, err
		}
		return &syncFile{file, name, f.failed}, nil
	}
}

type syncFile struct {
	vfs.File
	name   string
	failed func(error)
}

func (f *syncFile) Sync() error     { return f.report(f.File.Sync()) }
func (f *syncFile) SyncData() error { return f.report(f.File.SyncData()) }

func (f *syncFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.report(err)
}

func (f *syncFile) report(err error) error {
	if err != nil {
		err = fmt.Errorf("fsync of %s: %w", f.name, err)
		f.failed(err)
	}
	return err
}

// A manifest syncs its directory along with its first fsync.
type manifest struct {
	vfs.File
	syncDir func() error // nil once done
}

func (m *manifest) Sync() error {
	if err := m.File.Sync(); err != nil || m.syncDir == nil {
		return err
	}
	err := m.syncDir()
	m.syncDir = nil
	return err
}
