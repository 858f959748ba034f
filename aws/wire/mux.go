package wire

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/weir-run/weir/lambda"
)

// SitePrefix begins the paths that are no AWS service's.
const SitePrefix = "/_weir/"

// Auth says what the signature of a request must be.
type Auth uint8

// The policies. AuthNone is for a listener that only the owner of the machine reaches.
const (
	AuthNone  Auth = iota // any signature, or none; it still names the account and region
	AuthSigV4             // a valid signature by one of Options.Credentials
)

// Options configure a Mux.
type Options struct {
	// Auth is the policy for signatures.
	Auth Auth
	// Credentials are the access keys of AuthSigV4, by access key id.
	Credentials map[string]Credential
	// Account owns the resources of callers whose access key id does not have the form of
	// an account id. Empty: 000000000000.
	Account string
	// Region is the region of requests that do not name one. Empty: us-east-1.
	Region string
	// Site serves the paths below SitePrefix; nil: they do not exist. It finds out by
	// itself who its callers are.
	Site http.Handler
	// Log receives one line for each request that failed for an internal reason. Nil: slog.Default.
	Log *slog.Logger
}

// A RawFunc serves an operation by itself: it reads the request from the Call and writes
// the answer to it. It is called after the request is authenticated, before anything is
// decoded or checked. An error it returns before it writes is answered as usual.
type RawFunc func(c *Call) error

// A Checker is a service that answers some violated constraints in its own way. message
// lists the violations. A nil error leaves the answer to the Mux.
type Checker interface {
	Violated(c *Call, in Struct, message string) error
}

// served is a service with what the Mux needs to serve it.
type served struct {
	*Service
	impl   any // nil: nobody implements it
	raw    []RawFunc
	labels [][]string // names of the labels of each operation
	routes routeNode
}

// A Mux serves AWS services on one port. Handle all services before the first request.
type Mux struct {
	opts       Options
	services   []*served
	byTarget   map[string]*served
	bySigning  map[string][]*served
	byEndpoint map[string][]*served
	keys       keyCache
	calls      sync.Pool
}

// NewMux returns a Mux without services.
func NewMux(o Options) *Mux {
	if o.Account == "" {
		o.Account = "000000000000"
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	m := &Mux{
		opts:       o,
		byTarget:   map[string]*served{},
		bySigning:  map[string][]*served{},
		byEndpoint: map[string][]*served{},
	}
	m.calls.New = func() any { return new(Call) }
	return m
}

// Handle adds a service. impl implements the API interface of the service's package; nil
// makes all its operations known but not implemented. raw names the operations that are
// served by a RawFunc. It panics if raw names none of the service's operations, or if the
// service is there already.
func (m *Mux) Handle(s *Service, impl any, raw map[string]RawFunc) {
	sv := &served{Service: s, impl: impl, raw: make([]RawFunc, len(s.Operations)), labels: make([][]string, len(s.Operations))}
	for i, op := range s.Operations {
		if s.Protocols&RestJSON != 0 {
			sv.labels[i] = sv.routes.addRoute(op.Method, op.Path, i)
		}
	}
	for name, f := range raw {
		i := s.operation(name)
		if i < 0 {
			panic(fmt.Sprintf("wire: %s has no operation %s", s.ID, name))
		}
		sv.raw[i] = f
	}
	for _, other := range m.services {
		if other.ID == s.ID {
			panic("wire: service handled twice: " + s.ID)
		}
	}
	m.services = append(m.services, sv)
	if s.Target != "" {
		m.byTarget[s.Target] = sv
	}
	m.bySigning[s.Signing] = append(m.bySigning[s.Signing], sv)
	m.byEndpoint[s.Endpoint] = append(m.byEndpoint[s.Endpoint], sv)
}

// ServeHTTP serves one request.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, SitePrefix) {
		if m.opts.Site == nil {
			http.NotFound(w, r)
			return
		}
		m.opts.Site.ServeHTTP(w, r)
		return
	}
	c := m.calls.Get().(*Call)
	c.begin(m, w, r)
	defer func() {
		c.end()
		m.calls.Put(c)
	}()
	if err := c.guarded(); err != nil {
		c.fail(err)
	}
}

// guarded serves a request and turns a panic into an internal error.
func (c *Call) guarded() (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if e, ok := v.(error); ok && errors.Is(e, http.ErrAbortHandler) {
			panic(v)
		}
		err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
	}()
	return c.serve()
}

func (c *Call) serve() error {
	if err := c.identify(); err != nil {
		return err
	}
	form, err := c.route()
	if err != nil {
		return err
	}
	if c.mux.opts.Auth == AuthSigV4 {
		if err := c.authenticate(); err != nil {
			return err
		}
	}
	if form {
		if err := c.routeForm(); err != nil {
			return err
		}
	}
	if raw := c.served.raw[c.op]; raw != nil {
		if _, ok := unescape(c.HTTP.URL.RawQuery, true); !ok {
			return serializationError("Malformed query string")
		}
		return raw(c)
	}
	if !c.Operation.Served || c.served.impl == nil {
		return ErrNotImplemented
	}
	in, err := c.input()
	if err != nil {
		return err
	}
	out, err := c.Service.Call(c.served.impl, c, c.op, in)
	if err != nil {
		return err
	}
	return c.reply(out)
}

// input decodes and checks the input of the operation; nil if it has none.
func (c *Call) input() (Struct, error) {
	in := c.Service.New(c.op)
	if in == nil {
		return nil, nil
	}
	if err := c.decode(in); err != nil {
		return nil, err
	}
	if c.Service.ValidationCode == "" {
		return in, nil
	}
	message := validate(in)
	if message == "" {
		return in, nil
	}
	if checker, ok := c.served.impl.(Checker); ok {
		if err := checker.Violated(c, in, message); err != nil {
			return nil, err
		}
	}
	return nil, &lambda.Error{Code: c.Service.ValidationCode, Message: message}
}

func (c *Call) decode(in Struct) (err error) {
	switch c.Protocol {
	case RestJSON:
		return c.decodeREST(in)
	case AWSQuery:
		c.Unknown, err = decodeQuery(c.params, in)
		return err
	}
	body, err := c.Body()
	if err != nil {
		return err
	}
	if c.Protocol == CBOR {
		c.Unknown, err = decodeCBOR(body, in)
	} else {
		c.Unknown, err = decodeJSON(body, in)
	}
	return err
}
