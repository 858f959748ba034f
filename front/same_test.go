package front

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What arrives on a connection, and whether net/http serves the connection from some request on.
var conversations = []struct {
	name   string
	sent   string
	handed bool
}{
	{"short", "POST /call/f?Qualifier=1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 2\r\nX-Amz-Log-Type: Tail\r\n\r\n{}", false},
	{"short names in any case", "POST /call HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nx-echo: \t b \r\nACCEPT: */*\r\n\r\n{}", false},
	{"field twice", "POST /call HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-B: 0\r\nX-A: 2\r\nX-a: 3\r\nContent-Length: 0\r\n\r\n", false},
	{"empty field", "POST /call HTTP/1.1\r\nHost: a\r\nX-A:\r\nContent-Length: 0\r\n\r\n", false},
	{"no length", "POST /call HTTP/1.1\r\nHost: a\r\n\r\n", false},
	{"keep-alive", "POST /call HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", false},
	{"escaped path", "POST /call/arn%3Aaws%3Alambda/x?a=%20&b HTTP/1.1\r\nHost: a\r\n\r\n", false},
	{"pipelined", strings.Repeat("POST /call HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 3), false},
	{"short body missing", "POST /call HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na", false},
	{"nothing", "", false},
	{"half a line", "POST /ca", true},

	{"a byte behind", "POST /call HTTP/1.1\r\nHost: a\r\n\r\n0", false},
	{"line ends behind", strings.Repeat("POST /call HTTP/1.1\r\nHost: a\r\n\r\n\r\n\n", 2), false},
	{"bytes behind", "POST /call HTTP/1.1\r\nHost: a\r\n\r\nPOST ", true},
	{"another path", "POST /other HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", true},
	{"another method", "GET /call HTTP/1.1\r\nHost: a\r\n\r\n", true},
	{"mixed", "POST /call HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /call HTTP/1.1\r\nHost: a\r\n\r\n", true},
	{"close", "POST /call HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nPOST /call HTTP/1.1\r\nHost: a\r\n\r\n", true},
	{"chunked", "POST /call HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", true},
	{"length and chunked", "POST /call HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true},
	{"expect", "POST /call HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", true},
	{"HTTP/1.0", "POST /call HTTP/1.0\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", true},
	{"HTTP/3.0", "POST /call HTTP/3.0\r\nHost: a\r\n\r\n", true},
	{"two lengths", "POST /call HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", true},
	{"the same length twice", "POST /call HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}", true},
	{"signed length", "POST /call HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}", true},
	{"list of lengths", "POST /call HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\n{}", true},
	{"empty length", "POST /call HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n{}", true},
	{"large body", "POST /call HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n" + strings.Repeat("x", 1<<20+1), true},
	{"no host", "POST /call HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", true},
	{"two hosts", "POST /call HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", true},
	{"bad host", "POST /call HTTP/1.1\r\nHost: a/b\r\n\r\n", true},
	{"absolute target", "POST http://b/call HTTP/1.1\r\nHost: a\r\n\r\n", true},
	{"bad escape", "POST /call%zz HTTP/1.1\r\nHost: a\r\n\r\n", true},
	{"fragment", "POST /call#a HTTP/1.1\r\nHost: a\r\n\r\n", false},
	{"space in target", "POST /call a HTTP/1.1\r\nHost: a\r\n\r\n", true},
	{"line feeds only", "POST /call HTTP/1.1\nHost: a\nContent-Length: 2\n\n{}", true},
	{"line feeds but for the last line", "POST /call HTTP/1.1\nHost: a\nContent-Length: 2\n\r\n{}", true},
	{"a line feed among others", "POST /call HTTP/1.1\r\nHost: a\nX-A: 1\r\nContent-Length: 2\r\n\r\n{}", true},
	{"folded field", "POST /call HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n 2\r\n\r\n", true},
	{"space before the colon", "POST /call HTTP/1.1\r\nHost: a\r\nContent-Length : 2\r\n\r\n{}", true},
	{"no colon", "POST /call HTTP/1.1\r\nHost: a\r\nX-A\r\n\r\n", true},
	{"no name", "POST /call HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", true},
	{"control character", "POST /call HTTP/1.1\r\nHost: a\r\nX-A: a\x01b\r\n\r\n", true},
	{"carriage return in a field", "POST /call HTTP/1.1\r\nHost: a\r\nX-A: a\rb\r\n\r\n", true},
	{"empty line first", "\r\nPOST /call HTTP/1.1\r\nHost: a\r\n\r\n", true},
	{"large head", "POST /call HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("x", 20<<10) + "\r\n\r\n", true},
	{"garbage", "\x16\x03\x01\x02\x00\x01", true},
}

// TestSameAsNetHTTP holds that a client cannot tell a Server from net/http.
func TestSameAsNetHTTP(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(tell))
	defer plain.Close()
	for _, c := range conversations {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, tell)
			got, want := exchange(t, s.url, c.sent), exchange(t, plain.Listener.Addr().String(), c.sent)
			if got != want {
				t.Errorf("it answers\n%s\nnet/http\n%s", got, want)
			}
			if handed := s.handed.Load() > 0; handed != c.handed {
				t.Errorf("handed over: %v", handed)
			}
		})
	}
}

// FuzzSameAsNetHTTP looks for bytes that are understood in another way than by net/http.
func FuzzSameAsNetHTTP(f *testing.F) {
	for _, c := range conversations {
		if len(c.sent) < 4096 {
			f.Add(c.sent)
		}
	}
	plain := httptest.NewServer(http.HandlerFunc(tell))
	defer plain.Close()
	s := serve(f, tell)
	f.Fuzz(func(t *testing.T, sent string) {
		if got, want := exchange(t, s.url, sent), exchange(t, plain.Listener.Addr().String(), sent); got != want {
			t.Errorf("it answers\n%s\nnet/http\n%s", got, want)
		}
	})
}
