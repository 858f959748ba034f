package cloudwatch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
)

// A Datapoint is values of one metric at one time.
type Datapoint struct {
	Metric metric.Metric // its dimensions sorted
	Unit   metric.Unit
	At     metric.Instant
	Values []float64
	High   bool // kept by the second too
}

// Put counts datapoints that come from within the server, such as those of log lines.
func (s *Service) Put(scope lambda.Scope, points []Datapoint) {
	data := make([]datum, len(points))
	for i, p := range points {
		data[i] = datum{metric: p.Metric, unit: p.Unit, key: metric.KeyOf(scope, p.Metric, p.Unit), at: p.At, high: p.High}
		for _, v := range p.Values {
			data[i].set.Add(v, 1)
		}
	}
	s.driver.put(s.driver.account(scope), data)
}

// Bounds of the embedded metric format.
const (
	maxEMFMetrics    = 100 // of a directive, and values of a metric
	maxEMFDimensions = 30  // of a set
	maxEMFName       = 255 // bytes, of a namespace, a metric or a dimension
	maxEMFValue      = 1024
)

// emfMark is in every log line of the format; a line without it is not decoded.
var emfMark = []byte(`"CloudWatchMetrics"`)

type emfMetadata struct {
	AWS *struct {
		Timestamp  *int64 `json:"Timestamp"` // milliseconds since 1970
		Directives []struct {
			Namespace  string     `json:"Namespace"`
			Dimensions [][]string `json:"Dimensions"`
			Metrics    []struct {
				Name              string `json:"Name"`
				Unit              string `json:"Unit"`
				StorageResolution int    `json:"StorageResolution"`
			} `json:"Metrics"`
		} `json:"CloudWatchMetrics"`
	} `json:"_aws"`
}

// EMF returns the datapoints of a log line in the embedded metric format (CloudWatch:
// "Specification: Embedded metric format"); none if it is an ordinary line. An error names what
// makes the line invalid; as on AWS it is a log line all the same.
func EMF(line []byte, now time.Time) ([]Datapoint, error) {
	if !bytes.Contains(line, emfMark) {
		return nil, nil
	}
	var meta emfMetadata
	if err := json.Unmarshal(line, &meta); err != nil {
		return nil, fmt.Errorf("decode the embedded metrics: %w", err)
	}
	if meta.AWS == nil {
		return nil, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil {
		return nil, fmt.Errorf("decode the embedded metrics: %w", err)
	}
	at := instant(now)
	if t := meta.AWS.Timestamp; t != nil {
		if *t < 0 || *t > 1<<42 {
			return nil, fmt.Errorf("the timestamp %d of the embedded metrics is no time in milliseconds", *t)
		}
		at = metric.Instant(*t) * metric.Instant(time.Millisecond)
	}
	if at < instant(now)-metric.Instant(maxPast) || at > instant(now).Add(maxFuture) {
		return nil, errors.New("the timestamp of the embedded metrics is more than two weeks ago or more than two hours ahead")
	}
	var all []Datapoint
	for _, d := range meta.AWS.Directives {
		if d.Namespace == "" || len(d.Metrics) > maxEMFMetrics {
			return nil, fmt.Errorf("embedded metrics need a namespace, and at most %d metrics in a directive", maxEMFMetrics)
		}
		if len(d.Dimensions) == 0 {
			d.Dimensions = [][]string{nil}
		}
		if !metric.Nameable(d.Namespace, maxEMFName) {
			return nil, fmt.Errorf("the namespace %.32q of the embedded metrics is too long or has control characters", d.Namespace)
		}
		for _, m := range d.Metrics {
			if !metric.Nameable(m.Name, maxEMFName) {
				return nil, fmt.Errorf("the embedded metric %.32q has no name that is short enough and without control characters", m.Name)
			}
			values, err := emfValues(members[m.Name])
			if err != nil {
				return nil, fmt.Errorf("the embedded metric %s: %w", m.Name, err)
			}
			if len(values) == 0 {
				continue
			}
			unit := metric.None
			if m.Unit != "" {
				var ok bool
				if unit, ok = metric.ParseUnit(m.Unit); !ok {
					return nil, fmt.Errorf("the embedded metric %s has the unknown unit %s", m.Name, m.Unit)
				}
			}
			for _, names := range d.Dimensions {
				x := Datapoint{Metric: metric.Metric{Namespace: d.Namespace, Name: m.Name}, Unit: unit, At: at, Values: values, High: m.StorageResolution == 1}
				if x.Metric.Dimensions, err = emfDimensions(names, members); err != nil {
					return nil, err
				}
				x.Metric = x.Metric.Sorted()
				all = append(all, x)
			}
		}
	}
	return all, nil
}

// emfValues reads a metric's value, or values; none if the line does not have it.
func emfValues(raw json.RawMessage) ([]float64, error) {
	if raw == nil {
		return nil, nil
	}
	var one float64
	if json.Unmarshal(raw, &one) == nil && raw[0] != 'n' {
		return []float64{one}, inRange(one, "value")
	}
	var many []float64
	if err := json.Unmarshal(raw, &many); err != nil || many == nil {
		return nil, errors.New("its value is neither a number nor a list of numbers")
	}
	if len(many) > maxEMFMetrics {
		return nil, fmt.Errorf("it has more than %d values", maxEMFMetrics)
	}
	for _, v := range many {
		if err := inRange(v, "value"); err != nil {
			return nil, err
		}
	}
	return many, nil
}

func emfDimensions(names []string, members map[string]json.RawMessage) ([]metric.Dimension, error) {
	if len(names) > maxEMFDimensions {
		return nil, fmt.Errorf("embedded metrics have at most %d dimensions", maxEMFDimensions)
	}
	var all []metric.Dimension
	for _, name := range names {
		var value string
		if json.Unmarshal(members[name], &value) != nil || value == "" {
			return nil, fmt.Errorf("the dimension %s of the embedded metrics has no text", name)
		}
		if !metric.Nameable(name, maxEMFName) || !metric.Nameable(value, maxEMFValue) {
			return nil, fmt.Errorf("the dimension %.32q of the embedded metrics is too long or has control characters", name)
		}
		all = append(all, metric.Dimension{Name: name, Value: value})
	}
	return all, nil
}
