package wire

import (
	"cmp"
	"slices"
)

// A Protocol is one of AWS's wire protocols. A set of them is their sum.
type Protocol uint8

// The protocols.
const (
	RestJSON Protocol = 1 << iota
	JSON10
	JSON11
	AWSQuery
	CBOR // rpc-v2-cbor
)

// String returns the protocol's name.
func (p Protocol) String() string {
	switch p {
	case RestJSON:
		return "restJson1"
	case JSON10:
		return "awsJson1.0"
	case JSON11:
		return "awsJson1.1"
	case AWSQuery:
		return "awsQuery"
	case CBOR:
		return "rpc-v2-cbor"
	}
	return "unknown protocol"
}

// A Service describes an AWS service to the Mux: its names, its operations and its
// errors. Package awsgen writes it from the model.
type Service struct {
	ID        string // of the model and the generated package: "cloudwatch"
	Signing   string // in the scope of a SigV4 credential: "monitoring"
	Endpoint  string // first word of the host: "monitoring"
	Target    string // prefix of X-Amz-Target, and name in rpc-v2-cbor paths
	Version   string // of the API: "2010-08-01"
	Namespace string // of XML answers
	TypeSpace string // of __type in awsJson1.0 and rpc-v2-cbor errors: "com.amazonaws.sqs"

	Protocols       Protocol // those it speaks
	QueryCompatible bool     // errors carry the code of the query protocol in a header
	ValidationCode  string   // of a violated constraint; empty: the service checks by itself
	InternalCode    string   // of an internal error; empty: InternalFailure

	Operations []Operation  // every operation of the model, by name
	Errors     []ErrorShape // by code

	// New returns a zero input of an operation, or nil if that has none. Call calls the
	// operation on an implementation.
	New  func(op int) Struct
	Call func(impl any, c *Call, op int, in Struct) (Struct, error)
}

// An Operation is one operation of a service.
type Operation struct {
	Name    string
	Method  string // of restJson1
	Path    string // template of restJson1: /2015-03-31/functions/{FunctionName}?List=ALL
	Status  int    // of a successful answer in restJson1; 0: 200
	Wrapper string // element around the members of an answer in awsQuery
	MaxBody int64  // bytes of a request; 0: DefaultMaxBody
	Title   string // name in messages, where that is not Name
	Served  bool   // types are generated; otherwise it is only known
}

// An ErrorShape is an exception of a service.
type ErrorShape struct {
	Code    string // the shape's name, which lambda.Error.Code holds
	Query   string // code in awsQuery; empty: Code
	Status  int
	Fault   bool     // the server's, not the sender's
	Message string   // key of the text in a body: "message" or "Message"
	Members []Member // the others
}

func (e *ErrorShape) queryCode() string {
	if e.Query != "" {
		return e.Query
	}
	return e.Code
}

// title names an operation in messages.
func (o *Operation) title() string {
	if o.Title != "" {
		return o.Title
	}
	return o.Name
}

// operation returns the index of an operation, or -1.
func (s *Service) operation(name string) int {
	i, ok := slices.BinarySearchFunc(s.Operations, name, func(o Operation, name string) int {
		return cmp.Compare(o.Name, name)
	})
	if !ok {
		return -1
	}
	return i
}
