package dashboard

import (
	"crypto/rand"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/weir-run/weir/lambda"
)

// A viewer is who asks. One without an account sees all.
type viewer struct {
	account  string
	signedIn bool // by a session, which can be ended
}

func (v viewer) sees(s lambda.Scope) bool { return v.account == "" || v.account == s.Account }

// Bounds of sessions.
const (
	sessionLife = 12 * time.Hour
	maxSessions = 1000 // then the one that ends first ends
	cookieName  = "weir_session"
)

// sessions are those who signed in. They end with the server.
type sessions struct {
	mu struct {
		sync.Mutex
		open map[string]session // by token
	}
}

type session struct {
	account string
	ends    time.Time
}

func (s *sessions) begin(account string, now time.Time) (token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.open == nil {
		s.mu.open = make(map[string]session)
	}
	first := ""
	for token, x := range s.mu.open {
		switch {
		case now.After(x.ends):
			delete(s.mu.open, token)
		case first == "" || x.ends.Before(s.mu.open[first].ends):
			first = token
		}
	}
	if len(s.mu.open) >= maxSessions {
		delete(s.mu.open, first)
	}
	token = rand.Text()
	s.mu.open[token] = session{account, now.Add(sessionLife)}
	return token
}

func (s *sessions) find(token string, now time.Time) (account string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, ok := s.mu.open[token]
	return x.account, ok && now.Before(x.ends)
}

func (s *sessions) end(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.open, token)
}

// viewer finds out who asks.
func (d *Dashboard) viewer(r *http.Request) (viewer, bool) {
	if d.opt.SignIn == nil {
		return viewer{}, true
	}
	if c, err := r.Cookie(cookieName); err == nil {
		if account, ok := d.sessions.find(c.Value, time.Now()); ok {
			return viewer{account, true}, true
		}
	}
	if key, secret, ok := r.BasicAuth(); ok {
		account, ok := d.opt.SignIn(key, secret)
		return viewer{account, false}, ok
	}
	return viewer{}, false
}

type handler func(http.ResponseWriter, *http.Request, viewer)

// asPerson serves who has signed in, and lets others do so.
func (d *Dashboard) asPerson(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, ok := d.viewer(r)
		switch {
		case ok:
			h(w, r, v)
		case r.Method == http.MethodGet:
			http.Redirect(w, r, Prefix+"login?to="+url.QueryEscape(r.URL.Path), http.StatusSeeOther)
		default:
			http.Error(w, "Sign in first.", http.StatusUnauthorized)
		}
	})
}

// asProgram serves who has signed in or gives an access key and its secret with the request.
func (d *Dashboard) asProgram(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, ok := d.viewer(r)
		if !ok {
			http.Error(w, "This needs an access key and its secret as user and password of HTTP basic authentication.", http.StatusUnauthorized)
			return
		}
		h(w, r, v)
	})
}

func (d *Dashboard) loginPage(w http.ResponseWriter, r *http.Request) {
	d.render(w, http.StatusOK, "login", map[string]any{"To": ours(r.FormValue("to"))})
}

// login begins a session.
func (d *Dashboard) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	to := ours(r.PostFormValue("to"))
	if d.opt.SignIn == nil {
		http.Redirect(w, r, to, http.StatusSeeOther)
		return
	}
	key := strings.TrimSpace(r.PostFormValue("key"))
	account, ok := d.opt.SignIn(key, strings.TrimSpace(r.PostFormValue("secret")))
	if !ok {
		d.opt.Logger.Warn("sign-in refused", "accessKey", key, "from", r.RemoteAddr)
		d.render(w, http.StatusForbidden, "login", map[string]any{"To": to, "Key": key, "Refused": true})
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: d.sessions.begin(account, time.Now()), Path: Prefix, MaxAge: int(sessionLife / time.Second),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	})
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (d *Dashboard) logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		d.sessions.end(c.Value)
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: Prefix, MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, Prefix+"login", http.StatusSeeOther)
}

// ours returns a path to go on to, if it is one of the dashboard's.
func ours(path string) string {
	if u, err := url.Parse(path); err == nil && u.Host == "" && u.Scheme == "" && strings.HasPrefix(u.Path, Prefix) && !strings.Contains(path, `\`) {
		return u.Path
	}
	return Prefix
}

// isLoopback reports whether the name in a Host header can only mean this machine.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
