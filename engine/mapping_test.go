package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// A pail is a queue in memory.
type pail struct {
	mu      sync.Mutex
	visible []SourceMessage
	hidden  map[string]SourceMessage // by receipt
	counts  map[string]int           // receives, by message id
	waiting []*pailReceive
	deleted []string
	receipt int
}

type pailReceive struct {
	max     int
	deliver func([]SourceMessage, error)
	timer   *time.Timer
}

const pailVisibility = 30 * time.Second

func newPail() *pail {
	return &pail{hidden: make(map[string]SourceMessage), counts: make(map[string]int)}
}

func (p *pail) Describe(context.Context) (SourceInfo, error) {
	return SourceInfo{Visibility: pailVisibility}, nil
}

func (p *pail) send(messages ...SourceMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.visible = append(p.visible, messages...)
	for len(p.waiting) > 0 && len(p.visible) > 0 {
		p.answerLocked(p.waiting[0])
	}
}

func (p *pail) Receive(max int, deliver func([]SourceMessage, error)) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &pailReceive{max: max, deliver: deliver}
	p.waiting = append(p.waiting, r)
	if len(p.visible) > 0 {
		p.answerLocked(r)
		return func() {}
	}
	end := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if slices.Contains(p.waiting, r) {
			p.answerLocked(r)
		}
	}
	r.timer = time.AfterFunc(20*time.Second, end)
	return end
}

func (p *pail) answerLocked(r *pailReceive) {
	p.waiting = slices.DeleteFunc(p.waiting, func(x *pailReceive) bool { return x == r })
	if r.timer != nil {
		r.timer.Stop()
	}
	n := min(r.max, len(p.visible))
	got := slices.Clone(p.visible[:n])
	p.visible = p.visible[n:]
	for i := range got {
		p.receipt++
		p.counts[got[i].ID]++
		got[i].Receipt, got[i].Hidden = fmt.Sprint(p.receipt), pailVisibility
		p.hidden[got[i].Receipt] = got[i]
		receipt := got[i].Receipt
		time.AfterFunc(pailVisibility, func() { p.show(receipt) })
	}
	go r.deliver(got, nil)
}

func (p *pail) show(receipt string) {
	p.mu.Lock()
	x, ok := p.hidden[receipt]
	delete(p.hidden, receipt)
	p.mu.Unlock()
	if ok {
		p.send(x)
	}
}

func (p *pail) Delete(_ context.Context, messages []SourceMessage) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range messages {
		if _, ok := p.hidden[m.Receipt]; ok {
			delete(p.hidden, m.Receipt)
			p.deleted = append(p.deleted, m.ID)
		}
	}
	return nil
}

func (p *pail) left() (visible, hidden, deleted int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.visible), len(p.hidden), len(p.deleted)
}

func message(id, body string) SourceMessage {
	return SourceMessage{ID: id, Body: []byte(body), MD5: "md5", System: []SystemAttribute{{"SentTimestamp", "1"}}}
}

// mapQueue opens an engine with a mapping of a queue to the function f.
func mapQueue(t *testing.T, s *store.Store, h *house, p *pail, m lambda.EventSourceMapping) *Engine {
	t.Helper()
	return mapRecorded(t, s, h, p, m, nil)
}

func mapRecorded(t *testing.T, s *store.Store, h *house, p *pail, m lambda.EventSourceMapping, r *store.Recorder) *Engine {
	t.Helper()
	e, err := Open(Options{
		Recorder: r,
		Store:    s, Start: h.start, Logger: slog.New(slog.DiscardHandler),
		Account: admission.Account{Limit: 1000, IdleTimeout: time.Hour, MaxAge: 24 * time.Hour},
		Source:  func(string) (Source, error) { return p, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	m.ID, m.Function, m.Source, m.State = "m", "f", queueARN, lambda.MappingCreating
	m.BatchSize = max(m.BatchSize, 10)
	update(t, s, func(tx *store.Tx) { store.EventSourceMappings.Put(tx, scope, "m", &m) })
	synctest.Wait()
	if got := mappingState(s); got != lambda.MappingEnabled {
		t.Fatalf("the mapping is %s", got)
	}
	return e
}

func mappingState(s *store.Store) lambda.MappingState {
	m, ok := store.EventSourceMappings.Get(s.Catalog().Snapshot(), scope, "m")
	if !ok {
		return ""
	}
	return m.State
}

func TestQueueDrains(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		const n = 2000
		p, seen := newPail(), make(map[string]int)
		var mu sync.Mutex
		h := &house{handler: func(_ *fake, inv *lambda.Invocation) lambda.Outcome {
			var event struct{ Records []struct{ MessageID string } }
			if err := json.Unmarshal(inv.Payload, &event); err != nil || len(event.Records) > 10 {
				t.Errorf("event of %d: %v", len(event.Records), err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, r := range event.Records {
				seen[r.MessageID]++
			}
			return lambda.Outcome{Payload: []byte(`{"batchItemFailures":[{"itemIdentifier":"0"}]}`)} // ignored: not asked for
		}}
		e := mapQueue(t, s, h, p, lambda.EventSourceMapping{})
		defer e.Close()
		for i := range n {
			p.send(message(fmt.Sprint(i), "x"))
		}
		pass(time.Minute)
		if visible, hidden, deleted := p.left(); visible > 0 || hidden > 0 || deleted != n || len(seen) != n {
			t.Errorf("%d visible, %d hidden, %d deleted, %d seen", visible, hidden, deleted, len(seen))
		}
		for id, times := range seen {
			if times != 1 {
				t.Errorf("message %s was seen %d times", id, times)
			}
		}
	})
}

func TestQueueRecord(t *testing.T) {
	m := message("059f36b4", `a "quoted" <body>`)
	m.Receipt = "AQEB"
	m.Attributes = map[string]MessageAttribute{"Author": {Type: "String", Text: "John"}, "Image": {Type: "Binary", Binary: []byte("hello")}}
	m.MD5OfAttributes = "d25a"
	got, err := newRecordOf(&m, queueARN, "us-east-1", true)
	want := `{"messageId":"059f36b4","receiptHandle":"AQEB","body":"a \"quoted\" <body>","attributes":{"SentTimestamp":"1"},` +
		`"messageAttributes":{"Author":{"stringValue":"John","stringListValues":[],"binaryListValues":[],"dataType":"String"},` +
		`"Image":{"binaryValue":"aGVsbG8=","stringListValues":[],"binaryListValues":[],"dataType":"Binary"}},` +
		`"md5OfMessageAttributes":"d25a","md5OfBody":"md5","eventSource":"aws:sqs","eventSourceARN":"` + queueARN + `","awsRegion":"us-east-1"}`
	if err != nil || string(got) != want {
		t.Errorf("record:\n got %s\nwant %s", got, want)
	}
	for hasWindow, want := range map[bool]string{false: `"messageAttributes":{},"md5OfBody"`, true: `"messageAttributes":{},"md5OfMessageAttributes":null,"md5OfBody"`} {
		plain := message("1", "x")
		if got, err := newRecordOf(&plain, queueARN, "us-east-1", hasWindow); err != nil || !strings.Contains(string(got), want) {
			t.Errorf("without attributes: %s, %v", got, err)
		}
	}
}

// TestQueuePartialFailure answers with every form of a partial batch response.
func TestQueuePartialFailure(t *testing.T) {
	const failAll = 2
	for _, c := range []struct {
		answer string
		again  int // messages of the two that come again
	}{
		{`{}`, 0}, {`null`, 0}, {`""`, 0}, {`[]`, 0}, {`{"batchItemFailures":[]}`, 0}, {`{"batchItemFailures":null}`, 0}, {`{"processed":2}`, 0},
		{`{"batchItemFailures":[{"itemIdentifier":"1"}]}`, 1},
		{`{"batchItemFailures":[{"itemIdentifier":"1"},{"itemIdentifier":"2"}]}`, failAll},
		{`{"batchItemFailures":[{"itemIdentifier":""}]}`, failAll},
		{`{"batchItemFailures":[{"itemIdentifier":null}]}`, failAll},
		{`{"batchItemFailures":[{"itemIdentifier":123}]}`, failAll},
		{`{"batchItemFailures":[{"wrong":"1"}]}`, failAll},
		{`{"batchItemFailures":[{"itemIdentifier":"1"},{"itemIdentifier":"unknown"}]}`, failAll},
		{`{"batchItemFailures":"1"}`, failAll},
		{`not JSON`, failAll},
	} {
		inBubble(t, func(t *testing.T, s *store.Store) {
			p := newPail()
			h := &house{handler: func(*fake, *lambda.Invocation) lambda.Outcome { return lambda.Outcome{Payload: []byte(c.answer)} }}
			e := mapQueue(t, s, h, p, lambda.EventSourceMapping{ReportsFailures: true})
			defer e.Close()
			p.send(message("1", "x"), message("2", "x"))
			pass(pailVisibility - time.Second)
			if visible, hidden, deleted := p.left(); visible != 0 || hidden != c.again || deleted != 2-c.again {
				t.Errorf("%s: %d visible, %d hidden, %d deleted", c.answer, visible, hidden, deleted)
			}
		})
	}
}

func TestQueueFilter(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		p := newPail()
		var tried attempts
		h := &house{handler: func(_ *fake, inv *lambda.Invocation) lambda.Outcome {
			tried.note(inv)
			return lambda.Outcome{}
		}}
		e := mapQueue(t, s, h, p, lambda.EventSourceMapping{Filters: []string{`{"body":{"kind":["wanted"]}}`}})
		defer e.Close()
		p.send(message("1", `{"kind":"other"}`), message("2", "text"))
		pass(time.Second)
		if _, _, deleted := p.left(); deleted != 2 || tried.count() != 0 {
			t.Errorf("%d deleted, %d invocations", deleted, tried.count())
		}
		p.send(message("3", `{"kind":"wanted"}`))
		if pass(time.Second); tried.count() != 1 {
			t.Errorf("%d invocations, want 1", tried.count())
		}
	})
}

// TestQueueThrottled holds the function's only permit: the batch is tried again until its
// messages are visible to others.
func TestQueueThrottled(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		p, release := newPail(), make(chan struct{})
		h := &house{handler: func(_ *fake, inv *lambda.Invocation) lambda.Outcome {
			if string(inv.Payload) == `"event"` {
				<-release
			}
			return lambda.Outcome{}
		}}
		reserve(t, s, "f", 1)
		e := mapQueue(t, s, h, p, lambda.EventSourceMapping{})
		defer e.Close()
		go e.Invoke(context.Background(), call("f", ""))
		synctest.Wait()
		p.send(message("1", "x"))
		pass(pailVisibility + time.Second)
		if p.counts["1"] != 2 {
			t.Errorf("received %d times, want 2", p.counts["1"])
		}
		close(release)
		if pass(pailVisibility); len(p.deleted) != 1 {
			t.Error("the message was not processed")
		}
	})
}

// TestQueueLongWindow has a window end while there is still time for a run, though it is longer
// than the queue hides messages.
func TestQueueLongWindow(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		const timeout = 3 * time.Second
		name := store.QualifiedName("f", lambda.Latest)
		v, _ := store.Versions.Get(s.Catalog().Snapshot(), scope, name)
		slow := *v
		slow.TimeoutSec = int(timeout.Seconds())
		update(t, s, func(tx *store.Tx) { store.Versions.Put(tx, scope, name, &slow) })
		p := newPail()
		e := mapQueue(t, s, &house{}, p, lambda.EventSourceMapping{BatchSize: 100, WindowSec: 60})
		defer e.Close()
		p.send(message("1", "x"))
		pass(pailVisibility - timeout - time.Second)
		if _, _, deleted := p.left(); deleted != 0 {
			t.Error("the window ended too early")
		}
		pass(2 * time.Second)
		if _, _, deleted := p.left(); deleted != 1 {
			t.Error("the message was not processed while it was hidden")
		}
	})
}

func TestMappingStops(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		p := newPail()
		e := mapQueue(t, s, &house{}, p, lambda.EventSourceMapping{})
		defer e.Close()
		for _, c := range []struct{ set, then lambda.MappingState }{
			{lambda.MappingDisabling, lambda.MappingDisabled}, {lambda.MappingEnabling, lambda.MappingEnabled}, {lambda.MappingDeleting, ""},
		} {
			m, _ := store.EventSourceMappings.Get(s.Catalog().Snapshot(), scope, "m")
			changed := *m
			changed.State = c.set
			update(t, s, func(tx *store.Tx) { store.EventSourceMappings.Put(tx, scope, "m", &changed) })
			synctest.Wait()
			if got := mappingState(s); got != c.then {
				t.Errorf("after %s: %s", c.set, got)
			}
			p.send(message("1", "x"))
			pass(time.Second)
			visible, _, _ := p.left()
			if runs := c.then == lambda.MappingEnabled; runs != (visible == 0) {
				t.Errorf("%s: %d messages are visible", c.then, visible)
			}
			p.mu.Lock()
			p.visible = nil
			p.mu.Unlock()
		}
	})
}

func TestMappingMetrics(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		p := newPail()
		h := &house{handler: func(*fake, *lambda.Invocation) lambda.Outcome {
			return lambda.Outcome{Payload: []byte(`{"batchItemFailures":[{"itemIdentifier":"1"}]}`)}
		}}
		var r store.Recorder
		e := mapRecorded(t, s, h, p, lambda.EventSourceMapping{ReportsFailures: true, CountsEvents: true, Filters: []string{`{"body":["x"]}`}}, &r)
		defer e.Close()
		p.send(message("1", "x"), message("2", "x"), message("3", "noise"))
		pass(time.Second)
		got := sums(&r)
		for name, want := range map[string]float64{
			"PolledEventCount": 3, "FilteredOutEventCount": 1, "InvokedEventCount": 2, "FailedInvokeEventCount": 1, "DeletedEventCount": 1,
		} {
			if got[name+" m"] != want {
				t.Errorf("%s: %v, want %v", name, got[name+" m"], want)
			}
		}
	})
}
