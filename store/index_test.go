package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

// An index answers as a map does, whatever its hashes collide in and whenever it is merged,
// and its copies are independent.
func TestIndexAgainstMap(t *testing.T) {
	for _, mask := range []uint64{^uint64(0), 0xff, 1, 0} {
		t.Run(fmt.Sprintf("%#x", mask), func(t *testing.T) {
			r := rand.New(rand.NewPCG(mask, 1))
			ids := []*tableID{{key: tableKey{"a", "r", "k"}}, {key: tableKey{"a", "r", "k2"}}}
			x, m := newIndex(), map[recordKey]*entry{}
			x.mask = mask
			type copied struct {
				index index
				m     map[recordKey]*entry
			}
			const names = 3000
			draw := func() *entry {
				return &entry{table: ids[r.IntN(2)], name: fmt.Sprint(r.IntN(names))}
			}
			for range names {
				if e := draw(); m[e.key()] == nil {
					x.load(e)
					m[e.key()] = e
				}
			}
			var copies []copied
			merges := 0
			for i := range 20_000 {
				if i%2000 == 1999 {
					copies = append(copies, copied{x, maps.Clone(m)})
					x = x.copy()
				}
				if i%100 == 99 {
					before := x.delta.Len()
					x.merge()
					if x.delta.Len() < before {
						merges++
					}
					if x.delta.Len() == 0 && x.clashes.Len() == 0 && len(x.base) != len(m) {
						t.Fatalf("%d records in the map, want %d", len(x.base), len(m))
					}
				}
				e := draw()
				k := e.key()
				if r.IntN(5) < 2 {
					x.delete(&k)
					delete(m, k)
				} else {
					x.set(e)
					m[k] = e
				}
				if got := x.get(&k); got != m[k] {
					t.Fatalf("step %d: get(%v) = %p, want %p", i, k, got, m[k])
				}
			}
			for _, c := range append(copies, copied{x, m}) {
				for n := range names {
					for _, id := range ids {
						k := recordKey{id.key, fmt.Sprint(n)}
						if got := c.index.get(&k); got != c.m[k] {
							t.Fatalf("get(%v) = %p, want %p", k, got, c.m[k])
						}
					}
				}
			}
			if collide := mask != ^uint64(0); collide != (x.clashes.Len() > 0) || !collide && merges == 0 {
				t.Errorf("%d clashes, %d merges", x.clashes.Len(), merges)
			}
		})
	}
}
