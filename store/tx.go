package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// A Tx is the catalogue within an Update: the state before it, with the changes so far.
type Tx struct {
	state
	base    *Snapshot
	own     map[string]bool      // tables that were copied and may be changed
	written map[recordKey][]byte // the JSON of records that were put; nil if deleted
	order   []recordKey          // of written, as they came first
	err     error                // of records that could not be put
	ended   bool
}

func (c *Catalog) begin() *Tx {
	base := c.Snapshot()
	return &Tx{
		state:   state{base.records.copy(), base.tables.Copy()},
		base:    base,
		own:     make(map[string]bool),
		written: make(map[recordKey][]byte),
	}
}

func (tx *Tx) end() { tx.ended = true }

func (tx *Tx) read() *state { return &tx.state }

// table returns a copy, so that a scan does not meet the changes made while it runs.
func (tx *Tx) table(key string) *table {
	t, ok := tx.tables.Get(key)
	if !ok || !tx.own[key] {
		return t
	}
	return &table{t.tableID, t.ordered.Copy()}
}

// change returns a table that may be changed.
func (tx *Tx) change(k tableKey) *table {
	key := k.String()
	t, ok := tx.tables.Get(key)
	switch {
	case !ok:
		t = newTable(k)
	case !tx.own[key]:
		t = &table{t.tableID, t.ordered.Copy()}
	default:
		return t
	}
	tx.own[key] = true
	tx.tables.Set(key, t)
	return t
}

func (tx *Tx) put(k recordKey, v any) {
	tx.mustRun()
	text, err := json.Marshal(v)
	if err = errors.Join(err, k.validate()); err != nil {
		tx.err = errors.Join(tx.err, fmt.Errorf("put %q: %w", k, err))
		return
	}
	t := tx.change(k.tableKey)
	e := &entry{table: t.tableID, name: strings.Clone(k.name), raw: string(text)}
	t.ordered.Set(e.name, e)
	tx.records.set(e)
	tx.note(k, text)
}

func (tx *Tx) delete(k recordKey) {
	tx.mustRun()
	if tx.records.get(&k) == nil {
		return
	}
	t := tx.change(k.tableKey)
	t.ordered.Delete(k.name)
	if t.ordered.Len() == 0 {
		tx.tables.Delete(k.tableKey.String())
		delete(tx.own, k.tableKey.String())
	}
	tx.records.delete(&k)
	tx.note(k, nil)
}

// mustRun stops a caller that kept the transaction: its tables are public by now.
func (tx *Tx) mustRun() {
	if tx.ended {
		panic("store: a transaction was used after its Update")
	}
}

func (tx *Tx) note(k recordKey, text []byte) {
	if _, again := tx.written[k]; !again {
		tx.order = append(tx.order, k)
	}
	tx.written[k] = text
}

func (k recordKey) validate() error {
	for _, part := range []string{k.account, k.region, k.kind} {
		if part == "" || strings.Contains(part, "/") {
			return fmt.Errorf("%q cannot be part of a key", part)
		}
	}
	if k.name == "" {
		return errors.New("the name is empty")
	}
	return nil
}

// finish returns the batch that makes the changes durable, conditional on the records
// being what the transaction saw.
func (tx *Tx) finish() (*Batch, []Change, error) {
	if tx.err != nil {
		return nil, nil, tx.err
	}
	batch := new(Batch)
	var changes []Change
	for _, k := range tx.order {
		was, text := tx.base.records.get(&k), tx.written[k]
		if was == nil && text == nil {
			continue
		}
		key := []byte(k.String())
		var seen Version
		if was != nil {
			seen = was.version
		}
		batch.Check(key, seen)
		if text != nil {
			batch.Set(key, encodeRecord(text))
		} else {
			batch.Delete(key)
		}
		changes = append(changes, Change{Kind: k.kind, Scope: k.scope(), Name: k.name, Deleted: text == nil})
	}
	return batch, changes, nil
}

// snapshot returns the state after the commit.
func (tx *Tx) snapshot(v Version) *Snapshot {
	for k, text := range tx.written {
		if text != nil {
			tx.records.get(&k).version = v
		}
	}
	tx.records.merge()
	return &Snapshot{tx.state}
}
