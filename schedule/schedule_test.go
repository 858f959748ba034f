package schedule

import (
	"errors"
	"testing"
	"time"
)

// TestDocumented holds the expressions of AWS's documentation ("Cron expressions reference",
// "Rate expressions", Application Auto Scaling's and EventBridge Scheduler's) against the times
// they are documented to mean.
func TestDocumented(t *testing.T) {
	const start = "2026-01-01T00:00:00Z" // a Thursday
	for _, c := range []struct {
		expression, zone string
		want             []string
	}{
		{"cron(0 10 * * ? *)", "UTC", []string{"2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z"}},
		{"cron(15 12 * * ? *)", "UTC", []string{"2026-01-01T12:15:00Z"}},
		{"cron(0 18 ? * MON-FRI *)", "UTC", []string{"2026-01-01T18:00:00Z", "2026-01-02T18:00:00Z", "2026-01-05T18:00:00Z"}},
		{"cron(0 8 1 * ? *)", "UTC", []string{"2026-01-01T08:00:00Z", "2026-02-01T08:00:00Z"}},
		{"cron(0/15 * * * ? *)", "UTC", []string{"2026-01-01T00:15:00Z", "2026-01-01T00:30:00Z"}},
		{"cron(0/10 * ? * MON-FRI *)", "UTC", []string{"2026-01-01T00:10:00Z"}},
		{"cron(0/5 8-17 ? * MON-FRI *)", "UTC", []string{"2026-01-01T08:00:00Z", "2026-01-01T08:05:00Z"}},
		{"cron(0 9 ? * 2#1 *)", "UTC", []string{"2026-01-05T09:00:00Z", "2026-02-02T09:00:00Z"}}, // the first Monday
		{"cron(15 10 ? * 6L 2019-2026)", "UTC", []string{"2026-01-30T10:15:00Z", "2026-02-27T10:15:00Z"}},
		{"cron(0 0 L * ? *)", "UTC", []string{"2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"}},
		{"cron(0 0 L-2 * ? *)", "UTC", []string{"2026-01-29T00:00:00Z", "2026-02-26T00:00:00Z"}},
		{"cron(0 0 LW * ? *)", "UTC", []string{"2026-01-30T00:00:00Z", "2026-02-27T00:00:00Z"}},
		{"cron(0 0 3W * ? *)", "UTC", []string{"2026-01-02T00:00:00Z", "2026-02-03T00:00:00Z"}}, // Saturday the 3rd
		{"cron(0 0 1W 8 ? *)", "UTC", []string{"2026-08-03T00:00:00Z"}},                         // Saturday the 1st
		{"cron(0 0 31W 5 ? *)", "UTC", []string{"2026-05-29T00:00:00Z"}},                        // Sunday the 31st
		{"cron(0 0 ? * L *)", "UTC", []string{"2026-01-03T00:00:00Z"}},
		{"cron(0 0 ? * 1 *)", "UTC", []string{"2026-01-04T00:00:00Z"}}, // Sunday is 1
		{"cron(0 0 ? * FRI-MON *)", "UTC", []string{"2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z", "2026-01-05T00:00:00Z", "2026-01-09T00:00:00Z"}},
		{"cron(0 22-1 * * ? *)", "UTC", []string{"2026-01-01T01:00:00Z", "2026-01-01T22:00:00Z"}},
		{"cron(0 12 29 2 ? *)", "UTC", []string{"2028-02-29T12:00:00Z"}},
		{"cron(5/10 * ? * * *)", "UTC", []string{"2026-01-01T00:05:00Z"}},
		{"cron(0 0 1 jan ? 2030/5)", "UTC", []string{"2030-01-01T00:00:00Z", "2035-01-01T00:00:00Z"}},
		{"cron(30 0 8 * * ? *)", "UTC", []string{"2026-01-01T08:00:30Z"}},
		{"cron(0 0 31 2 ? *)", "UTC", nil},
		{"cron(0 0 * * ? 2020)", "UTC", nil},
		// The seeds' business hours.
		{"cron(0 8 * * ? *)", "America/New_York", []string{"2026-01-01T13:00:00Z"}},
		// Clocks go forward on March 8: 02:30 is left out. They go back on November 1: 01:30 comes once.
		{"cron(30 2 7-9 3 ? 2026)", "America/New_York", []string{"2026-03-07T07:30:00Z", "2026-03-09T06:30:00Z"}},
		{"cron(30 1 1,2 11 ? 2026)", "America/New_York", []string{"2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"}},
		{"rate(1 minute)", "UTC", []string{"2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"}},
		{"rate(5 hours)", "UTC", []string{"2026-01-01T05:00:00Z"}},
		{"rate(2 days)", "UTC", []string{"2026-01-03T00:00:00Z", "2026-01-05T00:00:00Z"}},
		{"at(2026-03-31T22:00:00)", "UTC", []string{"2026-03-31T22:00:00Z"}},
		{"at(2026-07-01T00:00:00)", "Europe/Berlin", []string{"2026-06-30T22:00:00Z"}},
		{"at(2025-07-01T00:00:00)", "UTC", nil},
	} {
		t.Run(c.expression, func(t *testing.T) {
			e, err := Parse(c.expression)
			if err != nil {
				t.Fatal(err)
			}
			zone, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Skip("no time zones here: ", err)
			}
			anchor, _ := time.Parse(time.RFC3339, start)
			at := anchor
			for i := 0; i < max(1, len(c.want)); i++ {
				next, ok := e.Next(at, zone, anchor)
				if i == len(c.want) {
					if ok {
						t.Fatalf("due at %v, want never", next)
					}
					break
				}
				if got := next.UTC().Format(time.RFC3339); !ok || got != c.want[i] {
					t.Fatalf("%d: due at %s, %v, want %s", i, got, ok, c.want[i])
				}
				at = next
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, text := range []string{
		"", "0 8 * * *", "cron()", "cron(0 8 * * *)", "cron(0 8 * * * *)", "cron(0 8 ? * ? *)", "cron(0 8 1 * MON *)",
		"cron(60 8 * * ? *)", "cron(0 24 * * ? *)", "cron(0 8 0 * ? *)", "cron(0 8 32 * ? *)", "cron(0 8 * 13 ? *)",
		"cron(0 8 ? * 0 *)", "cron(0 8 ? * 8 *)", "cron(0 8 ? * MON#6 *)", "cron(0 8 ? * MON#0 *)", "cron(0 8 * * ? 1969)", "cron(0 8 * * ? 2200)",
		"cron(/ 5-6 ? * * *)", "cron(0/0 8 * * ? *)", "cron(0 8 W * ? *)", "cron(0 8 L,3 * ? *)", "cron(0, 8 * * ? *)", "cron(? 8 * * ? *)",
		"cron(-1 8 * * ? *)", "cron(0 8 * * ? 2030-2020)", "cron(* 0 8 * * ? *)", "CRON(0 8 * * ? *)", "cron(0 8 * * ? *) ",
		"rate(0 minutes)", "rate(1 minutes)", "rate(5 minute)", "rate(5)", "rate(5  minutes)", "rate(+5 minutes)", "rate(1 week)", "rate(999999999 days)",
		"at(2026-01-01)", "at(2026-02-30T00:00:00)", "at(2026-01-01T00:00:00Z)", "rate(5 minutes", "every(5 minutes)",
	} {
		if _, err := Parse(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("Parse(%q): %v, want ErrInvalid", text, err)
		}
	}
}
