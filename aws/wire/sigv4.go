package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weir-run/weir/lambda"
)

const (
	sigV4      = "AWS4-HMAC-SHA256"
	sigV4Time  = "20060102T150405Z"
	clockSkew  = 5 * time.Minute
	maxExpires = 7 * 24 * time.Hour // of a presigned URL

	// maxKeys bounds the cache of signing keys: one for each key, day, region and service.
	maxKeys = 1024
)

// A Credential is what belongs to an access key id.
type Credential struct {
	Secret  string
	Account string // owner of the resources; empty: as without signatures
	Token   string // session token that the request must carry; empty: none
}

// An authorization is what a request says of its signature.
type authorization struct {
	present   bool // there is one, however malformed
	key       string
	date      string // of the scope: 20261121
	region    string
	service   string
	signed    string // names of the signed headers, separated by semicolons
	signature string

	presigned bool
	time      string
	expires   string
	token     string
}

// parseAuthorization reads the Authorization header, or the parameters of a presigned
// URL. Whatever is missing stays empty; authenticate decides about that.
func parseAuthorization(r *http.Request) (a authorization) {
	if header := r.Header["Authorization"]; len(header) > 0 {
		a.present = true
		rest, ok := strings.CutPrefix(header[0], sigV4)
		if !ok {
			return a
		}
		for rest != "" {
			var part string
			part, rest, _ = strings.Cut(rest, ",")
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch name {
			case "Credential":
				a.scope(value)
			case "SignedHeaders":
				a.signed = value
			case "Signature":
				a.signature = value
			}
		}
		return a
	}
	if strings.Contains(r.URL.RawQuery, "X-Amz-Algorithm="+sigV4) {
		a.presignedURL(r.URL.RawQuery)
	}
	return a
}

func (a *authorization) scope(s string) {
	parts := [5]string{}
	for i := range parts {
		parts[i], s, _ = strings.Cut(s, "/")
	}
	if s == "" && parts[4] == "aws4_request" {
		a.key, a.date, a.region, a.service = parts[0], parts[1], parts[2], parts[3]
	}
}

func (a *authorization) presignedURL(query string) {
	a.present, a.presigned = true, true
	pairs, _ := parseForm(nil, query)
	for _, p := range pairs {
		switch p.key {
		case "X-Amz-Credential":
			a.scope(p.value)
		case "X-Amz-SignedHeaders":
			a.signed = p.value
		case "X-Amz-Signature":
			a.signature = p.value
		case "X-Amz-Date":
			a.time = p.value
		case "X-Amz-Expires":
			a.expires = p.value
		case "X-Amz-Security-Token":
			a.token = p.value
		}
	}
}

// authenticate checks everything about a signature but the signature itself, and then
// that: it reads the body only for a caller whose key is known.
func (c *Call) authenticate() error {
	a := &c.auth
	switch {
	case !a.present:
		return lambda.Errorf("MissingAuthenticationTokenException", "Missing Authentication Token")
	case a.key == "" || a.signed == "" || a.signature == "":
		return lambda.Errorf("IncompleteSignatureException",
			"Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters of %s", sigV4)
	}
	credential, ok := c.mux.opts.Credentials[a.key]
	if !a.presigned {
		a.time = c.HTTP.Header.Get("X-Amz-Date")
		a.token = c.HTTP.Header.Get("X-Amz-Security-Token")
	}
	if !ok || subtle.ConstantTimeCompare([]byte(credential.Token), []byte(a.token)) == 0 && credential.Token != "" {
		return lambda.Errorf("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if credential.Account != "" {
		c.Scope.Account = credential.Account
	}
	if err := a.checkTime(time.Now()); err != nil {
		return err
	}
	if err := checkSigned(c.HTTP, a.signed); err != nil {
		return err
	}
	_, err := c.Body()
	return err
}

func (a *authorization) checkTime(now time.Time) error {
	t, err := time.Parse(sigV4Time, a.time)
	if err != nil || a.time[:8] != a.date {
		return lambda.Errorf("IncompleteSignatureException",
			"Date must be in the form %s and agree with the scope of 'Credential'", "YYYYMMDD'T'HHMMSS'Z'")
	}
	early, late := t.Add(-clockSkew), t.Add(clockSkew)
	if a.presigned {
		seconds, err := strconv.Atoi(a.expires)
		if err != nil || seconds < 0 || time.Duration(seconds)*time.Second > maxExpires {
			return lambda.Errorf("IncompleteSignatureException", "X-Amz-Expires must be a number of seconds up to one week")
		}
		late = t.Add(time.Duration(seconds) * time.Second)
	}
	stamp := now.UTC().Format(sigV4Time)
	switch {
	case now.Before(early):
		return lambda.Errorf("InvalidSignatureException", "Signature not yet current: %s is still later than %s", a.time, stamp)
	case now.After(late):
		return lambda.Errorf("InvalidSignatureException", "Signature expired: %s is now earlier than %s", a.time, stamp)
	}
	return nil
}

// checkSigned refuses headers that change what a request means and are not signed.
func checkSigned(r *http.Request, signed string) error {
	if !hasSigned(signed, "host") {
		return lambda.Errorf("InvalidSignatureException", "'Host' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-") && name != "X-Amz-Security-Token" && !hasSigned(signed, name) {
			return lambda.Errorf("InvalidSignatureException", "The header '%s' must be signed.", name)
		}
	}
	return nil
}

func hasSigned(signed, name string) bool {
	for s := range strings.SplitSeq(signed, ";") {
		if strings.EqualFold(s, name) {
			return true
		}
	}
	return false
}

// verify computes the signature of a request with this body and compares it.
func (m *Mux) verify(c *Call, body []byte) error {
	a, r := &c.auth, c.HTTP
	sum := sha256.Sum256(body)
	hash := hex.AppendEncode(make([]byte, 0, 2*sha256.Size), sum[:])
	if given := r.Header["X-Amz-Content-Sha256"]; len(given) > 0 && given[0] != string(hash) {
		return signatureMismatch()
	}
	buf := make([]byte, 0, 1024)
	buf = appendCanonical(buf, r, a, hash)
	sum = sha256.Sum256(buf)
	buf = append(append(buf[:0], sigV4...), '\n')
	buf = append(append(buf, a.time...), '\n')
	buf = append(append(append(buf, a.date...), '/'), a.region...)
	buf = append(append(append(buf, '/'), a.service...), "/aws4_request\n"...)
	buf = hex.AppendEncode(buf, sum[:])

	name := keyName{a.key, a.date, a.region, a.service}
	key, cached := m.keys.get(name)
	if !cached {
		key = signingKey(a, m.opts.Credentials[a.key].Secret)
	}
	mac := hmac.New(sha256.New, key[:])
	mac.Write(buf)
	got, err := hex.DecodeString(a.signature)
	if err != nil || !hmac.Equal(got, mac.Sum(buf[:0])) {
		return signatureMismatch()
	}
	if !cached {
		m.keys.put(name, key) // only now: a stranger must not fill the cache
	}
	return nil
}

func signatureMismatch() error {
	return lambda.Errorf("InvalidSignatureException", "The request signature we calculated does not match the signature you provided. "+
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
}

// appendCanonical writes the canonical request.
func appendCanonical(b []byte, r *http.Request, a *authorization, hash []byte) []byte {
	b = append(append(b, r.Method...), '\n')
	if path := r.URL.EscapedPath(); path == "" {
		b = append(b, '/')
	} else {
		b = appendURIEncoded(b, path, true) // once more: the path was sent encoded
	}
	b = appendCanonicalQuery(append(b, '\n'), r.URL.RawQuery)
	b = append(b, '\n')
	for name := range strings.SplitSeq(a.signed, ";") {
		b = append(append(b, name...), ':')
		switch name {
		case "host":
			b = append(b, r.Host...)
		case "content-length":
			b = strconv.AppendInt(b, r.ContentLength, 10)
		default:
			for i, value := range r.Header[http.CanonicalHeaderKey(name)] {
				if i > 0 {
					b = append(b, ',')
				}
				b = appendCollapsed(b, value)
			}
		}
		b = append(b, '\n')
	}
	b = append(append(append(b, '\n'), a.signed...), '\n')
	return append(b, hash...)
}

// appendCollapsed writes a header value with runs of blanks as one.
func appendCollapsed(b []byte, s string) []byte {
	s = strings.TrimSpace(s)
	for i := range len(s) {
		if s[i] != ' ' || s[i-1] != ' ' {
			b = append(b, s[i])
		}
	}
	return b
}

// appendCanonicalQuery writes the parameters, encoded and in order of their names, without
// the signature itself.
func appendCanonicalQuery(b []byte, query string) []byte {
	if query == "" {
		return b
	}
	pairs, ok := parseForm(nil, query)
	if !ok {
		return append(b, query...)
	}
	for i := range pairs {
		p := &pairs[i]
		p.key = string(appendURIEncoded(nil, p.key, false))
		p.value = string(appendURIEncoded(nil, p.value, false))
	}
	slices.SortFunc(pairs, func(x, y formPair) int {
		if n := strings.Compare(x.key, y.key); n != 0 {
			return n
		}
		return strings.Compare(x.value, y.value)
	})
	first := true
	for _, p := range pairs {
		if p.key == "X-Amz-Signature" {
			continue
		}
		if !first {
			b = append(b, '&')
		}
		b = append(append(append(b, p.key...), '='), p.value...)
		first = false
	}
	return b
}

// appendURIEncoded encodes every byte that is not unreserved in RFC 3986.
func appendURIEncoded(b []byte, s string, path bool) []byte {
	const upper = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '-', c == '_', c == '.', c == '~', path && c == '/':
			b = append(b, c)
		default:
			b = append(b, '%', upper[c>>4], upper[c&15])
		}
	}
	return b
}

// A keyCache remembers signing keys: four of the five HMACs of a signature depend only on
// the secret, the day, the region and the service.
type keyCache struct {
	mu struct {
		sync.Mutex
		keys map[keyName][sha256.Size]byte
	}
}

type keyName struct{ key, date, region, service string }

func (k *keyCache) get(name keyName) (key [sha256.Size]byte, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok = k.mu.keys[name]
	return key, ok
}

func (k *keyCache) put(name keyName, key [sha256.Size]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.keys == nil || len(k.mu.keys) >= maxKeys {
		k.mu.keys = make(map[keyName][sha256.Size]byte)
	}
	// The parts are pieces of a header; they must not keep it alive.
	name = keyName{strings.Clone(name.key), strings.Clone(name.date), strings.Clone(name.region), strings.Clone(name.service)}
	k.mu.keys[name] = key
}

func signingKey(a *authorization, secret string) (key [sha256.Size]byte) {
	k := []byte("AWS4" + secret)
	for _, part := range [...]string{a.date, a.region, a.service, "aws4_request"} {
		mac := hmac.New(sha256.New, k)
		mac.Write([]byte(part))
		k = mac.Sum(nil)
	}
	copy(key[:], k)
	return key
}
