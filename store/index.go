package store

import (
	"hash/maphash"
	"maps"

	"github.com/tidwall/btree"
)

// An index finds records by hash: the part of a state that answers Get. It is a Go map that
// never changes, and a small persistent tree of what changed since the map was built; a
// lookup among 100,000 records costs a third of one in an ordered tree of their names.
//
// Equal hashes of different keys are as good as impossible, and cared for: the first key
// has the place in map and tree, the others are clashes.
type index struct {
	base    map[uint64]*entry
	delta   *btree.Map[uint64, *entry] // deleted records as tombstones
	clashes *btree.Map[string, *entry] // by recordKey.String
	mask    uint64                     // the bits of the hash that count: all, but for tests
}

// The delta is merged into a new map when it has outgrown a share of it, so that the cost
// for each change does not depend on the number of records.
const (
	deltaRecords = 1_024
	deltaShare   = 8
)

// A recordKey is what identifies a record.
type recordKey struct {
	tableKey
	name string
}

// tombstone is the version of an entry that stands for a deleted record.
const tombstone = ^Version(0)

var hashSeed = maphash.MakeSeed()

func newIndex() index {
	return index{
		base:    make(map[uint64]*entry),
		delta:   new(btree.Map[uint64, *entry]),
		clashes: new(btree.Map[string, *entry]),
		mask:    ^uint64(0),
	}
}

// copy returns an index that can be changed without the original noticing.
func (x *index) copy() index {
	return index{x.base, x.delta.Copy(), x.clashes.Copy(), x.mask}
}

func (x *index) hash(k *recordKey) uint64 { return maphash.Comparable(hashSeed, *k) & x.mask }

// at returns the entry, or tombstone, that has the place of a hash.
func (x *index) at(hash uint64) *entry {
	if x.delta.Len() > 0 {
		if e, ok := x.delta.Get(hash); ok {
			return e
		}
	}
	return x.base[hash]
}

func (x *index) get(k *recordKey) *entry {
	e := x.at(x.hash(k))
	if e == nil || !e.is(k) {
		if x.clashes.Len() == 0 {
			return nil
		}
		e, _ = x.clashes.Get(k.String())
		return e
	}
	if e.version == tombstone {
		return nil
	}
	return e
}

func (x *index) set(e *entry) {
	k := e.key()
	hash := x.hash(&k)
	if first := x.at(hash); first != nil && !first.is(&k) {
		x.clashes.Set(k.String(), e)
		return
	}
	x.delta.Set(hash, e)
}

func (x *index) delete(k *recordKey) {
	hash := x.hash(k)
	if first := x.at(hash); first != nil && first.is(k) {
		x.delta.Set(hash, &entry{table: first.table, name: first.name, version: tombstone})
		return
	}
	x.clashes.Delete(k.String())
}

// load is set for an index that nobody reads yet.
func (x *index) load(e *entry) {
	k := e.key()
	hash := x.hash(&k)
	if x.base[hash] != nil {
		x.clashes.Set(k.String(), e)
		return
	}
	x.base[hash] = e
}

// merge makes a new map if the delta has outgrown the old one.
func (x *index) merge() {
	if x.delta.Len() <= max(deltaRecords, len(x.base)/deltaShare) {
		return
	}
	base := maps.Clone(x.base)
	x.delta.Scan(func(hash uint64, e *entry) bool {
		if e.version == tombstone {
			delete(base, hash)
		} else {
			base[hash] = e
		}
		return true
	})
	x.base, x.delta = base, new(btree.Map[uint64, *entry])
}
