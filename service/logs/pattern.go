package logs

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-run/weir/lambda"
)

// A pattern selects log events (AWS: "Filter pattern syntax for metric filters, subscription
// filters, filter log events, and Live Tail"). It is one of three kinds: terms that a message
// contains, a condition on a JSON message, or one on the fields of a message that are
// separated by blanks. Without any it matches everything.
type pattern struct {
	terms  []term
	json   *jsonNode
	fields []field
}

// Bounds of a pattern (AWS: the page named above).
const (
	maxPatternRegex     = 2 // of a JSON or a space-delimited pattern
	maxPatternWildcards = 3 // selectors with a wildcard
	maxPatternDepth     = 64
)

// A term must occur in a message, or must not, or is one of those of which one must occur.
type term struct {
	sign  byte // '+', '-' or '?'
	text  []byte
	regex *regexp.Regexp // instead of text
}

// badTerm refuses a character where it has no place.
func badTerm(text string) error {
	return invalid("Invalid character(s) in term '%s'", text)
}

var errPattern = invalid("Invalid filter pattern")

func invalid(format string, args ...any) *lambda.Error {
	return lambda.Errorf("InvalidParameterException", format, args...)
}

// parsePattern reads a pattern.
func parsePattern(text string) (*pattern, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return &pattern{}, nil
	case text[0] == '{':
		node, err := parseJSONPattern(text)
		return &pattern{json: node}, err
	case text[0] == '[':
		fields, err := parseFields(text)
		return &pattern{fields: fields}, err
	}
	terms, err := parseTerms(text)
	return &pattern{terms: terms}, err
}

// match reports whether the pattern selects a message.
func (p *pattern) match(message []byte) bool {
	switch {
	case p.json != nil:
		var v any
		return decode(message, &v) && p.json.holds(v)
	case p.fields != nil:
		_, ok := alignFields(p.fields, message)
		return ok
	}
	return matchTerms(p.terms, message)
}

// extract returns the parts of a message that a pattern names: $name of its fields, and the
// selectors of its JSON conditions.
func (p *pattern) extract(message []byte) map[string]string {
	values := make(map[string]string)
	switch {
	case p.json != nil:
		var v any
		if decode(message, &v) {
			p.json.each(func(c *jsonNode) {
				if text, ok := printed(c.path.first(v)); ok {
					values[c.path.text] = text
				}
			})
		}
	case p.fields != nil:
		values, _ = alignFields(p.fields, message)
	}
	return values
}

// value returns what a metric filter names: $.selector of a JSON message, or $name of a field.
func (p *pattern) value(message []byte, name string) (string, bool) {
	if strings.HasPrefix(name, "$.") {
		l := lexer{text: name}
		path, err := l.path()
		var v any
		if err != nil || l.rest() != "" || !decode(message, &v) {
			return "", false
		}
		return printed(path.first(v))
	}
	values, _ := alignFields(p.fields, message)
	text, ok := values[name]
	return text, ok
}

// names reports whether value may find something: a selector of JSON messages, or a field that
// a space-delimited pattern has.
func (p *pattern) names(name string) bool {
	if p.fields != nil {
		return slices.ContainsFunc(p.fields, func(f field) bool { return !f.ellipsis && "$"+f.name == name })
	}
	l := lexer{text: name}
	_, err := l.path()
	return err == nil && l.rest() == "" && strings.HasPrefix(name, "$.")
}

// decode reads a message that is one JSON object; its numbers stay as they were written.
func decode(message []byte, v *any) bool {
	message = bytes.TrimSpace(message)
	if len(message) == 0 || message[0] != '{' {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(message))
	d.UseNumber()
	return d.Decode(v) == nil && !d.More()
}

// printed returns a JSON value as text.
func printed(v any, ok bool) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, ok
	case json.Number:
		return v.String(), ok
	case bool:
		return strconv.FormatBool(v), ok
	case nil:
		return "null", ok
	}
	text, err := json.Marshal(v)
	return string(text), ok && err == nil
}

func matchTerms(terms []term, message []byte) bool {
	options, found, required := 0, false, 0
	for _, t := range terms {
		switch t.sign {
		case '+':
			required++
			if !t.in(message) {
				return false
			}
		case '-':
			required++
			if t.in(message) {
				return false
			}
		default:
			options++
			found = found || t.in(message)
		}
	}
	// Beside other terms AWS ignores those with a question mark.
	return required > 0 || options == 0 || found
}

func (t term) in(message []byte) bool {
	if t.regex != nil {
		return t.regex.Match(message)
	}
	return bytes.Contains(message, t.text)
}

func parseTerms(text string) ([]term, error) {
	var terms []term
	l := lexer{text: text}
	for l.rest() != "" {
		t := term{sign: '+'}
		if c := l.peek(); c == '-' || c == '?' {
			t.sign = c
			l.at++
		}
		var err error
		switch l.peek() {
		case '"':
			var s string
			s, err = l.quoted()
			t.text = []byte(s)
		case '%':
			t.regex, err = l.regex()
		default:
			t.text = []byte(l.word(isTermByte))
			if len(t.text) == 0 {
				err = l.bad()
			}
		}
		if err != nil {
			return nil, err
		}
		if c := l.peek(); c != ' ' && c != '\t' && c != 0 {
			return nil, l.bad()
		}
		terms = append(terms, t)
	}
	return terms, nil
}

// isTermByte reports whether a byte may be in a term without quotes.
func isTermByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c >= 0x80
}

// isValueByte reports whether a byte may be in a value without quotes.
func isValueByte(c byte) bool {
	return isTermByte(c) || strings.IndexByte(".*-+:/@#?$;~", c) >= 0
}

// A lexer reads the parts of a pattern.
type lexer struct {
	text      string
	at        int
	regexes   int
	wildcards int
	depth     int
}

// rest skips blanks and returns what is left.
func (l *lexer) rest() string {
	for l.at < len(l.text) && strings.IndexByte(" \t\n\r", l.text[l.at]) >= 0 {
		l.at++
	}
	return l.text[l.at:]
}

// peek returns the next byte, or 0 at the end.
func (l *lexer) peek() byte {
	if l.at >= len(l.text) {
		return 0
	}
	return l.text[l.at]
}

// take skips blanks, then a text if it comes next.
func (l *lexer) take(text string) bool {
	if !strings.HasPrefix(l.rest(), text) {
		return false
	}
	l.at += len(text)
	return true
}

// bad refuses the next character.
func (l *lexer) bad() error {
	for _, c := range l.text[l.at:] {
		return badTerm(string(c))
	}
	return errPattern
}

func (l *lexer) word(allowed func(byte) bool) string {
	from := l.at
	for l.at < len(l.text) && allowed(l.text[l.at]) {
		l.at++
	}
	return l.text[from:l.at]
}

// quoted reads a text in quotes; a backslash protects a quote and itself.
func (l *lexer) quoted() (string, error) {
	var b strings.Builder
	for i := l.at + 1; i < len(l.text); i++ {
		switch c := l.text[i]; {
		case c == '"':
			l.at = i + 1
			return b.String(), nil
		case c == '\\' && i+1 < len(l.text) && (l.text[i+1] == '"' || l.text[i+1] == '\\'):
			i++
			b.WriteByte(l.text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", errPattern
}

// regex reads a regular expression in percent signs. AWS takes no groups and few symbols.
func (l *lexer) regex() (*regexp.Regexp, error) {
	end := strings.IndexByte(l.text[l.at+1:], '%')
	if end < 0 {
		return nil, errPattern
	}
	text := l.text[l.at+1 : l.at+1+end]
	for _, c := range text {
		if c >= 0x80 || !isTermByte(byte(c)) && !strings.ContainsRune(`:_#=@/;,- ^$?[]{}|\*+.`, c) {
			return nil, badTerm(string(c))
		}
	}
	re, err := regexp.Compile(text)
	if err != nil || text == "" {
		return nil, errPattern
	}
	l.at += end + 2
	l.regexes++
	return re, nil
}
