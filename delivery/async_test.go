package delivery

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestSixHoursOfThrottling plays the default life of an event that is always throttled: the
// delays double from one second to five minutes, for six hours.
func TestSixHoursOfThrottling(t *testing.T) {
	p := newAsyncPlayer(t)
	p.command("t=0s queue q1 failure")
	p.command("always q1 throttle")
	lines := append(p.command("enqueue q1 i1"), p.command("run 7h")...)
	var delays []time.Duration
	for _, l := range lines {
		if _, d, ok := strings.Cut(l, " retry i1 in "); ok {
			delays = append(delays, p.duration(d))
		}
	}
	want := time.Second
	total := time.Duration(0)
	for i, d := range delays {
		if d != want {
			t.Fatalf("delay %d is %v, want %v", i+1, d, want)
		}
		total += d
		want = min(2*want, 5*time.Minute)
	}
	if total > 6*time.Hour || total+want <= 6*time.Hour {
		t.Errorf("the delays add up to %v and the next would be %v", total, want)
	}
	if last := lines[len(lines)-1]; last != fmt.Sprintf("%v settle i1: EventAgeExceeded, %d throttled", total, len(delays)+1) {
		t.Errorf("it ended with %q", last)
	}
}

// TestBacklogDelaysNobody puts a million events into one queue; an event of another is tried
// at its next turn, and memory holds a window only.
func TestBacklogDelaysNobody(t *testing.T) {
	m := NewAsync(Settings{InFlight: 100, PerQueue: 50, Window: 64})
	var out []Effect
	out = m.Step(0, Configure(1, DefaultConfig), out[:0])
	out = m.Step(0, Loaded(1, nil, false), out[:0])
	out = m.Step(0, Configure(2, DefaultConfig), out[:0])
	out = m.Step(0, Loaded(2, nil, false), out[:0])
	for i := range EventID(1_000_000) {
		out = m.Step(Instant(i), Enqueued(1, Entry{Event: i + 1, Due: Instant(i), Born: Instant(i)}), out[:0])
	}
	if n := m.queues[1].window.len(); n > 129 {
		t.Errorf("the window holds %d events", n)
	}
	out = m.Step(1e6, Enqueued(2, Entry{Event: 2_000_000, Due: 1e6, Born: 1e6}), out[:0])
	if len(out) != 1 || out[0].Do != Deliver || out[0].Event != 2_000_000 {
		t.Errorf("the other queue's event: %+v", out)
	}
}
