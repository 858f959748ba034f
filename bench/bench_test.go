package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	all := []float64{5, 1, 4, 2, 3}
	for share, want := range map[float64]float64{0: 1, 0.5: 3, 0.99: 5, 1: 5} {
		if got := quantile(all, share); got != want {
			t.Errorf("quantile %v of %v = %v, want %v", share, all, got, want)
		}
	}
	if all[0] != 5 {
		t.Error("quantile has sorted its argument")
	}
}

func TestChoose(t *testing.T) {
	got, err := choose("p3, P2")
	if err != nil || len(got) != 2 || got[0].id != "P3" || got[1].id != "P2" {
		t.Errorf("chose %d measures: %v", len(got), err)
	}
	if _, err := choose("P2,P99"); err == nil {
		t.Error("a measure that does not exist was chosen")
	}
}

// A missed target must be shown as missed.
func TestReportShowsWhatIsMissed(t *testing.T) {
	text := report([]row{
		{id: "P1", metric: "a", measured: "2", baseline: "1", ratio: "2.00", target: "≤ 1", met: false},
		{id: "P1", metric: "b", measured: "1", baseline: "1", ratio: "1.00", target: "≤ 1", met: true},
		{id: "P1", metric: "c", measured: "1", baseline: "1", ratio: "1.00"},
	}, nil, nil, time.Second)
	for _, want := range []string{"| P1 | a | 2 | 1 | 2.00 | ≤ 1 | **no** |", "| P1 | b | 1 | 1 | 1.00 | ≤ 1 | yes |", "| P1 | c | 1 | 1 | 1.00 |  | – |"} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the report lacks %s:\n%s", want, text)
		}
	}
}

func TestLoops(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(echo))
	defer s.Close()
	addr := s.Listener.Addr().String()
	request, err := wireRequest(addr, "/", event(), false)
	if err != nil {
		t.Fatal(err)
	}
	d := destination{addr, request}
	took, err := openLoop(d, 100*time.Millisecond)
	if want := int(100 * time.Millisecond / (time.Second / arrivalRate)); err != nil || len(took) != want {
		t.Errorf("%d of %d arrivals were answered: %v", len(took), want, err)
	}
	l, err := closedLoop(target{d, 1}, 2, 50*time.Millisecond)
	if err != nil || l.rate <= 0 {
		t.Errorf("%v requests per second: %v", l.rate, err)
	}
}

// What a server refuses, or a function gets wrong, is not counted as an answer.
func TestFailuresAreErrors(t *testing.T) {
	answers := map[string]http.HandlerFunc{
		"429": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "slow down", http.StatusTooManyRequests) },
		"Unhandled": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			w.Write([]byte("{}"))
		},
	}
	for want, h := range answers {
		s := httptest.NewServer(h)
		addr := s.Listener.Addr().String()
		request, err := wireRequest(addr, "/", event(), false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := openLoop(destination{addr, request}, 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("open loop: %v, want %s", err, want)
		}
		if _, err := closedLoop(target{destination{addr, request}, 1}, 1, 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("closed loop: %v, want %s", err, want)
		}
		s.Close()
	}
}
