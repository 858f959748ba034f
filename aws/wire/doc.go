// Package wire speaks the protocols of AWS on the server's side.
//
// A service's requests and answers are plain Go structs, generated from AWS's models
// (package awsgen). A struct describes itself by a Shape, a static table of its members,
// and hands out a pointer to each member; the codecs of this package need nothing else.
// So one set of types is read and written in restJson1, awsJson1.0, awsJson1.1, awsQuery,
// rpc-v2-cbor and as event stream, and checked against the model's constraints with AWS's
// own texts.
//
// A Mux serves all services on one port. It finds the service, the operation and the
// protocol of a request, checks its SigV4 signature if it is told to, reads, checks and
// decodes the input, calls the service, and encodes the answer or the error. Every
// operation of a model is known to the Mux: one that nobody implements is answered with
// an error that names it.
//
// The strings of a request are parts of its body: whoever keeps a short one for long clones
// it, or it keeps the whole body alive.
package wire
