package xray

import (
	"container/list"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/weir-run/weir/aws/wire"
	api "github.com/weir-run/weir/aws/xray"
	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/lambda"
)

// Options are what the service works with.
type Options struct {
	// MaxBytes bounds the memory for segments; 0 is 64 MiB. The oldest traces go first.
	MaxBytes int

	// OTLP is the URL of an OTLP/HTTP endpoint, such as http://localhost:4318, that gets all
	// segments as spans; empty: none does.
	OTLP string

	Logger *slog.Logger
}

// A Service keeps segments and implements the operations of X-Ray.
type Service struct {
	api.Unimplemented
	maxBytes int
	log      *slog.Logger
	exporter *exporter // nil: none

	mu struct {
		sync.Mutex
		traces map[traceKey]*trace
		order  *list.List // of *trace, by when their first segment came
		bytes  int
	}
	daemons daemons
}

// Open returns the service.
func Open(opt Options) (*Service, error) {
	s := &Service{maxBytes: opt.MaxBytes, log: opt.Logger}
	if s.maxBytes == 0 {
		s.maxBytes = maxBytes
	}
	s.mu.traces = make(map[traceKey]*trace)
	s.mu.order = list.New()
	s.daemons.service = s
	s.daemons.mu.open = make(map[lambda.Scope]*daemon)
	if opt.OTLP != "" {
		var err error
		if s.exporter, err = newExporter(opt.OTLP, opt.Logger); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Register makes a Mux serve X-Ray.
func (s *Service) Register(m *wire.Mux) { api.Register(m, s, nil) }

// Close closes the daemons and sends what waits for export. It is idempotent.
func (s *Service) Close() {
	s.daemons.close()
	if s.exporter != nil {
		s.exporter.close()
	}
}

// Trace keeps the segments of an invocation; see engine.Options.
func (s *Service) Trace(t *engine.Traced) {
	for _, x := range invocationSegments(t) {
		text, err := json.Marshal(x)
		if err != nil {
			s.log.Error("a segment was lost", "requestId", t.Invocation.RequestID, "error", err)
			continue
		}
		s.add(t.Invocation.Scope, x, text)
	}
}

// take keeps a document that came from outside, or says why not.
func (s *Service) take(scope lambda.Scope, text []byte) (*segment, refusal) {
	x, why := parse(text)
	if why == "" {
		s.add(scope, x, text)
	}
	return x, why
}

func (s *Service) add(scope lambda.Scope, x *segment, text []byte) {
	s.put(scope, x, text)
	if s.exporter != nil && !x.InProgress {
		s.exporter.add(scope, x)
	}
}

func invalid(format string, args ...any) *lambda.Error {
	return lambda.Errorf("InvalidRequestException", format, args...)
}

// PutTraceSegments keeps segments; bad ones are refused by themselves.
func (s *Service) PutTraceSegments(c *wire.Call, in *api.PutTraceSegmentsRequest) (*api.PutTraceSegmentsResult, error) {
	out := &api.PutTraceSegmentsResult{UnprocessedTraceSegments: []api.UnprocessedTraceSegment{}}
	for _, text := range in.TraceSegmentDocuments {
		x, why := s.take(c.Scope, []byte(text))
		if why == "" {
			continue
		}
		bad := api.UnprocessedTraceSegment{ErrorCode: wire.Some(string(why)), Message: wire.Some("Invalid segment. ErrorCode: " + string(why))}
		if x.ID != "" {
			bad.Id = wire.Some(x.ID)
		}
		out.UnprocessedTraceSegments = append(out.UnprocessedTraceSegments, bad)
	}
	return out, nil
}

// PutTelemetryRecords takes what a daemon says of itself. There is no operation that answers it.
func (s *Service) PutTelemetryRecords(*wire.Call, *api.PutTelemetryRecordsRequest) (*api.PutTelemetryRecordsResult, error) {
	return &api.PutTelemetryRecordsResult{}, nil
}

// maxIDs is how many traces BatchGetTraces answers at a time.
const maxIDs = 5

// BatchGetTraces answers traces with their segments.
func (s *Service) BatchGetTraces(c *wire.Call, in *api.BatchGetTracesRequest) (*api.BatchGetTracesResult, error) {
	if len(in.TraceIds) > maxIDs {
		return nil, invalid("At most %d trace ids can be retrieved at a time.", maxIDs)
	}
	out := &api.BatchGetTracesResult{Traces: []api.Trace{}, UnprocessedTraceIds: []string{}}
	for _, id := range in.TraceIds {
		if !isTraceID(id) {
			return nil, invalid("The trace id %s is invalid.", id)
		}
		t, ok := s.find(c.Scope, id)
		if !ok {
			out.UnprocessedTraceIds = append(out.UnprocessedTraceIds, id)
			continue
		}
		answer, err := t.answer()
		if err != nil {
			return nil, err
		}
		out.Traces = append(out.Traces, answer)
	}
	return out, nil
}

func (t *trace) answer() (api.Trace, error) {
	out := api.Trace{Id: wire.Some(t.key.id), LimitExceeded: wire.Some(t.exceeded), Segments: []api.Segment{}}
	parts, err := t.assemble()
	if err != nil {
		return out, err
	}
	for _, p := range parts {
		out.Segments = append(out.Segments, api.Segment{Id: wire.Some(p.id), Document: wire.Some(p.text)})
	}
	start, end := extent(t.segments())
	out.Duration = wire.Some(end - start)
	return out, nil
}

// defaultRule is the name of the one sampling rule; its values are those by which functions
// decide, see engine.
const (
	defaultRule     = "Default"
	defaultRate     = 0.05
	defaultReserve  = 1
	defaultPriority = 10_000
	targetInterval  = 10 // seconds
)

// GetSamplingRules answers the default rule: there are no others.
func (s *Service) GetSamplingRules(c *wire.Call, _ *api.GetSamplingRulesRequest) (*api.GetSamplingRulesResult, error) {
	rule := &api.SamplingRule{
		RuleName: wire.Some(defaultRule), RuleARN: wire.Some(c.Scope.ARN("xray", "sampling-rule/"+defaultRule)),
		ResourceARN: wire.Some("*"), Priority: wire.Some(int32(defaultPriority)), FixedRate: wire.Some(defaultRate),
		ReservoirSize: wire.Some(int32(defaultReserve)), ServiceName: wire.Some("*"), ServiceType: wire.Some("*"), Host: wire.Some("*"),
		HTTPMethod: wire.Some("*"), URLPath: wire.Some("*"), Version: wire.Some(int32(1)), Attributes: map[string]string{},
	}
	epoch := wire.Some(time.Unix(0, 0))
	return &api.GetSamplingRulesResult{SamplingRuleRecords: []api.SamplingRuleRecord{{SamplingRule: rule, CreatedAt: epoch, ModifiedAt: epoch}}}, nil
}

// GetSamplingTargets gives every client the whole reservoir of the default rule: weir does not
// share it out between them.
func (s *Service) GetSamplingTargets(_ *wire.Call, in *api.GetSamplingTargetsRequest) (*api.GetSamplingTargetsResult, error) {
	if len(in.SamplingBoostStatisticsDocuments) > 0 {
		return nil, invalid("weir does not support the parameter SamplingBoostStatisticsDocuments of GetSamplingTargets.")
	}
	out := &api.GetSamplingTargetsResult{
		SamplingTargetDocuments: []api.SamplingTargetDocument{}, UnprocessedStatistics: []api.UnprocessedStatistics{},
		LastRuleModification: wire.Some(time.Unix(0, 0)),
	}
	for _, d := range in.SamplingStatisticsDocuments {
		if d.RuleName.V != defaultRule {
			out.UnprocessedStatistics = append(out.UnprocessedStatistics, api.UnprocessedStatistics{
				RuleName: d.RuleName, ErrorCode: wire.Some("400"), Message: wire.Some("Unknown rule"),
			})
			continue
		}
		out.SamplingTargetDocuments = append(out.SamplingTargetDocuments, api.SamplingTargetDocument{
			RuleName: d.RuleName, FixedRate: wire.Some(defaultRate), ReservoirQuota: wire.Some(int32(defaultReserve)),
			ReservoirQuotaTTL: wire.Some(time.Now().Add(2 * targetInterval * time.Second)), Interval: wire.Some(int32(targetInterval)),
		})
	}
	return out, nil
}
