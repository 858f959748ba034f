package store_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// BenchmarkCommit compares durable commits of 1 KB with bare Pebble, whose writers share
// fsyncs too: rounds of the one and the other in turn, and the median of their ratios.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("w=%d", writers), func(b *testing.B) { benchCommit(b, writers, false) })
		b.Run(fmt.Sprintf("w=%d/checked", writers), func(b *testing.B) { benchCommit(b, writers, true) })
	}
}

func benchCommit(b *testing.B, writers int, check bool) {
	s := open(b, store.Options{Dir: b.TempDir()})
	db, err := pebble.Open(b.TempDir(), &pebble.Options{
		FS: vfs.Default, Logger: quiet{}, MemTableSize: 64 << 20, FormatMajorVersion: pebble.FormatValueSeparation,
	})
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	value := make([]byte, 1024)
	for i := range value {
		value[i] = byte('a' + r.IntN(16))
	}
	ours := func(key []byte) error {
		var batch store.Batch
		if check {
			batch.Check(key, 0)
		}
		batch.Set(key, value)
		_, err := s.Slot().Commit(context.Background(), &batch)
		return err
	}
	bare := func(key []byte) error { return db.Set(key, value, pebble.Sync) }
	var rates, bareRates, ratios []float64
	for b.Loop() {
		x, y := round(b, writers, ours), round(b, writers, bare)
		rates, bareRates, ratios = append(rates, x), append(bareRates, y), append(ratios, x/y)
	}
	b.ReportMetric(median(rates), "commits/s")
	b.ReportMetric(median(bareRates), "bare/s")
	b.ReportMetric(median(ratios), "ratio")
	if err := s.Close(); err != nil {
		b.Error(err)
	}
	if err := db.Close(); err != nil {
		b.Error(err)
	}
}

// round returns the commits per second of so many writers.
func round(b *testing.B, writers int, set func(key []byte) error) float64 {
	var next, n atomic.Uint64
	next.Store(rand.Uint64())
	var wg sync.WaitGroup
	start := time.Now()
	stop := start.Add(300 * time.Millisecond)
	for range writers {
		wg.Go(func() {
			for time.Now().Before(stop) {
				if err := set(binary.BigEndian.AppendUint64([]byte("q/"), next.Add(1))); err != nil {
					b.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(n.Load()) / time.Since(start).Seconds()
}

func median(s []float64) float64 {
	slices.Sort(s)
	return s[len(s)/2]
}

// quiet is a logger of Pebble that says nothing.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

func functionName(i int) string { return fmt.Sprintf("function-%06d", i) }

// deployMany creates functions with two records each, as a deployment leaves them.
func deployMany(b testing.TB, s *store.Store, n int) {
	b.Helper()
	now := time.Now().UTC()
	for i := 0; i < n; {
		update(b, s, func(tx *store.Tx) {
			for range min(500, n-i) {
				name := functionName(i)
				store.Functions.Put(tx, scope, name, &lambda.Function{Name: name, CreatedAt: now})
				store.Versions.Put(tx, scope, store.QualifiedName(name, lambda.Latest), &lambda.Version{
					Function: name, Number: lambda.Latest, Runtime: "python3.13", Handler: "index.handler",
					Role: "arn:aws:iam::000000000000:role/lambda-role", Architecture: "x86_64",
					TimeoutSec: 3, MemoryMB: 128, EphemeralMB: 512, LogGroup: "/aws/lambda/" + name,
					Environment: map[string]string{"TABLE": "orders", "STAGE": "prod"}, HasEnv: true,
					Code:       lambda.Code{SHA256: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", Size: 1234},
					Generation: 1, RevisionID: "f47ac10b-58cc-4372-a567-0e02b2c3d479", LastModified: now,
					State: lambda.Active, UpdateStatus: lambda.UpdateSuccessful,
				})
				i++
			}
		})
	}
}

const manyFunctions = 100_000

// BenchmarkCatalogOpen reports what 100,000 functions cost at the start and in memory.
func BenchmarkCatalogOpen(b *testing.B) {
	dir := b.TempDir()
	s := open(b, store.Options{Dir: dir})
	deployMany(b, s, manyFunctions)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	s = nil
	var empty, full runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&empty)
	for b.Loop() {
		s := open(b, store.Options{Dir: dir})
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&full)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(full.HeapAlloc-empty.HeapAlloc)/(1<<20), "heap-MB")
}

// BenchmarkCatalogScanAll is the pass over everything that the engine begins with.
func BenchmarkCatalogScanAll(b *testing.B) {
	s := openMem(b)
	deployMany(b, s, manyFunctions)
	for b.Loop() {
		n := 0
		store.Versions.ScanAll(s.Catalog().Snapshot(), func(lambda.Scope, string, *lambda.Version) bool {
			n++
			return true
		})
		if n != manyFunctions {
			b.Fatal(n)
		}
	}
}

// BenchmarkCatalogGet reads among 100,000 functions, against a Go map of the same names.
func BenchmarkCatalogGet(b *testing.B) {
	fs := vfs.NewMem()
	s := open(b, store.Options{Dir: "data", FS: fs})
	deployMany(b, s, manyFunctions)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	s = open(b, store.Options{Dir: "data", FS: fs})
	defer s.Close()
	snap := s.Catalog().Snapshot()
	type key struct {
		scope lambda.Scope
		name  string
	}
	plain := make(map[key]*lambda.Function)
	store.Functions.Scan(snap, scope, "", func(name string, f *lambda.Function) bool {
		plain[key{scope, name}] = f
		return true
	})
	r := rand.New(rand.NewPCG(1, 1))
	zipf := rand.NewZipf(r, 1.1, 1, manyFunctions-1)
	for name, draw := range map[string]func() int{
		"one":     func() int { return 7 },
		"zipf":    func() int { return int(zipf.Uint64()) },
		"uniform": func() int { return r.IntN(manyFunctions) },
	} {
		queries := make([]string, 1<<16)
		for i := range queries {
			queries[i] = functionName(draw())
			store.Functions.Get(snap, scope, queries[i]) // decodes
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, ok := store.Functions.Get(snap, scope, queries[i%len(queries)]); !ok {
					b.Fatal("not found")
				}
			}
		})
		b.Run(name+"/map", func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if plain[key{scope, queries[i%len(queries)]}] == nil {
					b.Fatal("not found")
				}
			}
		})
	}
}

func TestGetAllocatesNothing(t *testing.T) {
	s := openMem(t)
	deployMany(t, s, 100)
	snap := s.Catalog().Snapshot()
	name := functionName(50)
	store.Functions.Get(snap, scope, name) // decodes
	if n := testing.AllocsPerRun(1000, func() {
		if _, ok := store.Functions.Get(snap, scope, name); !ok {
			t.Error("not found")
		}
		if _, ok := store.Functions.Get(snap, scope, "absent"); ok {
			t.Error("found")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkCatalogUpdate changes one record among few and among many, on a disk that costs
// nothing.
func BenchmarkCatalogUpdate(b *testing.B) {
	for _, n := range []int{10, manyFunctions} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := openMem(b)
			deployMany(b, s, n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				update(b, s, func(tx *store.Tx) {
					store.Reserved.Put(tx, scope, functionName(i%n), &lambda.Reserved{Concurrency: i})
				})
			}
		})
	}
}

// BenchmarkOpen opens and closes a data directory: a fresh one, and one with a commit.
func BenchmarkOpen(b *testing.B) {
	b.Run("fresh", func(b *testing.B) {
		top := b.TempDir()
		for i := 0; b.Loop(); i++ {
			s := open(b, store.Options{Dir: fmt.Sprintf("%s/%d", top, i)})
			b.StopTimer()
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
	b.Run("again", func(b *testing.B) {
		dir := b.TempDir()
		for b.Loop() {
			s := open(b, store.Options{Dir: dir})
			b.StopTimer()
			if _, err := commitThree(s, "x", 1); err != nil {
				b.Fatal(err)
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
}
