package front

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// isCall is the tests' Short.
func isCall(target string) bool { return strings.HasPrefix(target, "/call") }

// tell answers with all that a handler can know of a request.
func tell(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	seen := map[string]any{
		"method": r.Method, "uri": r.RequestURI, "path": r.URL.Path, "query": r.URL.RawQuery, "host": r.Host,
		"proto": r.Proto, "length": r.ContentLength, "header": r.Header, "body": string(body), "failed": err != nil,
	}
	b, _ := json.Marshal(seen)
	w.Header().Set("X-Echo", r.Header.Get("X-Echo"))
	w.Header().Set("Content-Type", "application/json")
	w.Write(b)
}

// A served server counts the connections that net/http got.
type served struct {
	*Server
	url    string
	handed atomic.Int32
	ended  chan error
}

func serve(t testing.TB, h http.HandlerFunc) *served {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &served{url: l.Addr().String(), ended: make(chan error, 1)}
	s.Server = &Server{Short: isCall, HTTP: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}}
	s.HTTP.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.handed.Add(1)
		}
	}
	go func() { s.ended <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-s.ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve ended with %v", err)
		}
	})
	return s
}

// exchange sends bytes on a connection of their own, ends its sending side, and returns the
// answers as text: statuses, fields but for Date, bodies.
func exchange(t testing.TB, address, sent string) string {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	go func() {
		// The server may have refused the rest; what it answered tells.
		_, _ = io.WriteString(nc, sent)
		_ = nc.(*net.TCPConn).CloseWrite()
	}()
	var all strings.Builder
	for in := bufio.NewReader(nc); ; {
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			return all.String()
		}
		fmt.Fprintln(&all, r.Proto, r.StatusCode, r.ContentLength, r.Close)
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			if name != "Date" {
				fmt.Fprintln(&all, name, r.Header[name])
			} else if _, err := http.ParseTime(r.Header.Get(name)); err != nil {
				t.Error(err)
			}
		}
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(&all, "%s %v\n", body, err)
	}
}
