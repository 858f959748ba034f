package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

// A trie answers as a map does, whatever its hashes collide in, and its copies are
// independent.
func TestTrieAgainstMap(t *testing.T) {
	for _, mask := range []uint64{^uint64(0), 0xff, 0x3f << 58, 1, 0} {
		t.Run(fmt.Sprintf("%#x", mask), func(t *testing.T) {
			r := rand.New(rand.NewPCG(mask, 1))
			id := &tableID{key: tableKey{"a", "r", "k"}}
			other := &tableID{key: tableKey{"a", "r", "k2"}}
			tr, m := trie{mask: mask}, map[recordKey]*entry{}
			type copied struct {
				trie trie
				m    map[recordKey]*entry
			}
			var copies []copied
			for i := range 4000 {
				if i%400 == 399 {
					copies = append(copies, copied{tr, maps.Clone(m)})
					tr = tr.copy(uint64(i))
				}
				e := &entry{table: id, name: fmt.Sprint(r.IntN(300))}
				if r.IntN(3) == 0 {
					e.table = other
				}
				k := e.key()
				if r.IntN(5) < 2 {
					tr.delete(&k)
					delete(m, k)
				} else {
					tr.set(e)
					m[k] = e
				}
				if got := tr.get(&k); got != m[k] {
					t.Fatalf("step %d: get(%v) = %p, want %p", i, k, got, m[k])
				}
			}
			for _, c := range append(copies, copied{tr, m}) {
				for n := range 300 {
					for _, id := range []*tableID{id, other} {
						k := recordKey{id.key, fmt.Sprint(n)}
						if got := c.trie.get(&k); got != c.m[k] {
							t.Fatalf("get(%v) = %p, want %p", k, got, c.m[k])
						}
					}
				}
			}
			for k := range m {
				tr.delete(&k)
			}
			if tr.root != nil {
				t.Error("the trie is empty and has a root")
			}
		})
	}
}
