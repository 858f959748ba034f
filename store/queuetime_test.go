package store

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// inBubble runs a test with a store in memory and a clock that is faked.
func inBubble(t *testing.T, f func(t *testing.T, x *Queues)) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(Options{Dir: "data", FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		f(t, s.Queues())
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// timed returns what a Receive got, and after how long.
func timed(t *testing.T, q *Queue, r ReceiveRequest) string {
	t.Helper()
	start := time.Now()
	got := receive(t, q, r)
	return fmt.Sprintf("%safter %v", bodies(got), time.Since(start).Round(time.Second))
}

func TestQueueTiming(t *testing.T) {
	inBubble(t, func(t *testing.T, x *Queues) {
		q := createQueue(t, x, "q", func(c *QueueConfig) { c.Delay, c.Retention = 5*time.Second, time.Hour })
		long := ReceiveRequest{Max: 10, Wait: 20 * time.Second, Visibility: -1}
		expect := func(want string) {
			t.Helper()
			if got := timed(t, q, long); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		expect("after 20s")
		send(t, q, texts("a")...)
		send(t, q, Message{Body: "b", Delay: 7 * time.Second})
		expect("a after 5s")
		expect("b after 2s")
		expect("after 20s")
		expect("a after 8s") // 30 s after its receive
		expect("b after 2s")
		got := receive(t, q, ReceiveRequest{Max: 1, Wait: 40 * time.Second, Visibility: 2 * time.Second})
		expectBodies(t, got, "a")
		if err := q.ChangeVisibility(context.Background(), got[0].Receipt, 12*time.Hour); err != nil {
			t.Error(err)
		}
		if err := q.ChangeVisibility(context.Background(), got[0].Receipt, 12*time.Hour+time.Second); err != ErrVisibilityMax {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if c := q.Counts(); c != (Counts{}) {
			t.Errorf("messages outlive their retention: %+v", c)
		}
	})
}

func TestDeduplicationWindow(t *testing.T) {
	inBubble(t, func(t *testing.T, x *Queues) {
		q := createQueue(t, x, "q.fifo", func(c *QueueConfig) { c.FIFO, c.DedupPerGroup = true, true })
		m := Message{Body: "a", Group: "g", Dedup: "d"}
		first := send(t, q, m)[0]
		time.Sleep(DedupWindow - time.Second)
		if again := send(t, q, m)[0]; again != first {
			t.Error("taken twice within the window")
		}
		if other := send(t, q, Message{Body: "b", Group: "h", Dedup: "d"})[0]; other == first {
			t.Error("the id counts in another group")
		}
		time.Sleep(2 * time.Second)
		if again := send(t, q, m)[0]; again == first {
			t.Error("not taken after the window")
		}
		time.Sleep(2 * DedupWindow)
		synctest.Wait()
		if n := len(q.mu.dedup) + len(q.mu.dedups); n != 0 {
			t.Errorf("%d ids are not forgotten", n)
		}
	})
}

// Long polls wait in turn, hold no goroutine, and end when they are cancelled.
func TestLongPolls(t *testing.T) {
	inBubble(t, func(t *testing.T, x *Queues) {
		q := createQueue(t, x, "q", nil)
		synctest.Wait()
		before := runtime.NumGoroutine()
		got := make(chan string, 1000)
		var cancels []func()
		for i := range 1000 {
			cancels = append(cancels, q.Receive(ReceiveRequest{Max: 1, Wait: 20 * time.Second, Visibility: -1}, func(m []Received) {
				got <- fmt.Sprint(i, len(m))
			}))
		}
		synctest.Wait()
		if n := runtime.NumGoroutine(); n > before+5 {
			t.Errorf("1000 long polls hold %d goroutines", n-before)
		}
		cancels[0]()
		cancels[0]()
		if s := <-got; s != "0 0" {
			t.Error(s)
		}
		send(t, q, texts("a", "b")...)
		first := []string{<-got, <-got}
		slices.Sort(first)
		if s := fmt.Sprint(first); s != "[1 1 2 1]" {
			t.Error(s)
		}
		start := time.Now()
		for range 997 {
			<-got
		}
		if d := time.Since(start).Round(time.Second); d != 20*time.Second {
			t.Errorf("the others waited %v", d)
		}
	})
}
