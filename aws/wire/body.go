package wire

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"

	"github.com/weir-run/weir/lambda"
)

const (
	// DefaultMaxBody bounds the bytes of a request's body, compressed or not, where the
	// overlay gives no other number. It is the quota of a synchronous invocation.
	DefaultMaxBody = lambda.MaxSyncRequest
	// maxForm bounds a form: its operation is known only after it is read. It holds SQS's
	// largest batch with every byte escaped.
	maxForm = 4 << 20
	// eagerBody is how many bytes of a body are allocated because a client announces them.
	// Beyond that memory grows with the bytes that arrive.
	eagerBody = 8 << 20
)

func (c *Call) limit() int64 {
	switch {
	case c.Operation == nil:
		return maxForm
	case c.Operation.MaxBody > 0:
		return c.Operation.MaxBody
	}
	return DefaultMaxBody
}

// Body returns the body of the request, uncompressed. One that is larger than the
// operation allows is a RequestEntityTooLargeException. The signature, if it is checked
// at all, covers the compressed bytes.
func (c *Call) Body() ([]byte, error) {
	if c.bodyRead {
		return c.body, nil
	}
	limit := c.limit()
	raw, fits, err := readAll(c.HTTP.Body, c.HTTP.ContentLength, limit)
	switch {
	case err != nil:
		return nil, lambda.Errorf("RequestTimeoutException", "The body could not be read: %v", err)
	case !fits:
		return nil, c.tooLarge(limit)
	}
	if c.mux.opts.Auth == AuthSigV4 {
		if err := c.mux.verify(c, raw); err != nil {
			return nil, err
		}
	}
	if encoding := c.HTTP.Header["Content-Encoding"]; len(encoding) > 0 && len(raw) > 0 {
		if raw, err = c.inflate(raw, encoding, limit); err != nil {
			return nil, err
		}
	}
	c.body, c.bodyRead = raw, true
	return raw, nil
}

func (c *Call) inflate(raw []byte, encoding []string, limit int64) ([]byte, error) {
	if len(encoding) != 1 || !strings.EqualFold(encoding[0], "gzip") {
		return nil, lambda.Errorf("UnsupportedMediaTypeException", "Content-Encoding %s is not supported",
			strings.Join(encoding, ", "))
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, serializationError("The body is not gzip")
	}
	body, fits, err := readAll(z, -1, limit)
	switch {
	case !fits:
		return nil, c.tooLarge(limit)
	case err != nil:
		return nil, serializationError("The body is not gzip")
	}
	return body, nil
}

func (c *Call) tooLarge(limit int64) error {
	name := "request"
	if c.Operation != nil {
		name = c.Operation.title()
	}
	return lambda.Errorf("RequestEntityTooLargeException",
		"Request must be smaller than %d bytes for the %s operation", limit, name)
}

// readAll reads at most limit bytes of r; size is their number, or -1 if that is not
// known. It reports false if there are more.
func readAll(r io.Reader, size, limit int64) ([]byte, bool, error) {
	if size > limit {
		return nil, false, nil
	}
	if size < 0 || size > eagerBody {
		b, err := io.ReadAll(io.LimitReader(r, limit+1))
		return b, int64(len(b)) <= limit, err
	}
	b := make([]byte, size)
	_, err := io.ReadFull(r, b)
	return b, true, err
}
