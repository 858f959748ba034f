package metric

import (
	"errors"
	"math"
	"slices"
	"strings"
	"time"
)

// A function of metric math.
type function struct {
	least, most int // arguments
	do          func(e *evaluation, args []value) (value, error)
}

// functions are those of metric math that weir has. Left out are ANOMALY_DETECTION_BAND,
// DB_PERF_INSIGHTS, INSIGHT_RULE_METRIC, LAMBDA and SERVICE_QUOTA, which need services that
// weir does not have.
var functions = map[string]function{
	"SEARCH": {2, 3, nil}, "METRICS": {0, 1, nil}, // evaluated from their nodes

	"ABS": plain(math.Abs), "CEIL": plain(math.Ceil), "FLOOR": plain(math.Floor),
	"LOG": plain(math.Log), "LOG10": plain(math.Log10),

	"AVG": aggregate(mean), "MAX": aggregate(slices.Max[[]float64]), "MIN": aggregate(slices.Min[[]float64]),
	"SUM": aggregate(total), "STDDEV": aggregate(deviation),
	"METRIC_COUNT":    {1, 1, func(_ *evaluation, a []value) (value, error) { return number1(float64(len(a[0].list))) }},
	"DATAPOINT_COUNT": aggregate(func(x []float64) float64 { return float64(len(x)) }),

	"FIRST": {1, 1, func(_ *evaluation, a []value) (value, error) { return pick(a[0], 0) }},
	"LAST":  {1, 1, func(_ *evaluation, a []value) (value, error) { return pick(a[0], len(a[0].list)-1) }},
	"SLICE": {2, 3, doSlice}, "SORT": {3, 4, doSort}, "REMOVE_EMPTY": {1, 1, doRemoveEmpty},

	"IF": {2, 3, doIf}, "FILL": {2, 2, doFill}, "TIME_SERIES": {1, 1, doTimeSeries},
	"PERIOD": {1, 1, doPeriod}, "RUNNING_SUM": {1, 1, doRunningSum},
	"DIFF":      differences(func(a, b Point) float64 { return b.Value - a.Value }),
	"DIFF_TIME": differences(func(a, b Point) float64 { return float64(b.At-a.At) / 1e9 }),
	"RATE":      differences(func(a, b Point) float64 { return (b.Value - a.Value) / (float64(b.At-a.At) / 1e9) }),

	"MINUTE": clock(func(t time.Time) int64 { return int64(t.Minute()) }),
	"HOUR":   clock(func(t time.Time) int64 { return int64(t.Hour()) }),
	"DAY":    clock(func(t time.Time) int64 { return (int64(t.Weekday())+6)%7 + 1 }), // Monday is 1
	"DATE":   clock(func(t time.Time) int64 { return int64(t.Day()) }),
	"MONTH":  clock(func(t time.Time) int64 { return int64(t.Month()) }),
	"YEAR":   clock(func(t time.Time) int64 { return int64(t.Year()) }),
	"EPOCH":  clock(time.Time.Unix),
}

var errSeries = errors.New("expected a time series")

func number1(x float64) (value, error) { return value{kind: scalar, num: x}, nil }

func plain(f func(float64) float64) function {
	return function{1, 1, func(e *evaluation, a []value) (value, error) { return e.each(a[0], f) }}
}

// clock replaces each value by a part of its time.
func clock(f func(time.Time) int64) function {
	return overSeries(func(e *evaluation, s Series) Series {
		points := make([]Point, len(s.Points))
		for i, p := range s.Points {
			points[i] = Point{p.At, float64(f(calendar(p.At)))}
		}
		s.Points = points
		return s
	})
}

// overSeries makes a function of one that maps each series.
func overSeries(f func(e *evaluation, s Series) Series) function {
	return function{1, 1, func(e *evaluation, a []value) (value, error) {
		if a[0].kind != series && a[0].kind != array {
			return value{}, errSeries
		}
		out := value{kind: a[0].kind}
		for _, s := range a[0].list {
			out.list = append(out.list, f(e, s))
		}
		return out, e.made(out)
	}}
}

func differences(f func(a, b Point) float64) function {
	return overSeries(func(_ *evaluation, s Series) Series {
		var points []Point
		for i := 1; i < len(s.Points); i++ {
			points = appendFinite(points, s.Points[i].At, f(s.Points[i-1], s.Points[i]))
		}
		s.Points = points
		return s
	})
}

// aggregate makes a number of a time series, and of an array the time series of what its
// series have at each time.
func aggregate(f func([]float64) float64) function {
	return function{1, 1, func(e *evaluation, a []value) (value, error) {
		switch a[0].kind {
		case series:
			all := a[0].list[0].values()
			if len(all) == 0 {
				return number1(0)
			}
			return number1(f(all))
		case array:
			out := value{kind: series, list: []Series{{Period: e.in.Period}}}
			at := make(map[Instant][]float64)
			for _, s := range a[0].list {
				out.list[0].Period = s.Period
				for _, p := range s.Points {
					at[p.At] = append(at[p.At], p.Value)
				}
			}
			for t, all := range at {
				out.list[0].Points = appendFinite(out.list[0].Points, t, f(all))
			}
			slices.SortFunc(out.list[0].Points, func(p, q Point) int { return int(min(max(p.At-q.At, -1), 1)) })
			return out, e.made(out)
		}
		return value{}, errSeries
	}}
}

func (s *Series) values() []float64 {
	all := make([]float64, len(s.Points))
	for i, p := range s.Points {
		all[i] = p.Value
	}
	return all
}

func total(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum
}

func mean(x []float64) float64 { return total(x) / float64(len(x)) }

func deviation(x []float64) float64 {
	m, sum := mean(x), 0.0
	for _, v := range x {
		sum += (v - m) * (v - m)
	}
	return math.Sqrt(sum / float64(len(x)))
}

func pick(v value, i int) (value, error) {
	if v.kind != array || i < 0 || i >= len(v.list) {
		return value{}, errors.New("expected an array that is not empty")
	}
	return value{kind: series, list: v.list[i : i+1]}, nil
}

func doSlice(_ *evaluation, a []value) (value, error) {
	if a[0].kind != array || a[1].kind != scalar {
		return value{}, errors.New("expected an array and an index")
	}
	n := len(a[0].list)
	lo := int(max(0, min(a[1].num, float64(n))))
	if len(a) == 2 {
		return pick(a[0], lo)
	}
	hi := int(max(float64(lo), min(a[2].num, float64(n))))
	return value{kind: array, list: a[0].list[lo:hi]}, nil
}

// ranks are what SORT sorts by.
var ranks = map[string]func([]float64) float64{"AVG": mean, "MAX": slices.Max[[]float64], "MIN": slices.Min[[]float64], "SUM": total}

func doSort(_ *evaluation, a []value) (value, error) {
	f, ok := ranks[strings.ToUpper(a[1].text)]
	if a[0].kind != array || !ok {
		return value{}, errors.New("expected an array and one of AVG, MAX, MIN and SUM")
	}
	type ranked struct {
		s   Series
		key float64
	}
	var list []ranked
	for _, s := range a[0].list {
		r := ranked{s: s}
		if all := s.values(); len(all) > 0 {
			r.key = f(all)
		}
		list = append(list, r)
	}
	up := strings.EqualFold(a[2].text, "ASC")
	slices.SortStableFunc(list, func(x, y ranked) int {
		switch {
		case x.key == y.key:
			return 0
		case x.key < y.key == up:
			return -1
		}
		return 1
	})
	if len(a) == 4 {
		list = list[:int(max(0, min(a[3].num, float64(len(list)))))]
	}
	out := value{kind: array}
	for _, r := range list {
		out.list = append(out.list, r.s)
	}
	return out, nil
}

func doRemoveEmpty(_ *evaluation, a []value) (value, error) {
	if a[0].kind != array {
		return a[0], nil
	}
	out := value{kind: array}
	for _, s := range a[0].list {
		if len(s.Points) > 0 {
			out.list = append(out.list, s)
		}
	}
	return out, nil
}

// doIf takes the second value where the condition is not 0, else the third, or nothing.
func doIf(e *evaluation, a []value) (value, error) {
	if a[0].kind == scalar {
		switch {
		case a[0].num != 0:
			return a[1], nil
		case len(a) == 3:
			return a[2], nil
		}
		return value{}, errors.New("without a third value the condition must be a time series")
	}
	if a[0].kind != series {
		return value{}, errSeries
	}
	out := a[0].list[0]
	out.Points = nil
	for _, p := range a[0].list[0].Points {
		branch := value{kind: series, list: []Series{{}}}
		if p.Value != 0 {
			branch = a[1]
		} else if len(a) == 3 {
			branch = a[2]
		}
		if x, ok := at(branch, p.At); ok {
			out.Points = append(out.Points, Point{p.At, x})
		}
	}
	v := value{kind: series, list: []Series{out}}
	return v, e.made(v)
}

// at returns a value at a time.
func at(v value, t Instant) (float64, bool) {
	if v.kind == scalar {
		return v.num, true
	}
	if v.kind != series {
		return 0, false
	}
	points := v.list[0].Points
	i, ok := slices.BinarySearchFunc(points, t, func(p Point, t Instant) int { return int(min(max(p.At-t, -1), 1)) })
	if !ok {
		return 0, false
	}
	return points[i].Value, true
}

// grid returns the starts of the periods in the range.
func (e *evaluation) grid(period time.Duration) ([]Instant, error) {
	if period <= 0 || (e.in.End-e.in.Start)/Instant(period) > maxPoints {
		return nil, errTooMany
	}
	var all []Instant
	for t := Floor(e.in.Start, period); t < e.in.End; t += Instant(period) {
		if t >= e.in.Start {
			all = append(all, t)
		}
	}
	return all, nil
}

func doTimeSeries(e *evaluation, a []value) (value, error) {
	if a[0].kind != scalar {
		return value{}, errors.New("expected a number")
	}
	times, err := e.grid(e.in.Period)
	s := Series{Period: e.in.Period}
	for _, t := range times {
		s.Points = appendFinite(s.Points, t, a[0].num)
	}
	v := value{kind: series, list: []Series{s}}
	return v, errors.Join(err, e.made(v))
}

func doPeriod(_ *evaluation, a []value) (value, error) {
	if a[0].kind != series {
		return value{}, errSeries
	}
	return number1(a[0].list[0].Period.Seconds())
}

func doRunningSum(e *evaluation, a []value) (value, error) {
	sum := 0.0
	if a[0].kind != series {
		return value{}, errSeries
	}
	return e.each(a[0], func(x float64) float64 {
		sum += x
		return sum
	})
}

// doFill fills the gaps of a series: with a number, with another series, with the value before
// (REPEAT), or on the line between the neighbours (LINEAR).
func doFill(e *evaluation, a []value) (value, error) {
	if a[0].kind != series && a[0].kind != array {
		return value{}, errSeries
	}
	out := value{kind: a[0].kind}
	for _, s := range a[0].list {
		times, err := e.grid(s.Period)
		if err != nil {
			return value{}, err
		}
		have := s.Points
		s.Points = nil
		i := 0 // of have, the first point at or after t
		for _, t := range times {
			for i < len(have) && have[i].At < t {
				i++
			}
			if i < len(have) && have[i].At == t {
				s.Points = append(s.Points, have[i])
				continue
			}
			if x, ok := filler(a[1], have, i, t); ok {
				s.Points = append(s.Points, Point{t, x})
			}
		}
		out.list = append(out.list, s)
	}
	return out, e.made(out)
}

func filler(with value, have []Point, next int, t Instant) (float64, bool) {
	switch {
	case with.kind != word:
		return at(with, t)
	case with.text == "REPEAT" && next > 0:
		return have[next-1].Value, true
	case with.text == "LINEAR" && next > 0 && next < len(have):
		a, b := have[next-1], have[next]
		return a.Value + (b.Value-a.Value)*float64(t-a.At)/float64(b.At-a.At), true
	}
	return 0, false
}
