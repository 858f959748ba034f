package xray

import (
	"encoding/base64"
	"maps"
	"slices"
	"time"

	"github.com/weir-run/weir/aws/wire"
	api "github.com/weir-run/weir/aws/xray"
)

// Bounds of GetTraceSummaries.
const (
	maxRange  = 24 * time.Hour // AWS: the time range
	pageItems = 1000           // traces of an answer
)

// GetTraceSummaries answers the traces of a time range that a filter expression lets through.
func (s *Service) GetTraceSummaries(c *wire.Call, in *api.GetTraceSummariesRequest) (*api.GetTraceSummariesResult, error) {
	from, to := in.StartTime.V, in.EndTime.V
	switch {
	case to.Before(from):
		return nil, invalid("StartTime must not be after EndTime.")
	case to.Sub(from) > maxRange:
		return nil, invalid("The time range must not be longer than 24 hours.")
	case in.SamplingStrategy != nil:
		return nil, invalid("weir does not support the parameter SamplingStrategy of GetTraceSummaries.")
	case in.TimeRangeType.V == "Service":
		return nil, invalid("weir does not support the TimeRangeType Service.")
	}
	pass, err := parseFilter(in.FilterExpression.V)
	if err != nil {
		return nil, invalid("%s", err.Error())
	}
	after := ""
	if in.NextToken.V != "" {
		id, err := base64.URLEncoding.DecodeString(in.NextToken.V)
		if err != nil || !isTraceID(string(id)) {
			return nil, invalid("NextToken is invalid.")
		}
		after = string(id)
	}
	byEvent := in.TimeRangeType.V == "Event"
	found := s.snapshot(c.Scope, func(t *trace) bool {
		at := t.begun()
		return t.key.id > after && (byEvent || !at.Before(from.Truncate(time.Second)) && !at.After(to))
	})
	slices.SortFunc(found, func(a, b trace) int { return compare(a.key.id, b.key.id) })
	out := &api.GetTraceSummariesResult{TraceSummaries: []api.TraceSummary{}, ApproximateTime: wire.Some(time.Now())}
	processed := int64(0)
	for i := range found {
		if len(out.TraceSummaries) == pageItems {
			out.NextToken = wire.Some(base64.URLEncoding.EncodeToString([]byte(found[i-1].key.id)))
			break
		}
		v := newView(&found[i])
		if byEvent && (v.end < seconds(from) || v.start > seconds(to)) {
			continue
		}
		processed++
		if pass(v) {
			out.TraceSummaries = append(out.TraceSummaries, v.summary())
		}
	}
	out.TracesProcessedCount = wire.Some(processed)
	return out, nil
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// extent returns when the first segment began and the last ended.
func extent(segments []*segment) (start, end float64) {
	for i, x := range segments {
		if i == 0 || x.Start < start {
			start = x.Start
		}
		end = max(end, x.End, x.Start)
	}
	return start, end
}

// A view is what can be asked about a trace.
type view struct {
	trace       *trace
	segments    []*segment
	root        *segment // the earliest that has no parent here; nil: there is none
	start, end  float64
	response    float64
	fault       bool
	error       bool
	throttle    bool
	partial     bool
	services    []*segment // segments of different services
	annotations map[string][]any
}

func newView(t *trace) *view {
	v := &view{trace: t, segments: t.segments(), annotations: make(map[string][]any)}
	v.start, v.end = extent(v.segments)
	known := make(map[string]bool)
	for _, x := range v.segments {
		x.each(func(x *segment) { known[x.ID] = true })
	}
	for _, x := range v.segments {
		if !known[x.ParentID] && x.Type == "" && (v.root == nil || x.Start < v.root.Start) {
			v.root = x
		}
		if x.Type == "" && !slices.ContainsFunc(v.services, func(y *segment) bool { return y.Name == x.Name && y.Origin == x.Origin }) {
			v.services = append(v.services, x)
		}
		x.each(v.look)
	}
	if v.root != nil {
		v.response = max(0, v.root.End-v.root.Start)
	}
	return v
}

// look notes what a segment says.
func (v *view) look(x *segment) {
	v.fault = v.fault || x.Fault
	v.error = v.error || x.Error
	v.throttle = v.throttle || x.Throttle
	v.partial = v.partial || x.InProgress
	for name, value := range x.Annotations {
		if !slices.Contains(v.annotations[name], value) && isScalar(value) {
			v.annotations[name] = append(v.annotations[name], value)
		}
	}
}

// isScalar reports whether a value can annotate; a list could not be compared either.
func isScalar(v any) bool {
	switch v.(type) {
	case string, float64, bool:
		return true
	}
	return false
}

func (v *view) summary() api.TraceSummary {
	out := api.TraceSummary{
		Id: wire.Some(v.trace.key.id), StartTime: wire.Some(time.UnixMicro(int64(v.start * 1e6))),
		Duration: wire.Some(v.end - v.start), ResponseTime: wire.Some(v.response),
		HasFault: wire.Some(v.fault), HasError: wire.Some(v.error), HasThrottle: wire.Some(v.throttle), IsPartial: wire.Some(v.partial),
		Http: &api.Http{}, Annotations: map[string]wire.List[api.ValueWithServiceIds]{}, Revision: wire.Some(int32(len(v.segments))),
	}
	for _, x := range v.services {
		out.ServiceIds = append(out.ServiceIds, v.service(x))
		if x.ResourceARN != "" && !slices.ContainsFunc(out.ResourceARNs, func(d api.ResourceARNDetail) bool { return d.ARN.V == x.ResourceARN }) {
			out.ResourceARNs = append(out.ResourceARNs, api.ResourceARNDetail{ARN: wire.Some(x.ResourceARN)})
		}
	}
	if v.root != nil {
		entry := v.service(v.root)
		out.EntryPoint = &entry
		out.Http = v.root.http()
	}
	for _, name := range slices.Sorted(maps.Keys(v.annotations)) {
		for _, value := range v.annotations[name] {
			out.Annotations[name] = append(out.Annotations[name], api.ValueWithServiceIds{AnnotationValue: annotationValue(value)})
		}
	}
	return out
}

func (v *view) service(x *segment) api.ServiceId {
	id := api.ServiceId{Name: wire.Some(x.Name), Names: []string{x.Name}, AccountId: wire.Some(v.trace.key.scope.Account)}
	if x.Origin != "" {
		id.Type = wire.Some(x.Origin)
	}
	return id
}

func (s *segment) http() *api.Http {
	out := &api.Http{}
	if s.HTTP == nil {
		return out
	}
	if q := s.HTTP.Request; q != nil {
		out.HttpMethod, out.HttpURL, out.UserAgent, out.ClientIp = given(q.Method), given(q.URL), given(q.UserAgent), given(q.ClientIP)
	}
	if r := s.HTTP.Response; r != nil && r.Status != 0 {
		out.HttpStatus = wire.Some(int32(r.Status))
	}
	return out
}

func given(s string) wire.Opt[string] { return wire.Opt[string]{V: s, OK: s != ""} }

func annotationValue(v any) *api.AnnotationValue {
	switch v := v.(type) {
	case float64:
		return &api.AnnotationValue{NumberValue: wire.Some(v)}
	case bool:
		return &api.AnnotationValue{BooleanValue: wire.Some(v)}
	case string:
		return &api.AnnotationValue{StringValue: wire.Some(v)}
	}
	return nil
}
