//go:build e2e

package e2e

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// writeKeys writes a file of credentials.
func writeKeys(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const keys = `# the keys of the suite
AKIAEXAMPLE  open-sesame
111122223333 another # names its account
`

func TestSigV4(t *testing.T) {
	t.Parallel()
	s := start(t, "-auth", "sigv4", "-credentials", writeKeys(t, keys))
	once := func(o *lambda.Options) { o.Retryer = aws.NopRetryer{} }
	for _, c := range []struct{ name, key, secret, want string }{
		{"good", "AKIAEXAMPLE", "open-sesame", ""},
		{"good, of an account", "111122223333", "another", ""},
		{"wrong secret", "AKIAEXAMPLE", "another", "InvalidSignatureException"},
		{"unknown key", "AKIANOBODY", "open-sesame", "UnrecognizedClientException"},
	} {
		_, err := client(s.url, c.key, c.secret, once).ListFunctions(t.Context(), &lambda.ListFunctionsInput{})
		if code(err) != c.want || c.want == "" && err != nil {
			t.Errorf("%s: %v, want code %q", c.name, err, c.want)
		}
	}
	resp, err := http.Get(s.url + "/2015-03-31/functions")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if kind := resp.Header.Get("X-Amzn-Errortype"); resp.StatusCode != http.StatusForbidden || kind != "MissingAuthenticationTokenException" {
		t.Errorf("without a signature: %s, %s", resp.Status, kind)
	}
	if _, err := s.health(); err != nil {
		t.Errorf("health needs no signature: %v", err)
	}
}

// TestInside lets functions call weir itself, signed with what they find in their environment.
func TestInside(t *testing.T) {
	t.Parallel()
	for _, auth := range []struct {
		name  string
		flags []string
	}{
		{"sigv4", []string{"-auth", "sigv4", "-credentials", writeKeys(t, keys)}},
		{"none", nil},
	} {
		s := start(t, auth.flags...)
		a := &account{client(s.url, "111122223333", "another"), "111122223333"}
		for _, l := range []language{golang, python} {
			t.Run(auth.name+" "+l.name, func(t *testing.T) {
				l.on(t)
				a.create(t, function{name: l.name, language: l, timeout: 30, memory: 1769, reserved: aws.Int32(17)})
				var got any
				a.do(t, l.name, map[string]string{"do": "reserved", "name": l.name}, &got)
				if text, ok := got.(string); ok {
					need(t, !strings.Contains(text, "No module named"), "the function's Python has no boto3: %s", text)
				}
				if got != 17.0 {
					t.Errorf("inside, what is reserved is %v", got)
				}
				var variables map[string]string
				a.do(t, l.name, map[string]string{"do": "environment"}, &variables)
				if auth.name == "sigv4" {
					isolatedKey(t, s.url, variables)
				}
			})
		}
	}
}

// isolatedKey checks that a function's key is one of its own, which is good for its account.
func isolatedKey(t testing.TB, url string, variables map[string]string) {
	t.Helper()
	id, secret := variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"]
	if id == "111122223333" || secret == "another" || !strings.HasPrefix(id, "ASIA") {
		t.Errorf("the function has the key %s", id)
	}
	c := lambda.New(lambda.Options{
		Region: region, BaseEndpoint: &url,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: variables["AWS_SESSION_TOKEN"]}, nil
		}),
	})
	list, err := c.ListFunctions(t.Context(), &lambda.ListFunctionsInput{})
	if err != nil || len(list.Functions) == 0 || !strings.Contains(*list.Functions[0].FunctionArn, ":111122223333:") {
		t.Errorf("with the function's key: %v, %v", list, err)
	}
}

// TestBeyondLoopback checks that nobody else can reach a server that believes everybody.
func TestBeyondLoopback(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.7:0", "example.com:0"} {
		refused(t, 2, "that needs -auth sigv4", "-listen", address, "-data", t.TempDir())
	}
	refused(t, 2, "needs -credentials", "-auth", "sigv4", "-data", t.TempDir())
	refused(t, 2, "holds no credentials", "-auth", "sigv4", "-credentials", writeKeys(t, "# none\n"), "-data", t.TempDir())
	refused(t, 2, "a key id and a secret", "-auth", "sigv4", "-credentials", writeKeys(t, "AKIAEXAMPLE\n"), "-data", t.TempDir())
	refused(t, 2, "no such file", "-auth", "sigv4", "-credentials", "missing", "-data", t.TempDir())

	s := start(t, "-listen", "0.0.0.0:0", "-auth", "sigv4", "-credentials", writeKeys(t, keys))
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = client("http://127.0.0.1:"+port, "AKIAEXAMPLE", "open-sesame").ListFunctions(t.Context(), &lambda.ListFunctionsInput{})
	if err != nil {
		t.Error(err)
	}
}
