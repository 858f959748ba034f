package metric

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"
)

// values is the distribution of a set: exact while it has few different values, as counters
// do, then a sketch.
type values struct {
	exact  []weight
	sketch *ddsketch.DDSketch // nil: exact holds all
}

type weight struct{ value, count float64 }

const (
	maxExact = 16   // different values held exactly
	accuracy = 0.01 // of a percentile, relative to the value
	maxBins  = 2048 // of a sketch: 17 decades; lower values fall together
)

// bins maps values to the bins of every sketch. NewCubicallyInterpolatedMapping fails only for
// an accuracy outside (0, 1).
var bins, _ = mapping.NewCubicallyInterpolatedMapping(accuracy)

func newStore() store.Store { return store.NewCollapsingLowestDenseStore(maxBins) }

func (d *values) add(v, count float64) {
	if d.sketch != nil {
		d.spill(v, count)
		return
	}
	for i := range d.exact {
		if d.exact[i].value == v {
			d.exact[i].count += count
			return
		}
	}
	if len(d.exact) < maxExact {
		d.exact = append(d.exact, weight{v, count})
		return
	}
	d.sketch = ddsketch.NewDDSketch(bins, newStore(), newStore())
	for _, w := range d.exact {
		d.spill(w.value, w.count)
	}
	d.exact = nil
	d.spill(v, count)
}

// spill adds to the sketch. It refuses values beyond 1e300, which no API lets in; they would
// count in the highest bin.
func (d *values) spill(v, count float64) {
	bound := bins.MaxIndexableValue()
	_ = d.sketch.AddWithCount(max(min(v, bound), -bound), count)
}

func (d *values) merge(o *values) {
	if o.sketch == nil {
		for _, w := range o.exact {
			d.add(w.value, w.count)
		}
		return
	}
	if d.sketch == nil {
		few := d.exact
		*d = values{sketch: o.sketch.Copy()}
		for _, w := range few {
			d.spill(w.value, w.count)
		}
		return
	}
	// The mappings are equal, which is all that could fail.
	_ = d.sketch.MergeWith(o.sketch)
}

func (d *values) clone() values {
	if d.sketch != nil {
		return values{sketch: d.sketch.Copy()}
	}
	return values{exact: slices.Clone(d.exact)}
}

// sorted returns the values in order, each with its count.
func (d *values) sorted() []weight {
	list := slices.Clone(d.exact)
	if d.sketch != nil {
		d.sketch.ForEach(func(value, count float64) bool {
			list = append(list, weight{value, count})
			return false
		})
	}
	slices.SortFunc(list, func(a, b weight) int { return cmp.Compare(a.value, b.value) })
	return list
}

func (d *values) append(b []byte) []byte {
	if d.sketch != nil {
		d.sketch.Encode(&b, true)
		return b
	}
	for _, w := range d.exact {
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(w.value))
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(w.count))
	}
	return b
}

func decodeValues(b []byte, sketched bool) (values, error) {
	if sketched {
		s, err := ddsketch.DecodeDDSketch(b, newStore, bins)
		return values{sketch: s}, err
	}
	if len(b)%16 != 0 || len(b) > 16*maxExact {
		return values{}, errSet
	}
	var d values
	for ; len(b) > 0; b = b[16:] {
		w := weight{math.Float64frombits(binary.BigEndian.Uint64(b)), math.Float64frombits(binary.BigEndian.Uint64(b[8:]))}
		if !finite(w.value) || !finite(w.count) || w.count <= 0 {
			return values{}, errSet
		}
		d.exact = append(d.exact, w)
	}
	return d, nil
}
