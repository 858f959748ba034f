package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/weir-run/weir/store"
)

func TestSecondOpenIsRefused(t *testing.T) {
	for name, o := range map[string]store.Options{
		"memory": {Dir: "data", FS: vfs.NewMem()},
		"disk":   {Dir: t.TempDir()},
	} {
		s := open(t, o)
		_, err := store.Open(o)
		if !errors.Is(err, store.ErrLocked) || !strings.Contains(fmt.Sprint(err), o.Dir) {
			t.Errorf("%s: %v, want ErrLocked and the directory", name, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		s = open(t, o)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Another process is refused as well; the lock is the kernel's.
func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	defer s.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), store.ErrLocked.Error()) {
		t.Errorf("a second process: %v, %s", err, out)
	}
}

func TestNewerDataIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"weir 2\n":   "has format 2, this weir knows up to 1",
		"weir x\n":   "does not name a format",
		"weir 0\n":   "does not name a format",
		"":           "does not name a format",
		"pebble 1\n": "does not name a format",
	} {
		if err := os.WriteFile(filepath.Join(dir, "FORMAT"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		before := listing(t, dir)
		_, err := store.Open(store.Options{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("FORMAT %q: %v, want %q", text, err, want)
		}
		if errors.Is(err, store.ErrNewer) != (text == "weir 2\n") {
			t.Errorf("FORMAT %q: %v", text, err)
		}
		if after := listing(t, dir); !slices.Equal(before, after) {
			t.Errorf("FORMAT %q: the refusal changed %v to %v", text, before, after)
		}
	}
	if err := os.Remove(filepath.Join(dir, "FORMAT")); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(store.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "no FORMAT") {
		t.Errorf("without FORMAT: %v", err)
	}
}

func listing(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestNewerRecordIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, store.Options{Dir: "data", FS: fs})
	var b store.Batch
	b.Set([]byte("c/000000000000/us-east-1/function/f"), []byte("\x02{}"))
	if _, err := s.Slot().Commit(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(store.Options{Dir: "data", FS: fs}); !errors.Is(err, store.ErrNewer) {
		t.Errorf("opened with %v, want ErrNewer", err)
	}
	// The refusal has given the directory back.
	if _, err := store.Open(store.Options{Dir: "data", FS: fs}); !errors.Is(err, store.ErrNewer) {
		t.Errorf("opened again with %v, want ErrNewer", err)
	}
}

// What the data directory holds is for its owner only.
func TestDirectoryIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	s := open(t, store.Options{Dir: dir})
	defer s.Close()
	for _, name := range []string{"slot", "blobs"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

func TestOpenNeedsADirectory(t *testing.T) {
	if _, err := store.Open(store.Options{}); err == nil {
		t.Error("opened without a directory")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(store.Options{Dir: file}); err == nil || errors.Is(err, store.ErrLocked) {
		t.Errorf("opened a file: %v", err)
	}
}

// A closed store leaves no goroutine behind.
func TestCloseLeavesNothingRunning(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 3 {
		s := open(t, store.Options{Dir: t.TempDir()})
		if _, err := deploy(s, "f"); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Catalog().Update(context.Background(), func(tx *store.Tx) error {
			store.Functions.Delete(tx, scope, "f")
			return nil
		}); !errors.Is(err, store.ErrClosed) {
			t.Errorf("update of a closed store: %v", err)
		}
		_, putErr := s.Blobs().Put(strings.NewReader("x"))
		_, unpackErr := s.Blobs().Unpack(context.Background(), store.Digest{})
		_, collectErr := s.Blobs().Collect(context.Background(), none)
		for _, err := range []error{putErr, unpackErr, collectErr} {
			if !errors.Is(err, store.ErrClosed) {
				t.Errorf("blobs of a closed store: %v", err)
			}
		}
		if _, ok := store.Functions.Get(s.Catalog().Snapshot(), scope, "f"); !ok {
			t.Error("the snapshot of a closed store is gone")
		}
	}
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > before {
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines, %d before\n%s", n, before, buf[:runtime.Stack(buf, true)])
	}
}
