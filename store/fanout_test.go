package store

import (
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func loadDeliveries(t testing.TB, f *FanOut) []Delivery {
	t.Helper()
	var all []Delivery
	if err := f.Load(func(d Delivery) { all = append(all, d) }); err != nil {
		t.Fatal(err)
	}
	return all
}

func addMessage(t testing.TB, f *FanOut, once *Once, now int64, targets ...string) Added {
	t.Helper()
	added, err := f.Add(context.Background(), fmt.Appendf(nil, "message %d", now), targets, once, now)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

func TestFanOut(t *testing.T) {
	ctx, f := context.Background(), openDir(t, t.TempDir()).FanOut()
	a := addMessage(t, f, nil, 1, "x", "y")
	b := addMessage(t, f, nil, 2, "x")
	if b.Message <= a.Message || len(a.Deliveries) != 2 {
		t.Fatalf("added %+v, %+v", a, b)
	}
	if err := f.Settle(ctx, a.Deliveries[0]); err != nil {
		t.Fatal(err)
	}
	if text, ok, err := f.Read(a.Message); err != nil || !ok || string(text) != "message 1" {
		t.Errorf("with one delivery left: %q, %t, %v", text, ok, err)
	}
	if err := f.Settle(ctx, a.Deliveries[1]); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := f.Read(a.Message); err != nil || ok {
		t.Errorf("after the last: %t, %v", ok, err)
	}
	if added := addMessage(t, f, nil, 3); len(added.Deliveries) != 0 {
		t.Errorf("nobody subscribes: %+v", added)
	}
}

func TestOnce(t *testing.T) {
	f := openDir(t, t.TempDir()).FanOut()
	first := addMessage(t, f, &Once{"topic/a", "id 1", 100}, 1, "x")
	if again := addMessage(t, f, &Once{"topic/a", "id 2", 120}, 99, "x"); again.Earlier != "id 1" || again.Message != first.Message || again.Deliveries != nil {
		t.Errorf("before it expired: %+v", again)
	}
	if other := addMessage(t, f, &Once{"topic/b", "id 3", 200}, 99, "x"); other.Earlier != "" {
		t.Errorf("another name: %+v", other)
	}
	if later := addMessage(t, f, &Once{"topic/a", "id 4", 200}, 100, "x"); later.Earlier != "" || len(later.Deliveries) != 1 {
		t.Errorf("after it expired: %+v", later)
	}
	addMessage(t, f, &Once{"topic/c", "id 5", 2000}, 1000)
	if _, v, err := f.slot.Get([]byte(fanOutOnce + "topic/b")); err != nil || v != 0 {
		t.Errorf("an expired name is kept: version %d, %v", v, err)
	}
}

// TestFanOutSurvives cuts the power after every acknowledgement and finds each message with
// the deliveries that were not settled.
func TestFanOutSurvives(t *testing.T) {
	ctx, mem := context.Background(), vfs.NewCrashableMem()
	s, err := Open(Options{Dir: "data", FS: mem})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f := s.FanOut()
	want := make(map[string]Delivery)
	check := func(at string) {
		t.Helper()
		after, err := Open(Options{Dir: "data", FS: mem.CrashClone(vfs.CrashCloneCfg{})})
		if err != nil {
			t.Fatal(err)
		}
		defer after.Close()
		found := loadDeliveries(t, after.FanOut())
		if len(found) != len(want) {
			t.Fatalf("%s: %d deliveries, want %d", at, len(found), len(want))
		}
		for _, d := range found {
			if want[fmt.Sprint(d.Message, d.Number)] != d {
				t.Errorf("%s: %+v", at, d)
			}
			if _, ok, err := after.FanOut().Read(d.Message); !ok || err != nil {
				t.Errorf("%s: message %d: %t, %v", at, d.Message, ok, err)
			}
		}
	}
	for i := range int64(8) {
		added := addMessage(t, f, &Once{fmt.Sprint(i), "id", i + 1}, i, "x", "y")
		for _, d := range added.Deliveries {
			want[fmt.Sprint(d.Message, d.Number)] = d
		}
		check("added")
		moved := added.Deliveries[0]
		moved.Due, moved.Attempts = 99, 3
		if err := f.Move(ctx, moved); err != nil {
			t.Fatal(err)
		}
		want[fmt.Sprint(moved.Message, moved.Number)] = moved
		check("moved")
		if err := f.Settle(ctx, added.Deliveries[1]); err != nil {
			t.Fatal(err)
		}
		delete(want, fmt.Sprint(moved.Message, added.Deliveries[1].Number))
		check("settled")
	}
}
