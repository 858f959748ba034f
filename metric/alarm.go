package metric

import (
	"fmt"
	"slices"
	"time"
)

// An Alarm is the configuration of an alarm: on a metric or an expression over metrics, or
// composite if Rule is set.
type Alarm struct {
	Name    string
	Queries []Query // exactly one with Return
	Rule    *Rule

	Period     time.Duration
	Periods    int // that are evaluated, N
	Datapoints int // that must breach, M
	Threshold  float64
	Operator   Operator
	Missing    Missing

	// KeepOnLowSamples leaves the state alone when a percentile has too few datapoints.
	KeepOnLowSamples bool

	// Repeat asks for Persist at each evaluation that leaves the alarm in ALARM.
	Repeat bool

	// State is that of an alarm that the machine does not know yet.
	State State
}

// A Query is one line of an alarm on several metrics, or of GetMetricData: a statistic of a
// metric, or an expression over other lines.
type Query struct {
	ID         string
	Metric     Metric
	Key        Key  // of Metric; its unit does not matter
	Unit       Unit // AnyUnit: all
	Stat       Stat
	Expression *Expression // nil: a statistic
	Label      string
	Return     bool
}

// An Operator compares a datapoint with the threshold.
type Operator uint8

// The comparison operators.
const (
	GreaterThanOrEqualToThreshold Operator = iota
	GreaterThanThreshold
	LessThanThreshold
	LessThanOrEqualToThreshold
)

var operators = [...]string{"GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold"}

// phrases are the operators in the reason of a state.
var phrases = [...]string{"greater than or equal to", "greater than", "less than", "less than or equal to"}

// ParseOperator returns the operator of a name.
func ParseOperator(name string) (Operator, bool) {
	i := slices.Index(operators[:], name)
	return Operator(max(i, 0)), i >= 0
}

// String returns the operator's name in the API.
func (o Operator) String() string { return operators[o] }

func (o Operator) breaches(value, threshold float64) bool {
	switch o {
	case GreaterThanOrEqualToThreshold:
		return value >= threshold
	case GreaterThanThreshold:
		return value > threshold
	case LessThanThreshold:
		return value < threshold
	}
	return value <= threshold
}

// Missing is how an alarm treats periods without a datapoint.
type Missing uint8

// The treatments of missing data.
const (
	TreatMissing Missing = iota
	TreatIgnore
	TreatBreaching
	TreatNotBreaching
)

var treatments = [...]string{"missing", "ignore", "breaching", "notBreaching"}

// ParseMissing returns the treatment of a name.
func ParseMissing(name string) (Missing, bool) {
	i := slices.Index(treatments[:], name)
	return Missing(max(i, 0)), i >= 0
}

// String returns the treatment's name in the API.
func (t Missing) String() string { return treatments[t] }

// An alarm is an Alarm with its state.
type alarm struct {
	Alarm
	state State
	since Instant
	keys  []Key  // of the metrics it looks at, each once
	trail string // composite: the child that changed last
}

// spare is how many periods beyond N an alarm looks back for datapoints: five in all for N = 3
// (CloudWatch: "How alarm state is evaluated when data is missing").
const spare = 2

// reach is how many periods the alarm looks back.
func (a *Alarm) reach() int { return a.Periods + spare }

func (a *Alarm) lookBack() time.Duration {
	return time.Duration(a.reach())*a.Period + 2*time.Minute
}

// hourly reports whether the alarm is evaluated at full hours only.
func (a *Alarm) hourly() bool { return time.Duration(a.Periods)*a.Period > 24*time.Hour }

// due reports whether the alarm is evaluated at a boundary.
func (a *Alarm) due(at Instant) bool {
	switch {
	case a.hourly():
		return at%Instant(time.Hour) == 0
	case a.Period >= time.Minute:
		return at%minute == 0
	}
	return true
}

func (m *Machine) putAlarm(a *Alarm) {
	n := &alarm{Alarm: *a, state: a.State, since: m.now}
	if old := m.alarms[a.Name]; old != nil {
		n.state, n.since, n.trail = old.state, old.since, old.trail
		m.dropAlarm(old)
	}
	m.alarms[a.Name] = n
	if a.Rule != nil {
		m.composites = insert(m.composites, a.Name)
		m.evaluateComposites()
		return
	}
	if n.Period <= 0 || n.Periods <= 0 {
		n.Period, n.Periods = max(n.Period, time.Minute), max(n.Periods, 1)
	}
	if n.Datapoints <= 0 || n.Datapoints > n.Periods {
		n.Datapoints = n.Periods
	}
	for _, q := range a.Queries {
		if q.Expression == nil && !slices.Contains(n.keys, q.Key.Metric()) {
			n.keys = append(n.keys, q.Key.Metric())
		}
	}
	m.metrics = insert(m.metrics, a.Name)
	m.follow(n)
	if n.Period < time.Minute {
		m.next = min(m.next, m.boundaryAfter(m.now-Instant(Lag)))
	}
}

func (m *Machine) deleteAlarm(name string) {
	a := m.alarms[name]
	if a == nil {
		m.stale++
		return
	}
	m.dropAlarm(a)
	m.evaluateComposites()
}

func (m *Machine) dropAlarm(a *alarm) {
	delete(m.alarms, a.Name)
	m.composites = remove(m.composites, a.Name)
	m.metrics = remove(m.metrics, a.Name)
	m.unfollow(a)
}

func (m *Machine) setState(in Input) {
	a := m.alarms[in.name]
	if a == nil {
		m.stale++
		return
	}
	m.transition(a, in.state, in.reason, in.data, sample{})
	m.evaluateComposites()
}

// State returns the state of an alarm.
func (m *Machine) State(name string) (State, bool) {
	a := m.alarms[name]
	if a == nil {
		return 0, false
	}
	return a.state, true
}

// transition changes the state of an alarm, if it is another.
func (m *Machine) transition(a *alarm, to State, reason, data string, newest sample) {
	if a.state == to {
		return
	}
	from := a.state
	a.state, a.since = to, m.now
	m.do(Effect{
		Do: Transition, Alarm: a.Name, Old: from, New: to, Reason: reason, Data: data, At: m.now,
		Value: newest.value, HasValue: newest.ok,
	})
	for _, name := range m.composites {
		if c := m.alarms[name]; c.Rule.mentions(a.Name) {
			c.trail = a.Name
		}
	}
}

// evaluateAll evaluates every alarm that is due at a boundary.
func (m *Machine) evaluateAll(at Instant) {
	for _, name := range m.metrics {
		a := m.alarms[name]
		if !a.due(at) || slices.ContainsFunc(a.keys, func(k Key) bool { return m.watches[k].loading }) {
			continue
		}
		m.evaluate(a, at)
	}
	m.evaluateComposites()
	if at%minute == 0 {
		for _, w := range m.watches {
			w.forget(at) // the order of the watches does not matter
		}
	}
}

// evaluate looks at the periods that end by a boundary and moves the alarm.
func (m *Machine) evaluate(a *alarm, at Instant) {
	points := m.samples(a, at)
	v := a.judge(points)
	newest := sample{}
	for _, p := range points {
		if p.ok {
			newest = p
		}
	}
	if v.keep || v.state == a.state {
		if a.state == InAlarm && a.Repeat {
			m.do(Effect{Do: Persist, Alarm: a.Name, New: InAlarm, At: m.now, Value: newest.value, HasValue: newest.ok})
		}
		return
	}
	m.transition(a, v.state, a.reason(v), a.reasonData(v, points, m.now), newest)
}

// A sample is what an alarm sees of one period.
type sample struct {
	start Instant
	value float64
	count float64 // of datapoints; 0 for an expression
	ok    bool    // there is a datapoint
	low   bool    // it has too few values for its percentile
}

// samples returns what an alarm sees at a boundary, oldest first.
func (m *Machine) samples(a *alarm, at Instant) []sample {
	points := make([]sample, a.reach())
	for i := range points {
		points[i].start = at - Instant(a.Period)*Instant(len(points)-i)
	}
	if len(a.Queries) == 1 && a.Queries[0].Expression == nil {
		m.sampleStat(&a.Queries[0], a.Period, points)
		return points
	}
	m.sampleExpression(a, points)
	return points
}

func (m *Machine) sampleStat(q *Query, period time.Duration, points []sample) {
	w := m.watches[q.Key.Metric()]
	for i := range points {
		p := &points[i]
		set := w.window(q.Unit, p.start, p.start+Instant(period))
		p.value, p.ok = q.Stat.Of(&set)
		p.count, p.low = set.Count, q.Stat.LowSamples(&set)
	}
}

// Check tells why the expression of an alarm would never give it a datapoint.
func (a *Alarm) Check() error {
	in := Inputs{Period: a.Period, End: Instant(a.Period)}
	for i := range a.Queries {
		q := &a.Queries[i]
		l := Line{Query: q}
		if q.Expression == nil {
			l.Series = []Series{seriesOf(q, a.Period, []sample{{value: 1, ok: true}})}
		}
		in.Lines = append(in.Lines, l)
	}
	out, err := Evaluate(in)
	if err != nil {
		return err
	}
	for i := range a.Queries {
		if a.Queries[i].Return && len(out[i]) != 1 {
			return fmt.Errorf("%s: an alarm needs a single time series", a.Queries[i].ID)
		}
	}
	return nil
}

// sampleExpression evaluates the lines of an alarm on an expression.
func (m *Machine) sampleExpression(a *alarm, points []sample) {
	in := Inputs{Period: a.Period, Start: points[0].start, End: points[len(points)-1].start.Add(a.Period)}
	for i := range a.Queries {
		q := &a.Queries[i]
		if q.Expression != nil {
			in.Lines = append(in.Lines, Line{Query: q})
			continue
		}
		stat := slices.Clone(points)
		m.sampleStat(q, a.Period, stat)
		in.Lines = append(in.Lines, Line{Query: q, Series: []Series{seriesOf(q, a.Period, stat)}})
	}
	out, err := Evaluate(in)
	if err != nil {
		return // every point is missing
	}
	for i := range a.Queries {
		if !a.Queries[i].Return || len(out[i]) != 1 {
			continue
		}
		for _, p := range out[i][0].Points {
			n := int((p.At - in.Start) / Instant(a.Period))
			if n >= 0 && n < len(points) {
				points[n].value, points[n].ok = p.Value, true
			}
		}
	}
}

func seriesOf(q *Query, period time.Duration, points []sample) Series {
	s := Series{Label: q.ID, Metric: q.Metric, Period: period}
	for _, p := range points {
		if p.ok {
			s.Points = append(s.Points, Point{p.start, p.value})
		}
	}
	return s
}
