package schedule

import (
	"strings"
	"time"
)

// days are the days on which a cron expression falls due: by the day of the month or by the day
// of the week, as the other one is "?". Exactly one of its rules holds, or the mask.
type days struct {
	ofWeek bool
	mask   uint64 // plain values

	last    bool // L, of the month; with a weekday its last in the month
	before  int  // L-3: days before the last
	near    bool // W: the weekday, Monday to Friday, nearest to day, or to the last
	day     int  // 15W
	weekday int  // 5L, 5#2
	nth     int  // 5#2
}

func parseDays(ofMonth, ofWeek string) (days, error) {
	switch {
	case ofMonth == "?" && ofWeek == "?":
		return days{}, invalid("the day of the month and the day of the week are both ?")
	case ofMonth == "?":
		return parseWeekdays(ofWeek)
	case ofWeek == "?":
		return parseMonthDays(ofMonth)
	}
	return days{}, invalid("one of the day of the month and the day of the week must be ?")
}

// parseMonthDays reads "L", "LW", "L-3", "15W" and plain values.
func parseMonthDays(text string) (d days, err error) {
	upper := strings.ToUpper(text)
	switch {
	case upper == "L":
		return days{last: true}, nil
	case upper == "LW" || upper == "WL":
		return days{last: true, near: true}, nil
	case strings.HasPrefix(upper, "L-"):
		n, err := number(upper[2:])
		if err != nil || n > 30 {
			return d, invalid("%q is no day before the last", text)
		}
		return days{last: true, before: n}, nil
	case strings.HasSuffix(upper, "W"):
		n, err := dayField.value(upper[:len(upper)-1])
		return days{near: true, day: n}, err
	}
	d.mask, err = dayField.mask(text)
	return d, err
}

// parseWeekdays reads "L" (Saturday), "6L", "FRI#2" and plain values.
func parseWeekdays(text string) (d days, err error) {
	d.ofWeek = true
	upper := strings.ToUpper(text)
	if upper == "L" {
		d.mask = 1 << 7
		return d, nil
	}
	if first, nth, ok := strings.Cut(upper, "#"); ok {
		if d.weekday, err = weekdayField.value(first); err != nil {
			return d, err
		}
		if d.nth, err = number(nth); err != nil || d.nth < 1 || d.nth > 5 {
			return d, invalid("%q is no week of a month, which has 1 to 5", nth)
		}
		return d, nil
	}
	if first, ok := strings.CutSuffix(upper, "L"); ok {
		d.last = true
		d.weekday, err = weekdayField.value(first)
		return d, err
	}
	d.mask, err = weekdayField.mask(text)
	return d, err
}

// has reports whether a date, in UTC, is one of the days.
func (d days) has(date time.Time) bool {
	day, last := date.Day(), lastDay(date)
	weekday := int(date.Weekday()) + 1
	switch {
	case d.ofWeek && d.nth > 0:
		return weekday == d.weekday && (day-1)/7+1 == d.nth
	case d.ofWeek && d.last:
		return weekday == d.weekday && day+7 > last
	case d.ofWeek:
		return d.mask&(1<<weekday) != 0
	case d.near && d.last:
		return day == nearest(date, last, last)
	case d.near:
		// As Quartz has it, a month that lacks the day takes its last.
		return day == nearest(date, min(d.day, last), last)
	case d.last:
		return day == last-d.before
	}
	return d.mask&(1<<day) != 0
}

func lastDay(date time.Time) int {
	return time.Date(date.Year(), date.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// nearest returns the day from Monday to Friday that is nearest to a day, in the same month.
func nearest(date time.Time, day, last int) int {
	switch time.Date(date.Year(), date.Month(), day, 0, 0, 0, 0, time.UTC).Weekday() {
	case time.Saturday:
		if day == 1 {
			return 3
		}
		return day - 1
	case time.Sunday:
		if day == last {
			return day - 2
		}
		return day + 1
	}
	return day
}
