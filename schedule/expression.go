package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrInvalid is wrapped by every error of Parse.
var ErrInvalid = errors.New("invalid schedule expression")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// An Expression is a parsed schedule expression: exactly one of its fields is set.
type Expression struct {
	cron *cron
	rate time.Duration
	at   wall
}

// Parse reads a schedule expression.
func Parse(text string) (Expression, error) {
	open := strings.IndexByte(text, '(')
	if open < 0 || !strings.HasSuffix(text, ")") {
		return Expression{}, invalid("%q is none of cron(…), rate(…) and at(…)", text)
	}
	body := text[open+1 : len(text)-1]
	switch text[:open] {
	case "cron":
		c, err := parseCron(body)
		return Expression{cron: c}, err
	case "rate":
		r, err := parseRate(body)
		return Expression{rate: r}, err
	case "at":
		t, err := time.Parse("2006-01-02T15:04:05", body)
		if err != nil || t.Year() < firstYear || t.Year() > lastYear {
			return Expression{}, invalid("%q is no time such as 2026-11-21T08:00:00", body)
		}
		return Expression{at: wallOf(t)}, nil
	}
	return Expression{}, invalid("%q is none of cron(…), rate(…) and at(…)", text)
}

// Once reports whether the expression names a single moment.
func (e Expression) Once() bool { return e.cron == nil && e.rate == 0 }

// HasSeconds reports whether the expression is a cron of seven fields, which only Application
// Auto Scaling takes.
func (e Expression) HasSeconds() bool { return e.cron != nil && e.cron.hasSeconds }

// Next returns the first moment strictly after one at which the expression falls due, or false if
// there is none. The zone says how cron and at are read; a rate counts from its anchor, which is
// itself not due.
func (e Expression) Next(after time.Time, zone *time.Location, anchor time.Time) (time.Time, bool) {
	switch {
	case e.cron != nil:
		return e.cron.next(after, zone)
	case e.rate > 0:
		if after.Before(anchor) {
			return anchor.Add(e.rate), true
		}
		return anchor.Add((after.Sub(anchor)/e.rate + 1) * e.rate), true
	}
	t, ok := e.at.in(zone)
	return t, ok && t.After(after)
}

// maxRate keeps a rate within what a time.Duration can count.
const maxRate = 100 * 366 * 24 * time.Hour

// parseRate reads "5 minutes". As on AWS the unit is singular for 1, and plural else.
func parseRate(body string) (time.Duration, error) {
	words := strings.Split(body, " ")
	if len(words) != 2 {
		return 0, invalid("rate takes a value and a unit: %q", body)
	}
	n, err := strconv.Atoi(words[0])
	if err != nil || n < 1 || words[0][0] == '+' {
		return 0, invalid("the value of a rate is a positive number, not %q", words[0])
	}
	name, plural := strings.CutSuffix(words[1], "s")
	unit := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[name]
	switch {
	case unit == 0:
		return 0, invalid("the unit of a rate is minutes, hours or days, not %q", words[1])
	case plural != (n > 1):
		return 0, invalid("the unit of a rate is singular for 1 and plural else: %q", body)
	case n > int(maxRate/unit):
		return 0, invalid("the rate %q is too slow", body)
	}
	return time.Duration(n) * unit, nil
}

// A wall is a time as a clock on a wall shows it.
type wall struct {
	year, month, day     int
	hour, minute, second int
}

func wallOf(t time.Time) wall {
	y, m, d := t.Date()
	return wall{y, int(m), d, t.Hour(), t.Minute(), t.Second()}
}

// in returns the first moment at which the clocks of a zone show w, or false if they never do.
func (w wall) in(zone *time.Location) (time.Time, bool) {
	utc := time.Date(w.year, time.Month(w.month), w.day, w.hour, w.minute, w.second, 0, time.UTC)
	var first time.Time
	for _, near := range []time.Duration{-26 * time.Hour, 26 * time.Hour} {
		_, offset := utc.Add(near).In(zone).Zone()
		t := utc.Add(-time.Duration(offset) * time.Second).In(zone)
		if wallOf(t) == w && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first, !first.IsZero()
}
