package metric

import (
	"encoding/binary"
	"errors"
	"math"
)

// A Set is the statistic set of a period's datapoints, with their distribution where it is
// known. The zero value is empty.
type Set struct {
	Count, Sum, Min, Max float64

	values  values
	partial bool // a part came as a statistic set, so the distribution is not known
}

// Add counts a value as often as count says. It ignores what is no number.
func (s *Set) Add(v, count float64) {
	if !finite(v) || !finite(count) || count <= 0 {
		return
	}
	if s.Count == 0 {
		s.Min, s.Max = v, v
	} else {
		s.Min, s.Max = min(s.Min, v), max(s.Max, v)
	}
	s.Count += count
	s.Sum += v * count
	if !s.partial {
		s.values.add(v, count)
	}
}

// AddSummary counts datapoints of which only the statistics are known. Percentiles survive it
// if they are determined: all values are the same (CloudWatch: "Percentiles").
func (s *Set) AddSummary(count, sum, least, most float64) {
	if least == most || count == 1 {
		s.Add(sum/count, count)
		return
	}
	if !finite(sum) || !finite(least) || !finite(most) || !finite(count) || count <= 0 {
		return
	}
	s.Merge(&Set{Count: count, Sum: sum, Min: least, Max: most, partial: true})
}

// Merge adds the datapoints of another set.
func (s *Set) Merge(o *Set) {
	switch {
	case o.Count == 0:
		return
	case s.Count == 0:
		s.Min, s.Max = o.Min, o.Max
	default:
		s.Min, s.Max = min(s.Min, o.Min), max(s.Max, o.Max)
	}
	s.Count += o.Count
	s.Sum += o.Sum
	if s.partial || o.partial {
		s.partial, s.values = true, values{}
		return
	}
	s.values.merge(&o.values)
}

// average of values lies between them: sixty times 0.7 is 0.7, and not above a threshold of 0.7
// by an error of rounding. Who gives a statistic set may say what he likes.
func (s *Set) average() float64 {
	a := s.Sum / s.Count
	if s.partial {
		return a
	}
	return min(max(a, s.Min), s.Max)
}

// Clone returns a set that shares nothing with the original.
func (s *Set) Clone() Set {
	c := *s
	c.values = s.values.clone()
	return c
}

// Distributed reports whether the set knows how its values are distributed. As on AWS it does
// not when one is negative.
func (s *Set) Distributed() bool { return s.Count > 0 && !s.partial && s.Min >= 0 }

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// setFormat is the first byte of an encoded set.
const setFormat = 1

const (
	flagPartial = 1 << iota
	flagSketch
)

var errSet = errors.New("not a statistic set")

// AppendBinary appends the set's encoding.
func (s *Set) AppendBinary(b []byte) ([]byte, error) {
	flags := byte(0)
	if s.partial {
		flags |= flagPartial
	}
	if s.values.sketch != nil {
		flags |= flagSketch
	}
	b = append(b, setFormat, flags)
	for _, x := range [...]float64{s.Count, s.Sum, s.Min, s.Max} {
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(x))
	}
	return s.values.append(b), nil
}

// UnmarshalBinary decodes a set.
func (s *Set) UnmarshalBinary(b []byte) error {
	if len(b) < 34 || b[0] != setFormat || b[1] > flagPartial|flagSketch {
		return errSet
	}
	var x [4]float64
	for i := range x {
		x[i] = math.Float64frombits(binary.BigEndian.Uint64(b[2+8*i:]))
		if !finite(x[i]) {
			return errSet
		}
	}
	v, err := decodeValues(b[34:], b[1]&flagSketch != 0)
	if err != nil || x[0] <= 0 {
		return errSet
	}
	*s = Set{Count: x[0], Sum: x[1], Min: x[2], Max: x[3], values: v, partial: b[1]&flagPartial != 0}
	return nil
}
