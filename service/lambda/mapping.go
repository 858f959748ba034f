package lambda

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// mappingSettings is what both Create and Update set of an event source mapping.
type mappingSettings struct {
	batch, window *wire.Opt[int32]
	filters       *api.FilterCriteria
	scaling       *api.ScalingConfig
	pollers       *api.ProvisionedPollerConfig
	responses     []string
	metrics       *api.EventSourceMappingMetricsConfig
}

// CreateEventSourceMapping has a function invoked with what is in a queue.
func (s *Service) CreateEventSourceMapping(c *wire.Call, in *api.CreateEventSourceMappingRequest) (*api.EventSourceMappingConfiguration, error) {
	t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
	if err != nil {
		return nil, err
	}
	if err := s.mappable(c, in, in.EventSourceArn.V, in.MetricsConfig, in.ProvisionedPollerConfig); err != nil {
		return nil, err
	}
	m := lambda.EventSourceMapping{
		ID: uuid.NewString(), Function: t.name, Qualifier: t.qualifier, Source: in.EventSourceArn.V,
		BatchSize: defaultBatch, State: lambda.MappingCreating, LastModified: time.Now(),
	}
	if in.Enabled.OK && !in.Enabled.V {
		m.State = lambda.MappingDisabled
	}
	m = mapped(m, mappingSettings{&in.BatchSize, &in.MaximumBatchingWindowInSeconds, in.FilterCriteria, in.ScalingConfig, in.ProvisionedPollerConfig, in.FunctionResponseTypes, in.MetricsConfig})
	if err := s.checkMapping(c, &m); err != nil {
		return nil, err
	}
	err = s.update(func(tx *store.Tx) error {
		if err := checkDuplicate(tx, t.scope, &m); err != nil {
			return err
		}
		store.EventSourceMappings.Put(tx, t.scope, m.ID, &m)
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.SetStatus(http.StatusAccepted)
	return mappingConfiguration(t.scope, &m), nil
}

// UpdateEventSourceMapping changes what is given of a mapping.
func (s *Service) UpdateEventSourceMapping(c *wire.Call, in *api.UpdateEventSourceMappingRequest) (*api.EventSourceMappingConfiguration, error) {
	old, ok := store.EventSourceMappings.Get(s.snapshot(), c.Scope, in.UUID.V)
	if !ok {
		return nil, noMapping()
	}
	if err := s.mappable(c, in, old.Source, in.MetricsConfig, in.ProvisionedPollerConfig); err != nil {
		return nil, err
	}
	var m lambda.EventSourceMapping
	err := s.changeMapping(c, in.UUID.V, func(tx *store.Tx, now lambda.EventSourceMapping) (lambda.EventSourceMapping, error) {
		m = now
		if in.FunctionName.OK {
			t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
			if err != nil {
				return m, err
			}
			m.Function, m.Qualifier = t.name, t.qualifier
			if err := checkDuplicate(tx, t.scope, &m); err != nil {
				return m, err
			}
		}
		m = mapped(m, mappingSettings{&in.BatchSize, &in.MaximumBatchingWindowInSeconds, in.FilterCriteria, in.ScalingConfig, in.ProvisionedPollerConfig, in.FunctionResponseTypes, in.MetricsConfig})
		disabled := now.State == lambda.MappingDisabled
		switch enable := in.Enabled.Or(!disabled); {
		case enable && disabled:
			m.State = lambda.MappingEnabling
		case enable:
			m.State = lambda.MappingUpdating
		case !disabled:
			m.State = lambda.MappingDisabling
		}
		m.LastModified = time.Now()
		if onlyDisables(in) {
			return m, nil
		}
		return m, s.checkMapping(c, &m)
	})
	if err != nil {
		return nil, err
	}
	c.SetStatus(http.StatusAccepted)
	return mappingConfiguration(c.Scope, &m), nil
}

// onlyDisables reports whether an update does nothing but disable a mapping. That must be
// possible when the queue or the function is gone, or they do not go together any more.
func onlyDisables(in *api.UpdateEventSourceMappingRequest) bool {
	for _, name := range wire.Given(in) {
		if name != "UUID" && name != "Enabled" {
			return false
		}
	}
	return in.Enabled.OK && !in.Enabled.V
}

// DeleteEventSourceMapping stops a mapping for good. Batches that are being processed are
// processed to their end.
func (s *Service) DeleteEventSourceMapping(c *wire.Call, in *api.DeleteEventSourceMappingRequest) (*api.EventSourceMappingConfiguration, error) {
	var m lambda.EventSourceMapping
	err := s.changeMapping(c, in.UUID.V, func(_ *store.Tx, now lambda.EventSourceMapping) (lambda.EventSourceMapping, error) {
		m = now
		m.State, m.LastModified = lambda.MappingDeleting, time.Now()
		return m, nil
	})
	if err != nil {
		return nil, err
	}
	c.SetStatus(http.StatusAccepted)
	return mappingConfiguration(c.Scope, &m), nil
}

// changeMapping changes a mapping that is not just changing.
func (s *Service) changeMapping(c *wire.Call, id string, f func(*store.Tx, lambda.EventSourceMapping) (lambda.EventSourceMapping, error)) error {
	return s.update(func(tx *store.Tx) error {
		now, ok := store.EventSourceMappings.Get(tx, c.Scope, id)
		if !ok {
			return noMapping()
		}
		if _, changing := now.State.Next(); changing {
			return userError("ResourceInUseException", "Cannot update the event source mapping because it is in use.")
		}
		next, err := f(tx, *now)
		if err != nil {
			return err
		}
		store.EventSourceMappings.Put(tx, c.Scope, id, &next)
		return nil
	})
}

func noMapping() error { return notFound("The resource you requested does not exist.") }

// GetEventSourceMapping describes a mapping.
func (s *Service) GetEventSourceMapping(c *wire.Call, in *api.GetEventSourceMappingRequest) (*api.EventSourceMappingConfiguration, error) {
	m, ok := store.EventSourceMappings.Get(s.snapshot(), c.Scope, in.UUID.V)
	if !ok {
		return nil, noMapping()
	}
	return mappingConfiguration(c.Scope, m), nil
}

// ListEventSourceMappings lists mappings by their UUID: all, or those of a queue, of a
// function or of both.
func (s *Service) ListEventSourceMappings(c *wire.Call, in *api.ListEventSourceMappingsRequest) (*api.ListEventSourceMappingsResponse, error) {
	var of target
	if in.FunctionName.OK {
		t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
		if err != nil {
			return nil, err
		}
		if _, err := t.version(s.snapshot()); err != nil {
			return nil, err
		}
		of = t
	}
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListEventSourceMappingsResponse{EventSourceMappings: []api.EventSourceMappingConfiguration{}}
	store.EventSourceMappings.Scan(s.snapshot(), c.Scope, p.After, func(id string, m *lambda.EventSourceMapping) bool {
		if in.EventSourceArn.OK && m.Source != in.EventSourceArn.V || in.FunctionName.OK && (m.Function != of.name || m.Qualifier != of.qualifier) {
			return true
		}
		if !p.Take(id) {
			return false
		}
		out.EventSourceMappings = append(out.EventSourceMappings, *mappingConfiguration(c.Scope, m))
		return true
	})
	out.NextMarker = p.Token()
	return out, nil
}

// mapped returns a mapping with the settings that are given.
func mapped(m lambda.EventSourceMapping, set mappingSettings) lambda.EventSourceMapping {
	m.BatchSize = int(set.batch.Or(int32(m.BatchSize)))
	m.WindowSec = int(set.window.Or(int32(m.WindowSec)))
	if set.filters != nil {
		m.Filters, m.HasFilters = nil, len(set.filters.Filters) > 0
		for _, f := range set.filters.Filters {
			m.Filters = append(m.Filters, f.Pattern.V)
		}
	}
	if set.scaling != nil {
		m.MaxConcurrency = int(set.scaling.MaximumConcurrency.V)
	}
	if p := set.pollers; p != nil {
		m.MinPollers, m.MaxPollers = 0, 0
		if p.MinimumPollers.OK || p.MaximumPollers.OK {
			m.MinPollers = int(p.MinimumPollers.Or(defaultMinPollers))
			m.MaxPollers = int(p.MaximumPollers.Or(max(defaultMaxPollers, int32(m.MinPollers))))
		}
	}
	if set.metrics != nil {
		m.CountsEvents = len(set.metrics.Metrics) > 0
	}
	if set.responses != nil {
		m.ReportsFailures = len(set.responses) > 0
	}
	return m
}

// mappingConfiguration describes a mapping as AWS does one of SQS.
func mappingConfiguration(scope lambda.Scope, m *lambda.EventSourceMapping) *api.EventSourceMappingConfiguration {
	out := &api.EventSourceMappingConfiguration{
		UUID:                           wire.Some(m.ID),
		BatchSize:                      wire.Some(int32(m.BatchSize)),
		MaximumBatchingWindowInSeconds: wire.Some(int32(m.WindowSec)),
		EventSourceArn:                 wire.Some(m.Source),
		FunctionArn:                    wire.Some(scope.FunctionARN(m.Function, m.Qualifier)),
		LastModified:                   wire.Some(m.LastModified),
		State:                          wire.Some(string(m.State)),
		StateTransitionReason:          wire.Some("USER_INITIATED"),
		FunctionResponseTypes:          []string{},
		EventSourceMappingArn:          wire.Some(m.ARN(scope)),
	}
	if m.ReportsFailures {
		out.FunctionResponseTypes = []string{"ReportBatchItemFailures"}
	}
	if m.CountsEvents {
		out.MetricsConfig = &api.EventSourceMappingMetricsConfig{Metrics: []string{eventCount}}
	}
	if m.HasFilters {
		out.FilterCriteria = &api.FilterCriteria{}
		for _, p := range m.Filters {
			out.FilterCriteria.Filters = append(out.FilterCriteria.Filters, api.Filter{Pattern: wire.Some(p)})
		}
	}
	if m.MaxConcurrency > 0 {
		out.ScalingConfig = &api.ScalingConfig{MaximumConcurrency: wire.Some(int32(m.MaxConcurrency))}
	}
	if m.MaxPollers > 0 {
		out.ProvisionedPollerConfig = &api.ProvisionedPollerConfig{MinimumPollers: wire.Some(int32(m.MinPollers)), MaximumPollers: wire.Some(int32(m.MaxPollers))}
	}
	return out
}
