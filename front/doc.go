// Package front keeps the connections of clients: HTTP/1.1 over TCP.
//
// Most requests to a server of functions are invocations: a POST with a short body whose answer
// is written in one piece. A Server serves those by itself, at half of net/http's cost. Of any
// other request, and of anything unusual in a request, it makes no judgement: it hands the
// connection over to net/http with all bytes unread, and net/http keeps it until it ends.
package front
