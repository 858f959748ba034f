package logs

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	api "github.com/weir-run/weir/aws/logs"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
)

// A metricFilter makes a datapoint of every event of a group that matches.
type metricFilter struct {
	Name       string            `json:",omitzero"`
	Pattern    string            `json:",omitzero"`
	Metric     string            `json:",omitzero"`
	Namespace  string            `json:",omitzero"`
	Value      string            `json:",omitzero"` // a number, or what names a part of the event
	Default    *float64          `json:",omitzero"` // of a minute with events of which none matches
	Dimensions map[string]string `json:",omitzero"` // name to what names a part of the event
	Unit       string            `json:",omitzero"`
	CreatedAt  int64             `json:",omitzero"`
}

// A Datapoint is what a metric filter made of an event.
type Datapoint struct {
	Scope      lambda.Scope
	Namespace  string
	Metric     string
	Unit       string // None if none was given
	Dimensions map[string]string
	Value      float64
	Time       time.Time
}

// Limits of metric filters (AWS: "CloudWatch Logs quotas").
const (
	maxMetricFilters  = 100 // of a group
	maxDimensions     = 3
	maxDimensionValue = 1024 // bytes
)

// PutMetricFilter makes or changes a metric filter.
func (s *Service) PutMetricFilter(c *wire.Call, in *api.PutMetricFilterRequest) error {
	switch {
	case s.opt.Emit == nil:
		return lambda.Errorf("InvalidOperationException", "This server has no metrics that a filter could feed.")
	case in.ApplyOnTransformedLogs.V:
		return unsupported(c, "applyOnTransformedLogs")
	case in.FieldSelectionCriteria.V != "":
		return unsupported(c, "fieldSelectionCriteria")
	case len(in.EmitSystemFieldDimensions) > 0:
		return unsupported(c, "emitSystemFieldDimensions")
	}
	p, err := s.cache.parse(in.FilterPattern.V)
	if err != nil {
		return err
	}
	t := in.MetricTransformations[0]
	if err := checkTransformation(p, &t); err != nil {
		return err
	}
	x := metricFilter{
		Name: in.FilterName.V, Pattern: in.FilterPattern.V, Metric: t.MetricName.V, Namespace: t.MetricNamespace.V,
		Value: t.MetricValue.V, Dimensions: t.Dimensions, Unit: t.Unit.Or("None"), CreatedAt: time.Now().UnixMilli(),
	}
	if t.DefaultValue.OK {
		x.Default = &t.DefaultValue.V
	}
	return s.change(c.Scope, in.LogGroupName.V, func(g *logGroup) error {
		var err error
		g.Metrics, err = put(g.Metrics, x, func(x metricFilter) string { return x.Name }, maxMetricFilters)
		return err
	})
}

func checkTransformation(p *pattern, t *api.MetricTransformation) error {
	switch {
	case len(t.Dimensions) > maxDimensions:
		return invalid("A metric filter has at most %d dimensions.", maxDimensions)
	case len(t.Dimensions) > 0 && t.DefaultValue.OK:
		return invalid("Invalid metric transformation: dimensions and default value are mutually exclusive properties.")
	case len(t.Dimensions) > 0 && p.json == nil && p.fields == nil:
		return invalid("Invalid metric transformation: dimensions need a JSON or a space-delimited filter pattern.")
	}
	for _, name := range append(slices.Collect(maps.Keys(t.Dimensions)), t.MetricName.V, t.MetricNamespace.V) {
		if !metric.Nameable(name, maxDimensionValue) {
			return invalid("Invalid metric transformation: the name %.32q is empty, too long or has control characters.", name)
		}
	}
	for name, selector := range t.Dimensions {
		if !p.names(selector) {
			return invalid("Invalid metric transformation: the value '%s' of the dimension %s names nothing that the filter pattern has.", selector, name)
		}
	}
	value := t.MetricValue.V
	if strings.HasPrefix(value, "$") {
		if !p.names(value) {
			return invalid("Invalid metric transformation: the metric value '%s' names nothing that the filter pattern has.", value)
		}
		return nil
	}
	if n, err := strconv.ParseFloat(value, 64); err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return invalid("Invalid metric transformation: the metric value '%s' is neither a number nor a selector.", value)
	}
	return nil
}

// DeleteMetricFilter removes a metric filter.
func (s *Service) DeleteMetricFilter(c *wire.Call, in *api.DeleteMetricFilterRequest) error {
	return s.change(c.Scope, in.LogGroupName.V, func(g *logGroup) error {
		before := len(g.Metrics)
		g.Metrics = slices.DeleteFunc(slices.Clone(g.Metrics), func(x metricFilter) bool { return x.Name == in.FilterName.V })
		if len(g.Metrics) == before {
			return lambda.Errorf(lambda.CodeResourceNotFound, "The specified metric filter does not exist.")
		}
		return nil
	})
}

// DescribeMetricFilters lists metric filters: of a group, or all that feed a metric.
func (s *Service) DescribeMetricFilters(c *wire.Call, in *api.DescribeMetricFiltersRequest) (*api.DescribeMetricFiltersResponse, error) {
	var list []api.MetricFilter
	add := func(g *logGroup) {
		for _, x := range g.Metrics {
			if strings.HasPrefix(x.Name, in.FilterNamePrefix.V) && x.Metric == in.MetricName.Or(x.Metric) && x.Namespace == in.MetricNamespace.Or(x.Namespace) {
				list = append(list, x.describe(g.Name))
			}
		}
	}
	switch {
	case in.MetricName.OK != in.MetricNamespace.OK:
		return nil, invalid("MetricName and MetricNamespace must be given together.")
	case in.LogGroupName.OK:
		_, g, err := s.group(c, in.LogGroupName, wire.Opt[string]{})
		if err != nil {
			return nil, err
		}
		add(g)
	default:
		groups.Scan(s.snapshot(), c.Scope, "", func(_ string, g *logGroup) bool {
			add(g)
			return true
		})
	}
	// A zero byte is in no name: groups stay together, and in order.
	place := func(x api.MetricFilter) string { return x.LogGroupName.V + "\x00" + x.FilterName.V }
	list, next, err := page(list, place, in.NextToken, in.Limit)
	if err != nil {
		return nil, err
	}
	if list == nil {
		list = []api.MetricFilter{}
	}
	return &api.DescribeMetricFiltersResponse{MetricFilters: list, NextToken: next}, nil
}

func (x *metricFilter) describe(group string) api.MetricFilter {
	t := api.MetricTransformation{
		MetricName: wire.Some(x.Metric), MetricNamespace: wire.Some(x.Namespace), MetricValue: wire.Some(x.Value),
		Dimensions: x.Dimensions, Unit: wire.Some(x.Unit),
	}
	if x.Default != nil {
		t.DefaultValue = wire.Some(*x.Default)
	}
	return api.MetricFilter{
		FilterName: wire.Some(x.Name), FilterPattern: wire.Some(x.Pattern), MetricTransformations: []api.MetricTransformation{t},
		CreationTime: wire.Some(x.CreatedAt), LogGroupName: wire.Some(group), ApplyOnTransformedLogs: wire.Some(false),
	}
}

// TestMetricFilter tells which messages a pattern selects, and what it reads from them.
func (s *Service) TestMetricFilter(_ *wire.Call, in *api.TestMetricFilterRequest) (*api.TestMetricFilterResponse, error) {
	p, err := parsePattern(in.FilterPattern.V)
	if err != nil {
		return nil, err
	}
	out := &api.TestMetricFilterResponse{Matches: []api.MetricFilterMatchRecord{}}
	for i, message := range in.LogEventMessages {
		if p.match([]byte(message)) {
			out.Matches = append(out.Matches, api.MetricFilterMatchRecord{
				EventNumber: wire.Some(int64(i + 1)), EventMessage: wire.Some(message), ExtractedValues: p.extract([]byte(message)),
			})
		}
	}
	return out, nil
}

// datapoint makes a datapoint of a message that matches; false if it lacks a part that is named,
// or has no number there.
func (x *metricFilter) datapoint(p *pattern, message []byte) (Datapoint, bool) {
	text := x.Value
	if strings.HasPrefix(text, "$") {
		var ok bool
		if text, ok = p.value(message, text); !ok {
			return Datapoint{}, false
		}
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return Datapoint{}, false
	}
	d := Datapoint{Namespace: x.Namespace, Metric: x.Metric, Unit: x.Unit, Value: value}
	if len(x.Dimensions) > 0 {
		d.Dimensions = make(map[string]string, len(x.Dimensions))
	}
	for name, selector := range x.Dimensions {
		value, ok := p.value(message, selector)
		if !ok || !metric.Nameable(value, maxDimensionValue) {
			return Datapoint{}, false
		}
		d.Dimensions[name] = value
	}
	return d, true
}
