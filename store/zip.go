package store

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/weir-run/weir/lambda"
)

// ErrBadZip means that a blob is not a zip archive that can be unpacked: damaged,
// encrypted, with paths that lead outside, or with more than MaxEntries entries.
// AWS: "Could not unzip uploaded file. Please check your file, then try to upload again."
var ErrBadZip = errors.New("could not unzip")

// ErrUnzippedTooLarge means that a zip's files are larger than lambda.MaxUnzipped together.
// AWS: "Unzipped size must be smaller than 262144000 bytes"
var ErrUnzippedTooLarge = errors.New("the unzipped size is too large")

// Bounds of an archive.
const (
	MaxEntries  = 200_000 // AWS names no number, but disks have one of inodes
	maxPath     = 1_024   // bytes of an entry's path
	maxPathPart = 255     // bytes of a file's name
	maxLink     = 1_024   // bytes of a symbolic link's target
)

// A plan is what is to be written of an archive, judged before anything is.
type plan struct {
	files []planned // and directories
	links []planned
	bytes uint64
}

// A planned is an entry with its path made clean.
type planned struct {
	path  string
	entry *zip.File
}

func planArchive(archive *zip.Reader) (*plan, error) {
	if len(archive.File) > MaxEntries {
		return nil, fmt.Errorf("%d entries, at most %d: %w", len(archive.File), MaxEntries, ErrBadZip)
	}
	p := new(plan)
	for _, f := range archive.File {
		name, err := entryPath(f.Name)
		if err != nil {
			return nil, err
		}
		if p.bytes += min(f.UncompressedSize64, lambda.MaxUnzipped+1); p.bytes > lambda.MaxUnzipped {
			return nil, ErrUnzippedTooLarge
		}
		const encrypted = 1 // a flag of the entry
		switch mode := f.Mode(); {
		case f.Flags&encrypted != 0:
			return nil, fmt.Errorf("%.64q is encrypted: %w", f.Name, ErrBadZip)
		case mode&fs.ModeSymlink != 0:
			p.links = append(p.links, planned{name, f})
		case mode.IsRegular() || mode.IsDir():
			p.files = append(p.files, planned{name, f})
		default:
			return nil, fmt.Errorf("%.64q is neither file, directory nor link: %w", f.Name, ErrBadZip)
		}
	}
	return p, nil
}

// entryPath returns the path of an entry relative to the root, or ErrBadZip if it is not
// below it.
func entryPath(name string) (string, error) {
	p := path.Clean(name)
	bad := name == "" || len(p) > maxPath || strings.ContainsRune(p, 0) || !filepath.IsLocal(p)
	for part := range strings.SplitSeq(p, "/") {
		bad = bad || len(part) > maxPathPart
	}
	if bad {
		return "", fmt.Errorf("entry %.64q has no usable path: %w", name, ErrBadZip)
	}
	return p, nil
}

// extract writes the entries below dir, which is empty. Every path goes through an os.Root
// and links are made last, so nothing is written outside.
func (p *plan) extract(ctx context.Context, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() // a descriptor of the directory, nothing buffered
	if err := root.Chmod(".", 0o755); err != nil {
		return err
	}
	x := &extraction{root: root, made: map[string]bool{".": true}, buffer: make([]byte, 64<<10)}
	for _, f := range p.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := x.file(f); err != nil {
			return err
		}
	}
	for _, l := range p.links {
		if err := x.link(l); err != nil {
			return err
		}
	}
	return nil
}

type extraction struct {
	root   *os.Root
	made   map[string]bool // directories
	buffer []byte
}

// makeDirs makes a directory and those above it, with a mode that no umask narrows.
func (x *extraction) makeDirs(dir string) error {
	if x.made[dir] {
		return nil
	}
	if err := x.makeDirs(path.Dir(dir)); err != nil {
		return err
	}
	if err := x.root.Mkdir(dir, 0o755); err != nil {
		return entryError(dir, err)
	}
	x.made[dir] = true
	return x.root.Chmod(dir, 0o755)
}

// file writes a file with the archive's content, executable bits and time; the time is
// what Python judges its compiled files by. Of two entries with one path the later wins.
func (x *extraction) file(p planned) error {
	if p.entry.Mode().IsDir() {
		return x.makeDirs(p.path)
	}
	if err := x.makeDirs(path.Dir(p.path)); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if p.entry.Mode()&0o111 != 0 {
		mode = 0o755
	}
	r, err := p.entry.Open()
	if err != nil {
		return zipError(err)
	}
	defer r.Close() // read only
	f, err := x.root.OpenFile(p.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return entryError(p.path, err)
	}
	// Behind a plain Writer, or the file would bring a buffer of its own.
	if _, err = io.CopyBuffer(struct{ io.Writer }{f}, r, x.buffer); err != nil {
		err = zipError(err)
	}
	if err = errors.Join(err, f.Chmod(mode), f.Close()); err != nil {
		return err
	}
	if p.entry.Modified.IsZero() {
		return nil
	}
	return x.root.Chtimes(p.path, p.entry.Modified, p.entry.Modified)
}

func (x *extraction) link(p planned) error {
	if p.entry.UncompressedSize64 > maxLink {
		return fmt.Errorf("link %.64q is too long: %w", p.path, ErrBadZip)
	}
	if err := x.makeDirs(path.Dir(p.path)); err != nil {
		return err
	}
	r, err := p.entry.Open()
	if err != nil {
		return zipError(err)
	}
	defer r.Close() // read only
	target, err := io.ReadAll(r)
	if err != nil {
		return zipError(err)
	}
	if len(target) == 0 || slices.Contains(target, 0) {
		return fmt.Errorf("link %.64q has no usable target: %w", p.path, ErrBadZip)
	}
	if err := x.root.Symlink(string(target), p.path); err != nil {
		return entryError(p.path, err)
	}
	return nil
}

// zipError tells an archive's own error from one of the disk it is read from or written to.
func zipError(err error) error {
	if _, disk := errors.AsType[*fs.PathError](err); disk {
		return err
	}
	return fmt.Errorf("%w: %w", ErrBadZip, err)
}

// entryError tells a path that cannot be, such as one below a file, from a disk's error.
func entryError(name string, err error) error {
	no, ok := errors.AsType[syscall.Errno](err)
	impossible := []syscall.Errno{syscall.EEXIST, syscall.ENOTDIR, syscall.EISDIR, syscall.ELOOP, syscall.ENAMETOOLONG}
	if ok && !slices.Contains(impossible, no) {
		return err
	}
	return fmt.Errorf("entry %.64q: %w: %w", name, ErrBadZip, err)
}
