package logs

import (
	"slices"
	"strings"
	"time"

	api "github.com/weir-run/weir/aws/logs"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/store/logs"
)

// Limits of PutLogEvents and of answers (AWS: "CloudWatch Logs quotas", PutLogEvents).
const (
	maxBatchBytes = 1 << 20 // with 26 for every event
	eventCost     = 26
	maxBatchSpan  = 24 * time.Hour
	maxAge        = 14 * 24 * time.Hour
	maxFuture     = 2 * time.Hour
	maxEvents     = 10000 // of an answer
	maxAnswer     = 1 << 20
	forever       = 1 << 50 // ms
)

// sequenceToken is what AWS still returns; every token is accepted.
const sequenceToken = "49039859626177604250379170364418450436361331021049495554"

// PutLogEvents writes events to a stream. They are durable when it returns.
func (s *Service) PutLogEvents(c *wire.Call, in *api.PutLogEventsRequest) (*api.PutLogEventsResponse, error) {
	id, g, err := s.group(c, in.LogGroupName, wire.Opt[string]{})
	if err != nil {
		return nil, err
	}
	if err := checkBatch(in.LogEvents); err != nil {
		return nil, err
	}
	now := time.Now()
	events, rejected := accepted(in.LogEvents, g, now)
	if err := s.logs.Put(id, in.LogStreamName.V, events); err != nil {
		return nil, storeError(err)
	}
	out := &api.PutLogEventsResponse{NextSequenceToken: wire.Some(sequenceToken), RejectedLogEventsInfo: rejected}
	if in.Entity != nil {
		// Events are kept without what they belong to. As on AWS that is told, and they are written.
		out.RejectedEntityInfo = &api.RejectedEntityInfo{ErrorType: wire.Some("UnsupportedLogGroupType")}
	}
	return out, nil
}

func checkBatch(events []api.InputLogEvent) error {
	size, last := 0, int64(0)
	for _, e := range events {
		if e.Timestamp.V < last {
			return invalid("Log events in a single PutLogEvents request must be in chronological order.")
		}
		last = e.Timestamp.V
		cost := len(e.Message.V) + eventCost
		if cost > maxBatchBytes {
			return invalid("Log event too large: %d bytes exceeds limit of %d", cost, maxBatchBytes)
		}
		size += cost
	}
	if size > maxBatchBytes {
		return invalid("Upload too large: %d bytes exceeds limit of %d", size, maxBatchBytes)
	}
	if last-events[0].Timestamp.V > maxBatchSpan.Milliseconds() {
		return invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	return nil
}

// accepted returns the events whose time AWS takes, and what it says of the others.
func accepted(events []api.InputLogEvent, g *logGroup, now time.Time) ([]logs.Event, *api.RejectedLogEventsInfo) {
	tooOld, tooNew := now.Add(-maxAge).UnixMilli(), now.Add(maxFuture).UnixMilli()
	expired := int64(0)
	if g.RetentionDays > 0 {
		expired = now.Add(-g.retention()).UnixMilli()
	}
	var info api.RejectedLogEventsInfo
	var list []logs.Event
	for i, e := range events {
		t := e.Timestamp.V
		switch {
		case t > tooNew:
			if !info.TooNewLogEventStartIndex.OK {
				info.TooNewLogEventStartIndex = wire.Some(int32(i))
			}
			continue
		case t < expired:
			info.ExpiredLogEventEndIndex = wire.Some(int32(i + 1))
			continue
		case t < tooOld:
			info.TooOldLogEventEndIndex = wire.Some(int32(i + 1))
			continue
		}
		list = append(list, logs.Event{Time: t, Ingested: now.UnixMilli(), Message: []byte(e.Message.V)})
	}
	if len(list) == len(events) {
		return list, nil
	}
	return list, &info
}

// GetLogEvents reads a stream. Both tokens of an answer can be used; at an end the token of its
// direction comes back unchanged.
func (s *Service) GetLogEvents(c *wire.Call, in *api.GetLogEventsRequest) (*api.GetLogEventsResponse, error) {
	id, _, err := s.group(c, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	if err := s.exists(id, in.LogStreamName.V); err != nil {
		return nil, err
	}
	q := logs.Query{
		From: max(in.StartTime.V, 0), To: in.EndTime.Or(forever), Backward: !in.StartFromHead.V,
		Limit: int(in.Limit.Or(maxEvents)), MaxBytes: maxAnswer,
		Stream: func(name string) bool { return name == in.LogStreamName.V },
	}
	if in.NextToken.OK {
		if q.After, q.Backward, err = parseToken(in.NextToken.V); err != nil {
			return nil, err
		}
	}
	p, err := s.read(id, q)
	if err != nil {
		return nil, storeError(err)
	}
	first, last := edges(q, &p)
	out := &api.GetLogEventsResponse{
		Events:            []api.OutputLogEvent{},
		NextForwardToken:  wire.Some("f/" + last.String() + "/s"),
		NextBackwardToken: wire.Some("b/" + first.String() + "/s"),
	}
	for _, e := range p.Events {
		out.Events = append(out.Events, api.OutputLogEvent{
			Timestamp: wire.Some(e.Time), Message: wire.Some(string(e.Message)), IngestionTime: wire.Some(e.Ingested),
		})
	}
	return out, nil
}

// edges are where a read backward and one forward go on from a page. From an empty one, the
// opposite direction begins where the read had begun: nothing was seen that it could pass over.
func edges(q logs.Query, p *logs.Page) (first, last logs.Position) {
	first, last = p.First, p.Next
	if q.Backward {
		first, last = last, first
	}
	switch {
	case len(p.Events) > 0:
	case !q.Backward && q.After != nil:
		first = q.After.Behind()
	case q.Backward && q.After != nil:
		last = q.After.Before()
	case q.Backward:
		last = logs.At(q.From)
	}
	return first, last
}

// read reads a page that is not empty, unless there is nothing: with GetLogEvents an empty one
// is the end.
func (s *Service) read(id logs.GroupID, q logs.Query) (logs.Page, error) {
	for {
		p, err := s.logs.Read(id, q)
		if err != nil || len(p.Events) > 0 || !p.More {
			return p, err
		}
		q.After = &p.Next
	}
}

func parseToken(token string) (*logs.Position, bool, error) {
	direction, rest, _ := strings.Cut(token, "/")
	text, ok := strings.CutSuffix(rest, "/s")
	p, err := logs.ParsePosition(text)
	if err != nil || !ok || direction != "f" && direction != "b" {
		return nil, false, errToken
	}
	return &p, direction == "b", nil
}

func (s *Service) exists(id logs.GroupID, stream string) error {
	has, err := s.logs.HasStream(id, stream)
	if err != nil {
		return storeError(err)
	}
	if !has {
		return errNoStream
	}
	return nil
}

// FilterLogEvents reads the streams of a group, in the order of time.
func (s *Service) FilterLogEvents(c *wire.Call, in *api.FilterLogEventsRequest) (*api.FilterLogEventsResponse, error) {
	id, _, err := s.group(c, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	switch {
	case in.LogStreamNames != nil && in.LogStreamNamePrefix.OK:
		return nil, invalid("LogStreamNames and LogStreamNamePrefix are mutually exclusive parameters.")
	case !in.StartFromHead.Or(true):
		return nil, unsupported(c, "startFromHead=false")
	}
	pattern, err := s.cache.parse(in.FilterPattern.V)
	if err != nil {
		return nil, err
	}
	for _, name := range in.LogStreamNames {
		if err := s.exists(id, name); err != nil {
			return nil, err
		}
	}
	q := logs.Query{
		From: max(in.StartTime.V, 0), To: min(in.EndTime.Or(forever), forever) + 1,
		Limit: int(in.Limit.Or(maxEvents)), MaxBytes: maxAnswer, Match: pattern.match,
		Stream: func(name string) bool {
			return strings.HasPrefix(name, in.LogStreamNamePrefix.V) && (in.LogStreamNames == nil || slices.Contains(in.LogStreamNames, name))
		},
	}
	if in.NextToken.OK {
		p, err := logs.ParsePosition(in.NextToken.V)
		if err != nil {
			return nil, errToken
		}
		q.After = &p
	}
	p, err := s.logs.Read(id, q)
	if err != nil {
		return nil, storeError(err)
	}
	out := &api.FilterLogEventsResponse{Events: []api.FilteredLogEvent{}, SearchedLogStreams: []api.SearchedLogStream{}}
	for _, e := range p.Events {
		out.Events = append(out.Events, api.FilteredLogEvent{
			LogStreamName: wire.Some(e.Stream), Timestamp: wire.Some(e.Time), Message: wire.Some(string(e.Message)),
			IngestionTime: wire.Some(e.Ingested), EventId: wire.Some(e.ID()),
		})
	}
	if p.More {
		out.NextToken = wire.Some(p.Next.String())
	}
	return out, nil
}
