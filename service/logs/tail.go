package logs

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	api "github.com/weir-run/weir/aws/logs"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store/logs"
)

// Limits of live tails (AWS: StartLiveTail).
const (
	maxSessions   = 15 // of an account and region
	maxTailEvents = 500
	tailEvery     = time.Second
	maxTail       = 3 * time.Hour
)

// tails are the live tails that run.
type tails struct {
	mu struct {
		sync.Mutex
		ended    bool
		sessions map[*session]bool
	}
}

// A session is a live tail. What is not above mu does not change.
type session struct {
	scope    lambda.Scope
	groups   map[string]string // name to how the client identified it
	names    []string
	prefixes []string
	pattern  *pattern
	end      chan struct{} // closed when the server stops

	mu struct {
		sync.Mutex
		events  []api.LiveTailSessionLogEvent
		sampled bool // there were more than fit
	}
}

// StartLiveTail sends the events of groups as they come.
func (s *Service) StartLiveTail(c *wire.Call, in *api.StartLiveTailRequest) (*api.StartLiveTailResponse, error) {
	if len(in.LogStreamNames) > 0 && len(in.LogStreamNamePrefixes) > 0 {
		return nil, invalid("LogStreamNames and LogStreamNamePrefixes are mutually exclusive parameters.")
	}
	if len(in.LogGroupIdentifiers) > 1 && len(in.LogStreamNames)+len(in.LogStreamNamePrefixes) > 0 {
		return nil, invalid("Log streams can be given for one log group only.")
	}
	p, err := s.cache.parse(in.LogEventFilterPattern.V)
	if err != nil {
		return nil, err
	}
	t := &session{scope: c.Scope, groups: make(map[string]string), names: in.LogStreamNames, prefixes: in.LogStreamNamePrefixes, pattern: p, end: make(chan struct{})}
	for _, identifier := range in.LogGroupIdentifiers {
		id, _, err := s.identified(c, identifier)
		if err != nil {
			return nil, err
		}
		t.groups[id.Name] = c.Scope.Account + ":" + id.Name
	}
	start := &api.LiveTailSessionStart{
		RequestId: wire.Some(c.RequestID), SessionId: wire.Some(uuid.NewString()), LogGroupIdentifiers: in.LogGroupIdentifiers,
		LogStreamNames: notNil(in.LogStreamNames), LogStreamNamePrefixes: notNil(in.LogStreamNamePrefixes), LogEventFilterPattern: wire.Some(in.LogEventFilterPattern.V),
	}
	gone := c.Context().Done()
	return &api.StartLiveTailResponse{ResponseStream: func(send func(*api.StartLiveTailResponseStream) error) error {
		if err := s.tails.add(t); err != nil {
			return err
		}
		defer s.tails.remove(t)
		if err := send(&api.StartLiveTailResponseStream{SessionStart: start}); err != nil {
			return err
		}
		return t.run(gone, send)
	}}, nil
}

func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// run sends what was offered, every second, until the client is gone or the time is over.
func (t *session) run(gone <-chan struct{}, send func(*api.StartLiveTailResponseStream) error) error {
	tick := time.NewTicker(tailEvery)
	defer tick.Stop()
	limit := time.NewTimer(maxTail)
	defer limit.Stop()
	for {
		select {
		case <-tick.C:
			if err := send(&api.StartLiveTailResponseStream{SessionUpdate: t.take()}); err != nil {
				return err
			}
		case <-gone:
			return nil
		case <-t.end:
			return nil
		case <-limit.C:
			return lambda.Errorf("SessionTimeoutException", "The live tail session has reached its limit of 3 hours.")
		}
	}
}

func (t *session) take() *api.LiveTailSessionUpdate {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := &api.LiveTailSessionUpdate{
		SessionMetadata: &api.LiveTailSessionMetadata{Sampled: wire.Some(t.mu.sampled)},
		SessionResults:  t.mu.events,
	}
	if u.SessionResults == nil {
		u.SessionResults = []api.LiveTailSessionLogEvent{}
	}
	t.mu.events, t.mu.sampled = nil, false
	return u
}

func (x *tails) add(t *session) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := 0
	for other := range x.mu.sessions {
		if other.scope == t.scope {
			n++
		}
	}
	if n >= maxSessions {
		return errLimit
	}
	if x.mu.ended {
		close(t.end)
	}
	x.mu.sessions[t] = true
	return nil
}

func (x *tails) remove(t *session) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.mu.sessions, t)
}

// EndTails ends the live tails: they would hold up a server that stops.
func (s *Service) EndTails() {
	s.tails.mu.Lock()
	defer s.tails.mu.Unlock()
	if s.tails.mu.ended {
		return
	}
	s.tails.mu.ended = true
	for t := range s.tails.mu.sessions {
		close(t.end)
	}
}

// wanting returns the sessions that want the events of a stream.
func (x *tails) wanting(b logs.Batch) []*session {
	x.mu.Lock()
	defer x.mu.Unlock()
	var list []*session
	for t := range x.mu.sessions {
		if t.scope == b.Group.Scope && t.wants(b.Group.Name, b.Stream) {
			list = append(list, t)
		}
	}
	return list
}

func (t *session) wants(group, stream string) bool {
	if _, ok := t.groups[group]; !ok {
		return false
	}
	if len(t.names) > 0 {
		return slices.Contains(t.names, stream)
	}
	return len(t.prefixes) == 0 || slices.ContainsFunc(t.prefixes, func(p string) bool { return strings.HasPrefix(stream, p) })
}

// offer gives events to the sessions that want them.
func (x *tails) offer(b logs.Batch) {
	for _, t := range x.wanting(b) {
		for _, e := range b.Events {
			if t.pattern.match(e.Message) {
				t.keep(b, e)
			}
		}
	}
}

// keep holds an event until it is sent; beyond 500 a second AWS sends a sample.
func (t *session) keep(b logs.Batch, e logs.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.mu.events) >= maxTailEvents {
		t.mu.sampled = true
		return
	}
	t.mu.events = append(t.mu.events, api.LiveTailSessionLogEvent{
		LogStreamName: wire.Some(b.Stream), LogGroupIdentifier: wire.Some(t.groups[b.Group.Name]), Message: wire.Some(string(e.Message)),
		Timestamp: wire.Some(e.Time), IngestionTime: wire.Some(e.Ingested),
	})
}
