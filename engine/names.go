package engine

import (
	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/lambda"
)

// names gives functions, versions and aliases the small numbers that the machine knows them
// by.
type names struct {
	functions table[string, admission.FunctionID]
	versions  table[qualified, admission.VersionID]
	aliases   table[qualified, admission.AliasID]
	runs      []*lambda.Version // what each version's environments are booted with, by its number
}

// qualified names a version or an alias.
type qualified struct{ function, qualifier string }

func (q qualified) String() string { return q.function + ":" + q.qualifier }

func newNames() names {
	return names{
		functions: newTable[string, admission.FunctionID](),
		versions:  newTable[qualified, admission.VersionID](),
		aliases:   newTable[qualified, admission.AliasID](),
	}
}

// target finds what a caller of Invoke addresses; an empty qualifier is $LATEST.
func (n *names) target(function, qualifier string) (admission.Target, bool) {
	if qualifier == "" {
		qualifier = lambda.Latest
	}
	q := qualified{function, qualifier}
	if v, ok := n.versions.ids[q]; ok {
		return admission.Target{Version: v}, true
	}
	a, ok := n.aliases.ids[q]
	return admission.Target{Alias: a}, ok
}

func (n *names) targetName(t admission.Target) string {
	if t.Alias != 0 {
		return n.aliases.keys[t.Alias].String()
	}
	return n.versions.keys[t.Version].String()
}

// run notes what a version's environments are booted with from now on.
func (n *names) run(id admission.VersionID, v *lambda.Version) {
	for len(n.runs) <= int(id) {
		n.runs = append(n.runs, nil)
	}
	n.runs[id] = v
}

// A table numbers keys from 1 on. The number of a key that was forgotten is given again.
type table[K comparable, ID ~uint32] struct {
	ids  map[K]ID
	keys []K
	free []ID
}

func newTable[K comparable, ID ~uint32]() table[K, ID] {
	return table[K, ID]{ids: make(map[K]ID), keys: make([]K, 1)}
}

// id returns the number of a key, giving it one if it has none; had tells if it had.
func (t *table[K, ID]) id(key K) (id ID, had bool) {
	if id, had = t.ids[key]; had {
		return id, true
	}
	if k := len(t.free); k > 0 {
		id, t.free = t.free[k-1], t.free[:k-1]
		t.keys[id] = key
	} else {
		id = ID(len(t.keys))
		t.keys = append(t.keys, key)
	}
	t.ids[key] = id
	return id, false
}

func (t *table[K, ID]) forget(key K) {
	id := t.ids[key]
	delete(t.ids, key)
	var none K
	t.keys[id] = none
	t.free = append(t.free, id)
}
