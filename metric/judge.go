package metric

// A verdict is what an alarm says of the samples it has seen.
type verdict struct {
	state    State
	keep     bool     // the state stays as it is
	used     []sample // the real datapoints that were counted, oldest first
	filled   int      // missing ones that were counted besides
	breaches int      // of used
}

// judge decides the state of an alarm from the samples in its reach, oldest first
// (CloudWatch: "How alarm state is evaluated when data is missing").
//
//  1. With N real datapoints or more the newest N decide, and missing ones do not matter.
//  2. With fewer all of them count, and as many missing ones as lack to N are treated as
//     configured.
//  3. With none, and missing data treated as missing, the data is insufficient.
//  4. An alarm does not act on its newest datapoints alone: with fewer breaching ones than M
//     and the rest missing, it goes to ALARM when the oldest of them is M periods old.
func (a *Alarm) judge(points []sample) verdict {
	var v verdict
	for i := len(points) - 1; i >= 0 && len(v.used) < a.Periods; i-- {
		p := points[i]
		if !p.ok {
			continue
		}
		v.used = append(v.used, p)
		if a.Operator.breaches(p.value, a.Threshold) {
			v.breaches++
		}
		v.keep = v.keep || p.low && a.KeepOnLowSamples
	}
	reverse(v.used)
	if v.keep {
		return v
	}
	v.filled = a.Periods - len(v.used)
	v.state = OK
	switch {
	case v.breaches >= a.Datapoints:
		v.state = InAlarm
	case v.filled == 0:
	case a.Missing == TreatBreaching:
		if v.breaches+v.filled >= a.Datapoints {
			v.state = InAlarm
		}
	case a.Missing == TreatNotBreaching:
	case len(v.used) == 0 && a.Missing == TreatMissing:
		v.state = InsufficientData
	case v.breaches < len(v.used):
	case a.Missing == TreatMissing && a.oldEnough(points):
		v.state = InAlarm
	default:
		v.keep = true
	}
	return v
}

// oldEnough reports whether the oldest datapoint is at least M periods old.
func (a *Alarm) oldEnough(points []sample) bool {
	for i, p := range points {
		if p.ok {
			return len(points)-i >= a.Datapoints
		}
	}
	return false
}

func reverse(s []sample) {
	for i, j := 0, len(s)-1; i < j; i, j = i+1, j-1 {
		s[i], s[j] = s[j], s[i]
	}
}
