package wire

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"
	"unsafe"
)

// The major types of CBOR (RFC 8949).
const (
	cborUint = iota
	cborNegative
	cborBytes
	cborText
	cborArray
	cborMap
	cborTag
	cborSimple
)

const (
	cborFalse, cborTrue, cborNull, cborUndefined = 20, 21, 22, 23
	cborHalf, cborSingle, cborDouble             = 25, 26, 27

	cborIndefinite = 31
	cborBreak      = 0xff
	cborEpoch      = 1 // tag of a timestamp
)

// A cborDecoder reads one CBOR data item into a Struct. Like in the JSON decoder the
// first error sticks.
type cborDecoder struct {
	b       []byte
	pos     int
	depth   int
	err     error
	unknown []string
}

// A cborHead is the first bytes of a data item.
type cborHead struct {
	major, info byte
	arg         uint64
}

func (h cborHead) indefinite() bool { return h.info == cborIndefinite }

func (h cborHead) null() bool {
	return h.major == cborSimple && (h.info == cborNull || h.info == cborUndefined)
}

// decodeCBOR reads body into s. An empty body is an empty structure.
func decodeCBOR(body []byte, s Struct) (unknown []string, err error) {
	if len(body) == 0 {
		return nil, nil
	}
	d := cborDecoder{b: body}
	h := d.head()
	if h.major != cborMap {
		d.fail("Expected a map")
	}
	d.structure(h, s)
	if d.err == nil && d.pos < len(d.b) {
		d.fail("Unexpected data after the end of the document")
	}
	return d.unknown, d.err
}

func (d *cborDecoder) fail(text string) {
	if d.err == nil {
		d.err = serializationError(text)
	}
	d.pos = len(d.b)
}

func (d *cborDecoder) head() cborHead {
	if d.pos >= len(d.b) {
		d.fail("Unexpected end of the body")
		return cborHead{major: cborSimple, info: cborNull}
	}
	h := cborHead{major: d.b[d.pos] >> 5, info: d.b[d.pos] & 31}
	d.pos++
	switch {
	case h.info < 24:
		h.arg = uint64(h.info)
	case h.info <= 27:
		n := 1 << (h.info - 24)
		if len(d.b)-d.pos < n {
			d.fail("Unexpected end of the body")
			return h
		}
		for _, c := range d.b[d.pos : d.pos+n] {
			h.arg = h.arg<<8 | uint64(c)
		}
		d.pos += n
	case h.info != cborIndefinite || h.major == cborUint || h.major == cborNegative || h.major == cborTag:
		d.fail("Malformed data item")
	}
	return h
}

// open enters an array or a map.
func (d *cborDecoder) open(h cborHead) {
	if d.depth++; d.depth > maxDepth {
		d.fail("The body is nested more than " + strconv.Itoa(maxDepth) + " levels deep")
	}
	// Every element takes a byte, which bounds the loops below by the size of the body.
	if !h.indefinite() && h.arg > uint64(len(d.b)-d.pos) {
		d.fail("Unexpected end of the body")
	}
}

// more reports whether element i follows; it leaves the array or map if not.
func (d *cborDecoder) more(h cborHead, i uint64) bool {
	switch {
	case d.err != nil:
		return false
	case !h.indefinite():
		if i < h.arg {
			return true
		}
	case d.pos >= len(d.b):
		d.fail("Unexpected end of the body")
		return false
	case d.b[d.pos] != cborBreak:
		return true
	default:
		d.pos++
	}
	d.depth--
	return false
}

func (d *cborDecoder) structure(h cborHead, s Struct) {
	shape := s.WireShape()
	next, set := 0, 0
	d.open(h)
	for n := uint64(0); d.more(h, n); n++ {
		name := d.text(d.head())
		i := shape.find(name, next)
		v := d.head()
		switch {
		case i < 0:
			if len(d.unknown) < maxUnknown && d.err == nil {
				d.unknown = append(d.unknown, name)
			}
			d.skip(v)
		case v.null():
			next = i + 1
		default:
			known := len(d.unknown)
			d.value(v, shape.Members[i].Type, s.WireMember(i))
			d.within(name, known)
			next, set = i+1, set+1
		}
	}
	if shape.Union && set != 1 {
		d.fail("Exactly one member of a union must be set")
	}
}

func (d *cborDecoder) within(name string, known int) {
	for i := known; i < len(d.unknown); i++ {
		d.unknown[i] = name + "." + d.unknown[i]
	}
}

// value reads a value that is not null into a member or an element.
func (d *cborDecoder) value(h cborHead, t *Type, p any) {
	want := [...]byte{Structure: cborMap, ListKind: cborArray, MapKind: cborMap, String: cborText,
		Blob: cborBytes, Timestamp: cborTag, EventsKind: cborBreak}[t.Kind]
	if want != 0 && h.major != want {
		d.fail("Unexpected type of data item")
		return
	}
	switch t.Kind {
	case Structure:
		d.structure(h, newStruct(p))
	case ListKind:
		d.list(h, t, p.(Sequence))
	case MapKind:
		d.dict(h, t, p.(Dictionary))
	case String:
		put(p, d.text(h))
	case Blob:
		*p.(*[]byte) = d.bytes(h, []byte{})
	case Bool:
		if h.major != cborSimple || h.info != cborTrue && h.info != cborFalse {
			d.fail("Unexpected type of data item")
			return
		}
		put(p, h.info == cborTrue)
	case Timestamp:
		d.timestamp(h, p)
	case Int32, Int64:
		d.integer(h, t, p)
	default:
		v, ok := d.number(h)
		if !ok {
			d.fail("Unexpected type of data item")
			return
		}
		putFloat(t, p, v)
	}
}

func (d *cborDecoder) list(h cborHead, t *Type, l Sequence) {
	l.Make()
	d.open(h)
	for n := uint64(0); d.more(h, n); n++ {
		v := d.head()
		if v.null() {
			d.fail("A list must not contain null")
			return
		}
		d.value(v, t.Elem, l.Add())
	}
}

func (d *cborDecoder) dict(h cborHead, t *Type, m Dictionary) {
	m.Make()
	d.open(h)
	for n := uint64(0); d.more(h, n); n++ {
		key := d.text(d.head())
		v := d.head()
		if v.null() {
			d.fail("A map must not contain null")
			return
		}
		p := m.New()
		known := len(d.unknown)
		d.value(v, t.Elem, p)
		d.within(key, known)
		m.Set(key, p)
	}
}

func (d *cborDecoder) timestamp(h cborHead, p any) {
	sec, ok := d.number(d.head())
	t, valid := epochTime(sec)
	if h.arg != cborEpoch || !ok || !valid {
		d.fail("Malformed timestamp")
		return
	}
	put[time.Time](p, t)
}

func (d *cborDecoder) integer(h cborHead, t *Type, p any) {
	var v int64
	switch {
	case h.major == cborUint && h.arg <= math.MaxInt64:
		v = int64(h.arg)
	case h.major == cborNegative && h.arg <= math.MaxInt64:
		v = -1 - int64(h.arg)
	default:
		f, ok := d.number(h)
		if !ok || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
			d.fail("Unexpected type of data item")
			return
		}
		v = int64(f)
	}
	switch {
	case t.Kind == Int64:
		put(p, v)
	case v < math.MinInt32 || v > math.MaxInt32:
		d.fail("Number out of range of Integer")
	default:
		put(p, int32(v))
	}
}

func (d *cborDecoder) number(h cborHead) (float64, bool) {
	switch {
	case h.major == cborUint && !h.indefinite():
		return float64(h.arg), true
	case h.major == cborNegative && !h.indefinite():
		return -1 - float64(h.arg), true
	case h.major != cborSimple:
		return 0, false
	case h.info == cborHalf:
		return halfFloat(uint16(h.arg)), true
	case h.info == cborSingle:
		return float64(math.Float32frombits(uint32(h.arg))), true
	case h.info == cborDouble:
		return math.Float64frombits(h.arg), true
	}
	return 0, false
}

func halfFloat(bits uint16) float64 {
	exp, frac := int(bits>>10&31), float64(bits&0x3ff)
	var v float64
	switch exp {
	case 0:
		v = math.Ldexp(frac, -24)
	case 31:
		if v = math.Inf(1); frac != 0 {
			v = math.NaN()
		}
	default:
		v = math.Ldexp(1024+frac, exp-25)
	}
	if bits>>15 != 0 {
		return -v
	}
	return v
}

func (d *cborDecoder) text(h cborHead) string {
	if h.major != cborText {
		d.fail("Expected a text string")
		return ""
	}
	b := d.bytes(h, nil)
	if !utf8.Valid(b) {
		d.fail("Invalid UTF-8 in the body")
	}
	return unsafe.String(unsafe.SliceData(b), len(b)) // nobody writes to the body again
}

// bytes reads a byte or text string. One in chunks is put together in out.
func (d *cborDecoder) bytes(h cborHead, out []byte) []byte {
	if !h.indefinite() {
		if h.arg > uint64(len(d.b)-d.pos) {
			d.fail("Unexpected end of the body")
			return nil
		}
		start := d.pos
		d.pos += int(h.arg)
		return d.b[start:d.pos:d.pos]
	}
	for d.err == nil && d.pos < len(d.b) {
		if d.b[d.pos] == cborBreak {
			d.pos++
			return out
		}
		chunk := d.head()
		if chunk.major != h.major || chunk.indefinite() {
			d.fail("Malformed string")
			return nil
		}
		out = append(out, d.bytes(chunk, nil)...)
	}
	d.fail("Unexpected end of the body")
	return nil
}

// skip reads past a data item.
func (d *cborDecoder) skip(h cborHead) {
	switch h.major {
	case cborBytes, cborText:
		d.bytes(h, nil)
	case cborArray, cborMap:
		d.open(h)
		for n := uint64(0); d.more(h, n); n++ {
			d.skip(d.head())
			if h.major == cborMap {
				d.skip(d.head())
			}
		}
	case cborTag:
		if d.depth++; d.depth > maxDepth {
			d.fail("The body is nested too deep")
			return
		}
		d.skip(d.head())
		d.depth--
	default:
		if h.indefinite() {
			d.fail("Malformed data item")
		}
	}
}
