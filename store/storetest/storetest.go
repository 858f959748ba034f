// Package storetest is the contract of a store.Slot, as tests to be run on every engine.
package storetest

import (
	"context"
	"flag"
	"math/rand/v2"
	"testing"

	"github.com/weir-run/weir/store"
)

var (
	oneSeed = flag.Uint64("storetest.seed", 0, "run the random histories of this seed only")
	seeds   = flag.Uint64("storetest.seeds", 200, "number of random histories")
)

// A Disk holds one slot across restarts. Its functions are called by one goroutine.
type Disk struct {
	// Open opens the slot. The function it returns closes it in good order.
	Open func(t testing.TB) (store.Slot, func() error)

	// Crash cuts the power of an open slot: what was not synced is lost at random. The
	// close function of the slot need not be called any more. nil: no such thing.
	Crash func(t testing.TB, r *rand.Rand)

	// Usurp gives an open slot to another owner, so that its epoch is over. nil: no such
	// thing.
	Usurp func(t testing.TB)
}

// Run tests an engine. newDisk returns a disk without data.
func Run(t *testing.T, newDisk func(t testing.TB) Disk) {
	open := func(f func(t *testing.T, s store.Slot)) func(*testing.T) {
		return func(t *testing.T) {
			s, stop := newDisk(t).Open(t)
			f(t, s)
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Run("Commit", open(testCommit))
	t.Run("Check", open(testCheck))
	t.Run("CheckWithinGroup", open(testCheckWithinGroup))
	t.Run("DeleteRange", open(testDeleteRange))
	t.Run("DropBefore", open(testDropBefore))
	t.Run("Scan", open(testScan))
	t.Run("Bounds", open(testBounds))
	t.Run("Context", open(testContext))
	t.Run("Restart", func(t *testing.T) { testRestart(t, newDisk(t)) })
	t.Run("Close", func(t *testing.T) { testClose(t, newDisk(t)) })
	t.Run("Fence", func(t *testing.T) { testFence(t, newDisk(t)) })
	t.Run("Histories", func(t *testing.T) {
		if *oneSeed != 0 {
			testHistory(t, newDisk(t), *oneSeed)
			return
		}
		for seed := uint64(1); seed <= *seeds && !t.Failed(); seed++ {
			testHistory(t, newDisk(t), seed)
		}
	})
}

// commit commits a batch that must succeed.
func commit(t testing.TB, s store.Slot, build func(b *store.Batch)) store.Version {
	t.Helper()
	var b store.Batch
	build(&b)
	v, err := s.Commit(context.Background(), &b)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// set sets keys to themselves.
func set(t testing.TB, s store.Slot, keys ...string) store.Version {
	t.Helper()
	return commit(t, s, func(b *store.Batch) {
		for _, k := range keys {
			b.Set([]byte(k), []byte(k))
		}
	})
}

// expect checks the value of a key; version 0 is a key that is not there.
func expect(t testing.TB, s store.Slot, key, value string, v store.Version) {
	t.Helper()
	got, at, err := s.Get([]byte(key))
	if err != nil || string(got) != value || at != v {
		t.Errorf("Get(%q) = %q, %d, %v; want %q, %d", key, got, at, err, value, v)
	}
}

// keys returns the keys of a range, read in pages of a size.
func keys(t testing.TB, s store.Slot, lo, hi string, page int) []string {
	t.Helper()
	found := []string{}
	from := []byte(lo)
	for {
		n := 0
		err := s.Scan(from, []byte(hi), page, func(k, v []byte, at store.Version) bool {
			if len(v) == 0 || at == 0 {
				t.Errorf("Scan gave %q = %q at version %d", k, v, at)
			}
			n++
			found = append(found, string(k))
			from = append(append(from[:0], k...), 0)
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		if n > page {
			t.Fatalf("Scan gave %d entries of at most %d", n, page)
		}
		if n < page {
			return found
		}
	}
}
