package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/environment"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

var testScope = lambda.Scope{Account: "111111111111", Region: "us-east-1"}

// A house is a dashboard on an engine without functions' code, and what was asked of it.
type house struct {
	*Dashboard
	t       *testing.T
	store   *store.Store
	changes []string
	cookies []*http.Cookie
}

func newHouse(t *testing.T, change func(*Options)) *house {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := store.Open(store.Options{Dir: t.TempDir(), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	e, err := engine.Open(engine.Options{
		Store: s, Logger: log, Account: admission.Account{Limit: 1000, IdleTimeout: time.Minute, MaxAge: time.Hour},
		Start: func(environment.Spec) engine.Environment { panic("nothing is invoked here") },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	h := &house{t: t, store: s}
	opt := Options{
		Engine: e, Catalog: s.Catalog(), Default: testScope, Logger: log,
		Reserve: func(_ context.Context, _ lambda.Scope, function string, n int) error {
			if n > 900 {
				return lambda.Errorf(lambda.CodeInvalidParameterValue, "too <much>")
			}
			h.changes = append(h.changes, fmt.Sprint("reserve ", function, " ", n))
			return nil
		},
		Provision: func(_ context.Context, _ lambda.Scope, function, qualifier string, n int) error {
			h.changes = append(h.changes, fmt.Sprint("provision ", function, ":", qualifier, " ", n))
			return nil
		},
	}
	if change != nil {
		change(&opt)
	}
	if h.Dashboard, err = New(opt); err != nil {
		t.Fatal(err)
	}
	return h
}

// add puts a function into the catalogue, with version 1 and the alias live.
func (h *house) add(name string) {
	h.t.Helper()
	err := h.store.Catalog().Update(context.Background(), func(tx *store.Tx) error {
		store.Functions.Put(tx, testScope, name, &lambda.Function{Name: name})
		for _, number := range []string{lambda.Latest, "1"} {
			store.Versions.Put(tx, testScope, store.QualifiedName(name, number), &lambda.Version{Function: name, Number: number, State: lambda.Active, MemoryMB: 1769, TimeoutSec: 7})
		}
		store.Aliases.Put(tx, testScope, store.QualifiedName(name, "live"), &lambda.Alias{Function: name, Name: "live", Version: "1", Additional: "2", Weight: 0.25})
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.store.Catalog().Settle()
}

type reply struct {
	status   int
	location string
	header   http.Header
	body     string
}

func (h *house) do(method, path, form string, header ...string) reply {
	h.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(form))
	r.Host = "127.0.0.1:4566"
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	for _, c := range h.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, err := io.ReadAll(w.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return reply{w.Code, w.Header().Get("Location"), w.Header(), string(body)}
}

const testHome = "/_weir/a/111111111111/us-east-1"

func TestPages(t *testing.T) {
	h := newHouse(t, func(o *Options) {
		o.Queues = func(lambda.Scope) []Queue { return []Queue{{Name: "orders", Visible: 1234, Oldest: 90 * time.Second}} }
		o.Alarms = func(lambda.Scope) []Alarm { return []Alarm{{Name: "throttles", State: "ALARM", Reason: "11 > 10"}} }
		o.Changes = func(lambda.Scope) []AlarmChange {
			return []AlarmChange{{Alarm: "throttles", What: "Alarm updated from OK to ALARM"}}
		}
		o.Activities = func(lambda.Scope) []Activity {
			return []Activity{{Resource: "function:f:live", Status: "Successful", Description: "to 7"}}
		}
		o.Tail = func(lambda.Scope, string, int) ([]LogLine, error) { return []LogLine{{Text: "<b>hello</b>"}}, nil }
	})
	if r := h.do("GET", "/_weir/", ""); r.status != http.StatusSeeOther || r.location != testHome {
		t.Errorf("the start: %+v", r)
	}
	if r := h.do("GET", testHome, ""); r.status != http.StatusOK || !strings.Contains(r.body, "There is no function") {
		t.Errorf("without a function: %+v", r)
	}
	h.add("f")
	h.add("a-longer_name")
	for _, c := range []struct {
		path string
		want []string
	}{
		{testHome, []string{"<title>Concurrency – weir</title>", "of 1,000 running", `href="/_weir/a/111111111111/us-east-1/f/f"`, "Nothing was throttled",
			"1,234", "1m30s", "▲ ALARM", "updated from OK to ALARM", "function:f:live", "unreserved, free"}},
		{testHome + "/f/f", []string{"<h1>f</h1>", "1,769 MB", "7 s", "1, and 25 % to 2", "<option>live</option><option>1</option>", "&lt;b&gt;hello", "Stop f"}},
	} {
		r := h.do("GET", c.path, "")
		for _, want := range c.want {
			if !strings.Contains(r.body, want) {
				t.Errorf("%s lacks %q", c.path, want)
			}
		}
		if r.status != http.StatusOK || !strings.Contains(r.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %d %v", c.path, r.status, r.header)
		}
		if inline := regexp.MustCompile(`(?i)<script[^>]*>[^<]|\son\w+=|\sstyle=|src="https?:|href="https?:`).FindString(r.body); inline != "" {
			t.Errorf("%s has %q, which its policy forbids", c.path, inline)
		}
	}
	for _, path := range []string{testHome + "/f/nobody", "/_weir/a/11/us-east-1", "/_weir/nothing"} {
		if r := h.do("GET", path, ""); r.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, r.status)
		}
	}
	for _, name := range []string{"board.js", "board.css", "uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE", "icon.svg"} {
		if r := h.do("GET", "/_weir/assets/"+name, ""); r.status != http.StatusOK || len(r.body) < 100 {
			t.Errorf("%s: %d", name, r.status)
		}
	}
}

func TestControls(t *testing.T) {
	h := newHouse(t, nil)
	h.add("f")
	for _, c := range []struct {
		form    string
		changed string // or what is said
	}{
		{"do=stop", "reserve f 0"},
		{"do=reserve&n=+7+", "reserve f 7"},
		{"do=unreserve", "reserve f -1"},
		{"do=provision&qualifier=live&n=3", "provision f:live 3"},
		{"do=unprovision&qualifier=live", "provision f:live -1"},
		{"do=reserve&n=901", "!too &lt;much&gt;"},
		{"do=reserve&n=-1", "!is not a number"},
		{"do=reserve&n=", "!is not a number"},
		{"do=reserve&n=4294967303", "!is not a number"},
		{"do=provision&qualifier=live&n=0", "!at least 1"},
		{"do=fly", "!is no action"},
		{"", "!is no action"},
	} {
		h.changes = nil
		r := h.do("POST", testHome+"/f/f", c.form)
		if want, refused := strings.CutPrefix(c.changed, "!"); refused {
			if r.status != http.StatusBadRequest || !strings.Contains(r.body, want) || len(h.changes) != 0 {
				t.Errorf("%s: %d, %v", c.form, r.status, h.changes)
			}
			continue
		}
		if r.status != http.StatusSeeOther || !strings.HasPrefix(r.location, testHome+"/f/f?said=") || strings.Join(h.changes, ",") != c.changed {
			t.Errorf("%s: %+v, %v", c.form, r, h.changes)
		}
	}
}

// TestOtherSites tries what a page of another site can make a browser do.
func TestOtherSites(t *testing.T) {
	h := newHouse(t, nil)
	h.add("f")
	for _, c := range []struct {
		name   string
		header []string
		status int
	}{
		{"our own page", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:4566"}, http.StatusSeeOther},
		{"by another name of this machine", []string{"Host", "localhost:4566", "Origin", "http://localhost:4566"}, http.StatusSeeOther},
		{"another site", []string{"Sec-Fetch-Site", "cross-site", "Origin", "http://evil.example"}, http.StatusForbidden},
		{"another port", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:80"}, http.StatusForbidden},
		{"an old browser", []string{"Origin", "http://evil.example"}, http.StatusForbidden},
		{"a name that was pointed here", []string{"Host", "evil.example", "Sec-Fetch-Site", "same-origin", "Origin", "http://evil.example"}, http.StatusForbidden},
		{"one that looks like ours", []string{"Host", "127.0.0.1.evil.example"}, http.StatusForbidden},
	} {
		h.changes = nil
		r := h.do("POST", testHome+"/f/f", "do=stop", c.header...)
		if r.status != c.status || (len(h.changes) == 1) != (c.status == http.StatusSeeOther) {
			t.Errorf("%s: %d, %v", c.name, r.status, h.changes)
		}
	}
	for _, path := range []string{testHome, "/_weir/state", "/metrics"} {
		if r := h.do("GET", path, "", "Host", "evil.example:4566"); r.status != http.StatusForbidden {
			t.Errorf("%s for a foreign name: %d", path, r.status)
		}
	}
}

func TestSessions(t *testing.T) {
	h := newHouse(t, func(o *Options) {
		o.SignIn = func(key, secret string) (string, bool) { return key, secret == "s3cret" }
	})
	h.add("f")
	if r := h.do("GET", testHome+"/f/f", "", "Host", "weir.example"); r.location != "/_weir/login?to="+url.QueryEscape(testHome+"/f/f") {
		t.Errorf("a stranger: %+v", r)
	}
	if r := h.do("POST", testHome+"/f/f", "do=stop"); r.status != http.StatusUnauthorized || len(h.changes) != 0 {
		t.Errorf("a stranger acts: %d %v", r.status, h.changes)
	}
	if r := h.do("POST", "/_weir/login", "key=111111111111&secret=wrong"); r.status != http.StatusForbidden || r.header.Get("Set-Cookie") != "" || strings.Contains(r.body, "wrong\"") {
		t.Errorf("a wrong secret: %+v", r)
	}
	for to, want := range map[string]string{testHome: testHome, "//evil.example/_weir/": Prefix, "https://evil.example/_weir/": Prefix, "/2015-03-31/functions": Prefix, `/_weir/\evil`: Prefix, "": Prefix} {
		if r := h.do("POST", "/_weir/login", url.Values{"key": {"111111111111"}, "secret": {"s3cret"}, "to": {to}}.Encode()); r.location != want {
			t.Errorf("on to %q: %q", to, r.location)
		}
	}
	r := h.do("POST", "/_weir/login", "key=111111111111&secret=s3cret")
	cookie := r.header.Get("Set-Cookie")
	for _, want := range []string{"HttpOnly", "SameSite=Strict", "Path=/_weir/", "Max-Age=43200"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("the cookie lacks %s: %s", want, cookie)
		}
	}
	h.cookies = (&http.Response{Header: r.header}).Cookies()
	if r := h.do("GET", testHome, ""); r.status != http.StatusOK || !strings.Contains(r.body, "Sign out") {
		t.Errorf("signed in: %d", r.status)
	}
	if r := h.do("POST", testHome+"/f/f", "do=stop"); r.status != http.StatusSeeOther || len(h.changes) != 1 {
		t.Errorf("acting: %d %v", r.status, h.changes)
	}
	if r := h.do("POST", testHome+"/f/f", "do=stop", "Sec-Fetch-Site", "cross-site"); r.status != http.StatusForbidden || len(h.changes) != 1 {
		t.Errorf("acting from another site: %d %v", r.status, h.changes)
	}
	if r := h.do("POST", "/_weir/a/222222222222/us-east-1/f/f", "do=stop"); r.status != http.StatusNotFound || len(h.changes) != 1 {
		t.Errorf("acting on another account: %d %v", r.status, h.changes)
	}
	if r := h.do("POST", "/_weir/logout", ""); r.status != http.StatusSeeOther {
		t.Errorf("signing out: %d", r.status)
	}
	if r := h.do("GET", testHome, ""); r.status != http.StatusSeeOther {
		t.Errorf("the old cookie: %d", r.status)
	}
	h.cookies = nil
	var state State
	auth := httptest.NewRequest("GET", "/_weir/state", nil)
	auth.SetBasicAuth("222222222222", "s3cret")
	if r := h.do("GET", "/_weir/state", "", "Authorization", auth.Header.Get("Authorization")); json.Unmarshal([]byte(r.body), &state) != nil || len(state.Views) != 1 || state.Views[0].Scope.Account != "222222222222" {
		t.Errorf("another account's state: %s", r.body)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	var s sessions
	now := time.Unix(1e9, 0)
	first := s.begin("a", now)
	if account, ok := s.find(first, now.Add(sessionLife-1)); account != "a" || !ok {
		t.Error("a session does not last")
	}
	if _, ok := s.find(first, now.Add(sessionLife)); ok {
		t.Error("a session lasts too long")
	}
	for i := range maxSessions {
		s.begin("b", now.Add(time.Duration(i+1)))
	}
	if _, ok := s.find(first, now); ok || len(s.mu.open) != maxSessions {
		t.Errorf("%d sessions, the first one among them: %v", len(s.mu.open), ok)
	}
}
