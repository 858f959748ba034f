package metric

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Search finds metrics (CloudWatch: "Search expression syntax"): those of a schema, which is
// a namespace and the exact names of the dimensions, that match a boolean expression of terms.
type Search struct {
	namespace string // empty: any
	names     []string
	hasSchema bool
	root      *term
}

type term struct {
	op          ruleOp // ruleState: a comparison
	left, right *term
	property    string // empty: any part of the metric
	want        string
	exact       bool
}

// MaxSearch bounds a search, in characters.
const MaxSearch = 1024

// ParseSearch reads a search.
func ParseSearch(text string) (*Search, error) {
	if len(text) > MaxSearch {
		return nil, fmt.Errorf("the search has more than %d characters", MaxSearch)
	}
	s := &Search{}
	p := &searchParser{rest: strings.TrimSpace(text)}
	if schema, ok := strings.CutPrefix(p.rest, "{"); ok {
		inside, after, closed := strings.Cut(schema, "}")
		if !closed {
			return nil, errors.New("the schema of the search has no end")
		}
		parts := strings.Split(inside, ",")
		for i, part := range parts {
			parts[i] = strings.Trim(strings.TrimSpace(part), `"`)
		}
		s.hasSchema, s.namespace, s.names = true, parts[0], parts[1:]
		slices.Sort(s.names)
		p.rest = after
	}
	if p.token() == "" {
		if !s.hasSchema {
			return nil, errors.New("the search is empty")
		}
		return s, nil
	}
	var err error
	if s.root, err = p.or(0); err == nil && p.token() != "" {
		err = fmt.Errorf("unexpected %q in the search", p.token())
	}
	return s, err
}

// Namespace returns the namespace that the search is limited to, or "".
func (s *Search) Namespace() string { return s.namespace }

// Matches reports whether the search finds a metric.
func (s *Search) Matches(m *Metric) bool {
	if s.hasSchema {
		if m.Namespace != s.namespace || len(m.Dimensions) != len(s.names) {
			return false
		}
		for i, d := range m.Dimensions {
			if d.Name != s.names[i] {
				return false
			}
		}
	}
	return s.root == nil || s.root.matches(m)
}

func (t *term) matches(m *Metric) bool {
	switch t.op {
	case ruleNot:
		return !t.left.matches(m)
	case ruleAnd:
		return t.left.matches(m) && t.right.matches(m)
	case ruleOr:
		return t.left.matches(m) || t.right.matches(m)
	}
	switch strings.ToLower(t.property) {
	case "metricname":
		return t.fits(m.Name)
	case "namespace":
		return t.fits(m.Namespace)
	}
	if t.property != "" {
		v, ok := m.Dimension(t.property)
		return ok && t.fits(v)
	}
	if t.fits(m.Name) || t.fits(m.Namespace) {
		return true
	}
	return slices.ContainsFunc(m.Dimensions, func(d Dimension) bool { return t.fits(d.Name) || t.fits(d.Value) })
}

// fits compares a value: exactly, or by containing all words of the term, regardless of case.
func (t *term) fits(v string) bool {
	if t.exact {
		return v == t.want
	}
	words := tokens(v)
	for _, w := range tokens(t.want) {
		if !slices.Contains(words, w) {
			return false
		}
	}
	return true
}

// tokens splits a text as SEARCH does: at what is no letter or digit, and where the case or
// between letters and digits changes. The whole text is a token too.
func tokens(s string) []string {
	var out []string
	start := 0
	cut := func(end int) {
		if end > start {
			out = append(out, strings.ToLower(s[start:end]))
		}
	}
	class := func(c byte) int {
		switch {
		case c >= 'a' && c <= 'z':
			return 1
		case c >= 'A' && c <= 'Z':
			return 2
		case c >= '0' && c <= '9':
			return 3
		}
		return 0
	}
	for i := range len(s) {
		c := class(s[i])
		switch {
		case c == 0:
			cut(i)
			start = i + 1
		case i > start && c != class(s[i-1]) && !(c == 1 && class(s[i-1]) == 2):
			cut(i)
			start = i
		}
	}
	cut(len(s))
	if whole := strings.ToLower(s); !slices.Contains(out, whole) {
		out = append(out, whole)
	}
	return out
}

type searchParser struct{ rest, peek string }

// token returns the next word, quoted text, parenthesis or = without taking it.
func (p *searchParser) token() string {
	if p.peek != "" {
		return p.peek
	}
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	n := strings.IndexAny(p.rest, " \t\r\n()=\"")
	switch {
	case n < 0:
		n = len(p.rest)
	case n == 0 && p.rest[0] == '"':
		if n = strings.IndexByte(p.rest[1:], '"') + 2; n == 1 {
			n = len(p.rest)
		}
	case n == 0:
		n = 1
	}
	p.peek, p.rest = p.rest[:n], p.rest[n:]
	return p.peek
}

func (p *searchParser) take(words ...string) bool {
	if !slices.Contains(words, p.token()) {
		return false
	}
	p.peek = ""
	return true
}

func (p *searchParser) or(depth int) (*term, error) {
	left, err := p.and(depth)
	for err == nil && p.take("OR") {
		n := &term{op: ruleOr, left: left}
		n.right, err = p.and(depth)
		left = n
	}
	return left, err
}

// and reads terms that must all hold; AND between them may be left out.
func (p *searchParser) and(depth int) (*term, error) {
	left, err := p.factor(depth)
	for err == nil && p.token() != "" && p.token() != ")" && p.token() != "OR" {
		p.take("AND")
		n := &term{op: ruleAnd, left: left}
		n.right, err = p.factor(depth)
		left = n
	}
	return left, err
}

func (p *searchParser) factor(depth int) (*term, error) {
	if depth > maxDepth {
		return nil, errors.New("the search is nested too deeply")
	}
	if p.take("NOT") {
		t, err := p.factor(depth + 1)
		return &term{op: ruleNot, left: t}, err
	}
	if p.take("(") {
		t, err := p.or(depth + 1)
		if err == nil && !p.take(")") {
			err = errors.New("a parenthesis of the search has no end")
		}
		return t, err
	}
	t := &term{op: ruleState}
	first := p.token()
	if first == "" || first == ")" || first == "=" {
		return nil, fmt.Errorf("unexpected %q in the search", first)
	}
	p.peek = ""
	if !p.take("=") {
		t.want, t.exact = unquote(first)
		return t, nil
	}
	t.property, _ = unquote(first)
	if p.take("(") {
		return p.alternatives(t.property, depth)
	}
	word := p.token()
	if word == "" || word == ")" {
		return nil, fmt.Errorf("the search compares %s with nothing", t.property)
	}
	t.want, t.exact = unquote(word)
	p.peek = ""
	return t, nil
}

// alternatives reads the words of property=(a OR b).
func (p *searchParser) alternatives(property string, depth int) (*term, error) {
	t, err := p.or(depth + 1)
	if err == nil && !p.take(")") {
		err = errors.New("a parenthesis of the search has no end")
	}
	if err == nil {
		t.assign(property)
	}
	return t, err
}

func (t *term) assign(property string) {
	if t == nil {
		return
	}
	if t.op == ruleState && t.property == "" {
		t.property = property
	}
	t.left.assign(property)
	t.right.assign(property)
}

func unquote(s string) (string, bool) {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1], true
	}
	return s, false
}
