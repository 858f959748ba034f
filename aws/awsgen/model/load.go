package model

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weir-run/weir/aws/wire"
)

const extension = ".json.gz"

// A Service is one model with its overlay applied.
type Service struct {
	Wire    wire.Service // without New and Call
	Package string       // of the generated code; empty: no code, only a catalogue entry

	ops    *object
	shapes *object
	over   *object // what a person adds to the model; see aws/README.md
	types  map[string]*wire.Type
	names  map[*wire.Type]string
	made   map[string]*wire.Shape
}

// IDs returns the names of the models below dir, in order.
func IDs(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "models", "*"+extension))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("list models below %s: %w", dir, errors.Join(err, fs.ErrNotExist))
	}
	ids := make([]string, len(files))
	for i, f := range files {
		ids[i] = strings.TrimSuffix(filepath.Base(f), extension)
	}
	slices.Sort(ids)
	return ids, nil
}

// Load reads dir/models/<id>.json.gz and dir/overlay/<id>.json, if there is one.
func Load(dir, id string) (*Service, error) {
	model, err := readModel(filepath.Join(dir, "models", id+extension))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "overlay", id+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		text = []byte("{}")
	} else if err != nil {
		return nil, fmt.Errorf("read overlay: %w", err)
	}
	return New(id, model, text)
}

func readModel(path string) ([]byte, error) {
	packed, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("read model %s: %w", path, err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil, fmt.Errorf("read model %s: %w", path, err)
	}
	return text, nil
}

// New builds a service from the JSON of a model and of its overlay.
func New(id string, modelText, overlayText []byte) (*Service, error) {
	model, err := parse(modelText)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", id, err)
	}
	over, err := parse(overlayText)
	if err != nil {
		return nil, fmt.Errorf("overlay %s: %w", id, err)
	}
	if err := checkKeys(over); err != nil {
		return nil, fmt.Errorf("overlay %s: %w", id, err)
	}
	model.merge(over.obj("patch"))
	s := &Service{
		ops:    model.obj("operations"),
		shapes: model.obj("shapes"),
		over:   over,
		types:  map[string]*wire.Type{},
		names:  map[*wire.Type]string{},
		made:   map[string]*wire.Shape{},
	}
	if err := s.describe(id, model.obj("metadata")); err != nil {
		return nil, fmt.Errorf("model %s: %w", id, err)
	}
	return s, nil
}

// checkKeys finds misspelt settings of an overlay.
func checkKeys(over *object) error {
	known := []string{"about", "operations", "typeSpace", "validation", "internal", "notNull", "mayBeNull",
		"maxBody", "titles", "errors", "patch"}
	for _, key := range over.keys {
		if !slices.Contains(known, key) {
			return fmt.Errorf("unknown setting %q", key)
		}
	}
	return nil
}

// Operation returns the names of the shapes of an operation's input and output; empty if
// it has none.
func (s *Service) Operation(name string) (input, output string) {
	o := s.ops.obj(name)
	return o.obj("input").str("shape"), o.obj("output").str("shape")
}

func (s *Service) describe(id string, meta *object) error {
	over := s.over
	s.Wire = wire.Service{
		ID:              id,
		Signing:         or(meta.str("signingName"), meta.str("endpointPrefix")),
		Target:          meta.str("targetPrefix"),
		Version:         meta.str("apiVersion"),
		Namespace:       meta.str("xmlNamespace"),
		TypeSpace:       or(over.str("typeSpace"), "com.amazonaws."+id),
		QueryCompatible: meta.has("awsQueryCompatible"),
		ValidationCode:  "ValidationException",
		InternalCode:    over.str("internal"),
	}
	s.Wire.Endpoint, _, _ = strings.Cut(meta.str("endpointPrefix"), ".")
	if over.has("validation") {
		s.Wire.ValidationCode = over.str("validation")
	}
	if s.Wire.Protocols = protocols(meta); s.Wire.Protocols == 0 {
		return fmt.Errorf("no protocol that weir speaks")
	}
	served := over.strings("operations")
	if len(served) > 0 {
		s.Package = strings.ReplaceAll(id, "-", "")
	}
	for _, name := range served {
		if name != "*" && !s.ops.has(name) {
			return fmt.Errorf("the overlay serves an unknown operation %s", name)
		}
	}
	for _, name := range slices.Sorted(slices.Values(s.ops.keys)) {
		op, err := s.operation(name)
		if err != nil {
			return err
		}
		op.Served = slices.Contains(served, name) || slices.Contains(served, "*")
		s.Wire.Operations = append(s.Wire.Operations, op)
	}
	return s.errors()
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func protocols(meta *object) (set wire.Protocol) {
	names := meta.strings("protocols")
	if len(names) == 0 {
		names = []string{meta.str("protocol")}
	}
	for _, name := range names {
		switch name {
		case "rest-json":
			set |= wire.RestJSON
		case "json":
			if meta.str("jsonVersion") == "1.0" {
				set |= wire.JSON10
			} else {
				set |= wire.JSON11
			}
		case "query":
			set |= wire.AWSQuery
		case "smithy-rpc-v2-cbor":
			set |= wire.CBOR
		}
	}
	return set
}

func (s *Service) operation(name string) (wire.Operation, error) {
	o, over := s.ops.obj(name), s.over
	http := o.obj("http")
	op := wire.Operation{Name: name, Title: over.obj("titles").str(name)}
	if s.Wire.Protocols&wire.RestJSON != 0 {
		op.Method, op.Path = http.str("method"), http.str("requestUri")
		status, _, err := http.integer("responseCode")
		if err != nil {
			return op, fmt.Errorf("operation %s: %w", name, err)
		}
		if op.Status = int(status); op.Status == 200 {
			op.Status = 0
		}
	}
	if s.Wire.Protocols&wire.AWSQuery != 0 && o.has("output") {
		op.Wrapper = or(o.obj("output").str("resultWrapper"), name+"Result")
	}
	limits := over.obj("maxBody")
	for _, key := range []string{name, "*"} {
		limit, ok, err := limits.integer(key)
		if err != nil {
			return op, fmt.Errorf("operation %s: %w", name, err)
		}
		if ok {
			op.MaxBody = limit
			break
		}
	}
	return op, nil
}

// Strip returns a model without the parts that weir does not read, mostly documentation.
func Strip(text []byte) ([]byte, error) {
	o, err := parse(text)
	if err != nil {
		return nil, err
	}
	strip(o)
	for _, key := range []string{"version", "examples", "clientContextParams"} {
		o.remove(key)
	}
	return json.Marshal(o)
}

func strip(o *object) {
	for _, key := range slices.Clone(o.keys) {
		inner, isObject := o.values[key].(*object)
		switch {
		// A member or shape may have one of these names: then it is an object.
		case !isObject && slices.Contains(stripped, key), key == "contextParam", key == "staticContextParams",
			key == "operationContextParams", key == "endpointdiscovery":
			o.remove(key)
		case isObject:
			strip(inner)
		}
	}
}

var stripped = []string{"documentation", "deprecated", "deprecatedMessage", "deprecatedSince", "idempotent", "readonly",
	"box", "synthetic", "xmlOrder", "idempotencyToken", "requestcompression", "endpointoperation", "retryable", "errors"}
