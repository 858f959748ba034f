package admission

import (
	"container/heap"
	"testing"
	"time"
)

// TestConcurrencyIsRateTimesDuration plays steady traffic: the environments in use come to
// requests per second × duration, as the articles teach.
func TestConcurrencyIsRateTimesDuration(t *testing.T) {
	for _, c := range []struct {
		gap      time.Duration
		duration time.Duration
		want     int
	}{
		{time.Second / 100, 500 * time.Millisecond, 50},
		{time.Second / 100, 2 * time.Second, 200},
		{time.Second / 500, 200 * time.Millisecond, 100},
		{time.Second / 500, 2 * time.Second, 1000},
		{time.Minute / 10_000, 300 * time.Millisecond, 50}, // 10,000 a minute is not 10,000 at once
	} {
		peak, throttled := steady(t, c.gap, c.duration, 5000)
		if peak != c.want || throttled != 0 {
			t.Errorf("one in %v × %v: %d environments, %d throttled; want %d, 0", c.gap, c.duration, peak, throttled, c.want)
		}
	}
}

// TestThousandClicks plays the article's clicks: 1,000 at the same time need 1,000
// environments, 1,000 over ten minutes use a few again and again.
func TestThousandClicks(t *testing.T) {
	if peak, _ := steady(t, 0, time.Second, 1000); peak != 1000 {
		t.Errorf("1,000 simultaneous clicks used %d environments, want 1000", peak)
	}
	if peak, _ := steady(t, 600*time.Millisecond, time.Second, 1000); peak != 2 {
		t.Errorf("1,000 clicks over ten minutes used %d environments, want 2", peak)
	}
}

// steady plays n invocations, one in each gap, with instant boots, and returns how many
// environments it took and how many invocations were throttled.
func steady(t *testing.T, gap, duration time.Duration, n int) (peak, throttled int) {
	t.Helper()
	m := New(Account{Limit: 1000, IdleTimeout: time.Hour, MaxAge: time.Hour})
	m.Step(0, Function(1, Unreserved), nil)
	m.Step(0, Version(1, 1), nil)
	var ends endings
	var out []Effect
	for i := range n {
		now := Instant(i) * Instant(gap)
		for len(ends) > 0 && ends[0].at <= now {
			e := heap.Pop(&ends).(ending)
			m.Step(e.at, Finished(e.env), nil)
		}
		out = m.Step(now, Arrive(InvocationID(i+1), Target{Version: 1}, 0), out[:0])
		if out[0].Do == Boot {
			peak++
			out = m.Step(now, Booted(out[0].Environment), out[:0])
		}
		if out[0].Do == Throttle {
			throttled++
			continue
		}
		heap.Push(&ends, ending{now.Add(duration), out[0].Environment})
		if err := m.check(); err != nil {
			t.Fatal(err)
		}
	}
	return peak, throttled
}

type ending struct {
	at  Instant
	env EnvironmentID
}

type endings []ending

func (e endings) Len() int           { return len(e) }
func (e endings) Less(i, j int) bool { return e[i].at < e[j].at }
func (e endings) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *endings) Push(x any)        { *e = append(*e, x.(ending)) }
func (e *endings) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func TestParseProfile(t *testing.T) {
	for _, s := range []string{"per-function", "classic:us-east-1", "classic:eu-north-1"} {
		if p, err := ParseProfile(s); err != nil || p.String() != s {
			t.Errorf("ParseProfile(%q) = %v, %v", s, p, err)
		}
	}
	for _, s := range []string{"", "classic", "classic:", "classic:mars", "burst"} {
		if p, err := ParseProfile(s); err == nil {
			t.Errorf("ParseProfile(%q) = %v, want an error", s, p)
		}
	}
}

// TestWhyHasText makes sure that no limit is left without a name and an explanation.
func TestWhyHasText(t *testing.T) {
	for l := AccountConcurrency; l <= BootLost; l++ {
		if l.String() == "" || (Why{Limit: l, Value: 1}).Text(FunctionID.String) == "" {
			t.Errorf("limit %d: name %q, text %q", l, l, Why{Limit: l}.Text(FunctionID.String))
		}
	}
	if int(BootLost)+1 != len(limits) {
		t.Errorf("%d names for %d limits", len(limits), BootLost+1)
	}
}
