package wire

import (
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	// maxPrinted bounds the bytes of a value in a message.
	maxPrinted = 16 << 10
	redacted   = "***Sensitive Data Redacted***"
)

// printed returns a value as a validation message shows it: as Java's toString does.
func printed(t *Type, p any) string {
	if t.Sensitive || t.Elem != nil && t.Elem.Sensitive || t.Key != nil && t.Key.Sensitive {
		return "Value"
	}
	b := appendJava([]byte("Value '"), t, p)
	if len(b) > maxPrinted {
		return strings.ToValidUTF8(string(b[:maxPrinted]), "") + "...'"
	}
	return string(append(b, '\''))
}

func appendJava(b []byte, t *Type, p any) []byte {
	if len(b) > maxPrinted {
		return b
	}
	if t.Sensitive {
		return append(b, redacted...)
	}
	switch t.Kind {
	case Float32:
		v, _ := get[float32](p)
		return appendJavaDouble(b, float64(v), 32)
	case Float64:
		v, _ := get[float64](p)
		return appendJavaDouble(b, v, 64)
	case Timestamp:
		v, _ := get[time.Time](p)
		return v.UTC().AppendFormat(b, "Mon Jan 02 15:04:05 MST 2006")
	case Blob:
		n := strconv.Itoa(len(*p.(*[]byte)))
		return append(b, "java.nio.HeapByteBuffer[pos=0 lim="+n+" cap="+n+"]"...)
	case ListKind:
		b = append(b, '[')
		for i, l := 0, p.(Sequence); i < l.Len() && len(b) <= maxPrinted; i++ {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendJava(b, t.Elem, l.At(i))
		}
		return append(b, ']')
	case MapKind:
		b = append(b, '{')
		m := p.(Dictionary)
		for i, key := range m.Keys() {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = append(append(b, key...), '=')
			b = appendJava(b, t.Elem, m.Get(key))
		}
		return append(b, '}')
	case Structure:
		return appendJavaStruct(b, structOf(p))
	}
	return appendText(b, t, p, DefaultTime)
}

func appendJavaStruct(b []byte, s Struct) []byte {
	shape := s.WireShape()
	b = append(append(b, shape.Name...), '(')
	for i := range shape.Members {
		m, p := &shape.Members[i], s.WireMember(i)
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(append(b, lowerFirst(m.Name)...), '=')
		if absent(m.Type, p) {
			b = append(b, "null"...)
		} else {
			b = appendJava(b, m.Type, p)
		}
	}
	return append(b, ')')
}

// lowerFirst returns a member's name as AWS prints it: KMSKeyArn as kMSKeyArn.
func lowerFirst(name string) string {
	if name == "" {
		return name
	}
	return strings.ToLower(name[:1]) + name[1:]
}

// appendJavaDouble writes a number as Double.toString does: 2.0, 1.5E10.
func appendJavaDouble(b []byte, v float64, bits int) []byte {
	if name := specialFloatName(v); name != "" {
		return append(b, name...)
	}
	abs := math.Abs(v)
	if abs == 0 || abs >= 1e-3 && abs < 1e7 {
		start := len(b)
		b = strconv.AppendFloat(b, v, 'f', -1, bits)
		if !strings.Contains(string(b[start:]), ".") {
			b = append(b, ".0"...)
		}
		return b
	}
	mantissa, exp, _ := strings.Cut(strconv.FormatFloat(v, 'E', -1, bits), "E")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, _ := strconv.Atoi(exp)
	return append(append(append(b, mantissa...), 'E'), strconv.Itoa(n)...)
}
