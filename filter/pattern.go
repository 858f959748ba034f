package filter

import (
	"encoding/json"
	"fmt"
)

// A Dialect is one service's reading of the pattern grammar.
type Dialect uint8

// The dialects.
const (
	Lambda        Dialect = iota // a filter of an event source mapping
	EventBridge                  // the event pattern of a rule
	SNSAttributes                // a filter policy on a message's attributes
	SNSBody                      // a filter policy on a message's body
)

func (d Dialect) isSNS() bool { return d == SNSAttributes || d == SNSBody }

// Bounds of a pattern. MaxDepth is weir's own, the others AWS's quotas.
const (
	MaxLambda       = 4096    // bytes
	MaxEventBridge  = 2048    // bytes
	MaxSNS          = 256_000 // bytes
	MaxSNSKeys      = 5       // keys with values
	MaxSNSCombined  = 150     // product of the numbers of values
	MaxAlternatives = 1000    // combinations of the alternatives of "$or"
	MaxDepth        = 64      // nested objects
)

// A Pattern is a compiled event pattern. It is immutable.
type Pattern struct {
	root    *object
	dialect Dialect
}

// A Reason says in AWS's words what is wrong with a pattern.
type Reason string

func (r Reason) Error() string { return string(r) }

func reasonf(format string, args ...any) Reason { return Reason(fmt.Sprintf(format, args...)) }

// ErrLambda is the only complaint about a pattern of Lambda's dialect.
const ErrLambda = Reason("Invalid filter pattern definition.")

// Compile reads a pattern. The error's text is AWS's reason, for the service to put its own
// words around.
func Compile(d Dialect, text string) (*Pattern, error) {
	c := compiler{dialect: d, combined: 1}
	root, err := c.compile(text)
	if err != nil && d == Lambda {
		return nil, ErrLambda
	}
	if err != nil {
		return nil, err
	}
	return &Pattern{root, d}, nil
}

// Match reports whether the pattern matches an event, a JSON object. What is no JSON object
// matches nothing.
func (p *Pattern) Match(event []byte) bool {
	if !json.Valid(event) {
		return false
	}
	at := skipSpace(event, 0)
	return event[at] == '{' && p.root.match(event[at:], -1, nil)
}

// An object is the pattern of a JSON object: every field and every choice must match.
type object struct {
	keys    map[string]int // into fields
	fields  []field
	choices []choice
}

// A field is what an object says of one key: exactly one of leaf and object.
type field struct {
	key    string
	slot   int // into the values of the outermost object of the same level
	leaf   *leaf
	object *object
}

// A choice is "$or": one of the objects must match.
type choice []*object

// number gives the keys of an object and of the choices within it their slots.
func (o *object) number(keys map[string]int) {
	o.keys = keys
	for i := range o.fields {
		f := &o.fields[i]
		slot, ok := keys[f.key]
		if !ok {
			slot = len(keys)
			keys[f.key] = slot
		}
		f.slot = slot
	}
	for _, c := range o.choices {
		for _, alternative := range c {
			alternative.number(keys)
		}
	}
}

// A span is a value of an event; nil if there is none.
type span = []byte

// stackSlots is how many different keys of one object are matched without allocating.
const stackSlots = 16

// match reports whether a JSON object, which may be missing, matches. If slot is not negative, value stands for what
// the object has there.
func (o *object) match(event []byte, slot int, value span) bool {
	var few [stackSlots]span
	values := few[:]
	if len(o.keys) > stackSlots {
		values = make([]span, len(o.keys))
	}
	if event != nil {
		eachMember(event, func(key, value []byte) {
			if slot, ok := o.keys[string(key)]; ok {
				values[slot] = value // the last of equal keys wins
			}
		})
	}
	if slot >= 0 {
		values[slot] = value
	}
	return o.holds(values)
}

func (o *object) holds(values []span) bool {
	for i := range o.fields {
		f := &o.fields[i]
		value := values[f.slot]
		if f.leaf != nil && !f.leaf.match(value) || f.object != nil && !f.object.matchValue(value) {
			return false
		}
	}
	for _, c := range o.choices {
		if !c.holds(values) {
			return false
		}
	}
	return true
}

func (c choice) holds(values []span) bool {
	for _, o := range c {
		if o.holds(values) {
			return true
		}
	}
	return false
}

// matchValue reports whether a value is an object that matches, or an array that holds one.
// A value that is missing counts as an empty object: only what must not exist matches it.
func (o *object) matchValue(value span) bool {
	switch {
	case value == nil:
		return o.match(nil, -1, nil)
	case value[0] == '{':
		return o.match(value, -1, nil)
	case value[0] == '[':
		return eachElement(value, func(element []byte) bool { return o.matchValue(element) })
	}
	return false
}
