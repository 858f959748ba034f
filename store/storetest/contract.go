package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/weir-run/weir/store"
)

// A batch is applied whole; its keys share a version, and versions grow.
func testCommit(t *testing.T, s store.Slot) {
	expect(t, s, "a", "", 0)
	v1 := set(t, s, "a", "b")
	expect(t, s, "a", "a", v1)
	expect(t, s, "b", "b", v1)
	v2 := commit(t, s, func(b *store.Batch) {
		b.Set([]byte("a"), []byte("first"))
		b.Set([]byte("a"), []byte("last")) // of two changes the later wins
		b.Set([]byte("c"), nil)            // an empty value is not an absent key
		b.Delete([]byte("d"))              // nor is deleting nothing an error
		b.Delete([]byte("b"))
	})
	if v1 == 0 || v2 <= v1 {
		t.Errorf("versions %d, then %d", v1, v2)
	}
	expect(t, s, "a", "last", v2)
	expect(t, s, "b", "", 0)
	expect(t, s, "c", "", v2)
	v3 := set(t, s, "b") // a key that returns does not return to its old version
	expect(t, s, "b", "b", v3)

	var b store.Batch
	b.Set([]byte("x"), []byte("x"))
	b.Reset()
	b.Set([]byte("y"), []byte("y"))
	if _, err := s.Commit(context.Background(), &b); err != nil {
		t.Error(err)
	}
	expect(t, s, "x", "", 0)

	// What Get returned is the caller's.
	got, _, _ := s.Get([]byte("a"))
	clear(got)
	expect(t, s, "a", "last", v2)
}

// A batch is applied only if each of its checks holds.
func testCheck(t *testing.T, s store.Slot) {
	old := set(t, s, "moved", "gone")
	now := set(t, s, "moved")
	commit(t, s, func(b *store.Batch) { b.Delete([]byte("gone")) })
	for _, c := range []struct {
		key   string
		at    store.Version
		holds bool
	}{
		{"moved", now, true},
		{"moved", old, false},
		{"moved", 0, false},
		{"moved", now + 1, false},
		{"gone", 0, true},
		{"gone", old, false},
		{"never", 0, true},
		{"never", now, false},
	} {
		var b store.Batch
		b.Check([]byte("moved"), now) // one that holds beside it
		b.Check([]byte(c.key), c.at)
		key := fmt.Sprintf("%s at %d", c.key, c.at)
		b.Set([]byte(key), []byte("set"))
		v, err := s.Commit(context.Background(), &b)
		switch {
		case c.holds && err != nil:
			t.Errorf("%s: %v", key, err)
		case c.holds:
			expect(t, s, key, "set", v)
		case !errors.Is(err, store.ErrConflict) || v != 0:
			t.Errorf("%s: version %d, error %v, want ErrConflict", key, v, err)
		default:
			expect(t, s, key, "", 0)
		}
	}
}

// Of commits that run at once each is judged against those before it, and one that fails
// takes no other down.
func testCheckWithinGroup(t *testing.T, s store.Slot) {
	const writers, each = 32, 8
	var mu sync.Mutex
	var versions []store.Version
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				// An unconditional commit succeeds whatever happens beside it.
				var own store.Batch
				own.Set(fmt.Appendf(nil, "own/%d/%d", w, i), []byte("1"))
				if _, err := s.Commit(context.Background(), &own); err != nil {
					t.Errorf("unconditional commit: %v", err)
				}
				v := increment(t, s, []byte("counter"))
				mu.Lock()
				versions = append(versions, v)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	got, _, err := s.Get([]byte("counter"))
	if err != nil || len(got) != 8 || binary.BigEndian.Uint64(got) != writers*each {
		t.Errorf("counter is %x, %v after %d increments", got, err, writers*each)
	}
	slices.Sort(versions)
	if n := len(slices.Compact(versions)); n != writers*each {
		t.Errorf("%d versions for %d commits", n, writers*each)
	}
	if n := len(keys(t, s, "own/", "own0", 100)); n != writers*each {
		t.Errorf("%d of %d unconditional commits are there", n, writers*each)
	}
}

// increment adds one to a counter; conflicts are retried, each of which means that another
// increment succeeded.
func increment(t testing.TB, s store.Slot, key []byte) store.Version {
	for {
		value, at, err := s.Get(key)
		if err != nil {
			t.Error(err)
			return 0
		}
		n := uint64(0)
		if at != 0 {
			n = binary.BigEndian.Uint64(value)
		}
		var b store.Batch
		b.Check(key, at)
		b.Set(key, binary.BigEndian.AppendUint64(nil, n+1))
		v, err := s.Commit(context.Background(), &b)
		if err == nil {
			return v
		}
		if !errors.Is(err, store.ErrConflict) {
			t.Error(err)
			return 0
		}
	}
}

// A range is deleted in its place among the changes of a batch.
func testDeleteRange(t *testing.T, s store.Slot) {
	set(t, s, "a", "b", "c", "d", "e")
	v := commit(t, s, func(b *store.Batch) {
		b.Set([]byte("bb"), []byte("before"))
		b.DeleteRange([]byte("b"), []byte("d"))
		b.Set([]byte("c"), []byte("after"))
		b.DeleteRange([]byte("x"), []byte("x")) // an empty range
	})
	if got := keys(t, s, "", "", 10); !slices.Equal(got, []string{"a", "c", "d", "e"}) {
		t.Errorf("left: %q", got)
	}
	expect(t, s, "c", "after", v)

	var b store.Batch
	b.Check([]byte("d"), 0)
	b.DeleteRange([]byte("a"), []byte("z"))
	if _, err := s.Commit(context.Background(), &b); !errors.Is(err, store.ErrConflict) {
		t.Errorf("error %v, want ErrConflict", err)
	}
	if got := keys(t, s, "", "", 10); len(got) != 4 {
		t.Errorf("left after a conflict: %q", got)
	}
}

// DropBefore removes the head of one log and nothing else.
func testDropBefore(t *testing.T, s store.Slot) {
	set(t, s, "k", "log/1", "log/2", "log/3", "log0", "lof/9")
	if err := s.DropBefore([]byte("log/"), []byte("log/3")); err != nil {
		t.Fatal(err)
	}
	want := []string{"k", "lof/9", "log/3", "log0"}
	if got := keys(t, s, "", "", 10); !slices.Equal(got, want) {
		t.Errorf("left: %q, want %q", got, want)
	}
	if err := s.DropBefore([]byte("log/"), []byte("log/1")); err != nil {
		t.Error(err) // again, and before the head
	}
	for _, key := range []string{"lof/9", "log0", "log", "m"} {
		if err := s.DropBefore([]byte("log/"), []byte(key)); err == nil {
			t.Errorf("dropped the log before %q, which is not in it", key)
		}
	}
	if got := keys(t, s, "", "", 10); !slices.Equal(got, want) {
		t.Errorf("left: %q, want %q", got, want)
	}
}

func testScan(t *testing.T, s store.Slot) {
	all := []string{"\x01", "a", "a\x00", "a\x00b", "aa", "b", "\xff", "\xff\xff"}
	set(t, s, all...)
	for _, c := range []struct {
		lo, hi string
		want   []string
	}{
		{"", "", all},
		{"\x00", "", all},
		{"a", "b", []string{"a", "a\x00", "a\x00b", "aa"}},
		{"a\x00", "a\x00b", []string{"a\x00"}},
		{"aaa", "b", nil},
		{"b", "b", nil},
		{"b", "a", nil},
		{"\xff", "", []string{"\xff", "\xff\xff"}},
		{"", "\x01", nil},
	} {
		for _, page := range []int{1, 2, 3, store.MaxScan} {
			if got := keys(t, s, c.lo, c.hi, page); !slices.Equal(got, c.want) {
				t.Errorf("Scan(%q, %q) in pages of %d: %q, want %q", c.lo, c.hi, page, got, c.want)
			}
		}
	}
	n := 0
	err := s.Scan(nil, nil, 100, func(_, _ []byte, _ store.Version) bool { n++; return n < 3 })
	if err != nil || n != 3 {
		t.Errorf("Scan went on to %d entries after false, %v", n, err)
	}
	for _, limit := range []int{-1, 0, store.MaxScan + 1} {
		if err := s.Scan(nil, nil, limit, func(_, _ []byte, _ store.Version) bool { return false }); err == nil {
			t.Errorf("Scan took the limit %d", limit)
		}
	}
	// What Scan meets may be changed from within it.
	seen := 0
	err = s.Scan(nil, nil, 100, func(k, _ []byte, _ store.Version) bool {
		seen++
		k = bytes.Clone(k)
		commit(t, s, func(b *store.Batch) { b.Delete(k); b.Set(append(k, '!'), []byte("new")) })
		return true
	})
	if err != nil || seen != len(all) {
		t.Errorf("Scan met %d of %d entries as it began, %v", seen, len(all), err)
	}
}

// Keys, values and batches have bounds; what is beyond changes nothing.
func testBounds(t *testing.T, s store.Slot) {
	big := func(n int) []byte { return bytes.Repeat([]byte("x"), n) }
	rest := func(used int) int { return store.MaxBatch - used - 2*(1+16) } // two keys of one byte
	for name, c := range map[string]struct {
		build func(b *store.Batch)
		large bool // ErrTooLarge
	}{
		"empty batch":    {func(b *store.Batch) {}, false},
		"only a check":   {func(b *store.Batch) { b.Check([]byte("a"), 0) }, false},
		"empty key":      {func(b *store.Batch) { b.Set(nil, []byte("x")) }, false},
		"reserved key":   {func(b *store.Batch) { b.Set([]byte("\x00a"), []byte("x")) }, false},
		"reserved check": {func(b *store.Batch) { b.Check([]byte("\x00a"), 0); b.Set([]byte("a"), nil) }, false},
		"backward range": {func(b *store.Batch) { b.DeleteRange([]byte("b"), []byte("a")) }, false},
		"open range":     {func(b *store.Batch) { b.DeleteRange([]byte("b"), nil) }, false},
		"long key":       {func(b *store.Batch) { b.Delete(big(store.MaxKey + 1)) }, true},
		"large value":    {func(b *store.Batch) { b.Set([]byte("a"), big(store.MaxValue+1)) }, true},
		"large batch": {func(b *store.Batch) {
			b.Set([]byte("a"), big(store.MaxValue))
			b.Set([]byte("b"), big(rest(store.MaxValue)+1))
		}, true},
	} {
		var b store.Batch
		b.Set([]byte("innocent"), []byte("x"))
		if name == "empty batch" || name == "only a check" {
			b.Reset()
		}
		c.build(&b)
		v, err := s.Commit(context.Background(), &b)
		if err == nil || v != 0 || errors.Is(err, store.ErrTooLarge) != c.large {
			t.Errorf("%s: version %d, error %v", name, v, err)
		}
	}
	if got := keys(t, s, "", "", 10); len(got) != 0 {
		t.Errorf("refused batches left %q", got)
	}
	if _, _, err := s.Get(nil); err == nil {
		t.Error("Get took an empty key")
	}
	if _, _, err := s.Get([]byte("\x00seq")); err == nil {
		t.Error("Get took a reserved key")
	}

	long := big(store.MaxKey)
	v := commit(t, s, func(b *store.Batch) { b.Set(long, []byte("x")) })
	expect(t, s, string(long), "x", v)
	v = commit(t, s, func(b *store.Batch) {
		b.Set([]byte("a"), big(store.MaxValue))
		b.Set([]byte("b"), big(rest(store.MaxValue)))
	})
	expect(t, s, "a", string(big(store.MaxValue)), v)
	expect(t, s, "b", string(big(rest(store.MaxValue))), v)
}

// A context that is done stops a commit that has not begun.
func testContext(t *testing.T, s store.Slot) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var b store.Batch
	b.Set([]byte("a"), []byte("a"))
	if _, err := s.Commit(ctx, &b); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	expect(t, s, "a", "", 0)
}

// What was committed is there after a restart, and versions and epochs go on.
func testRestart(t *testing.T, d Disk) {
	var last store.Version
	var epoch uint64
	for i := range 5 {
		s, stop := d.Open(t)
		if s.Epoch() <= epoch {
			t.Errorf("epoch %d after %d", s.Epoch(), epoch)
		}
		epoch = s.Epoch()
		if i > 0 {
			expect(t, s, "key", "key", last)
		}
		if v := set(t, s, "key", fmt.Sprint("only ", i)); v <= last {
			t.Errorf("version %d after %d", v, last)
		} else {
			last = v
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func testClose(t *testing.T, d Disk) {
	s, stop := d.Open(t)
	set(t, s, "a")
	var wg sync.WaitGroup
	acked := make(chan string, 1000)
	for w := range 8 {
		wg.Go(func() {
			for i := range 100 {
				key := fmt.Sprintf("%d/%d", w, i)
				var b store.Batch
				b.Set([]byte(key), []byte(key))
				_, err := s.Commit(context.Background(), &b)
				if err == nil {
					acked <- key
				} else if !errors.Is(err, store.ErrClosed) {
					t.Errorf("commit while closing: %v", err)
				}
				if err := s.Scan(nil, nil, 10, func(_, _ []byte, _ store.Version) bool { return true }); err != nil && !errors.Is(err, store.ErrClosed) {
					t.Errorf("scan while closing: %v", err)
				}
			}
		})
	}
	<-acked
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	wg.Wait()
	close(acked)
	if _, _, err := s.Get([]byte("a")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("get: %v, want ErrClosed", err)
	}
	s, stop = d.Open(t)
	for key := range acked {
		if got, _, err := s.Get([]byte(key)); err != nil || string(got) != key {
			t.Errorf("acknowledged before the close: Get(%q) = %q, %v", key, got, err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// The commits of an owner whose epoch is over fail, and leave no trace.
func testFence(t *testing.T, d Disk) {
	if d.Usurp == nil {
		t.Skip("this engine's owner cannot be replaced while it runs")
	}
	s, stop := d.Open(t)
	v := set(t, s, "before")
	d.Usurp(t)
	var b store.Batch
	b.Set([]byte("after"), []byte("after"))
	if _, err := s.Commit(context.Background(), &b); !errors.Is(err, store.ErrFenced) {
		t.Errorf("error %v, want ErrFenced", err)
	}
	epoch := s.Epoch()
	if err := stop(); err != nil {
		t.Error(err)
	}
	s, stop = d.Open(t)
	if s.Epoch() <= epoch {
		t.Errorf("epoch %d after %d", s.Epoch(), epoch)
	}
	expect(t, s, "before", "before", v)
	expect(t, s, "after", "", 0)
	if err := stop(); err != nil {
		t.Error(err)
	}
}
