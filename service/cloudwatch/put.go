package cloudwatch

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	api "github.com/weir-run/weir/aws/cloudwatch"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/metric"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// Bounds of PutMetricData.
const (
	maxData    = 1000 // metrics of a request
	maxValues  = 150  // different values of one
	maxPast    = 14 * 24 * time.Hour
	maxFuture  = 2 * time.Hour
	largest    = 0x1p360
	reservedNS = "AWS/"
)

// PutMetricData takes datapoints. It checks all of them before it counts the first.
func (s *Service) PutMetricData(c *wire.Call, in *api.PutMetricDataInput) error {
	if err := s.supported(c, in, "EntityMetricData", "StrictEntityValidation"); err != nil {
		return err
	}
	ns := in.Namespace.V
	switch {
	case strings.HasPrefix(ns, reservedNS):
		return invalid("The value AWS/ for parameter Namespace is invalid.")
	case strings.HasPrefix(ns, ":"):
		return invalid("The value %s for parameter Namespace is invalid. It must not start with a colon.", ns)
	case len(in.MetricData) == 0:
		return missing("The parameter MetricData is required.")
	case len(in.MetricData) > maxData:
		return invalid("The collection MetricData must not have a size greater than %d.", maxData)
	}
	now := s.driver.now()
	data := make([]datum, len(in.MetricData))
	for i := range in.MetricData {
		var err error
		if data[i], err = datumOf(ns, &in.MetricData[i], fmt.Sprintf("MetricData.member.%d", i+1), now); err != nil {
			return err
		}
		data[i].key = metric.KeyOf(c.Scope, data[i].metric, data[i].unit)
	}
	s.driver.put(s.driver.account(c.Scope), data)
	return nil
}

// put counts datapoints.
func (d *driver) put(a *account, data []datum) {
	inputs := make([]metric.Input, len(data))
	a.mu.Lock()
	for i := range data {
		x := &data[i]
		a.note(x.key, x.metric, d.now())
		inputs[i] = metric.Put(x.key, x.at, &x.set, x.high)
	}
	a.mu.Unlock()
	d.step(a, inputs...)
}

// A datum is the datapoints of one metric at one time.
type datum struct {
	metric metric.Metric
	unit   metric.Unit
	key    metric.Key
	at     metric.Instant
	set    metric.Set
	high   bool
}

func datumOf(namespace string, in *api.MetricDatum, path string, now metric.Instant) (datum, error) {
	x := datum{at: now, unit: metric.None}
	var err error
	if x.metric, err = metricOf(namespace, in.MetricName.V, in.Dimensions); err != nil {
		return x, err
	}
	if in.MetricName.V == "" {
		return x, missing("The parameter %s.MetricName is required.", path)
	}
	for i, d := range in.Dimensions {
		if d.Name.V == "" || d.Value.V == "" {
			return x, invalid("The parameters %s.Dimensions.member.%d.Name and Value are required.", path, i+1)
		}
	}
	if in.Unit.OK {
		if x.unit, err = unitOf(in.Unit); err != nil {
			return x, err
		}
	}
	switch in.StorageResolution.Or(60) {
	case 1:
		x.high = true
	case 60:
	default:
		return x, invalid("The value %d for parameter %s.StorageResolution is invalid. It must be 1 or 60.", in.StorageResolution.V, path)
	}
	if in.Timestamp.OK {
		x.at = instant(in.Timestamp.V)
		if x.at < now-metric.Instant(maxPast) || x.at > now.Add(maxFuture) {
			return x, invalid("The parameter %s.Timestamp must specify a time no more than two weeks in the past and no more than two hours in the future.", path)
		}
	}
	return x, fill(&x.set, in, path)
}

// fill counts a datum's values.
func fill(set *metric.Set, in *api.MetricDatum, path string) error {
	given := 0
	for _, is := range []bool{in.Value.OK, in.StatisticValues != nil, len(in.Values) > 0} {
		if is {
			given++
		}
	}
	switch {
	case given == 0:
		return missing("At least one of the parameters must be specified: %s.Value, %s.Values, %s.StatisticValues.", path, path, path)
	case in.Value.OK && in.StatisticValues != nil:
		return combination("The parameters %s.Value and %s.StatisticValues are mutually exclusive and you have specified both.", path, path)
	case given > 1:
		return combination("The parameters %s.Values and %s.Value or %s.StatisticValues are mutually exclusive and you have specified both.", path, path, path)
	}
	if in.Value.OK {
		if err := inRange(in.Value.V, path+".Value"); err != nil {
			return err
		}
		set.Add(in.Value.V, 1)
		return nil
	}
	if v := in.StatisticValues; v != nil {
		for _, x := range []struct {
			v    float64
			name string
		}{{v.SampleCount.V, "SampleCount"}, {v.Sum.V, "Sum"}, {v.Minimum.V, "Minimum"}, {v.Maximum.V, "Maximum"}} {
			if err := inRange(x.v, path+".StatisticValues."+x.name); err != nil {
				return err
			}
		}
		if v.SampleCount.V <= 0 || v.Minimum.V > v.Maximum.V {
			return invalid("The parameter %s.StatisticValues must have a SampleCount above 0 and a Minimum that does not exceed the Maximum.", path)
		}
		set.AddSummary(v.SampleCount.V, v.Sum.V, v.Minimum.V, v.Maximum.V)
		return nil
	}
	if len(in.Values) > maxValues {
		return invalid("The collection %s.Values must not have a size greater than %d.", path, maxValues)
	}
	if len(in.Counts) > 0 && len(in.Counts) != len(in.Values) {
		return invalid("The parameters %s.Values and %s.Counts must be of the same size.", path, path)
	}
	for i, v := range in.Values {
		count := 1.0
		if len(in.Counts) > 0 {
			count = in.Counts[i]
		}
		if err := inRange(v, fmt.Sprintf("%s.Values.member.%d", path, i+1)); err != nil {
			return err
		}
		if err := inRange(count, fmt.Sprintf("%s.Counts.member.%d", path, i+1)); err != nil || count <= 0 {
			return invalid("The value %v for parameter %s.Counts.member.%d is invalid.", count, path, i+1)
		}
		set.Add(v, count)
	}
	return nil
}

func inRange(v float64, path string) error {
	if math.IsNaN(v) || math.Abs(v) > largest {
		return invalid("The value %v for parameter %s is invalid.", v, path)
	}
	return nil
}
