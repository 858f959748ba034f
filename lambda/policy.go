package lambda

import "encoding/json"

// A Policy is the resource-based policy of a function, a version or an alias. It is kept and
// returned; weir does not enforce it.
type Policy struct {
	RevisionID string      `json:",omitzero"`
	Statements []Statement `json:",omitzero"` // in the order in which they were added
}

// A Statement is one permission.
type Statement struct {
	ID   string          `json:",omitzero"`
	JSON json.RawMessage `json:",omitzero"` // as AWS writes it
}

// MaxPolicy bounds a policy's JSON in bytes.
const MaxPolicy = 20 << 10
