package cloudwatch

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	api "github.com/weir-run/weir/aws/cloudwatch"
	"github.com/weir-run/weir/metric"
)

// labelOptions are how times in labels are written.
type labelOptions struct{ zone *time.Location }

var zonePattern = regexp.MustCompile(`^[+-]\d{4}$`)

func labelOptionsOf(in *api.LabelOptions) (labelOptions, error) {
	o := labelOptions{time.UTC}
	if in == nil || !in.Timezone.OK {
		return o, nil
	}
	z := in.Timezone.V
	if !zonePattern.MatchString(z) {
		return o, validation("The value %s for parameter LabelOptions.Timezone is invalid. It must have the form +0130.", z)
	}
	n, err := strconv.Atoi(z[1:])
	if err != nil || n%100 > 59 || n/100 > 23 {
		return o, validation("The value %s for parameter LabelOptions.Timezone is invalid.", z)
	}
	offset := (n/100*60 + n%100) * 60
	if z[0] == '-' {
		offset = -offset
	}
	o.zone = time.FixedZone(z, offset)
	return o, nil
}

var dynamic = regexp.MustCompile(`\$\{[^}]*\}`)

// label fills in the dynamic parts of a label, such as ${MAX} (CloudWatch: "Use dynamic
// labels"). Without a label it is that of the series. What is unknown stays.
func (o labelOptions) label(label string, s *metric.Series) string {
	if label == "" {
		return s.Label
	}
	return dynamic.ReplaceAllStringFunc(label, func(part string) string {
		if text, ok := o.part(part[2:len(part)-1], s); ok {
			return text
		}
		return part
	})
}

func (o labelOptions) part(name string, s *metric.Series) (string, bool) {
	if dimension, ok := strings.CutPrefix(name, "PROP('Dim."); ok {
		return s.Metric.Dimension(strings.TrimSuffix(dimension, "')"))
	}
	switch name {
	case "LABEL":
		return s.Label, true
	case "PROP('Namespace')":
		return s.Metric.Namespace, true
	case "PROP('MetricName')":
		return s.Metric.Name, true
	case "PROP('Stat')":
		return s.Stat.String(), true
	case "PROP('Period')":
		return itoa(int64(s.Period / time.Second)), true
	case "DATAPOINT_COUNT":
		return itoa(int64(len(s.Points))), true
	}
	which, timed := strings.CutSuffix(name, "_TIME")
	if which == "AVG" || which == "SUM" {
		return o.total(which, s), !timed
	}
	p, ok := pointOf(which, s.Points)
	switch {
	case !ok:
		return "--", len(s.Points) == 0
	case timed:
		return time.Unix(0, int64(p.At)).In(o.zone).Format("2006-01-02 15:04"), true
	}
	return strconv.FormatFloat(p.Value, 'g', -1, 64), true
}

func (o labelOptions) total(which string, s *metric.Series) string {
	sum := 0.0
	for _, p := range s.Points {
		sum += p.Value
	}
	if which == "AVG" && len(s.Points) > 0 {
		sum /= float64(len(s.Points))
	}
	return strconv.FormatFloat(sum, 'g', -1, 64)
}

// pointOf returns the point that a label names.
func pointOf(which string, points []metric.Point) (metric.Point, bool) {
	if len(points) == 0 {
		return metric.Point{}, false
	}
	best := points[0]
	switch which {
	case "FIRST":
		return best, true
	case "LAST":
		return points[len(points)-1], true
	case "MAX", "MIN":
	default:
		return best, false
	}
	for _, p := range points {
		if which == "MAX" && p.Value > best.Value || which == "MIN" && p.Value < best.Value {
			best = p
		}
	}
	return best, true
}
