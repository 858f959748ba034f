package store

import (
	"strings"

	"github.com/weir-run/weir/lambda"
)

// A Kind is a sort of record: its name in the slot, which is for ever, and its type. T is
// stored as JSON; what JSON leaves out of it is not kept. Two kinds must not share a name.
type Kind[T any] struct{ Name string }

// The kinds of Lambda itself. Those of a function's parts are named by QualifiedName.
var (
	Functions   = Kind[lambda.Function]{"function"}
	Versions    = Kind[lambda.Version]{"version"} // $LATEST too
	Aliases     = Kind[lambda.Alias]{"alias"}
	Reserved    = Kind[lambda.Reserved]{"reserved"} // by the function's name
	Provisioned = Kind[lambda.Provisioned]{"provisioned"}

	// EventInvokes are named by what the invocations are sent to; $LATEST stands for the
	// function itself.
	EventInvokes = Kind[lambda.EventInvoke]{"eventinvoke"}

	Policies = Kind[lambda.Policy]{"policy"} // by what they belong to, a function without qualifier

	EventSourceMappings = Kind[lambda.EventSourceMapping]{"eventsourcemapping"} // by their UUID
)

// A Reader is a state of the catalogue to read: a *Snapshot, or a *Tx, which sees its own
// changes.
type Reader interface {
	read() *state
	table(key string) *table // to be scanned; nil if it has no records
}

// nameSeparator parts composite names. It sorts before all that AWS allows in a name, so
// the parts of one function stand together and in the order of the functions.
const nameSeparator = "\x00"

// QualifiedName is the name of a record that belongs to a part of a function: a version, an
// alias, or what is set on either. For one function $LATEST sorts first, then the versions
// by number, then the aliases.
func QualifiedName(function, qualifier string) string {
	if lambda.IsVersionNumber(qualifier) {
		const digits = 10
		qualifier = strings.Repeat("0", max(0, digits-len(qualifier))) + qualifier
	}
	return function + nameSeparator + qualifier
}

// QualifiedPrefix begins every QualifiedName of a function, and of no other.
func QualifiedPrefix(function string) string { return function + nameSeparator }

// Get returns a record, or false if there is none. The value is shared and must not be
// changed: to change a record, Put a changed copy, maps and slices copied too.
func (k Kind[T]) Get(r Reader, s lambda.Scope, name string) (*T, bool) {
	e := r.read().records.get(&recordKey{tableKey{s.Account, s.Region, k.Name}, name})
	if e == nil {
		return nil, false
	}
	return decoded[T](e), true
}

// Scan calls f with the records of a scope whose names sort after a name, in order, until f
// returns false. An empty name is before the first. As with Get the values must not be
// changed; other than Get, scans leave nothing decoded behind in memory.
func (k Kind[T]) Scan(r Reader, s lambda.Scope, after string, f func(name string, v *T) bool) {
	k.ScanPrefix(r, s, "", after, f)
}

// ScanPrefix is Scan for the names that begin with prefix.
func (k Kind[T]) ScanPrefix(r Reader, s lambda.Scope, prefix, after string, f func(name string, v *T) bool) {
	t := r.table(tableKey{s.Account, s.Region, k.Name}.String())
	if t == nil {
		return
	}
	t.ordered.Ascend(max(prefix, after), func(name string, e *entry) bool {
		if !strings.HasPrefix(name, prefix) {
			return false
		}
		return name == after || f(name, peek[T](e))
	})
}

// ScanAll calls f with the records of every scope, one scope after the other and each in the
// order of names, until f returns false: the passes over everything, at the start and to see
// what code is live.
func (k Kind[T]) ScanAll(r Reader, f func(s lambda.Scope, name string, v *T) bool) {
	for _, key := range r.read().tables.Keys() {
		t := r.table(key)
		if t == nil || t.key.kind != k.Name {
			continue
		}
		more := true
		t.ordered.Scan(func(name string, e *entry) bool {
			more = f(t.key.scope(), name, peek[T](e))
			return more
		})
		if !more {
			return
		}
	}
}

// Put sets a record. The value is taken as it is now. One that cannot be stored makes the
// Update fail.
func (k Kind[T]) Put(tx *Tx, s lambda.Scope, name string, v *T) {
	tx.put(recordKey{tableKey{s.Account, s.Region, k.Name}, name}, v)
}

// Delete removes a record, if it exists.
func (k Kind[T]) Delete(tx *Tx, s lambda.Scope, name string) {
	tx.delete(recordKey{tableKey{s.Account, s.Region, k.Name}, name})
}
