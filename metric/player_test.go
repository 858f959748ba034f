package metric

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-run/weir/lambda"
)

// A player runs the commands of a script on a machine, and is its store.
//
//	load 0m cpu 1 2 _ 5x3          a datapoint each minute, live: time goes on; _ is none
//	put 90s cpu 1 2 3              datapoints at one moment
//	summary 90s cpu 4 10 1 5       a statistic set: count, sum, minimum, maximum
//	tick 5m
//	alarm a cpu Average > 0.7 3/3 [period=60s] [missing=ignore] [low=ignore] [repeat]
//	math a m1/m2 > 0.5 1/1 m1=errors:Sum m2=calls:Sum
//	composite c ALARM(a) AND NOT ALARM(b)
//	set a OK, delete a
//	show                           print closed periods too
//	eval cpu p90 0m 10m 5m         a statistic by periods, of store and machine
//	calc m1+1 m1=1,2,_,4           metric math
//	judge 3/3 0 - X - X            the state for every treatment of missing data
//	track target=0.7 current=10 min=2 max=20 value=0.9 ...
//	step type=change by=0:10:1 threshold=50 value=55 current=10   by: lower, upper bound, amount
//	high 1s rate 3                 put, kept by the second too
type player struct {
	t     *testing.T
	m     *Machine
	now   Instant
	names map[Key]string
	store map[Key][]Period
	show  bool
	out   []string
}

func newPlayer(t *testing.T) *player {
	return &player{t: t, m: New(), names: make(map[Key]string), store: make(map[Key][]Period)}
}

var testScope = lambda.Scope{Account: "111111111111", Region: "us-east-1"}

func (p *player) key(name string) Key {
	k := KeyOf(testScope, Metric{Namespace: "test", Name: name}, Count)
	p.names[k.Metric()] = name
	return k
}

func (p *player) printf(format string, args ...any) {
	p.out = append(p.out, fmt.Sprintf(format, args...))
}

func (p *player) step(at Instant, in Input) {
	p.now = max(p.now, at)
	p.perform(p.m.Step(at, in, nil))
	if err := p.m.check(); err != nil {
		p.t.Fatalf("at %v: %v", at, err)
	}
}

func (p *player) perform(effects []Effect) {
	for _, e := range effects {
		switch e.Do {
		case Flush:
			if p.show {
				p.printf("%v flush %s %v+%v count=%v sum=%v min=%v max=%v", p.now, p.names[e.Key], e.Period.Start, e.Period.Length, e.Period.Set.Count, e.Period.Set.Sum, e.Period.Set.Min, e.Period.Set.Max)
			}
			p.keep(e.Key, e.Period)
		case Load:
			p.step(p.now, Loaded(e.Key, p.closed(e.Key, e.From, e.Fine)))
		case Transition:
			p.printf("%v %s: %v -> %v: %s", e.At, e.Alarm, e.Old, e.New, strings.ReplaceAll(e.Reason, ARNMark, "'"))
		case Persist:
			p.printf("%v %s: still %v at %v", e.At, e.Alarm, e.New, e.Value)
		}
	}
}

func (p *player) keep(k Key, x Period) {
	list := p.store[k]
	for i := range list {
		if list[i].Start == x.Start && list[i].Length == x.Length && list[i].Unit == x.Unit {
			list[i].Set.Merge(&x.Set)
			return
		}
	}
	x.Set = x.Set.Clone()
	p.store[k] = append(list, x)
}

func (p *player) closed(k Key, from Instant, fine bool) []Period {
	length := time.Minute
	for _, x := range p.store[k] {
		if fine {
			length = min(length, x.Length)
		}
	}
	var list []Period
	for _, x := range p.store[k] {
		if x.Length == length && x.Start >= from {
			list = append(list, x)
		}
	}
	return list
}

func (p *player) command(text string) {
	words := strings.Fields(text)
	arg := func(i int) string {
		if i >= len(words) {
			p.t.Fatalf("%q: too few words", text)
		}
		return words[i]
	}
	switch words[0] {
	case "load":
		p.load(p.instant(arg(1)), p.key(arg(2)), words[3:])
	case "put", "high":
		var s Set
		for _, w := range words[3:] {
			s.Add(p.number(w), 1)
		}
		at := p.instant(arg(1))
		p.step(max(at, p.now), Put(p.key(arg(2)), at, &s, words[0] == "high"))
	case "summary":
		var s Set
		s.AddSummary(p.number(arg(3)), p.number(arg(4)), p.number(arg(5)), p.number(arg(6)))
		at := p.instant(arg(1))
		p.step(max(at, p.now), Put(p.key(arg(2)), at, &s, false))
	case "tick":
		p.step(p.instant(arg(1)), Tick())
	case "alarm", "math":
		p.alarm(words)
	case "composite":
		r, err := ParseRule(strings.Join(words[2:], " "))
		if err != nil {
			p.printf("error: %v", err)
			return
		}
		p.step(p.now, PutAlarm(Alarm{Name: arg(1), Rule: r}))
	case "set":
		s, _ := ParseState(arg(2))
		p.step(p.now, SetState(arg(1), s, "by hand", ""))
	case "delete":
		p.step(p.now, DeleteAlarm(arg(1)))
	case "show":
		p.show = true
	case "eval":
		p.eval(arg(1), arg(2), p.instant(arg(3)), p.instant(arg(4)), time.Duration(p.instant(arg(5))))
	case "calc":
		p.calc(arg(1), words[2:])
	case "judge":
		p.judge(arg(1), words[2:])
	case "track", "step":
		p.scale(words)
	default:
		p.t.Fatalf("unknown command %q", text)
	}
}

func (p *player) load(at Instant, k Key, values []string) {
	for _, w := range values {
		v, times, repeated := strings.Cut(w, "x")
		n := 1
		if repeated {
			n = int(p.number(times))
		}
		for range n {
			if v == "_" {
				p.step(at, Tick())
			} else {
				var s Set
				s.Add(p.number(v), 1)
				p.step(at, Put(k, at, &s, false))
			}
			at += minute
		}
	}
	p.step(at, Tick())
}

func (p *player) alarm(words []string) {
	a := Alarm{Name: words[1], Period: time.Minute}
	var rest []string
	if words[0] == "alarm" {
		stat, ok := ParseStat(words[3])
		if !ok {
			p.t.Fatalf("%q is no statistic", words[3])
		}
		a.Queries = []Query{{ID: "m1", Metric: Metric{Namespace: "test", Name: words[2]}, Key: p.key(words[2]), Stat: stat, Return: true}}
		rest = words[4:]
	} else {
		e, err := ParseExpression(words[2])
		if err != nil {
			p.t.Fatal(err)
		}
		a.Queries = []Query{{ID: "e", Expression: e, Return: true}}
		rest = words[3:]
	}
	a.Operator = map[string]Operator{">": GreaterThanThreshold, ">=": GreaterThanOrEqualToThreshold, "<": LessThanThreshold, "<=": LessThanOrEqualToThreshold}[rest[0]]
	a.Threshold = p.number(rest[1])
	m, n, _ := strings.Cut(rest[2], "/")
	a.Datapoints, a.Periods = int(p.number(m)), int(p.number(n))
	for _, w := range rest[3:] {
		name, v, _ := strings.Cut(w, "=")
		switch name {
		case "period":
			a.Period = time.Duration(p.instant(v))
		case "missing":
			a.Missing, _ = ParseMissing(v)
		case "low":
			a.KeepOnLowSamples = true
		case "repeat":
			a.Repeat = true
		default:
			metric, text, _ := strings.Cut(v, ":")
			stat, _ := ParseStat(text)
			a.Queries = append(a.Queries, Query{ID: name, Metric: Metric{Namespace: "test", Name: metric}, Key: p.key(metric), Stat: stat})
		}
	}
	p.step(p.now, PutAlarm(a))
}

func (p *player) eval(name, stat string, from, to Instant, period time.Duration) {
	s, ok := ParseStat(stat)
	if !ok {
		p.printf("error: %q is no statistic", stat)
		return
	}
	k := p.key(name)
	fine := period < time.Minute
	var line []string
	for at := from; at < to; at += Instant(period) {
		var set Set
		for _, x := range p.closed(k.Metric(), 0, fine) {
			if x.Start >= at && x.Start < at.Add(period) {
				set.Merge(&x.Set)
			}
		}
		p.m.Open(k, func(x *Period) {
			if x.Start >= at && x.Start < at.Add(period) && fine == (x.Length == time.Second) {
				set.Merge(&x.Set)
			}
		})
		v, ok := s.Of(&set)
		if !ok {
			line = append(line, "_")
			continue
		}
		line = append(line, strconv.FormatFloat(math.Round(v*1e6)/1e6, 'g', -1, 64))
	}
	p.printf("%s", strings.Join(line, " "))
}

func (p *player) calc(text string, inputs []string) {
	e, err := ParseExpression(text)
	if err != nil {
		p.printf("error: %v", err)
		return
	}
	in := Inputs{Period: time.Minute, Lines: []Line{{Query: &Query{ID: "result", Expression: e, Return: true}}}}
	for _, w := range inputs {
		name, list, _ := strings.Cut(w, "=")
		s := Series{Label: name, Period: time.Minute}
		values := strings.Split(list, ",")
		for i, v := range values {
			if v != "_" {
				s.Points = append(s.Points, Point{Instant(i) * minute, p.number(v)})
			}
		}
		in.End = max(in.End, Instant(len(values))*minute)
		in.Lines = append(in.Lines, Line{Query: &Query{ID: name}, Series: []Series{s}})
	}
	out, err := Evaluate(in)
	if err != nil {
		p.printf("error: %v", err)
		return
	}
	for _, s := range out[0] {
		var line []string
		for at := Instant(0); at < in.End; at += minute {
			word := "_"
			for _, x := range s.Points {
				if x.At == at {
					word = strconv.FormatFloat(math.Round(x.Value*1e6)/1e6, 'g', -1, 64)
				}
			}
			line = append(line, word)
		}
		p.printf("%s: %s", s.Label, strings.Join(line, " "))
	}
}

// judge prints what each treatment of missing data makes of datapoints.
func (p *player) judge(mn string, words []string) {
	m, n, _ := strings.Cut(mn, "/")
	var points []sample
	for _, w := range words {
		points = append(points, sample{ok: w != "-", value: truth(w == "X")})
	}
	a := Alarm{Operator: GreaterThanThreshold, Threshold: 0.5, Datapoints: int(p.number(m)), Periods: int(p.number(n))}
	line := strings.Join(words, " ") + " |"
	for t := range treatments {
		a.Missing = Missing(t)
		v := a.judge(points)
		text := v.state.String()
		if v.keep {
			text = "retain"
		}
		line += " " + text
	}
	p.printf("%s", line)
}

func (p *player) scale(words []string) {
	target := TargetTracking{}
	steps := StepScaling{}
	c := Capacity{Max: 1 << 20}
	var last Activity
	var value, threshold float64
	for _, w := range words[1:] {
		name, v, _ := strings.Cut(w, "=")
		switch name {
		case "target":
			target.Target = p.number(v)
		case "threshold":
			threshold = p.number(v)
		case "value":
			value = p.number(v)
		case "current":
			c.Current = int(p.number(v))
		case "min":
			c.Min = int(p.number(v))
		case "max":
			c.Max = int(p.number(v))
		case "out", "in": // out=30s:4: scaled out 30 s ago by 4
			age, by, _ := strings.Cut(v, ":")
			last = Activity{At: Instant(time.Hour) - p.instant(age), Out: name == "out", In: name == "in", By: int(p.number(by))}
		case "cooldown":
			target.ScaleOutCooldown = time.Duration(p.instant(v))
			target.ScaleInCooldown, steps.Cooldown = target.ScaleOutCooldown, target.ScaleOutCooldown
		case "noin":
			target.DisableScaleIn = true
		case "suspended":
			c.InSuspended, c.OutSuspended = v == "in", v == "out"
		case "least":
			steps.MinMagnitude = int(p.number(v))
		case "type":
			steps.Type = map[string]AdjustmentType{"change": ChangeInCapacity, "percent": PercentChangeInCapacity, "exact": ExactCapacity}[v]
		case "by": // by=lower:upper:amount
			parts := strings.Split(v, ":")
			s := StepAdjustment{Lower: math.Inf(-1), Upper: math.Inf(1), Amount: int(p.number(parts[2]))}
			if parts[0] != "" {
				s.Lower = p.number(parts[0])
			}
			if parts[1] != "" {
				s.Upper = p.number(parts[1])
			}
			steps.Steps = append(steps.Steps, s)
		}
	}
	d := target.Decide(value, c, last, Instant(time.Hour))
	if words[0] == "step" {
		d = steps.Decide(value, threshold, c, last, Instant(time.Hour))
	}
	p.printf("%d -> %d %s", c.Current, d.Desired, d.Why)
}

func (p *player) instant(s string) Instant {
	d, err := time.ParseDuration(s)
	if err != nil {
		p.t.Fatalf("%q is no time: %v", s, err)
	}
	return Instant(d)
}

func (p *player) number(s string) float64 {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		p.t.Fatalf("%q is no number: %v", s, err)
	}
	return x
}
