package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/weir-run/weir/lambda"
)

var queueScope = lambda.Scope{Account: "111111111111", Region: "us-east-1"}

func createQueue(t testing.TB, x *Queues, name string, change func(*QueueConfig)) *Queue {
	t.Helper()
	c := QueueConfig{Visibility: 30 * time.Second, Retention: 96 * time.Hour}
	if change != nil {
		change(&c)
	}
	q, err := x.Create(context.Background(), queueScope, name, c)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func fifo(c *QueueConfig) { c.FIFO = true }

func send(t testing.TB, q *Queue, messages ...Message) []Sent {
	t.Helper()
	sent, err := q.Send(context.Background(), messages)
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

func texts(bodies ...string) []Message {
	var m []Message
	for _, b := range bodies {
		m = append(m, Message{Body: b, Delay: -1})
	}
	return m
}

// receive waits for the answer to a request.
func receive(t testing.TB, q *Queue, r ReceiveRequest) []Received {
	t.Helper()
	got := make(chan []Received, 2)
	q.Receive(r, func(m []Received) { got <- m })
	return <-got
}

func short(n int) ReceiveRequest { return ReceiveRequest{Max: n, Visibility: -1} }

func bodies(received []Received) string {
	s := ""
	for _, m := range received {
		s += m.Body + " "
	}
	return s
}

func expectBodies(t testing.TB, received []Received, want ...string) {
	t.Helper()
	s := ""
	for _, w := range want {
		s += w + " "
	}
	if got := bodies(received); got != s {
		t.Errorf("received %q, want %q", got, s)
	}
}

func remove(t testing.TB, q *Queue, received ...Received) {
	t.Helper()
	var receipts []string
	for _, m := range received {
		receipts = append(receipts, m.Receipt)
	}
	errs, err := q.Delete(context.Background(), receipts...)
	if err = errors.Join(append(errs, err)...); err != nil {
		t.Fatal(err)
	}
}

func reopen(t testing.TB, s *Store, dir string) *Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return openDir(t, dir)
}

func getQueue(t testing.TB, s *Store, name string) *Queue {
	t.Helper()
	q, ok := s.Queues().Get(queueScope, name)
	if !ok {
		t.Fatalf("%s is lost", name)
	}
	return q
}

func TestQueueKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	q := createQueue(t, s.Queues(), "q", nil)
	m := Message{
		ID: "id", Body: "a", Sender: "me", Trace: "Root=1", Group: "g", Dedup: "d", Source: "arn", Delay: 0,
		Attributes: []MessageAttribute{{"n", "String.x", "v"}, {"b", "Binary", "\x00\xff"}},
	}
	send(t, q, m, Message{Body: "b", Delay: time.Hour}, Message{Body: "c"})
	got := receive(t, q, short(1))
	expectBodies(t, got, "a")
	if g := got[0]; fmt.Sprint(g.Message) != fmt.Sprint(m) || g.Receives != 1 || g.Sent.After(g.First) {
		t.Errorf("got %+v", g)
	}
	if c := q.Counts(); c.Visible != 1 || c.InFlight != 1 || c.Delayed != 1 || c.Oldest <= 0 {
		t.Errorf("%+v", c)
	}
	s = reopen(t, s, dir)
	q = getQueue(t, s, "q")
	if c := q.Counts(); c.Visible != 1 || c.InFlight != 1 || c.Delayed != 1 {
		t.Errorf("after a restart: %+v", c)
	}
	if err := q.ChangeVisibility(context.Background(), got[0].Receipt, 0); err != nil {
		t.Fatal(err)
	}
	again := receive(t, q, short(10))
	expectBodies(t, again, "a", "c")
	if again[0].Receives != 2 || again[0].First != got[0].First || again[0].Sent != got[0].Sent {
		t.Errorf("%+v after %+v", again[0], got[0])
	}
	remove(t, q, got[0], again[1]) // an earlier receipt is good enough
	s = reopen(t, s, dir)
	q = getQueue(t, s, "q")
	if c := q.Counts(); c.Visible+c.InFlight != 0 || c.Delayed != 1 {
		t.Errorf("deleted messages came back: %+v", c)
	}
}

func TestFIFO(t *testing.T) {
	s := openDir(t, t.TempDir())
	q := createQueue(t, s.Queues(), "q.fifo", fifo)
	sent := send(t, q, Message{Body: "a1", Group: "a", Dedup: "1"}, Message{Body: "a2", Group: "a", Dedup: "2"},
		Message{Body: "b1", Group: "b", Dedup: "3"}, Message{Body: "again", Group: "a", Dedup: "1"})
	if sent[3] != sent[0] || sent[1].Sequence <= sent[0].Sequence {
		t.Errorf("sent %v", sent)
	}
	first := receive(t, q, short(1))
	expectBodies(t, first, "a1")
	second := receive(t, q, short(10))
	expectBodies(t, second, "b1")
	expectBodies(t, receive(t, q, short(10)))
	remove(t, q, first...)
	expectBodies(t, receive(t, q, short(10)), "a2")
	if err := q.ChangeVisibility(context.Background(), second[0].Receipt, 0); err != nil {
		t.Fatal(err)
	}
	if errs, err := q.Delete(context.Background(), second[0].Receipt, "x"); err != nil || errs[0] != ErrOldReceipt || errs[1] != ErrBadReceipt {
		t.Error(errs, err)
	}
	expectBodies(t, receive(t, q, short(10)), "b1")
}

func TestRedrive(t *testing.T) {
	s := openDir(t, t.TempDir())
	createQueue(t, s.Queues(), "dead", nil)
	q := createQueue(t, s.Queues(), "q", func(c *QueueConfig) { c.MaxReceives, c.DeadLetter, c.Visibility = 2, "dead", 0 })
	sent := send(t, q, texts("a")...)
	expectBodies(t, receive(t, q, short(1)), "a")
	expectBodies(t, receive(t, q, short(1)), "a")
	expectBodies(t, receive(t, q, short(1)))
	dead := getQueue(t, s, "dead")
	got := receive(t, dead, ReceiveRequest{Max: 1, Wait: 10 * time.Second, Visibility: 0})
	if len(got) != 1 || got[0].ID != sent[0].ID || got[0].Source != q.ARN() {
		t.Fatalf("%+v", got)
	}
	back := createQueue(t, s.Queues(), "back", nil)
	if n, err := dead.Move(back, 10); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	got = receive(t, back, short(1))
	expectBodies(t, got, "a")
	if got[0].ID == sent[0].ID || got[0].Source != "" {
		t.Errorf("%+v", got)
	}
}

func TestPurgeAndDelete(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	q := createQueue(t, s.Queues(), "q", nil)
	send(t, q, texts("a", "b")...)
	receive(t, q, short(1))
	if err := q.Purge(context.Background()); err != nil {
		t.Fatal(err)
	}
	send(t, q, texts("c")...)
	if c := q.Counts(); c.Visible != 1 || c.InFlight != 0 {
		t.Errorf("%+v", c)
	}
	s = reopen(t, s, dir)
	q = getQueue(t, s, "q")
	waiting := make(chan []Received, 2)
	expectBodies(t, receive(t, q, short(10)), "c")
	q.Receive(ReceiveRequest{Max: 1, Wait: time.Hour}, func(m []Received) { waiting <- m })
	if err := s.Queues().Delete(context.Background(), q); err != nil {
		t.Fatal(err)
	}
	expectBodies(t, <-waiting)
	if _, err := q.Send(context.Background(), texts("d")); !errors.Is(err, ErrNoQueue) {
		t.Error(err)
	}
	createQueue(t, s.Queues(), "q", nil)
	s = reopen(t, s, dir)
	if c := getQueue(t, s, "q").Counts(); c != (Counts{}) {
		t.Errorf("the new queue has messages of the old one: %+v", c)
	}
	rows := 0
	for _, prefix := range []string{"m/", "d/"} {
		if err := scanPages(s.Slot(), []byte(prefix), []byte(prefix+"\xff"), func(key, _ []byte) error { rows++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if rows != 0 {
		t.Errorf("%d rows are left", rows)
	}
}
