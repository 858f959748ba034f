package conformance

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/weir-run/weir/aws/wire"
)

// plain returns a structure as a tree of JSON-like values: what is set and nothing else.
// Numbers become float64, timestamps seconds since 1970, blobs base64.
func plain(s wire.Struct) map[string]any {
	out := map[string]any{}
	shape := s.WireShape()
	for i := range shape.Members {
		if v := plainMember(shape.Members[i].Type, s.WireMember(i)); v != nil {
			out[shape.Members[i].Name] = v
		}
	}
	return out
}

func plainMember(t *wire.Type, p any) any {
	switch p := p.(type) {
	case *wire.Opt[bool]:
		return optional(p.OK, t, &p.V)
	case *wire.Opt[int32]:
		return optional(p.OK, t, &p.V)
	case *wire.Opt[int64]:
		return optional(p.OK, t, &p.V)
	case *wire.Opt[float32]:
		return optional(p.OK, t, &p.V)
	case *wire.Opt[float64]:
		return optional(p.OK, t, &p.V)
	case *wire.Opt[string]:
		return optional(p.OK, t, &p.V)
	case *wire.Opt[time.Time]:
		return optional(p.OK, t, &p.V)
	case *[]byte:
		return optional(*p != nil, t, p)
	case wire.Reference:
		if p.Get() == nil {
			return nil
		}
		return plain(p.Get())
	case wire.Sequence:
		return optional(!p.IsNil(), t, p)
	case wire.Dictionary:
		return optional(!p.IsNil(), t, p)
	}
	return nil
}

func optional(ok bool, t *wire.Type, p any) any {
	if !ok {
		return nil
	}
	return plainElement(t, p)
}

func plainElement(t *wire.Type, p any) any {
	switch p := p.(type) {
	case *bool:
		return *p
	case *int32:
		return float64(*p)
	case *int64:
		return float64(*p)
	case *float32:
		return special(float64(*p))
	case *float64:
		return special(*p)
	case *string:
		return *p
	case *time.Time:
		return float64(p.UnixMilli()) / 1000
	case *[]byte:
		return base64.StdEncoding.EncodeToString(*p)
	case wire.Sequence:
		list := make([]any, p.Len())
		for i := range list {
			list[i] = plainElement(t.Elem, p.At(i))
		}
		return list
	case wire.Dictionary:
		m := map[string]any{}
		for _, key := range p.Keys() {
			m[key] = plainElement(t.Elem, p.Get(key))
		}
		return m
	case wire.Struct:
		return plain(p)
	}
	panic(fmt.Sprintf("no element: %T", p))
}

func special(v float64) any {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	return v
}

// fill sets the members of a structure to the values of a protocol test. Blobs are plain
// text there.
func fill(s wire.Struct, values map[string]any) error {
	shape := s.WireShape()
	for i := range shape.Members {
		m := &shape.Members[i]
		v, ok := values[m.Name]
		if !ok || v == nil {
			continue
		}
		if err := fillValue(m.Type, s.WireMember(i), v); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return nil
}

func fillValue(t *wire.Type, p, v any) error {
	if _, isMap := v.(map[string]any); !isMap && (t.Kind == wire.Structure || t.Kind == wire.MapKind) {
		return fmt.Errorf("no object: %v", v)
	}
	switch p := p.(type) {
	case wire.Reference:
		return fill(p.New(), v.(map[string]any))
	case wire.Sequence:
		p.Make()
		for _, item := range v.([]any) {
			if item == nil {
				return fmt.Errorf("null in a list")
			}
			if err := fillValue(t.Elem, p.Add(), item); err != nil {
				return err
			}
		}
		return nil
	case wire.Dictionary:
		p.Make()
		for key, item := range v.(map[string]any) {
			if item == nil {
				return fmt.Errorf("null in a map")
			}
			at := p.New()
			if err := fillValue(t.Elem, at, item); err != nil {
				return err
			}
			p.Set(key, at)
		}
		return nil
	case wire.Struct:
		return fill(p, v.(map[string]any))
	case *[]byte:
		*p = []byte(v.(string))
		return nil
	}
	return fillScalar(p, v)
}

func fillScalar(p, v any) error {
	switch p := p.(type) {
	case *wire.Opt[bool]:
		*p = wire.Some(v.(bool))
	case *bool:
		*p = v.(bool)
	case *wire.Opt[string]:
		*p = wire.Some(v.(string))
	case *string:
		*p = v.(string)
	case *wire.Opt[time.Time]:
		*p = wire.Some(seconds(v))
	case *time.Time:
		*p = seconds(v)
	case *wire.Opt[int32]:
		*p = wire.Some(int32(number(v)))
	case *int32:
		*p = int32(number(v))
	case *wire.Opt[int64]:
		*p = wire.Some(int64(number(v)))
	case *int64:
		*p = int64(number(v))
	case *wire.Opt[float32]:
		*p = wire.Some(float32(number(v)))
	case *float32:
		*p = float32(number(v))
	case *wire.Opt[float64]:
		*p = wire.Some(number(v))
	case *float64:
		*p = number(v)
	default:
		return fmt.Errorf("cannot fill a %T", p)
	}
	return nil
}

func seconds(v any) time.Time {
	return time.UnixMilli(int64(math.Round(number(v) * 1000))).UTC()
}

func number(v any) float64 {
	switch v := v.(type) {
	case float64:
		return v
	case json.Number:
		f, _ := v.Float64()
		return f
	case string:
		f, err := strconv.ParseFloat(v, 64)
		if err == nil {
			return f
		}
	}
	panic(fmt.Sprintf("no number: %v", v))
}
