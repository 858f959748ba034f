package wire

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxClauses bounds how many violations one message names.
const maxClauses = 100

// A validator collects the violations of a structure's constraints, in AWS's words. The
// rules were recovered from recorded answers; see validate_test.go.
type validator struct {
	path    []step
	clauses []string
}

// A step of a path is a member, a word as it stands (the key of a map), or the 1-based
// index of a list.
type step struct {
	member, word string
	index        int
}

// validate returns AWS's message for the violations in a structure, or "".
func validate(s Struct) string {
	var v validator
	v.structure(s)
	switch n := len(v.clauses); n {
	case 0:
		return ""
	case 1:
		return "1 validation error detected: " + v.clauses[0]
	default:
		return strconv.Itoa(n) + " validation errors detected: " + strings.Join(v.clauses, "; ")
	}
}

func (v *validator) structure(s Struct) {
	shape := s.WireShape()
	for i := range shape.Members {
		m, p := &shape.Members[i], s.WireMember(i)
		missing := absent(m.Type, p)
		if missing && !m.Required || len(v.clauses) == maxClauses {
			continue
		}
		v.path = append(v.path, step{member: m.Name})
		if missing {
			v.violate("Value null", "Member must not be null")
		} else {
			v.value(m.Type, p)
		}
		v.path = v.path[:len(v.path)-1]
	}
}

// violate adds a clause about the value at the current path.
func (v *validator) violate(value, constraint string) {
	var path []byte
	for i, s := range v.path {
		if i > 0 {
			path = append(path, '.')
		}
		if s.index > 0 {
			path = strconv.AppendInt(path, int64(s.index), 10)
		}
		path = append(append(path, s.word...), lowerFirst(s.member)...)
	}
	v.clauses = append(v.clauses, value+" at '"+string(path)+"' failed to satisfy constraint: "+constraint)
}

// inside checks an element of a list or map that is not a scalar.
func (v *validator) inside(s step, t *Type, p any) {
	v.path = append(v.path, s, step{word: "member"})
	v.value(t, p)
	v.path = v.path[:len(v.path)-2]
}

func (v *validator) value(t *Type, p any) {
	switch t.Kind {
	case Structure:
		v.structure(structOf(p))
		return
	case ListKind:
		v.list(t, p.(Sequence))
	case MapKind:
		v.dict(t, p.(Dictionary))
	case EventsKind:
		return
	}
	for _, c := range violations(t, p) {
		v.violate(printed(t, p), c)
	}
}

// violations returns the constraints of a type that a value does not meet.
func violations(t *Type, p any) []string {
	var out []string
	if t.Kind == String {
		text, _ := get[string](p)
		if t.Enum != nil && !slices.Contains(t.Enum, text) {
			out = append(out, t.enumText())
		}
		// A long text that is refused for its length anyway is not worth a match.
		tooLong := t.HasMax && len(text) > maxPrinted && t.measure(p) > float64(t.Max)
		if t.Pattern != nil && !tooLong && !t.Pattern.match(text) {
			out = append(out, t.patternText())
		}
	}
	switch {
	case t.HasMax && t.measure(p) > float64(t.Max):
		out = append(out, t.boundText("less", t.Max))
	case t.HasMin && t.measure(p) < float64(t.Min):
		out = append(out, t.boundText("greater", t.Min))
	}
	return out
}

// measure returns what Min and Max bound: a number's value, or a length.
func (t *Type) measure(p any) float64 {
	switch t.Kind {
	case Int32:
		n, _ := get[int32](p)
		return float64(n)
	case Int64:
		n, _ := get[int64](p)
		return float64(n)
	case Float32:
		n, _ := get[float32](p)
		return float64(n)
	case Float64:
		n, _ := get[float64](p)
		return n
	case String:
		s, _ := get[string](p)
		return float64(utf8.RuneCountInString(s))
	case Blob:
		return float64(len(*p.(*[]byte)))
	case ListKind:
		return float64(p.(Sequence).Len())
	case MapKind:
		return float64(p.(Dictionary).Len())
	}
	return 0
}

func (t *Type) enumText() string {
	return "Member must satisfy enum value set: [" + strings.Join(t.Enum, ", ") + "]"
}

func (t *Type) patternText() string {
	return "Member must satisfy regular expression pattern: " + t.Pattern.Text
}

func (t *Type) boundText(side string, bound int64) string {
	what, n := "length ", strconv.FormatInt(bound, 10)
	switch t.Kind {
	case Int32, Int64:
		what = "value "
	case Float32, Float64:
		what, n = "value ", n+".0"
	}
	return "Member must have " + what + side + " than or equal to " + n
}

// allText lists every constraint on the elements of a list or map: AWS prints them all
// if one is violated.
func (t *Type) allText(notNull bool) string {
	var all []string
	if t.HasMax {
		all = append(all, t.boundText("less", t.Max))
	}
	if t.HasMin {
		all = append(all, t.boundText("greater", t.Min))
	}
	if t.Pattern != nil {
		all = append(all, t.patternText())
	}
	if t.Enum != nil {
		all = append(all, t.enumText())
	}
	if notNull {
		all = append(all, "Member must not be null")
	}
	return " must satisfy constraint: [" + strings.Join(all, ", ") + "]"
}

// list checks the elements. Violations of structures are reported at the element, of
// scalars at the list.
func (v *validator) list(t *Type, l Sequence) {
	for i := range l.Len() {
		if t.Elem.Kind < Structure {
			if violations(t.Elem, l.At(i)) != nil {
				v.violate(printed(t, l), "Member"+t.Elem.allText(t.NotNull))
				return
			}
			continue
		}
		v.inside(step{index: i + 1}, t.Elem, l.At(i))
	}
}

func (v *validator) dict(t *Type, m Dictionary) {
	keys := m.Keys()
	if t.Key != nil {
		for _, key := range keys {
			if violations(t.Key, &key) != nil {
				v.violate(printed(t, m), "Map keys"+t.Key.allText(t.NotNull))
				break
			}
		}
	}
	for _, key := range keys {
		if t.Elem.Kind < Structure {
			if violations(t.Elem, m.Get(key)) != nil {
				v.violate(printed(t, m), "Map value"+t.Elem.allText(t.NotNull))
				return
			}
			continue
		}
		v.inside(step{word: key}, t.Elem, m.Get(key))
	}
}
