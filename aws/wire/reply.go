package wire

import (
	"net/http"
)

// Header values that every answer shares. Nobody may change them.
var (
	jsonType   = []string{"application/json"}
	json10Type = []string{"application/x-amz-json-1.0"}
	json11Type = []string{"application/x-amz-json-1.1"}
	xmlType    = []string{"text/xml"}
	cborType   = []string{"application/cbor"}
	blobType   = []string{"application/octet-stream"}
	textType   = []string{"text/plain"}
	eventsType = []string{"application/vnd.amazon.eventstream"}
	smithyCBOR = []string{"rpc-v2-cbor"}
)

// contentType returns the type of bodies in the protocol of the call.
func (c *Call) contentType() []string {
	switch c.Protocol {
	case JSON10:
		return json10Type
	case JSON11:
		return json11Type
	case AWSQuery:
		return xmlType
	case CBOR:
		return cborType
	}
	return jsonType
}

// reply answers with an output; nil is an operation that has none.
func (c *Call) reply(out Struct) error {
	if out != nil {
		if i := out.WireShape().events(); i >= 0 {
			return c.stream(out, i)
		}
	}
	h := c.Header()
	b := c.out[:0]
	switch c.Protocol {
	case RestJSON:
		if out != nil {
			b = c.encodeREST(b, out)
		}
	case AWSQuery:
		h["Content-Type"] = xmlType
		b = c.appendAnswerXML(b, out)
	case CBOR:
		h["Smithy-Protocol"] = smithyCBOR
		if out != nil {
			h["Content-Type"] = cborType
			b = appendCBOR(b, out)
		}
	default:
		h["Content-Type"] = c.contentType()
		if out != nil {
			b = appendJSON(b, out)
		}
	}
	c.out = b
	c.respond(c.statusOr(), b)
	return nil
}

// statusOr returns the handler's status, or else the model's.
func (c *Call) statusOr() int {
	switch {
	case c.status != 0:
		return c.status
	case c.Protocol == RestJSON && c.Operation.Status != 0:
		return c.Operation.Status
	}
	return http.StatusOK
}

// appendAnswerXML writes <OpResponse><OpResult>…</OpResult><ResponseMetadata>…
func (c *Call) appendAnswerXML(b []byte, out Struct) []byte {
	name := c.Operation.Name
	b = append(append(append(b, '<'), name...), "Response"...)
	b = append(appendXMLNamespace(b, c.Service.Namespace), '>')
	if wrapper := c.Operation.Wrapper; out != nil && wrapper != "" {
		b = appendXMLOpen(b, wrapper)
		b = appendXML(b, out)
		b = appendXMLClose(b, wrapper)
	} else if out != nil {
		b = appendXML(b, out)
	}
	b = append(b, "<ResponseMetadata><RequestId>"...)
	b = append(b, c.RequestID...)
	b = append(b, "</RequestId></ResponseMetadata></"...)
	return append(append(b, name...), "Response>"...)
}

func appendXMLNamespace(b []byte, uri string) []byte {
	if uri == "" {
		return b
	}
	b = append(b, ` xmlns="`...)
	return append(appendXMLText(b, uri), '"')
}
