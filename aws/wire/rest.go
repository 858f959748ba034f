package wire

import (
	"net/http"
	"strings"
)

// decodeREST reads an input from the path, the query string, the headers and the body.
func (c *Call) decodeREST(s Struct) error {
	shape := s.WireShape()
	if shape.REST {
		if err := c.decodeLabels(shape, s); err != nil {
			return err
		}
		if err := c.decodeHeaders(shape, s); err != nil {
			return err
		}
	}
	if err := c.decodeParameters(shape, s); err != nil {
		return err
	}
	if i := shape.at(InPayload); i >= 0 {
		return c.decodePayload(shape.Members[i].Type, s.WireMember(i))
	}
	body, err := c.Body()
	if err != nil {
		return err
	}
	unknown, err := decodeJSON(body, s)
	c.Unknown = append(c.Unknown, unknown...)
	return err
}

func (c *Call) decodeLabels(shape *Shape, s Struct) error {
	for i, name := range c.served.labels[c.op] {
		k := shape.search(name, i)
		if k < 0 {
			continue
		}
		text, err := c.Label(i)
		if err != nil {
			return err
		}
		if !parseText(shape.Members[k].Type, text, s.WireMember(k), ISOTime) {
			return malformed(text, &shape.Members[k])
		}
	}
	return nil
}

func malformed(text string, m *Member) error {
	return serializationError("'" + text + "' at '" + m.wireName() + "' can not be converted to " + javaType(m.Type))
}

func (c *Call) decodeHeaders(shape *Shape, s Struct) error {
	for i := range shape.Members {
		m := &shape.Members[i]
		switch m.In {
		case InHeader:
			values := c.HTTP.Header[http.CanonicalHeaderKey(m.Wire)]
			if len(values) == 0 {
				continue
			}
			if m.Type.Kind == ListKind {
				if err := decodeHeaderList(m, values, s.WireMember(i).(Sequence)); err != nil {
					return err
				}
			} else if !parseText(m.Type, values[0], s.WireMember(i), HTTPTime) {
				return malformed(values[0], m)
			}
		case InHeaders:
			prefix := http.CanonicalHeaderKey(m.Wire)
			d := s.WireMember(i).(*Map[string])
			for name, values := range c.HTTP.Header {
				if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" {
					if d.IsNil() {
						d.Make()
					}
					(*d)[strings.ToLower(rest)] = values[0]
				}
			}
		}
	}
	return nil
}

// decodeHeaderList reads the elements of a list from one or more headers.
func decodeHeaderList(m *Member, values []string, l Sequence) error {
	for _, value := range values {
		for value != "" {
			var item string
			item, value = cutHeaderItem(value, m.Type.Elem.Time.or(HTTPTime) == HTTPTime && m.Type.Elem.Kind == Timestamp)
			if !parseText(m.Type.Elem, item, l.Add(), HTTPTime) {
				return malformed(item, m)
			}
		}
	}
	return nil
}

// cutHeaderItem splits off the first item of a comma-separated header. An item may be
// quoted; a date contains one comma of its own.
func cutHeaderItem(s string, date bool) (item, rest string) {
	s = strings.TrimLeft(s, " \t")
	if strings.HasPrefix(s, `"`) {
		var b []byte
		i := 1
		for ; i < len(s) && s[i] != '"'; i++ {
			if s[i] == '\\' && i+1 < len(s) {
				i++
			}
			b = append(b, s[i])
		}
		_, rest, _ = strings.Cut(s[min(i+1, len(s)):], ",")
		return string(b), rest
	}
	end := strings.IndexByte(s, ',')
	if date && end >= 0 {
		if next := strings.IndexByte(s[end+1:], ','); next >= 0 {
			end += 1 + next
		} else {
			end = -1
		}
	}
	if end < 0 {
		return strings.TrimRight(s, " \t"), ""
	}
	return strings.TrimRight(s[:end], " \t"), s[end+1:]
}

// decodeParameters reads the query string. A member that is a map gets all parameters,
// those of other members as well.
func (c *Call) decodeParameters(shape *Shape, s Struct) error {
	if c.HTTP.URL.RawQuery == "" {
		return nil
	}
	var ok bool
	if c.params, ok = parseForm(c.params[:0], c.HTTP.URL.RawQuery); !ok {
		return serializationError("Malformed query string")
	}
	rest := -1
	for i := range shape.Members {
		if m := &shape.Members[i]; m.In == InQuery && m.Type.Kind == MapKind {
			rest = i
		}
	}
	for _, p := range c.params {
		if rest >= 0 {
			addParameter(s.WireMember(rest).(Dictionary), p)
		}
		i := shape.search(p.key, 0)
		switch {
		case i >= 0 && shape.Members[i].In == InQuery && i != rest:
			m := &shape.Members[i]
			at := s.WireMember(i)
			t := m.Type
			if t.Kind == ListKind {
				t, at = t.Elem, at.(Sequence).Add()
			}
			if !parseText(t, p.value, at, ISOTime) {
				return malformed(p.value, m)
			}
		case rest < 0 && !c.routine(p.key) && len(c.Unknown) < maxUnknown:
			c.Unknown = append(c.Unknown, "?"+p.key)
		}
	}
	return nil
}

func addParameter(d Dictionary, p formPair) {
	if d.IsNil() {
		d.Make()
	}
	v := d.Get(p.key)
	if l, ok := v.(Sequence); ok {
		put(l.Add(), p.value)
	} else {
		put(v, p.value)
	}
	d.Set(p.key, v)
}

// routine reports whether a query parameter is no part of an operation's input: the
// template demands it, it signs the request, or SDKs add it to every URL.
func (c *Call) routine(key string) bool {
	_, demanded, _ := strings.Cut(c.Operation.Path, "?")
	return key == "x-id" || strings.HasPrefix(key, "X-Amz-") || hasKey(demanded, key)
}

func (c *Call) decodePayload(t *Type, p any) error {
	body, err := c.Body()
	if err != nil || len(body) == 0 {
		return err
	}
	switch t.Kind {
	case Blob:
		*p.(*[]byte) = body
	case String:
		put(p, string(body))
	case Structure:
		unknown, err := decodeJSON(body, newStruct(p))
		c.Unknown = append(c.Unknown, unknown...)
		return err
	}
	return nil
}

// encodeREST sets the headers and the status that an output holds, and returns its body.
func (c *Call) encodeREST(b []byte, s Struct) []byte {
	shape := s.WireShape()
	h := c.Header()
	if shape.REST {
		c.encodeHeaders(h, shape, s)
	}
	i := shape.at(InPayload)
	if i < 0 {
		if shape.REST && shape.at(InBody) < 0 {
			return b // nothing of the answer travels in the body
		}
		setDefault(h, "Content-Type", jsonType)
		return appendJSON(b, s)
	}
	t, p := shape.Members[i].Type, s.WireMember(i)
	if absent(t, p) {
		return b
	}
	switch t.Kind {
	case Blob:
		setDefault(h, "Content-Type", blobType)
		return append(b, *p.(*[]byte)...)
	case String:
		setDefault(h, "Content-Type", textType)
		return appendText(b, t, p, ISOTime)
	}
	setDefault(h, "Content-Type", jsonType)
	return appendJSONValue(b, t, p)
}

func setDefault(h http.Header, name string, value []string) {
	if h[name] == nil {
		h[name] = value
	}
}

func (c *Call) encodeHeaders(h http.Header, shape *Shape, s Struct) {
	for i := range shape.Members {
		m, p := &shape.Members[i], s.WireMember(i)
		if m.In < InHeader || absent(m.Type, p) {
			continue
		}
		switch m.In {
		case InHeader:
			if m.Type.Kind == ListKind {
				h.Set(m.Wire, headerList(m.Type.Elem, p.(Sequence)))
			} else {
				h.Set(m.Wire, string(appendText(nil, m.Type, p, HTTPTime)))
			}
		case InHeaders:
			for key, value := range *p.(*Map[string]) {
				h.Set(m.Wire+key, value)
			}
		case InStatus:
			if code, ok := get[int32](p); ok && c.status == 0 {
				c.status = int(code)
			}
		}
	}
}

func headerList(t *Type, l Sequence) string {
	var b []byte
	for i := range l.Len() {
		if i > 0 {
			b = append(b, ", "...)
		}
		start := len(b)
		b = appendText(b, t, l.At(i), HTTPTime)
		if item := string(b[start:]); t.Kind == String && strings.ContainsAny(item, `,"`) {
			quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(item)
			b = append(append(append(b[:start], '"'), quoted...), '"')
		}
	}
	return string(b)
}
