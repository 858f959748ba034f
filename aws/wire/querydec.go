package wire

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxPairs bounds the parameters of a form. It is as many as fit into maxForm if each is
// one value of a metric.
const maxPairs = 1 << 17

// A formPair is one parameter of a form or a query string.
type formPair struct {
	key, value string
	rest       string // what is left of the key below the structure that is being read
}

// parseForm splits a form or a query string. It reports false for a broken escape, for
// text that is not UTF-8 and for too many parameters.
func parseForm(pairs []formPair, s string) ([]formPair, bool) {
	for s != "" {
		var part string
		part, s, _ = strings.Cut(s, "&")
		if part == "" {
			continue
		}
		key, value, _ := strings.Cut(part, "=")
		key, ok1 := unescape(key, true)
		value, ok2 := unescape(value, true)
		if !ok1 || !ok2 || len(pairs) == maxPairs {
			return pairs, false
		}
		pairs = append(pairs, formPair{key: key, value: value})
	}
	return pairs, true
}

// unescape decodes %XX, and + if the text is from a query. It allocates only if there is
// something to decode.
func unescape(s string, plus bool) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && (!plus || strings.IndexByte(s, '+') < 0) {
		return s, utf8.ValidString(s)
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) {
				return "", false
			}
			v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			out = append(out, byte(v))
			i += 2
		case c == '+' && plus:
			out = append(out, ' ')
		default:
			out = append(out, c)
		}
	}
	return string(out), utf8.Valid(out)
}

// A queryDecoder reads the parameters of an awsQuery request, whose keys are paths such
// as Entries.member.1.Id.
type queryDecoder struct {
	err     error
	depth   int
	unknown []string
}

// decodeQuery reads parameters into s. It reorders pairs.
func decodeQuery(pairs []formPair, s Struct) (unknown []string, err error) {
	pairs = slices.DeleteFunc(pairs, func(p formPair) bool {
		return p.key == "Action" || p.key == "Version" || strings.HasPrefix(p.key, "X-Amz-")
	})
	slices.SortStableFunc(pairs, func(a, b formPair) int { return compareKeys(a.key, b.key) })
	for i := range pairs {
		pairs[i].rest = pairs[i].key
	}
	var d queryDecoder
	d.structure(pairs, s)
	return d.unknown, d.err
}

// compareKeys orders keys so that those with a common parent are neighbours: the dot
// sorts before every other byte.
func compareKeys(a, b string) int {
	for i := range min(len(a), len(b)) {
		switch x, y := a[i], b[i]; {
		case x == y:
		case x == '.':
			return -1
		case y == '.':
			return 1
		default:
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

func (d *queryDecoder) fail(text string) {
	if d.err == nil {
		d.err = serializationError(text)
	}
}

func (d *queryDecoder) remember(name string) {
	if len(d.unknown) < maxUnknown {
		d.unknown = append(d.unknown, name)
	}
}

// group splits off the pairs that share the first segment of their rest.
func group(pairs []formPair) (segment string, first, others []formPair) {
	segment, _, _ = strings.Cut(pairs[0].rest, ".")
	n := 0
	for n < len(pairs) {
		head, tail, _ := strings.Cut(pairs[n].rest, ".")
		if head != segment {
			break
		}
		pairs[n].rest = tail
		n++
	}
	return segment, pairs[:n], pairs[n:]
}

func (d *queryDecoder) structure(pairs []formPair, s Struct) {
	if d.depth++; d.depth > maxDepth {
		d.fail("The parameters are nested more than " + strconv.Itoa(maxDepth) + " levels deep")
		return
	}
	shape, set := s.WireShape(), 0
	for len(pairs) > 0 && d.err == nil {
		var name string
		var inside []formPair
		name, inside, pairs = group(pairs)
		i := shape.findXML(name)
		if i < 0 {
			if name != "" || inside[0].value != "" { // "Struct=" is an empty structure
				d.remember(name)
			}
			continue
		}
		set++
		known := len(d.unknown)
		d.value(shape.Members[i].Type, name, inside, s.WireMember(i))
		for k := known; k < len(d.unknown); k++ {
			d.unknown[k] = name + "." + d.unknown[k]
		}
	}
	if shape.Union && set != 1 {
		d.fail("Exactly one member of a union must be set")
	}
	d.depth--
}

// value reads a member or an element from all the parameters below it.
func (d *queryDecoder) value(t *Type, name string, pairs []formPair, p any) {
	switch t.Kind {
	case Structure:
		d.structure(pairs, newStruct(p))
	case ListKind:
		l := p.(Sequence)
		l.Make()
		if pairs, ok := d.items(pairs, t.Flat, t.ItemName, "member"); ok {
			d.each(pairs, func(_ int, item []formPair) { d.value(t.Elem, name, item, l.Add()) })
		}
	case MapKind:
		m := p.(Dictionary)
		m.Make()
		if pairs, ok := d.items(pairs, t.Flat, "", "entry"); ok {
			d.each(pairs, func(n int, item []formPair) { d.entry(t, name, n, item, m) })
		}
	case EventsKind:
		d.fail("An event stream cannot be sent in a form")
	default:
		last := pairs[len(pairs)-1]
		if last.rest != "" {
			d.remember(last.rest)
			return
		}
		if !parseText(t, last.value, p, ISOTime) {
			d.fail("'" + last.value + "' at '" + name + "' can not be converted to " + javaType(t))
		}
	}
}

// items descends to the numbered items of a list or map. An empty one is written as a
// parameter without a value.
func (d *queryDecoder) items(pairs []formPair, flat bool, name, def string) ([]formPair, bool) {
	for len(pairs) > 0 && pairs[0].rest == "" {
		if pairs[0].value != "" {
			d.fail("'" + pairs[0].value + "' at '" + pairs[0].key + "' is not a numbered list")
		}
		pairs = pairs[1:]
	}
	if flat {
		return pairs, len(pairs) > 0
	}
	if name == "" {
		name = def
	}
	for len(pairs) > 0 {
		var segment string
		var inside []formPair
		if segment, inside, pairs = group(pairs); segment == name {
			return inside, true
		}
		d.remember(segment)
	}
	return nil, false
}

// each calls f for the items of a list or map in the order of their numbers.
func (d *queryDecoder) each(pairs []formPair, f func(n int, item []formPair)) {
	type numbered struct {
		n     int
		pairs []formPair
	}
	var items []numbered
	for len(pairs) > 0 {
		var segment string
		var inside []formPair
		segment, inside, pairs = group(pairs)
		n, err := strconv.Atoi(segment)
		if err != nil {
			d.remember(segment)
			continue
		}
		items = append(items, numbered{n, inside})
	}
	slices.SortFunc(items, func(a, b numbered) int { return a.n - b.n })
	for _, item := range items {
		if d.err == nil {
			f(item.n, item.pairs)
		}
	}
}

func (d *queryDecoder) entry(t *Type, name string, n int, pairs []formPair, m Dictionary) {
	keyName, valueName := t.mapNames()
	var key Opt[string]
	value := m.New()
	for len(pairs) > 0 {
		var segment string
		var inside []formPair
		segment, inside, pairs = group(pairs)
		switch segment {
		case keyName:
			d.value(&StringType, name, inside, &key)
		case valueName:
			d.value(t.Elem, name, inside, value)
		default:
			d.remember(strconv.Itoa(n) + "." + segment)
		}
	}
	if !key.OK {
		d.fail("Entry " + strconv.Itoa(n) + " of '" + name + "' has no " + keyName)
		return
	}
	m.Set(key.V, value)
}

// mapNames returns the names of the key and the value of an entry in awsQuery and XML.
func (t *Type) mapNames() (key, value string) {
	key, value = "key", "value"
	if t.KeyName != "" {
		key = t.KeyName
	}
	if t.ValueName != "" {
		value = t.ValueName
	}
	return key, value
}
