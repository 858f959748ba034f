package wire

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"
)

// appendJSON writes the body members of a structure as a JSON object. Commas are derived
// from the last byte written.
func appendJSON(b []byte, s Struct) []byte {
	shape := s.WireShape()
	b = append(b, '{')
	for i := range shape.Members {
		m := &shape.Members[i]
		if m.In != InBody {
			continue
		}
		p := s.WireMember(i)
		if absent(m.Type, p) {
			continue
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, m.wireName()...)
		b = append(b, '"', ':')
		b = appendJSONValue(b, m.Type, p)
	}
	return append(b, '}')
}

// absent reports whether a member is not set.
func absent(t *Type, p any) bool {
	switch t.Kind {
	case String:
		return !p.(*Opt[string]).OK
	case Int32:
		return !p.(*Opt[int32]).OK
	case Int64:
		return !p.(*Opt[int64]).OK
	case Bool:
		return !p.(*Opt[bool]).OK
	case Float32:
		return !p.(*Opt[float32]).OK
	case Float64:
		return !p.(*Opt[float64]).OK
	case Timestamp:
		return !p.(*Opt[time.Time]).OK
	case Blob:
		return *p.(*[]byte) == nil
	case Structure:
		return p.(Reference).Get() == nil
	case ListKind:
		return p.(Sequence).IsNil()
	case MapKind:
		return p.(Dictionary).IsNil()
	}
	return true // an event stream is never part of a body
}

// appendJSONValue writes a member that is set, or an element.
func appendJSONValue(b []byte, t *Type, p any) []byte {
	switch t.Kind {
	case String:
		v, _ := get[string](p)
		return appendJSONString(b, v)
	case Int32:
		v, _ := get[int32](p)
		return strconv.AppendInt(b, int64(v), 10)
	case Int64:
		v, _ := get[int64](p)
		return strconv.AppendInt(b, v, 10)
	case Bool:
		v, _ := get[bool](p)
		return strconv.AppendBool(b, v)
	case Float32:
		v, _ := get[float32](p)
		return appendJSONFloat(b, float64(v), 32)
	case Float64:
		v, _ := get[float64](p)
		return appendJSONFloat(b, v, 64)
	case Timestamp:
		v, _ := get[time.Time](p)
		format := t.Time.or(EpochTime)
		if format == EpochTime {
			return appendTime(b, v, format)
		}
		return append(appendTime(append(b, '"'), v, format), '"')
	case Blob:
		return append(base64.StdEncoding.AppendEncode(append(b, '"'), *p.(*[]byte)), '"')
	case ListKind:
		return appendJSONList(b, t, p.(Sequence))
	case MapKind:
		return appendJSONMap(b, t, p)
	}
	return appendJSON(b, structOf(p))
}

func appendJSONList(b []byte, t *Type, l Sequence) []byte {
	b = append(b, '[')
	for i := range l.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSONValue(b, t.Elem, l.At(i))
	}
	return append(b, ']')
}

func appendJSONMap(b []byte, t *Type, p any) []byte {
	m := p.(Dictionary)
	texts, _ := p.(*Map[string]) // the most frequent kind: no allocation for a value
	b = append(b, '{')
	for i, key := range m.Keys() {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendJSONString(b, key), ':')
		if texts != nil {
			b = appendJSONString(b, (*texts)[key])
		} else {
			b = appendJSONValue(b, t.Elem, m.Get(key))
		}
	}
	return append(b, '}')
}

func appendJSONFloat(b []byte, v float64, bits int) []byte {
	if name := specialFloatName(v); name != "" {
		return append(append(append(b, '"'), name...), '"')
	}
	return appendFloat(b, v, bits)
}

func specialFloatName(v float64) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	return ""
}

// appendFloat writes a number with as few digits as it takes, with an exponent only where
// it would be very long. A whole number has a fraction of zero, as AWS writes it: clients whose
// language tells integers from floats take it for what it is.
func appendFloat(b []byte, v float64, bits int) []byte {
	abs := math.Abs(v)
	if abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(b, v, 'e', -1, bits)
	}
	b = strconv.AppendFloat(b, v, 'f', -1, bits)
	if abs == math.Trunc(abs) {
		b = append(b, ".0"...)
	}
	return b
}

const hexDigits = "0123456789abcdef"

// appendJSONString writes a string in quotes. Bytes that are not UTF-8 become U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	b = append(b, '"')
	text := unsafe.Slice(unsafe.StringData(s), len(s))
	start := 0
	for i := plainText(text, 0); i < len(s); i = plainText(text, i+1) {
		b = append(b, s[start:i]...)
		start = i + 1
		switch c := s[i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(b, s[start:]...), '"')
}
