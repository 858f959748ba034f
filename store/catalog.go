package store

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/tidwall/btree"

	"github.com/weir-run/weir/lambda"
)

// A Catalog holds the configuration records of every account: in the slot for good, in
// memory to be read. Reading takes no lock and no I/O.
type Catalog struct {
	slot Slot

	current atomic.Pointer[Snapshot]

	// writing holds a token during Update and Subscribe, and guards what follows.
	writing chan struct{}
	told    []func(*Snapshot, []Change)
}

// A Change names a record that an Update set or deleted.
type Change struct {
	Kind    string
	Scope   lambda.Scope
	Name    string
	Deleted bool
}

// openCatalog reads every record of the catalogue.
func openCatalog(slot Slot) (*Catalog, error) {
	c := &Catalog{slot: slot, writing: make(chan struct{}, 1)}
	s := &Snapshot{state{newIndex(), new(btree.Map[string, *table])}}
	var t *table
	var bad error
	lo, hi := []byte(catalogPrefix), []byte(catalogPrefix)
	hi[len(hi)-1]++
	for rows := MaxScan; rows == MaxScan && bad == nil; {
		rows = 0
		err := slot.Scan(lo, hi, MaxScan, func(key, value []byte, v Version) bool {
			rows++
			lo = append(append(lo[:0], key...), 0)
			t, bad = s.load(t, string(key), value, v)
			return bad == nil
		})
		if err != nil {
			return nil, fmt.Errorf("load the catalogue: %w", err)
		}
	}
	if bad != nil {
		return nil, fmt.Errorf("load the catalogue: %w", bad)
	}
	c.current.Store(s)
	return c, nil
}

// load adds a record as it is read from the slot, in the order of the keys. It takes the
// table of the record before and returns that of this one.
func (s *Snapshot) load(t *table, key string, stored []byte, v Version) (*table, error) {
	k, ok := parseRecordKey(key)
	if !ok {
		return nil, fmt.Errorf("%q is not the key of a record", key)
	}
	raw, err := decodeRecord(key, stored)
	if err != nil {
		return nil, err
	}
	if t == nil || t.key != k.tableKey {
		t = newTable(k.tableKey)
		s.tables.Set(t.key.String(), t)
	}
	// A clone: the name must not keep the whole key in memory.
	e := &entry{table: t.tableID, name: strings.Clone(k.name), version: v, raw: raw}
	t.ordered.Load(e.name, e)
	s.records.load(e)
	return t, nil
}

func newTable(k tableKey) *table {
	return &table{&tableID{key: k}, new(btree.Map[string, *entry])}
}

// Snapshot returns the current state of the catalogue.
func (c *Catalog) Snapshot() *Snapshot { return c.current.Load() }

// Subscribe has f called after every Update that changed something, in the order of the
// commits: when the snapshot is current and before the Update returns. It returns the
// snapshot that the first call will follow. f must be quick and must not call Update or
// Subscribe.
func (c *Catalog) Subscribe(f func(*Snapshot, []Change)) *Snapshot {
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	c.told = append(c.told, f)
	return c.Snapshot()
}

// Settle waits until everyone who subscribed was told of what the snapshot holds.
func (c *Catalog) Settle() {
	c.writing <- struct{}{}
	<-c.writing
}

// Update changes the catalogue by what f puts and deletes: durably, in one commit, all or
// nothing. Updates run one at a time. An error of f changes nothing and is returned as it
// is; readers see the change after it is durable. The context stops an Update while it
// waits for its turn. f must not call Update or Subscribe, nor use tx after it returned.
func (c *Catalog) Update(ctx context.Context, f func(tx *Tx) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("update the catalogue: %w", err)
	}
	select {
	case c.writing <- struct{}{}:
		defer func() { <-c.writing }()
	case <-ctx.Done():
		return fmt.Errorf("update the catalogue: %w", ctx.Err())
	}
	tx := c.begin()
	defer tx.end()
	if err := f(tx); err != nil {
		return err
	}
	batch, changes, err := tx.finish()
	if err != nil {
		return fmt.Errorf("update the catalogue: %w", err)
	}
	if len(changes) == 0 {
		return nil
	}
	// From here on the outcome must be known: memory and disk tell the same.
	v, err := c.slot.Commit(context.WithoutCancel(ctx), batch)
	if err != nil {
		return fmt.Errorf("update the catalogue: %w", err)
	}
	s := tx.snapshot(v)
	c.current.Store(s)
	for _, f := range c.told {
		f(s, changes)
	}
	return nil
}
