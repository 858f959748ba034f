package metric

import (
	"math"
	"strconv"
	"strings"
)

// A Stat is a statistic of a set: one of the five of every set, or one of its distribution.
type Stat struct {
	kind   statKind
	lo, hi float64 // bounds; shares of the count in [0, 1], or values if byValue
	value  bool
	text   string
}

type statKind uint8

const (
	statNone statKind = iota
	statAverage
	statSum
	statCount
	statMinimum
	statMaximum
	statPercentile
	statTrimmedMean
	statTrimmedCount
	statTrimmedSum
	statWinsorizedMean
	statPercentileRank
)

// The statistics that every set has.
var (
	Average     = Stat{kind: statAverage, text: "Average"}
	Sum         = Stat{kind: statSum, text: "Sum"}
	SampleCount = Stat{kind: statCount, text: "SampleCount"}
	Minimum     = Stat{kind: statMinimum, text: "Minimum"}
	Maximum     = Stat{kind: statMaximum, text: "Maximum"}
)

var plainStats = []Stat{Average, Sum, SampleCount, Minimum, Maximum}

// trimmed are the statistics between two bounds: tm90 is short for TM(:90%).
var trimmed = []struct {
	short, long string
	kind        statKind
}{
	{"tm", "TM", statTrimmedMean},
	{"tc", "TC", statTrimmedCount},
	{"ts", "TS", statTrimmedSum},
	{"wm", "WM", statWinsorizedMean},
}

// ParseStat reads a statistic as the API names it (CloudWatch: "Statistics definitions").
func ParseStat(text string) (Stat, bool) {
	for _, s := range plainStats {
		if s.text == text {
			return s, true
		}
	}
	if text == "IQM" {
		return Stat{kind: statTrimmedMean, lo: 0.25, hi: 0.75, text: text}, true
	}
	if p, ok := strings.CutPrefix(text, "p"); ok {
		share, ok := percent(p)
		return Stat{kind: statPercentile, hi: share, text: text}, ok
	}
	for _, t := range trimmed {
		if p, ok := strings.CutPrefix(text, t.short); ok {
			share, ok := percent(p)
			return Stat{kind: t.kind, hi: share, text: text}, ok
		}
		if p, ok := strings.CutPrefix(text, t.long+"("); ok {
			return bounded(Stat{kind: t.kind, text: text}, p)
		}
	}
	if p, ok := strings.CutPrefix(text, "PR("); ok {
		s, ok := bounded(Stat{kind: statPercentileRank, text: text}, p)
		return s, ok && s.value
	}
	return Stat{}, false
}

// bounded reads "lo:hi)", both shares such as 10% or both values; either may be left out.
func bounded(s Stat, text string) (Stat, bool) {
	text, ok := strings.CutSuffix(text, ")")
	lo, hi, colon := strings.Cut(text, ":")
	if !ok || !colon || lo == "" && hi == "" {
		return Stat{}, false
	}
	s.value = !strings.HasSuffix(lo, "%") && !strings.HasSuffix(hi, "%")
	s.lo, s.hi = 0, 1
	if s.value {
		s.lo, s.hi = -maxValue, maxValue
	}
	for _, b := range []struct {
		text string
		to   *float64
	}{{lo, &s.lo}, {hi, &s.hi}} {
		if b.text == "" {
			continue
		}
		digits, share := strings.CutSuffix(b.text, "%")
		if share == s.value {
			return Stat{}, false
		}
		var ok bool
		if share {
			*b.to, ok = percent(digits)
		} else {
			*b.to, ok = number(digits)
		}
		if !ok {
			return Stat{}, false
		}
	}
	return s, s.lo < s.hi
}

const maxValue = 2.348542582773833e108 // 2^360, the largest value CloudWatch takes

// percent reads a share given as a percentage with at most ten decimals.
func percent(text string) (float64, bool) {
	_, decimals, _ := strings.Cut(text, ".")
	x, ok := number(text)
	return x / 100, ok && x >= 0 && x <= 100 && len(decimals) <= 10
}

func number(text string) (float64, bool) {
	if strings.Trim(text, "0123456789.-") != "" {
		return 0, false
	}
	x, err := strconv.ParseFloat(text, 64)
	return x, err == nil
}

// String returns the statistic's name as it was given.
func (s Stat) String() string { return s.text }

// Extended reports whether the statistic is not one of the five of every set.
func (s Stat) Extended() bool { return s.kind >= statPercentile }

// Of returns the statistic of a set, or false if the set cannot tell it.
func (s Stat) Of(set *Set) (float64, bool) {
	if set.Count == 0 {
		return 0, false
	}
	switch s.kind {
	case statAverage:
		return set.average(), true
	case statSum:
		return set.Sum, true
	case statCount:
		return set.Count, true
	case statMinimum:
		return set.Min, true
	case statMaximum:
		return set.Max, true
	case statNone:
		return 0, false
	}
	if !set.Distributed() {
		return 0, false
	}
	if s.kind == statPercentile {
		return percentile(set, s.hi), true
	}
	return s.between(set)
}

// percentile returns the smallest value that a share of the values do not exceed: the p99 of four
// values is the largest.
func percentile(set *Set, share float64) float64 {
	nth := max(1, math.Ceil(share*set.Count-1e-9)) // 0.9 × 10 is a little more than 9
	if d := &set.values; d.sketch != nil {
		// The sketch finds the first bin with more than quantile × (count-1) values up to it.
		v, err := d.sketch.GetValueAtQuantile(min((nth-0.5)/(set.Count-1), 1))
		if err != nil {
			return set.Max
		}
		return min(max(v, set.Min), set.Max)
	}
	seen := 0.0
	for _, w := range set.values.sorted() {
		seen += w.count
		if seen >= nth {
			return w.value
		}
	}
	return set.Max
}

// between computes the statistics of what lies between two bounds.
func (s Stat) between(set *Set) (float64, bool) {
	var count, sum, before float64
	low, high := set.Min, set.Max // the outermost values inside
	first := true
	list := set.values.sorted()
	for _, w := range list {
		inside := w.count
		if s.value {
			if w.value < s.lo || w.value > s.hi || s.kind == statPercentileRank && w.value == s.lo {
				inside = 0
			}
		} else {
			inside = max(0, min(before+w.count, s.hi*set.Count)-max(before, s.lo*set.Count))
		}
		before += w.count
		if inside == 0 {
			continue
		}
		if first {
			low, first = w.value, false
		}
		high = w.value
		count += inside
		sum += inside * w.value
	}
	switch s.kind {
	case statPercentileRank:
		return 100 * count / set.Count, true
	case statTrimmedCount:
		return count, true
	case statTrimmedSum:
		return sum, true
	case statTrimmedMean:
		return sum / count, count > 0
	}
	// The winsorized mean counts what is outside as the nearest value inside.
	if count == 0 {
		return 0, false
	}
	sum = 0
	for _, w := range list {
		sum += w.count * min(max(w.value, low), high)
	}
	return sum / set.Count, true
}

// LowSamples reports whether a set is too small for a percentile to mean something: under ten
// values beyond it (CloudWatch: "Percentile-based alarms and low data samples").
func (s Stat) LowSamples(set *Set) bool {
	if s.kind != statPercentile || set.Count == 0 {
		return false
	}
	tail := 1 - s.hi
	if s.hi < 0.5 {
		tail = s.hi
	}
	return set.Count*tail < 10-1e-9 // 1-0.9 is a little below 0.1
}
