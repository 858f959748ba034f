package metric

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var seed = flag.Uint64("seed", 0, "run TestRandom with this seed only")

// TestRandom drives the machine with random inputs beside a model that keeps every datapoint
// and works everything out anew.
func TestRandom(t *testing.T) {
	seeds := []uint64{*seed}
	if *seed == 0 {
		seeds = nil
		for s := range uint64(60) {
			seeds = append(seeds, s+1)
		}
	}
	for _, s := range seeds {
		if err := randomRun(s, true); err != nil {
			t.Fatalf("%v\nreproduce: go test ./metric -run Random -seed %d", err, s)
		}
	}
}

// TestTicks holds promise 6: ticks in between change nothing.
func TestTicks(t *testing.T) {
	for s := range uint64(20) {
		a, b := newRandom(s+1), newRandom(s+1)
		for range 300 {
			in, at := a.draw()
			if in2, at2 := b.draw(); in.kind != in2.kind || at != at2 {
				t.Fatal("the draws differ")
			}
			for tick := a.now; tick < at; tick += Instant(7 * time.Second) {
				a.step(tick, Tick())
			}
			a.step(at, in)
			b.step(at, in)
		}
		if !slices.Equal(a.log, b.log) {
			t.Fatalf("seed %d: with ticks in between:\n%q\nwithout:\n%q", s+1, a.log, b.log)
		}
	}
}

type rawPoint struct {
	metric int
	at     Instant
	value  float64
}

// A random run: the machine, its store, and the model.
type random struct {
	r      *rand.Rand
	m      *Machine
	now    Instant
	keys   []Key
	points []rawPoint
	flush  map[Key][]Period
	log    []string

	alarms map[string]*modelAlarm
	next   Instant // boundary the model evaluates next
}

type modelAlarm struct {
	Alarm
	metric int
	state  State
}

func newRandom(seed uint64) *random {
	x := &random{r: rand.New(rand.NewPCG(seed, 1)), m: New(), flush: make(map[Key][]Period), alarms: make(map[string]*modelAlarm), next: minute}
	for i := range 4 {
		x.keys = append(x.keys, KeyOf(testScope, Metric{Namespace: "n", Name: fmt.Sprint(i)}, Count))
	}
	x.step(Instant(30*time.Second), Tick())
	return x
}

func randomRun(seed uint64, model bool) error {
	x := newRandom(seed)
	for n := range 400 {
		in, at := x.draw()
		x.step(at, in)
		if err := x.m.check(); err != nil {
			return fmt.Errorf("step %d: %w", n, err)
		}
		if err := x.compare(); model && err != nil {
			return fmt.Errorf("step %d at %v: %w", n, x.now, err)
		}
	}
	return x.conserved()
}

// draw makes up the next input.
func (x *random) draw() (Input, Instant) {
	at := x.now + Instant(x.r.IntN(int(50*time.Second)))
	x.now = at
	i := x.r.IntN(len(x.keys))
	switch x.r.IntN(12) {
	case 0:
		a := Alarm{
			Name:    string(rune('a' + x.r.IntN(4))),
			Queries: []Query{{Key: x.keys[i], Stat: plainStats[x.r.IntN(len(plainStats))], Return: true}},
			Period:  time.Duration(1+x.r.IntN(3)) * time.Minute, Periods: 1 + x.r.IntN(4),
			Threshold: 3, Operator: Operator(x.r.IntN(4)), Missing: Missing(x.r.IntN(4)),
		}
		a.Datapoints = 1 + x.r.IntN(a.Periods)
		return PutAlarm(a), at
	case 1:
		return DeleteAlarm(string(rune('a' + x.r.IntN(4)))), at
	case 2:
		return SetState(string(rune('a'+x.r.IntN(4))), State(x.r.IntN(3)), "drawn", ""), at
	case 3, 4:
		x.now += Instant(x.r.IntN(int(6 * time.Minute)))
		return Tick(), x.now
	}
	var s Set
	s.Add(float64(x.r.IntN(7)), 1)
	when := at
	if x.r.IntN(5) == 0 {
		when -= Instant(x.r.IntN(int(5 * time.Minute))) // late
	}
	return Put(x.keys[i], max(when, 0), &s, false), at
}

func (x *random) step(at Instant, in Input) {
	// The model first does what falls due, as the machine does.
	for ; x.next.Add(Lag) <= at; x.next += minute {
		x.evaluate(x.next)
	}
	switch in.kind {
	case kindPut:
		x.points = append(x.points, rawPoint{slices.Index(x.keys, in.key), in.at, in.set.Sum})
	case kindPutAlarm:
		a := &modelAlarm{Alarm: *in.alarm, metric: slices.Index(x.keys, in.alarm.Queries[0].Key)}
		if old := x.alarms[a.Name]; old != nil {
			a.state = old.state
		}
		x.alarms[a.Name] = a
	case kindDeleteAlarm:
		delete(x.alarms, in.name)
	case kindSetState:
		if a := x.alarms[in.name]; a != nil {
			a.state = in.state
		}
	}
	for _, e := range x.m.Step(at, in, nil) {
		x.perform(e, at)
	}
}

func (x *random) perform(e Effect, at Instant) {
	switch e.Do {
	case Flush:
		x.flush[e.Key] = append(x.flush[e.Key], e.Period)
	case Load:
		for _, e := range x.m.Step(at, Loaded(e.Key, x.flush[e.Key]), nil) {
			x.perform(e, at)
		}
	case Transition:
		x.log = append(x.log, fmt.Sprintf("%v %s %v %v %s", e.At, e.Alarm, e.Old, e.New, e.Reason))
	}
}

// evaluate is the model: it fills in missing datapoints and counts.
func (x *random) evaluate(at Instant) {
	for _, a := range x.alarms {
		var real, breach []bool
		for n := a.Periods + 2; n > 0; n-- {
			lo := at - Instant(a.Period)*Instant(n)
			v, ok := x.statistic(a, lo, lo.Add(a.Period))
			real, breach = append(real, ok), append(breach, ok && a.Operator.breaches(v, a.Threshold))
		}
		if s, ok := fillAndCount(real, breach, a.Datapoints, a.Periods, a.Missing, a.state); ok {
			a.state = s
		}
	}
}

func (x *random) statistic(a *modelAlarm, lo, hi Instant) (float64, bool) {
	var v []float64
	for _, p := range x.points {
		if p.metric == a.metric && p.at >= lo && p.at < hi {
			v = append(v, p.value)
		}
	}
	if len(v) == 0 {
		return 0, false
	}
	switch a.Queries[0].Stat {
	case Average:
		return total(v) / float64(len(v)), true
	case Sum:
		return total(v), true
	case SampleCount:
		return float64(len(v)), true
	case Minimum:
		return slices.Min(v), true
	}
	return slices.Max(v), true
}

// fillAndCount is the documentation's procedure, word for word.
func fillAndCount(real, breach []bool, m, n int, missing Missing, now State) (State, bool) {
	count, breaching := 0, 0
	for i := len(real) - 1; i >= 0 && count < n; i-- {
		if real[i] {
			count++
			breaching += int(truth(breach[i]))
		}
	}
	if count == 0 && missing == TreatMissing {
		return InsufficientData, true
	}
	if missing == TreatBreaching {
		breaching += n - count
	}
	if breaching >= m {
		return InAlarm, true
	}
	if missing == TreatBreaching || missing == TreatNotBreaching || count == n || breaching < count {
		return OK, true
	}
	oldest := slices.Index(real, true)
	if missing == TreatMissing && len(real)-oldest >= m {
		return InAlarm, true
	}
	return now, false
}

func (x *random) compare() error {
	for name, a := range x.alarms {
		if s, ok := x.m.State(name); !ok || s != a.state {
			return fmt.Errorf("alarm %s is %v, the model says %v", name, s, a.state)
		}
	}
	return nil
}

// conserved holds promise 3.
func (x *random) conserved() error {
	for _, e := range x.m.Close(nil) {
		x.perform(e, x.now)
	}
	for i, k := range x.keys {
		var want, got float64
		for _, p := range x.points {
			if p.metric == i {
				want++
			}
		}
		for _, p := range x.flush[k.Metric()] {
			got += p.Set.Count
		}
		if want != got {
			return fmt.Errorf("metric %d: %v datapoints went in, %v came out", i, want, got)
		}
	}
	return nil
}

// TestPercentiles holds the sketch to its accuracy.
func TestPercentiles(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	var whole Set
	var all []float64
	for range 10 {
		var part Set
		for range 1000 {
			v := math.Exp(r.NormFloat64() * 3)
			part.Add(v, 1)
			all = append(all, v)
		}
		text, err := part.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		var read Set
		if err := read.UnmarshalBinary(text); err != nil {
			t.Fatal(err)
		}
		whole.Merge(&read)
	}
	slices.Sort(all)
	for _, name := range []string{"p0", "p10", "p50", "p90", "p99", "p99.9", "p100"} {
		s, ok := ParseStat(name)
		if !ok {
			t.Fatal(name)
		}
		got, ok := s.Of(&whole)
		want := all[max(0, int(math.Ceil(s.hi*float64(len(all))-1e-9))-1)]
		if !ok || math.Abs(got-want) > accuracy*want*1.01 {
			t.Errorf("%s = %v, want %v within %v", name, got, want, accuracy)
		}
	}
	if whole.Count != float64(len(all)) || whole.Max != all[len(all)-1] || whole.Min != all[0] {
		t.Errorf("count, minimum or maximum is off: %+v", whole)
	}
}

func FuzzSet(f *testing.F) {
	var s Set
	s.Add(3, 2)
	b, _ := s.AppendBinary(nil)
	f.Add(b)
	for i := range 40 {
		s.Add(float64(i), 1)
	}
	b, _ = s.AppendBinary(nil)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Set
		if s.UnmarshalBinary(b) != nil {
			return
		}
		for _, stat := range plainStats {
			stat.Of(&s)
		}
		Stat{kind: statPercentile, hi: 0.9}.Of(&s)
		c := s.Clone()
		c.Merge(&s)
	})
}

func FuzzParsers(f *testing.F) {
	for _, s := range []string{
		`ALARM("a") AND NOT (OK(b) OR TRUE)`, `SUM(METRICS())/[a,b]*IF(x>1,2,-3^2)`, `{AWS/Lambda,FunctionName} MetricName="Errors" OR x=(a OR "b c")`,
		"TM(10%:90%)", "PR(:3)", "p99.9", "SEARCH('{a,b} c', 'Sum', 300)", "a AND", "'",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := ParseRule(text); err == nil {
			r.holds(func(string) (State, bool) { return OK, true })
		}
		if s, err := ParseSearch(text); err == nil {
			s.Matches(&Metric{Namespace: "AWS/Lambda", Name: "Errors", Dimensions: []Dimension{{"FunctionName", "f"}}})
		}
		if s, ok := ParseStat(text); ok {
			var set Set
			set.Add(1, 1)
			set.Add(2, 5)
			s.Of(&set)
		}
		if e, err := ParseExpression(text); err == nil {
			_, _ = e.Searches()
			e.Names()
			line := Line{Query: &Query{ID: "e", Expression: e}}
			a := Line{Query: &Query{ID: "a"}, Series: []Series{{Period: time.Minute, Points: []Point{{0, 1}, {minute, 2}}}}}
			_, _ = Evaluate(Inputs{Lines: []Line{line, a}, Period: time.Minute, End: 3 * minute})
		}
	})
}

// BenchmarkPut is the ingest path: 10,000 metrics, a datapoint of each in turn, a minute's
// closing every 600,000 datapoints.
func BenchmarkPut(b *testing.B) {
	m := New()
	keys := make([]Key, 10_000)
	for i := range keys {
		keys[i] = KeyOf(testScope, Metric{Namespace: "n", Name: fmt.Sprint(i)}, Count)
	}
	values := make([]float64, 1024)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range values {
		values[i] = r.ExpFloat64() * 100
	}
	var out []Effect
	now := Instant(0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now += 100_000 // 10,000 datapoints a second
		var s Set
		s.Add(values[i%len(values)], 1)
		out = m.Step(now, Put(keys[i%len(keys)], now, &s, false), out[:0])
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "datapoints/s")
}
