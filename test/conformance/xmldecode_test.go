package conformance

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"github.com/weir-run/weir/aws/wire"
)

// xmlDecode reads the elements below node into a structure, as a client of awsQuery does.
// The server has no such decoder; this one is written to judge its encoder.
func xmlDecode(node xmlNode, s wire.Struct) error {
	shape := s.WireShape()
	for _, child := range node.children() {
		found := false
		for i := range shape.Members {
			m := &shape.Members[i]
			name := m.Name
			if m.Wire != "" {
				name = m.Wire
			}
			if m.XML != "" {
				name = m.XML
			}
			if name != child.Name {
				continue
			}
			found = true
			if err := xmlValue(child, m.Type, s.WireMember(i)); err != nil {
				return fmt.Errorf("%s: %w", m.Name, err)
			}
		}
		if !found {
			return fmt.Errorf("%s has no member %s", shape.Name, child.Name)
		}
	}
	return nil
}

func xmlValue(node xmlNode, t *wire.Type, p any) error {
	switch p := p.(type) {
	case wire.Reference:
		return xmlDecode(node, p.New())
	case wire.Sequence:
		if t.Flat {
			return xmlValue(node, t.Elem, p.Add())
		}
		p.Make()
		want := t.ItemName
		if want == "" {
			want = "member"
		}
		for _, item := range node.children() {
			if item.Name != want {
				return fmt.Errorf("list item is named %s, not %s", item.Name, want)
			}
			if err := xmlValue(item, t.Elem, p.Add()); err != nil {
				return err
			}
		}
		return nil
	case wire.Dictionary:
		if p.IsNil() {
			p.Make()
		}
		if t.Flat {
			return xmlEntry(node, t, p)
		}
		for _, entry := range node.children() {
			if err := xmlEntry(entry, t, p); err != nil {
				return err
			}
		}
		return nil
	case wire.Struct:
		return xmlDecode(node, p)
	}
	return xmlScalar(node.Text, t, p)
}

func xmlEntry(node xmlNode, t *wire.Type, d wire.Dictionary) error {
	names := [2]string{"key", "value"}
	if t.KeyName != "" {
		names[0] = t.KeyName
	}
	if t.ValueName != "" {
		names[1] = t.ValueName
	}
	kids := node.children()
	if len(kids) == 1 && kids[0].Name == names[0] { // a value without anything in it may be left out
		kids = append(kids, xmlNode{Name: names[1]})
	}
	if len(kids) != 2 || kids[0].Name != names[0] || kids[1].Name != names[1] {
		return fmt.Errorf("entry %v has not the parts %v", node, names)
	}
	v := d.New()
	if err := xmlValue(kids[1], t.Elem, v); err != nil {
		return err
	}
	d.Set(kids[0].Text, v)
	return nil
}

func xmlScalar(text string, t *wire.Type, p any) error {
	switch t.Kind {
	case wire.String:
		return fillScalar(p, text)
	case wire.Bool:
		v, err := strconv.ParseBool(text)
		if err != nil {
			return err
		}
		return fillScalar(p, v)
	case wire.Blob:
		v, err := base64.StdEncoding.DecodeString(text)
		*p.(*[]byte) = v
		return err
	case wire.Timestamp:
		for _, layout := range []string{time.RFC3339, time.RFC1123} {
			if v, err := time.Parse(layout, text); err == nil {
				return fillScalar(p, float64(v.UnixMilli())/1000)
			}
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return err
	}
	return fillScalar(p, v)
}
