package filter

import (
	"encoding/json"
	"net/netip"
	"strings"
)

var operators = []string{
	"anything-but", "cidr", "equals-ignore-case", "exists", "numeric", "prefix", "suffix", "wildcard",
}

// operator adds an element such as {"prefix": "a"} to a leaf.
func (c *compiler) operator(l *leaf, raw json.RawMessage) error {
	members, err := decodeObject(raw)
	if err != nil {
		return errParse
	}
	if len(members) != 1 {
		return Reason("Only one key allowed in match expression")
	}
	name := sortedKeys(members)[0]
	operand := members[name]
	var made condition
	switch name {
	case "exists":
		return exists(l, operand)
	case "anything-but":
		made, err = c.anythingBut(operand)
	case "numeric":
		made, err = c.numeric(operand)
	default:
		made, err = textCondition(name, operand)
	}
	if err != nil {
		return err
	}
	l.conditions = append(l.conditions, made)
	return nil
}

func exists(l *leaf, operand json.RawMessage) error {
	switch string(operand) {
	case "true":
		l.exists = true
	case "false":
		l.absent = true
	default:
		return Reason("exists match pattern must be either true or false.")
	}
	return nil
}

// textCondition makes a condition whose operand is a text.
func textCondition(name string, operand json.RawMessage) (condition, error) {
	if operand[0] == '{' && (name == "prefix" || name == "suffix") {
		members, err := decodeObject(operand)
		if err != nil || len(members) != 1 || members["equals-ignore-case"] == nil {
			return nil, reasonf("Unsupported %s pattern: only equals-ignore-case is allowed in it", name)
		}
		text, err := asText(name, members["equals-ignore-case"])
		return affix{text: text, isSuffix: name == "suffix", anyCase: true}, err
	}
	switch name {
	case "prefix", "suffix":
		text, err := asText(name, operand)
		return affix{text: text, isSuffix: name == "suffix"}, err
	case "equals-ignore-case":
		text, err := asText(name, operand)
		return anyCase(text), err
	case "wildcard":
		text, err := asText(name, operand)
		if err != nil {
			return nil, err
		}
		return newWildcard(text)
	case "cidr":
		text, err := asText(name, operand)
		if err != nil {
			return nil, err
		}
		return newNetwork(text)
	}
	return nil, reasonf("Unrecognized match type %s", name)
}

func asText(name string, operand json.RawMessage) (string, error) {
	if operand[0] != '"' {
		return "", reasonf("%s match pattern must be a string", name)
	}
	return string(unquote(operand)), nil
}

// newWildcard splits a text at its stars. A backslash takes a star or a backslash literally.
func newWildcard(text string) (wildcard, error) {
	parts := wildcard{""}
	part := &parts[0]
	starred := false
	for i := 0; i < len(text); i++ {
		switch ch := text[i]; {
		case ch == '*' && starred:
			return nil, reasonf("Consecutive wildcard characters at pos %d", i-1)
		case ch == '*':
			parts = append(parts, "")
			part = &parts[len(parts)-1]
			starred = true
			continue
		case ch == '\\':
			if i++; i == len(text) || text[i] != '*' && text[i] != '\\' {
				return nil, reasonf("Invalid escape character at pos %d", i-1)
			}
			fallthrough
		default:
			*part += text[i : i+1]
		}
		starred = false
	}
	return parts, nil
}

func newNetwork(text string) (condition, error) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, Reason("Malformed CIDR, one '/' required")
		}
		return network(netip.PrefixFrom(a, a.BitLen())), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return nil, reasonf("Malformed CIDR: %s", text)
	}
	return network(p.Masked()), nil
}

// anythingBut reads the values or the one operator that must not match.
func (c *compiler) anythingBut(operand json.RawMessage) (condition, error) {
	a := new(anythingBut)
	switch operand[0] {
	case '{':
		members, err := decodeObject(operand)
		if err != nil {
			return nil, errParse
		}
		if len(members) != 1 {
			return nil, Reason("Only one key allowed in match expression")
		}
		name := sortedKeys(members)[0]
		return a, a.addOperator(name, members[name])
	case '[':
		var elements []json.RawMessage
		if err := json.Unmarshal(operand, &elements); err != nil {
			return nil, errParse
		}
		if len(elements) == 0 {
			return nil, Reason("Empty arrays are not allowed")
		}
		return a, c.addExcluded(a, elements)
	}
	return a, c.addExcluded(a, []json.RawMessage{operand})
}

func (c *compiler) addExcluded(a *anythingBut, elements []json.RawMessage) error {
	areTexts := elements[0][0] == '"'
	for _, raw := range elements {
		if _, isNumber := (value{text: raw}).number(); !isNumber && raw[0] != '"' {
			return Reason("Inside anything but list, start|null|boolean is not supported.")
		}
		if areTexts != (raw[0] == '"') {
			return Reason("Inside anything but list, either all values are number or string, mixed type is not supported")
		}
		if err := c.element(&a.not, raw); err != nil {
			return err
		}
	}
	return nil
}

// addOperator excludes what one of the operators prefix, suffix, equals-ignore-case and
// wildcard matches for a text or one of a list of texts.
func (a *anythingBut) addOperator(name string, operand json.RawMessage) error {
	if name == "cidr" {
		return reasonf("Unsupported anything-but pattern: %s", name)
	}
	operands := []json.RawMessage{operand}
	if operand[0] == '[' {
		if err := json.Unmarshal(operand, &operands); err != nil {
			return errParse
		}
		if len(operands) == 0 {
			return Reason("Empty arrays are not allowed")
		}
	}
	for _, operand := range operands {
		if operand[0] == '{' {
			return reasonf("%s match pattern must be a string", name)
		}
		made, err := textCondition(name, operand)
		if err != nil {
			return err
		}
		a.not.conditions = append(a.not.conditions, made)
	}
	return nil
}

func equalTo(n float64) between { return between{low: n, high: n, hasLow: true, hasHigh: true} }

// numeric reads ["=", 1], [">", 1] or [">", 1, "<=", 2].
func (c *compiler) numeric(operand json.RawMessage) (condition, error) {
	var terms []json.RawMessage
	if operand[0] != '[' || json.Unmarshal(operand, &terms) != nil {
		return nil, Reason("Value of numeric must be an array.")
	}
	if len(terms) != 2 && len(terms) != 4 {
		return nil, Reason("Too many elements in numeric expression")
	}
	var b between
	for i := 0; i < len(terms); i += 2 {
		if terms[i][0] != '"' {
			return nil, reasonf("Invalid member in numeric match: %s", terms[i])
		}
		op := string(unquote(terms[i]))
		n, ok := (value{text: terms[i+1]}).number()
		if !ok {
			return nil, reasonf("Value of %s must be numeric", op)
		}
		if err := c.inRange(n); err != nil {
			return nil, err
		}
		if !b.bound(op, n, len(terms) == 2) {
			return nil, reasonf("Unrecognized numeric range operator: %s", op)
		}
	}
	if len(terms) == 4 && (!b.hasLow || !b.hasHigh || b.low >= b.high) {
		return nil, Reason("Bottom must be less than top")
	}
	return b, nil
}

// bound adds a bound of a range, and reports whether there is such an operator.
func (b *between) bound(op string, n float64, alone bool) bool {
	switch {
	case op == "=" && alone:
		*b = equalTo(n)
	case (op == ">" || op == ">=") && !b.hasLow:
		b.low, b.hasLow, b.openLow = n, true, op == ">"
	case (op == "<" || op == "<=") && !b.hasHigh:
		b.high, b.hasHigh, b.openHigh = n, true, op == "<"
	default:
		return false
	}
	return true
}

// inRange checks the bounds of numbers: 1e9 in a filter policy, 5e9 elsewhere.
func (c *compiler) inRange(n float64) error {
	limit := 5e9
	if c.dialect.isSNS() {
		limit = 1e9
	}
	if n < -limit || n > limit {
		return reasonf("Value must be between %g and %g, inclusive", -limit, limit)
	}
	return nil
}
