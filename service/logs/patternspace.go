package logs

import (
	"bytes"
	"strconv"
	"strings"
)

// A field of a space-delimited pattern: its name and what must hold for it. One that is an
// ellipsis stands for any number of fields.
type field struct {
	name     string
	ellipsis bool
	any      [][]comparison // one of these groups must hold; nil: nothing is asked
}

// A comparison is a condition on a field.
type comparison struct {
	op operator
	operand
}

// parseFields reads [name, name = value, ...].
func parseFields(text string) ([]field, error) {
	l := lexer{text: text}
	l.take("[")
	fields := []field{}
	names := make(map[string]bool)
	ellipses := 0
	for !l.take("]") {
		if len(fields) > 0 && !l.take(",") {
			return nil, l.bad()
		}
		f, err := l.field(len(fields) + 1)
		if err != nil {
			return nil, err
		}
		if f.ellipsis {
			ellipses++
		} else if names[f.name] {
			return nil, errPattern
		}
		names[f.name] = true
		fields = append(fields, f)
	}
	if l.rest() != "" {
		return nil, l.bad()
	}
	if l.regexes > maxPatternRegex || ellipses > 1 {
		return nil, errPattern
	}
	return fields, nil
}

// field reads one field; number is its place, from 1 on, which names it if nothing else does.
func (l *lexer) field(number int) (field, error) {
	if l.take("...") {
		return field{ellipsis: true}, nil
	}
	l.rest()
	f := field{name: l.word(func(c byte) bool { return isTermByte(c) || c == '-' })}
	named := f.name != ""
	if !named {
		f.name = strconv.Itoa(number)
		if c := l.peek(); c == ',' || c == ']' {
			return f, nil
		}
	}
	op := l.operator()
	if op == none {
		return f, nil
	}
	group := []comparison{}
	for {
		o, err := l.operand(op)
		if err != nil {
			return f, err
		}
		group = append(group, comparison{op, o})
		switch {
		case l.take("||"):
			f.any = append(f.any, group)
			group = nil
		case l.take("&&"):
		default:
			f.any = append(f.any, group)
			return f, nil
		}
		// AWS's examples write w1 and W1 for the same field.
		l.rest()
		if name := l.word(func(c byte) bool { return isTermByte(c) || c == '-' }); !strings.EqualFold(name, f.name) && named {
			return f, errPattern
		}
		if op = l.operator(); op == none {
			return f, l.bad()
		}
	}
}

func (f *field) holds(text string) bool {
	for _, group := range f.any {
		all := true
		for _, c := range group {
			all = all && c.holds(c.op, text)
		}
		if all {
			return true
		}
	}
	return f.any == nil
}

// alignFields gives the fields of a pattern those of a message, and reports whether they fit.
// A last field of which nothing is asked takes everything that is left.
func alignFields(fields []field, message []byte) (map[string]string, bool) {
	parts := splitFields(message)
	values := make(map[string]string, len(fields))
	ok := true
	give := func(f *field, text string) {
		values["$"+f.name] = text
		ok = ok && f.holds(text)
	}
	n := len(fields)
	for i := range fields {
		switch f := &fields[i]; {
		case f.ellipsis:
			behind := n - i - 1
			if len(parts) < behind {
				return nil, false
			}
			parts = parts[len(parts)-behind:]
		case len(parts) == 0:
			return nil, false
		case i == n-1 && f.any == nil:
			give(f, strings.Join(parts, " "))
			parts = nil
		default:
			give(f, parts[0])
			parts = parts[1:]
		}
	}
	if !ok || len(parts) > 0 && n > 0 && !fields[n-1].ellipsis {
		return nil, false
	}
	return values, true
}

// splitFields cuts a message at blanks; what stands in brackets or quotes is one field.
func splitFields(message []byte) []string {
	var parts []string
	for {
		message = bytes.TrimLeft(message, " \t\n\r")
		if len(message) == 0 {
			return parts
		}
		end, skip := -1, 0
		switch message[0] {
		case '[':
			end, skip = bytes.IndexByte(message, ']'), 1
		case '"':
			end, skip = bytes.IndexByte(message[1:], '"')+1, 1
		}
		if end <= 0 {
			skip = 0
			if end = bytes.IndexAny(message, " \t\n\r"); end < 0 {
				end = len(message)
			}
		}
		parts = append(parts, string(message[skip:end]))
		message = message[end+skip:]
	}
}
