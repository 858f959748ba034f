package engine

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// A post is a destination that remembers what it was sent.
type post struct {
	mu   sync.Mutex
	got  []*Message
	fail int // so many times first
}

func (p *post) send(_ context.Context, _ string, m *Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail > 0 {
		p.fail--
		return errors.New("the destination is down")
	}
	p.got = append(p.got, m)
	return nil
}

func (p *post) messages() []*Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*Message(nil), p.got...)
}

// asyncEngine opens an engine whose destinations are a post. Call it in a bubble.
func asyncEngine(t *testing.T, s *store.Store, h *house, p *post) *Engine {
	t.Helper()
	e, err := Open(Options{
		Store: s, Start: h.start, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Account: admission.Account{Limit: 1000, IdleTimeout: time.Hour, MaxAge: 24 * time.Hour},
		Targets: map[string]Target{"sqs": p.send},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

const queueARN = "arn:aws:sqs:us-east-1:111111111111:q"

func configureEvents(t *testing.T, s *store.Store, c lambda.EventInvoke) {
	t.Helper()
	c.Function, c.Qualifier = "f", lambda.Latest
	update(t, s, func(tx *store.Tx) {
		store.EventInvokes.Put(tx, scope, store.QualifiedName("f", lambda.Latest), &c)
	})
}

func send(t *testing.T, e *Engine, id string) {
	t.Helper()
	inv := call("f", "")
	inv.Type, inv.RequestID = lambda.Event, id
	if err := e.Enqueue(context.Background(), inv); err != nil {
		t.Fatal(err)
	}
}

// pass lets time go by, with everything that happens in it.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// attempts counts the attempts of events by their request ids.
type attempts struct {
	mu  sync.Mutex
	ids []string
}

func (a *attempts) note(inv *lambda.Invocation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ids = append(a.ids, inv.RequestID)
}

func (a *attempts) list() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.ids)
}

func (a *attempts) count() int { return len(a.list()) }

// inBubble runs a test in virtual time, the store included.
func inBubble(t *testing.T, test func(t *testing.T, s *store.Store)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, dir)
		defer s.Close()
		createActive(t, s, "f")
		test(t, s)
	})
}

func TestEventFailsThreeTimes(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		var tried attempts
		h := &house{handler: func(_ *fake, inv *lambda.Invocation) lambda.Outcome {
			tried.note(inv)
			return lambda.Outcome{FunctionError: "Unhandled", Version: "$LATEST", Payload: []byte(`{"errorMessage":"no <b>","errorType":"E"}`)}
		}}
		p := &post{fail: 2}
		e := asyncEngine(t, s, h, p)
		defer e.Close()
		configureEvents(t, s, lambda.EventInvoke{MaxRetries: lambda.NotSet, MaxAgeSec: lambda.NotSet, OnFailure: queueARN})
		v := *latest(t, s, "f")
		v.DeadLetter = queueARN
		update(t, s, func(tx *store.Tx) { store.Versions.Put(tx, scope, store.QualifiedName("f", lambda.Latest), &v) })
		send(t, e, "id-1")
		for _, c := range []struct {
			wait time.Duration
			want int
		}{{0, 1}, {59 * time.Second, 1}, {2 * time.Second, 2}, {118 * time.Second, 2}, {2 * time.Second, 3}, {time.Hour, 3}} {
			if pass(c.wait); tried.count() != c.want {
				t.Fatalf("%d attempts, want %d", tried.count(), c.want)
			}
		}
		for _, id := range tried.list() {
			if id != "id-1" {
				t.Errorf("an attempt has the request id %s", id)
			}
		}
		got := p.messages()
		if len(got) != 2 {
			t.Fatalf("%d messages were sent, want one to the destination and one to the dead-letter queue", len(got))
		}
		checkFailureRecord(t, got[0])
		checkDeadLetter(t, got[1])
		if left, _, err := s.Events().Load(store.EventQueue{Scope: scope, Function: "f"}, 0, 0, 10); err != nil || len(left) > 0 {
			t.Errorf("left in the queue: %+v, %v", left, err)
		}
	})
}

func checkFailureRecord(t *testing.T, m *Message) {
	t.Helper()
	var r map[string]any
	if err := json.Unmarshal(m.Body, &r); err != nil {
		t.Fatal(err)
	}
	stamp := r["timestamp"].(string)
	want := `{"version":"1.0","timestamp":"` + stamp + `","requestContext":{"requestId":"id-1","functionArn":"arn:aws:lambda:us-east-1:111111111111:function:f:$LATEST","condition":"RetriesExhausted","approximateInvokeCount":3},"requestPayload":"event","responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},"responsePayload":{"errorMessage":"no <b>","errorType":"E"}}`
	if string(m.Body) != want {
		t.Errorf("record:\n got %s\nwant %s", m.Body, want)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000Z", stamp); err != nil {
		t.Error(err)
	}
}

func checkDeadLetter(t *testing.T, m *Message) {
	t.Helper()
	want := []Attribute{{"RequestID", "String", "id-1"}, {"ErrorCode", "Number", "200"}, {"ErrorMessage", "String", "no <b>"}}
	if string(m.Body) != `"event"` || len(m.Attributes) != 3 || m.Attributes[0] != want[0] || m.Attributes[1] != want[1] || m.Attributes[2] != want[2] {
		t.Errorf("dead letter: %s, %+v", m.Body, m.Attributes)
	}
}

func TestEventSucceeds(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		p := &post{}
		e := asyncEngine(t, s, &house{}, p)
		defer e.Close()
		configureEvents(t, s, lambda.EventInvoke{MaxRetries: lambda.NotSet, MaxAgeSec: lambda.NotSet, OnSuccess: queueARN})
		send(t, e, "id-1")
		pass(time.Second)
		got := p.messages()
		if len(got) != 1 || !strings.Contains(string(got[0].Body), `"condition":"Success","approximateInvokeCount":1},"requestPayload":"event","responseContext":{"statusCode":200,"executedVersion":"$LATEST"},"responsePayload":"event"}`) {
			t.Errorf("told: %+v", got)
		}
	})
}

// TestEventThrottled keeps a function at its limit: the event is not tried until there is
// room, and waits longer each time.
func TestEventThrottled(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		release := make(chan struct{})
		var tried attempts
		h := &house{handler: func(_ *fake, inv *lambda.Invocation) lambda.Outcome {
			if inv.Type == lambda.RequestResponse {
				<-release
			} else {
				tried.note(inv)
			}
			return lambda.Outcome{}
		}}
		e := asyncEngine(t, s, h, &post{})
		defer e.Close()
		reserve(t, s, "f", 1)
		go e.Invoke(context.Background(), call("f", ""))
		synctest.Wait()
		send(t, e, "id-1")
		pass(70 * time.Second) // refused after 0, 1, 3, 7, 15, 31 and 63 s; next after 127 s
		if tried.count() != 0 {
			t.Fatal("the event ran beyond the limit")
		}
		close(release)
		pass(56 * time.Second)
		if tried.count() != 0 {
			t.Error("the event ran before it was due")
		}
		if pass(2 * time.Second); tried.count() != 1 {
			t.Errorf("%d attempts, want 1", tried.count())
		}
	})
}

func TestEventOfDisabledFunction(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		p := &post{}
		e := asyncEngine(t, s, &house{}, p)
		defer e.Close()
		configureEvents(t, s, lambda.EventInvoke{MaxRetries: lambda.NotSet, MaxAgeSec: lambda.NotSet, OnFailure: queueARN})
		reserve(t, s, "f", 0)
		send(t, e, "id-1")
		synctest.Wait()
		got := p.messages()
		if len(got) != 1 || !strings.HasSuffix(string(got[0].Body), `"condition":"ZeroReservedConcurrency","approximateInvokeCount":0},"requestPayload":"event"}`) {
			t.Errorf("told: %s", got[0].Body)
		}
	})
}

// TestEventsSurviveRestart closes the engine while events wait for a retry and while one runs.
func TestEventsSurviveRestart(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		hang := make(chan struct{})
		var tried attempts
		var fail atomic.Bool
		fail.Store(true)
		h := &house{handler: func(f *fake, inv *lambda.Invocation) lambda.Outcome {
			tried.note(inv)
			if inv.RequestID == "hangs" && fail.Load() {
				<-hang
			}
			if fail.Load() {
				return lambda.Outcome{FunctionError: "Unhandled", Payload: []byte("{}")}
			}
			return lambda.Outcome{}
		}}
		e := asyncEngine(t, s, h, &post{})
		send(t, e, "fails")
		synctest.Wait()
		send(t, e, "hangs")
		synctest.Wait()
		go func() { time.Sleep(time.Second); close(hang) }()
		limit, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		e.Drain(limit) // in vain
		cancel()
		e.Close()
		if tried.count() != 2 {
			t.Fatalf("%d attempts before the restart, want 2", tried.count())
		}
		fail.Store(false)
		e = asyncEngine(t, s, h, &post{})
		defer e.Close()
		if pass(0); tried.count() != 3 || tried.list()[2] != "hangs" {
			t.Errorf("after the restart: %v", tried.list())
		}
		if pass(time.Minute); tried.count() != 4 || tried.list()[3] != "fails" {
			t.Errorf("a minute later: %v", tried.list())
		}
	})
}

// TestEventLoop lets a function invoke itself: the seventeenth invocation of the chain is
// stopped.
func TestEventLoop(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		var tried attempts
		var e *Engine
		h := &house{handler: func(_ *fake, inv *lambda.Invocation) lambda.Outcome {
			tried.note(inv)
			again := call("f", "")
			again.Type, again.TraceID, again.RequestID = lambda.Event, inv.TraceID, "id"
			if err := e.Enqueue(context.Background(), again); err != nil {
				t.Error(err)
			}
			return lambda.Outcome{}
		}}
		p := &post{}
		e = asyncEngine(t, s, h, p)
		defer e.Close()
		configureEvents(t, s, lambda.EventInvoke{MaxRetries: lambda.NotSet, MaxAgeSec: lambda.NotSet, OnFailure: queueARN})
		send(t, e, "id")
		pass(time.Minute)
		if tried.count() != lambda.MaxHops {
			t.Errorf("the function ran %d times", tried.count())
		}
		if got := p.messages(); len(got) != 1 {
			t.Errorf("%d were told of the end", len(got))
		}
	})
}

// TestDestinationLoop has two functions be the destination of each other: the chain is one,
// and stopped.
func TestDestinationLoop(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		var mu sync.Mutex
		runs := make(map[string]int)
		h := &house{handler: func(_ *fake, inv *lambda.Invocation) lambda.Outcome {
			mu.Lock()
			defer mu.Unlock()
			runs[inv.Function]++
			if runs[inv.Function] > 2*lambda.MaxHops {
				return lambda.Outcome{FunctionError: "Unhandled"} // the loop must end somehow
			}
			return lambda.Outcome{Version: "$LATEST", Payload: []byte("1")}
		}}
		p := &post{}
		e := asyncEngine(t, s, h, p)
		defer e.Close()
		createActive(t, s, "g")
		for function, next := range map[string]string{"f": "g", "g": "f"} {
			update(t, s, func(tx *store.Tx) {
				store.EventInvokes.Put(tx, scope, store.QualifiedName(function, lambda.Latest), &lambda.EventInvoke{
					Function: function, Qualifier: lambda.Latest, MaxRetries: 0, MaxAgeSec: lambda.NotSet,
					OnSuccess: scope.FunctionARN(next, ""), OnFailure: queueARN,
				})
			})
		}
		send(t, e, "id-1")
		pass(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if runs["f"] != lambda.MaxHops || runs["g"] != lambda.MaxHops {
			t.Errorf("%v runs", runs)
		}
		if got := p.messages(); len(got) != 1 || !strings.Contains(string(got[0].Body), `"condition":"RecursiveInvocation"`) {
			t.Errorf("the destination is told %v", got)
		}
	})
}
