package schedule

import (
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// The years of a cron expression (EventBridge: "Cron expressions reference").
const (
	firstYear = 1970
	lastYear  = 2199
)

// A cron is a parsed cron expression. Sets are bit masks.
type cron struct {
	second     int
	hasSeconds bool
	minutes    uint64
	hours      uint64
	months     uint64
	years      [lastYear - firstYear + 1]bool
	days       days
}

// A field tells what one of the fields of a cron expression may hold.
type field struct {
	name        string
	least, most int
	names       []string // of the values from least on
}

var (
	minuteField  = field{"minutes", 0, 59, nil}
	hourField    = field{"hours", 0, 23, nil}
	dayField     = field{"day of the month", 1, 31, nil}
	monthField   = field{"month", 1, 12, []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}}
	weekdayField = field{"day of the week", 1, 7, []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}}
	yearField    = field{"year", firstYear, lastYear, nil}
)

func parseCron(body string) (*cron, error) {
	words := strings.Fields(body)
	c := &cron{hasSeconds: len(words) == 7}
	if c.hasSeconds {
		n, err := strconv.Atoi(words[0])
		if err != nil || n < 0 || n > 59 {
			return nil, invalid("seconds are one number from 0 to 59, not %q", words[0])
		}
		c.second, words = n, words[1:]
	}
	if len(words) != 6 {
		return nil, invalid("cron takes 6 fields, not %d", len(words))
	}
	var err error
	if c.minutes, err = minuteField.mask(words[0]); err != nil {
		return nil, err
	}
	if c.hours, err = hourField.mask(words[1]); err != nil {
		return nil, err
	}
	if c.days, err = parseDays(words[2], words[4]); err != nil {
		return nil, err
	}
	if c.months, err = monthField.mask(words[3]); err != nil {
		return nil, err
	}
	return c, yearField.each(words[5], func(y int) { c.years[y-firstYear] = true })
}

// mask reads a field whose values fit into 64 bits.
func (f field) mask(text string) (mask uint64, err error) {
	err = f.each(text, func(n int) { mask |= 1 << n })
	return mask, err
}

// each calls set with every value that a comma-separated list names.
func (f field) each(text string, set func(int)) error {
	for item := range strings.SplitSeq(text, ",") {
		lo, hi, step, err := f.item(item)
		if err != nil {
			return err
		}
		for n := lo; n <= hi; n += step {
			set(n)
		}
		if hi < lo { // MON-SUN, 22-2: around the end
			n := lo
			for ; n <= f.most; n += step {
				set(n)
			}
			for n -= f.most - f.least + 1; n <= hi; n += step {
				set(n)
			}
		}
	}
	return nil
}

// item reads "*", "5", "MON", "1-5", and each with "/3" behind it.
func (f field) item(text string) (lo, hi, step int, err error) {
	span, every, stepped := strings.Cut(text, "/")
	step = 1
	if stepped {
		if step, err = number(every); err != nil || step < 1 || step > f.most {
			return 0, 0, 0, invalid("%q is no increment of the %s", every, f.name)
		}
	}
	if span == "*" {
		return f.least, f.most, step, nil
	}
	first, last, ranged := strings.Cut(span, "-")
	if lo, err = f.value(first); err != nil {
		return 0, 0, 0, err
	}
	switch {
	case ranged:
		hi, err = f.value(last)
		if hi < lo && f.name == yearField.name && err == nil {
			err = invalid("the range %q of years is backward", span)
		}
	case stepped:
		hi = f.most
	default:
		hi = lo
	}
	return lo, hi, step, err
}

// value reads a number or a name.
func (f field) value(text string) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(text, name) {
			return f.least + i, nil
		}
	}
	n, err := number(text)
	if err != nil || n < f.least || n > f.most {
		return 0, invalid("%q is no value of the %s, which has %d to %d", text, f.name, f.least, f.most)
	}
	return n, nil
}

// number reads digits only: strconv takes signs too.
func number(text string) (int, error) {
	if text == "" || len(text) > 4 || strings.Trim(text, "0123456789") != "" {
		return 0, ErrInvalid
	}
	return strconv.Atoi(text)
}

// next walks from day to day, so that it ends after at most 230 years of them, most of which it
// passes by the month.
func (c *cron) next(after time.Time, zone *time.Location) (time.Time, bool) {
	if zone == nil {
		zone = time.UTC
	}
	local := after.In(zone)
	y, m, d := local.Date()
	// A day earlier: where clocks go back over midnight, yesterday's times may still come.
	day := time.Date(max(y, firstYear), m, d-1, 0, 0, 0, 0, time.UTC)
	if y < firstYear {
		day = time.Date(firstYear, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	for day.Year() <= lastYear {
		switch {
		case day.Year() >= firstYear && !c.years[day.Year()-firstYear]:
			day = time.Date(day.Year()+1, 1, 1, 0, 0, 0, 0, time.UTC)
			continue
		case c.months&(1<<day.Month()) == 0:
			day = time.Date(day.Year(), day.Month()+1, 1, 0, 0, 0, 0, time.UTC)
			continue
		case day.Year() >= firstYear && c.days.has(day):
			if t, ok := c.nextOn(day, after, zone); ok {
				return t, true
			}
		}
		day = day.AddDate(0, 0, 1)
	}
	return time.Time{}, false
}

// nextOn returns the first time of a day after a moment.
func (c *cron) nextOn(day, after time.Time, zone *time.Location) (time.Time, bool) {
	w := wallOf(day)
	w.second = c.second
	for hours := c.hours; hours != 0; hours &= hours - 1 {
		w.hour = bits.TrailingZeros64(hours)
		for minutes := c.minutes; minutes != 0; minutes &= minutes - 1 {
			w.minute = bits.TrailingZeros64(minutes)
			if t, ok := w.in(zone); ok && t.After(after) {
				return t, true
			}
		}
	}
	return time.Time{}, false
}
