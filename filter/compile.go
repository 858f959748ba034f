package filter

import (
	"encoding/json"
	"slices"
)

// A compiler reads one pattern and counts what is bounded.
type compiler struct {
	dialect      Dialect
	keys         int // with values
	combined     int // product of the numbers of values
	alternatives int // combinations of "$or"
}

// The reasons that are given in more than one place.
const (
	errParse   = Reason("Failed to parse JSON.")
	errEmpty   = Reason("Empty objects are not allowed")
	errComplex = Reason("Filter policy is too complex")
	errNested  = Reason("Filter policy scope MessageAttributes does not support nested filter policy")
)

func (c *compiler) compile(text string) (*object, error) {
	limit := map[Dialect]int{Lambda: MaxLambda, EventBridge: MaxEventBridge, SNSAttributes: MaxSNS, SNSBody: MaxSNS}[c.dialect]
	if len(text) > limit {
		return nil, reasonf("The pattern has %d bytes, at most %d are allowed", len(text), limit)
	}
	members, err := decodeObject([]byte(text))
	if err != nil {
		return nil, errParse
	}
	if len(members) == 0 && !c.dialect.isSNS() {
		return nil, errEmpty
	}
	c.alternatives = 1
	root, err := c.object(members, 1)
	if err != nil {
		return nil, err
	}
	if c.dialect.isSNS() && c.keys > MaxSNSKeys {
		return nil, reasonf("Filter policy can not have more than %d keys", MaxSNSKeys)
	}
	if c.dialect.isSNS() && c.combined > MaxSNSCombined {
		return nil, errComplex
	}
	return root, nil
}

// decodeObject reads the members of a JSON object; the last of equal keys wins.
func decodeObject(text []byte) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, err
	}
	if members == nil {
		return nil, errParse
	}
	return members, nil
}

// object compiles a JSON object that is the depth-th from the outermost.
func (c *compiler) object(members map[string]json.RawMessage, depth int) (*object, error) {
	if depth > MaxDepth {
		return nil, reasonf("weir supports patterns of at most %d nested objects", MaxDepth)
	}
	o := new(object)
	if err := c.members(o, members, depth); err != nil {
		return nil, err
	}
	o.number(make(map[string]int))
	return o, nil
}

func (c *compiler) members(o *object, members map[string]json.RawMessage, depth int) error {
	for _, key := range sortedKeys(members) {
		raw := members[key]
		if alternatives, ok := asChoice(key, raw); ok {
			if err := c.choice(o, alternatives, depth); err != nil {
				return err
			}
			continue
		}
		f := field{key: key}
		var err error
		switch raw[0] {
		case '{':
			f.object, err = c.nested(raw, depth)
		case '[':
			f.leaf, err = c.leaf(raw, depth)
		default:
			err = reasonf("%q must be an object or an array", key)
		}
		if err != nil {
			return err
		}
		o.fields = append(o.fields, f)
	}
	return nil
}

func (c *compiler) nested(raw json.RawMessage, depth int) (*object, error) {
	if c.dialect == SNSAttributes {
		return nil, errNested
	}
	inner, err := decodeObject(raw)
	if err != nil {
		return nil, err
	}
	if len(inner) == 0 {
		return nil, errEmpty
	}
	return c.object(inner, depth+1)
}

// asChoice returns the alternatives of "$or". As on AWS it is an operator only if it is a
// list of at least two objects; otherwise it is a key like others.
func asChoice(key string, raw json.RawMessage) ([]map[string]json.RawMessage, bool) {
	if key != "$or" {
		return nil, false
	}
	var alternatives []map[string]json.RawMessage
	if err := json.Unmarshal(raw, &alternatives); err != nil || len(alternatives) < 2 {
		return nil, false
	}
	for _, a := range alternatives {
		if len(a) == 0 || slices.ContainsFunc(operators, func(op string) bool { return a[op] != nil }) {
			return nil, false
		}
	}
	return alternatives, true
}

func (c *compiler) choice(o *object, alternatives []map[string]json.RawMessage, depth int) error {
	if c.alternatives *= len(alternatives); c.alternatives > MaxAlternatives {
		return Reason("Rule is too complex - try using fewer OR conditions")
	}
	if depth > MaxDepth {
		return reasonf("weir supports patterns of at most %d nested objects", MaxDepth)
	}
	var list choice
	for _, members := range alternatives {
		alternative := new(object)
		if err := c.members(alternative, members, depth+1); err != nil {
			return err
		}
		list = append(list, alternative)
	}
	o.choices = append(o.choices, list)
	return nil
}

func (c *compiler) leaf(raw json.RawMessage, depth int) (*leaf, error) {
	var elements []json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		return nil, errParse
	}
	if len(elements) == 0 {
		return nil, Reason("Empty arrays are not allowed")
	}
	l := new(leaf)
	for _, element := range elements {
		if err := c.element(l, element); err != nil {
			return nil, err
		}
	}
	c.keys++
	if c.combined <= MaxSNSCombined {
		c.combined *= l.values()
		if c.dialect == SNSBody {
			c.combined *= depth
		}
	}
	return l, nil
}

func (c *compiler) element(l *leaf, raw json.RawMessage) error {
	switch raw[0] {
	case '"':
		l.addString(string(unquote(raw)))
	case '{':
		return c.operator(l, raw)
	case '[':
		return Reason("Match value must be String, number, true, false, or null")
	default:
		return c.literal(l, raw)
	}
	return nil
}

// literal adds a number, true, false or null. Lambda and EventBridge compare numbers by their
// text, SNS by their value.
func (c *compiler) literal(l *leaf, raw json.RawMessage) error {
	if n, ok := (value{text: raw}).number(); ok && c.dialect.isSNS() {
		if err := c.inRange(n); err != nil {
			return err
		}
		l.conditions = append(l.conditions, equalTo(n))
		return nil
	}
	if l.literals == nil {
		l.literals = make(map[string]struct{})
	}
	l.literals[string(raw)] = struct{}{}
	return nil
}

func (l *leaf) addString(text string) {
	if l.strings == nil {
		l.strings = make(map[string]struct{})
	}
	l.strings[text] = struct{}{}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
