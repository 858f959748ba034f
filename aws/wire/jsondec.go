package wire

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
	"unsafe"
)

const (
	// maxDepth bounds how deep a body may nest lists, maps and structures. DynamoDB, the
	// deepest of the services, allows 32 levels of values, which are 64 here.
	maxDepth = 128
	// maxUnknown bounds how many unknown members of a request are remembered.
	maxUnknown = 16
)

// A serializationError says why a body could not be read. Its text is AWS's where that
// is known.
type serializationError string

func (e serializationError) Error() string { return string(e) }

// A jsonDecoder reads one JSON document into a Struct. Strings without escapes are parts
// of the body, so the body must not change afterwards. The first error sticks and ends
// all loops, so callers look at it once.
type jsonDecoder struct {
	b       []byte
	s       string // b as a string
	pos     int
	depth   int
	err     error
	unknown []string
}

// decodeJSON reads body into s. An empty body is an empty structure. It returns the
// paths of the members that the shape does not have.
func decodeJSON(body []byte, s Struct) (unknown []string, err error) {
	if len(body) == 0 {
		return nil, nil
	}
	if !utf8.Valid(body) {
		return nil, serializationError("Invalid UTF-8 in the body")
	}
	// The body is never written again, so a string may share its bytes.
	d := jsonDecoder{b: body, s: unsafe.String(unsafe.SliceData(body), len(body))}
	if d.peek() != '{' {
		d.mismatch(&StructureType)
		return nil, d.err
	}
	d.structure(s)
	d.end()
	return d.unknown, d.err
}

func (d *jsonDecoder) fail(text string) {
	if d.err == nil {
		d.err = serializationError(text)
	}
	d.pos = len(d.s)
}

// peek skips white space and returns the next byte, or 0 at the end.
func (d *jsonDecoder) peek() byte {
	for d.pos < len(d.s) {
		switch c := d.s[d.pos]; c {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return c
		}
	}
	return 0
}

func (d *jsonDecoder) end() {
	if d.err == nil && d.peek() != 0 {
		d.fail("Unexpected data after the end of the document")
	}
}

func (d *jsonDecoder) expect(c byte) bool {
	if d.peek() != c {
		d.fail("Expected '" + string(rune(c)) + "' at byte " + strconv.Itoa(d.pos) + " of the body")
		return false
	}
	d.pos++
	return true
}

// open enters a list or an object. It reports false if that is empty or too deep.
func (d *jsonDecoder) open(end byte) bool {
	d.pos++
	if d.depth++; d.depth > maxDepth {
		d.fail("The body is nested more than " + strconv.Itoa(maxDepth) + " levels deep")
		return false
	}
	if d.peek() == end {
		d.pos++
		d.depth--
		return false
	}
	return true
}

// more reports whether another element follows; it leaves the list or object if not.
func (d *jsonDecoder) more(end byte) bool {
	switch {
	case d.err != nil:
		return false
	case d.peek() == ',':
		d.pos++
		return true
	}
	d.depth--
	d.expect(end)
	return false
}

// structure reads an object; the next byte is its brace.
func (d *jsonDecoder) structure(s Struct) {
	shape := s.WireShape()
	next, set := 0, 0
	for ok := d.open('}'); ok; ok = d.more('}') {
		name := d.key()
		i := shape.find(name, next)
		switch {
		case i < 0:
			d.remember(name)
			d.skip()
		case d.null():
			next = i + 1
		default:
			known := len(d.unknown)
			d.value(shape.Members[i].Type, s.WireMember(i))
			d.within(name, known)
			next, set = i+1, set+1
		}
	}
	if shape.Union && set != 1 {
		d.fail("Exactly one member of a union must be set")
	}
}

func (d *jsonDecoder) key() string {
	if d.peek() != '"' {
		d.fail("Expected a member name at byte " + strconv.Itoa(d.pos) + " of the body")
		return ""
	}
	name := d.str()
	d.expect(':')
	return name
}

func (d *jsonDecoder) remember(name string) {
	if len(d.unknown) < maxUnknown {
		d.unknown = append(d.unknown, name)
	}
}

// within puts the name of the enclosing member before the unknown ones found inside.
func (d *jsonDecoder) within(name string, known int) {
	for i := known; i < len(d.unknown); i++ {
		d.unknown[i] = name + "." + d.unknown[i]
	}
}

// null consumes a null, if that is the next value.
func (d *jsonDecoder) null() bool {
	return d.peek() == 'n' && d.literal("null")
}

func (d *jsonDecoder) literal(word string) bool {
	if len(d.s)-d.pos < len(word) || d.s[d.pos:d.pos+len(word)] != word {
		d.fail("Unexpected token received from parser")
		return false
	}
	d.pos += len(word)
	return true
}

// value reads a value that is not null into a member or an element.
func (d *jsonDecoder) value(t *Type, p any) {
	c := d.peek()
	switch t.Kind {
	case Structure:
		if c != '{' {
			d.mismatch(t)
			return
		}
		d.structure(newStruct(p))
	case ListKind:
		if c != '[' {
			d.mismatch(t)
			return
		}
		d.list(t, p.(Sequence))
	case MapKind:
		if c != '{' {
			d.mismatch(t)
			return
		}
		d.dict(t, p)
	case EventsKind:
		d.fail("An event stream cannot be sent in a body")
	case String:
		if c != '"' {
			d.mismatch(t)
			return
		}
		put(p, d.str())
	case Blob:
		if c != '"' {
			d.mismatch(t)
			return
		}
		*p.(*[]byte) = d.blob(d.str())
	case Bool:
		d.boolean(t, p, c)
	case Timestamp:
		d.timestamp(t, p, c)
	default:
		d.number(t, p, c)
	}
}

func (d *jsonDecoder) list(t *Type, l Sequence) {
	l.Make()
	for ok := d.open(']'); ok; ok = d.more(']') {
		if d.null() {
			d.fail("A list must not contain null")
			return
		}
		d.value(t.Elem, l.Add())
	}
}

func (d *jsonDecoder) dict(t *Type, p any) {
	m := p.(Dictionary)
	m.Make()
	texts, _ := p.(*Map[string]) // the most frequent kind: no allocation for a value
	for ok := d.open('}'); ok; ok = d.more('}') {
		key := d.key()
		if d.null() {
			d.fail("A map must not contain null")
			return
		}
		if texts != nil && d.peek() == '"' {
			(*texts)[key] = d.str()
			continue
		}
		v := m.New()
		known := len(d.unknown)
		d.value(t.Elem, v)
		d.within(key, known)
		m.Set(key, v)
	}
}

func (d *jsonDecoder) boolean(t *Type, p any, c byte) {
	switch {
	case c == 't' && d.literal("true"):
		put(p, true)
	case c == 'f' && d.literal("false"):
		put(p, false)
	case d.err == nil:
		d.mismatch(t)
	}
}

func (d *jsonDecoder) timestamp(t *Type, p any, c byte) {
	format := t.Time.or(EpochTime)
	if (c == '"') == (format == EpochTime) {
		d.mismatch(t)
		return
	}
	var text string
	if c == '"' {
		text = d.str()
	} else {
		text = d.token()
	}
	v, ok := parseTime(text, format)
	if !ok {
		d.fail("'" + text + "' can not be converted to a Timestamp")
		return
	}
	put[time.Time](p, v)
}

func (d *jsonDecoder) number(t *Type, p any, c byte) {
	if t.Kind == Float32 || t.Kind == Float64 {
		d.float(t, p, c)
		return
	}
	if c != '-' && (c < '0' || c > '9') {
		d.mismatch(t)
		return
	}
	text := d.token()
	v, ok := parseInteger(text)
	if !ok || t.Kind == Int32 && (v < math.MinInt32 || v > math.MaxInt32) {
		d.fail("'" + text + "' can not be converted to " + javaType(t))
		return
	}
	if t.Kind == Int32 {
		put(p, int32(v))
	} else {
		put(p, v)
	}
}

func (d *jsonDecoder) float(t *Type, p any, c byte) {
	var v float64
	switch {
	case c == '"':
		start := d.pos
		var ok bool
		if v, ok = specialFloat(d.str()); !ok {
			d.pos = start
			d.mismatch(t)
			return
		}
	case c == '-' || c >= '0' && c <= '9':
		text := d.token()
		var err error
		if v, err = strconv.ParseFloat(text, 64); err != nil || !isJSONNumber(text) {
			d.fail("'" + text + "' can not be converted to " + javaType(t))
			return
		}
	default:
		d.mismatch(t)
		return
	}
	putFloat(t, p, v)
}

func putFloat(t *Type, p any, v float64) {
	if t.Kind == Float32 {
		put(p, float32(v))
	} else {
		put(p, v)
	}
}

// specialFloat reads the names that JSON has no number for.
func specialFloat(s string) (float64, bool) {
	switch s {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	return 0, false
}

// parseInteger reads an integer; it takes 1.0 and 1e3, which some clients write.
func parseInteger(s string) (int64, bool) {
	if v, err := strconv.ParseInt(s, 10, 64); err == nil {
		return v, isJSONNumber(s)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !isJSONNumber(s) || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// isJSONNumber checks the grammar of a number: no leading zeros, signs or bare dots.
func isJSONNumber(s string) bool {
	digits := func() bool {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	if s != "" && s[0] == '-' {
		s = s[1:]
	}
	if len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9' || !digits() {
		return false
	}
	if s != "" && s[0] == '.' {
		s = s[1:]
		if !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		if s = s[1:]; s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		return digits() && s == ""
	}
	return s == ""
}

// token reads the bytes up to the next delimiter.
func (d *jsonDecoder) token() string {
	start := d.pos
	for d.pos < len(d.s) {
		switch d.s[d.pos] {
		case ',', '}', ']', ' ', '\t', '\n', '\r':
			return d.s[start:d.pos]
		}
		d.pos++
	}
	return d.s[start:]
}

func (d *jsonDecoder) blob(s string) []byte {
	b, err := base64.StdEncoding.AppendDecode(make([]byte, 0, base64.StdEncoding.DecodedLen(len(s))),
		unsafe.Slice(unsafe.StringData(s), len(s)))
	if err == nil {
		return b
	}
	if len(s)%4 != 0 {
		d.fail("Base64 encoded length is expected a multiple of 4 bytes but found: " + strconv.Itoa(len(s)))
	} else {
		d.fail("only base-64-encoded strings are convertible to bytes")
	}
	return nil
}

// str reads a string; the next byte is its quote.
func (d *jsonDecoder) str() string {
	d.pos++
	start := d.pos
	for d.pos = plainText(d.b, d.pos); d.pos < len(d.s); {
		switch c := d.s[d.pos]; {
		case c == '"':
			d.pos++
			return d.s[start : d.pos-1]
		case c == '\\':
			return d.escaped(start)
		default:
			d.fail("Illegal unquoted character in a string")
			return ""
		}
	}
	d.fail("Unexpected end of the body in a string")
	return ""
}

// plainText returns the position of the next quote, backslash or control character. It
// looks at eight bytes at a time; a message may be a megabyte of text.
func plainText(b []byte, pos int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; pos+8 <= len(b); pos += 8 {
		w := binary.LittleEndian.Uint64(b[pos:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		if ((quote-ones)&^quote|(slash-ones)&^slash|(w-ones*0x20)&^w)&highs != 0 {
			break
		}
	}
	for ; pos < len(b); pos++ {
		if c := b[pos]; c == '"' || c == '\\' || c < 0x20 {
			break
		}
	}
	return pos
}
