package conformance

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
)

// bodyTree parses a body into a tree that compares by meaning.
func bodyTree(format string, body []byte) (any, error) {
	switch {
	case len(body) == 0:
		return nil, nil
	case strings.Contains(format, "cbor"):
		v, rest, err := cborTree(body)
		if err == nil && len(rest) > 0 {
			err = fmt.Errorf("%d bytes left", len(rest))
		}
		return v, err
	case strings.Contains(format, "query") && !strings.Contains(format, "json"):
		return xmlTree(body)
	}
	var v any
	err := json.Unmarshal(body, &v)
	return normalise(v), err
}

// normalise drops the name space from __type, which clients ignore.
func normalise(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	if name, ok := m["__type"].(string); ok {
		m["__type"] = name[strings.LastIndexByte(name, '#')+1:]
	}
	return m
}

// An xmlNode is an element without white space, name spaces and the request's id.
type xmlNode struct {
	Name     string
	Text     string
	Children []any
}

func (n xmlNode) children() []xmlNode {
	out := make([]xmlNode, len(n.Children))
	for i, c := range n.Children {
		out[i] = c.(xmlNode)
	}
	return out
}

func xmlTree(body []byte) ([]any, error) {
	d := xml.NewDecoder(bytes.NewReader(body))
	root := &xmlNode{}
	stack := []*xmlNode{root}
	for {
		token, err := d.Token()
		if err == io.EOF {
			return root.Children, nil
		}
		if err != nil {
			return nil, err
		}
		top := stack[len(stack)-1]
		switch token := token.(type) {
		case xml.StartElement:
			stack = append(stack, &xmlNode{Name: token.Name.Local})
		case xml.EndElement:
			stack = stack[:len(stack)-1]
			if len(top.Children) > 0 {
				top.Text = ""
			}
			if top.Name != "ResponseMetadata" && top.Name != "RequestId" {
				parent := stack[len(stack)-1]
				parent.Children = append(parent.Children, *top)
			}
		case xml.CharData:
			top.Text += string(token)
		}
	}
}

// cborTree is a small reader of CBOR, written apart from the one it judges.
func cborTree(b []byte) (v any, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, io.ErrUnexpectedEOF
	}
	major, info := b[0]>>5, b[0]&31
	b = b[1:]
	arg, indefinite := uint64(info), info == 31
	if info >= 24 && info <= 27 {
		n := 1 << (info - 24)
		if len(b) < n {
			return nil, nil, io.ErrUnexpectedEOF
		}
		arg = 0
		for _, c := range b[:n] {
			arg = arg<<8 | uint64(c)
		}
		b = b[n:]
	}
	switch major {
	case 0:
		return float64(arg), b, nil
	case 1:
		return -1 - float64(arg), b, nil
	case 2, 3:
		return cborText(b, major, arg, indefinite)
	case 4, 5:
		return cborItems(b, major, arg, indefinite)
	case 6:
		v, rest, err = cborTree(b)
		return v, rest, err
	}
	switch info {
	case 20, 21:
		return info == 21, b, nil
	case 22, 23:
		return nil, b, nil
	case 25:
		exp, frac := int(arg>>10&31), float64(arg&0x3ff)
		f := math.Ldexp(1+frac/1024, exp-15)
		switch exp {
		case 0:
			f = math.Ldexp(frac, -24)
		case 31:
			f = math.Inf(1)
			if frac != 0 {
				return "NaN", b, nil
			}
		}
		if arg>>15 != 0 {
			f = -f
		}
		return special(f), b, nil
	case 26:
		return special(float64(math.Float32frombits(uint32(arg)))), b, nil
	case 27:
		return special(math.Float64frombits(arg)), b, nil
	}
	return nil, nil, fmt.Errorf("simple value %d", info)
}

func cborText(b []byte, major byte, n uint64, indefinite bool) (any, []byte, error) {
	if !indefinite {
		if uint64(len(b)) < n {
			return nil, nil, io.ErrUnexpectedEOF
		}
		return string(b[:n]), b[n:], nil
	}
	out := ""
	for len(b) > 0 && b[0] != 0xff {
		v, rest, err := cborTree(b)
		if err != nil {
			return nil, nil, err
		}
		out, b = out+v.(string), rest
	}
	if len(b) == 0 {
		return nil, nil, io.ErrUnexpectedEOF
	}
	return out, b[1:], nil
}

func cborItems(b []byte, major byte, n uint64, indefinite bool) (any, []byte, error) {
	list, dict := []any{}, map[string]any{}
	for i := uint64(0); indefinite || i < n; i++ {
		if len(b) == 0 {
			return nil, nil, io.ErrUnexpectedEOF
		}
		if indefinite && b[0] == 0xff {
			b = b[1:]
			break
		}
		v, rest, err := cborTree(b)
		if err != nil {
			return nil, nil, err
		}
		if b = rest; major == 4 {
			list = append(list, v)
			continue
		}
		key, ok := v.(string)
		if !ok {
			return nil, nil, fmt.Errorf("key %v", v)
		}
		if v, rest, err = cborTree(b); err != nil {
			return nil, nil, err
		}
		if b = rest; v != nil {
			dict[key] = v
		}
	}
	if major == 4 {
		return list, b, nil
	}
	if name, ok := dict["__type"].(string); ok {
		dict["__type"] = name[strings.LastIndexByte(name, '#')+1:]
	}
	return dict, b, nil
}
