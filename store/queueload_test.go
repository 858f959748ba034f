package store

import (
	"runtime"
	"testing"
	"time"
)

// TestQueuedMemory measures what a message that waits costs in memory.
func TestQueuedMemory(t *testing.T) {
	const messages = 100_000
	before := heapBytes()
	s := newQueueState()
	for seq := range uint64(messages) {
		s.add(&queued{seq: seq}, false, "", 1)
	}
	per := (heapBytes() - before) / messages
	runtime.KeepAlive(s)
	if t.Logf("%d bytes", per); per > 200 {
		t.Errorf("a message costs %d bytes", per)
	}
}

// TestQueueHeads opens and uses a queue of which 98 % were deleted from its head.
func TestQueueHeads(t *testing.T) {
	const messages, kept = 25_000, 500
	dir := t.TempDir()
	s := openDir(t, dir)
	q := createQueue(t, s.Queues(), "q", func(c *QueueConfig) { c.Visibility, c.Retention = time.Hour, time.Hour })
	for range messages / 500 {
		send(t, q, texts(make([]string, 500)...)...)
	}
	for range (messages - kept) / 500 {
		remove(t, q, receive(t, q, short(500))...)
	}
	s = reopen(t, s, dir)
	q = getQueue(t, s, "q")
	if c := q.Counts(); c.Visible != kept {
		t.Errorf("%+v", c)
	}
	low, _, err := s.Slot().Get(queueKey(queueLow, q.number))
	if err != nil || len(low) != 9 {
		t.Fatalf("no low-water mark: %v, %v", low, err)
	}
	skipped := 0
	err = scanPages(s.Slot(), queueKey(queueIndex, q.number), append(queueKey(queueIndex, q.number), low[1:]...), func(_, _ []byte) error {
		skipped++
		return nil
	})
	if first, _, _ := q.mu.messages.Min(); err != nil || skipped != 0 || first < seqOf(low) || first-seqOf(low) > 2*lowEvery {
		t.Errorf("the low-water mark %d has %d messages before it, the first is %d: %v", seqOf(low), skipped, first, err)
	}
	if got := receive(t, q, short(10)); len(got) != 10 {
		t.Errorf("received %d", len(got))
	}
}

func seqOf(low []byte) (n uint64) {
	for _, b := range low[1:] {
		n = n<<8 | uint64(b)
	}
	return n
}

func heapBytes() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
