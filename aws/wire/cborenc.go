package wire

import (
	"encoding/binary"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// appendCBOR writes a structure as a map.
func appendCBOR(b []byte, s Struct) []byte {
	shape := s.WireShape()
	n := 0
	for i := range shape.Members {
		if !absent(shape.Members[i].Type, s.WireMember(i)) {
			n++
		}
	}
	b = appendCBORHead(b, cborMap, uint64(n))
	for i := range shape.Members {
		m, p := &shape.Members[i], s.WireMember(i)
		if absent(m.Type, p) {
			continue
		}
		b = appendCBORText(b, m.wireName())
		b = appendCBORValue(b, m.Type, p)
	}
	return b
}

func appendCBORValue(b []byte, t *Type, p any) []byte {
	switch t.Kind {
	case Bool:
		if v, _ := get[bool](p); v {
			return append(b, cborSimple<<5|cborTrue)
		}
		return append(b, cborSimple<<5|cborFalse)
	case Int32:
		v, _ := get[int32](p)
		return appendCBORInt(b, int64(v))
	case Int64:
		v, _ := get[int64](p)
		return appendCBORInt(b, v)
	case Float32:
		v, _ := get[float32](p)
		return binary.BigEndian.AppendUint32(append(b, cborSimple<<5|cborSingle), math.Float32bits(v))
	case Float64:
		v, _ := get[float64](p)
		return appendCBORFloat(b, v)
	case String:
		v, _ := get[string](p)
		return appendCBORText(b, v)
	case Blob:
		v := *p.(*[]byte)
		return append(appendCBORHead(b, cborBytes, uint64(len(v))), v...)
	case Timestamp:
		v, _ := get[time.Time](p)
		return appendCBORFloat(append(b, cborTag<<5|cborEpoch), float64(v.UnixMilli())/1000)
	case ListKind:
		l := p.(Sequence)
		b = appendCBORHead(b, cborArray, uint64(l.Len()))
		for i := range l.Len() {
			b = appendCBORValue(b, t.Elem, l.At(i))
		}
		return b
	case MapKind:
		m := p.(Dictionary)
		b = appendCBORHead(b, cborMap, uint64(m.Len()))
		for _, key := range m.Keys() {
			b = appendCBORText(b, key)
			b = appendCBORValue(b, t.Elem, m.Get(key))
		}
		return b
	}
	return appendCBOR(b, structOf(p))
}

func appendCBORHead(b []byte, major byte, arg uint64) []byte {
	major <<= 5
	switch {
	case arg < 24:
		return append(b, major|byte(arg))
	case arg <= math.MaxUint8:
		return append(b, major|24, byte(arg))
	case arg <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(arg))
	case arg <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(arg))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), arg)
}

func appendCBORInt(b []byte, v int64) []byte {
	if v < 0 {
		return appendCBORHead(b, cborNegative, uint64(-1-v))
	}
	return appendCBORHead(b, cborUint, uint64(v))
}

func appendCBORFloat(b []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(b, cborSimple<<5|cborDouble), math.Float64bits(v))
}

func appendCBORText(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return append(appendCBORHead(b, cborText, uint64(len(s))), s...)
}
