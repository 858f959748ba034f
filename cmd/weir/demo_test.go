package main

import (
	"strings"
	"testing"
	"time"
)

// demoLimit is what the demo may take while other tests run beside it; alone it takes half a
// minute at most.
const demoLimit = time.Minute

func TestDemo(t *testing.T) {
	began := time.Now()
	code, out, errs := run(t, "demo")
	took := time.Since(began)
	t.Logf("%s\ntook %.1f s", out, took.Seconds())
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	if took > demoLimit {
		t.Errorf("it took %v, more than %v", took, demoLimit)
	}
	for _, part := range []string{
		"A cold start", "Reserved concurrency 10", "emergency brake", "Provisioned concurrency 5", "A noisy function", "An asynchronous storm", "A queue before a database",
		"429 ReservedFunctionConcurrentInvocationLimitExceeded  40", "Measured inside the function: at most ", "All of it as AWS does it",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("it does not say %q", part)
		}
	}
}

func TestTally(t *testing.T) {
	ran := func(from, to float64) answer { return answer{status: 200, from: from, to: to} }
	throttled := answer{status: 429, reason: "R"}
	for _, c := range []struct {
		name    string
		answers []answer
		ran     int
		refused map[string]int
		peak    int
	}{
		{"none", nil, 0, map[string]int{}, 0},
		{"in turn, end to start", []answer{ran(2, 3), ran(1, 2), ran(3, 4)}, 3, map[string]int{}, 1},
		{"overlapping", []answer{ran(1, 4), ran(2, 3), ran(2.5, 5), throttled}, 3, map[string]int{"R": 1}, 3},
		{"apart", []answer{ran(1, 2), ran(1.5, 3), ran(4, 6), ran(5, 6), throttled, throttled}, 4, map[string]int{"R": 2}, 2},
	} {
		answers := make(chan answer, len(c.answers))
		for _, a := range c.answers {
			answers <- a
		}
		close(answers)
		s := tally(answers)
		if s.ran != c.ran || s.peak != c.peak || s.want(c.ran, c.refused, c.peak) != nil {
			t.Errorf("%s: %d ran, %d at once, %v", c.name, s.ran, s.peak, s.want(c.ran, c.refused, c.peak))
		}
		for _, err := range []error{s.want(c.ran+1, c.refused, c.peak), s.want(c.ran, map[string]int{"S": 1}, c.peak), s.want(c.ran, c.refused, c.peak-1)} {
			if err == nil {
				t.Errorf("%s: what is not wanted passes", c.name)
			}
		}
	}
}
