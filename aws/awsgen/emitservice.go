package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/weir-run/weir/aws/awsgen/model"
	"github.com/weir-run/weir/aws/wire"
)

// writeService writes the fields of a service's description.
func writeService(b *bytes.Buffer, s *model.Service) {
	w := &s.Wire
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(b, "%s: %s,\n", name, strconv.Quote(value))
		}
	}
	line("ID", w.ID)
	line("Signing", w.Signing)
	line("Endpoint", w.Endpoint)
	line("Target", w.Target)
	line("Version", w.Version)
	line("Namespace", w.Namespace)
	line("TypeSpace", w.TypeSpace)
	fmt.Fprintf(b, "Protocols: %s,\n", protocolSet(w.Protocols))
	if w.QueryCompatible {
		b.WriteString("QueryCompatible: true,\n")
	}
	line("ValidationCode", w.ValidationCode)
	line("InternalCode", w.InternalCode)
	b.WriteString("Operations: []wire.Operation{\n")
	for _, op := range w.Operations {
		var f fields
		f.text("Name", op.Name)
		f.text("Method", op.Method)
		f.text("Path", op.Path)
		if op.Status != 0 {
			f.raw("Status", strconv.Itoa(op.Status))
		}
		f.text("Wrapper", op.Wrapper)
		if op.MaxBody != 0 {
			f.raw("MaxBody", strconv.FormatInt(op.MaxBody, 10))
		}
		f.text("Title", op.Title)
		f.flag("Served", op.Served)
		fmt.Fprintf(b, "{%s},\n", f)
	}
	b.WriteString("},\n")
}

func protocolSet(set wire.Protocol) string {
	var names []string
	for _, p := range []struct {
		p    wire.Protocol
		name string
	}{
		{wire.RestJSON, "wire.RestJSON"}, {wire.JSON10, "wire.JSON10"}, {wire.JSON11, "wire.JSON11"},
		{wire.AWSQuery, "wire.AWSQuery"}, {wire.CBOR, "wire.CBOR"},
	} {
		if set&p.p != 0 {
			names = append(names, p.name)
		}
	}
	return strings.Join(names, " | ")
}

// serviceFile declares the service: its description, its API and the calls of it.
func (p *goPackage) serviceFile() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "// Package %s holds the requests and answers of the AWS service %s.\n", p.s.Package, p.s.Wire.ID)
	fmt.Fprintf(&b, "package %s\n\nimport \"github.com/weir-run/weir/aws/wire\"\n\n", p.s.Package)
	b.WriteString("// Wire describes the service.\nvar Wire = wire.Service{\n")
	writeService(&b, p.s)
	p.writeErrors(&b)
	b.WriteString("New: newInput,\nCall: call,\n}\n\n")
	b.WriteString(`// Register adds the service to a Mux. raw names the operations that are served by a
// wire.RawFunc instead of api.
func Register(m *wire.Mux, api API, raw map[string]wire.RawFunc) { m.Handle(&Wire, api, raw) }

`)
	p.writeAPI(&b)
	p.writeCalls(&b)
	return b.String()
}

// writeErrors writes the exceptions; their members are scalars or described as text.
func (p *goPackage) writeErrors(b *bytes.Buffer) {
	b.WriteString("Errors: []wire.ErrorShape{\n")
	for _, e := range p.s.Wire.Errors {
		var f fields
		f.text("Code", e.Code)
		f.text("Query", e.Query)
		f.raw("Status", strconv.Itoa(e.Status))
		f.flag("Fault", e.Fault)
		f.text("Message", e.Message)
		fmt.Fprintf(b, "{%s", f)
		if len(e.Members) > 0 {
			b.WriteString(", Members: []wire.Member{\n")
			for i := range e.Members {
				m := e.Members[i]
				var f fields
				f.text("Name", m.Name)
				f.text("Wire", m.Wire)
				f.raw("Type", "&"+errorType(m.Type))
				f.raw("In", locations[m.In])
				fmt.Fprintf(b, "{%s},\n", f)
			}
			b.WriteString("}")
		}
		b.WriteString("},\n")
	}
	b.WriteString("},\n")
}

// errorType is the unconstrained type of a member of an exception: of its kind only
// matters whether it is text.
func errorType(t *wire.Type) string {
	switch t.Kind {
	case wire.String, wire.Timestamp, wire.Blob:
		return "wire.StringType"
	case wire.Bool:
		return "wire.BoolType"
	case wire.Int32, wire.Int64, wire.Float32, wire.Float64:
		return "wire.Int64Type"
	}
	return "wire.StructureType"
}

// signature writes the parameters and results of an operation's method.
func (p *goPackage) signature(op string) string {
	input, output := p.s.Operation(op)
	params, results := "*wire.Call", "error"
	if input != "" {
		params += ", *" + goName(input)
	}
	if output != "" {
		results = "(*" + goName(output) + ", error)"
	}
	return "(" + params + ") " + results
}

func (p *goPackage) writeAPI(b *bytes.Buffer) {
	b.WriteString("// API is what implements the service. An implementation embeds Unimplemented.\ntype API interface {\n")
	for _, op := range p.s.Wire.Operations {
		if op.Served {
			fmt.Fprintf(b, "%s%s\n", op.Name, p.signature(op.Name))
		}
	}
	b.WriteString("}\n\n// Unimplemented refuses every operation with wire.ErrNotImplemented.\ntype Unimplemented struct{}\n\nvar _ API = Unimplemented{}\n\n")
	for _, op := range p.s.Wire.Operations {
		if !op.Served {
			continue
		}
		result := "wire.ErrNotImplemented"
		if _, output := p.s.Operation(op.Name); output != "" {
			result = "nil, " + result
		}
		fmt.Fprintf(b, "// %s is not implemented.\nfunc (Unimplemented) %[1]s%s { return %s }\n", op.Name, p.signature(op.Name), result)
	}
	b.WriteString("\n")
}

// writeCalls writes the two functions that know the types of every operation.
func (p *goPackage) writeCalls(b *bytes.Buffer) {
	b.WriteString("func newInput(op int) wire.Struct {\nswitch op {\n")
	for i, op := range p.s.Wire.Operations {
		if input, _ := p.s.Operation(op.Name); op.Served && input != "" {
			fmt.Fprintf(b, "case %d:\nreturn new(%s)\n", i, goName(input))
		}
	}
	b.WriteString("}\nreturn nil\n}\n\n")
	b.WriteString("func call(impl any, c *wire.Call, op int, in wire.Struct) (wire.Struct, error) {\napi := impl.(API)\nswitch op {\n")
	for i, op := range p.s.Wire.Operations {
		if !op.Served {
			continue
		}
		input, output := p.s.Operation(op.Name)
		args := "c"
		if input != "" {
			args += ", in.(*" + goName(input) + ")"
		}
		expr := "api." + op.Name + "(" + args + ")"
		if output != "" {
			expr = "wire.Answer(" + expr + ")"
		} else {
			expr = "nil, " + expr
		}
		fmt.Fprintf(b, "case %d:\nreturn %s\n", i, expr)
	}
	b.WriteString("}\nreturn nil, wire.ErrNotImplemented\n}\n")
}
