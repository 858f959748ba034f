package store

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// A trie finds records by hash: the half of a snapshot that answers Get. A lookup touches
// three nodes among 100,000 records and allocates nothing; in the ordered tree beside it,
// it would take three times as long.
//
// Nodes of a trie's own edit are changed in place, others are copied; so a copy with a
// fresh edit can be changed without the original noticing.
type trie struct {
	root *node
	edit uint64
	mask uint64 // the bits of the hash that count: all, but for tests
}

// A node has a slot for each bit that is set: 6 bits of the hash on each level. Below the
// last bits of the hash, where only equal hashes meet, slots are a plain list.
type node struct {
	edit   uint64
	bits   uint64
	slots  []slot
	inline [2]slot // backs slots while it suffices, as it does in most lowest nodes
}

// A slot holds one of the two.
type slot struct {
	child *node
	leaf  *entry
}

const (
	levelBits = 6
	hashBits  = 64
)

// A recordKey is what identifies a record.
type recordKey struct {
	tableKey
	name string
}

var hashSeed = maphash.MakeSeed()

func (t *trie) hash(k *recordKey) uint64 { return maphash.Comparable(hashSeed, *k) & t.mask }

func (t *trie) copy(edit uint64) trie { return trie{t.root, edit, t.mask} }

func (t *trie) get(k *recordKey) *entry {
	hash := t.hash(k)
	n := t.root
	for shift := 0; n != nil && shift < hashBits; shift += levelBits {
		bit := uint64(1) << (hash >> shift % (1 << levelBits))
		if n.bits&bit == 0 {
			return nil
		}
		s := &n.slots[n.before(bit)]
		if s.leaf != nil {
			if s.leaf.is(k) {
				return s.leaf
			}
			return nil
		}
		n = s.child
	}
	if n != nil {
		if i := n.list(k); i >= 0 {
			return n.slots[i].leaf
		}
	}
	return nil
}

func (t *trie) set(e *entry) {
	k := e.key()
	t.root = t.put(t.root, e, t.hash(&k), 0)
}

func (t *trie) put(n *node, e *entry, hash uint64, shift int) *node {
	n = t.own(n)
	k := e.key()
	i, bit := n.find(&k, hash, shift)
	if i < 0 {
		n.bits |= bit
		n.slots = slices.Insert(n.slots, n.before(bit), slot{leaf: e})
		return n
	}
	switch s := &n.slots[i]; {
	case s.child != nil:
		s.child = t.put(s.child, e, hash, shift+levelBits)
	case s.leaf.is(&k):
		s.leaf = e
	default: // two records that part further down
		other := s.leaf.key()
		below := t.put(nil, s.leaf, t.hash(&other), shift+levelBits)
		*s = slot{child: t.put(below, e, hash, shift+levelBits)}
	}
	return n
}

func (t *trie) delete(k *recordKey) {
	if t.root != nil {
		t.root = t.remove(t.root, k, t.hash(k), 0)
	}
}

// remove returns the node without a record, or nil if it is empty then.
func (t *trie) remove(n *node, k *recordKey, hash uint64, shift int) *node {
	i, bit := n.find(k, hash, shift)
	if i < 0 {
		return n
	}
	if s := n.slots[i]; s.child != nil {
		child := t.remove(s.child, k, hash, shift+levelBits)
		if child == s.child {
			return n
		}
		if child != nil {
			n = t.own(n)
			n.slots[i].child = child
			return n
		}
	} else if !s.leaf.is(k) {
		return n
	}
	if len(n.slots) == 1 {
		return nil
	}
	n = t.own(n)
	n.bits &^= bit
	n.slots = slices.Delete(n.slots, i, i+1)
	return n
}

// own returns a node that may be changed.
func (t *trie) own(n *node) *node {
	if n != nil && n.edit == t.edit {
		return n
	}
	own := &node{edit: t.edit}
	own.slots = own.inline[:0]
	if n != nil {
		own.bits = n.bits
		own.slots = append(own.slots, n.slots...)
	}
	return own
}

// find returns the index of the slot that a key belongs to, or -1 if there is none, and the
// slot's bit, or 0 in a plain list.
func (n *node) find(k *recordKey, hash uint64, shift int) (i int, bit uint64) {
	if shift >= hashBits {
		return n.list(k), 0
	}
	bit = 1 << (hash >> shift % (1 << levelBits))
	if n.bits&bit == 0 {
		return -1, bit
	}
	return n.before(bit), bit
}

// list returns the index of a key in a plain list, or -1.
func (n *node) list(k *recordKey) int {
	return slices.IndexFunc(n.slots, func(s slot) bool { return s.leaf.is(k) })
}

// before returns the number of slots that come before a bit's.
func (n *node) before(bit uint64) int { return bits.OnesCount64(n.bits & (bit - 1)) }
