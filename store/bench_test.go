package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("w=%d", writers), func(b *testing.B) { benchCommit(b, writers) })
	}
}

func benchCommit(b *testing.B, writers int) {
	s, err := Open(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	db, err := pebble.Open(b.TempDir(), &pebble.Options{FS: vfs.Default, Logger: engineLogger{}, MemTableSize: memTableBytes, FormatMajorVersion: engineFormat})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	value := make([]byte, 1024)
	for i := range value {
		value[i] = byte(i * 7)
	}
	ours := func(key []byte) error {
		var batch Batch
		batch.Set(key, value)
		_, err := s.Slot().Commit(context.Background(), &batch)
		return err
	}
	bare := func(key []byte) error { return db.Set(key, value, pebble.Sync) }
	var next atomic.Uint64
	round := func(set func([]byte) error) float64 {
		var wg sync.WaitGroup
		var n atomic.Int64
		start := time.Now()
		stop := start.Add(300 * time.Millisecond)
		for range writers {
			wg.Go(func() {
				for time.Now().Before(stop) {
					key := binary.BigEndian.AppendUint64([]byte("q/"), next.Add(1))
					if err := set(key); err != nil {
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
	var a, c, ratio []float64
	for b.Loop() {
		x, y := round(ours), round(bare)
		a, c, ratio = append(a, x), append(c, y), append(ratio, x/y)
	}
	median := func(s []float64) float64 { slices.Sort(s); return s[len(s)/2] }
	b.ReportMetric(median(a), "commits/s")
	b.ReportMetric(median(c), "bare/s")
	b.ReportMetric(median(ratio), "ratio")
}
