package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/weir-run/weir/store"
)

// A faulty is a store on a disk in memory that fails on demand.
type faulty struct {
	*store.Store
	mem   *vfs.MemFS
	fault atomic.Pointer[func(op errorfs.Op) error]
	fatal []error // of Options.Fatal
	log   bytes.Buffer
}

func openFaulty(t *testing.T) *faulty {
	f := &faulty{mem: vfs.NewCrashableMem()}
	fs := errorfs.Wrap(f.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if fault := f.fault.Load(); fault != nil {
			return (*fault)(op)
		}
		return nil
	}))
	f.Store = open(t, store.Options{
		Dir: "data", FS: fs,
		Logger: slog.New(slog.NewTextHandler(&f.log, nil)),
		Fatal:  func(err error) { f.fatal = append(f.fatal, err) },
	})
	return f
}

// breakLog makes operations of a kind on the engine's log fail.
func (f *faulty) breakLog(err error, kinds ...errorfs.OpKind) {
	fault := func(op errorfs.Op) error {
		for _, k := range kinds {
			if op.Kind == k && path.Ext(op.Path) == ".log" {
				return err
			}
		}
		return nil
	}
	f.fault.Store(&fault)
}

func (f *faulty) set(key string) error {
	var b store.Batch
	b.Set([]byte(key), []byte(key))
	_, err := f.Slot().Commit(context.Background(), &b)
	return err
}

func (f *faulty) get(t *testing.T, key string) string {
	t.Helper()
	v, _, err := f.Slot().Get([]byte(key))
	if err != nil {
		t.Error(err)
	}
	return string(v)
}

// A failed fsync or write of the log ends the process. If it does not end, nothing more is
// acknowledged, reads go on, and what was acknowledged is there after a restart.
func TestFailingLogIsFatal(t *testing.T) {
	for name, kinds := range map[string][]errorfs.OpKind{
		"fsync": {errorfs.OpFileSync, errorfs.OpFileSyncData},
		"write": {errorfs.OpFileWrite},
	} {
		t.Run(name, func(t *testing.T) {
			f := openFaulty(t)
			if err := f.set("kept"); err != nil {
				t.Fatal(err)
			}
			f.breakLog(syscall.EIO, kinds...)
			if err := f.set("lost"); err == nil || !strings.Contains(err.Error(), "input/output error") {
				t.Errorf("a commit to a failing disk: %v", err)
			}
			if len(f.fatal) != 1 || !strings.Contains(f.fatal[0].Error(), "input/output error") {
				t.Errorf("Fatal was called with %v", f.fatal)
			}
			if name == "fsync" && !strings.Contains(f.fatal[0].Error(), "fsync of data/slot/") {
				t.Errorf("Fatal was called with %v, which names no file", f.fatal)
			}
			f.fault.Store(nil) // an fsync that works again proves nothing
			if err := f.set("later"); err == nil {
				t.Error("a commit after a failed one was acknowledged")
			}
			if got := f.get(t, "kept"); got != "kept" {
				t.Errorf("read %q", got)
			}
			if got := f.get(t, "lost") + f.get(t, "later"); got != "" {
				t.Errorf("read %q, which is not durable", got)
			}
			clone := f.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(1, 1))})
			_ = f.Close() // what it returns after such a failure says nothing
			if len(f.fatal) != 1 {
				t.Errorf("Fatal was called %d times", len(f.fatal))
			}
			s := open(t, store.Options{Dir: "data", FS: clone})
			defer s.Close()
			if got, _, err := s.Slot().Get([]byte("kept")); err != nil || string(got) != "kept" {
				t.Errorf("after a restart: %q, %v", got, err)
			}
		})
	}
}

// A log that cannot grow on a full disk stops the commits; the process lives and reads.
func TestLogOnFullDisk(t *testing.T) {
	f := openFaulty(t)
	if err := f.set("kept"); err != nil {
		t.Fatal(err)
	}
	f.breakLog(syscall.ENOSPC, errorfs.OpFileWrite)
	for range 3 {
		if err := f.set("lost"); !errors.Is(err, store.ErrFull) {
			t.Errorf("a commit to a full disk: %v", err)
		}
	}
	if len(f.fatal) != 0 {
		t.Errorf("Fatal was called with %v", f.fatal)
	}
	if n := strings.Count(f.log.String(), "\n"); n != 1 {
		t.Errorf("%d log lines, want 1:\n%s", n, f.log.String())
	}
	if got := f.get(t, "kept") + f.get(t, "lost"); got != "kept" {
		t.Errorf("read %q", got)
	}
	clone := f.mem.CrashClone(vfs.CrashCloneCfg{})
	_ = f.Close() // the log is broken
	s := open(t, store.Options{Dir: "data", FS: clone})
	defer s.Close()
	if got, _, err := s.Slot().Get([]byte("kept")); err != nil || string(got) != "kept" {
		t.Errorf("after a restart: %q, %v", got, err)
	}
}

// When little space is left commits and blobs are refused before they touch the disk, and
// taken again when there is room.
func TestReserveOfTheDisk(t *testing.T) {
	mem := vfs.NewMem()
	usage := vfs.DiskUsage{TotalBytes: 100 << 30, AvailBytes: 50 << 30}
	mem.TestingSetDiskUsage(usage)
	s := open(t, store.Options{Dir: "data", FS: mem})
	defer s.Close()
	set := func() error {
		var b store.Batch
		b.Set([]byte("key"), []byte("value"))
		_, err := s.Slot().Commit(context.Background(), &b)
		return err
	}
	put := func() error {
		blob, err := s.Blobs().Put(strings.NewReader("code"))
		if err == nil {
			blob.Release()
		}
		return err
	}
	for _, c := range []struct {
		available uint64
		full      bool
	}{{50 << 30, false}, {255 << 20, true}, {0, true}, {257 << 20, false}} {
		usage.AvailBytes = c.available
		mem.TestingSetDiskUsage(usage)
		for what, do := range map[string]func() error{"commit": set, "put": put} {
			if err := do(); errors.Is(err, store.ErrFull) != c.full || !c.full && err != nil {
				t.Errorf("%s with %d MB left: %v", what, c.available>>20, err)
			}
		}
		if _, _, err := s.Slot().Get([]byte("key")); err != nil {
			t.Errorf("get with %d MB left: %v", c.available>>20, err)
		}
	}
	if names, err := mem.List("data/blobs"); err != nil || len(names) != 1 {
		t.Errorf("blobs: %v, %v", names, err)
	}
}

// A small disk keeps a twentieth in reserve rather than all of it.
func TestReserveOfASmallDisk(t *testing.T) {
	mem := vfs.NewMem()
	mem.TestingSetDiskUsage(vfs.DiskUsage{TotalBytes: 100 << 20, AvailBytes: 6 << 20})
	s := open(t, store.Options{Dir: "data", FS: mem})
	defer s.Close()
	var b store.Batch
	b.Set([]byte("key"), []byte("value"))
	if _, err := s.Slot().Commit(context.Background(), &b); err != nil {
		t.Error(err)
	}
}

// What is not durable yet is not shown.
func TestReadsShowWhatIsDurable(t *testing.T) {
	f := openFaulty(t)
	reached, proceed := make(chan bool), make(chan bool)
	fault := func(op errorfs.Op) error {
		if path.Ext(op.Path) == ".log" && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
			reached <- true
			<-proceed
		}
		return nil
	}
	f.fault.Store(&fault)
	done := make(chan error)
	go func() { done <- f.set("key") }()
	<-reached
	if got := f.get(t, "key"); got != "" {
		t.Errorf("read %q before its fsync", got)
	}
	f.fault.Store(nil)
	proceed <- true
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := f.get(t, "key"); got != "key" {
		t.Errorf("read %q after its fsync", got)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if f.log.Len() > 0 {
		t.Errorf("logged: %s", f.log.String())
	}
}

// A block that cannot be read fails the reads that need it, and no other.
func TestUnreadableBlock(t *testing.T) {
	const key = "noise500/" // amid the noise
	f := openFaulty(t)
	var b store.Batch
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 1000 { // so many that the key's block is not read along with others
		noise := make([]byte, 1000)
		for j := range noise {
			noise[j] = byte(r.Uint32())
		}
		b.Set(fmt.Appendf(nil, "noise%d", i), noise)
	}
	b.Set([]byte(key), []byte(key))
	if _, err := f.Slot().Commit(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil { // moves the keys into a table
		t.Fatal(err)
	}
	again := &faulty{mem: f.mem}
	fs := errorfs.Wrap(f.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if fault := again.fault.Load(); fault != nil {
			return (*fault)(op)
		}
		return nil
	}))
	again.Store = open(t, store.Options{Dir: "data", FS: fs, Fatal: func(err error) { t.Errorf("Fatal(%v)", err) }})
	defer again.Close()
	if err := again.set("young"); err != nil {
		t.Fatal(err)
	}
	fault := func(op errorfs.Op) error {
		if path.Ext(op.Path) == ".sst" && (op.Kind == errorfs.OpFileReadAt || op.Kind == errorfs.OpOpen) {
			return syscall.EIO
		}
		return nil
	}
	again.fault.Store(&fault)
	if _, _, err := again.Slot().Get([]byte(key)); !errors.Is(err, syscall.EIO) {
		t.Errorf("get of an unreadable key: %v", err)
	}
	b.Reset()
	b.Check([]byte(key), 1)
	b.Set([]byte(key), []byte("x"))
	if _, err := again.Slot().Commit(context.Background(), &b); !errors.Is(err, syscall.EIO) {
		t.Errorf("check of an unreadable key: %v", err)
	}
	if err := again.set("younger"); err != nil {
		t.Errorf("a commit that reads nothing: %v", err)
	}
	if got := again.get(t, "young") + again.get(t, "younger"); got != "youngyounger" {
		t.Errorf("read %q", got)
	}
	again.fault.Store(nil)
	if got := again.get(t, key); got != key {
		t.Errorf("read %q when the disk is well again", got)
	}
}
