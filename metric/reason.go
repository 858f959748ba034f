package metric

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// reason returns the text of a new state, as AWS writes it.
func (a *Alarm) reason(v verdict) string {
	if v.state == InsufficientData {
		if v.filled == 1 {
			return "Insufficient Data: 1 datapoint was unknown."
		}
		return "Insufficient Data: " + strconv.Itoa(v.filled) + " datapoints were unknown."
	}
	if len(v.used) == 0 {
		return "Threshold Crossed: no datapoints were received for " + plural(v.filled, "period") + " and " +
			plural(v.filled, "missing datapoint") + was(v.filled) + "treated as [" + treated[a.Missing] + "]."
	}
	counted, need, from := v.breaches, a.Datapoints, OK
	not := ""
	if v.state == OK {
		counted, need, from = len(v.used)-v.breaches, a.Periods-a.Datapoints+1, InAlarm
		not = "not "
	}
	var b strings.Builder
	b.WriteString("Threshold Crossed: " + strconv.Itoa(counted) + " out of the last " + strconv.Itoa(len(v.used)) + " datapoints [")
	listed := 0
	for i := len(v.used) - 1; i >= 0; i-- {
		p := v.used[i]
		if a.Operator.breaches(p.value, a.Threshold) != (v.state == InAlarm) {
			continue
		}
		if listed == maxListed {
			b.WriteString(", ...")
			break
		}
		if listed > 0 {
			b.WriteString(", ")
		}
		listed++
		b.WriteString(JavaDouble(p.value) + " (" + calendar(p.start).Format("02/01/06 15:04:05") + ")")
	}
	b.WriteString("]" + was(counted) + not + phrases[a.Operator] + " the threshold (" + JavaDouble(a.Threshold) + ")")
	if v.filled > 0 && (a.Missing == TreatBreaching || a.Missing == TreatNotBreaching) {
		b.WriteString(" and " + plural(v.filled, "missing datapoint") + was(v.filled) + "treated as [" + treated[a.Missing] + "]")
	}
	b.WriteString(" (minimum " + plural(need, "datapoint") + " for " + from.String() + " -> " + v.state.String() + " transition).")
	return b.String()
}

// maxListed is how many datapoints a reason names.
const maxListed = 5

// treated are the treatments of missing data in a reason.
var treated = [...]string{"Missing", "Ignore", "Breaching", "NonBreaching"}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

func was(n int) string {
	if n == 1 {
		return " was "
	}
	return " were "
}

func calendar(at Instant) time.Time { return time.Unix(0, int64(at)).UTC() }

// ISO is the form of a time in what AWS's alarms say.
func ISO(at Instant) string { return calendar(at).Format("2006-01-02T15:04:05.000-0700") }

// JavaDouble writes a number as Java's Double.toString does.
func JavaDouble(x float64) string {
	if x == 0 || 1e-3 <= abs(x) && abs(x) < 1e7 {
		s := strconv.FormatFloat(x, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	s := strconv.FormatFloat(x, 'E', -1, 64)
	digits, exponent, _ := strings.Cut(s, "E")
	if !strings.Contains(digits, ".") {
		digits += ".0"
	}
	n, err := strconv.Atoi(exponent)
	if err != nil {
		return s // infinite or not a number
	}
	return digits + "E" + strconv.Itoa(n)
}

func abs(x float64) float64 {
	if x < 0 {
		return -x
	}
	return x
}

// A javaNumber is a number whose JSON has a decimal point, as AWS's has.
type javaNumber float64

func (x javaNumber) MarshalJSON() ([]byte, error) { return []byte(JavaDouble(float64(x))), nil }

type stateReason struct {
	Version    string               `json:"version"`
	QueryDate  string               `json:"queryDate"`
	StartDate  string               `json:"startDate,omitempty"`
	Unit       string               `json:"unit,omitempty"`
	Statistic  string               `json:"statistic,omitempty"`
	Period     int                  `json:"period"`
	Recent     []javaNumber         `json:"recentDatapoints"`
	Threshold  javaNumber           `json:"threshold"`
	Datapoints []evaluatedDatapoint `json:"evaluatedDatapoints,omitempty"`
}

type evaluatedDatapoint struct {
	Timestamp   string      `json:"timestamp"`
	SampleCount *javaNumber `json:"sampleCount,omitempty"`
	Value       *javaNumber `json:"value,omitempty"`
}

// reasonData returns the JSON of a new state.
func (a *Alarm) reasonData(v verdict, points []sample, now Instant) string {
	r := stateReason{
		Version: "1.0", QueryDate: ISO(now), Period: int(a.Period / time.Second),
		Recent: []javaNumber{}, Threshold: javaNumber(a.Threshold),
	}
	if len(a.Queries) == 1 {
		r.Statistic, r.Unit = a.Queries[0].Stat.String(), a.Queries[0].Unit.String()
	}
	for _, p := range v.used {
		r.Recent = append(r.Recent, javaNumber(p.value))
	}
	if len(v.used) > 0 {
		r.StartDate = ISO(v.used[0].start)
	}
	for i := len(points) - 1; i >= max(0, len(points)-a.Periods); i-- {
		d := evaluatedDatapoint{Timestamp: ISO(points[i].start)}
		if p := points[i]; p.ok {
			value, count := javaNumber(p.value), javaNumber(p.count)
			d.Value = &value
			if p.count > 0 {
				d.SampleCount = &count
			}
		}
		r.Datapoints = append(r.Datapoints, d)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return "" // a number that is none; the reason says enough
	}
	return string(text)
}
