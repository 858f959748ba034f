package front

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const short = "POST /call HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"

// TestAnswers holds what becomes of what a handler writes.
func TestAnswers(t *testing.T) {
	large := strings.Repeat("0123456789", 100_000)
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"nothing", func(http.ResponseWriter, *http.Request) {}, "200 0"},
		{"a status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202); w.WriteHeader(500) }, "202 0"},
		{"no content", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(204)
			if _, err := io.WriteString(w, "a"); err != http.ErrBodyNotAllowed {
				t.Error(err)
			}
		}, "204 0"},
		{"pieces", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "<p>")
			w.Header().Set("X-A", "late")
			io.WriteString(w, "a")
		}, "200 4 text/html; charset=utf-8 <p>a"},
		{"pieces of a known length", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{"a/b"}
			w.Header().Set("Content-Length", "2")
			io.WriteString(w, "a")
			io.WriteString(w, "b")
			if _, err := io.WriteString(w, "c"); err != http.ErrContentLength {
				t.Error(err)
			}
		}, "200 2 a/b ab"},
		{"large", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{"a/b"}
			w.Header().Set("Content-Length", "1000000")
			io.WriteString(w, large)
		}, "200 1000000 a/b " + large},
		{"two lines in a field", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-A", "1\r\nX-B: 2\r\n\r\n")
		}, "200 0 1  X-B: 2"},
		{"wrong length", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "b")
			w.Header()["Content-Type"] = []string{"a/b"}
			io.WriteString(w, "a")
		}, "200 1 a/b a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.handler)
			got := dial(t, s)
			for range 2 { // the body that nobody read is not in the way
				if answer := got(short); answer != c.want {
					t.Errorf("got %.100q, want %.100q", answer, c.want)
				}
			}
		})
	}
}

// dial returns a function that has a connection's requests answered one by one.
func dial(t *testing.T, s *served) func(sent string) string {
	t.Helper()
	nc, err := net.Dial("tcp", s.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(nc)
	return func(sent string) string {
		if _, err := io.WriteString(nc, sent); err != nil {
			return err.Error()
		}
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			return err.Error()
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return err.Error()
		}
		words := []string{r.Status[:3], r.Header.Get("Content-Length"), r.Header.Get("Content-Type"), r.Header.Get("X-A"), string(b)}
		if words[1] == "" {
			words[1] = "0"
		}
		return strings.Join(strings.FieldsFunc(strings.Join(words, "\x00"), func(c rune) bool { return c == 0 }), " ")
	}
}

// TestTooLittle holds that a client is not left waiting for what a handler promised.
func TestTooLittle(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "3")
		io.WriteString(w, "ab")
	})
	if got := dial(t, s)(short); got != io.ErrUnexpectedEOF.Error() {
		t.Errorf("got %q", got)
	}
}

// TestPanics holds that a handler's panic ends its connection and no other.
func TestPanics(t *testing.T) {
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		switch r.URL.RawQuery {
		case "abort":
			panic(http.ErrAbortHandler)
		case "bug":
			panic("a bug")
		}
	})
	other := dial(t, s)
	for _, how := range []string{"abort", "bug"} {
		if got := dial(t, s)(strings.Replace(short, "/call", "/call?"+how, 1)); !strings.Contains(got, "EOF") && !strings.Contains(got, "reset") {
			t.Errorf("%s: got %q", how, got)
		}
		if got := other(short); got != "200 0" {
			t.Errorf("the other connection: %q", got)
		}
	}
}

// TestShutdown holds that requests in progress are answered, and nobody else is waited for.
func TestShutdown(t *testing.T) {
	begun, release := make(chan bool, 3), make(chan bool)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "wait" {
			begun <- true
			<-release
		}
	})
	idle, busy, other := dial(t, s), dial(t, s), dial(t, s)
	if got := idle(short); got != "200 0" {
		t.Fatal(got)
	}
	var answers sync.WaitGroup
	for _, call := range []func(string) string{busy, func(x string) string { return other(strings.Replace(x, "/call", "/other", 1)) }} {
		answers.Go(func() {
			if got := call(strings.Replace(short, "/call", "/call?wait", 1)); got != "200 0" {
				t.Errorf("in progress: %q", got)
			}
		})
		<-begun
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with requests in progress: %v", err)
	}
	if got := idle(short); got == "200 0" {
		t.Error("an idle connection goes on")
	}
	if nc, err := net.Dial("tcp", s.url); err == nil {
		nc.Close()
		t.Error("it accepts connections")
	}
	close(release)
	answers.Wait()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := busy(short); got == "200 0" {
		t.Error("a connection goes on after its answer")
	}
}

// TestSlowHead holds that a head has a time to arrive in, and a connection between requests has all time.
func TestSlowHead(t *testing.T) {
	for _, c := range []struct{ name, before, sent string }{
		{"nothing", "", ""},
		{"half a head", "", "POST /call HTTP/1.1\r\n"},
		{"half a second head", short, "POST /call HTTP/1.1\r\n"},
		{"handed over", "", "GET / HTTP/1.1\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, l := pipe()
				s := &Server{Short: isCall, HTTP: &http.Server{Handler: http.HandlerFunc(tell), ReadHeaderTimeout: time.Minute}}
				ended := make(chan error, 1)
				go func() { ended <- s.Serve(l) }()
				in := bufio.NewReader(client)
				if c.before != "" {
					io.WriteString(client, c.before)
					r, err := http.ReadResponse(in, nil)
					if err != nil {
						t.Fatal(err)
					}
					io.Copy(io.Discard, r.Body)
					time.Sleep(time.Hour)
				}
				began := time.Now()
				if c.sent != "" { // a pipe passes on even nothing
					io.WriteString(client, c.sent)
				}
				io.Copy(io.Discard, in)
				if took := time.Since(began); took != time.Minute && (!strings.HasPrefix(c.sent, "GET") || took > 2*time.Minute) {
					t.Errorf("closed after %v", took)
				}
				if err := s.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				<-ended
			})
		})
	}
}

// pipe returns a connection and a listener that accepts its other end, and no more.
func pipe() (net.Conn, net.Listener) {
	client, server := net.Pipe()
	l := &handover{conns: make(chan net.Conn, 1), closed: make(chan struct{}), address: server.LocalAddr()}
	l.conns <- server
	return client, l
}

func BenchmarkShort(b *testing.B) {
	answer := []byte(strings.Repeat("x", 1000))
	handler := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header()["Content-Length"] = []string{"1000"}
		w.Header()["Content-Type"] = []string{"application/json"}
		w.Write(answer)
	}
	for _, path := range []string{"/call", "/nethttp"} {
		b.Run(path[1:], func(b *testing.B) {
			s := serve(b, handler)
			request := "POST " + path + " HTTP/1.1\r\nHost: 127.0.0.1:4566\r\nAuthorization: AWS4-HMAC-SHA256 Credential=x\r\nX-Amz-Date: 20260101T000000Z\r\n" +
				"User-Agent: test\r\nContent-Length: 1000\r\n\r\n" + string(answer)
			nc, err := net.Dial("tcp", s.url)
			if err != nil {
				b.Fatal(err)
			}
			defer nc.Close()
			in := make([]byte, 4096)
			b.ReportAllocs()
			for b.Loop() {
				io.WriteString(nc, request)
				for n, got := 0, 0; got < len(answer); got += n {
					if n, err = nc.Read(in); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
