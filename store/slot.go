package store

import (
	"context"
	"errors"
	"fmt"
)

// A Version tells when a key was last set: the number of the commit that did it. Numbers
// grow with every commit of a slot and are never used twice, restarts included. 0 stands
// for a key that does not exist.
type Version uint64

// A Slot is the unit of ownership and of atomic commit: ordered keys and values with one
// writer at a time. Its methods are safe for concurrent use.
//
// There is no transaction across slots. An effect on two of them is two commits: the
// target's first, under an id that makes its repetition harmless, then the source's.
type Slot interface {
	// Commit applies a batch, all of it or nothing, and returns when it is durable. Its
	// checks are judged against all that was committed before, so of two batches that
	// check the same key and change it, the second gets ErrConflict. The Version is that
	// of every key the batch set.
	//
	// A done context stops a Commit only while it waits for its turn; afterwards it stays
	// until the outcome is known. An error means that nothing was changed, save that a
	// commit which met a failing disk may turn out to be kept after a restart.
	Commit(ctx context.Context, b *Batch) (Version, error)

	// Get returns the value of a key and its version, or a version of 0 if there is none.
	// The value is the caller's.
	Get(key []byte) (value []byte, v Version, err error)

	// Scan calls f with at most limit entries from lo (inclusive) to hi (exclusive) in the
	// order of their keys, until f returns false. An empty lo is the first key, an empty hi
	// is behind the last. The slices are valid during the call only; limit is 1..MaxScan,
	// and longer ranges are read in pages, each from behind the last key of the one before.
	//
	// A call sees one state, the calls of several pages each their own.
	//
	// A range whose head was deleted entry by entry is slow to enter: scan from a
	// remembered key, or drop heads by DropBefore.
	Scan(lo, hi []byte, limit int, f func(key, value []byte, v Version) bool) error

	// DropBefore deletes every key that begins with log and sorts before key, at a cost
	// that does not depend on their number. It is a commit of its own.
	DropBefore(log, key []byte) error

	// Epoch numbers the ownerships of a slot. When a later owner has taken the slot, the
	// commits of earlier epochs fail with ErrFenced.
	Epoch() uint64
}

// Bounds of a slot's keys, values and batches. The largest value that must fit is an event
// of 1 MiB with its envelope; its batch also moves an index key.
const (
	MaxKey   = 4 << 10        // bytes
	MaxValue = 1<<20 + 64<<10 // bytes
	MaxBatch = 2 << 20        // bytes: keys, values and opBytes for each operation and check
	MaxScan  = 16_384         // entries of one Scan
	reserved = 0x00           // first byte of the engine's own keys
	opBytes  = 16             // what an operation is charged beside its key and value
)

// Errors of a slot. They are wrapped with what was being done.
var (
	ErrConflict = errors.New("a checked key has changed")
	ErrFenced   = errors.New("another owner has taken the slot")
	ErrClosed   = errors.New("the store is closed")
	ErrTooLarge = errors.New("over the bounds of the store")
	ErrFull     = errors.New("the disk is full")
)

// A Batch is a list of conditions and changes that Commit applies together, in order: a
// later change of a key wins. It keeps the slices it is given, which must not change until
// Commit has returned. The zero value is an empty batch.
type Batch struct {
	checks []check
	ops    []op
	bytes  int
}

type check struct {
	key     []byte
	version Version
}

type opKind uint8

const (
	opSet opKind = iota
	opDelete
	opDeleteRange
)

type op struct {
	kind  opKind
	key   []byte
	value []byte // opSet: the value; opDeleteRange: the key behind the range
}

// Check makes the batch conditional: it is applied only if the key is at version v, where 0
// demands that there is no such key.
func (b *Batch) Check(key []byte, v Version) {
	b.checks = append(b.checks, check{key, v})
	b.bytes += len(key) + opBytes
}

// Set gives a key a value.
func (b *Batch) Set(key, value []byte) { b.add(op{opSet, key, value}) }

// Delete removes a key, whether or not it exists.
func (b *Batch) Delete(key []byte) { b.add(op{opDelete, key, nil}) }

// DeleteRange removes the keys from lo (inclusive) to hi (exclusive) at a cost that does
// not depend on their number. It is meant for the heads of logs: many ranges slow reads.
func (b *Batch) DeleteRange(lo, hi []byte) { b.add(op{opDeleteRange, lo, hi}) }

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	clear(b.checks)
	clear(b.ops)
	b.checks, b.ops, b.bytes = b.checks[:0], b.ops[:0], 0
}

func (b *Batch) add(o op) {
	b.ops = append(b.ops, o)
	b.bytes += len(o.key) + len(o.value) + opBytes
}

// validate refuses what no slot takes, so that a bad batch never meets good ones.
func (b *Batch) validate() error {
	if len(b.ops) == 0 {
		return errors.New("the batch changes nothing")
	}
	if b.bytes > MaxBatch {
		return fmt.Errorf("batch of %d bytes, at most %d: %w", b.bytes, MaxBatch, ErrTooLarge)
	}
	for _, c := range b.checks {
		if err := validateKey(c.key); err != nil {
			return err
		}
	}
	for _, o := range b.ops {
		if err := validateKey(o.key); err != nil {
			return err
		}
		switch {
		case o.kind == opSet && len(o.value) > MaxValue:
			return fmt.Errorf("value of %d bytes, at most %d: %w", len(o.value), MaxValue, ErrTooLarge)
		case o.kind == opDeleteRange:
			if err := validateKey(o.value); err != nil {
				return err
			}
			if string(o.key) > string(o.value) {
				return fmt.Errorf("the range ends at %.64q before it begins at %.64q", o.value, o.key)
			}
		}
	}
	return nil
}

func validateKey(key []byte) error {
	switch {
	case len(key) == 0:
		return errors.New("the key is empty")
	case len(key) > MaxKey:
		return fmt.Errorf("key of %d bytes, at most %d: %w", len(key), MaxKey, ErrTooLarge)
	case key[0] == reserved:
		return fmt.Errorf("key %.64q is reserved", key)
	}
	return nil
}
