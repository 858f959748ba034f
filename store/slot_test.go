package store_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/weir-run/weir/store"
	"github.com/weir-run/weir/store/storetest"
)

func TestSlotInMemory(t *testing.T) { storetest.Run(t, newMemDisk) }

func TestSlotOnDisk(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Disk {
		dir := t.TempDir()
		return storetest.Disk{
			Open: func(t testing.TB) (store.Slot, func() error) {
				s := open(t, store.Options{Dir: dir})
				return s.Slot(), s.Close
			},
			Usurp: func(t testing.TB) {
				names, err := filepath.Glob(filepath.Join(dir, "epoch-*"))
				if err != nil || len(names) != 1 {
					t.Fatal(names, err)
				}
				if err := os.Rename(names[0], filepath.Join(dir, "epoch-1000")); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

// newMemDisk returns a disk in memory whose power can be cut.
func newMemDisk(t testing.TB) storetest.Disk {
	fs := vfs.NewCrashableMem()
	var s *store.Store
	return storetest.Disk{
		Open: func(t testing.TB) (store.Slot, func() error) {
			s = open(t, store.Options{Dir: "data", FS: fs})
			return s.Slot(), s.Close
		},
		Crash: func(t testing.TB, r *rand.Rand) {
			fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.IntN(101), RNG: r})
			if err := s.Close(); err != nil { // on the disk that was left behind
				t.Fatal(err)
			}
		},
		Usurp: func(t testing.TB) {
			names, err := fs.List("data")
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if strings.HasPrefix(name, "epoch-") {
					if err := fs.Rename("data/"+name, "data/epoch-1000"); err != nil {
						t.Fatal(err)
					}
				}
			}
		},
	}
}

// open opens a store whose disk must not fail.
func open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(fmt.Sprint("the store gave up: ", err)) }
	}
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
