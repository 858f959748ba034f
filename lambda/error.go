package lambda

import (
	"fmt"
	"maps"
)

// An Error is an error that a client sees: AWS's exception name, its text, and the
// further members of the exception's shape. Every other error is internal; the wire
// layer turns it into a ServiceException and one log line.
type Error struct {
	Code    string            // AWS exception name, such as ResourceNotFoundException
	Message string            // AWS's text, byte for byte where it is known
	Fields  map[string]string // further members by their wire name, such as Type or Reason
}

// Errorf returns an Error with a formatted message and no further members.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// With returns a copy of e with one more member.
func (e *Error) With(name, value string) *Error {
	c := *e
	c.Fields = maps.Clone(e.Fields)
	if c.Fields == nil {
		c.Fields = make(map[string]string, 1)
	}
	c.Fields[name] = value
	return &c
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Codes of the exceptions that more than one package raises.
const (
	CodeInvalidParameterValue = "InvalidParameterValueException"
	CodeResourceNotFound      = "ResourceNotFoundException"
	CodeResourceConflict      = "ResourceConflictException"
	CodeTooManyRequests       = "TooManyRequestsException"
	CodeService               = "ServiceException"
	CodeValidation            = "ValidationException"
)
