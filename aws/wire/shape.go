package wire

import "strings"

// Kind is the kind of a value on the wire.
type Kind uint8

// The kinds. Each has one Go type for a member and one for an element of a list or map.
const (
	Bool       Kind = iota // Opt[bool], bool
	Int32                  // Opt[int32], int32
	Int64                  // Opt[int64], int64
	Float32                // Opt[float32], float32
	Float64                // Opt[float64], float64
	String                 // Opt[string], string
	Blob                   // []byte, nil if absent
	Timestamp              // Opt[time.Time], time.Time
	Structure              // *T, nil if absent; T
	ListKind               // []T, nil if absent
	MapKind                // map[string]T, nil if absent
	EventsKind             // Events[T], nil if absent
)

// A Location is where a member travels in a REST protocol. Every other protocol puts all
// members into the body.
type Location uint8

// The locations.
const (
	InBody    Location = iota
	InPayload          // the member is the whole body
	InLabel            // a segment of the path
	InQuery            // the query string
	InHeader           // one header
	InHeaders          // all headers that begin with the member's wire name
	InStatus           // the status of the answer
)

// A TimeFormat is how a timestamp is written. The zero value is the default of the
// place it is written in.
type TimeFormat uint8

// The formats of a timestamp.
const (
	DefaultTime TimeFormat = iota
	EpochTime              // seconds since 1970, with a fraction
	ISOTime                // 2006-01-02T15:04:05Z
	HTTPTime               // Mon, 02 Jan 2006 15:04:05 GMT
)

// A Shape describes a structure: its members in the model's order, which is also the
// order of validation messages.
type Shape struct {
	Name    string
	Members []Member

	// Sorted holds the indices of the members in the order of their wire names, one byte
	// each. It is empty for a shape that is searched faster in order.
	Sorted string

	Union bool // exactly one member is set
	REST  bool // some member does not travel in the body
}

// A Member describes one member of a structure.
type Member struct {
	Name     string // in the model, and in validation messages
	Wire     string // on the wire; empty: Name
	XML      string // in awsQuery and XML, where that differs from Wire
	Type     *Type
	In       Location
	Required bool

	EventPayload bool // the member is the payload of an event
	EventHeader  bool // the member is a header of an event
}

// A Type describes a value and the constraints on it. Types are shared and never change.
type Type struct {
	Kind Kind
	Elem *Type // of a list or of the values of a map
	Key  *Type // of the keys of a map
	Time TimeFormat

	// Names of the parts of a list or map in awsQuery and XML.
	ItemName  string // of a list; empty: "member", or none if the list is flat
	KeyName   string // empty: "key"
	ValueName string // empty: "value"
	Flat      bool

	Min, Max       int64 // length, or value of a number
	HasMin, HasMax bool
	Pattern        *Pattern
	Enum           []string // in the order in which AWS prints them
	Sensitive      bool     // never printed
	NotNull        bool     // elements of a list or map print "Member must not be null"
}

// Types without constraints.
var (
	BoolType      = Type{Kind: Bool}
	Int32Type     = Type{Kind: Int32}
	Int64Type     = Type{Kind: Int64}
	Float32Type   = Type{Kind: Float32}
	Float64Type   = Type{Kind: Float64}
	StringType    = Type{Kind: String}
	BlobType      = Type{Kind: Blob}
	TimestampType = Type{Kind: Timestamp}
	StructureType = Type{Kind: Structure}
	EventsType    = Type{Kind: EventsKind}
)

// A Struct is a value that describes itself to the codecs. Generated types implement it
// with pointer receivers.
type Struct interface {
	// WireShape returns the description of the structure.
	WireShape() *Shape
	// WireMember returns a pointer to member i: *Opt[T] of a scalar, *[]byte of a blob, a
	// Ref of a structure, a List of a list, a Map of a map, an EventSource of an event
	// stream.
	WireMember(i int) any
}

func (m *Member) wireName() string {
	if m.Wire != "" {
		return m.Wire
	}
	return m.Name
}

func (m *Member) xmlName() string {
	if m.XML != "" {
		return m.XML
	}
	return m.wireName()
}

// find returns the index of the body member with a wire name, or -1. It looks at next
// first: clients tend to write members in order.
func (s *Shape) find(name string, next int) int {
	i := s.search(name, next)
	if i >= 0 && s.Members[i].In != InBody {
		return -1
	}
	return i
}

func (s *Shape) search(name string, next int) int {
	if next < len(s.Members) && s.Members[next].wireName() == name {
		return next
	}
	if s.Sorted == "" {
		for i := range s.Members {
			if s.Members[i].wireName() == name {
				return i
			}
		}
		return -1
	}
	lo, hi := 0, len(s.Sorted)
	for lo < hi {
		mid := (lo + hi) / 2
		switch i := int(s.Sorted[mid]); strings.Compare(s.Members[i].wireName(), name) {
		case 0:
			return i
		case -1:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return -1
}

// findXML is find for the names used in awsQuery and XML.
func (s *Shape) findXML(name string) int {
	for i := range s.Members {
		if s.Members[i].xmlName() == name {
			return i
		}
	}
	return -1
}

// at returns the index of the first member at a location, or -1.
func (s *Shape) at(in Location) int {
	for i := range s.Members {
		if s.Members[i].In == in {
			return i
		}
	}
	return -1
}
