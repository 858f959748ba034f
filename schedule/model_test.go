package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// modelDue is a dumb second opinion: whether a minute is due, judged by the text alone and one
// minute at a time.
func modelDue(words []string, t time.Time) bool {
	weekday := int(t.Weekday()) + 1
	last := 31
	for time.Date(t.Year(), t.Month(), last, 0, 0, 0, 0, time.UTC).Month() != t.Month() {
		last--
	}
	return modelField(words[0], t.Minute(), 0, 59, nil) && modelField(words[1], t.Hour(), 0, 23, nil) &&
		modelDay(words[2], t, last) && modelField(words[3], int(t.Month()), 1, 12, monthField.names) &&
		modelWeekday(words[4], t.Day(), weekday, last) && modelField(words[5], t.Year(), 1970, 2199, nil)
}

func modelDay(word string, t time.Time, last int) bool {
	is := func(day int) bool { return t.Day() == day }
	workday := func(day int) bool {
		w := time.Date(t.Year(), t.Month(), day, 0, 0, 0, 0, time.UTC).Weekday()
		return w != time.Saturday && w != time.Sunday
	}
	near := func(day int) bool {
		for _, d := range []int{day, day - 1, day + 1, day - 2, day + 2} {
			if d >= 1 && d <= last && workday(d) {
				return is(d)
			}
		}
		return false
	}
	switch {
	case word == "?":
		return true
	case word == "L":
		return is(last)
	case word == "LW":
		return near(last)
	case strings.HasPrefix(word, "L-"):
		n, _ := strconv.Atoi(word[2:])
		return is(last - n)
	case strings.HasSuffix(word, "W"):
		n, _ := strconv.Atoi(word[:len(word)-1])
		return near(min(n, last))
	}
	return modelField(word, t.Day(), 1, 31, nil)
}

func modelWeekday(word string, day, weekday, last int) bool {
	switch {
	case word == "?":
		return true
	case word == "L":
		return weekday == 7
	case strings.Contains(word, "#"):
		a, b, _ := strings.Cut(word, "#")
		n, _ := strconv.Atoi(b)
		return modelField(a, weekday, 1, 7, weekdayField.names) && day > 7*(n-1) && day <= 7*n
	case strings.HasSuffix(word, "L"):
		return modelField(strings.TrimSuffix(word, "L"), weekday, 1, 7, weekdayField.names) && day > last-7
	}
	return modelField(word, weekday, 1, 7, weekdayField.names)
}

// modelField counts through a list of spans until it meets the value.
func modelField(word string, value, least, most int, names []string) bool {
	read := func(s string) int {
		if i := slices.Index(names, s); i >= 0 {
			return i + least
		}
		n, _ := strconv.Atoi(s)
		return n
	}
	for _, item := range strings.Split(word, ",") {
		span, every, stepped := strings.Cut(item, "/")
		step := 1
		if stepped {
			step, _ = strconv.Atoi(every)
		}
		a, b, ranged := strings.Cut(span, "-")
		lo, hi := read(a), read(a)
		if ranged {
			hi = read(b)
		} else if stepped {
			hi = most
		}
		if span == "*" {
			lo, hi = least, most
		}
		if hi < lo {
			hi += most - least + 1
		}
		for n := lo; n <= hi; n += step {
			if n == value || n-(most-least+1) == value {
				return true
			}
		}
	}
	return false
}

// modelNext counts minutes. A minute that the same wall clock showed before does not count.
func modelNext(words []string, after time.Time, zone *time.Location, limit int) (time.Time, bool) {
	for t := after.Truncate(time.Minute).Add(time.Minute); limit > 0; t, limit = t.Add(time.Minute), limit-1 {
		local := t.In(zone)
		if !modelDue(words, local) {
			continue
		}
		repeated := false
		for _, back := range []time.Duration{30 * time.Minute, time.Hour, 2 * time.Hour} {
			repeated = repeated || wallOf(t.Add(-back).In(zone)) == wallOf(local)
		}
		if !repeated {
			return t, true
		}
	}
	return time.Time{}, false
}

// TestAgainstModel draws expressions and moments, many of them around the changes of clocks.
func TestAgainstModel(t *testing.T) {
	var zones []*time.Location
	for _, name := range []string{"UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Skip("no time zones here: ", err)
		}
		zones = append(zones, zone)
	}
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 7))
		words := randomCron(r)
		text := "cron(" + strings.Join(words, " ") + ")"
		compare(t, fmt.Sprintf("seed %d", seed), text, words, randomMoment(r), zones[r.IntN(len(zones))])
	}
}

const modelMinutes = 40 * 24 * 60

func compare(t *testing.T, name, text string, words []string, after time.Time, zone *time.Location) {
	t.Helper()
	e, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: Parse(%q): %v", name, text, err)
	}
	got, ok := e.Next(after, zone, after)
	want, found := modelNext(words, after, zone, modelMinutes)
	switch {
	case found && (!ok || !got.Equal(want)):
		t.Fatalf("%s: %s after %v in %v: %v, want %v", name, text, after, zone, got, want)
	case !found && ok && got.Before(after.Add(modelMinutes*time.Minute)):
		t.Fatalf("%s: %s after %v in %v: %v, want nothing so early", name, text, after, zone, got)
	}
}

func randomMoment(r *rand.Rand) time.Time {
	changes := []string{"2026-03-08T06:00:00Z", "2026-11-01T05:00:00Z", "2026-03-29T00:30:00Z", "2026-10-25T00:30:00Z", "2026-04-04T14:00:00Z", "2026-10-03T15:00:00Z", "2018-02-18T01:00:00Z", "2018-11-04T02:00:00Z", "2028-02-28T12:00:00Z"}
	t, _ := time.Parse(time.RFC3339, changes[r.IntN(len(changes))])
	return t.Add(time.Duration(r.IntN(6*60)-3*60) * time.Minute).Add(time.Duration(r.IntN(60)) * time.Second)
}

func randomCron(r *rand.Rand) []string {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	num := func(lo, hi int) string { return strconv.Itoa(lo + r.IntN(hi-lo+1)) }
	words := []string{
		pick("0", "30", "*", "0/15", num(0, 59), num(0, 59)+","+num(0, 59), "5-20/4"),
		pick("*", "1", "2", "0", "8-17", "22-2", num(0, 23), "0/6", "23,"+num(0, 22)),
		"?",
		pick("*", "*", "*", "JAN,MAR,NOV", "3/4", "OCT-FEB", num(1, 12)),
		"?",
		pick("*", "*", "2018-2030", "2026", "2018,2026"),
	}
	if r.IntN(2) == 0 {
		words[2] = pick("*", "L", "LW", "L-"+num(0, 9), num(1, 31)+"W", num(1, 31), "1/7", "28-3")
	} else {
		words[4] = pick("*", "L", num(1, 7), "MON-FRI", "FRI-MON", num(1, 7)+"L", num(1, 7)+"#"+num(1, 5), "SUN,WED", "2/2")
	}
	return words
}

// FuzzParse: whatever parses falls due strictly later, or never, and says so again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"cron(0 8 * * ? *)", "cron(0/5 8-17 ? * MON-FRI *)", "cron(0 0 ? * 6L 2030)", "cron(0 0 LW * ? *)", "rate(5 minutes)", "at(2026-01-01T00:00:00)", "cron(0 0 ? * MON#5 *)"} {
		f.Add(s, int64(1_800_000_000))
	}
	f.Fuzz(func(t *testing.T, text string, unix int64) {
		e, err := Parse(text)
		if err != nil {
			return
		}
		after := time.Unix(unix%(1<<33), 0).UTC()
		next, ok := e.Next(after, time.UTC, time.Unix(0, 0))
		if !ok {
			return
		}
		if !next.After(after) {
			t.Fatalf("%s after %v: %v", text, after, next)
		}
		words := strings.Fields(strings.TrimSuffix(strings.TrimPrefix(text, "cron("), ")"))
		if e.cron != nil && !e.HasSeconds() && !modelDue(upper(words), next) {
			t.Fatalf("%s: %v is not due", text, next)
		}
	})
}

func upper(words []string) []string {
	for i, w := range words {
		words[i] = strings.ToUpper(w)
		if words[i] == "WL" {
			words[i] = "LW"
		}
	}
	return words
}
