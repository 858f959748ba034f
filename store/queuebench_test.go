package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkQueueSend sends durable messages of 1 KB, ten at a time and one at a time.
func BenchmarkQueueSend(b *testing.B) {
	for _, c := range []struct{ senders, batch int }{{1, 10}, {16, 10}, {64, 1}, {256, 1}} {
		b.Run(fmt.Sprintf("senders=%d/batch=%d", c.senders, c.batch), func(b *testing.B) {
			s := openDir(b, b.TempDir())
			q := createQueue(b, s.Queues(), "q", nil)
			start := time.Now()
			fill(b, q, b.N, c.senders, c.batch)
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "msg/s")
		})
	}
}

func fill(b testing.TB, q *Queue, n, senders, batch int) {
	body := strings.Repeat("x", 1024)
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for left.Add(-int64(batch)) > -int64(batch) {
				m := make([]Message, batch)
				for i := range m {
					m[i].Body = body
				}
				if _, err := q.Send(context.Background(), m); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkQueueReceiveDelete receives ten messages at a time and deletes them durably.
func BenchmarkQueueReceiveDelete(b *testing.B) {
	for _, consumers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("consumers=%d", consumers), func(b *testing.B) {
			s := openDir(b, b.TempDir())
			q := createQueue(b, s.Queues(), "q", nil)
			fill(b, q, b.N, 16, 10)
			b.ResetTimer()
			start := time.Now()
			var wg sync.WaitGroup
			for range consumers {
				wg.Go(func() {
					for {
						got := receive(b, q, short(10))
						if len(got) == 0 {
							return
						}
						remove(b, q, got...)
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "msg/s")
		})
	}
}

// BenchmarkQueueWake measures from the call of Send to the delivery to a long poll.
func BenchmarkQueueWake(b *testing.B) {
	s := openDir(b, b.TempDir())
	q := createQueue(b, s.Queues(), "q", nil)
	var took []time.Duration
	for b.Loop() {
		done := make(chan time.Time, 1)
		q.Receive(ReceiveRequest{Max: 1, Wait: time.Minute, Visibility: -1}, func([]Received) { done <- time.Now() })
		start := time.Now()
		send(b, q, Message{Body: "x"})
		took = append(took, (<-done).Sub(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkQueueOpen opens a store with 200,000 messages.
func BenchmarkQueueOpen(b *testing.B) {
	dir := b.TempDir()
	s := openDir(b, dir)
	fill(b, createQueue(b, s.Queues(), "q", nil), 200_000, 16, 100)
	for b.Loop() {
		s = reopen(b, s, dir)
	}
	if c := getQueue(b, s, "q").Counts(); c.Visible < 200_000 {
		b.Errorf("%+v", c)
	}
}
