package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-run/weir/aws/awsgen/model"
	"github.com/weir-run/weir/aws/wire"
)

// A goPackage is what is generated for one service.
type goPackage struct {
	s      *model.Service
	shapes map[string]*wire.Shape // of the served operations, by name
	types  map[*wire.Type]string  // variable of a type that is not one of wire's
}

// declared are the names that a generated package uses for itself.
var declared = []string{"API", "Unimplemented", "Register", "Wire"}

var plainTypes = map[*wire.Type]string{
	&wire.BoolType: "wire.BoolType", &wire.Int32Type: "wire.Int32Type", &wire.Int64Type: "wire.Int64Type",
	&wire.Float32Type: "wire.Float32Type", &wire.Float64Type: "wire.Float64Type", &wire.StringType: "wire.StringType",
	&wire.BlobType: "wire.BlobType", &wire.TimestampType: "wire.TimestampType",
	&wire.StructureType: "wire.StructureType", &wire.EventsType: "wire.EventsType",
}

func newPackage(s *model.Service) (*goPackage, error) {
	p := &goPackage{s: s, shapes: map[string]*wire.Shape{}, types: map[*wire.Type]string{}}
	for _, op := range s.Wire.Operations {
		if !op.Served {
			continue
		}
		input, output := s.Operation(op.Name)
		for _, name := range []string{input, output} {
			if name == "" {
				continue
			}
			if err := p.collect(name); err != nil {
				return nil, err
			}
		}
	}
	return p, p.nameTypes()
}

// collect adds a structure and all structures that it refers to.
func (p *goPackage) collect(name string) error {
	if p.shapes[name] != nil {
		return nil
	}
	if slices.Contains(declared, goName(name)) {
		return fmt.Errorf("shape %s has a name that the package uses itself", name)
	}
	shape, err := p.s.Shape(name)
	if err != nil {
		return err
	}
	p.shapes[name] = shape
	for i := range shape.Members {
		m := &shape.Members[i]
		target := p.s.Target(name, m.Name)
		for t := m.Type; t != nil; t, target = t.Elem, p.s.Elem(target) {
			if t.Kind != wire.Structure && t.Kind != wire.EventsKind {
				continue
			}
			if err := p.collect(target); err != nil {
				return err
			}
		}
	}
	return nil
}

// nameTypes gives each type a variable. Types of one shape that differ are numbered.
func (p *goPackage) nameTypes() error {
	used := map[string]bool{}
	var visit func(t *wire.Type)
	visit = func(t *wire.Type) {
		if t == nil || plainTypes[t] != "" || p.types[t] != "" {
			return
		}
		name := "type" + goName(p.s.TypeName(t))
		for n := 2; used[name]; n++ {
			name = "type" + goName(p.s.TypeName(t)) + strconv.Itoa(n)
		}
		used[name] = true
		p.types[t] = name
		visit(t.Key)
		visit(t.Elem)
	}
	for _, name := range slices.Sorted(maps.Keys(p.shapes)) {
		for i := range p.shapes[name].Members {
			visit(p.shapes[name].Members[i].Type)
		}
	}
	return nil
}

// goName makes an exported Go name of a name in the model.
func goName(name string) string {
	name = strings.TrimLeft(name, "_")
	return strings.ToUpper(name[:1]) + name[1:]
}

func (p *goPackage) imports(text string) string {
	var b strings.Builder
	b.WriteString("import (\n")
	if strings.Contains(text, "time.Time") {
		b.WriteString("\"time\"\n\n")
	}
	b.WriteString("\"github.com/weir-run/weir/aws/wire\"\n)\n\n")
	return b.String()
}

// typesFile declares the structures.
func (p *goPackage) typesFile() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p.shapes)) {
		p.writeStruct(&b, p.shapes[name])
	}
	return "package " + p.s.Package + "\n\n" + p.imports(b.String()) + b.String()
}

func (p *goPackage) writeStruct(b *strings.Builder, shape *wire.Shape) {
	name := goName(shape.Name)
	fmt.Fprintf(b, "type %s struct {\n", name)
	for i := range shape.Members {
		m := &shape.Members[i]
		fmt.Fprintf(b, "%s %s\n", goName(m.Name), p.fieldType(m.Type, p.s.Target(shape.Name, m.Name)))
	}
	fmt.Fprintf(b, "}\n\nfunc (*%s) WireShape() *wire.Shape { return &shape%s }\n\n", name, name)
	fmt.Fprintf(b, "func (s *%s) WireMember(i int) any {\n", name)
	if len(shape.Members) > 0 {
		b.WriteString("switch i {\n")
		for i := range shape.Members {
			m := &shape.Members[i]
			fmt.Fprintf(b, "case %d: return %s\n", i, p.pointer(m.Type, goName(m.Name), p.s.Target(shape.Name, m.Name)))
		}
		b.WriteString("}\n")
	}
	b.WriteString("return nil\n}\n\n")
}

var scalars = [...]string{
	wire.Bool: "bool", wire.Int32: "int32", wire.Int64: "int64", wire.Float32: "float32", wire.Float64: "float64",
	wire.String: "string", wire.Timestamp: "time.Time",
}

// fieldType is the Go type of a member; target is the shape it refers to.
func (p *goPackage) fieldType(t *wire.Type, target string) string {
	switch t.Kind {
	case wire.Blob:
		return "[]byte"
	case wire.Structure:
		return "*" + goName(target)
	case wire.EventsKind:
		return "wire.Events[" + goName(target) + "]"
	case wire.ListKind:
		return "[]" + p.elemType(t.Elem, p.s.Elem(target))
	case wire.MapKind:
		elem := p.elemType(t.Elem, p.s.Elem(target))
		if t.Elem.Kind == wire.Structure {
			elem = "*" + elem
		}
		return "map[string]" + elem
	}
	return "wire.Opt[" + scalars[t.Kind] + "]"
}

// elemType is the Go type of an element of a list or map.
func (p *goPackage) elemType(t *wire.Type, target string) string {
	switch t.Kind {
	case wire.Blob:
		return "[]byte"
	case wire.Structure:
		return goName(target)
	case wire.ListKind:
		return "wire.List[" + p.elemType(t.Elem, p.s.Elem(target)) + "]"
	case wire.MapKind:
		elem := p.elemType(t.Elem, p.s.Elem(target))
		if t.Elem.Kind == wire.Structure {
			return "wire.StructMap[" + elem + ", *" + elem + "]"
		}
		return "wire.Map[" + elem + "]"
	}
	return scalars[t.Kind]
}

// pointer is the expression that WireMember returns for a field.
func (p *goPackage) pointer(t *wire.Type, field, target string) string {
	switch t.Kind {
	case wire.Structure:
		return fmt.Sprintf("wire.Ref[%[1]s, *%[1]s]{At: &s.%[2]s}", goName(target), field)
	case wire.EventsKind:
		return fmt.Sprintf("wire.EventsRef[%[1]s, *%[1]s]{At: &s.%[2]s}", goName(target), field)
	case wire.ListKind, wire.MapKind:
		return "(*" + p.elemType(t, target) + ")(&s." + field + ")"
	}
	return "&s." + field
}

// shapesFile declares the tables that describe the structures.
func (p *goPackage) shapesFile() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "package %s\n\nimport \"github.com/weir-run/weir/aws/wire\"\n\n", p.s.Package)
	if len(p.types) > 0 {
		byName := map[string]*wire.Type{}
		for t, name := range p.types {
			byName[name] = t
		}
		b.WriteString("var (\n")
		for _, name := range slices.Sorted(maps.Keys(byName)) {
			fmt.Fprintf(&b, "%s = wire.Type{%s}\n", name, p.typeFields(byName[name]))
		}
		b.WriteString(")\n\n")
	}
	for _, name := range slices.Sorted(maps.Keys(p.shapes)) {
		p.writeShape(&b, p.shapes[name])
	}
	return b.String()
}

func (p *goPackage) writeShape(b *bytes.Buffer, shape *wire.Shape) {
	var f fields
	f.text("Name", shape.Name)
	f.text("Sorted", shape.Sorted)
	f.flag("Union", shape.Union)
	f.flag("REST", shape.REST)
	fmt.Fprintf(b, "var shape%s = wire.Shape{%s", goName(shape.Name), f)
	if len(shape.Members) > 0 {
		b.WriteString(", Members: []wire.Member{\n")
		for i := range shape.Members {
			fmt.Fprintf(b, "{%s},\n", p.memberFields(&shape.Members[i]))
		}
		b.WriteString("}")
	}
	b.WriteString("}\n\n")
}

var locations = [...]string{
	wire.InBody: "", wire.InPayload: "wire.InPayload", wire.InLabel: "wire.InLabel", wire.InQuery: "wire.InQuery",
	wire.InHeader: "wire.InHeader", wire.InHeaders: "wire.InHeaders", wire.InStatus: "wire.InStatus",
}

func (p *goPackage) memberFields(m *wire.Member) string {
	var f fields
	f.text("Name", m.Name)
	f.text("Wire", m.Wire)
	f.text("XML", m.XML)
	f.raw("Type", "&"+p.typeVar(m.Type))
	f.raw("In", locations[m.In])
	f.flag("Required", m.Required)
	f.flag("EventPayload", m.EventPayload)
	f.flag("EventHeader", m.EventHeader)
	return f.String()
}

func (p *goPackage) typeVar(t *wire.Type) string {
	if name := plainTypes[t]; name != "" {
		return name
	}
	return p.types[t]
}

var kindNames = [...]string{
	wire.Bool: "wire.Bool", wire.Int32: "wire.Int32", wire.Int64: "wire.Int64", wire.Float32: "wire.Float32",
	wire.Float64: "wire.Float64", wire.String: "wire.String", wire.Blob: "wire.Blob", wire.Timestamp: "wire.Timestamp",
	wire.ListKind: "wire.ListKind", wire.MapKind: "wire.MapKind",
}

var timeNames = [...]string{
	wire.DefaultTime: "", wire.EpochTime: "wire.EpochTime", wire.ISOTime: "wire.ISOTime", wire.HTTPTime: "wire.HTTPTime",
}

func (p *goPackage) typeFields(t *wire.Type) string {
	var f fields
	f.raw("Kind", kindNames[t.Kind])
	if t.Elem != nil {
		f.raw("Elem", "&"+p.typeVar(t.Elem))
	}
	if t.Key != nil {
		f.raw("Key", "&"+p.typeVar(t.Key))
	}
	f.raw("Time", timeNames[t.Time])
	f.text("ItemName", t.ItemName)
	f.text("KeyName", t.KeyName)
	f.text("ValueName", t.ValueName)
	f.flag("Flat", t.Flat)
	if t.HasMin {
		f.raw("Min", strconv.FormatInt(t.Min, 10))
		f.flag("HasMin", true)
	}
	if t.HasMax {
		f.raw("Max", strconv.FormatInt(t.Max, 10))
		f.flag("HasMax", true)
	}
	if t.Pattern != nil {
		f.raw("Pattern", "&wire.Pattern{Text: "+quote(t.Pattern.Text)+"}")
	}
	if t.Enum != nil {
		f.raw("Enum", fmt.Sprintf("%#v", t.Enum))
	}
	f.flag("Sensitive", t.Sensitive)
	f.flag("NotNull", t.NotNull)
	return f.String()
}

// quote writes a string literal that is easy to read for a regular expression.
func quote(s string) string {
	if strconv.CanBackquote(s) {
		return "`" + s + "`"
	}
	return strconv.Quote(s)
}

// fields are the fields of a composite literal. A zero value is left out.
type fields []string

func (f fields) String() string { return strings.Join(f, ", ") }

func (f *fields) raw(name, value string) {
	if value != "" {
		*f = append(*f, name+": "+value)
	}
}

func (f *fields) text(name, value string) {
	if value != "" {
		f.raw(name, strconv.Quote(value))
	}
}

func (f *fields) flag(name string, value bool) {
	if value {
		f.raw(name, "true")
	}
}
