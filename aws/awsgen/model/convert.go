package model

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/weir-run/weir/aws/wire"
)

// manyMembers is the size from which a shape is searched by bisection.
const manyMembers = 8

// Shape returns the description of a structure of the model.
func (s *Service) Shape(name string) (*wire.Shape, error) {
	if shape := s.made[name]; shape != nil {
		return shape, nil
	}
	o := s.shapes.obj(name)
	if o.str("type") != "structure" {
		return nil, fmt.Errorf("shape %s is no structure", name)
	}
	shape := &wire.Shape{Name: name, Union: o.flag("union")}
	required, members := o.strings("required"), o.obj("members")
	for _, member := range members.keys {
		m, err := s.member(member, members.obj(member), o.str("payload") == member)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", name, member, err)
		}
		m.Required = slices.Contains(required, member)
		shape.REST = shape.REST || m.In != wire.InBody
		shape.Members = append(shape.Members, m)
	}
	if len(shape.Members) > manyMembers {
		shape.Sorted = sorted(shape.Members)
	}
	s.made[name] = shape
	return shape, nil
}

func sorted(members []wire.Member) string {
	order := make([]byte, len(members))
	for i := range order {
		order[i] = byte(i)
	}
	slices.SortFunc(order, func(a, b byte) int {
		return cmp.Compare(or(members[a].Wire, members[a].Name), or(members[b].Wire, members[b].Name))
	})
	return string(order)
}

func (s *Service) member(name string, ref *object, payload bool) (wire.Member, error) {
	m := wire.Member{Name: name, EventPayload: ref.flag("eventpayload"), EventHeader: ref.flag("eventheader")}
	m.Wire, m.XML = ref.str("locationName"), ref.str("queryName")
	if s.Wire.Protocols&wire.AWSQuery != 0 && m.XML == "" {
		m.XML, m.Wire = m.Wire, "" // it is the name in XML; JSON and CBOR have the member's
	}
	if m.Wire == name {
		m.Wire = ""
	}
	if s.Wire.Protocols&wire.RestJSON != 0 {
		switch ref.str("location") {
		case "uri":
			m.In = wire.InLabel
		case "querystring":
			m.In = wire.InQuery
		case "header":
			m.In, m.Wire = wire.InHeader, or(ref.str("locationName"), name)
		case "headers":
			m.In, m.Wire = wire.InHeaders, ref.str("locationName")
		case "statusCode":
			m.In = wire.InStatus
		}
		if payload {
			m.In = wire.InPayload
		}
	}
	var err error
	if m.Type, err = s.Type(ref); err != nil {
		return m, err
	}
	if m.XML == or(m.Wire, m.Name) {
		m.XML = ""
	}
	return m, nil
}

var kinds = map[string]wire.Kind{
	"boolean": wire.Bool, "integer": wire.Int32, "long": wire.Int64, "float": wire.Float32, "double": wire.Float64,
	"string": wire.String, "blob": wire.Blob, "timestamp": wire.Timestamp, "list": wire.ListKind, "map": wire.MapKind,
}

var plain = [...]*wire.Type{
	wire.Bool: &wire.BoolType, wire.Int32: &wire.Int32Type, wire.Int64: &wire.Int64Type,
	wire.Float32: &wire.Float32Type, wire.Float64: &wire.Float64Type, wire.String: &wire.StringType,
	wire.Blob: &wire.BlobType, wire.Timestamp: &wire.TimestampType,
}

// Type returns the type that a reference of the model ({"shape": …} with further traits)
// points to. Equal references give the same pointer.
func (s *Service) Type(ref *object) (*wire.Type, error) {
	name := ref.str("shape")
	o := s.shapes.obj(name)
	if o.str("type") == "structure" {
		if o.flag("eventstream") {
			return &wire.EventsType, nil
		}
		return &wire.StructureType, nil
	}
	traits := fmt.Sprint(name, ref.flag("flattened"), ref.str("timestampFormat"), ref.list("enum"))
	if t := s.types[traits]; t != nil {
		return t, nil
	}
	kind, ok := kinds[o.str("type")]
	if !ok {
		return nil, fmt.Errorf("shape %s has the unknown type %q", name, o.str("type"))
	}
	t := &wire.Type{Kind: kind, Sensitive: o.flag("sensitive")}
	s.types[traits] = t
	s.names[t] = name
	t.Flat = o.flag("flattened") || ref.flag("flattened")
	t.Time = timeFormats[or(ref.str("timestampFormat"), o.str("timestampFormat"))]
	if err := s.constrain(t, o, ref); err != nil {
		return nil, fmt.Errorf("shape %s: %w", name, err)
	}
	if err := s.parts(t, name, o); err != nil {
		return nil, fmt.Errorf("shape %s: %w", name, err)
	}
	if kind < wire.Structure && isPlain(t) {
		s.types[traits] = plain[kind]
	}
	return s.types[traits], nil
}

// TypeName returns the name of the shape that a type was made of. Two types of one shape
// differ in the traits of their references.
func (s *Service) TypeName(t *wire.Type) string { return s.names[t] }

// Target returns the name of the shape that a member of a structure refers to.
func (s *Service) Target(shape, member string) string {
	return s.shapes.obj(shape).obj("members").obj(member).str("shape")
}

// Elem returns the name of the shape of the elements of a list or the values of a map.
func (s *Service) Elem(shape string) string {
	o := s.shapes.obj(shape)
	return or(o.obj("member").str("shape"), o.obj("value").str("shape"))
}

var timeFormats = map[string]wire.TimeFormat{
	"unixTimestamp": wire.EpochTime, "iso8601": wire.ISOTime, "rfc822": wire.HTTPTime,
}

func isPlain(t *wire.Type) bool {
	return !t.Sensitive && !t.HasMin && !t.HasMax && t.Pattern == nil && t.Enum == nil && t.Time == wire.DefaultTime
}

// constrain reads min, max, pattern and enum.
func (s *Service) constrain(t *wire.Type, o, ref *object) (err error) {
	if t.Min, t.HasMin, err = o.integer("min"); err != nil {
		return err
	}
	if t.Max, t.HasMax, err = o.integer("max"); err != nil {
		return err
	}
	// Every string, list and map is at least empty.
	if t.Kind >= wire.String && t.Min == 0 && !s.printsZero(o) {
		t.HasMin = false
	}
	if pattern := o.str("pattern"); pattern != "" && t.Kind == wire.String {
		if err := wire.CheckPattern(pattern); err != nil {
			return err
		}
		t.Pattern = &wire.Pattern{Text: pattern}
	}
	enum := o.strings("enum")
	if ref.has("enum") {
		enum = ref.strings("enum")
	}
	t.Enum = hashOrder(enum)
	return nil
}

// printsZero reports whether a lower bound of zero is kept: inside of a list it is printed
// with the other constraints, although nothing can violate it.
func (s *Service) printsZero(o *object) bool { return o.str("type") == "string" && o.has("min") }

// parts reads the types of the elements of a list or map.
func (s *Service) parts(t *wire.Type, name string, o *object) (err error) {
	switch t.Kind {
	case wire.ListKind:
		t.ItemName = o.obj("member").str("locationName")
		t.Elem, err = s.Type(o.obj("member"))
	case wire.MapKind:
		t.KeyName, t.ValueName = o.obj("key").str("locationName"), o.obj("value").str("locationName")
		if t.Key, err = s.Type(o.obj("key")); err != nil {
			return err
		}
		t.Elem, err = s.Type(o.obj("value"))
	default:
		return nil
	}
	if err != nil {
		return err
	}
	t.NotNull = s.over.flag("notNull") && !slices.Contains(s.over.strings("mayBeNull"), name)
	if t.Elem == &wire.EventsType {
		return fmt.Errorf("an event stream cannot be an element")
	}
	return nil
}

// hashOrder puts the values of an enum into the order in which AWS prints them: that of
// a Java hash set with 32 buckets, in which a bucket holds later values first.
func hashOrder(values []string) []string {
	const buckets = 32
	out := slices.Clone(values)
	slices.Reverse(out)
	slices.SortStableFunc(out, func(a, b string) int {
		return cmp.Compare(javaHash(a)%buckets, javaHash(b)%buckets)
	})
	return out
}

// javaHash is Java's String.hashCode.
func javaHash(s string) (h uint32) {
	for _, unit := range utf16.Encode([]rune(s)) {
		h = 31*h + uint32(unit)
	}
	return h
}

// errors collects the exceptions of the model and of the overlay.
func (s *Service) errors() error {
	for _, name := range s.shapes.keys {
		o := s.shapes.obj(name)
		if !o.flag("exception") {
			continue
		}
		e, err := s.exception(name, o)
		if err != nil {
			return fmt.Errorf("exception %s: %w", name, err)
		}
		s.Wire.Errors = append(s.Wire.Errors, e)
	}
	extra := s.over.obj("errors")
	for _, name := range extra.keys {
		o := extra.obj(name)
		status, _, err := o.integer("status")
		if err != nil {
			return fmt.Errorf("error %s of the overlay: %w", name, err)
		}
		s.Wire.Errors = append(s.Wire.Errors, wire.ErrorShape{
			Code: name, Query: o.str("query"), Status: int(status), Fault: status >= 500, Message: or(o.str("message"), "message"),
		})
	}
	slices.SortFunc(s.Wire.Errors, func(a, b wire.ErrorShape) int { return cmp.Compare(a.Code, b.Code) })
	for i := 1; i < len(s.Wire.Errors); i++ {
		if s.Wire.Errors[i].Code == s.Wire.Errors[i-1].Code {
			return fmt.Errorf("error %s is in the model and in the overlay", s.Wire.Errors[i].Code)
		}
	}
	return nil
}

func (s *Service) exception(name string, o *object) (e wire.ErrorShape, err error) {
	trait := o.obj("error")
	e = wire.ErrorShape{Code: name, Fault: o.flag("fault") || trait.flag("fault"), Message: "message"}
	status, ok, err := trait.integer("httpStatusCode")
	if err != nil {
		return e, err
	}
	switch {
	case ok:
		e.Status = int(status)
	case e.Fault:
		e.Status = 500
	default:
		e.Status = 400
	}
	if code := trait.str("code"); code != name {
		e.Query = code
	}
	members := o.obj("members")
	for _, key := range members.keys {
		if strings.EqualFold(key, "message") {
			if e.Message = key; s.Wire.Protocols&wire.AWSQuery == 0 {
				e.Message = or(members.obj(key).str("locationName"), key)
			}
			continue
		}
		m, err := s.member(key, members.obj(key), false)
		if err != nil {
			return e, err
		}
		e.Members = append(e.Members, m)
	}
	return e, nil
}
