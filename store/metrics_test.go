package store

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
)

var metricScope = lambda.Scope{Account: "111111111111", Region: "us-east-1"}

const day = metric.Instant(24 * time.Hour)

func openMetrics(t *testing.T, dir string) (*Metrics, func()) {
	t.Helper()
	s, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.Metrics(), func() {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func stored(k metric.Key, start metric.Instant, length time.Duration, values ...float64) StoredPeriod {
	p := metric.Period{Unit: k.Unit(), Start: start, Length: length}
	for _, v := range values {
		p.Set.Add(v, 1)
	}
	return StoredPeriod{k, p}
}

func readSums(t *testing.T, m *Metrics, k metric.Key, length time.Duration, lo, hi metric.Instant) map[metric.Instant]float64 {
	t.Helper()
	sums := make(map[metric.Instant]float64)
	last := metric.Instant(-1)
	if err := m.Read(k, length, lo, hi, func(p *metric.Period) {
		if p.Start < last || p.Length != length {
			t.Errorf("period %v+%v after %v", p.Start, p.Length, last)
		}
		last = p.Start
		sums[p.Start] += p.Set.Sum
	}); err != nil {
		t.Fatal(err)
	}
	return sums
}

func TestMetricsMergeAndReopen(t *testing.T) {
	dir := t.TempDir()
	m, closeStore := openMetrics(t, dir)
	k := metric.KeyOf(metricScope, metric.Metric{Namespace: "n", Name: "a"}, metric.Count)
	other := metric.KeyOf(metricScope, metric.Metric{Namespace: "n", Name: "a"}, metric.Seconds)
	at := 20_000 * day
	write := func(p ...StoredPeriod) {
		t.Helper()
		if n, err := m.Write(context.Background(), p); err != nil || n != len(p) {
			t.Fatal(n, err)
		}
	}
	write(stored(k, at-60e9, time.Minute, 1), stored(k, at, time.Minute, 2), stored(k, at, time.Minute, 3), stored(other, at, time.Minute, 10))
	write(stored(k, at, time.Minute, 4), stored(k, at+1e9, time.Second, 4))
	closeStore()
	m, _ = openMetrics(t, dir)
	// Across the border of two chunks, both units.
	got := readSums(t, m, k, time.Minute, at-120e9, at+60e9)
	if len(got) != 2 || got[at-60e9] != 1 || got[at] != 19 {
		t.Errorf("minutes: %v", got)
	}
	if got := readSums(t, m, k, time.Minute, at, at+1); got[at] != 19 {
		t.Errorf("one minute: %v", got)
	}
	if got := readSums(t, m, k, time.Minute, at+60e9, at+day); len(got) != 0 {
		t.Errorf("later: %v", got)
	}
	if got := readSums(t, m, k, time.Second, at, at+60e9); got[at+1e9] != 4 || len(got) != 1 {
		t.Errorf("seconds: %v", got)
	}
}

// TestMetricsExpire holds the retention of each resolution: minutes become five minutes after
// 15 days, those hours after 63, and hours go after 455; the sums stay.
func TestMetricsExpire(t *testing.T) {
	m, _ := openMetrics(t, t.TempDir())
	ctx := context.Background()
	k := metric.KeyOf(metricScope, metric.Metric{Namespace: "n", Name: "a"}, metric.Count)
	start := 20_006 * day // the start of a chunk of minutes
	var all []StoredPeriod
	for i := range 120 {
		all = append(all, stored(k, start+metric.Instant(i)*60e9, time.Minute, 1))
	}
	all = append(all, stored(k, start+5e9, time.Second, 7))
	if _, err := m.Write(ctx, all); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after                         metric.Instant
		seconds, minutes, fives, hour int
	}{
		{2 * metric.Instant(time.Hour), 1, 120, 0, 0},
		{metric.Instant(4*time.Hour) + 1, 0, 120, 0, 0},
		{16*day - 1, 0, 120, 0, 0},
		{16 * day, 0, 0, 24, 0},
		{16 * day, 0, 0, 24, 0},
		{70 * day, 0, 0, 0, 2},
		{455 * day, 0, 0, 0, 2},
		{(455 + 91) * day, 0, 0, 0, 0},
	} {
		if err := m.Expire(ctx, start+step.after); err != nil {
			t.Fatal(err)
		}
		for _, x := range []struct {
			length time.Duration
			want   int
		}{{time.Second, step.seconds}, {time.Minute, step.minutes}, {5 * time.Minute, step.fives}, {time.Hour, step.hour}} {
			sums := readSums(t, m, k, x.length, start, start+day)
			total := 0.0
			for _, v := range sums {
				total += v
			}
			if len(sums) != x.want || x.length > time.Second && x.want > 0 && total != 120 {
				t.Errorf("after %v: %d periods of %v with %v, want %d", step.after, len(sums), x.length, total, x.want)
			}
		}
	}
}

func TestMetricNames(t *testing.T) {
	m, _ := openMetrics(t, t.TempDir())
	var names []NamedMetric
	for i := range 3 {
		for _, ns := range []string{"a", "ab", "b"} {
			names = append(names, NamedMetric{metricScope, metric.Metric{Namespace: ns, Name: fmt.Sprint("m", i), Dimensions: []metric.Dimension{{Name: "d", Value: "v"}}}, metric.Instant(i) * day})
		}
	}
	names = append(names, NamedMetric{lambda.Scope{Account: "111111111111", Region: "us-east-2"}, metric.Metric{Namespace: "x", Name: "y"}, 9 * day})
	if err := m.Name(context.Background(), names); err != nil {
		t.Fatal(err)
	}
	list := func(namespace string, since metric.Instant, page int) []string {
		t.Helper()
		var all []string
		for after, n := "", page; n == page; {
			n = 0
			if err := m.Names(metricScope, namespace, after, since, func(mark string, x metric.Metric) bool {
				if v, _ := x.Dimension("d"); v != "v" {
					t.Errorf("the dimensions of %v", x)
				}
				all, after = append(all, x.Namespace+"/"+x.Name), mark
				n++
				return n < page
			}); err != nil {
				t.Fatal(err)
			}
		}
		return all
	}
	want := []string{"a/m0", "a/m1", "a/m2", "ab/m0", "ab/m1", "ab/m2", "b/m0", "b/m1", "b/m2"}
	for _, page := range []int{1, 2, 100} {
		if got := list("", 0, page); !slices.Equal(got, want) {
			t.Errorf("all by %d: %v", page, got)
		}
	}
	if got := list("a", day, 2); !slices.Equal(got, []string{"a/m1", "a/m2"}) {
		t.Errorf("a since day 1: %v", got)
	}
}

func TestAlarmHistory(t *testing.T) {
	m, _ := openMetrics(t, t.TempDir())
	ctx := context.Background()
	for i := range 3 {
		at := metric.Instant(i+1) * 20 * day
		if err := m.AddHistory(ctx, []HistoryItem{{metricScope, at, []byte("a")}, {metricScope, at, []byte("b")}}); err != nil {
			t.Fatal(err)
		}
	}
	read := func(lo, hi metric.Instant) (all string) {
		t.Helper()
		if err := m.History(metricScope, lo, hi, func(at metric.Instant, text []byte) bool {
			all += fmt.Sprintf("%d%s ", at/day, text)
			return true
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	if got := read(0, 40*day+1); got != "20a 20b 40a 40b " {
		t.Errorf("two: %q", got)
	}
	if err := m.Expire(ctx, 61*day); err != nil {
		t.Fatal(err)
	}
	if got := read(0, 100*day); got != "40a 40b 60a 60b " {
		t.Errorf("after 61 days: %q", got)
	}
}

func TestRecorder(t *testing.T) {
	var r Recorder
	account := NewSeries(metricScope, metric.Metric{Namespace: "n", Name: "calls"}, metric.Count)
	f := r.Group(NewSeries(metricScope, metric.Metric{Namespace: "n", Name: "calls", Dimensions: []metric.Dimension{{Name: "f", Value: "1"}}}, metric.Count, account))
	g := r.Group(NewSeries(metricScope, metric.Metric{Namespace: "n", Name: "calls", Dimensions: []metric.Dimension{{Name: "f", Value: "2"}}}, metric.Count, account))
	const minute = metric.Instant(time.Minute)
	f.Add(10*minute, 1)
	f.Add(10*minute+5, 2)
	g.Add(11*minute, 3)
	g.Add(10*minute+7, 4) // late
	f.Add(12*minute, 5)
	r.Record(metricScope, metric.Metric{Namespace: "n", Name: "other"}, metric.Count, 10*minute, 8)
	r.Record(metricScope, metric.Metric{Namespace: "n", Name: "other"}, metric.Count, 10*minute, 9)
	drain := func() map[string]float64 {
		got := make(map[string]float64)
		r.Drain(func(s *Series, start metric.Instant, set *metric.Set) {
			name, _ := s.Metric.Dimension("f")
			got[fmt.Sprintf("%s%s %d", s.Metric.Name, name, start/minute)] += set.Sum
		})
		return got
	}
	want := map[string]float64{"calls1 10": 3, "calls1 12": 5, "calls2 11": 3, "calls2 10": 4, "calls 10": 7, "calls 11": 3, "calls 12": 5, "other 10": 17}
	if got := drain(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if got := drain(); len(got) != 0 {
		t.Errorf("drained twice: %v", got)
	}
}

// TestRecorderLosesNothing adds from many goroutines while another drains.
func TestRecorderLosesNothing(t *testing.T) {
	var r Recorder
	s := r.Group(NewSeries(metricScope, metric.Metric{Namespace: "n", Name: "calls"}, metric.Count))
	const workers, each = 4, 2000
	done := make(chan bool)
	for range workers {
		go func() {
			for i := range each {
				s.Add(metric.Instant(i)*metric.Instant(time.Second), 1)
			}
			done <- true
		}()
	}
	count := 0.0
	take := func() { r.Drain(func(_ *Series, _ metric.Instant, set *metric.Set) { count += set.Count }) }
	for n := 0; n < workers; {
		select {
		case <-done:
			n++
		default:
			take()
		}
	}
	take()
	if count != workers*each {
		t.Errorf("%v of %d datapoints came out", count, workers*each)
	}
}

// BenchmarkRecorderInvocation is what one invocation adds: its count, error, duration and
// concurrency, for the function and, by also, for the account.
func BenchmarkRecorderInvocation(b *testing.B) {
	var r Recorder
	var series []*Series
	for _, name := range []string{"Invocations", "Errors", "Duration", "ConcurrentExecutions"} {
		whole := NewSeries(metricScope, metric.Metric{Namespace: "AWS/Lambda", Name: name}, metric.Count)
		series = append(series, NewSeries(metricScope, metric.Metric{Namespace: "AWS/Lambda", Name: name, Dimensions: []metric.Dimension{{Name: "FunctionName", Value: "f"}}}, metric.Count, whole))
	}
	g := r.Group(series...)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		g.Add(metric.Instant(i), 1, 0, float64(i%5000)/7, float64(i%8))
	}
}

// BenchmarkWriteMinute is what a minute of 10,000 live metrics costs.
func BenchmarkWriteMinute(b *testing.B) {
	s, err := Open(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	keys := make([]metric.Key, 10_000)
	for i := range keys {
		keys[i] = metric.KeyOf(metricScope, metric.Metric{Namespace: "n", Name: fmt.Sprint(i)}, metric.Count)
	}
	for i := 0; b.Loop(); i++ {
		var all []StoredPeriod
		for _, k := range keys {
			all = append(all, stored(k, metric.Instant(i)*60e9, time.Minute, 1))
		}
		if _, err := s.Metrics().Write(context.Background(), all); err != nil {
			b.Fatal(err)
		}
	}
}
