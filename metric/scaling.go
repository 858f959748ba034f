package metric

import (
	"math"
	"slices"
	"time"
)

// A TargetTracking policy keeps a metric that falls as capacity grows near a target
// (Application Auto Scaling: "Target tracking scaling policies").
type TargetTracking struct {
	Target           float64
	ScaleOutCooldown time.Duration
	ScaleInCooldown  time.Duration
	DisableScaleIn   bool
}

// The alarms of a target tracking policy on provisioned concurrency: above the target for three
// minutes, below nine tenths of it for fifteen.
const (
	HighPoints = 3
	LowPoints  = 15
	lowShare   = 0.9
)

// Alarms returns the pair of alarms that a policy owns, for a query on its metric. The names are
// the caller's; with DisableScaleIn AWS makes both, and the low one has no effect.
func (t TargetTracking) Alarms(q Query) (high, low Alarm) {
	q.Return = true
	pair := Alarm{Queries: []Query{q}, Period: time.Minute, Repeat: true}
	high, low = pair, pair
	high.Operator, high.Threshold, high.Periods, high.Datapoints = GreaterThanThreshold, t.Target, HighPoints, HighPoints
	low.Operator, low.Threshold, low.Periods, low.Datapoints = LessThanThreshold, t.Low(), LowPoints, LowPoints
	return high, low
}

// Low is the value below which a policy scales in.
func (t TargetTracking) Low() float64 {
	return math.Round(t.Target*lowShare*1e9) / 1e9 // 0.63, not 0.6299999999999999
}

// A StepAdjustment changes capacity by an amount while the metric is as far from the alarm's
// threshold as its bounds say: Lower ≤ distance < Upper above it, Lower < distance ≤ Upper
// below.
type StepAdjustment struct {
	Lower, Upper float64 // ±Inf: unbounded
	Amount       int
}

// AdjustmentType tells what an amount means.
type AdjustmentType uint8

// The adjustment types.
const (
	ChangeInCapacity AdjustmentType = iota
	PercentChangeInCapacity
	ExactCapacity
)

// A StepScaling policy changes capacity by how far a metric is from a threshold.
type StepScaling struct {
	Type         AdjustmentType
	Steps        []StepAdjustment
	Cooldown     time.Duration
	MinMagnitude int // least change of PercentChangeInCapacity
}

// A Capacity is what a scalable target has and may have.
type Capacity struct {
	Current, Min, Max int

	// InSuspended and OutSuspended stop scaling in each direction.
	InSuspended, OutSuspended bool
}

// An Activity is what a policy did last. The zero value: nothing yet.
type Activity struct {
	At      Instant
	Out, In bool
	By      int // change of capacity
}

// A Why tells why nothing is scaled.
type Why string

// The reasons not to scale, as the API names them; Cooldown and Suspended are weir's.
const (
	AtMax       Why = "AlreadyAtMaxCapacity"
	AtMin       Why = "AlreadyAtMinCapacity"
	AtDesired   Why = "AlreadyAtDesiredCapacity"
	Flapping    Why = "AutoScalingAnticipatedFlapping"
	InCooldown  Why = "Cooldown"
	IsSuspended Why = "Suspended"
	IsDisabled  Why = "ScaleInDisabled"
)

// A Decision is the capacity that a policy wants. Why is empty if it differs from the current.
type Decision struct {
	Desired int
	Why     Why
}

// Decide answers an alarm of a target tracking policy that is in ALARM, with the newest value
// of its metric. Scaling out is proportional and rounds up; scaling in takes away so little that
// the metric stays under the target. A cooldown lets only a larger step out through, and scaling
// out ends a cooldown of scaling in.
func (t TargetTracking) Decide(value float64, c Capacity, last Activity, now Instant) Decision {
	if !finite(value) || !(t.Target > 0) || value < 0 {
		return Decision{c.Current, AtDesired}
	}
	// The product is rounded first: 10 × 0.7 ÷ 0.7 must not become 11.
	exact := math.Round(float64(c.Current)*value/t.Target*1e9) / 1e9
	want := int(min(math.Ceil(exact), math.MaxInt32))
	switch {
	case value > t.Target:
		return out(c, max(want, c.Current+1), last, t.ScaleOutCooldown, now)
	case value >= t.Low():
		return Decision{c.Current, AtDesired}
	case t.DisableScaleIn:
		return Decision{c.Current, IsDisabled}
	}
	if want >= c.Current {
		return Decision{c.Current, Flapping}
	}
	// At most a tenth at a time, one at least.
	want = max(want, c.Current-max(1, c.Current/10))
	return in(c, want, last, t.ScaleInCooldown, now)
}

// Decide answers an alarm of a step scaling policy that is in ALARM: value is its newest
// datapoint, threshold that of the alarm.
func (s StepScaling) Decide(value, threshold float64, c Capacity, last Activity, now Instant) Decision {
	distance := value - threshold
	for _, step := range s.Steps {
		above := distance >= 0 && step.Lower <= distance && distance < step.Upper
		below := distance < 0 && step.Lower < distance && distance <= step.Upper
		if !above && !below {
			continue
		}
		switch want := s.apply(step.Amount, c.Current); {
		case want > c.Current:
			return out(c, want, last, s.Cooldown, now)
		case want < c.Current:
			return in(c, want, last, s.Cooldown, now)
		}
		break
	}
	return Decision{c.Current, AtDesired}
}

// apply rounds percentages as AWS does: towards zero, but to 1 or -1 within them.
func (s StepScaling) apply(amount, current int) int {
	switch s.Type {
	case ExactCapacity:
		return amount
	case ChangeInCapacity:
		return current + amount
	}
	change := float64(current) * float64(amount) / 100
	switch {
	case change > 0 && change < 1:
		change = 1
	case change < 0 && change > -1:
		change = -1
	}
	n := int(change)
	if n > 0 {
		n = max(n, s.MinMagnitude)
	} else if n < 0 {
		n = min(n, -s.MinMagnitude)
	}
	return current + n
}

func out(c Capacity, want int, last Activity, cooldown time.Duration, now Instant) Decision {
	want = min(want, c.Max)
	switch {
	case c.OutSuspended:
		return Decision{c.Current, IsSuspended}
	case want <= c.Current:
		return Decision{c.Current, AtMax}
	case last.Out && now < last.At.Add(cooldown):
		// What the last step added counts as part of the next.
		if want-c.Current <= last.By {
			return Decision{c.Current, InCooldown}
		}
	}
	return Decision{Desired: want}
}

func in(c Capacity, want int, last Activity, cooldown time.Duration, now Instant) Decision {
	want = max(want, c.Min)
	switch {
	case c.InSuspended:
		return Decision{c.Current, IsSuspended}
	case want >= c.Current:
		return Decision{c.Current, AtMin}
	case (last.In || last.Out) && now < last.At.Add(cooldown):
		return Decision{c.Current, InCooldown}
	}
	return Decision{Desired: want}
}

// Combine decides between the policies of one target: the largest capacity wins, so scaling in
// needs all of them to agree. There is at least one decision.
func Combine(all []Decision) Decision {
	return slices.MaxFunc(all, func(a, b Decision) int { return a.Desired - b.Desired })
}

// Bound applies a scheduled action, or a new registration, to a target: capacity moves into the
// bounds, whatever cooldowns say.
func Bound(current, least, most int) int { return max(min(current, most), least) }
