package xray

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A test is a filter expression, compiled (AWS: "Use filter expressions").
type test func(*view) bool

// maxFilter bounds a filter expression in bytes, and with it how deep it is nested.
const maxFilter = 2000

// parseFilter compiles an expression of annotations, service(), fault, error, throttle, ok,
// partial, responsetime, duration, http.status and the like with AND, OR, NOT and parentheses.
// It refuses the others by name.
func parseFilter(text string) (test, error) {
	if strings.TrimSpace(text) == "" {
		return func(*view) bool { return true }, nil
	}
	if len(text) > maxFilter {
		return nil, fmt.Errorf("the filter expression is longer than %d bytes", maxFilter)
	}
	tokens, err := tokenize(text)
	if err != nil {
		return nil, err
	}
	p := &filterParser{tokens: tokens}
	t, err := p.or()
	if err == nil && p.at < len(p.tokens) {
		err = fmt.Errorf("the filter expression has %q where nothing is expected", p.tokens[p.at])
	}
	return t, err
}

// tokenize cuts an expression. A string keeps its opening quote, as a ".
func tokenize(text string) ([]string, error) {
	var tokens []string
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n':
			i++
		case c == '"' || c == '\'':
			end := strings.IndexByte(text[i+1:], c)
			if end < 0 {
				return nil, errors.New("the filter expression has a string that does not end")
			}
			tokens = append(tokens, `"`+text[i+1:i+1+end])
			i += end + 2
		case strings.IndexByte("()[]{},", c) >= 0:
			tokens = append(tokens, text[i:i+1])
			i++
		case strings.IndexByte("=<>!", c) >= 0:
			n := 1
			if i+1 < len(text) && text[i+1] == '=' {
				n = 2
			}
			tokens = append(tokens, text[i:i+n])
			i += n
		default:
			n := strings.IndexAny(text[i:], " \t\n\"'()[]{},=<>!")
			if n < 0 {
				n = len(text) - i
			}
			tokens = append(tokens, text[i:i+n])
			i += n
		}
	}
	return tokens, nil
}

type filterParser struct {
	tokens []string
	at     int
}

func (p *filterParser) peek() string {
	if p.at < len(p.tokens) {
		return p.tokens[p.at]
	}
	return ""
}

func (p *filterParser) next() string {
	t := p.peek()
	p.at++
	return t
}

func (p *filterParser) accept(word string) bool {
	if strings.EqualFold(p.peek(), word) {
		p.at++
		return true
	}
	return false
}

func (p *filterParser) expect(word string) error {
	if got := p.peek(); !p.accept(word) {
		return fmt.Errorf("the filter expression has %q where %q is expected", strings.TrimPrefix(got, `"`), word)
	}
	return nil
}

func (p *filterParser) or() (test, error) {
	t, err := p.and()
	for err == nil && p.accept("OR") {
		var u test
		first := t
		u, err = p.and()
		t = func(v *view) bool { return first(v) || u(v) }
	}
	return t, err
}

func (p *filterParser) and() (test, error) {
	t, err := p.not()
	for err == nil && p.accept("AND") {
		var u test
		first := t
		u, err = p.not()
		t = func(v *view) bool { return first(v) && u(v) }
	}
	return t, err
}

func (p *filterParser) not() (test, error) {
	switch {
	case p.accept("NOT"), p.accept("!"):
		t, err := p.not()
		return func(v *view) bool { return !t(v) }, err
	case p.accept("("):
		t, err := p.or()
		if err == nil {
			err = p.expect(")")
		}
		return t, err
	}
	return p.term()
}

var flags = map[string]func(*view) bool{
	"fault":    func(v *view) bool { return v.fault },
	"error":    func(v *view) bool { return v.error },
	"throttle": func(v *view) bool { return v.throttle },
	"partial":  func(v *view) bool { return v.partial },
	"ok":       func(v *view) bool { return !v.fault && !v.error && !v.throttle },
}

var numbers = map[string]func(*view) float64{
	"responsetime": func(v *view) float64 { return v.response },
	"duration":     func(v *view) float64 { return v.end - v.start },
	"http.status":  func(v *view) float64 { return float64(v.http().Response.Status) },
}

var texts = map[string]func(*view) string{
	"http.url":       func(v *view) string { return v.http().Request.URL },
	"http.method":    func(v *view) string { return v.http().Request.Method },
	"http.useragent": func(v *view) string { return v.http().Request.UserAgent },
	"http.clientip":  func(v *view) string { return v.http().Request.ClientIP },
}

// http is what the root says of its request; what it does not say is empty.
func (v *view) http() httpPart {
	h := httpPart{Request: &httpRequest{}, Response: &httpResponse{}}
	if v.root == nil || v.root.HTTP == nil {
		return h
	}
	if v.root.HTTP.Request != nil {
		h.Request = v.root.HTTP.Request
	}
	if v.root.HTTP.Response != nil {
		h.Response = v.root.HTTP.Response
	}
	return h
}

func (p *filterParser) term() (test, error) {
	word := p.next()
	lower := strings.ToLower(word)
	switch {
	case word == "":
		return nil, errors.New("the filter expression ends where more is expected")
	case flags[lower] != nil:
		return p.flag(flags[lower])
	case numbers[lower] != nil:
		match, err := p.comparison()
		return func(v *view) bool { return match(numbers[lower](v)) }, err
	case texts[lower] != nil:
		match, err := p.comparison()
		return func(v *view) bool { return match(texts[lower](v)) }, err
	case lower == "service":
		return p.service()
	case lower == "annotation" && p.accept("["):
		key := strings.TrimPrefix(p.next(), `"`)
		if err := p.expect("]"); err != nil {
			return nil, err
		}
		return p.annotation(key)
	case strings.HasPrefix(lower, "annotation."):
		return p.annotation(word[len("annotation."):])
	}
	return nil, fmt.Errorf("weir does not support %q in a filter expression", strings.TrimPrefix(word, `"`))
}

// flag is a word that stands for itself, or is compared with true or false.
func (p *filterParser) flag(is func(*view) bool) (test, error) {
	switch op := p.peek(); op {
	case "=", "!=":
		p.at++
		value := strings.ToLower(p.next())
		if value != "true" && value != "false" {
			return nil, fmt.Errorf("the filter expression compares a flag with %q", value)
		}
		want := (value == "true") == (op == "=")
		return func(v *view) bool { return is(v) == want }, nil
	}
	return is, nil
}

// service is service("name"), or service(id(name: …)), which is not supported.
func (p *filterParser) service() (test, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	name := p.next()
	if name == ")" {
		name = ""
	} else {
		if !strings.HasPrefix(name, `"`) {
			return nil, fmt.Errorf("weir does not support service(%s…) in a filter expression, only service(\"name\")", name)
		}
		if err := p.expect(")"); err != nil {
			return nil, err
		}
	}
	if p.peek() == "{" {
		return nil, errors.New("weir does not support service() { … } in a filter expression")
	}
	name = strings.TrimPrefix(name, `"`)
	return func(v *view) bool {
		return slices.ContainsFunc(v.services, func(x *segment) bool { return name == "" || x.Name == name })
	}, nil
}

// annotation compares an annotation; without an operator it asks whether there is one.
func (p *filterParser) annotation(key string) (test, error) {
	if key == "" {
		return nil, errors.New("the filter expression has an annotation without a key")
	}
	switch next := strings.ToUpper(p.peek()); next {
	case "", ")", "AND", "OR":
		return func(v *view) bool { return len(v.annotations[key]) > 0 }, nil
	}
	match, err := p.comparison()
	return func(v *view) bool { return slices.ContainsFunc(v.annotations[key], match) }, err
}

// comparison is an operator with a value. A value of another type is different.
func (p *filterParser) comparison() (func(any) bool, error) {
	op, literal := strings.ToUpper(p.next()), p.next()
	if text, ok := strings.CutPrefix(literal, `"`); ok {
		return textComparison(op, text)
	}
	if b, err := strconv.ParseBool(literal); err == nil && (op == "=" || op == "!=") && len(literal) > 1 {
		return func(v any) bool { x, ok := v.(bool); return (ok && x == b) == (op == "=") }, nil
	}
	n, err := strconv.ParseFloat(literal, 64)
	if err != nil {
		return nil, fmt.Errorf("the filter expression compares with %q, which is neither a number nor a string in quotes", literal)
	}
	compare, ok := map[string]func(x float64) bool{
		"=": func(x float64) bool { return x == n }, "!=": func(x float64) bool { return x != n },
		"<": func(x float64) bool { return x < n }, "<=": func(x float64) bool { return x <= n },
		">": func(x float64) bool { return x > n }, ">=": func(x float64) bool { return x >= n },
	}[op]
	if !ok {
		return nil, fmt.Errorf("the filter expression compares a number by %q", op)
	}
	return func(v any) bool { x, ok := v.(float64); return ok && compare(x) }, nil
}

func textComparison(op, text string) (func(any) bool, error) {
	compare, ok := map[string]func(x string) bool{
		"=": func(x string) bool { return x == text }, "!=": func(x string) bool { return x != text },
		"CONTAINS":   func(x string) bool { return strings.Contains(x, text) },
		"BEGINSWITH": func(x string) bool { return strings.HasPrefix(x, text) },
		"ENDSWITH":   func(x string) bool { return strings.HasSuffix(x, text) },
	}[op]
	if !ok {
		return nil, fmt.Errorf("the filter expression compares a string by %q", op)
	}
	return func(v any) bool { x, ok := v.(string); return ok && compare(x) }, nil
}
