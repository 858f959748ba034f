package wire

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// or returns f, or the default of a place that has no format of its own.
func (f TimeFormat) or(def TimeFormat) TimeFormat {
	if f != DefaultTime {
		return f
	}
	return def
}

// appendTime writes a timestamp. Fractions have millisecond precision, as AWS's have.
func appendTime(b []byte, t time.Time, f TimeFormat) []byte {
	t = t.UTC()
	switch f {
	case HTTPTime:
		return t.AppendFormat(b, http.TimeFormat)
	case ISOTime:
		if t.Nanosecond() < int(time.Millisecond) {
			return t.AppendFormat(b, "2006-01-02T15:04:05Z")
		}
		return t.AppendFormat(b, "2006-01-02T15:04:05.000Z")
	}
	ms := t.UnixMilli()
	if ms%1000 == 0 {
		return strconv.AppendInt(b, ms/1000, 10)
	}
	if ms < 0 {
		b, ms = append(b, '-'), -ms
	}
	b = strconv.AppendInt(b, ms/1000, 10)
	frac := strconv.Itoa(int(ms%1000) + 1000)[1:]
	return append(append(b, '.'), strings.TrimRight(frac, "0")...)
}

// parseTime reads a timestamp. It is as lenient as AWS is: any offset, any fraction.
func parseTime(s string, f TimeFormat) (time.Time, bool) {
	switch f {
	case HTTPTime:
		for _, layout := range [...]string{http.TimeFormat, time.RFC1123Z} {
			if t, err := time.Parse(layout, s); err == nil {
				return t.UTC(), true
			}
		}
		return time.Time{}, false
	case ISOTime:
		t, err := time.Parse(time.RFC3339, s)
		return t.UTC(), err == nil
	}
	if !isJSONNumber(s) {
		return time.Time{}, false
	}
	return parseEpoch(s)
}

func parseEpoch(s string) (time.Time, bool) {
	whole, frac, _ := strings.Cut(s, ".")
	if sec, err := strconv.ParseInt(whole, 10, 64); err == nil && strings.Trim(frac, "0123456789") == "" {
		ns, _ := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
		if strings.HasPrefix(s, "-") {
			ns = -ns
		}
		return time.Unix(sec, ns).UTC(), inCalendar(float64(sec))
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return time.Time{}, false
	}
	return epochTime(v)
}

// epochTime converts seconds since 1970, rounded to microseconds: a float64 holds no more.
func epochTime(v float64) (time.Time, bool) {
	if !inCalendar(v) {
		return time.Time{}, false
	}
	whole, frac := math.Modf(v)
	return time.Unix(int64(whole), int64(math.Round(frac*1e6))*1000).UTC(), true
}

// inCalendar reports whether seconds since 1970 fall into the years 0 to 9999, which
// every format can write.
func inCalendar(sec float64) bool { return sec >= -62167219200 && sec < 253402300800 }
