package wire

import (
	"maps"
	"slices"
)

// Opt is a scalar that may be absent. AWS treats an absent member and a zero one
// differently: 0 reserved concurrency turns a function off, none removes the limit.
type Opt[T any] struct {
	V  T
	OK bool
}

// Some returns a present value.
func Some[T any](v T) Opt[T] { return Opt[T]{v, true} }

// Or returns the value, or def if it is absent.
func (o Opt[T]) Or(def T) T {
	if o.OK {
		return o.V
	}
	return def
}

// put stores a scalar in a member (*Opt[T]) or an element (*T).
func put[T any](p any, v T) {
	switch p := p.(type) {
	case *Opt[T]:
		*p = Opt[T]{v, true}
	case *T:
		*p = v
	}
}

// get loads a scalar from a member or an element. An element is always present.
func get[T any](p any) (T, bool) {
	switch p := p.(type) {
	case *Opt[T]:
		return p.V, p.OK
	case *T:
		return *p, true
	}
	var zero T
	return zero, false
}

// A Reference is a member that is a structure, as the codecs see it.
type Reference interface {
	Get() Struct // nil if absent
	New() Struct // makes it present and returns it
}

// Ref makes a Reference of a pointer to a structure: Ref[T, *T]{&s.Field}.
type Ref[T any, P interface {
	*T
	Struct
}] struct{ At **T }

// Get returns the structure, or nil.
func (r Ref[T, P]) Get() Struct {
	if *r.At == nil {
		return nil
	}
	return P(*r.At)
}

// New stores a zero structure and returns it.
func (r Ref[T, P]) New() Struct {
	*r.At = new(T)
	return P(*r.At)
}

// structOf returns the structure behind a member (Reference) or an element (Struct); nil
// if it is absent.
func structOf(p any) Struct {
	if r, ok := p.(Reference); ok {
		return r.Get()
	}
	return p.(Struct)
}

// newStruct returns the structure to decode a member or an element into.
func newStruct(p any) Struct {
	if r, ok := p.(Reference); ok {
		return r.New()
	}
	return p.(Struct)
}

// A Sequence is a list of any element type, as the codecs see it.
type Sequence interface {
	IsNil() bool
	Len() int
	At(i int) any // pointer to element i
	Make()        // makes it present and empty
	Add() any     // appends a zero element and returns a pointer to it
}

// List makes a Sequence of a slice: (*List[T])(&s.Field). A list inside of a list or map
// has this type itself.
type List[T any] []T

// IsNil reports whether the list is absent.
func (l *List[T]) IsNil() bool { return *l == nil }

// Len returns the number of elements.
func (l *List[T]) Len() int { return len(*l) }

// At returns a pointer to element i.
func (l *List[T]) At(i int) any { return &(*l)[i] }

// Make makes the list present and empty.
func (l *List[T]) Make() { *l = List[T]{} }

// Add appends a zero element and returns a pointer to it.
func (l *List[T]) Add() any {
	var zero T
	*l = append(*l, zero)
	return &(*l)[len(*l)-1]
}

// A Dictionary is a map of any value type, as the codecs see it.
type Dictionary interface {
	IsNil() bool
	Len() int
	Keys() []string        // in order
	Get(key string) any    // pointer to a copy of a value
	Make()                 // makes it present and empty
	New() any              // pointer to a zero value, to be stored by Set
	Set(key string, p any) // p is what New returned
}

// Map makes a Dictionary of a map: (*Map[T])(&s.Field). A map inside of a list or map has
// this type itself. A map of structures is a StructMap.
type Map[T any] map[string]T

// IsNil reports whether the map is absent.
func (m *Map[T]) IsNil() bool { return *m == nil }

// Len returns the number of entries.
func (m *Map[T]) Len() int { return len(*m) }

// Keys returns the keys in order.
func (m *Map[T]) Keys() []string { return sortedKeys(*m) }

func sortedKeys[T any](m map[string]T) []string {
	keys := slices.AppendSeq(make([]string, 0, len(m)), maps.Keys(m))
	slices.Sort(keys)
	return keys
}

// Get returns a pointer to a copy of the value of a key.
func (m *Map[T]) Get(key string) any {
	v := (*m)[key]
	return &v
}

// Make makes the map present and empty.
func (m *Map[T]) Make() { *m = Map[T]{} }

// New returns a pointer to a zero value.
func (m *Map[T]) New() any { return new(T) }

// Set stores the value that New returned a pointer to.
func (m *Map[T]) Set(key string, p any) { (*m)[key] = *p.(*T) }

// StructMap is a Map of structures. It holds pointers: a Go map reserves room for eight
// values, which is much for the usual one or two attributes.
type StructMap[T any, P interface {
	*T
	Struct
}] map[string]P

// IsNil reports whether the map is absent.
func (m *StructMap[T, P]) IsNil() bool { return *m == nil }

// Len returns the number of entries.
func (m *StructMap[T, P]) Len() int { return len(*m) }

// Keys returns the keys in order.
func (m *StructMap[T, P]) Keys() []string { return sortedKeys(*m) }

// Get returns the value of a key; a nil pointer counts as an empty structure.
func (m *StructMap[T, P]) Get(key string) any {
	if v := (*m)[key]; v != nil {
		return v
	}
	return P(new(T))
}

// Make makes the map present and empty.
func (m *StructMap[T, P]) Make() { *m = StructMap[T, P]{} }

// New returns a zero structure.
func (m *StructMap[T, P]) New() any { return P(new(T)) }

// Set stores the structure that New returned.
func (m *StructMap[T, P]) Set(key string, p any) { (*m)[key] = p.(P) }

// Events is the answer of an operation that streams: it sends events until it returns.
// An error it returns ends the stream as an exception of the service.
type Events[T any] func(send func(event *T) error) error

// An EventSource is a member that is an event stream, as the codecs see it.
type EventSource interface {
	IsNil() bool
	Event() Struct // a zero event
	Run(send func(event Struct) error) error
}

// EventsRef makes an EventSource of a member: EventsRef[T, *T]{&s.Field}.
type EventsRef[T any, P interface {
	*T
	Struct
}] struct{ At *Events[T] }

// IsNil reports whether there is no stream.
func (r EventsRef[T, P]) IsNil() bool { return *r.At == nil }

// Event returns a zero event, whose shape tells the exceptions that the stream can hold.
func (r EventsRef[T, P]) Event() Struct { return P(new(T)) }

// Run runs the stream.
func (r EventsRef[T, P]) Run(send func(event Struct) error) error {
	return (*r.At)(func(event *T) error { return send(P(event)) })
}

// Answer turns the results of an operation's method into those of Service.Call.
func Answer[T any, P interface {
	*T
	Struct
}](out P, err error) (Struct, error) {
	if out == nil {
		return nil, err
	}
	return out, err
}
