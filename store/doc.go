// Package store keeps what must survive: the truth of one data directory.
//
// A Slot is the unit of ownership and of atomic commit: ordered keys and values with one
// writer at a time. Commits of many callers share one fsync; each returns when it is
// durable, and no read shows what is not. The engine beneath is Pebble; nothing above this
// package knows that it is local.
//
// A Catalog holds the typed configuration records of every account in a slot. It is read
// as an immutable Snapshot without a lock, and changed by Update, which swaps the snapshot
// after the change is durable.
//
// Blobs are content-addressed files beside the slot: function code, kept as uploaded and
// unpacked for use.
//
// Keys of a slot, each a prefix and then parts that sort:
//
//	\x00…                           the engine's own
//	c/account/region/kind/name      catalogue records
//	a/…                             asynchronous events (events.go)
//	m/… d/…                         messages of queues (queuerow.go)
//	n/…                             published messages (fanout.go)
//	t/…                             metrics and the history of alarms (metrics.go)
//
// The data directory:
//
//	LOCK          held by the one process that has the directory open
//	FORMAT        version of the layout; a newer one refuses to open
//	epoch-N       renamed at each open; a process whose epoch is gone is fenced
//	slot/         Pebble
//	blobs/        <sha256 in hex>, and tmp-* while being written
//	code/boot/    <sha256 in hex>/, unpacked code, trusted within one boot of the machine
package store
