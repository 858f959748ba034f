package filter

import (
	"encoding/json"
	"strings"
)

// An Attribute is a message attribute of SNS.
type Attribute struct {
	Type  string // String, Number, Binary, String.Array, or one of these with a custom label
	Value string
}

// Attributes returns the event that a policy of the dialect SNSAttributes is matched with.
// Elements of a String.Array count each; binary attributes and arrays that are no JSON are
// left out, as on AWS.
func Attributes(attributes map[string]Attribute) []byte {
	event := make(map[string]json.RawMessage, len(attributes))
	for name, a := range attributes {
		kind, _, _ := strings.Cut(a.Type, ".")
		switch {
		case kind == "Binary":
		case a.Type == "String.Array":
			if text := strings.TrimSpace(a.Value); json.Valid([]byte(text)) && text[0] == '[' {
				event[name] = json.RawMessage(text)
			}
		case kind == "Number" && isNumber(a.Value):
			event[name] = json.RawMessage(a.Value)
		default:
			event[name] = quote([]byte(a.Value))
		}
	}
	text, err := json.Marshal(event)
	if err != nil {
		panic(err) // every member is valid JSON
	}
	return text
}

func isNumber(text string) bool {
	_, ok := (value{text: []byte(text)}).number()
	return ok && json.Valid([]byte(text))
}
