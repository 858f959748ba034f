package conformance

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/weir-run/weir/aws/awsgen/model"
	"github.com/weir-run/weir/aws/wire"
)

// A structure is a wire.Struct made of a model at run time. It lets the codecs run on every
// operation of every model, and of the protocol tests, without generated code: what
// passes here needs only a word in an overlay to be served.
type structure struct {
	s       *model.Service
	shape   *wire.Shape
	members []any
}

func newStructure(s *model.Service, name string) (*structure, error) {
	shape, err := s.Shape(name)
	if err != nil {
		return nil, err
	}
	return &structure{s: s, shape: shape, members: make([]any, len(shape.Members))}, nil
}

func (d *structure) WireShape() *wire.Shape { return d.shape }

func (d *structure) WireMember(i int) any {
	if d.members[i] == nil {
		m := &d.shape.Members[i]
		d.members[i] = newMember(d.s, m.Type, d.s.Target(d.shape.Name, m.Name))
	}
	return d.members[i]
}

func newMember(s *model.Service, t *wire.Type, target string) any {
	switch t.Kind {
	case wire.Bool:
		return new(wire.Opt[bool])
	case wire.Int32:
		return new(wire.Opt[int32])
	case wire.Int64:
		return new(wire.Opt[int64])
	case wire.Float32:
		return new(wire.Opt[float32])
	case wire.Float64:
		return new(wire.Opt[float64])
	case wire.String:
		return new(wire.Opt[string])
	case wire.Timestamp:
		return new(wire.Opt[time.Time])
	case wire.Structure:
		return &reference{s: s, target: target}
	case wire.EventsKind:
		return &events{}
	}
	return newElement(s, t, target)
}

func newElement(s *model.Service, t *wire.Type, target string) any {
	switch t.Kind {
	case wire.Bool:
		return new(bool)
	case wire.Int32:
		return new(int32)
	case wire.Int64:
		return new(int64)
	case wire.Float32:
		return new(float32)
	case wire.Float64:
		return new(float64)
	case wire.String:
		return new(string)
	case wire.Timestamp:
		return new(time.Time)
	case wire.Blob:
		return new([]byte)
	case wire.ListKind:
		return &sequence{s: s, t: t.Elem, target: s.Elem(target)}
	case wire.MapKind:
		if t.Elem.Kind == wire.String {
			return new(wire.Map[string])
		}
		return &dictionary{s: s, t: t.Elem, target: s.Elem(target)}
	}
	d, err := newStructure(s, target)
	if err != nil {
		panic(fmt.Sprintf("element %s: %v", target, err))
	}
	return d
}

type reference struct {
	s      *model.Service
	target string
	at     *structure
}

func (r *reference) Get() wire.Struct {
	if r.at == nil {
		return nil
	}
	return r.at
}

func (r *reference) New() wire.Struct {
	r.at = newElement(r.s, &wire.StructureType, r.target).(*structure)
	return r.at
}

type sequence struct {
	s      *model.Service
	t      *wire.Type
	target string
	set    bool
	items  []any
}

func (l *sequence) IsNil() bool  { return !l.set }
func (l *sequence) Len() int     { return len(l.items) }
func (l *sequence) At(i int) any { return l.items[i] }
func (l *sequence) Make()        { l.set, l.items = true, nil }
func (l *sequence) Add() any {
	l.set = true
	l.items = append(l.items, newElement(l.s, l.t, l.target))
	return l.items[len(l.items)-1]
}

type dictionary struct {
	s      *model.Service
	t      *wire.Type
	target string
	items  map[string]any
}

func (m *dictionary) IsNil() bool           { return m.items == nil }
func (m *dictionary) Len() int              { return len(m.items) }
func (m *dictionary) Keys() []string        { return slices.Sorted(maps.Keys(m.items)) }
func (m *dictionary) New() any              { return newElement(m.s, m.t, m.target) }
func (m *dictionary) Set(key string, p any) { m.items[key] = p }
func (m *dictionary) Make()                 { m.items = map[string]any{} }

func (m *dictionary) Get(key string) any {
	if p, ok := m.items[key]; ok {
		return p
	}
	return m.New()
}

// events is an event stream of nothing.
type events struct{}

func (*events) IsNil() bool                       { return true }
func (*events) Event() wire.Struct                { return nil }
func (*events) Run(func(wire.Struct) error) error { return nil }

// A handler serves any operation of a dynamic service.
type handler func(c *wire.Call, op string, in wire.Struct) (wire.Struct, error)

// dynamic returns a description of the service in which every operation is served by a
// handler.
func dynamic(s *model.Service) *wire.Service {
	w := s.Wire
	w.ValidationCode = "" // the values of the tests are placeholders
	w.Operations = slices.Clone(w.Operations)
	for i := range w.Operations {
		w.Operations[i].Served = true
		w.Operations[i].MaxBody = 16 << 20
	}
	w.New = func(op int) wire.Struct {
		input, _ := s.Operation(w.Operations[op].Name)
		if input == "" {
			return nil
		}
		return newElement(s, &wire.StructureType, input).(*structure)
	}
	w.Call = func(impl any, c *wire.Call, op int, in wire.Struct) (wire.Struct, error) {
		return impl.(handler)(c, w.Operations[op].Name, in)
	}
	return &w
}

// outputOf returns a zero output of an operation; nil if it has none.
func outputOf(s *model.Service, op string) *structure {
	_, output := s.Operation(op)
	if output == "" {
		return nil
	}
	return newElement(s, &wire.StructureType, output).(*structure)
}
