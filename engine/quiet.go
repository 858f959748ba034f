package engine

import (
	"log/slog"
	"sync"
	"time"

	"github.com/weir-run/weir/lambda"
)

// quiet keeps a storm of throttles from flooding the log: each function and reason gets a
// line at most every logEvery, which counts those left out.
type quiet struct {
	mu struct {
		sync.Mutex
		said map[string]*said
	}
}

type said struct {
	at      time.Time
	skipped int
}

const (
	logEvery = time.Second
	maxSaid  = 10_000 // functions remembered; then they are forgotten together
)

func (q *quiet) throttled(log *slog.Logger, inv *lambda.Invocation, t *Throttle) {
	skipped, ok := q.due(inv.Function+" "+t.Reason.String(), time.Now())
	if !ok {
		return
	}
	log.Warn("throttled", "scope", inv.Scope.String(), "function", inv.Function, "requestId", inv.RequestID,
		"reason", t.Reason.String(), "why", t.Why, "alsoThrottled", skipped)
}

// due reports whether a line about a key may be written now, and how many were not since
// the last one.
func (q *quiet) due(key string, now time.Time) (skipped int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.mu.said[key]
	switch {
	case s == nil:
		if q.mu.said == nil || len(q.mu.said) >= maxSaid {
			q.mu.said = make(map[string]*said)
		}
		q.mu.said[key] = &said{at: now}
		return 0, true
	case now.Sub(s.at) < logEvery:
		s.skipped++
		return 0, false
	}
	skipped = s.skipped
	*s = said{at: now}
	return skipped, true
}
