package filter

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
)

// A leaf is the pattern of a value: one of its conditions must hold for the value, or for an
// element of it if it is an array.
type leaf struct {
	strings    map[string]struct{} // equal to one of them
	literals   map[string]struct{} // numbers, true, false and null, by their text
	conditions []condition
	exists     bool
	absent     bool
}

// A condition holds for some values.
type condition interface {
	holds(v value) bool
}

// A value is a JSON value that is neither object nor array.
type value struct {
	text     []byte // of a string, what it says
	isString bool
}

func (v value) number() (float64, bool) {
	if v.isString || len(v.text) == 0 || v.text[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseFloat(string(v.text), 64)
	return n, err == nil
}

// match reports whether a value of an event matches. Of an array every element counts; an
// object is none of the values that a leaf can match, and an empty array holds none.
func (l *leaf) match(v span) bool {
	if v == nil {
		return l.absent
	}
	switch v[0] {
	case '{':
		return false
	case '[':
		if skipSpace(v, 1) == len(v)-1 {
			return l.absent
		}
		return eachElement(v, func(element []byte) bool {
			return !isEmptyArray(element) && l.match(element)
		})
	case '"':
		return l.matchScalar(value{unquote(v), true})
	}
	return l.matchScalar(value{v, false})
}

func isEmptyArray(v []byte) bool { return v[0] == '[' && skipSpace(v, 1) == len(v)-1 }

func (l *leaf) matchScalar(v value) bool {
	if l.exists {
		return true
	}
	set := l.literals
	if v.isString {
		set = l.strings
	}
	if _, ok := set[string(v.text)]; ok {
		return true
	}
	for _, c := range l.conditions {
		if c.holds(v) {
			return true
		}
	}
	return false
}

// values counts what the leaf lists, for the bound on combinations.
func (l *leaf) values() int {
	n := len(l.strings) + len(l.literals) + len(l.conditions)
	if l.exists {
		n++
	}
	if l.absent {
		n++
	}
	return n
}

// An affix is a prefix or a suffix.
type affix struct {
	text     string
	isSuffix bool
	anyCase  bool
}

func (a affix) holds(v value) bool {
	if !v.isString || !a.anyCase && len(v.text) < len(a.text) {
		return false
	}
	if !a.anyCase {
		part := v.text[:len(a.text)]
		if a.isSuffix {
			part = v.text[len(v.text)-len(a.text):]
		}
		return string(part) == a.text
	}
	// The same text in another case may have another length: compare as many characters.
	n := len([]rune(a.text))
	part := []rune(string(v.text))
	if len(part) < n {
		return false
	}
	if a.isSuffix {
		return strings.EqualFold(string(part[len(part)-n:]), a.text)
	}
	return strings.EqualFold(string(part[:n]), a.text)
}

// An anyCase is a text in upper or lower case.
type anyCase string

func (a anyCase) holds(v value) bool { return v.isString && bytes.EqualFold(v.text, []byte(a)) }

// A wildcard is the parts between the stars.
type wildcard []string

// holds takes each part where it first occurs, which leaves the most for the next one: time
// is bounded by the product of the lengths.
func (w wildcard) holds(v value) bool {
	if !v.isString {
		return false
	}
	first, last := w[0], w[len(w)-1]
	if len(w) == 1 {
		return string(v.text) == first
	}
	text := v.text
	if len(text) < len(first)+len(last) || string(text[:len(first)]) != first || string(text[len(text)-len(last):]) != last {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range w[1 : len(w)-1] {
		i := bytes.Index(text, []byte(part))
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return true
}

// A between is a range of numbers; a missing bound is infinite.
type between struct {
	low, high       float64
	hasLow, hasHigh bool
	openLow         bool // the bound itself is outside
	openHigh        bool
}

func (b between) holds(v value) bool {
	n, ok := v.number()
	return ok &&
		(!b.hasLow || n > b.low || n == b.low && !b.openLow) &&
		(!b.hasHigh || n < b.high || n == b.high && !b.openHigh)
}

// A network is a range of IP addresses.
type network netip.Prefix

func (n network) holds(v value) bool {
	if !v.isString || len(v.text) > len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255") {
		return false
	}
	a, err := netip.ParseAddr(string(v.text))
	return err == nil && netip.Prefix(n).Contains(a)
}

// An anythingBut holds for every value for which none of its conditions does.
type anythingBut struct{ not leaf }

func (a *anythingBut) holds(v value) bool { return !a.not.matchScalar(v) }
