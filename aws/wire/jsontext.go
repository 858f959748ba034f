package wire

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// escaped reads the rest of a string that has an escape at d.pos.
func (d *jsonDecoder) escaped(start int) string {
	out := append(make([]byte, 0, d.pos-start+64), d.b[start:d.pos]...)
	for d.pos < len(d.b) {
		switch c := d.b[d.pos]; {
		case c == '"':
			d.pos++
			return string(out)
		case c == '\\':
			out = d.escape(out)
		case c < 0x20:
			d.fail("Illegal unquoted character in a string")
			return ""
		default:
			next := plainText(d.b, d.pos)
			out = append(out, d.b[d.pos:next]...)
			d.pos = next
		}
	}
	d.fail("Unexpected end of the body in a string")
	return ""
}

func (d *jsonDecoder) escape(out []byte) []byte {
	if d.pos+1 >= len(d.b) {
		d.pos = len(d.b)
		return out
	}
	c := d.b[d.pos+1]
	d.pos += 2
	switch c {
	case '"', '\\', '/':
		return append(out, c)
	case 'b':
		return append(out, '\b')
	case 'f':
		return append(out, '\f')
	case 'n':
		return append(out, '\n')
	case 'r':
		return append(out, '\r')
	case 't':
		return append(out, '\t')
	case 'u':
		r := d.hex4()
		if utf16.IsSurrogate(r) && d.pos+1 < len(d.b) && d.b[d.pos] == '\\' && d.b[d.pos+1] == 'u' {
			d.pos += 2
			r = utf16.DecodeRune(r, d.hex4())
		}
		return utf8.AppendRune(out, r)
	}
	d.fail("Unrecognized character escape in a string")
	return out
}

func (d *jsonDecoder) hex4() rune {
	if d.pos+4 > len(d.s) {
		d.fail("Unexpected end of the body in a string")
		return 0
	}
	v, err := strconv.ParseUint(d.s[d.pos:d.pos+4], 16, 16)
	if err != nil {
		d.fail("Unrecognized character escape in a string")
		return 0
	}
	d.pos += 4
	return rune(v)
}

// skip reads any value and checks its syntax.
func (d *jsonDecoder) skip() {
	switch c := d.peek(); {
	case c == '"':
		d.str()
	case c == '{':
		for ok := d.open('}'); ok; ok = d.more('}') {
			d.key()
			d.skip()
		}
	case c == '[':
		for ok := d.open(']'); ok; ok = d.more(']') {
			d.skip()
		}
	case c == 't':
		d.literal("true")
	case c == 'f':
		d.literal("false")
	case c == 'n':
		d.literal("null")
	default:
		if !isJSONNumber(d.token()) {
			d.fail("Unexpected token received from parser")
		}
	}
}

// mismatch fails because the next value has the wrong type. The texts are DynamoDB's.
func (d *jsonDecoder) mismatch(t *Type) {
	if d.err != nil {
		return
	}
	switch c := d.peek(); {
	case c == '{':
		d.fail("Start of structure or map found where not expected")
	case c == '[':
		d.fail("Start of list found where not expected")
	case c == 0:
		d.fail("Unexpected end of the body")
	case t.Kind == Structure || t.Kind == ListKind || t.Kind == MapKind:
		d.fail("Unexpected field type")
	case t.Kind == Blob:
		d.fail("only base-64-encoded strings are convertible to bytes")
	case c == '"' && t.Kind == Bool:
		d.fail("Unexpected token received from parser")
	case c == '"':
		d.fail("STRING_VALUE cannot be converted to " + javaType(t))
	case c == 't':
		d.fail("TRUE_VALUE cannot be converted to " + javaType(t))
	case c == 'f':
		d.fail("FALSE_VALUE cannot be converted to " + javaType(t))
	default:
		d.numberMismatch(t)
	}
}

func (d *jsonDecoder) numberMismatch(t *Type) {
	switch text := d.token(); {
	case !isJSONNumber(text):
		d.fail("Unexpected token received from parser")
	case len(text) == len(integerPart(text)):
		d.fail("NUMBER_VALUE cannot be converted to " + javaType(t))
	default:
		d.fail("DECIMAL_VALUE cannot be converted to " + javaType(t))
	}
}

// integerPart returns a number up to its fraction or exponent.
func integerPart(s string) string {
	for i := range len(s) {
		if s[i] == '.' || s[i] == 'e' || s[i] == 'E' {
			return s[:i]
		}
	}
	return s
}

// javaType names a type as AWS's messages do.
func javaType(t *Type) string {
	switch t.Kind {
	case Bool:
		return "Boolean"
	case Int32:
		return "Integer"
	case Int64:
		return "Long"
	case Float32:
		return "Float"
	case Float64:
		return "Double"
	case Timestamp:
		return "Timestamp"
	}
	return "String"
}
