package wire

import (
	"bytes"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/weir-run/weir/lambda"
)

// TestEventsForTheSDK reads what we write with the SDK's decoder, and the other way round.
func TestEventsForTheSDK(t *testing.T) {
	ours := AppendEvent(nil, "PayloadChunk", "application/octet-stream", []byte("a\x00\xff"))
	m, err := eventstream.NewDecoder().Decode(bytes.NewReader(ours), nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.Headers.Get(":event-type").String() != "PayloadChunk" || m.Headers.Get(":message-type").String() != "event" || string(m.Payload) != "a\x00\xff" {
		t.Errorf("the SDK reads %+v", m)
	}

	var theirs bytes.Buffer
	message := eventstream.Message{Payload: []byte("p"), Headers: eventstream.Headers{
		{Name: "yes", Value: eventstream.BoolValue(true)}, {Name: "byte", Value: eventstream.Int8Value(1)}, {Name: "short", Value: eventstream.Int16Value(2)},
		{Name: "int", Value: eventstream.Int32Value(3)}, {Name: "long", Value: eventstream.Int64Value(4)}, {Name: "bytes", Value: eventstream.BytesValue{5}},
		{Name: ":event-type", Value: eventstream.StringValue("e")}, {Name: "uuid", Value: eventstream.UUIDValue{6}},
	}}
	if err := eventstream.NewEncoder().Encode(&theirs, message); err != nil {
		t.Fatal(err)
	}
	e, rest, whole, err := ParseEvent(append(theirs.Bytes(), "next"...))
	if err != nil || !whole || e.Header(":event-type") != "e" || len(e.Headers) != 1 || string(e.Payload) != "p" || string(rest) != "next" {
		t.Errorf("we read %+v, rest %q, whole %v, %v", e, rest, whole, err)
	}
}

func TestDamagedEvents(t *testing.T) {
	good := AppendEvent(nil, "a", "b", []byte("payload"))
	for i := range good {
		if _, _, whole, err := ParseEvent(good[:i]); whole || err != nil {
			t.Errorf("the first %d bytes: whole %v, %v", i, whole, err)
		}
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		if _, _, whole, err := ParseEvent(bad); whole || err == nil {
			t.Errorf("byte %d is damaged: whole %v, %v", i, whole, err)
		}
	}
}

// An answer has an event stream and a member beside it.
type answer struct {
	Title  Opt[string]
	Stream Events[update]
}

type update struct {
	Chunk *chunk
	Gone  *sample
}

type chunk struct {
	Kind Opt[string]
	Data []byte
}

var (
	answerShape = Shape{Name: "Answer", Members: []Member{{Name: "Title", Type: &StringType}, {Name: "Stream", Type: &EventsType}}}
	updateShape = Shape{Name: "Update", Union: true, Members: []Member{{Name: "Chunk", Type: &StructureType}, {Name: "GoneException", Type: &StructureType}}}
	chunkShape  = Shape{Name: "Chunk", Members: []Member{{Name: "kind", Type: &StringType, EventHeader: true}, {Name: "data", Type: &BlobType, EventPayload: true}}}
)

func (*answer) WireShape() *Shape { return &answerShape }
func (*update) WireShape() *Shape { return &updateShape }
func (*chunk) WireShape() *Shape  { return &chunkShape }

func (a *answer) WireMember(i int) any {
	return []any{&a.Title, EventsRef[update, *update]{&a.Stream}}[i]
}

func (u *update) WireMember(i int) any {
	return []any{Ref[chunk, *chunk]{&u.Chunk}, Ref[sample, *sample]{&u.Gone}}[i]
}

func (c *chunk) WireMember(i int) any { return []any{&c.Kind, &c.Data}[i] }

// TestEventStreamInJSON checks the messages of a stream in a protocol without room for the
// other members in headers: they come first.
func TestEventStreamInJSON(t *testing.T) {
	for code, last := range map[string]Event{
		"GoneException": {Headers: []EventHeader{{":message-type", "exception"}, {":exception-type", "GoneException"}, {":content-type", "application/x-amz-json-1.1"}},
			Payload: []byte(`{"__type":"GoneException","message":"gone"}`)},
		"OtherException": {Headers: []EventHeader{{":message-type", "error"}, {":error-code", "OtherException"}, {":error-message", "gone"}}, Payload: []byte{}},
	} {
		m := NewMux(Options{})
		m.Handle(&Service{
			ID: "test", Target: "Test", Protocols: JSON11, Operations: []Operation{{Name: "Watch", Served: true}},
			New: func(int) Struct { return nil },
			Call: func(any, *Call, int, Struct) (Struct, error) {
				return &answer{Title: Some("t"), Stream: func(send func(*update) error) error {
					if err := send(&update{Chunk: &chunk{Kind: Some("k"), Data: []byte("d")}}); err != nil {
						return err
					}
					return lambda.Errorf(code, "gone")
				}}, nil
			},
		}, struct{}{}, nil)
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("X-Amz-Target", "Test.Watch")
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		want := []Event{
			{Headers: []EventHeader{{":message-type", "event"}, {":event-type", "initial-response"}, {":content-type", "application/x-amz-json-1.1"}}, Payload: []byte(`{"Title":"t"}`)},
			{Headers: []EventHeader{{":message-type", "event"}, {":event-type", "Chunk"}, {":content-type", "application/octet-stream"}, {"kind", "k"}}, Payload: []byte("d")},
			last,
		}
		var got []Event
		for rest := w.Body.Bytes(); len(rest) > 0; {
			e, left, whole, err := ParseEvent(rest)
			if err != nil || !whole {
				t.Fatalf("whole %v, %v: %q", whole, err, rest)
			}
			got, rest = append(got, e), left
		}
		if !reflect.DeepEqual(got, want) || !w.Flushed {
			t.Errorf("flushed %v\n got %+v\nwant %+v", w.Flushed, got, want)
		}
	}
}
