package wire

import (
	"net/http"
	"strings"

	"github.com/weir-run/weir/lambda"
)

// maxRegion bounds the length of a region's name in bytes.
const maxRegion = 32

// identify finds out who calls and for which region, as far as the request says. The
// signature is another matter.
func (c *Call) identify() error {
	c.auth = parseAuthorization(c.HTTP)
	c.AccessKey = c.auth.key
	c.Scope = lambda.Scope{Account: c.mux.opts.Account, Region: c.auth.region}
	if lambda.IsAccount(c.AccessKey) {
		c.Scope.Account = c.AccessKey
	}
	if c.Scope.Region == "" {
		if _, c.Scope.Region = awsHost(c.HTTP.Host); c.Scope.Region == "" {
			c.Scope.Region = c.mux.opts.Region
		}
	}
	if !isRegion(c.Scope.Region) {
		return lambda.Errorf("IncompleteSignatureException", "'%s' is not a region", c.Scope.Region)
	}
	return nil
}

// isRegion keeps out of names, keys and ARNs what no region contains.
func isRegion(s string) bool {
	return len(s) <= maxRegion && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// awsHost splits a host such as lambda.us-east-1.amazonaws.com, which a client uses that
// reaches weir through a proxy.
func awsHost(host string) (service, region string) {
	name, _, ok := strings.Cut(host, ".amazonaws.com")
	if !ok {
		return "", ""
	}
	service, region, _ = strings.Cut(name, ".")
	if i := strings.LastIndexByte(region, '.'); i >= 0 {
		region = region[i+1:] // streams.dynamodb.us-east-1
	}
	return service, region
}

// route finds the service, the operation and the protocol. It reports true for a form,
// whose operation is named in its body.
func (c *Call) route() (form bool, err error) {
	r := c.HTTP
	c.Protocol = RestJSON
	if target := r.Header["X-Amz-Target"]; len(target) > 0 {
		return false, c.routeTarget(target[0])
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/service/"); ok && len(r.Header["Smithy-Protocol"]) > 0 {
		return false, c.routeRPC(rest)
	}
	candidates := c.candidates()
	path := strings.Trim(r.URL.EscapedPath(), "/")
	for _, s := range candidates {
		if s.Protocols&RestJSON == 0 {
			continue
		}
		op, labels := s.routes.find(r.Method, path, r.URL.RawQuery, c.labelBuf[:0])
		if op >= 0 {
			c.labels = labels
			c.use(s, op, RestJSON)
			return false, nil
		}
	}
	if r.Method == http.MethodPost && isForm(r.Header["Content-Type"]) || hasKey(r.URL.RawQuery, "Action") {
		c.Protocol = AWSQuery
		return true, nil
	}
	return false, c.unknown(candidates)
}

func (c *Call) use(s *served, op int, p Protocol) {
	c.served, c.Service, c.op, c.Operation, c.Protocol = s, s.Service, op, &s.Operations[op], p
}

// candidates returns the services that the credential scope or the host names, or all.
func (c *Call) candidates() []*served {
	if c.auth.service != "" {
		return c.mux.bySigning[c.auth.service]
	}
	if service, _ := awsHost(c.HTTP.Host); service != "" {
		return c.mux.byEndpoint[service]
	}
	return c.mux.services
}

// unknown says what it is that weir does not know.
func (c *Call) unknown(candidates []*served) error {
	r := c.HTTP
	if len(candidates) == 0 {
		service := c.auth.service
		if service == "" {
			service, _ = awsHost(r.Host)
		}
		return lambda.Errorf(codeUnknownOperation, "weir does not serve the service '%s'", service)
	}
	if len(candidates) == 1 {
		c.Service = candidates[0].Service
	}
	return lambda.Errorf(codeUnknownOperation, "%s %s is not an operation that weir knows", r.Method, r.URL.Path)
}

// routeTarget routes awsJson: X-Amz-Target is the service's target prefix, a dot, and the
// operation.
func (c *Call) routeTarget(target string) error {
	prefix, name, _ := strings.Cut(target, ".")
	c.Protocol = JSON10
	s := c.mux.byTarget[prefix]
	if s != nil {
		c.Service = s.Service
		c.Protocol = s.Protocols & (JSON10 | JSON11)
	}
	if ctype := c.HTTP.Header["Content-Type"]; len(ctype) > 0 {
		switch mediaType(ctype[0]) {
		case json10Type[0]:
			c.Protocol = JSON10
		case json11Type[0]:
			c.Protocol = JSON11
		case "application/x-amz-cbor-1.1":
			c.Protocol = JSON11
			return lambda.Errorf("UnsupportedMediaTypeException",
				"weir does not read application/x-amz-cbor-1.1; set AWS_CBOR_DISABLE=true in the client's environment")
		}
	}
	if s == nil {
		return lambda.Errorf(codeUnknownOperation, "weir does not serve the X-Amz-Target '%s'", target)
	}
	return c.useNamed(s, name, c.Protocol, JSON10|JSON11)
}

// useNamed chooses an operation by its name, if the service speaks one of the protocols.
func (c *Call) useNamed(s *served, name string, p, oneOf Protocol) error {
	c.Service, c.Protocol = s.Service, p
	if s.Protocols&oneOf == 0 {
		return lambda.Errorf(codeUnknownOperation, "%s does not speak %s", s.ID, p)
	}
	op := s.operation(name)
	if op < 0 {
		return lambda.Errorf(codeUnknownOperation, "%s has no operation '%s'", s.ID, name)
	}
	c.use(s, op, p)
	return nil
}

// routeRPC routes rpc-v2-cbor: /service/<target>/operation/<name>.
func (c *Call) routeRPC(rest string) error {
	c.Protocol = CBOR
	target, name, ok := strings.Cut(rest, "/operation/")
	if protocol := c.HTTP.Header["Smithy-Protocol"][0]; protocol != smithyCBOR[0] || !ok {
		return lambda.Errorf(codeUnknownOperation, "weir does not speak the protocol '%s' at %s", protocol, c.HTTP.URL.Path)
	}
	// The name may be qualified with the name space of the model.
	if i := strings.LastIndexByte(target, '.'); i >= 0 {
		target = target[i+1:]
	}
	s := c.mux.byTarget[target]
	if s == nil {
		return lambda.Errorf(codeUnknownOperation, "weir does not serve the service '%s'", target)
	}
	return c.useNamed(s, name, CBOR, CBOR)
}

// routeForm routes awsQuery by the Action of the form, or of the query string.
func (c *Call) routeForm() error {
	body, err := c.Body()
	if err != nil {
		return err
	}
	var ok1, ok2 bool
	c.params, ok1 = parseForm(c.params[:0], c.HTTP.URL.RawQuery)
	c.params, ok2 = parseForm(c.params, string(body))
	if !ok1 || !ok2 {
		return serializationError("Malformed form")
	}
	var action, version string
	for _, p := range c.params {
		switch p.key {
		case "Action":
			action = p.value
		case "Version":
			version = p.value
		}
	}
	candidates := c.candidates()
	for _, s := range candidates {
		if s.Protocols&AWSQuery == 0 || len(candidates) > 1 && (s.Version != version || s.operation(action) < 0) {
			continue
		}
		return c.useNamed(s, action, AWSQuery, AWSQuery)
	}
	if len(candidates) == 0 {
		return c.unknown(candidates)
	}
	return lambda.Errorf(codeUnknownOperation, "No service has the Action '%s' in Version '%s' of the query protocol", action, version)
}

func isForm(ctype []string) bool {
	return len(ctype) > 0 && mediaType(ctype[0]) == "application/x-www-form-urlencoded"
}

// mediaType returns a content type without its parameters.
func mediaType(ctype string) string {
	name, _, _ := strings.Cut(ctype, ";")
	return strings.ToLower(strings.TrimSpace(name))
}

func hasKey(query, key string) bool {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if k, _, _ := strings.Cut(pair, "="); k == key {
			return true
		}
	}
	return false
}
