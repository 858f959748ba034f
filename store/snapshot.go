package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"

	"github.com/weir-run/weir/lambda"
)

// A Snapshot is the catalogue at one moment. It never changes, and stays readable as long
// as it is kept.
type Snapshot struct{ state }

// A state is the records of a catalogue twice: by hash to be looked up, and in order.
type state struct {
	records index
	tables  *btree.Map[string, *table] // by tableKey.String
}

// A table is the records of one kind in one scope, in the order of their names.
type table struct {
	*tableID
	ordered *btree.Map[string, *entry]
}

// A tableID is what all states of a table and their records share.
type tableID struct {
	key      tableKey
	decoding sync.Mutex
}

type tableKey struct {
	account, region, kind string
}

// String returns the prefix of the table's records in the slot, up to the last slash.
func (k tableKey) String() string {
	return catalogPrefix + k.account + "/" + k.region + "/" + k.kind
}

func (k tableKey) scope() lambda.Scope { return lambda.Scope{Account: k.account, Region: k.region} }

const catalogPrefix = "c/"

// parseRecordKey splits the key of a record in the slot.
func parseRecordKey(key string) (recordKey, bool) {
	rest, ok := strings.CutPrefix(key, catalogPrefix)
	parts := strings.SplitN(rest, "/", 4)
	if !ok || len(parts) < 4 || parts[3] == "" {
		return recordKey{}, false
	}
	return recordKey{tableKey{parts[0], parts[1], parts[2]}, parts[3]}, true
}

func (k recordKey) String() string { return k.tableKey.String() + "/" + k.name }

// An entry is one record, decoded when it is first got. It fills one cache line.
type entry struct {
	table   *tableID
	name    string
	value   atomic.Value // the decoded value, a pointer
	raw     string       // JSON, until it is decoded; guarded by table.decoding
	version Version      // 0 until it is committed
}

func (e *entry) key() recordKey { return recordKey{e.table.key, e.name} }

func (e *entry) is(k *recordKey) bool { return e.name == k.name && e.table.key == k.tableKey }

// recordFormat is the first byte of a record; JSON follows.
const recordFormat = 1

func encodeRecord(json []byte) []byte { return append([]byte{recordFormat}, json...) }

func decodeRecord(key string, stored []byte) (json string, err error) {
	switch {
	case len(stored) < 2:
		return "", fmt.Errorf("record %q has %d bytes", key, len(stored))
	case stored[0] > recordFormat:
		return "", fmt.Errorf("record %q has format %d, this weir knows up to %d: %w", key, stored[0], recordFormat, ErrNewer)
	case stored[0] != recordFormat:
		return "", fmt.Errorf("record %q has the unknown format %d", key, stored[0])
	}
	return string(stored[1:]), nil
}

// decoded returns the value of an entry, and keeps it.
func decoded[T any](e *entry) *T {
	if v := e.value.Load(); v != nil {
		return v.(*T)
	}
	v := peek[T](e)
	if !e.value.CompareAndSwap(nil, v) {
		return e.value.Load().(*T) // somebody else was faster; all must share one value
	}
	e.table.decoding.Lock()
	defer e.table.decoding.Unlock()
	e.raw = ""
	return v
}

// peek returns the value of an entry without keeping it. It panics if the record is not
// that of a T: the slot's checksums held when it was read, so two parts of the program
// disagree about what a kind is.
func peek[T any](e *entry) *T {
	e.table.decoding.Lock()
	raw := e.raw
	e.table.decoding.Unlock()
	if raw == "" {
		return e.value.Load().(*T)
	}
	v := new(T)
	if err := json.Unmarshal([]byte(raw), v); err != nil {
		panic(fmt.Sprintf("store: record %q is not a %T: %v", e.key(), *v, err))
	}
	return v
}

func (s *Snapshot) read() *state { return &s.state }

// table returns a table, or nil if it has no records.
func (s *Snapshot) table(key string) *table {
	t, _ := s.tables.Get(key)
	return t
}
