//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A recorder stands between a client and a server and writes down what they say.
type recorder struct {
	url string
	mu  struct {
		sync.Mutex
		lines []string
	}
}

// record returns a recorder in front of a server.
func record(t testing.TB, server string) *recorder {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	r := new(recorder)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = r.note
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	r.url = front.URL
	return r
}

// note writes down an exchange: the request, the status and an error's code.
func (r *recorder) note(resp *http.Response) error {
	line := fmt.Sprintf("%s %s %d", resp.Request.Method, resp.Request.URL.RequestURI(), resp.StatusCode)
	if kind := resp.Header.Get("X-Amzn-Errortype"); kind != "" {
		line += " " + kind
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.lines = append(r.mu.lines, line)
	return nil
}

// lines are the exchanges so far.
func (r *recorder) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.mu.lines)
}

// count is how many exchanges so far end like this.
func (r *recorder) count(suffix string) int {
	n := 0
	for _, line := range r.lines() {
		if strings.HasSuffix(line, suffix) {
			n++
		}
	}
	return n
}
