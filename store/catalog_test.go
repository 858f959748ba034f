package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

func openMem(t testing.TB) *store.Store {
	s := open(t, store.Options{Dir: "data", FS: vfs.NewMem()})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func update(t testing.TB, s *store.Store, f func(tx *store.Tx)) {
	t.Helper()
	if err := s.Catalog().Update(context.Background(), func(tx *store.Tx) error { f(tx); return nil }); err != nil {
		t.Fatal(err)
	}
}

func names[T any](k store.Kind[T], r store.Reader, s lambda.Scope, prefix, after string) []string {
	found := []string{}
	k.ScanPrefix(r, s, prefix, after, func(name string, _ *T) bool {
		found = append(found, name)
		return true
	})
	return found
}

// A transaction sees its own changes; others see them when it is durable, all at once.
func TestUpdate(t *testing.T) {
	s := openMem(t)
	c := s.Catalog()
	put := func(tx *store.Tx, name string, version int) {
		store.Functions.Put(tx, scope, name, &lambda.Function{Name: name, LastVersion: version})
	}
	update(t, s, func(tx *store.Tx) { put(tx, "a", 1); put(tx, "b", 1); put(tx, "d", 1) })
	before := c.Snapshot()
	update(t, s, func(tx *store.Tx) {
		put(tx, "a", 2)
		put(tx, "c", 1)
		store.Functions.Delete(tx, scope, "b")
		store.Functions.Delete(tx, scope, "absent")
		if f, ok := store.Functions.Get(tx, scope, "a"); !ok || f.LastVersion != 2 {
			t.Errorf("within: a = %v", f)
		}
		if _, ok := store.Functions.Get(tx, scope, "b"); ok {
			t.Error("within: b is there")
		}
		if got := names(store.Functions, tx, scope, "", ""); !slices.Equal(got, []string{"a", "c", "d"}) {
			t.Errorf("within: %q", got)
		}
		put(tx, "a", 3) // after it was read
		if got := names(store.Functions, c.Snapshot(), scope, "", ""); !slices.Equal(got, []string{"a", "b", "d"}) {
			t.Errorf("outside: %q", got)
		}
		// A scan does not meet what is changed while it runs.
		store.Functions.Scan(tx, scope, "", func(name string, _ *lambda.Function) bool {
			put(tx, name+"-copy", 1)
			return true
		})
	})
	want := []string{"a", "a-copy", "c", "c-copy", "d", "d-copy"}
	if got := names(store.Functions, c.Snapshot(), scope, "", ""); !slices.Equal(got, want) {
		t.Errorf("afterwards: %q, want %q", got, want)
	}
	if f, _ := store.Functions.Get(c.Snapshot(), scope, "a"); f.LastVersion != 3 {
		t.Errorf("afterwards: a = %v", f)
	}
	if got := names(store.Functions, before, scope, "", ""); !slices.Equal(got, []string{"a", "b", "d"}) {
		t.Errorf("the snapshot before has changed: %q", got)
	}
	if f, _ := store.Functions.Get(before, scope, "a"); f.LastVersion != 1 {
		t.Errorf("the snapshot before has changed: a = %v", f)
	}
	other := lambda.Scope{Account: scope.Account, Region: "eu-west-1"}
	if got := names(store.Functions, c.Snapshot(), other, "", ""); len(got) != 0 {
		t.Errorf("another region has %q", got)
	}
	if _, ok := store.Functions.Get(c.Snapshot(), other, "a"); ok {
		t.Error("another region has a")
	}
}

// What cannot be done changes nothing, in memory or on disk.
func TestUpdateThatFails(t *testing.T) {
	s := openMem(t)
	c := s.Catalog()
	update(t, s, func(tx *store.Tx) { store.Functions.Put(tx, scope, "kept", &lambda.Function{Name: "kept"}) })
	c.Subscribe(func(_ *store.Snapshot, changes []store.Change) { t.Errorf("told of %v", changes) })
	before := c.Snapshot()
	mine := errors.New("mine")
	unstorable := store.Kind[func()]{Name: "function"}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		f    func(tx *store.Tx) error
		want error // nil: some error
	}{
		"own error":    {context.Background(), func(tx *store.Tx) error { return mine }, mine},
		"done context": {done, func(tx *store.Tx) error { return nil }, context.Canceled},
		"no name":      {context.Background(), func(tx *store.Tx) error { store.Functions.Put(tx, scope, "", &lambda.Function{}); return nil }, nil},
		"no account": {context.Background(), func(tx *store.Tx) error {
			store.Functions.Put(tx, lambda.Scope{Region: "r"}, "f", &lambda.Function{})
			return nil
		}, nil},
		"odd region": {context.Background(), func(tx *store.Tx) error {
			store.Functions.Put(tx, lambda.Scope{Account: "a", Region: "r/s"}, "f", &lambda.Function{})
			return nil
		}, nil},
		"not JSON": {context.Background(), func(tx *store.Tx) error { f := func() {}; unstorable.Put(tx, scope, "f", &f); return nil }, nil},
		"long name": {context.Background(), func(tx *store.Tx) error {
			store.Functions.Put(tx, scope, strings.Repeat("n", store.MaxKey), &lambda.Function{})
			return nil
		}, store.ErrTooLarge},
	} {
		err := s.Catalog().Update(c.ctx, func(tx *store.Tx) error {
			store.Functions.Put(tx, scope, "lost", &lambda.Function{})
			store.Functions.Delete(tx, scope, "kept")
			return c.f(tx)
		})
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	func() {
		defer func() { _ = recover() }()
		_ = c.Update(context.Background(), func(tx *store.Tx) error {
			store.Functions.Put(tx, scope, "lost", &lambda.Function{})
			panic("mine")
		})
	}()
	if err := c.Update(context.Background(), func(*store.Tx) error { return nil }); err != nil {
		t.Errorf("an update of nothing: %v", err)
	}
	if err := c.Update(context.Background(), func(tx *store.Tx) error {
		store.Functions.Put(tx, scope, "brief", &lambda.Function{})
		store.Functions.Delete(tx, scope, "brief")
		return nil
	}); err != nil {
		t.Errorf("an update that undoes itself: %v", err)
	}
	if c.Snapshot() != before {
		t.Error("the snapshot has changed")
	}
	n := 0
	scanAll(t, s.Slot(), "", "", func(key string, _ store.Version) { n++ })
	if n != 1 {
		t.Errorf("%d records on disk, want 1", n)
	}
}

func TestTransactionEndsWithItsUpdate(t *testing.T) {
	s := openMem(t)
	var kept *store.Tx
	update(t, s, func(tx *store.Tx) { kept = tx })
	defer func() {
		if recover() == nil {
			t.Error("a transaction was used after its Update")
		}
	}()
	store.Functions.Put(kept, scope, "f", &lambda.Function{})
}

// Somebody else's change of a record makes an Update fail rather than overwrite it.
func TestUpdateChecksWhatItSaw(t *testing.T) {
	s := openMem(t)
	update(t, s, func(tx *store.Tx) { store.Functions.Put(tx, scope, "f", &lambda.Function{Name: "f"}) })
	var b store.Batch
	b.Set([]byte("c/000000000000/us-east-1/function/f"), []byte("\x01{}"))
	if _, err := s.Slot().Commit(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	err := s.Catalog().Update(context.Background(), func(tx *store.Tx) error {
		store.Functions.Put(tx, scope, "f", &lambda.Function{Name: "f", LastVersion: 7})
		return nil
	})
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("error %v, want ErrConflict", err)
	}
	if f, _ := store.Functions.Get(s.Catalog().Snapshot(), scope, "f"); f.LastVersion != 0 {
		t.Errorf("f = %v", f)
	}
}

// Subscribers hear of every change, in order, when it is current and before Update returns.
func TestSubscribe(t *testing.T) {
	s := openMem(t)
	c := s.Catalog()
	update(t, s, func(tx *store.Tx) { store.Functions.Put(tx, scope, "early", &lambda.Function{}) })
	var told [][]store.Change
	first := c.Subscribe(func(snap *store.Snapshot, changes []store.Change) {
		if snap != c.Snapshot() {
			t.Error("told of a snapshot that is not current")
		}
		told = append(told, changes)
	})
	if got := names(store.Functions, first, scope, "", ""); !slices.Equal(got, []string{"early"}) {
		t.Errorf("the first snapshot has %q", got)
	}
	update(t, s, func(tx *store.Tx) {
		store.Functions.Put(tx, scope, "f", &lambda.Function{})
		store.Reserved.Put(tx, scope, "f", &lambda.Reserved{Concurrency: 5})
		store.Functions.Put(tx, scope, "f", &lambda.Function{LastVersion: 1})
		store.Functions.Delete(tx, scope, "early")
		store.Aliases.Put(tx, scope, "brief", &lambda.Alias{})
		store.Aliases.Delete(tx, scope, "brief")
	})
	want := [][]store.Change{{
		{Kind: "function", Scope: scope, Name: "f"},
		{Kind: "reserved", Scope: scope, Name: "f"},
		{Kind: "function", Scope: scope, Name: "early", Deleted: true},
	}}
	if !reflect.DeepEqual(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

// The parts of a function stand together, versions by number.
func TestScan(t *testing.T) {
	s := openMem(t)
	q := store.QualifiedName
	quals := []string{"10", "9", lambda.Latest, "1", "prod", "100", "2"}
	update(t, s, func(tx *store.Tx) {
		for _, f := range []string{"f", "f-2", "f2", "g"} {
			for _, qual := range quals {
				store.Versions.Put(tx, scope, q(f, qual), &lambda.Version{Function: f, Number: qual})
			}
		}
	})
	collect := func(prefix, after string, limit int) []string {
		found := []string{}
		store.Versions.ScanPrefix(s.Catalog().Snapshot(), scope, prefix, after, func(name string, v *lambda.Version) bool {
			if name != q(v.Function, v.Number) {
				t.Errorf("%q is %v", name, v)
			}
			found = append(found, v.Function+":"+v.Number)
			return len(found) < limit
		})
		return found
	}
	of := func(f string) (all []string) {
		for _, qual := range []string{lambda.Latest, "1", "2", "9", "10", "100", "prod"} {
			all = append(all, f+":"+qual)
		}
		return all
	}
	for _, c := range []struct {
		prefix, after string
		limit         int
		want          []string
	}{
		{store.QualifiedPrefix("f"), "", 99, of("f")},
		{store.QualifiedPrefix("f"), "", 2, of("f")[:2]},
		{store.QualifiedPrefix("f"), q("f", "2"), 2, of("f")[3:5]},
		{store.QualifiedPrefix("f"), q("f", "50"), 99, of("f")[5:]}, // a marker that is gone
		{store.QualifiedPrefix("f"), q("f", "prod"), 99, nil},
		{store.QualifiedPrefix("f"), q("f2", "1"), 99, nil},
		{store.QualifiedPrefix("f2"), q("f", "1"), 99, of("f2")},
		{store.QualifiedPrefix("none"), "", 99, nil},
		{"", "", 99, slices.Concat(of("f"), of("f-2"), of("f2"), of("g"))},
		{"", q("f2", "prod"), 99, of("g")},
	} {
		if got := collect(c.prefix, c.after, c.limit); !slices.Equal(got, c.want) {
			t.Errorf("scan of %q after %q: %q, want %q", c.prefix, c.after, got, c.want)
		}
	}
}

func TestScanAll(t *testing.T) {
	s := openMem(t)
	var want []string
	update(t, s, func(tx *store.Tx) {
		for _, account := range []string{"111111111111", "000000000000"} {
			for _, region := range []string{"us-east-1", "eu-west-1"} {
				for _, name := range []string{"b", "a"} {
					sc := lambda.Scope{Account: account, Region: region}
					store.Functions.Put(tx, sc, name, &lambda.Function{Name: name})
					store.Reserved.Put(tx, sc, name, &lambda.Reserved{})
					store.Kind[int]{Name: "function-2"}.Put(tx, sc, name, new(int))
					want = append(want, sc.String()+"/"+name)
				}
			}
		}
	})
	for limit := 1; limit <= len(want); limit++ {
		var got []string
		store.Functions.ScanAll(s.Catalog().Snapshot(), func(sc lambda.Scope, name string, f *lambda.Function) bool {
			got = append(got, sc.String()+"/"+f.Name)
			return len(got) < limit
		})
		slices.Sort(want)
		if !slices.Equal(got, want[:limit]) {
			t.Errorf("%q, want %q", got, want[:limit])
		}
	}
}

// However many read a record for the first time at once, all get one value.
func TestGetShares(t *testing.T) {
	s := openMem(t)
	for i := range 50 {
		update(t, s, func(tx *store.Tx) { store.Reserved.Put(tx, scope, "f", &lambda.Reserved{Concurrency: i}) })
		snap := s.Catalog().Snapshot()
		var got [8]*lambda.Reserved
		var wg sync.WaitGroup
		for w := range got {
			wg.Go(func() {
				if w%2 == 0 {
					store.Reserved.ScanAll(snap, func(_ lambda.Scope, _ string, r *lambda.Reserved) bool {
						if r.Concurrency != i {
							t.Errorf("scanned %v, want %d", r, i)
						}
						return true
					})
				}
				got[w], _ = store.Reserved.Get(snap, scope, "f")
			})
		}
		wg.Wait()
		for _, r := range got {
			if r != got[0] || r.Concurrency != i {
				t.Errorf("got %p %v beside %p, want %d", r, r, got[0], i)
			}
		}
	}
}

// Random updates, failures among them, and restarts, against a map.
func TestCatalogAgainstMap(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 5))
			fs := vfs.NewMem()
			s := open(t, store.Options{Dir: "data", FS: fs})
			defer func() { _ = s.Close() }()
			type key struct {
				scope lambda.Scope
				name  string
			}
			kind := store.Kind[map[string]int]{Name: "numbers"}
			truth := map[key]int{}
			for range 60 {
				if r.IntN(10) == 0 {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					s = open(t, store.Options{Dir: "data", FS: fs})
				}
				next := maps.Clone(truth)
				fail := r.IntN(5) == 0
				err := s.Catalog().Update(context.Background(), func(tx *store.Tx) error {
					for range r.IntN(8) {
						k := key{lambda.Scope{Account: fmt.Sprint(r.IntN(2)), Region: "r"}, fmt.Sprint(r.IntN(20))}
						if r.IntN(3) == 0 {
							kind.Delete(tx, k.scope, k.name)
							delete(next, k)
						} else {
							n := r.IntN(100)
							kind.Put(tx, k.scope, k.name, &map[string]int{"n": n})
							next[k] = n
						}
					}
					if fail {
						return errors.New("no")
					}
					return nil
				})
				if (err != nil) != fail {
					t.Fatal(err)
				}
				if !fail {
					truth = next
				}
				got := map[key]int{}
				kind.ScanAll(s.Catalog().Snapshot(), func(sc lambda.Scope, name string, v *map[string]int) bool {
					got[key{sc, name}] = (*v)["n"]
					if w, ok := kind.Get(s.Catalog().Snapshot(), sc, name); !ok || !maps.Equal(*w, *v) {
						t.Errorf("Get and Scan differ about %q", name)
					}
					return true
				})
				if !maps.Equal(got, truth) {
					t.Fatalf("got %v, want %v", got, truth)
				}
			}
		})
	}
}

// Readers run beside writers without a lock and always see whole updates.
func TestReadersAndWriters(t *testing.T) {
	s := openMem(t)
	c := s.Catalog()
	const pairs = 50
	write := func(n int) error {
		return c.Update(context.Background(), func(tx *store.Tx) error {
			for i := range pairs {
				name := fmt.Sprintf("f%02d", i)
				if n%7 == 0 && i%2 == 0 {
					store.Functions.Delete(tx, scope, name)
					store.Reserved.Delete(tx, scope, name)
					continue
				}
				store.Functions.Put(tx, scope, name, &lambda.Function{Name: name, LastVersion: n})
				store.Reserved.Put(tx, scope, name, &lambda.Reserved{Concurrency: n})
			}
			return nil
		})
	}
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				snap := c.Snapshot()
				store.Functions.Scan(snap, scope, "", func(name string, f *lambda.Function) bool {
					r, ok := store.Reserved.Get(snap, scope, name)
					if !ok || r.Concurrency != f.LastVersion {
						t.Errorf("%s: %v beside %v", name, f, r)
					}
					return ok
				})
			}
		})
	}
	for w := range 2 {
		writers.Go(func() {
			for n := range 50 {
				if err := write(2*n + w); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

// Every field of the vocabulary survives being stored.
func TestKindsKeepEveryField(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, store.Options{Dir: "data", FS: fs})
	var function lambda.Function
	var version lambda.Version
	var alias lambda.Alias
	var reserved lambda.Reserved
	var provisioned lambda.Provisioned
	all := []any{&function, &version, &alias, &reserved, &provisioned}
	for _, v := range all {
		fill(t, reflect.ValueOf(v).Elem())
	}
	update(t, s, func(tx *store.Tx) {
		store.Functions.Put(tx, scope, "n", &function)
		store.Versions.Put(tx, scope, "n", &version)
		store.Aliases.Put(tx, scope, "n", &alias)
		store.Reserved.Put(tx, scope, "n", &reserved)
		store.Provisioned.Put(tx, scope, "n", &provisioned)
		store.Versions.Put(tx, scope, "empty", &lambda.Version{Environment: map[string]string{}})
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, store.Options{Dir: "data", FS: fs})
	defer s.Close()
	snap := s.Catalog().Snapshot()
	f, _ := store.Functions.Get(snap, scope, "n")
	v, _ := store.Versions.Get(snap, scope, "n")
	a, _ := store.Aliases.Get(snap, scope, "n")
	r, _ := store.Reserved.Get(snap, scope, "n")
	p, _ := store.Provisioned.Get(snap, scope, "n")
	for i, got := range []any{f, v, a, r, p} {
		if !reflect.DeepEqual(got, all[i]) {
			t.Errorf("got %+v, want %+v", got, all[i])
		}
	}
	// An empty map is not a nil one: AWS echoes an Environment that was set empty.
	if v, _ := store.Versions.Get(snap, scope, "empty"); v.Environment == nil || v.Code != (lambda.Code{}) {
		t.Errorf("an empty version came back as %+v", v)
	}
}

// fill sets every field to something other than zero.
func fill(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("text of <&> ünïcode")
	case reflect.Int, reflect.Int64:
		v.SetInt(1 << 40)
	case reflect.Float64:
		v.SetFloat(0.1)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"key": "value"}))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2025, 11, 24, 23, 8, 11, 123456789, time.UTC)))
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	default:
		t.Fatalf("a field of kind %v", v.Kind())
	}
}
