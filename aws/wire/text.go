package wire

import (
	"encoding/base64"
	"math"
	"strconv"
	"time"
)

// parseText reads a scalar from a label, a query or form parameter or a header. It
// reports false if the text is not of the type.
func parseText(t *Type, text string, p any, def TimeFormat) bool {
	switch t.Kind {
	case String:
		put(p, text)
		return true
	case Bool:
		if text != "true" && text != "false" {
			return false
		}
		put(p, text == "true")
		return true
	case Int32:
		v, ok := parseInteger(text)
		if !ok || v < math.MinInt32 || v > math.MaxInt32 {
			return false
		}
		put(p, int32(v))
		return true
	case Int64:
		v, ok := parseInteger(text)
		if ok {
			put(p, v)
		}
		return ok
	case Float32, Float64:
		v, ok := specialFloat(text)
		if !ok {
			var err error
			v, err = strconv.ParseFloat(text, 64)
			ok = err == nil && isJSONNumber(text)
		}
		if ok {
			putFloat(t, p, v)
		}
		return ok
	case Timestamp:
		v, ok := parseTime(text, t.Time.or(def))
		if ok {
			put(p, v)
		}
		return ok
	case Blob:
		v, err := base64.StdEncoding.DecodeString(text)
		if err == nil {
			*p.(*[]byte) = v
		}
		return err == nil
	}
	return false
}

// appendText writes a scalar for a header or as the text of an XML element.
func appendText(b []byte, t *Type, p any, def TimeFormat) []byte {
	switch t.Kind {
	case String:
		v, _ := get[string](p)
		return append(b, v...)
	case Bool:
		v, _ := get[bool](p)
		return strconv.AppendBool(b, v)
	case Int32:
		v, _ := get[int32](p)
		return strconv.AppendInt(b, int64(v), 10)
	case Int64:
		v, _ := get[int64](p)
		return strconv.AppendInt(b, v, 10)
	case Float32:
		v, _ := get[float32](p)
		return appendTextFloat(b, float64(v), 32)
	case Float64:
		v, _ := get[float64](p)
		return appendTextFloat(b, v, 64)
	case Timestamp:
		v, _ := get[time.Time](p)
		return appendTime(b, v, t.Time.or(def))
	case Blob:
		return base64.StdEncoding.AppendEncode(b, *p.(*[]byte))
	}
	return b
}

func appendTextFloat(b []byte, v float64, bits int) []byte {
	if name := specialFloatName(v); name != "" {
		return append(b, name...)
	}
	return appendFloat(b, v, bits)
}
