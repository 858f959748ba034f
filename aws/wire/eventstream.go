package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

const (
	eventPrelude  = 12 // bytes of the two lengths and their checksum
	eventOverhead = eventPrelude + 4
	eventString   = 7 // type of a header that is a string

	// maxEvent bounds the bytes of one message (AWS: 16 MB of payload, 128 KB of headers).
	maxEvent = 16<<20 + 128<<10 + eventOverhead
)

// An Event is one message of an event stream (application/vnd.amazon.eventstream).
type Event struct {
	Headers []EventHeader
	Payload []byte
}

// An EventHeader is a header of an Event that holds a string.
type EventHeader struct{ Name, Value string }

// Header returns the value of a header, or "".
func (e *Event) Header(name string) string {
	for _, h := range e.Headers {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

// AppendEvent writes an event of the given type and content type.
func AppendEvent(b []byte, eventType, contentType string, payload []byte) []byte {
	return appendEvent(b, &Event{Payload: payload, Headers: []EventHeader{
		{":message-type", "event"}, {":event-type", eventType}, {":content-type", contentType},
	}})
}

// appendEvent writes total length, headers length, checksum of both, headers, payload
// and the checksum of everything before.
func appendEvent(b []byte, e *Event) []byte {
	start := len(b)
	b = append(b, make([]byte, eventPrelude)...)
	for _, h := range e.Headers {
		b = append(append(b, byte(len(h.Name))), h.Name...)
		b = binary.BigEndian.AppendUint16(append(b, eventString), uint16(len(h.Value)))
		b = append(b, h.Value...)
	}
	headers := len(b) - start - eventPrelude
	b = append(b, e.Payload...)
	prelude := b[start : start+eventPrelude]
	binary.BigEndian.PutUint32(prelude, uint32(len(b)-start+4))
	binary.BigEndian.PutUint32(prelude[4:], uint32(headers))
	binary.BigEndian.PutUint32(prelude[8:], crc32.ChecksumIEEE(prelude[:8]))
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
}

var errEvent = errors.New("malformed event stream message")

// ParseEvent reads the first message of b and returns the rest. It reports false if b
// does not hold a whole message yet. The payload is a part of b.
func ParseEvent(b []byte) (e Event, rest []byte, whole bool, err error) {
	if len(b) < eventPrelude {
		return e, b, false, nil
	}
	total, headers := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if binary.BigEndian.Uint32(b[8:]) != crc32.ChecksumIEEE(b[:8]) ||
		total > maxEvent || total < eventOverhead || headers > total-eventOverhead {
		return e, b, false, errEvent
	}
	if uint32(len(b)) < total {
		return e, b, false, nil
	}
	if binary.BigEndian.Uint32(b[total-4:]) != crc32.ChecksumIEEE(b[:total-4]) {
		return e, b, false, errEvent
	}
	if e.Headers, err = parseEventHeaders(b[eventPrelude : eventPrelude+headers]); err != nil {
		return e, b, false, err
	}
	e.Payload = b[eventPrelude+headers : total-4]
	return e, b[total:], true, nil
}

// parseEventHeaders reads headers and leaves out those that are not strings.
func parseEventHeaders(b []byte) ([]EventHeader, error) {
	// Sizes of the values of fixed length, by type: true, false, byte, short, int, long,
	// (byte array, string,) timestamp, UUID.
	sizes := [...]int{0, 0, 1, 2, 4, 8, -1, -1, 8, 16}
	var headers []EventHeader
	for len(b) > 0 {
		n := int(b[0])
		if n == 0 || len(b) < n+2 || int(b[n+1]) >= len(sizes) {
			return nil, errEvent
		}
		name, kind := string(b[1:n+1]), b[n+1]
		b = b[n+2:]
		size := sizes[kind]
		if size < 0 {
			if len(b) < 2 {
				return nil, errEvent
			}
			size, b = int(binary.BigEndian.Uint16(b)), b[2:]
		}
		if len(b) < size {
			return nil, errEvent
		}
		if kind == eventString {
			headers = append(headers, EventHeader{name, string(b[:size])})
		}
		b = b[size:]
	}
	return headers, nil
}

// events returns the index of the member that is an event stream, or -1.
func (s *Shape) events() int {
	for i := range s.Members {
		if s.Members[i].Type.Kind == EventsKind {
			return i
		}
	}
	return -1
}

// stream answers with an event stream: member i of the output. The other members travel
// in the headers, or in an initial event where the protocol has no room for them there.
func (c *Call) stream(out Struct, i int) error {
	source := out.WireMember(i).(EventSource)
	if source.IsNil() {
		return fmt.Errorf("the answer of %s has no event stream", c.Operation.Name)
	}
	h := c.Header()
	if c.Protocol == RestJSON {
		c.encodeHeaders(h, out.WireShape(), out)
	}
	if c.Protocol == CBOR {
		h["Smithy-Protocol"] = smithyCBOR
	}
	h["Content-Type"] = eventsType
	c.WriteHeader(c.statusOr())
	c.Flush()
	if c.Protocol != RestJSON {
		first := AppendEvent(nil, "initial-response", c.contentType()[0], c.appendBody(nil, out))
		if err := c.sendEvent(first); err != nil {
			return err
		}
	}
	err := source.Run(func(event Struct) error {
		b, err := c.encodeEvent(event)
		if err != nil {
			return err
		}
		return c.sendEvent(b)
	})
	if err != nil {
		return c.sendException(err, source.Event().WireShape())
	}
	return nil
}

func (c *Call) sendEvent(b []byte) error {
	if _, err := c.Write(b); err != nil {
		return fmt.Errorf("send event: %w", err)
	}
	c.Flush()
	return nil
}

// sendException ends a stream: as an exception, if that is a member of the union of
// events, or else as an error. An internal error breaks the connection off instead.
func (c *Call) sendException(err error, union *Shape) error {
	e, ok := c.visible(err)
	if !ok || c.Context().Err() != nil {
		return err
	}
	shape := c.Service.errorShape(e.Code)
	if union.search(shape.Code, 0) < 0 {
		return c.sendEvent(appendEvent(nil, &Event{Headers: []EventHeader{
			{":message-type", "error"}, {":error-code", shape.Code}, {":error-message", e.Message},
		}}))
	}
	payload := c.errorJSON(e, &shape)
	if c.Protocol == CBOR {
		payload = c.errorCBOR(e, &shape)
	}
	return c.sendEvent(appendEvent(nil, &Event{Payload: payload, Headers: []EventHeader{
		{":message-type", "exception"}, {":exception-type", shape.Code}, {":content-type", c.contentType()[0]},
	}}))
}

// appendBody writes a structure in the protocol of the call.
func (c *Call) appendBody(b []byte, s Struct) []byte {
	if c.Protocol == CBOR {
		return appendCBOR(b, s)
	}
	return appendJSON(b, s)
}

// encodeEvent writes the one member that is set of a union of events.
func (c *Call) encodeEvent(union Struct) ([]byte, error) {
	shape := union.WireShape()
	for i := range shape.Members {
		p := union.WireMember(i)
		if absent(shape.Members[i].Type, p) {
			continue
		}
		event := Event{Headers: []EventHeader{
			{":message-type", "event"}, {":event-type", shape.Members[i].wireName()}, {":content-type", c.contentType()[0]},
		}}
		c.fillEvent(&event, structOf(p))
		return appendEvent(nil, &event), nil
	}
	return nil, fmt.Errorf("send event: no member of %s is set", shape.Name)
}

func (c *Call) fillEvent(e *Event, s Struct) {
	shape, explicit := s.WireShape(), false
	for i := range shape.Members {
		m, p := &shape.Members[i], s.WireMember(i)
		switch {
		case !m.EventPayload && !m.EventHeader:
			continue
		case m.EventPayload:
			explicit = true
		}
		if absent(m.Type, p) {
			continue
		}
		switch {
		case m.EventHeader:
			e.Headers = append(e.Headers, EventHeader{m.wireName(), string(appendText(nil, m.Type, p, ISOTime))})
		case m.Type.Kind == Blob:
			e.Headers[2].Value, e.Payload = blobType[0], *p.(*[]byte)
		case m.Type.Kind == String:
			e.Headers[2].Value, e.Payload = textType[0], appendText(nil, m.Type, p, ISOTime)
		default:
			e.Payload = c.appendBody(nil, structOf(p))
		}
	}
	if !explicit {
		e.Payload = c.appendBody(nil, s)
	}
}
