package store_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/weir-run/weir/store"
)

func openDisk(t testing.TB) (*store.Store, string) {
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, dir
}

func put(t testing.TB, b *store.Blobs, content string) *store.Blob {
	t.Helper()
	blob, err := b.Put(strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

// none is a live set without members.
func none() map[store.Digest]bool { return nil }

func collect(t testing.TB, b *store.Blobs, live func() map[store.Digest]bool) int {
	t.Helper()
	n, err := b.Collect(context.Background(), live)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func exists(b *store.Blobs, d store.Digest) bool {
	c, err := b.Open(d)
	if err != nil {
		return false
	}
	return c.Close() == nil
}

func TestPut(t *testing.T) {
	s, dir := openDisk(t)
	large := strings.Repeat("0123456789", 100_000)
	for _, content := range []string{"", "code", large, "code"} {
		blob := put(t, s.Blobs(), content)
		defer blob.Release()
		if want := store.Digest(sha256.Sum256([]byte(content))); blob.Digest != want || blob.Size != int64(len(content)) {
			t.Errorf("put %d bytes: %v, %d bytes", len(content), blob.Digest, blob.Size)
		}
		if got := read(t, s.Blobs(), blob.Digest); got != content {
			t.Errorf("%d bytes came back as %d", len(content), len(got))
		}
		d, err := store.ParseDigest(blob.Digest.Base64())
		if err != nil || d != blob.Digest {
			t.Errorf("ParseDigest: %v, %v", d, err)
		}
	}
	if n := len(listing(t, filepath.Join(dir, "blobs"))); n != 3 {
		t.Errorf("%d files for 3 contents", n)
	}
	if _, err := s.Blobs().Open(store.Digest{1}); !errors.Is(err, store.ErrNoBlob) {
		t.Errorf("open of no blob: %v", err)
	}
	for _, bad := range []string{"", "YQ==", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", strings.Repeat("!", 44)} {
		if _, err := store.ParseDigest(bad); err == nil {
			t.Errorf("ParseDigest took %q", bad)
		}
	}
}

// An upload that breaks off leaves nothing, and what a crash left is removed at the start.
func TestPutThatFails(t *testing.T) {
	s, dir := openDisk(t)
	broken := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("broken off")))
	if _, err := s.Blobs().Put(broken); err == nil || !strings.Contains(err.Error(), "broken off") {
		t.Errorf("put: %v", err)
	}
	blobs := filepath.Join(dir, "blobs")
	if names := listing(t, blobs); len(names) != 0 {
		t.Errorf("left %q", names)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(blobs, "tmp-7"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, store.Options{Dir: dir})
	defer s.Close()
	if names := listing(t, blobs); len(names) != 0 {
		t.Errorf("a start left %q", names)
	}
}

func TestPutOnFullDisk(t *testing.T) {
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite && strings.Contains(op.Path, "/blobs/") {
			return syscall.ENOSPC
		}
		return nil
	}))
	s := open(t, store.Options{Dir: "data", FS: fs})
	defer s.Close()
	if _, err := s.Blobs().Put(strings.NewReader("code")); !errors.Is(err, store.ErrFull) {
		t.Errorf("put: %v, want ErrFull", err)
	}
	if names, err := fs.List("data/blobs"); err != nil || len(names) != 0 {
		t.Errorf("left %q, %v", names, err)
	}
}

// Collect removes what is neither live nor held.
func TestCollect(t *testing.T) {
	s, dir := openDisk(t)
	b := s.Blobs()
	live, held, garbage := put(t, b, "live"), put(t, b, "held"), put(t, b, zipOf(t, file("a", "a")))
	tree, err := b.Unpack(context.Background(), garbage.Digest)
	if err != nil {
		t.Fatal(err)
	}
	liveSet := func() map[store.Digest]bool { return map[store.Digest]bool{live.Digest: true} }
	live.Release()
	garbage.Release()
	if n := collect(t, b, liveSet); n != 0 {
		t.Errorf("collected %d while all was live or held", n)
	}
	tree.Release()
	tree.Release() // once more does nothing
	open, err := b.Open(garbage.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if n := collect(t, b, liveSet); n != 1 {
		t.Errorf("collected %d, want 1", n)
	}
	if !exists(b, live.Digest) || !exists(b, held.Digest) || exists(b, garbage.Digest) {
		t.Error("collected the wrong blob")
	}
	if _, err := os.Stat(tree.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the unpacked code is left: %v", err)
	}
	if text, err := io.ReadAll(open); err != nil || int64(len(text)) != garbage.Size {
		t.Errorf("what was open gave %d bytes, %v", len(text), err)
	}
	held.Release()
	if n := collect(t, b, none); n != 2 {
		t.Errorf("collected %d, want 2", n)
	}
	if names := listing(t, filepath.Join(dir, "blobs")); len(names) != 0 {
		t.Errorf("left %q", names)
	}
}

// A blob that is put, committed and released while Collect works out what is live must not
// be taken for garbage.
func TestCollectDuringDeploy(t *testing.T) {
	s, _ := openDisk(t)
	b := s.Blobs()
	put(t, b, "code").Release()
	var again store.Digest
	n := collect(t, b, func() map[store.Digest]bool {
		blob := put(t, b, "code") // refers to a blob that Collect has seen
		again = blob.Digest
		blob.Release()
		if n := collect(t, b, none); n != 0 {
			t.Errorf("a second Collect removed %d", n)
		}
		return nil // computed before the deploy
	})
	if n != 0 || !exists(b, again) {
		t.Errorf("collected %d, the deployed blob among them", n)
	}
	if n := collect(t, b, none); n != 1 {
		t.Errorf("the next Collect removed %d, want 1", n)
	}
}

// Deploys, unpacking and Collect at once: what is held is there.
func TestCollectConcurrently(t *testing.T) {
	s, _ := openDisk(t)
	b := s.Blobs()
	contents := make([]string, 4)
	for i := range contents {
		contents[i] = zipOf(t, file("index.py", fmt.Sprint(i)))
	}
	stop := make(chan struct{})
	var collector sync.WaitGroup
	var removed atomic.Int64
	collector.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				n, err := b.Collect(context.Background(), none)
				if err != nil {
					t.Error(err)
				}
				removed.Add(int64(n))
			}
		}
	})
	var users sync.WaitGroup
	for w := range 6 {
		users.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 9))
			for range 60 {
				i := r.IntN(len(contents))
				blob, err := b.Put(strings.NewReader(contents[i]))
				if err != nil {
					t.Error(err)
					return
				}
				tree, err := b.Unpack(context.Background(), blob.Digest)
				if err != nil {
					t.Error(err)
					return
				}
				blob.Release() // the tree holds on
				if got, err := os.ReadFile(filepath.Join(tree.Dir, "index.py")); err != nil || string(got) != fmt.Sprint(i) {
					t.Errorf("read %q, %v", got, err)
				}
				tree.Release()
			}
		})
	}
	users.Wait()
	close(stop)
	collector.Wait()
	if removed.Load() == 0 {
		t.Error("nothing was ever collected")
	}
}

func TestUnpackOnce(t *testing.T) {
	s, _ := openDisk(t)
	b := s.Blobs()
	blob := put(t, b, zipOf(t, file("a", "a")))
	defer blob.Release()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			tree, err := b.Unpack(context.Background(), blob.Digest)
			if err != nil {
				t.Error(err)
				return
			}
			defer tree.Release()
			// Every caller marks the directory; nobody may replace it afterwards.
			f, err := os.CreateTemp(tree.Dir, "mark-")
			if err == nil {
				err = f.Close()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	tree, err := b.Unpack(context.Background(), blob.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Release()
	if names := listing(t, tree.Dir); len(names) != 9 {
		t.Errorf("the directory was written more than once: %q", names)
	}
	if _, err := b.Unpack(context.Background(), store.Digest{1}); !errors.Is(err, store.ErrNoBlob) {
		t.Errorf("unpack of no blob: %v", err)
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	other := put(t, b, zipOf(t, file("b", "b")))
	defer other.Release()
	if _, err := b.Unpack(done, other.Digest); !errors.Is(err, context.Canceled) {
		t.Errorf("unpack with a done context: %v", err)
	}
}

// Unpacked code that is missing, or of another boot, or half removed, is written again.
func TestUnpackAgain(t *testing.T) {
	s, dir := openDisk(t)
	blob := put(t, s.Blobs(), zipOf(t, file("a", "a")))
	unpack := func() string {
		tree, err := s.Blobs().Unpack(context.Background(), blob.Digest)
		if err != nil {
			t.Fatal(err)
		}
		defer tree.Release()
		if got, err := os.ReadFile(filepath.Join(tree.Dir, "a")); err != nil || string(got) != "a" {
			t.Errorf("read %q, %v", got, err)
		}
		return tree.Dir
	}
	first := unpack()
	if err := os.RemoveAll(first); err != nil {
		t.Fatal(err)
	}
	if again := unpack(); again != first {
		t.Errorf("unpacked into %s, then %s", first, again)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	boot := filepath.Dir(first)
	stale := filepath.Join(dir, "code", "boot-before")
	if err := os.Rename(boot, stale); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(boot, "tmp-1"), 0o755); err != nil {
		t.Fatal(err)
	}
	s = open(t, store.Options{Dir: dir})
	defer s.Close()
	unpack()
	collect(t, s.Blobs(), func() map[store.Digest]bool { return map[store.Digest]bool{blob.Digest: true} })
	if names := listing(t, filepath.Join(dir, "code")); !slices.Equal(names, []string{filepath.Base(boot)}) {
		t.Errorf("code of other boots is left: %q", names)
	}
	if names := listing(t, boot); !slices.Equal(names, []string{blob.Digest.String()}) {
		t.Errorf("left in the boot's code: %q", names)
	}
}

// An entry of a zip under test.
type entry struct {
	name, content string
	mode          fs.FileMode
	time          time.Time
}

func file(name, content string) entry { return entry{name: name, content: content, mode: 0o644} }

func zipOf(t testing.TB, entries ...entry) string {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: e.time}
		h.SetMode(e.mode)
		f, err := w.CreateHeader(h)
		if err == nil && e.content != "" {
			_, err = io.WriteString(f, e.content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}
