package filter

import (
	"encoding/json"
	"unicode/utf8"
)

// A Source says where an event source's records keep their data, and what happens when data
// and pattern are of different sorts.
type Source struct {
	Key string // of the data

	// OnlyJSON: the data is JSON, and so must the pattern of it be.
	OnlyJSON bool

	// Lenient: if one of data and pattern is JSON and the other is text, or the data is no
	// UTF-8, only the metadata counts. Otherwise the record does not match.
	Lenient bool
}

// The sources of Lambda's event source mappings.
var (
	SQS      = Source{Key: "body"}
	Kinesis  = Source{Key: "data", OnlyJSON: true}
	DynamoDB = Source{Key: "dynamodb", OnlyJSON: true}
	Kafka    = Source{Key: "value", Lenient: true}
	MQ       = Source{Key: "data", Lenient: true}
)

// MaxFilters is how many patterns an event source mapping has at most (AWS: five, ten on
// request).
const MaxFilters = 10

// Criteria are the filter criteria of an event source mapping: any of its patterns must
// match.
type Criteria struct {
	source  Source
	filters []criterion
}

type criterion struct {
	root     *object
	slot     int // of the data; -1: the pattern does not mention it
	wantText bool
}

// NewCriteria compiles the patterns of an event source mapping.
func NewCriteria(source Source, patterns []string) (*Criteria, error) {
	c := &Criteria{source: source}
	if len(patterns) > MaxFilters {
		return nil, ErrLambda
	}
	for _, text := range patterns {
		p, err := Compile(Lambda, text)
		if err != nil {
			return nil, err
		}
		one := criterion{root: p.root, slot: -1}
		if slot, ok := p.root.keys[source.Key]; ok {
			one.slot = slot
			one.wantText = p.root.wantsText(source.Key)
		}
		if one.slot >= 0 && one.wantText && source.OnlyJSON {
			return nil, ErrLambda
		}
		c.filters = append(c.filters, one)
	}
	return c, nil
}

// wantsText reports whether an object has values for a key, rather than a nested object.
func (o *object) wantsText(key string) bool {
	for _, f := range o.fields {
		if f.key == key {
			return f.leaf != nil
		}
	}
	for _, c := range o.choices {
		for _, alternative := range c {
			if alternative.wantsText(key) {
				return true
			}
		}
	}
	return false
}

// Match reports whether a record matches. metadata is the record as a JSON object, as it
// stands in the event, with its flat keys (messageId, attributes, partitionKey, eventName …);
// data is what stands for the source's data key, decoded: the body of an SQS message, the
// bytes of a Kinesis record, the JSON of a DynamoDB record's dynamodb member. What the
// metadata has for that key does not count.
//
// Data is JSON if it is a JSON object or array, and text otherwise. For SQS, Kinesis and
// DynamoDB, text does not match a JSON pattern, nor JSON a text pattern.
func (c *Criteria) Match(metadata, data []byte) bool {
	if len(c.filters) == 0 {
		return true
	}
	at := skipSpace(metadata, 0)
	if !json.Valid(metadata) || metadata[at] != '{' {
		return false
	}
	metadata = metadata[at:]
	at = skipSpace(data, 0)
	isJSON := at < len(data) && (data[at] == '{' || data[at] == '[') && json.Valid(data)
	value := data[at:]
	if !isJSON {
		value = nil
	}
	for i := range c.filters {
		f := &c.filters[i]
		if f.slot >= 0 && value == nil && (f.wantText || !c.source.Lenient) {
			value = quote(data) // made once, and only if a pattern looks at it
		}
		if f.match(c.source, metadata, value, isJSON, data) {
			return true
		}
	}
	return false
}

func (f *criterion) match(source Source, metadata, value []byte, isJSON bool, data []byte) bool {
	if f.slot < 0 {
		return f.root.match(metadata, -1, nil)
	}
	if source.Lenient && (f.wantText == isJSON || !utf8.Valid(data)) {
		return f.root.without(source.Key).match(metadata, -1, nil)
	}
	return f.root.match(metadata, f.slot, value)
}

// without returns the pattern of an object less what it says of a key.
func (o *object) without(key string) *object {
	rest := &object{keys: o.keys, choices: o.choices}
	for _, f := range o.fields {
		if f.key != key {
			rest.fields = append(rest.fields, f)
		}
	}
	return rest
}

func quote(text []byte) []byte {
	quoted, err := json.Marshal(string(text))
	if err != nil {
		panic(err) // a string can be encoded
	}
	return quoted
}
