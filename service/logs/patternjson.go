package logs

import (
	"encoding/json"
	"strconv"
	"strings"
)

// A jsonNode is a condition on a JSON message: two others joined, or one on what a selector
// finds.
type jsonNode struct {
	and, or     bool
	left, right *jsonNode

	path path
	op   operator
	operand
}

// A path selects parts of a JSON value.
type path struct {
	text  string
	steps []step
}

// A step goes to a member, to an element, or to all of them.
type step struct {
	name  string
	index int  // of an element, if name is empty
	all   bool // members or elements
}

// parseJSONPattern reads { condition }.
func parseJSONPattern(text string) (*jsonNode, error) {
	l := lexer{text: text}
	l.take("{")
	n, err := l.or()
	if err != nil {
		return nil, err
	}
	if !l.take("}") || l.rest() != "" {
		return nil, l.bad()
	}
	if l.regexes > maxPatternRegex || l.wildcards > maxPatternWildcards {
		return nil, errPattern
	}
	return n, nil
}

func (l *lexer) or() (*jsonNode, error) {
	left, err := l.and()
	for err == nil && l.take("||") {
		var right *jsonNode
		right, err = l.and()
		left = &jsonNode{or: true, left: left, right: right}
	}
	return left, err
}

func (l *lexer) and() (*jsonNode, error) {
	left, err := l.simple()
	for err == nil && l.take("&&") {
		var right *jsonNode
		right, err = l.simple()
		left = &jsonNode{and: true, left: left, right: right}
	}
	return left, err
}

func (l *lexer) simple() (*jsonNode, error) {
	if !l.take("(") {
		return l.condition()
	}
	if l.depth++; l.depth > maxPatternDepth {
		return nil, errPattern
	}
	n, err := l.or()
	if err == nil && !l.take(")") {
		err = l.bad()
	}
	l.depth--
	return n, err
}

func (l *lexer) condition() (*jsonNode, error) {
	l.rest()
	p, err := l.path()
	if err != nil {
		return nil, err
	}
	n := &jsonNode{path: p}
	for _, s := range p.steps {
		if s.all {
			l.wildcards++
		}
	}
	if n.op = l.operator(); n.op != none {
		n.operand, err = l.operand(n.op)
		return n, err
	}
	for _, k := range []struct {
		first, second string
		op            operator
	}{{"IS", "NULL", isNull}, {"IS", "TRUE", isTrue}, {"IS", "FALSE", isFalse}, {"NOT", "EXISTS", notExists}} {
		at := l.at
		if l.take(k.first) && l.peek() == ' ' && l.take(k.second) {
			n.op = k.op
			return n, nil
		}
		l.at = at
	}
	return nil, l.bad()
}

// path reads a selector: $.name, $.name[3], $.list[*].name, $.['a name'].
func (l *lexer) path() (path, error) {
	from := l.at
	if !strings.HasPrefix(l.text[l.at:], "$") {
		return path{}, l.bad()
	}
	l.at++
	var p path
	wild := 0
	for {
		s, ok, err := l.step()
		if err != nil {
			return p, err
		}
		if !ok {
			break
		}
		if s.all {
			wild++
		}
		p.steps = append(p.steps, s)
	}
	if len(p.steps) == 0 || wild > 1 {
		return p, errPattern
	}
	p.text = l.text[from:l.at]
	return p, nil
}

// step reads one step of a selector; false if there is none.
func (l *lexer) step() (s step, ok bool, err error) {
	rest := l.text[l.at:]
	switch {
	case strings.HasPrefix(rest, ".['"), strings.HasPrefix(rest, "['"):
		l.at += strings.IndexByte(rest, '\'') + 1
		end := strings.Index(l.text[l.at:], "']")
		if end <= 0 {
			return s, false, errPattern
		}
		s.name = l.text[l.at : l.at+end]
		l.at += end + 2
		return s, true, nil
	case strings.HasPrefix(rest, ".*"):
		l.at += 2
		return step{all: true}, true, nil
	case strings.HasPrefix(rest, "[*]"):
		l.at += 3
		return step{all: true}, true, nil
	case strings.HasPrefix(rest, "."):
		l.at++
		s.name = l.word(func(c byte) bool { return isTermByte(c) || c == '-' || c == '@' || c == ':' || c == '/' })
		if s.name == "" {
			return s, false, l.bad()
		}
		return s, true, nil
	case strings.HasPrefix(rest, "["):
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			return s, false, errPattern
		}
		n, err := strconv.ParseUint(rest[1:end], 10, 31)
		if err != nil {
			return s, false, errPattern
		}
		l.at += end + 1
		return step{index: int(n)}, true, nil
	}
	return s, false, nil
}

// each calls f with the simple conditions of a condition.
func (n *jsonNode) each(f func(*jsonNode)) {
	if n.and || n.or {
		n.left.each(f)
		n.right.each(f)
		return
	}
	f(n)
}

// holds reports whether a condition holds for a message. One on a part that the message does
// not have does not, but for NOT EXISTS.
func (n *jsonNode) holds(v any) bool {
	switch {
	case n.and:
		return n.left.holds(v) && n.right.holds(v)
	case n.or:
		return n.left.holds(v) || n.right.holds(v)
	}
	exists := false
	found := n.path.walk(v, func(x any) bool {
		exists = true
		return n.compare(x)
	})
	if n.op == notExists {
		return !exists
	}
	return found
}

// compare reports whether a part of a message stands in the relation that is asked for.
func (n *jsonNode) compare(x any) bool {
	switch n.op {
	case isNull:
		return x == nil
	case isTrue:
		return x == true
	case isFalse:
		return x == false
	}
	switch x := x.(type) {
	case string:
		if n.op > unequal {
			return false
		}
		return wildOrRegex(n.operand, x) == (n.op == equal)
	case json.Number:
		return n.operand.holds(n.op, x.String())
	case bool:
		return n.op <= unequal && n.operand.holds(n.op, strconv.FormatBool(x))
	}
	return false
}

// wildOrRegex compares a string as text, even if it looks like a number.
func wildOrRegex(o operand, text string) bool {
	if o.regex != nil {
		return o.regex.MatchString(text)
	}
	return wildcardMatch(o.text, text)
}

// first returns the first part that a path finds.
func (p path) first(v any) (x any, ok bool) {
	p.walk(v, func(found any) bool {
		x, ok = found, true
		return true
	})
	return x, ok
}

// walk calls f with the parts that a path finds until f returns true.
func (p path) walk(v any, f func(any) bool) bool { return walkSteps(p.steps, v, f) }

func walkSteps(steps []step, v any, f func(any) bool) bool {
	if len(steps) == 0 {
		return f(v)
	}
	s, rest := steps[0], steps[1:]
	switch v := v.(type) {
	case map[string]any:
		if s.all {
			for _, x := range v {
				if walkSteps(rest, x, f) {
					return true
				}
			}
			return false
		}
		x, ok := v[s.name]
		return ok && s.name != "" && walkSteps(rest, x, f)
	case []any:
		if s.all {
			for _, x := range v {
				if walkSteps(rest, x, f) {
					return true
				}
			}
			return false
		}
		return s.name == "" && s.index < len(v) && walkSteps(rest, v[s.index], f)
	}
	return false
}
