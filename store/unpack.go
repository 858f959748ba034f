package store

import (
	"archive/zip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// unpackers is the number of zips unpacked at a time; more wait.
const unpackers = 4

// A Tree is the unpacked code of a blob, kept from collection until Release.
type Tree struct {
	Dir     string // host path; directories have mode 0755, files 0644, or 0755 if executable
	release func()
}

// Release gives the files up for collection: nothing runs from them any longer.
func (t *Tree) Release() { t.release() }

// Unpack returns the files of a zip blob as a directory of the host, which must not be
// changed. It writes them unless they are there already. Errors that are the archive's own
// are ErrBadZip and ErrUnzippedTooLarge; a missing blob is ErrNoBlob.
//
// Symbolic links are kept as they are in the archive, wherever they point: code follows
// them inside its sandbox. The host must not.
//
// The files are not synced. They are trusted within one boot of the machine, and written
// again from the blob in the next.
func (b *Blobs) Unpack(ctx context.Context, d Digest) (*Tree, error) {
	u, release := b.hold(d)
	dir, err := b.unpackOnce(ctx, u, d)
	if err != nil {
		release()
		return nil, fmt.Errorf("unpack %s: %w", d, diskError(err))
	}
	return &Tree{dir, release}, nil
}

func (b *Blobs) unpackOnce(ctx context.Context, u *use, d Digest) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if b.dir.closed.Load() {
		return "", ErrClosed
	}
	select {
	case u.files <- struct{}{}:
		defer func() { <-u.files }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	dir := filepath.Join(b.code, d.String())
	_, err := os.Stat(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	select {
	case b.unpacking <- struct{}{}:
		defer func() { <-b.unpacking }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	return dir, b.unpack(ctx, d, dir)
}

// unpack fills a temporary directory and gives it its name at the end, so that a
// directory of that name is always whole.
func (b *Blobs) unpack(ctx context.Context, d Digest, dir string) error {
	c, err := b.Open(d)
	if err != nil {
		return err
	}
	defer c.Close() // read only
	archive, err := zip.NewReader(c, c.Size())
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return zipError(err)
	}
	p, err := planArchive(archive)
	if err != nil {
		return err
	}
	if err := b.dir.checkRoom(p.bytes); err != nil {
		return err
	}
	if err := os.MkdirAll(b.code, 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(b.code, tmpPrefix)
	if err != nil {
		return err
	}
	if err = p.extract(ctx, temp); err == nil {
		err = os.Rename(temp, dir)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	return nil
}

// findCode settles where code is unpacked and what of it is left over.
func (b *Blobs) findCode(root string) error {
	boot := bootID()
	b.code = filepath.Join(root, boot)
	boots, err := listDir(root)
	if err != nil {
		return err
	}
	for _, name := range boots {
		if name != boot {
			b.stale = append(b.stale, filepath.Join(root, name))
		}
	}
	trees, err := listDir(b.code)
	for _, name := range trees {
		if strings.HasPrefix(name, tmpPrefix) {
			b.stale = append(b.stale, filepath.Join(b.code, name))
		}
	}
	return err
}

// removeStale removes what findCode found left over.
func (b *Blobs) removeStale(ctx context.Context) error {
	for len(b.stale) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := os.RemoveAll(b.stale[0]); err != nil {
			return fmt.Errorf("remove old code: %w", err)
		}
		b.stale = b.stale[1:]
	}
	return nil
}

// removeTree removes a digest's unpacked code. It takes the name away first: a directory
// of that name is always whole.
func (b *Blobs) removeTree(d Digest) error {
	dir := filepath.Join(b.code, d.String())
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	temp := filepath.Join(b.code, tmpPrefix+rand.Text())
	if err := os.Rename(dir, temp); err != nil {
		return err
	}
	return os.RemoveAll(temp)
}

// bootID names the running boot of the machine. Where there is no such name, every start
// counts as a boot.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if name := strings.TrimSpace(string(id)); err == nil && filepath.IsLocal(name) {
		return "boot-" + name
	}
	return "start-" + rand.Text()
}

// listDir returns the names in a directory of the host; a missing one is empty.
func listDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}
