package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/weir-run/weir/lambda"
)

func openDir(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func eventQueue(function string) EventQueue {
	return EventQueue{lambda.Scope{Account: "111111111111", Region: "us-east-1"}, function, "$LATEST"}
}

func addEvent(t testing.TB, e *Events, q EventQueue, now int64) EventEntry {
	t.Helper()
	entry, err := e.Add(context.Background(), &Event{Queue: q, RequestID: "id", TraceID: "trace", Payload: fmt.Appendf(nil, "payload %d", now)}, now)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

func loadEvents(t testing.TB, e *Events, q EventQueue, due int64, event uint64, limit int) ([]EventEntry, bool) {
	t.Helper()
	entries, more, err := e.Load(q, due, event, limit)
	if err != nil {
		t.Fatal(err)
	}
	return entries, more
}

func TestEvents(t *testing.T) {
	s := openDir(t, t.TempDir())
	e, ctx, f, g := s.Events(), context.Background(), eventQueue("f"), eventQueue("g")
	a, b := addEvent(t, e, f, 10), addEvent(t, e, f, 20)
	c := addEvent(t, e, g, 5)
	if b.Event <= a.Event || c.Event <= b.Event {
		t.Errorf("numbers %d, %d, %d do not grow", a.Event, b.Event, c.Event)
	}
	moved := a
	moved.Due, moved.Failures, moved.Refusals = 30, 1, 300
	if err := e.Move(ctx, f, a.Due, moved); err != nil {
		t.Fatal(err)
	}
	if entries, more := loadEvents(t, e, f, 0, 0, 10); more || len(entries) != 2 || entries[0] != b || entries[1] != moved {
		t.Errorf("after the move: %+v, %t", entries, more)
	}
	if entries, more := loadEvents(t, e, f, 0, 0, 1); !more || len(entries) != 1 || entries[0] != b {
		t.Errorf("one at a time: %+v, %t", entries, more)
	}
	if entries, _ := loadEvents(t, e, f, b.Due, b.Event+1, 10); len(entries) != 1 || entries[0] != moved {
		t.Errorf("behind the first: %+v", entries)
	}
	x, err := e.Read(a.Event)
	if err != nil || x.Queue != f || x.RequestID != "id" || x.TraceID != "trace" || string(x.Payload) != "payload 10" {
		t.Errorf("read: %+v, %v", x, err)
	}
	if err := e.Settle(ctx, f, b.Due, b.Event); err != nil {
		t.Fatal(err)
	}
	if entries, _ := loadEvents(t, e, f, 0, 0, 10); len(entries) != 1 {
		t.Errorf("after one was settled: %+v", entries)
	}
	if _, err := e.Read(b.Event); err == nil {
		t.Error("a settled event can be read")
	}
}

// TestEventsSurvive closes a store and opens it again: events keep their places, and new ones
// get larger numbers.
func TestEventsSurvive(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	a := addEvent(t, s.Events(), eventQueue("f"), 10)
	addEvent(t, s.Events(), eventQueue("g"), 10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openDir(t, dir)
	var queues []EventQueue
	if err := s.Events().Queues(func(q EventQueue) error { queues = append(queues, q); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(queues) != 2 || queues[0] != eventQueue("f") || queues[1] != eventQueue("g") {
		t.Errorf("queues: %v", queues)
	}
	if entries, _ := loadEvents(t, s.Events(), eventQueue("f"), 0, 0, 10); len(entries) != 1 || entries[0] != a {
		t.Errorf("entries: %+v", entries)
	}
	if b := addEvent(t, s.Events(), eventQueue("f"), 20); b.Event <= a.Event {
		t.Errorf("event %d comes after event %d", b.Event, a.Event)
	}
}

// TestEventsLowWater settles most of a queue's head: a load from the beginning starts where
// the head ends, also after a restart.
func TestEventsLowWater(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	q := eventQueue("f")
	var entries []EventEntry
	for i := range 3*lowEvery + 50 {
		entries = append(entries, addEvent(t, s.Events(), q, int64(i)))
	}
	for _, x := range entries[:3*lowEvery] {
		if err := s.Events().Settle(context.Background(), q, x.Due, x.Event); err != nil {
			t.Fatal(err)
		}
	}
	check := func(e *Events) {
		t.Helper()
		last := entries[3*lowEvery-1]
		if low := string(e.lowWater(q)); low < string(indexKey(q, last.Due-1, 0)) {
			t.Errorf("the low-water mark is %q", low)
		}
		if got, more := loadEvents(t, e, q, 0, 0, 100); len(got) != 50 || more || got[0] != entries[3*lowEvery] {
			t.Errorf("%d entries are left, from %+v", len(got), got[0])
		}
	}
	check(s.Events())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openDir(t, dir)
	if err := s.Events().Queues(func(EventQueue) error { return nil }); err != nil {
		t.Fatal(err)
	}
	check(s.Events())
}

func FuzzDecodeEvent(f *testing.F) {
	ok, err := encodeEvent(&Event{Queue: eventQueue("f"), RequestID: "r", Payload: []byte("p")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ok)
	f.Add([]byte{eventVersion, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := decodeEvent(b)
		if err != nil {
			return
		}
		again, err := encodeEvent(x)
		if err != nil {
			t.Fatal(err)
		}
		if y, err := decodeEvent(again); err != nil || y.Queue != x.Queue || string(y.Payload) != string(x.Payload) {
			t.Errorf("%+v becomes %+v, %v", x, y, err)
		}
	})
}

// BenchmarkEventsAdd is an event of 1 KB made durable, with so many callers at a time.
func BenchmarkEventsAdd(b *testing.B) {
	for _, callers := range []int{1, 64, 512} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			e := openDir(b, b.TempDir()).Events()
			payload := make([]byte, 1024)
			for i := range payload {
				payload[i] = byte(rand.Uint32())
			}
			b.SetParallelism((callers + 1) / 2)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := e.Add(context.Background(), &Event{Queue: eventQueue("f"), RequestID: "0123456789", Payload: payload}, 1); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
