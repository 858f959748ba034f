package logs

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store/logs"
)

// tell takes every batch of events that was written. It is called with the group locked, so it
// waits for nothing but a catalogue update when a function writes to a group that was deleted:
// that makes the group again.
func (s *Service) tell(b logs.Batch) {
	g, ok := groups.Get(s.snapshot(), b.Group.Scope, b.Group.Name)
	if !ok {
		if err := s.ensure(b.Group.Scope, b.Group.Name); err != nil {
			s.opt.Logger.Error("events of a function are in no log group", "group", b.Group.Name, "err", err)
		}
		g = &logGroup{Name: b.Group.Name}
	}
	s.tails.offer(b)
	if s.opt.OnEvent != nil {
		for _, e := range b.Events {
			s.opt.OnEvent(b.Group.Scope, b.Group.Name, b.Stream, e)
		}
	}
	if len(g.Metrics) == 0 && len(g.Subscriptions) == 0 {
		return
	}
	events := make([]logs.Event, len(b.Events))
	for i, e := range b.Events {
		e.Message = bytes.Clone(e.Message)
		events[i] = e
	}
	b.Events = events
	select {
	case s.jobs <- b:
	default:
		s.opt.Logger.Error("the filters of a log group cannot keep up; they do not see some events",
			"group", b.Group.Name, "stream", b.Stream, "events", len(b.Events))
	}
}

// filter applies the filters of groups to their events.
func (s *Service) filter() {
	quiet := make(silence)
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		select {
		case b := <-s.jobs:
			s.apply(b, quiet)
		case now := <-minute.C:
			s.flushSilence(quiet, now.Add(-time.Minute).Truncate(time.Minute))
		case <-s.stop:
			for {
				select {
				case b := <-s.jobs:
					s.apply(b, quiet)
				default:
					s.flushSilence(quiet, time.Now().Add(time.Minute))
					return
				}
			}
		}
	}
}

func (s *Service) apply(b logs.Batch, quiet silence) {
	g, ok := groups.Get(s.snapshot(), b.Group.Scope, b.Group.Name)
	if !ok {
		return
	}
	for i := range g.Metrics {
		s.applyMetric(&g.Metrics[i], b, quiet)
	}
	for i := range g.Subscriptions {
		s.applySubscription(&g.Subscriptions[i], b)
	}
}

// A silence is the minutes in which a metric filter with a default value saw events and none
// that matched.
type silence map[silenceKey]*Datapoint // nil: one has matched

type silenceKey struct {
	group  logs.GroupID
	filter string
	minute time.Time
}

// flushSilence emits the default values of the minutes up to one.
func (s *Service) flushSilence(quiet silence, until time.Time) {
	for key, d := range quiet {
		if key.minute.After(until) {
			continue
		}
		if d != nil {
			s.opt.Emit(*d)
		}
		delete(quiet, key)
	}
}

func (s *Service) applyMetric(x *metricFilter, b logs.Batch, quiet silence) {
	p, err := s.cache.parse(x.Pattern)
	if err != nil || s.opt.Emit == nil { // the pattern was checked when it was stored
		return
	}
	for _, e := range b.Events {
		at := time.UnixMilli(e.Time)
		d, ok := Datapoint{}, p.match(e.Message)
		if ok {
			d, ok = x.datapoint(p, e.Message)
		}
		key := silenceKey{b.Group, x.Name, at.Truncate(time.Minute)}
		if ok {
			d.Scope, d.Time = b.Group.Scope, at
			s.opt.Emit(d)
		}
		if x.Default == nil {
			continue
		}
		if ok {
			quiet[key] = nil
		} else if _, known := quiet[key]; !known {
			quiet[key] = &Datapoint{Scope: b.Group.Scope, Namespace: x.Namespace, Metric: x.Metric, Unit: x.Unit, Value: *x.Default, Time: key.minute}
		}
	}
}

// maxPayload is the bytes of messages that are sent to a function at once: with base64 and even
// if they do not compress, they fit an asynchronous invocation.
const maxPayload = lambda.MaxEventRequest / 2

// A dataMessage is what a function is sent, in gzip (AWS: "Log group-level subscription
// filters").
type dataMessage struct {
	MessageType         string      `json:"messageType"`
	Owner               string      `json:"owner"`
	LogGroup            string      `json:"logGroup"`
	LogStream           string      `json:"logStream"`
	SubscriptionFilters []string    `json:"subscriptionFilters"`
	LogEvents           []dataEvent `json:"logEvents"`
}

type dataEvent struct {
	ID        string `json:"id"`
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
}

func (s *Service) applySubscription(x *subscription, b logs.Batch) {
	p, err := s.cache.parse(x.Pattern)
	if err != nil { // it was checked when it was stored
		return
	}
	var events []dataEvent
	size := 0
	for _, e := range b.Events {
		if !p.match(e.Message) {
			continue
		}
		if size+len(e.Message) > maxPayload && len(events) > 0 {
			s.deliver(x, b, events)
			events, size = nil, 0
		}
		size += len(e.Message)
		events = append(events, dataEvent{e.ID(), e.Time, string(e.Message)})
	}
	if len(events) > 0 {
		s.deliver(x, b, events)
	}
}

// deliver sends events to the function of a subscription. What it cannot send is lost, and
// stands in the log.
func (s *Service) deliver(x *subscription, b logs.Batch, events []dataEvent) {
	payload, err := packed(dataMessage{
		MessageType: "DATA_MESSAGE", Owner: b.Group.Scope.Account, LogGroup: b.Group.Name, LogStream: b.Stream,
		SubscriptionFilters: []string{x.Name}, LogEvents: events,
	})
	if err == nil {
		err = s.opt.Enqueue(context.Background(), x.Destination, payload)
	}
	if err != nil {
		s.opt.Logger.Error("events did not reach the function of a subscription filter", "group", b.Group.Name, "filter", x.Name, "events", len(events), "err", err)
	}
}

// packed returns the event that a function gets.
func packed(m dataMessage) ([]byte, error) {
	var text bytes.Buffer
	text.WriteString(`{"awslogs":{"data":"`)
	base := base64.NewEncoder(base64.StdEncoding, &text)
	zip := gzip.NewWriter(base)
	if err := json.NewEncoder(zip).Encode(m); err != nil {
		return nil, fmt.Errorf("encode log events: %w", err)
	}
	if err := zip.Close(); err != nil {
		return nil, fmt.Errorf("encode log events: %w", err)
	}
	if err := base.Close(); err != nil {
		return nil, fmt.Errorf("encode log events: %w", err)
	}
	text.WriteString(`"}}`)
	return text.Bytes(), nil
}

// maxParsed is how many patterns are kept parsed.
const maxParsed = 4096

// patterns keeps patterns parsed.
type patterns struct {
	mu struct {
		sync.Mutex
		parsed map[string]*pattern
	}
}

func (c *patterns) parse(text string) (*pattern, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.mu.parsed[text]; ok {
		return p, nil
	}
	p, err := parsePattern(text)
	if err != nil {
		return nil, err
	}
	if len(c.mu.parsed) >= maxParsed {
		clear(c.mu.parsed)
	}
	c.mu.parsed[strings.Clone(text)] = p
	return p, nil
}
