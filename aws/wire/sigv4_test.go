package wire_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	awslambda "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
)

const accessKey, secretKey = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

// signedMux answers Invoke with the account of the caller.
func signedMux(o wire.Options) *wire.Mux {
	o.Auth = wire.AuthSigV4
	if o.Credentials == nil {
		o.Credentials = map[string]wire.Credential{accessKey: {Secret: secretKey}}
	}
	m := wire.NewMux(o)
	awslambda.Register(m, awslambda.Unimplemented{}, map[string]wire.RawFunc{"Invoke": func(c *wire.Call) error {
		body, err := c.Body()
		if err != nil {
			return err
		}
		c.WriteHeader(http.StatusOK)
		_, err = fmt.Fprintf(c, "%s %s %d", c.Scope.Account, c.Scope.Region, len(body))
		return err
	}})
	return m
}

// signed returns a request signed by the SDK.
func signed(t *testing.T, method, target string, body []byte, at time.Time, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	sum := sha256.Sum256(body)
	credentials := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey}
	if err := v4.NewSigner().SignHTTP(context.Background(), credentials, r, hex.EncodeToString(sum[:]), "lambda", "eu-west-1", at); err != nil {
		t.Fatal(err)
	}
	r.RequestURI = r.URL.RequestURI()
	return r
}

func serve(m http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w
}

const invoke = "http://127.0.0.1:4566/2015-03-31/functions/f/invocations"

func TestSignature(t *testing.T) {
	m := signedMux(wire.Options{})
	body := []byte(`{"a":1}`)
	now := time.Now()
	for _, c := range []struct {
		name   string
		tamper func(r *http.Request)
		code   string // "": accepted
	}{
		{"as it was signed", func(r *http.Request) {}, ""},
		{"an unsigned header that means nothing", func(r *http.Request) { r.Header.Set("X-Amzn-Trace-Id", "Root=1") }, ""},
		{"another method", func(r *http.Request) { r.Method = "DELETE" }, "UnknownOperationException"},
		{"another path", func(r *http.Request) { r.URL.Path = strings.Replace(r.URL.Path, "/f/", "/g/", 1) }, "InvalidSignatureException"},
		{"another query", func(r *http.Request) { r.URL.RawQuery = "Qualifier=2" }, "InvalidSignatureException"},
		{"another body", func(r *http.Request) { r.Body = http.NoBody; r.ContentLength = 0 }, "InvalidSignatureException"},
		{"another host", func(r *http.Request) { r.Host = "evil.example" }, "InvalidSignatureException"},
		{"a signed header changed", func(r *http.Request) { r.Header.Set("X-Amz-Log-Type", "None") }, "InvalidSignatureException"},
		{"a signed header dropped", func(r *http.Request) { r.Header.Del("X-Amz-Log-Type") }, "InvalidSignatureException"},
		{"a header of AWS added", func(r *http.Request) { r.Header.Set("X-Amz-Invocation-Type", "Event") }, "InvalidSignatureException"},
		{"another time", func(r *http.Request) {
			r.Header.Set("X-Amz-Date", now.Add(time.Second).UTC().Format("20060102T150405Z"))
		}, "InvalidSignatureException"},
		{"a time that is none", func(r *http.Request) { r.Header.Set("X-Amz-Date", "today") }, "IncompleteSignatureException"},
		{"no signature", func(r *http.Request) { r.Header.Del("Authorization") }, "MissingAuthenticationTokenException"},
		{"another scheme", func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, "IncompleteSignatureException"},
		{"an unknown key", edit("Credential="+accessKey, "Credential=AKIDOTHER"), "UnrecognizedClientException"},
		{"another region", edit("/eu-west-1/", "/us-east-1/"), "InvalidSignatureException"},
		{"a broken scope", edit("/aws4_request", ""), "IncompleteSignatureException"},
		{"half a signature", edit("Signature=", "Signature=0"), "InvalidSignatureException"},
		{"a signature that is no hex", edit("Signature=", "Signature=xx"), "InvalidSignatureException"},
		{"no host among the signed headers", edit(";host;", ";"), "InvalidSignatureException"},
	} {
		r := signed(t, "POST", invoke, body, now, "X-Amz-Log-Type", "Tail", "Content-Type", "application/json")
		c.tamper(r)
		w := serve(m, r)
		if got := w.Header().Get("X-Amzn-ErrorType"); got != c.code || (w.Code == 200) != (c.code == "") {
			t.Errorf("%s: status %d, %q, want %q: %s", c.name, w.Code, got, c.code, w.Body)
		}
	}
}

func edit(from, to string) func(r *http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
	}
}

func TestSignatureTime(t *testing.T) {
	m := signedMux(wire.Options{})
	for _, c := range []struct {
		age  time.Duration
		want string
	}{
		{0, ""}, {4 * time.Minute, ""}, {-4 * time.Minute, ""},
		{6 * time.Minute, "Signature expired"}, {-6 * time.Minute, "Signature not yet current"}, {24 * time.Hour, "Signature expired"},
	} {
		w := serve(m, signed(t, "POST", invoke, nil, time.Now().Add(-c.age)))
		if (w.Code == 200) != (c.want == "") || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("age %v: status %d: %s", c.age, w.Code, w.Body)
		}
	}
}

func TestPresigned(t *testing.T) {
	m := signedMux(wire.Options{})
	presign := func(at time.Time, expires string) *http.Request {
		r := httptest.NewRequest("POST", invoke+"?Qualifier=a%2Fb&X-Amz-Expires="+expires, nil)
		empty := sha256.Sum256(nil)
		target, _, err := v4.NewSigner().PresignHTTP(context.Background(), aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey},
			r, hex.EncodeToString(empty[:]), "lambda", "eu-west-1", at)
		if err != nil {
			t.Fatal(err)
		}
		return httptest.NewRequest("POST", target, nil)
	}
	if w := serve(m, presign(time.Now().Add(-time.Hour), "3700")); w.Code != 200 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if w := serve(m, presign(time.Now().Add(-time.Hour), "3500")); !strings.Contains(w.Body.String(), "Signature expired") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if w := serve(m, presign(time.Now(), "604801")); w.Header().Get("X-Amzn-ErrorType") != "IncompleteSignatureException" {
		t.Errorf("more than a week: status %d: %s", w.Code, w.Body)
	}
	r := presign(time.Now(), "60")
	r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "Qualifier=a", "Qualifier=c", 1)
	if w := serve(m, r); w.Header().Get("X-Amzn-ErrorType") != "InvalidSignatureException" {
		t.Errorf("another query: status %d: %s", w.Code, w.Body)
	}
}

func TestCredentials(t *testing.T) {
	m := signedMux(wire.Options{Credentials: map[string]wire.Credential{accessKey: {Secret: secretKey, Account: "123456789012"}}})
	if w := serve(m, signed(t, "POST", invoke, []byte("abc"), time.Now())); w.Body.String() != "123456789012 eu-west-1 3" {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	m = signedMux(wire.Options{Credentials: map[string]wire.Credential{accessKey: {Secret: secretKey, Token: "t"}}})
	if w := serve(m, signed(t, "POST", invoke, nil, time.Now())); w.Header().Get("X-Amzn-ErrorType") != "UnrecognizedClientException" {
		t.Errorf("without the token: status %d: %s", w.Code, w.Body)
	}
	if w := serve(m, signed(t, "POST", invoke, nil, time.Now(), "X-Amz-Security-Token", "t")); w.Code != 200 {
		t.Errorf("with the token: status %d: %s", w.Code, w.Body)
	}
	m = signedMux(wire.Options{Credentials: map[string]wire.Credential{accessKey: {Secret: secretKey + "x"}}})
	if w := serve(m, signed(t, "POST", invoke, nil, time.Now())); w.Header().Get("X-Amzn-ErrorType") != "InvalidSignatureException" {
		t.Errorf("with another secret: status %d: %s", w.Code, w.Body)
	}
}

// TestSignatureCoversTheCompressedBody checks that a body is not unpacked before its
// signature is known to be good.
func TestSignatureCoversTheCompressedBody(t *testing.T) {
	m := signedMux(wire.Options{})
	packed := []byte(gzipped(t, strings.Repeat("x", 1000)))
	w := serve(m, signed(t, "POST", invoke, packed, time.Now(), "Content-Encoding", "gzip"))
	if w.Code != 200 || !strings.HasSuffix(w.Body.String(), " 1000") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	r := signed(t, "POST", invoke, packed, time.Now(), "Content-Encoding", "gzip")
	r.Body = http.NoBody
	r.ContentLength = 0
	if w := serve(m, r); w.Header().Get("X-Amzn-ErrorType") != "InvalidSignatureException" {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

// TestRandomSignatures signs random requests with the SDK; of some a byte is changed.
func TestRandomSignatures(t *testing.T) {
	m := signedMux(wire.Options{})
	rng := rand.New(rand.NewPCG(1, 2))
	text := func(alphabet string, n int) string {
		runes := []rune(alphabet)
		out := make([]rune, 1+rng.IntN(n))
		for i := range out {
			out[i] = runes[rng.IntN(len(runes))]
		}
		return string(out)
	}
	const alphabet = "abcXYZ019-_.~ !*'()/:@&=+$,;?#[]%\"<>|é€😀"
	for n := range 2000 {
		query := url.Values{}
		for range rng.IntN(4) {
			key := text("abcXYZ019-_.", 6)
			for range 1 + rng.IntN(2) {
				query.Add(key, text(alphabet, 12))
			}
		}
		target := "http://127.0.0.1:4566/2015-03-31/functions/" + url.PathEscape(text(alphabet, 20)) + "/invocations?" + query.Encode()
		body := make([]byte, rng.IntN(64))
		for i := range body {
			body[i] = byte(rng.Uint32())
		}
		r := signed(t, "POST", target, body, time.Now(), "X-Amz-Log-Type", "  a   b "+text("ab ", 10), "Content-Type", "application/json")
		want := 200
		if n%10 == 0 {
			want = 403
			if len(body) > 0 && n%20 == 0 {
				body[rng.IntN(len(body))] ^= 1
			} else {
				r.Header.Set("X-Amz-Log-Type", "c"+r.Header.Get("X-Amz-Log-Type"))
			}
		}
		if w := serve(m, r); w.Code != want {
			t.Fatalf("request %d: status %d, want %d: %s %v: %s", n, w.Code, want, r.URL, r.Header, w.Body)
		}
	}
}

func BenchmarkSigV4(b *testing.B) {
	m := signedMux(wire.Options{})
	var t testing.T
	body := make([]byte, 1024)
	r := signed(&t, "POST", invoke+"?Qualifier=prod", body, time.Now(), "Content-Type", "application/json")
	p := &replay{r: r, body: bytes.NewReader(body), text: body}
	r.Body = http.NoBody
	r.Body = struct {
		*bytes.Reader
		nopCloser
	}{p.body, nopCloser{}}
	benchmark(b, m, p)
}

type nopCloser struct{}

func (nopCloser) Close() error { return nil }
