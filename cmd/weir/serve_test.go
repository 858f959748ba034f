package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weir-run/weir/aws/wire"
)

func get(t *testing.T, url string) (*http.Response, []byte) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func TestHealth(t *testing.T) {
	s := serve(t, "-sandbox", "process")
	resp, body := get(t, s.url+"/_weir/health")
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s, %s, %v: %s", resp.Status, resp.Header.Get("Content-Type"), err, body)
	}
	box, _ := got["sandbox"].(map[string]any)
	if got["status"] != "ok" || got["environments"] != 0.0 || got["version"] != versionText() || box["mechanism"] != "process" || box["exposed"] == nil {
		t.Errorf("health is %s", body)
	}
}

func TestSecondServerIsRefused(t *testing.T) {
	first := serve(t, "-sandbox", "process")
	code, _, stderr := run(t, "serve", "-listen", "127.0.0.1:0", "-data", first.data, "-sandbox", "process")
	if want := "another server uses the data directory " + first.data; code != 1 || !strings.Contains(stderr, want) {
		t.Errorf("exit code %d, %q, want 1 and %q", code, stderr, want)
	}
	code, _, stderr = run(t, "serve", "-listen", strings.TrimPrefix(first.url, "http://"), "-data", t.TempDir(), "-sandbox", "process")
	if code != 1 || !strings.Contains(stderr, "address already in use") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	if resp, _ := get(t, first.url+"/_weir/health"); resp.StatusCode != 200 {
		t.Errorf("the first server: %s", resp.Status)
	}
}

// TestDrain ends a server while an invocation is in progress.
func TestDrain(t *testing.T) {
	s := serve(t, "-sandbox", "process")
	c := newDemoClient(t.Context(), s.url)
	if err := c.create("slow", "provided.al2023", nil); err != nil {
		t.Fatal(err)
	}
	answered := make(chan answer, 1)
	go func() { answered <- c.invoke("slow", "", 1500*time.Millisecond) }()
	if err := c.wait(func() (bool, error) { return logged(filepath.Join(s.data, "logs"), "START RequestId: ") }); err != nil {
		t.Fatal(err)
	}
	s.stop(t)
	if a := <-answered; a.err != nil || a.status != 200 || a.to-a.from < 1.5 {
		t.Errorf("the invocation in progress: %+v", a)
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://")); err == nil {
		t.Error("a server that has stopped takes connections")
	}
}

// logged reports whether a file below a directory holds a text.
func logged(dir, text string) (found bool, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && d.IsDir() {
			return nil
		}
		content, err := os.ReadFile(path)
		found = found || bytes.Contains(content, []byte(text))
		return err
	})
	return found, err
}

// TestCodeURL fetches a deployment package from where GetFunction says it is.
func TestCodeURL(t *testing.T) {
	s := serve(t, "-sandbox", "process")
	c := newDemoClient(t.Context(), s.url)
	if err := c.create("f", "provided.al2023", nil); err != nil {
		t.Fatal(err)
	}
	var f struct{ Code struct{ Location string } }
	if err := c.call("GET", "/2015-03-31/functions/f", nil, &f); err != nil {
		t.Fatal(err)
	}
	want, _, err := demoCode("provided.al2023")
	if err != nil {
		t.Fatal(err)
	}
	resp, got := get(t, f.Code.Location)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/zip" || !bytes.Equal(got, want) {
		t.Errorf("%s: %s, %d bytes, want %d", f.Code.Location, resp.Status, len(got), len(want))
	}
	for _, path := range []string{strings.Repeat("0", 64), "x", "..%2f..%2fetc%2fpasswd"} {
		if resp, body := get(t, s.url+"/_weir/code/"+path); resp.StatusCode != 404 {
			t.Errorf("code/%s: %s, %s", path, resp.Status, body)
		}
	}
}

// TestForeignPage is refused: without signatures, a page in a browser could call the API.
func TestForeignPage(t *testing.T) {
	s := &server{}
	h := s.front(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for origin, want := range map[string]int{"": http.StatusNoContent, "https://example.org": http.StatusForbidden} {
		r := httptest.NewRequest("POST", "http://127.0.0.1:4566/", nil)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != want {
			t.Errorf("origin %q: %d, want %d", origin, w.Code, want)
		}
	}
}

// TestRelativeData is about the default of -data: what is behind it, such as a sandbox, needs
// an absolute path.
func TestRelativeData(t *testing.T) {
	opt, err := serveOptions("weir-data", 1000, "per-function", "auto", "none", time.Minute)
	if err != nil || !filepath.IsAbs(opt.Data) {
		t.Errorf("data directory %s, %v", opt.Data, err)
	}
}

func TestIsLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "127.1.2.3:0": true, "[::1]:80": true, "localhost:80": true,
		"0.0.0.0:80": false, ":80": false, "[::]:80": false, "192.0.2.1:80": false, "weir.example:80": false, "localhost": false, "": false,
	} {
		if got := isLoopback(address); got != want {
			t.Errorf("isLoopback(%q) = %v", address, got)
		}
	}
}

func TestReadCredentials(t *testing.T) {
	for _, c := range []struct {
		text string
		want map[string]wire.Credential // nil: an error
	}{
		{"KEY secret\n", map[string]wire.Credential{"KEY": {Secret: "secret"}}},
		{"# two\n\n  A  b # one\n\tC\td", map[string]wire.Credential{"A": {Secret: "b"}, "C": {Secret: "d"}}},
		{"", nil},
		{"# nobody\n", nil},
		{"KEY\n", nil},
		{"KEY secret more\n", nil},
	} {
		file := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readCredentials(file)
		if (err == nil) != (c.want != nil) || c.want != nil && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q holds %v, %v; want %v", c.text, got, err, c.want)
		}
	}
}
