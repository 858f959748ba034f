package wire

import (
	"strings"
	"unicode/utf8"
)

// appendXML writes the members of a structure as XML elements.
func appendXML(b []byte, s Struct) []byte {
	shape := s.WireShape()
	for i := range shape.Members {
		m := &shape.Members[i]
		if p := s.WireMember(i); !absent(m.Type, p) {
			b = appendXMLElement(b, m.xmlName(), m.Type, p)
		}
	}
	return b
}

// appendXMLElement writes a member that is set, or an element of a list or map. A flat
// list or map is a run of elements of the same name.
func appendXMLElement(b []byte, name string, t *Type, p any) []byte {
	switch {
	case t.Kind == ListKind && t.Flat:
		return appendXMLItems(b, name, t, p.(Sequence))
	case t.Kind == MapKind && t.Flat:
		return appendXMLEntries(b, name, t, p.(Dictionary))
	}
	b = appendXMLOpen(b, name)
	switch t.Kind {
	case Structure:
		b = appendXML(b, structOf(p))
	case ListKind:
		item := t.ItemName
		if item == "" {
			item = "member"
		}
		b = appendXMLItems(b, item, t, p.(Sequence))
	case MapKind:
		b = appendXMLEntries(b, "entry", t, p.(Dictionary))
	case String:
		v, _ := get[string](p)
		b = appendXMLText(b, v)
	default:
		b = appendText(b, t, p, ISOTime)
	}
	return appendXMLClose(b, name)
}

func appendXMLItems(b []byte, name string, t *Type, l Sequence) []byte {
	for i := range l.Len() {
		b = appendXMLElement(b, name, t.Elem, l.At(i))
	}
	return b
}

func appendXMLEntries(b []byte, name string, t *Type, m Dictionary) []byte {
	keyName, valueName := t.mapNames()
	for _, key := range m.Keys() {
		b = appendXMLOpen(b, name)
		b = appendXMLOpen(b, keyName)
		b = appendXMLText(b, key)
		b = appendXMLClose(b, keyName)
		b = appendXMLElement(b, valueName, t.Elem, m.Get(key))
		b = appendXMLClose(b, name)
	}
	return b
}

func appendXMLOpen(b []byte, name string) []byte {
	return append(append(append(b, '<'), name...), '>')
}

func appendXMLClose(b []byte, name string) []byte {
	return append(append(append(b, '<', '/'), name...), '>')
}

// appendXMLText writes escaped text. What XML cannot hold becomes U+FFFD.
func appendXMLText(b []byte, s string) []byte {
	if strings.IndexFunc(s, needsEscape) < 0 {
		return append(b, s...)
	}
	for _, r := range s {
		switch {
		case r == '&':
			b = append(b, "&amp;"...)
		case r == '<':
			b = append(b, "&lt;"...)
		case r == '>':
			b = append(b, "&gt;"...)
		case r == '"':
			b = append(b, "&quot;"...)
		case r == '\r':
			b = append(b, "&#xD;"...)
		case isXMLChar(r):
			b = utf8.AppendRune(b, r)
		default:
			b = utf8.AppendRune(b, utf8.RuneError)
		}
	}
	return b
}

// needsEscape is true for U+FFFD as well, which stands for a byte that is not UTF-8.
func needsEscape(r rune) bool {
	return r == '&' || r == '<' || r == '>' || r == '"' || r == '\r' || r == utf8.RuneError || !isXMLChar(r)
}

func isXMLChar(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000
}
