package wire

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/weir-run/weir/lambda"
)

const (
	// keepBuffer bounds the bytes of an answer's buffer that is kept for the next one.
	keepBuffer = 64 << 10
	// keepParams does the same for the number of parameters.
	keepParams = 256
)

// A Call is one request to a service. It is the http.ResponseWriter of its answer, which
// a handler of a RawFunc writes itself. A Call is reused: it is valid until the handler
// returns, and a handler that needs a part of it for longer copies that part.
type Call struct {
	HTTP      *http.Request
	Service   *Service
	Operation *Operation
	Protocol  Protocol
	Scope     lambda.Scope
	AccessKey string // id of the caller's access key; empty for an anonymous call
	RequestID string // UUID, which the answer carries

	// Unknown holds the paths of the members of the input that the model does not have,
	// such as "VpcConfig.Ipv9", and of unknown query parameters, such as "?Foo". A member
	// that would change behaviour must not be ignored silently, so a service looks here.
	Unknown []string

	mux     *Mux
	served  *served
	op      int
	w       http.ResponseWriter
	status  int  // set by the handler; 0: the model's
	started bool // the answer's header is written

	auth     authorization
	body     []byte
	bodyRead bool
	labels   []string
	params   []formPair // of the query string, or of the form
	out      []byte

	labelBuf [maxLabels]string
}

func (c *Call) begin(m *Mux, w http.ResponseWriter, r *http.Request) {
	c.mux, c.w, c.HTTP = m, w, r
	c.RequestID = ""
	if given := r.Header["X-Amzn-Requestid"]; len(given) == 1 && isUUID(given[0]) {
		c.RequestID = given[0]
	} else {
		c.RequestID = newUUID()
	}
	w.Header()["X-Amzn-Requestid"] = []string{c.RequestID}
}

// end forgets everything that the next request must not see.
func (c *Call) end() {
	out, params := c.out, c.params
	if cap(out) > keepBuffer {
		out = nil
	}
	if cap(params) > keepParams {
		params = nil
	}
	clear(params[:cap(params)])
	*c = Call{out: out[:0], params: params[:0]}
}

// Context returns the context of the request: it ends when the client goes away.
func (c *Call) Context() context.Context { return c.HTTP.Context() }

// Header returns the header of the answer.
func (c *Call) Header() http.Header { return c.w.Header() }

// SetStatus replaces the status that the model gives to the answer, such as 202 for an
// invocation of type Event.
func (c *Call) SetStatus(code int) { c.status = code }

// WriteHeader starts the answer.
func (c *Call) WriteHeader(code int) {
	c.started = true
	c.w.WriteHeader(code)
}

// Write writes a part of the answer's body.
func (c *Call) Write(b []byte) (int, error) {
	c.started = true
	return c.w.Write(b)
}

// Flush sends what is written of the answer. A server that cannot do that sends it later.
func (c *Call) Flush() {
	c.started = true
	_ = http.NewResponseController(c.w).Flush()
}

// Label returns label i of the path, in the order of the operation's template.
func (c *Call) Label(i int) (string, error) {
	if i >= len(c.labels) {
		return "", fmt.Errorf("operation %s has no label %d", c.Operation.Name, i)
	}
	text, ok := unescape(c.labels[i], false)
	if !ok {
		return "", serializationError("Malformed path")
	}
	return text, nil
}

// Query returns a parameter of the query string, and whether it is there. The Mux has
// refused a malformed query string before.
func (c *Call) Query(name string) (string, bool) {
	for rest := c.HTTP.URL.RawQuery; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		if key, value, _ := strings.Cut(pair, "="); key == name {
			text, ok := unescape(value, true)
			return text, ok
		}
	}
	return "", false
}

// respond writes a whole answer.
func (c *Call) respond(status int, body []byte) {
	if status == http.StatusNoContent {
		body = nil
	}
	if len(body) > shortBody {
		c.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	c.WriteHeader(status)
	if len(body) > 0 {
		// An error means that the client is gone; there is nobody to tell.
		_, _ = c.Write(body)
	}
}

// shortBody is a length in bytes for which net/http sets Content-Length by itself.
const shortBody = 1024
