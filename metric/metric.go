package metric

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/weir-run/weir/lambda"
)

// An Instant is nanoseconds since 1970.
type Instant = lambda.Instant

// Never is later than every moment.
const Never = lambda.Never

// How long periods of each resolution are kept (CloudWatch: "Metrics retention").
const (
	KeepHighResolution = 3 * time.Hour
	KeepByMinute       = 15 * 24 * time.Hour
	KeepByFive         = 63 * 24 * time.Hour
	KeepByHour         = 455 * 24 * time.Hour
)

// A Dimension is a name and a value that are part of a metric's identity.
type Dimension struct{ Name, Value string }

// A Metric is the identity of a metric. Dimensions are sorted by name.
type Metric struct {
	Namespace  string
	Name       string
	Dimensions []Dimension
}

// Nameable reports whether a request to CloudWatch can name a metric by a text of at most so many
// bytes: what it cannot name would be counted, and never read.
func Nameable(text string, most int) bool {
	return text != "" && len(text) <= most && strings.IndexFunc(text, unicode.IsControl) < 0
}

// Sorted returns the metric with its dimensions in order.
func (m Metric) Sorted() Metric {
	m.Dimensions = slices.SortedFunc(slices.Values(m.Dimensions), func(a, b Dimension) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Value, b.Value))
	})
	return m
}

// Dimension returns the value of a dimension, and whether the metric has it.
func (m Metric) Dimension(name string) (string, bool) {
	for _, d := range m.Dimensions {
		if d.Name == name {
			return d.Value, true
		}
	}
	return "", false
}

// Text is an encoding of a metric that sorts by namespace, then name, then dimensions. No
// part of a metric holds a byte below 0x20.
func (m Metric) Text() string {
	var b strings.Builder
	b.WriteString(m.Namespace)
	b.WriteByte(0)
	b.WriteString(m.Name)
	for _, d := range m.Dimensions {
		b.WriteByte(0)
		b.WriteString(d.Name)
		b.WriteByte(1)
		b.WriteString(d.Value)
	}
	return b.String()
}

// ParseMetric is the inverse of Text.
func ParseMetric(text string) (Metric, bool) {
	parts := strings.Split(text, "\x00")
	if len(parts) < 2 {
		return Metric{}, false
	}
	m := Metric{Namespace: parts[0], Name: parts[1]}
	for _, p := range parts[2:] {
		name, value, ok := strings.Cut(p, "\x01")
		if !ok {
			return Metric{}, false
		}
		m.Dimensions = append(m.Dimensions, Dimension{name, value})
	}
	return m, true
}

// A Key names a metric of a scope, and the unit of its datapoints: fifteen bytes of a hash,
// and the unit. Two metrics with one hash are as good as impossible.
type Key [16]byte

// KeyOf returns the key of a metric whose dimensions are sorted.
func KeyOf(s lambda.Scope, m Metric, u Unit) Key {
	sum := sha256.Sum256([]byte(s.String() + "\x00" + m.Text()))
	k := Key(sum[:16])
	k[15] = byte(u)
	return k
}

// Metric returns the key without its unit.
func (k Key) Metric() Key {
	k[15] = 0
	return k
}

// Unit returns the unit of the key's datapoints.
func (k Key) Unit() Unit { return Unit(k[15]) }

// A Unit is what a datapoint is measured in. The zero value stands for any unit.
type Unit uint8

// The units that weir's own metrics have. The others are known by their names.
const (
	AnyUnit      Unit = 0
	Seconds      Unit = 1
	Milliseconds Unit = 3
	Bytes        Unit = 4
	Count        Unit = 15
	None         Unit = 27
)

var units = [...]string{
	"", "Seconds", "Microseconds", "Milliseconds",
	"Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes",
	"Bits", "Kilobits", "Megabits", "Gigabits", "Terabits",
	"Percent", "Count",
	"Bytes/Second", "Kilobytes/Second", "Megabytes/Second", "Gigabytes/Second", "Terabytes/Second",
	"Bits/Second", "Kilobits/Second", "Megabits/Second", "Gigabits/Second", "Terabits/Second",
	"Count/Second", "None",
}

// ParseUnit returns the unit of a name.
func ParseUnit(name string) (Unit, bool) {
	i := slices.Index(units[:], name)
	return Unit(max(i, 0)), i > 0
}

// String returns the unit's name in the API, or "" for AnyUnit.
func (u Unit) String() string {
	if int(u) >= len(units) {
		return ""
	}
	return units[u]
}

// A Period is the datapoints of a metric in one unit from Start on, for Length.
type Period struct {
	Unit   Unit
	Start  Instant
	Length time.Duration
	Set    Set
}

// Floor returns the start of the period that holds a moment.
func Floor(at Instant, length time.Duration) Instant {
	n := Instant(length)
	d := at % n
	if d < 0 {
		d += n
	}
	return at - d
}
