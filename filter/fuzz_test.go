package filter

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// FuzzMatch compares Match with a matcher that is as simple as the rules.
func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"a":["x",1,null,true]}`, `{"a":["x"]}`},
		{`{"a":{"b":[{"prefix":"x"}]}}`, `{"a":[{"b":"xy"},{}]}`},
		{`{"$or":[{"a":[{"exists":false}]},{"b":[{"numeric":[">",1,"<",3]}]}]}`, `{"a":1,"b":2.5}`},
		{`{"a":[{"anything-but":{"wildcard":"*b\\*c*"}}]}`, `{"a":"ab*cd"}`},
		{`{"a":[{"anything-but":["x"]},{"suffix":""}],"\u0061":[{"wildcard":"*"}]}`, `{"a":[[],{"b":1}]}`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, event string) {
		p, err := Compile(EventBridge, pattern)
		if err != nil {
			return
		}
		var want, given map[string]any
		if err := decode(pattern, &want); err != nil {
			t.Fatalf("%q was compiled: %v", pattern, err)
		}
		if strings.Contains(pattern, "cidr") || strings.Contains(pattern, "equals-ignore-case") {
			return // the simple matcher has none
		}
		if err := decode(event, &given); err != nil || given == nil {
			if p.Match([]byte(event)) {
				t.Fatalf("%q matches %q", pattern, event)
			}
			return
		}
		if got := p.Match([]byte(event)); got != simpleObject(want, given) {
			t.Fatalf("%q with %q: %t", pattern, event, got)
		}
	})
}

func decode(text string, v any) error {
	if !json.Valid([]byte(text)) {
		return fmt.Errorf("no JSON")
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	return d.Decode(v)
}

func simpleObject(pattern, event map[string]any) bool {
	for key, want := range pattern {
		if raw, err := json.Marshal(want); err != nil {
			panic(err)
		} else if alternatives, ok := asChoice(key, raw); ok {
			matched := false
			for i := range alternatives {
				matched = simpleObject(want.([]any)[i].(map[string]any), event) || matched
			}
			if !matched {
				return false
			}
			continue
		}
		got, ok := event[key]
		if nested, isObject := want.(map[string]any); isObject {
			if !ok {
				got = map[string]any{}
			}
			if !simpleNested(nested, got) {
				return false
			}
		} else if !simpleLeaf(want.([]any), got, ok) {
			return false
		}
	}
	return true
}

func simpleNested(pattern map[string]any, got any) bool {
	switch got := got.(type) {
	case map[string]any:
		return simpleObject(pattern, got)
	case []any:
		for _, element := range got {
			if simpleNested(pattern, element) {
				return true
			}
		}
	}
	return false
}

func simpleLeaf(want []any, got any, ok bool) bool {
	if list, isList := got.([]any); isList && len(list) > 0 {
		for _, element := range list {
			if inner, isList := element.([]any); isList && len(inner) == 0 {
				continue
			}
			if simpleLeaf(want, element, true) {
				return true
			}
		}
		return false
	} else if isList {
		ok = false
	}
	if _, isObject := got.(map[string]any); isObject {
		return false
	}
	for _, w := range want {
		if simpleElement(w, got, ok) {
			return true
		}
	}
	return false
}

func simpleElement(want, got any, ok bool) bool {
	op, isOp := want.(map[string]any)
	if !isOp {
		return ok && want == got
	}
	if exists, has := op["exists"]; has {
		return exists == ok
	}
	if !ok {
		return false
	}
	text, isText := got.(string)
	switch {
	case op["prefix"] != nil:
		return isText && strings.HasPrefix(text, op["prefix"].(string))
	case op["suffix"] != nil:
		return isText && strings.HasSuffix(text, op["suffix"].(string))
	case op["wildcard"] != nil:
		return isText && simpleWildcard(op["wildcard"].(string)).MatchString(text)
	case op["numeric"] != nil:
		return simpleNumeric(op["numeric"].([]any), got)
	case op["anything-but"] != nil:
		return !simpleExcluded(op["anything-but"], got)
	}
	panic("unknown operator")
}

func simpleExcluded(not, got any) bool {
	if nested, isOp := not.(map[string]any); isOp {
		for name, operand := range nested {
			list, isList := operand.([]any)
			if !isList {
				list = []any{operand}
			}
			for _, one := range list {
				if simpleElement(map[string]any{name: one}, got, true) {
					return true
				}
			}
		}
		return false
	}
	list, isList := not.([]any)
	if !isList {
		list = []any{not}
	}
	for _, one := range list {
		if one == got {
			return true
		}
	}
	return false
}

func simpleWildcard(text string) *regexp.Regexp {
	s := `(?s)\A`
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '*':
			s += ".*"
			continue
		case '\\':
			i++
		}
		if text[i] < 0x80 {
			s += regexp.QuoteMeta(text[i : i+1])
		} else {
			s += text[i : i+1]
		}
	}
	return regexp.MustCompile(s + `\z`)
}

func simpleNumeric(terms []any, got any) bool {
	number, ok := got.(json.Number)
	if !ok {
		return false
	}
	n, err := strconv.ParseFloat(string(number), 64)
	if err != nil {
		return false
	}
	for i := 0; i < len(terms); i += 2 {
		bound, err := terms[i+1].(json.Number).Float64()
		if err != nil {
			panic(err)
		}
		ok := map[string]bool{"=": n == bound, "<": n < bound, "<=": n <= bound, ">": n > bound, ">=": n >= bound}
		if !ok[terms[i].(string)] {
			return false
		}
	}
	return true
}
