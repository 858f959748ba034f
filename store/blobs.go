package store

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A Digest names a blob: the SHA-256 of its bytes.
type Digest [sha256.Size]byte

// String returns the digest in hex, as it names files.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Base64 returns the digest as AWS prints it (CodeSha256).
func (d Digest) Base64() string { return base64.StdEncoding.EncodeToString(d[:]) }

// ParseDigest reads the form of Base64.
func ParseDigest(text string) (Digest, error) {
	var d Digest
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != len(d) {
		return d, fmt.Errorf("%.64q is not the base64 of a SHA-256", text)
	}
	return Digest(b), nil
}

func parseHex(text string) (Digest, bool) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != sha256.Size {
		return Digest{}, false
	}
	d := Digest(b)
	return d, d.String() == text // lower case
}

// ErrNoBlob means that there is no blob of a digest.
var ErrNoBlob = errors.New("no such blob")

const tmpPrefix = "tmp-"

// Blobs are content-addressed files: a blob is written once, never changed, and removed by
// Collect when nothing refers to it. Methods are safe for concurrent use.
type Blobs struct {
	dir  *directory
	fs   vfs.FS
	path string        // of the blobs
	temp atomic.Uint64 // number of the last temporary file

	code      string        // where this boot's code is unpacked, on the host's file system
	stale     []string      // what earlier boots and crashes left of it; Collect's
	unpacking chan struct{} // holds a token for each Unpack that writes

	mu struct {
		sync.Mutex
		used    map[Digest]*use
		touched map[Digest]struct{} // used since the running Collect began; nil when none runs
	}
}

// A use keeps a blob and its unpacked code from collection while anybody works on it or
// holds it.
type use struct {
	holders int           // guarded by Blobs.mu
	files   chan struct{} // holds a token while somebody changes the digest's files
}

func openBlobs(dir *directory) (*Blobs, error) {
	b := &Blobs{
		dir: dir, fs: dir.fs, path: dir.join(blobsName),
		unpacking: make(chan struct{}, unpackers),
	}
	b.mu.used = make(map[Digest]*use)
	if err := b.findCode(dir.join(codeName)); err != nil {
		return nil, fmt.Errorf("look for unpacked code: %w", err)
	}
	names, err := b.fs.List(b.path)
	if err != nil {
		return nil, fmt.Errorf("list the blobs: %w", err)
	}
	for _, name := range names {
		if !strings.HasPrefix(name, tmpPrefix) {
			continue
		}
		if err := b.fs.Remove(b.fs.PathJoin(b.path, name)); err != nil {
			return nil, fmt.Errorf("remove an unfinished blob: %w", err)
		}
	}
	return b, nil
}

// A Blob is a stored blob, kept from collection until Release.
type Blob struct {
	Digest  Digest
	Size    int64 // bytes
	release func()
}

// Release gives the blob up for collection. It comes after the record that refers to the
// blob is durable. What is never released is kept until the next start.
func (b *Blob) Release() { b.release() }

// hold keeps a digest's files from collection until release, which is idempotent.
func (b *Blobs) hold(d Digest) (u *use, release func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.touched != nil {
		b.mu.touched[d] = struct{}{}
	}
	return b.holdLocked(d)
}

func (b *Blobs) holdLocked(d Digest) (u *use, release func()) {
	u = b.mu.used[d]
	if u == nil {
		u = &use{files: make(chan struct{}, 1)}
		b.mu.used[d] = u
	}
	u.holders++
	return u, sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if u.holders--; u.holders == 0 {
			delete(b.mu.used, d)
		}
	})
}

// Put stores what r yields and returns it, held. The blob is durable when Put returns. A
// full disk is ErrFull.
func (b *Blobs) Put(r io.Reader) (*Blob, error) {
	if err := b.dir.checkRoom(0); err != nil {
		return nil, fmt.Errorf("put a blob: %w", err)
	}
	temp := b.fs.PathJoin(b.path, tmpPrefix+strconv.FormatUint(b.temp.Add(1), 10))
	blob, err := b.write(temp, r)
	if err == nil {
		var u *use
		u, blob.release = b.hold(blob.Digest)
		u.files <- struct{}{}
		err = b.place(temp, b.file(blob.Digest))
		<-u.files
	}
	if err == nil {
		return blob, nil
	}
	if blob != nil {
		blob.Release()
	}
	if rm := b.fs.Remove(temp); rm != nil && !errors.Is(rm, fs.ErrNotExist) {
		err = errors.Join(err, rm)
	}
	return nil, fmt.Errorf("put a blob: %w", diskError(err))
}

// write fills a temporary file and syncs it.
func (b *Blobs) write(temp string, r io.Reader) (*Blob, error) {
	f, err := b.fs.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(hash, f), r)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return &Blob{Digest: Digest(hash.Sum(nil)), Size: n}, nil
}

// place gives a finished file its name. It syncs the directory even if the blob is there
// already: whoever put it may not have come so far yet.
func (b *Blobs) place(temp, name string) error {
	_, err := b.fs.Stat(name)
	switch {
	case err == nil:
		err = b.fs.Remove(temp)
	case errors.Is(err, fs.ErrNotExist):
		err = b.fs.Rename(temp, name)
	}
	if err != nil {
		return err
	}
	return syncDir(b.fs, b.path)
}

func (b *Blobs) file(d Digest) string { return b.fs.PathJoin(b.path, d.String()) }

// Content is a blob's bytes, open for reading.
type Content struct {
	*io.SectionReader
	file vfs.File
}

// Close closes the blob.
func (c *Content) Close() error { return c.file.Close() }

// Open returns a blob's content, or ErrNoBlob. What is open stays readable when the blob
// is collected.
func (b *Blobs) Open(d Digest) (*Content, error) {
	f, err := b.fs.Open(b.file(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open %s: %w", d, ErrNoBlob)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", d, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", d, err), f.Close())
	}
	return &Content{io.NewSectionReader(f, 0, info.Size()), f}, nil
}

// Collect removes the blobs and the unpacked code that nobody needs: neither in what live
// returns, nor held, nor used since Collect began. It calls live once, after it has begun
// to watch; so a live that reads the catalogue's current snapshot misses nothing. It
// returns how many digests it removed. One Collect runs at a time; a second returns 0.
func (b *Blobs) Collect(ctx context.Context, live func() map[Digest]bool) (int, error) {
	if b.dir.closed.Load() {
		return 0, fmt.Errorf("collect blobs: %w", ErrClosed)
	}
	b.mu.Lock()
	if b.mu.touched != nil {
		b.mu.Unlock()
		return 0, nil
	}
	b.mu.touched = make(map[Digest]struct{})
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.mu.touched = nil
		b.mu.Unlock()
	}()

	digests, err := b.list()
	if err != nil {
		return 0, fmt.Errorf("collect blobs: %w", err)
	}
	keep := live()
	removed := 0
	for d := range digests {
		if keep[d] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return removed, err
		}
		gone, err := b.remove(d)
		if err != nil {
			return removed, fmt.Errorf("collect %s: %w", d, err)
		}
		if gone {
			removed++
		}
	}
	return removed, b.removeStale(ctx)
}

// list returns the digests that have a blob or unpacked code.
func (b *Blobs) list() (map[Digest]bool, error) {
	names, err := b.fs.List(b.path)
	if err != nil {
		return nil, err
	}
	unpacked, err := listDir(b.code)
	if err != nil {
		return nil, err
	}
	digests := make(map[Digest]bool)
	for _, name := range append(names, unpacked...) {
		if d, ok := parseHex(name); ok {
			digests[d] = true
		}
	}
	return digests, nil
}

// remove deletes the files of a digest unless somebody uses it or has since the running
// Collect began.
func (b *Blobs) remove(d Digest) (bool, error) {
	b.mu.Lock()
	_, touched := b.mu.touched[d]
	if touched || b.mu.used[d] != nil {
		b.mu.Unlock()
		return false, nil
	}
	u, release := b.holdLocked(d)
	b.mu.Unlock()
	defer release()
	u.files <- struct{}{}
	defer func() { <-u.files }()
	if err := b.removeTree(d); err != nil {
		return false, err
	}
	err := b.fs.Remove(b.file(d))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err == nil, err
}

// diskError marks the errors of a full disk.
func diskError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
