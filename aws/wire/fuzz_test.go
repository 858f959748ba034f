package wire

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/http/httptest"
	"reflect"
	"testing"
)

// Whatever a decoder accepts must come out the same when it is written and read again.

func FuzzJSON(f *testing.F) {
	f.Add(appendJSON(nil, fullSample()))
	f.Add([]byte(`{"Name":"\ud83d","Odd":[{"x":-1.5e-7}],"At":1e9,"Items":[{},{}]}`))
	f.Add([]byte(`{"Texts":["a","b"],"Tags":{"":""},"Single":"NaN","day":"2026-11-21T10:30:00Z"}`))
	f.Fuzz(func(t *testing.T, body []byte) { roundTrip(t, body, decodeJSON, appendJSON) })
}

func FuzzCBOR(f *testing.F) {
	f.Add(appendCBOR(nil, fullSample()))
	f.Add([]byte("\xbf\x64Name\x7f\x61a\xff\x65Texts\x9f\xff\xff"))
	f.Fuzz(func(t *testing.T, body []byte) { roundTrip(t, body, decodeCBOR, appendCBOR) })
}

func roundTrip(t *testing.T, body []byte, decode func([]byte, Struct) ([]string, error), encode func([]byte, Struct) []byte) {
	first := new(sample)
	if _, err := decode(bytes.Clone(body), first); err != nil {
		return
	}
	text := encode(nil, first)
	second := new(sample)
	if unknown, err := decode(bytes.Clone(text), second); err != nil || len(unknown) > 0 {
		t.Fatalf("what was accepted is refused when written again: %v, unknown %v: %q", err, unknown, text)
	}
	if again := encode(nil, second); !bytes.Equal(text, again) {
		t.Fatalf("written %q, then %q", text, again)
	}
	_ = validate(first)
}

func FuzzQuery(f *testing.F) {
	f.Add("Name=a&Items.Item.1.Small=1&Tags.entry.1.key=k&Tags.entry.1.value=v&Lists.member.1.member.1=x")
	f.Add("Numbers.2=1&Numbers.1=3&Weight.1.Key=2&Weight.1.Value=0.5&Nested.Nested.On=true&Odd.x=1")
	f.Fuzz(func(t *testing.T, form string) {
		pairs, ok := parseForm(nil, form)
		if !ok {
			return
		}
		s := new(sample)
		if _, err := decodeQuery(pairs, s); err != nil {
			return
		}
		roundTrip(t, appendJSON(nil, s), decodeJSON, appendJSON)
		wellFormed(t, append(append([]byte("<r>"), appendXML(nil, s)...), "</r>"...))
	})
}

// FuzzXML writes text that a client sent into an answer: the answer must stay XML and the
// text the same, but for what XML cannot hold.
func FuzzXML(f *testing.F) {
	f.Add("a<b>&\"c\"]]>\r\n\x00\xff\uFFFE😀")
	f.Fuzz(func(t *testing.T, text string) {
		body := append(appendXMLText([]byte("<r>"), text), "</r>"...)
		var got struct {
			Text string `xml:",chardata"`
		}
		if err := xml.Unmarshal(body, &got); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		want := []rune{}
		for _, r := range text {
			if !isXMLChar(r) {
				r = '\uFFFD'
			}
			want = append(want, r)
		}
		if got.Text != string(want) {
			t.Fatalf("%q is read as %q", text, got.Text)
		}
	})
}

func wellFormed(t *testing.T, body []byte) {
	t.Helper()
	for d := xml.NewDecoder(bytes.NewReader(body)); ; {
		_, err := d.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
	}
}

func FuzzEventStream(f *testing.F) {
	f.Add(AppendEvent(nil, "PayloadChunk", "application/octet-stream", []byte("data")))
	f.Add(AppendEvent(AppendEvent(nil, "a", "b", nil), "c", "d", []byte{0})[:50])
	f.Fuzz(func(t *testing.T, b []byte) {
		e, rest, whole, err := ParseEvent(b)
		if err != nil || !whole {
			return
		}
		text := appendEvent(nil, &e)
		again, left, whole, err := ParseEvent(append(text, rest...))
		if err != nil || !whole || !bytes.Equal(left, rest) || !reflect.DeepEqual(e.Headers, again.Headers) || !bytes.Equal(e.Payload, again.Payload) {
			t.Fatalf("%+v is read as %+v (%v)", e, again, err)
		}
	})
}

// FuzzSignature reads whatever stands in the headers and the query string of a request.
func FuzzSignature(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=A/20261121/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=00", "", "")
	f.Add("", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F20261121%2Fr%2Fs%2Faws4_request&X-Amz-SignedHeaders=host", "20261121T000000Z")
	f.Fuzz(func(t *testing.T, header, query, date string) {
		r := httptest.NewRequest("POST", "http://127.0.0.1/", nil)
		r.URL.RawQuery = query
		if header != "" {
			r.Header["Authorization"] = []string{header}
		}
		if date != "" {
			r.Header["X-Amz-Date"] = []string{date}
		}
		m := NewMux(Options{Auth: AuthSigV4, Credentials: map[string]Credential{"A": {Secret: "s"}}})
		c := new(Call)
		w := httptest.NewRecorder()
		c.begin(m, w, r)
		if err := errors.Join(c.identify(), c.authenticate()); err == nil {
			t.Fatalf("a signature was guessed: %q %q", header, query)
		}
	})
}
