package store_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

var scope = lambda.Scope{Account: "000000000000", Region: "us-east-1"}

// TestPowerCutAtEveryFsync cuts the power before and after every fsync of a life of a data
// directory, with what was not synced lost at random, and looks at what is left.
func TestPowerCutAtEveryFsync(t *testing.T) {
	mem := vfs.NewCrashableMem()
	acked := new(account)
	r := rand.New(rand.NewPCG(1, 2))
	var cuts []cut
	var mu sync.Mutex
	fs := &watchedFS{FS: mem, atSync: func() {
		mu.Lock()
		defer mu.Unlock()
		// First the account, then the cut: what is in the one must be in the other.
		known := acked.copy()
		cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[r.IntN(3)], RNG: r}
		cuts = append(cuts, cut{mem.CrashClone(cfg), known})
	}}
	for life := range 2 {
		s := open(t, store.Options{Dir: "deep/data", FS: fs})
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() { acked.live(t, s, fmt.Sprintf("%d.%d", life, w)) })
		}
		wg.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d cuts", len(cuts))
	if len(cuts) < 150 {
		t.Errorf("only %d cuts", len(cuts))
	}
	for i, c := range cuts {
		c.known.verify(t, store.Options{Dir: "deep/data", FS: c.fs})
		if t.Failed() {
			t.Fatalf("at cut %d", i)
		}
	}
}

type cut struct {
	fs    vfs.FS
	known *account
}

// An account is what was acknowledged, kept apart from the store.
type account struct {
	mu        sync.Mutex
	batches   []string
	functions map[string]store.Digest
}

func (a *account) copy() *account {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := &account{batches: slices.Clone(a.batches), functions: map[string]store.Digest{}}
	for k, v := range a.functions {
		c.functions[k] = v
	}
	return c
}

func (a *account) ackBatch(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.batches = append(a.batches, id)
}

func (a *account) ackFunction(name string, d store.Digest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.functions == nil {
		a.functions = map[string]store.Digest{}
	}
	a.functions[name] = d
}

// live commits batches, deploys functions and writes down each acknowledgement.
func (a *account) live(t *testing.T, s *store.Store, name string) {
	for i := range 12 {
		id := fmt.Sprintf("%s.%02d", name, i)
		if _, err := commitThree(s, id, 50*(i+1)); err != nil {
			t.Error(err)
			return
		}
		a.ackBatch(id)
		if i%4 != 0 {
			continue
		}
		digest, err := deploy(s, id)
		if err != nil {
			t.Error(err)
			return
		}
		a.ackFunction(id, digest)
	}
}

// commitThree commits three keys that belong together.
func commitThree(s *store.Store, id string, length int) (store.Version, error) {
	var b store.Batch
	for _, table := range []string{"x/", "y/", "z/"} {
		b.Set([]byte(table+id), bytes.Repeat([]byte(id), length))
	}
	return s.Slot().Commit(context.Background(), &b)
}

// deploy creates a function as the service does: first its code, then its records.
func deploy(s *store.Store, name string) (store.Digest, error) {
	blob, err := s.Blobs().Put(strings.NewReader("code of " + name))
	if err != nil {
		return store.Digest{}, err
	}
	defer blob.Release()
	return blob.Digest, s.Catalog().Update(context.Background(), func(tx *store.Tx) error {
		store.Functions.Put(tx, scope, name, &lambda.Function{Name: name})
		store.Versions.Put(tx, scope, store.QualifiedName(name, lambda.Latest), &lambda.Version{
			Function: name, Number: lambda.Latest,
			Code: lambda.Code{SHA256: blob.Digest.Base64(), Size: blob.Size},
		})
		return nil
	})
}

// verify opens what a power cut or a killed process left: everything acknowledged is there,
// everything there is whole, and it can be used.
func (a *account) verify(t *testing.T, o store.Options) {
	t.Helper()
	s := open(t, o)
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	versions := make(map[store.Version]int)
	present := make(map[string]int)
	scanAll(t, s.Slot(), "x/", "z0", func(k string, v store.Version) {
		present[k[2:]]++
		versions[v]++
	})
	for _, id := range a.batches {
		if present[id] == 0 {
			t.Errorf("batch %s was acknowledged and is lost", id)
		}
	}
	for id, n := range present {
		if n != 3 {
			t.Errorf("batch %s is there in part: %d of 3 keys", id, n)
		}
	}
	a.verifyFunctions(t, s)
	scanAll(t, s.Slot(), "c/", "c0", func(_ string, v store.Version) { versions[v]++ })
	for v := store.Version(1); v <= store.Version(len(versions)); v++ {
		if versions[v] == 0 {
			t.Errorf("commit %d is lost while a later one is there: %d commits", v, len(versions))
		}
	}
	v, err := commitThree(s, fmt.Sprint("verified in epoch ", s.Slot().Epoch()), 1)
	if err != nil || v != store.Version(len(versions)+1) {
		t.Errorf("the next commit is %d of %d, %v", v, len(versions)+1, err)
	}
}

func scanAll(t *testing.T, s store.Slot, lo, hi string, f func(key string, v store.Version)) {
	t.Helper()
	from := []byte(lo)
	for rows := store.MaxScan; rows == store.MaxScan; {
		rows = 0
		err := s.Scan(from, []byte(hi), store.MaxScan, func(k, _ []byte, v store.Version) bool {
			rows++
			from = append(append(from[:0], k...), 0)
			f(string(k), v)
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (a *account) verifyFunctions(t *testing.T, s *store.Store) {
	t.Helper()
	snap := s.Catalog().Snapshot()
	for name, digest := range a.functions {
		v, ok := store.Versions.Get(snap, scope, store.QualifiedName(name, lambda.Latest))
		if !ok || v.Code.SHA256 != digest.Base64() {
			t.Errorf("function %s was acknowledged and is lost: %v", name, v)
		}
	}
	store.Functions.Scan(snap, scope, "", func(name string, _ *lambda.Function) bool {
		v, ok := store.Versions.Get(snap, scope, store.QualifiedName(name, lambda.Latest))
		if !ok {
			t.Errorf("function %s has lost its version", name)
			return true
		}
		digest, err := store.ParseDigest(v.Code.SHA256)
		if err != nil {
			t.Error(err)
		}
		if got := read(t, s.Blobs(), digest); got != "code of "+name {
			t.Errorf("the code of %s is %q", name, got)
		}
		return true
	})
}

func read(t *testing.T, b *store.Blobs, d store.Digest) string {
	t.Helper()
	c, err := b.Open(d)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer c.Close()
	text, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// A watchedFS calls atSync before and after every fsync of a file or directory.
type watchedFS struct {
	vfs.FS
	atSync func()
}

func (f *watchedFS) Unwrap() vfs.FS { return f.FS }

func (f *watchedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.watch(f.FS.Create(name, c))
}

func (f *watchedFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return f.watch(f.FS.OpenReadWrite(name, c, o...))
}

func (f *watchedFS) OpenDir(name string) (vfs.File, error) { return f.watch(f.FS.OpenDir(name)) }

func (f *watchedFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.watch(f.FS.ReuseForWrite(old, name, c))
}

func (f *watchedFS) watch(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &watchedFile{file, f.atSync}, nil
}

type watchedFile struct {
	vfs.File
	atSync func()
}

func (f *watchedFile) Sync() error {
	f.atSync()
	defer f.atSync()
	return f.File.Sync()
}

func (f *watchedFile) SyncData() error {
	f.atSync()
	defer f.atSync()
	return f.File.SyncData()
}
