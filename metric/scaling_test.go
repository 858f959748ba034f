package metric

import (
	"testing"
	"time"
)

// TestTargetTrackingAlarms holds the pair that a policy owns, and the decisions between
// policies.
func TestTargetTrackingAlarms(t *testing.T) {
	high, low := TargetTracking{Target: 0.7}.Alarms(Query{ID: "m1", Stat: Average})
	if high.Operator != GreaterThanThreshold || high.Threshold != 0.7 || high.Datapoints != 3 || high.Periods != 3 {
		t.Errorf("high: %+v", high)
	}
	if low.Operator != LessThanThreshold || low.Threshold != 0.63 || low.Datapoints != 15 || low.Periods != 15 {
		t.Errorf("low: %+v", low)
	}
	for _, a := range []Alarm{high, low} {
		if a.Period != time.Minute || !a.Repeat || len(a.Queries) != 1 || !a.Queries[0].Return {
			t.Errorf("%+v", a)
		}
	}
	if d := Combine([]Decision{{Desired: 4}, {Desired: 9}, {Desired: 7, Why: AtDesired}}); d.Desired != 9 {
		t.Errorf("the largest of three is %+v", d)
	}
	for _, row := range [][4]int{{10, 50, 50, 50}, {10, 5, 5, 5}, {10, 2, 20, 10}} {
		if got := Bound(row[0], row[1], row[2]); got != row[3] {
			t.Errorf("%d in %d to %d: %d", row[0], row[1], row[2], got)
		}
	}
}

// TestKeys holds that dimensions in any order are one metric, and that its text can be read.
func TestKeys(t *testing.T) {
	a := Metric{"n", "m", []Dimension{{"b", "2"}, {"a", "1"}}}.Sorted()
	b := Metric{"n", "m", []Dimension{{"a", "1"}, {"b", "2"}}}.Sorted()
	if KeyOf(testScope, a, Count) != KeyOf(testScope, b, Count) || KeyOf(testScope, a, Count) == KeyOf(testScope, a, None) {
		t.Error("the keys")
	}
	if KeyOf(testScope, a, Count).Metric() != KeyOf(testScope, a, None).Metric() || KeyOf(testScope, a, Count).Unit() != Count {
		t.Error("the parts of a key")
	}
	if got, ok := ParseMetric(a.Text()); !ok || got.Text() != a.Text() || got.Dimensions[1] != a.Dimensions[1] {
		t.Errorf("%+v", got)
	}
	for i, name := range units {
		if u, ok := ParseUnit(name); ok != (i > 0) || int(u) != i {
			t.Errorf("%q is unit %d", name, u)
		}
	}
	for u, name := range map[Unit]string{Seconds: "Seconds", Milliseconds: "Milliseconds", Bytes: "Bytes", Count: "Count", None: "None"} {
		if u.String() != name {
			t.Errorf("unit %d is %s, not %s", u, u, name)
		}
	}
}
