package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/weir-run/weir/store"
)

// A model is a slot as plainly as it can be said: a map.
type model map[string]record

type record struct {
	value   string
	version store.Version
}

// A plan is a batch in a form that the model applies too.
type plan struct {
	checks []record // value holds the key
	ops    []planOp
}

type planOp struct {
	kind    string // set, delete or range
	key, to string // to: the value, or the key behind the range
}

func (p plan) batch() *store.Batch {
	b := new(store.Batch)
	for _, c := range p.checks {
		b.Check([]byte(c.value), c.version)
	}
	for _, o := range p.ops {
		switch o.kind {
		case "set":
			b.Set([]byte(o.key), []byte(o.to))
		case "delete":
			b.Delete([]byte(o.key))
		case "range":
			b.DeleteRange([]byte(o.key), []byte(o.to))
		}
	}
	return b
}

func (m model) holds(p plan) bool {
	for _, c := range p.checks {
		if m[c.value].version != c.version {
			return false
		}
	}
	return true
}

func (m model) apply(p plan, v store.Version) {
	for _, o := range p.ops {
		switch o.kind {
		case "set":
			m[o.key] = record{o.to, v}
		case "delete":
			delete(m, o.key)
		case "range":
			maps.DeleteFunc(m, func(k string, _ record) bool { return o.key <= k && k < o.to })
		}
	}
}

// A history is one random run against a disk, its parameters drawn from the seed too.
type history struct {
	t     testing.TB
	r     *rand.Rand
	disk  Disk
	slot  store.Slot
	stop  func() error
	model model
	last  store.Version
	keys  int
	bytes int // of the largest values
}

func testHistory(t *testing.T, d Disk, seed uint64) {
	defer func() {
		if t.Failed() {
			t.Logf("to reproduce: go test -run '^%s$' -storetest.seed=%d", t.Name(), seed)
		}
	}()
	r := rand.New(rand.NewPCG(seed, 0))
	h := &history{t: t, r: r, disk: d, model: model{}, keys: 2 + r.IntN(40), bytes: 1 << r.IntN(12)}
	h.slot, h.stop = d.Open(t)
	steps := 10 + r.IntN(60)
	restarts := r.IntN(12) // of a hundred steps
	for range steps {
		switch n := r.IntN(100); {
		case n < restarts:
			h.restart()
		case n < 40:
			h.commit(1)
		case n < 70:
			h.commit(2 + r.IntN(6))
		case n < 75:
			h.drop()
		case n < 80:
			h.refuse()
		case n < 90:
			h.get()
		default:
			h.scan()
		}
		if t.Failed() {
			break
		}
	}
	h.compare()
	if err := h.stop(); err != nil {
		t.Error(err)
	}
}

func (h *history) key() string { return fmt.Sprintf("k%02d", h.r.IntN(h.keys)) }

func (h *history) plan() plan {
	var p plan
	for range h.r.IntN(3) {
		key := h.key()
		at := h.model[key].version
		if h.r.IntN(4) == 0 {
			at = store.Version(h.r.Uint64N(uint64(h.last) + 2))
		}
		p.checks = append(p.checks, record{key, at})
	}
	for range 1 + h.r.IntN(5) {
		o := planOp{kind: "set", key: h.key()}
		switch h.r.IntN(8) {
		case 0:
			o.kind, o.to = "range", h.key()
			o.key, o.to = min(o.key, o.to), max(o.key, o.to)
		case 1, 2:
			o.kind = "delete"
		default:
			value := make([]byte, h.r.IntN(h.bytes))
			for i := range value {
				value[i] = byte(h.r.Uint32())
			}
			o.to = string(value)
		}
		p.ops = append(p.ops, o)
	}
	return p
}

// commit runs n commits at once. Their versions tell the order in which they happened:
// each must have been right in its place, and each conflict in some place.
func (h *history) commit(n int) {
	plans := make([]plan, n)
	for i := range plans {
		plans[i] = h.plan()
	}
	versions := make([]store.Version, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i, p := range plans {
		wg.Go(func() { versions[i], errs[i] = h.slot.Commit(context.Background(), p.batch()) })
	}
	wg.Wait()

	var done, refused []int
	for i, err := range errs {
		switch {
		case err == nil:
			done = append(done, i)
		case errors.Is(err, store.ErrConflict):
			refused = append(refused, i)
		default:
			h.t.Errorf("commit: %v", err)
		}
	}
	slices.SortFunc(done, func(a, b int) int { return int(versions[a]) - int(versions[b]) })
	justified := make(map[int]bool)
	judge := func() {
		for _, i := range refused {
			justified[i] = justified[i] || !h.model.holds(plans[i])
		}
	}
	judge()
	for _, i := range done {
		if versions[i] <= h.last {
			h.t.Errorf("version %d after %d", versions[i], h.last)
		}
		if !h.model.holds(plans[i]) {
			h.t.Errorf("version %d was committed against its checks %v", versions[i], plans[i].checks)
		}
		h.model.apply(plans[i], versions[i])
		h.last = versions[i]
		judge()
	}
	for _, i := range refused {
		if !justified[i] {
			h.t.Errorf("refused although its checks %v held: %v", plans[i].checks, errs[i])
		}
	}
}

func (h *history) drop() {
	key := h.key()
	if err := h.slot.DropBefore([]byte("k"), []byte(key)); err != nil {
		h.t.Errorf("drop before %q: %v", key, err)
	}
	h.model.apply(plan{ops: []planOp{{"range", "k", key}}}, 0)
	h.last++ // a commit of its own
}

func (h *history) refuse() {
	b := h.plan().batch()
	b.Set(nil, []byte("no key"))
	if _, err := h.slot.Commit(context.Background(), b); err == nil {
		h.t.Error("an empty key was taken")
	}
}

func (h *history) get() {
	key := h.key()
	want := h.model[key]
	got, v, err := h.slot.Get([]byte(key))
	if err != nil || string(got) != want.value || v != want.version {
		h.t.Errorf("Get(%q) = %x, %d, %v; want %x, %d", key, got, v, err, want.value, want.version)
	}
}

func (h *history) scan() {
	lo, hi := h.key(), h.key()
	if h.r.IntN(4) == 0 {
		lo = ""
	}
	if h.r.IntN(4) == 0 {
		hi = ""
	}
	h.compareRange(lo, hi, 1+h.r.IntN(2*h.keys))
}

func (h *history) compare() { h.compareRange("", "", store.MaxScan) }

func (h *history) compareRange(lo, hi string, limit int) {
	var want []string
	for _, k := range slices.Sorted(maps.Keys(h.model)) {
		if lo <= k && (hi == "" || k < hi) && len(want) < limit {
			want = append(want, fmt.Sprintf("%s=%x@%d", k, h.model[k].value, h.model[k].version))
		}
	}
	var got []string
	err := h.slot.Scan([]byte(lo), []byte(hi), limit, func(k, value []byte, v store.Version) bool {
		got = append(got, fmt.Sprintf("%s=%x@%d", k, value, v))
		return true
	})
	if err != nil || !slices.Equal(got, want) {
		h.t.Errorf("Scan(%q, %q, %d), %v:\n got %v\nwant %v", lo, hi, limit, err, got, want)
	}
}

// restart closes the slot or cuts its power. All commits have been answered, so nothing of
// them may be lost, and nothing else be there.
func (h *history) restart() {
	if h.disk.Crash != nil && h.r.IntN(2) == 0 {
		h.disk.Crash(h.t, h.r)
	} else if err := h.stop(); err != nil {
		h.t.Fatal(err)
	}
	epoch := h.slot.Epoch()
	h.slot, h.stop = h.disk.Open(h.t)
	if h.slot.Epoch() <= epoch {
		h.t.Errorf("epoch %d after %d", h.slot.Epoch(), epoch)
	}
	h.compare()
}
