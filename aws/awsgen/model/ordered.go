package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// An object is a JSON object that remembers the order of its members. The order of a
// model's members is the order of validation messages.
type object struct {
	keys   []string
	values map[string]any // *object, []any, string, json.Number, bool or nil
}

func newObject() *object { return &object{values: map[string]any{}} }

func (o *object) set(key string, v any) {
	if _, ok := o.values[key]; !ok {
		o.keys = append(o.keys, key)
	}
	o.values[key] = v
}

func (o *object) remove(key string) {
	delete(o.values, key)
	o.keys = slices.DeleteFunc(o.keys, func(k string) bool { return k == key })
}

// The accessors return the zero value for a member that is missing or of another type.

func (o *object) obj(key string) *object {
	if o == nil {
		return newObject()
	}
	v, ok := o.values[key].(*object)
	if !ok {
		return newObject()
	}
	return v
}

func (o *object) list(key string) []any { v, _ := o.values[key].([]any); return v }
func (o *object) str(key string) string { v, _ := o.values[key].(string); return v }
func (o *object) flag(key string) bool  { v, _ := o.values[key].(bool); return v }
func (o *object) has(key string) bool   { _, ok := o.values[key]; return ok }
func (o *object) strings(key string) []string {
	var out []string
	for _, v := range o.list(key) {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// integer returns a number, which the models sometimes write as 1.0.
func (o *object) integer(key string) (int64, bool, error) {
	n, ok := o.values[key].(json.Number)
	if !ok {
		return 0, false, nil
	}
	if v, err := n.Int64(); err == nil {
		return v, true, nil
	}
	f, err := n.Float64()
	if err != nil || f != float64(int64(f)) {
		return 0, false, fmt.Errorf("%s is no integer: %s", key, n)
	}
	return int64(f), true, nil
}

// parse reads a JSON document whose top is an object.
func parse(data []byte) (*object, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := parseValue(d)
	if err != nil {
		return nil, fmt.Errorf("parse JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("parse JSON: data after the end at byte %d", d.InputOffset())
	}
	o, ok := v.(*object)
	if !ok {
		return nil, fmt.Errorf("parse JSON: the document is no object")
	}
	return o, nil
}

func parseValue(d *json.Decoder) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		o := newObject()
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := parseValue(d)
			if err != nil {
				return nil, err
			}
			o.set(key.(string), v)
		}
		_, err = d.Token()
		return o, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := parseValue(d)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err
	}
	return t, nil
}

// MarshalJSON writes the members in order.
func (o *object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, key := range o.keys {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(o.values[key])
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// merge applies a JSON merge patch (RFC 7386): objects are merged, null removes a member,
// everything else replaces it.
func (o *object) merge(patch *object) {
	for _, key := range patch.keys {
		v := patch.values[key]
		if v == nil {
			o.remove(key)
			continue
		}
		p, ok := v.(*object)
		if !ok {
			o.set(key, v)
			continue
		}
		target, ok := o.values[key].(*object)
		if !ok {
			target = newObject()
			o.set(key, target)
		}
		target.merge(p)
	}
}
