package logs

import (
	"regexp"
	"strconv"
	"strings"
)

// An operator compares a part of a message with an operand.
type operator uint8

const (
	none operator = iota
	equal
	unequal
	less
	lessOrEqual
	greater
	greaterOrEqual
	isNull
	isTrue
	isFalse
	notExists
)

// An operand is what a part of a message is compared with: a text in which an asterisk stands
// for anything, a number, or a regular expression.
type operand struct {
	text   string
	number float64
	isNum  bool
	regex  *regexp.Regexp
}

// operator reads a comparison.
func (l *lexer) operator() operator {
	for _, op := range []struct {
		text string
		op   operator
	}{{"!=", unequal}, {"<=", lessOrEqual}, {">=", greaterOrEqual}, {"=", equal}, {"<", less}, {">", greater}} {
		if l.take(op.text) {
			return op.op
		}
	}
	return none
}

// operand reads what stands behind a comparison.
func (l *lexer) operand(op operator) (operand, error) {
	var o operand
	var err error
	l.rest()
	switch l.peek() {
	case '"':
		o.text, err = l.quoted()
		if op > unequal {
			return o, errPattern
		}
		return o, err
	case '%':
		o.regex, err = l.regex()
		if op > unequal {
			return o, errPattern
		}
		return o, err
	}
	if o.text = l.word(isValueByte); o.text == "" {
		return o, l.bad()
	}
	o.number, err = strconv.ParseFloat(o.text, 64)
	o.isNum = err == nil
	if op > unequal && !o.isNum {
		return o, errPattern
	}
	return o, nil
}

// holds reports whether a text stands in a relation to the operand.
func (o operand) holds(op operator, text string) bool {
	switch op {
	case equal:
		return o.is(text)
	case unequal:
		return !o.is(text)
	}
	n, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil:
		return false
	case op == less:
		return n < o.number
	case op == lessOrEqual:
		return n <= o.number
	case op == greater:
		return n > o.number
	}
	return n >= o.number
}

func (o operand) is(text string) bool {
	if o.regex != nil {
		return o.regex.MatchString(text)
	}
	if o.isNum {
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			return n == o.number
		}
	}
	return wildcardMatch(o.text, text)
}

// wildcardMatch reports whether a text has the form of a pattern in which an asterisk stands
// for any text.
func wildcardMatch(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}
