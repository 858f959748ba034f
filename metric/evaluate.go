package metric

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// A Point is a value of a series.
type Point struct {
	At    Instant
	Value float64
}

// A Series is the points of a metric's statistic, or of an expression, in the order of time.
type Series struct {
	Label  string
	Metric Metric
	Stat   Stat
	Period time.Duration
	Points []Point
}

// A Line is a query with the series of its metric, or without any if it is an expression.
type Line struct {
	Query  *Query
	Series []Series
}

// Inputs are what a set of lines is evaluated on.
type Inputs struct {
	Lines      []Line
	Period     time.Duration       // of expressions that no series gives one
	Start, End Instant             // the range that FILL fills
	Found      map[string][]Series // what each of Expression.Searches found
}

// Evaluate returns the series of each line: one, or any number for an array. Only a line that
// returns nothing may be a number.
func Evaluate(in Inputs) ([][]Series, error) {
	e := &evaluation{in: in, done: make(map[string]value), under: make(map[string]bool)}
	out := make([][]Series, len(in.Lines))
	for i := range in.Lines {
		v, err := e.line(in.Lines[i].Query.ID)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", in.Lines[i].Query.ID, err)
		}
		if v.kind != series && v.kind != array {
			if !in.Lines[i].Query.Return {
				continue
			}
			return nil, fmt.Errorf("%s: the expression must return a time series", in.Lines[i].Query.ID)
		}
		out[i] = v.list
		if in.Lines[i].Query.Expression == nil || v.kind == array {
			continue
		}
		one := v.list[0]
		one.Label = in.Lines[i].Query.ID
		out[i] = []Series{one}
	}
	return out, nil
}

// maxPoints bounds the points that one evaluation may make: 500 queries of a day's minutes.
const maxPoints = 1_000_000

var errTooMany = errors.New("the expression makes too many datapoints")

type evaluation struct {
	in     Inputs
	done   map[string]value
	under  map[string]bool
	points int // made so far
}

type valueKind uint8

const (
	scalar valueKind = iota
	series           // list has one element
	array
	word
)

type value struct {
	kind valueKind
	num  float64
	text string
	list []Series
}

func (e *evaluation) line(id string) (value, error) {
	if v, ok := e.done[id]; ok {
		return v, nil
	}
	if e.under[id] {
		return value{}, fmt.Errorf("the expression refers to itself by %s", id)
	}
	i := slices.IndexFunc(e.in.Lines, func(l Line) bool { return l.Query.ID == id })
	if i < 0 {
		return value{}, fmt.Errorf("there is no %s", id)
	}
	l := &e.in.Lines[i]
	v := value{kind: series, list: l.Series}
	switch {
	case l.Query.Expression != nil:
		e.under[id] = true
		defer delete(e.under, id)
		var err error
		if v, err = e.eval(l.Query.Expression.root); err != nil {
			return v, err
		}
	case len(l.Series) != 1:
		v.list = []Series{{Label: id, Metric: l.Query.Metric, Period: e.in.Period}}
	}
	e.done[id] = v
	return v, nil
}

func (e *evaluation) eval(n *node) (value, error) {
	switch n.kind {
	case nodeNumber:
		return value{kind: scalar, num: n.number}, nil
	case nodeString:
		return value{kind: word, text: n.text}, nil
	case nodeName:
		if c := n.text[0]; c >= 'a' && c <= 'z' {
			return e.line(n.text)
		}
		return value{kind: word, text: n.text}, nil
	case nodeCall:
		return e.call(n)
	case nodeMinus:
		v, err := e.eval(n.args[0])
		if err != nil {
			return v, err
		}
		return e.each(v, func(x float64) float64 { return -x })
	}
	args, err := e.evalAll(n.args)
	if err != nil {
		return value{}, err
	}
	if n.kind == nodeBinary {
		return e.operate(operations[n.text], args[0], args[1])
	}
	v := value{kind: array}
	for _, a := range args {
		if a.kind != series && a.kind != array {
			return v, errors.New("an array holds time series only")
		}
		v.list = append(v.list, a.list...)
	}
	return v, nil
}

func (e *evaluation) evalAll(nodes []*node) ([]value, error) {
	var all []value
	for _, n := range nodes {
		v, err := e.eval(n)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

func (e *evaluation) call(n *node) (value, error) {
	switch n.text {
	case "SEARCH":
		found, ok := e.in.Found[n.searchKey()]
		if !ok {
			return value{}, errors.New("SEARCH cannot be used here")
		}
		return value{kind: array, list: found}, nil
	case "METRICS":
		return e.metrics(n)
	}
	args, err := e.evalAll(n.args)
	if err != nil {
		return value{}, err
	}
	v, err := functions[n.text].do(e, args)
	if err != nil {
		return v, fmt.Errorf("%s: %w", n.text, err)
	}
	return v, nil
}

// metrics returns the lines that are metrics and whose id contains a text.
func (e *evaluation) metrics(n *node) (value, error) {
	contains := ""
	if len(n.args) > 0 {
		contains = n.args[0].text
	}
	v := value{kind: array}
	for i := range e.in.Lines {
		q := e.in.Lines[i].Query
		if q.Expression != nil || !strings.Contains(q.ID, contains) {
			continue
		}
		one, err := e.line(q.ID)
		if err != nil {
			return v, err
		}
		v.list = append(v.list, one.list...)
	}
	return v, nil
}

var operations = map[string]func(a, b float64) float64{
	"+": func(a, b float64) float64 { return a + b },
	"-": func(a, b float64) float64 { return a - b },
	"*": func(a, b float64) float64 { return a * b },
	"/": func(a, b float64) float64 { return a / b }, // x/0 is no value, so no point
	"^": math.Pow,

	"==": func(a, b float64) float64 { return truth(a == b) },
	"!=": func(a, b float64) float64 { return truth(a != b) },
	"<":  func(a, b float64) float64 { return truth(a < b) },
	">":  func(a, b float64) float64 { return truth(a > b) },
	"<=": func(a, b float64) float64 { return truth(a <= b) },
	">=": func(a, b float64) float64 { return truth(a >= b) },

	"AND": and, "&&": and, "OR": or, "||": or,
}

func and(a, b float64) float64 { return truth(a != 0 && b != 0) }
func or(a, b float64) float64  { return truth(a != 0 || b != 0) }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// operate applies an operator to two values: to each series of an array, and where both sides
// have a point.
func (e *evaluation) operate(f func(a, b float64) float64, a, b value) (value, error) {
	switch {
	case a.kind == word || b.kind == word:
		return value{}, errors.New("an operator takes numbers and time series")
	case a.kind == scalar && b.kind == scalar:
		return value{kind: scalar, num: f(a.num, b.num)}, nil
	case b.kind == scalar:
		return e.each(a, func(x float64) float64 { return f(x, b.num) })
	case a.kind == scalar:
		return e.each(b, func(x float64) float64 { return f(a.num, x) })
	case a.kind == array && b.kind == array:
		return value{}, errors.New("an operator cannot take two arrays")
	case b.kind == array:
		return e.operate(func(x, y float64) float64 { return f(y, x) }, b, a)
	}
	out := value{kind: a.kind}
	right := b.list[0]
	for _, left := range a.list {
		s := left
		s.Points = nil
		j := 0
		for _, p := range left.Points {
			for j < len(right.Points) && right.Points[j].At < p.At {
				j++
			}
			if j < len(right.Points) && right.Points[j].At == p.At {
				s.Points = appendFinite(s.Points, p.At, f(p.Value, right.Points[j].Value))
			}
		}
		out.list = append(out.list, s)
	}
	return out, e.made(out)
}

// each applies a function to every point, or to a number.
func (e *evaluation) each(v value, f func(float64) float64) (value, error) {
	switch v.kind {
	case word:
		return v, errors.New("expected a number or a time series")
	case scalar:
		return value{kind: scalar, num: f(v.num)}, nil
	}
	out := value{kind: v.kind}
	for _, s := range v.list {
		points := make([]Point, 0, len(s.Points))
		for _, p := range s.Points {
			points = appendFinite(points, p.At, f(p.Value))
		}
		s.Points = points
		out.list = append(out.list, s)
	}
	return out, e.made(out)
}

// made counts the points of a new value.
func (e *evaluation) made(v value) error {
	for i := range v.list {
		e.points += len(v.list[i].Points)
	}
	if e.points > maxPoints {
		return errTooMany
	}
	return nil
}

func appendFinite(list []Point, at Instant, x float64) []Point {
	if !finite(x) {
		return list
	}
	return append(list, Point{at, x})
}
