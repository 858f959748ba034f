package conformance

import (
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"github.com/weir-run/weir/aws/wire"
)

// sameForm writes a structure as the form of awsQuery and compares it with a client's.
func sameForm(s wire.Struct, body string) error {
	want, err := url.ParseQuery(body)
	if err != nil {
		return err
	}
	want.Del("Action")
	want.Del("Version")
	got := url.Values{}
	formStruct(got, "", s)
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("form %v, want %v", got, want)
	}
	return nil
}

func formStruct(form url.Values, prefix string, s wire.Struct) {
	shape := s.WireShape()
	for i := range shape.Members {
		m := &shape.Members[i]
		if plainMember(m.Type, s.WireMember(i)) == nil {
			continue
		}
		name := m.Name
		if m.Wire != "" {
			name = m.Wire
		}
		if m.XML != "" {
			name = m.XML
		}
		formValue(form, prefix+name, m.Type, s.WireMember(i))
	}
}

func formValue(form url.Values, key string, t *wire.Type, p any) {
	switch p := p.(type) {
	case wire.Reference:
		formStruct(form, key+".", p.Get())
	case wire.Struct:
		formStruct(form, key+".", p)
	case wire.Sequence:
		if p.Len() == 0 {
			form.Set(key, "")
		}
		item := t.ItemName
		if item == "" {
			item = "member"
		}
		for i := range p.Len() {
			at := key + "." + item + "." + strconv.Itoa(i+1)
			if t.Flat {
				at = key + "." + strconv.Itoa(i+1)
			}
			formValue(form, at, t.Elem, p.At(i))
		}
	case wire.Dictionary:
		keyName, valueName := "key", "value"
		if t.KeyName != "" {
			keyName = t.KeyName
		}
		if t.ValueName != "" {
			valueName = t.ValueName
		}
		for i, name := range p.Keys() {
			at := key + ".entry." + strconv.Itoa(i+1)
			if t.Flat {
				at = key + "." + strconv.Itoa(i+1)
			}
			form.Set(at+"."+keyName, name)
			formValue(form, at+"."+valueName, t.Elem, p.Get(name))
		}
	case *wire.Opt[time.Time]:
		form.Set(key, p.V.UTC().Format("2006-01-02T15:04:05Z"))
	case *time.Time:
		form.Set(key, p.UTC().Format("2006-01-02T15:04:05Z"))
	default:
		form.Set(key, texts(plainMemberOrElement(t, p))[0])
	}
}

func plainMemberOrElement(t *wire.Type, p any) any {
	if v := plainMember(t, p); v != nil {
		return v
	}
	return plainElement(t, p)
}
