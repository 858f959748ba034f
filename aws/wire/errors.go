package wire

import (
	"cmp"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/weir-run/weir/lambda"
)

// ErrNotImplemented is what Unimplemented answers with. The client sees an error that
// names the service and the operation, with a status that no SDK retries.
var ErrNotImplemented = errors.New("not implemented")

const (
	codeUnknownOperation = "UnknownOperationException"
	codeSerialization    = "SerializationException"
	codeTooLarge         = "RequestEntityTooLargeException"
	codeInternal         = "InternalFailure"
)

// commonErrors are the errors that every service has and no model names, by code.
var commonErrors = []ErrorShape{
	{Code: "AccessDeniedException", Query: "AccessDenied", Status: 403, Message: "Message"},
	{Code: "IncompleteSignatureException", Query: "IncompleteSignature", Status: 403, Message: "message"},
	{Code: codeInternal, Status: 500, Fault: true, Message: "message"},
	{Code: "InvalidSignatureException", Query: "SignatureDoesNotMatch", Status: 403, Message: "message"},
	{Code: "MissingAuthenticationTokenException", Query: "MissingAuthenticationToken", Status: 403, Message: "message"},
	{Code: codeTooLarge, Query: "RequestEntityTooLarge", Status: 413, Message: "Message"},
	{Code: "RequestTimeoutException", Query: "RequestTimeout", Status: 408, Message: "message"},
	{Code: codeSerialization, Query: "MalformedInput", Status: 400, Message: "Message"},
	{Code: codeUnknownOperation, Query: "InvalidAction", Status: 400, Message: "message"},
	{Code: "UnrecognizedClientException", Query: "InvalidClientTokenId", Status: 403, Message: "message"},
	{Code: "UnsupportedMediaTypeException", Query: "UnsupportedMediaType", Status: 415, Message: "message"},
	{Code: "ValidationError", Status: 400, Message: "message"},
	{Code: "ValidationException", Query: "ValidationError", Status: 400, Message: "message"},
}

// errorShape returns the description of an exception, which may be named by its code of
// awsQuery as well. One that neither the service nor AWS in general has is the sender's
// fault.
func (s *Service) errorShape(code string) ErrorShape {
	byCode := func(e ErrorShape, code string) int { return cmp.Compare(e.Code, code) }
	if s != nil {
		if i, ok := slices.BinarySearchFunc(s.Errors, code, byCode); ok {
			return s.Errors[i]
		}
		if i := slices.IndexFunc(s.Errors, func(e ErrorShape) bool { return e.Query == code }); i >= 0 {
			return s.Errors[i]
		}
	}
	if i, ok := slices.BinarySearchFunc(commonErrors, code, byCode); ok {
		return commonErrors[i]
	}
	return ErrorShape{Code: code, Status: http.StatusBadRequest, Message: "message"}
}

// visible turns an error that has a meaning for the client into the one it sees.
func (c *Call) visible(err error) (*lambda.Error, bool) {
	var seen *lambda.Error
	var malformed serializationError
	switch {
	case errors.As(err, &seen) && seen != nil:
		return seen, true
	case errors.As(err, &malformed):
		return &lambda.Error{Code: codeSerialization, Message: string(malformed)}, true
	case errors.Is(err, ErrNotImplemented) && c.Operation != nil:
		return lambda.Errorf(codeUnknownOperation, "weir does not implement the operation %s of %s",
			c.Operation.Name, c.Service.ID), true
	}
	return nil, false
}

// internal logs an error that the client must not see, and returns the one it sees.
func (c *Call) internal(err error) *lambda.Error {
	operation, code, level := "", codeInternal, slog.LevelError
	if c.Operation != nil {
		operation = c.Service.ID + "." + c.Operation.Name
	}
	if c.Context().Err() != nil {
		level = slog.LevelDebug // the client went away, which fails whatever serves it
	}
	c.mux.opts.Log.LogAttrs(c.Context(), level, "request failed",
		slog.String("operation", operation), slog.String("request", c.RequestID), slog.Any("error", err))
	if c.Service != nil && c.Service.InternalCode != "" {
		code = c.Service.InternalCode
	}
	e := lambda.Errorf(code, "weir failed to serve this request; its log has the cause under the request id %s", c.RequestID)
	shape := c.Service.errorShape(code)
	if memberNamed(shape.Members, "Type") != nil {
		e = e.With("Type", "Service")
	}
	return e
}

func memberNamed(members []Member, name string) *Member {
	for i := range members {
		if m := &members[i]; m.Name == name || m.Wire == name {
			return m
		}
	}
	return nil
}

// fail answers with an error.
func (c *Call) fail(err error) {
	e, ok := c.visible(err)
	if !ok {
		e = c.internal(err)
	}
	if c.started {
		// Too late for an error. A connection that breaks off tells the client that the
		// answer is not whole.
		panic(http.ErrAbortHandler)
	}
	shape := c.Service.errorShape(e.Code)
	c.errorHeaders(e, &shape)
	var body []byte
	switch c.Protocol {
	case AWSQuery:
		body = c.errorXML(e, &shape)
	case CBOR:
		body = c.errorCBOR(e, &shape)
	default:
		body = c.errorJSON(e, &shape)
	}
	c.respond(shape.Status, body)
}

// errorHeaders sets the headers of an error: its members that travel there, its type in
// restJson1, and its code in the query protocol for a client that was made for that.
func (c *Call) errorHeaders(e *lambda.Error, shape *ErrorShape) {
	h := c.Header()
	h["Content-Type"] = c.contentType()
	delete(h, "Content-Length") // of the answer that the handler had in mind
	if c.Protocol == CBOR {
		h["Smithy-Protocol"] = smithyCBOR
	}
	if c.Protocol == RestJSON {
		h["X-Amzn-Errortype"] = []string{shape.Code}
	}
	for name, value := range e.Fields {
		if m := memberNamed(shape.Members, name); m != nil && m.In == InHeader {
			h.Set(m.Wire, value)
		}
	}
	if c.Service != nil && c.Service.QueryCompatible && c.HTTP.Header.Get("X-Amzn-Query-Mode") == "true" {
		h["X-Amzn-Query-Error"] = []string{shape.queryCode() + ";" + faultName(shape)}
	}
}

func faultName(shape *ErrorShape) string {
	if shape.Fault || shape.Status >= http.StatusInternalServerError {
		return "Receiver"
	}
	return "Sender"
}

// bodyFields returns the names of the further members in the body, in order.
func bodyFields(e *lambda.Error, shape *ErrorShape) []string {
	names := slices.Sorted(maps.Keys(e.Fields))
	return slices.DeleteFunc(names, func(name string) bool {
		m := memberNamed(shape.Members, name)
		return m != nil && m.In == InHeader
	})
}

// typeName is an exception's name in a body; awsJson1.0 and CBOR put a name space before it.
func (c *Call) typeName(shape *ErrorShape) string {
	if c.Service != nil && c.Service.TypeSpace != "" && (c.Protocol == JSON10 || c.Protocol == CBOR) {
		return c.Service.TypeSpace + "#" + shape.Code
	}
	return shape.Code
}

func (c *Call) errorJSON(e *lambda.Error, shape *ErrorShape) []byte {
	b := append(c.out[:0], '{')
	if c.Protocol != RestJSON {
		b = appendJSONString(append(b, `"__type":`...), c.typeName(shape))
	}
	for _, name := range bodyFields(e, shape) {
		b = appendJSONName(b, name)
		value := e.Fields[name]
		if m := memberNamed(shape.Members, name); m != nil && m.Type.Kind != String && json.Valid([]byte(value)) {
			b = append(b, value...) // a number, or a structure that is JSON already
		} else {
			b = appendJSONString(b, value)
		}
	}
	if e.Message != "" {
		b = appendJSONString(appendJSONName(b, shape.Message), e.Message)
	}
	c.out = append(b, '}')
	return c.out
}

func appendJSONName(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return append(appendJSONString(b, name), ':')
}

func (c *Call) errorCBOR(e *lambda.Error, shape *ErrorShape) []byte {
	names, size := bodyFields(e, shape), uint64(1)
	if e.Message != "" {
		size++
	}
	b := appendCBORHead(c.out[:0], cborMap, size+uint64(len(names)))
	b = appendCBORText(appendCBORText(b, "__type"), c.typeName(shape))
	for _, name := range names {
		b = appendCBORText(b, name)
		m := memberNamed(shape.Members, name)
		if n, err := strconv.ParseInt(e.Fields[name], 10, 64); err == nil && m != nil && m.Type.Kind != String {
			b = appendCBORInt(b, n)
		} else {
			b = appendCBORText(b, e.Fields[name])
		}
	}
	if e.Message != "" {
		b = appendCBORText(appendCBORText(b, shape.Message), e.Message)
	}
	c.out = b
	return b
}

func (c *Call) errorXML(e *lambda.Error, shape *ErrorShape) []byte {
	b := append(c.out[:0], "<ErrorResponse"...)
	if c.Service != nil {
		b = appendXMLNamespace(b, c.Service.Namespace)
	}
	b = append(b, "><Error><Type>"...)
	b = append(b, faultName(shape)...)
	b = append(b, "</Type><Code>"...)
	b = appendXMLText(b, shape.queryCode())
	b = append(b, "</Code><Message>"...)
	b = append(appendXMLText(b, e.Message), "</Message>"...)
	for _, name := range bodyFields(e, shape) {
		b = appendXMLOpen(b, name)
		b = appendXMLText(b, e.Fields[name])
		b = appendXMLClose(b, name)
	}
	b = append(b, "</Error><RequestId>"...)
	b = append(b, c.RequestID...)
	c.out = append(b, "</RequestId></ErrorResponse>"...)
	return c.out
}
