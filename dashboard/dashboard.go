package dashboard

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// Prefix begins the paths of the dashboard.
const Prefix = "/_weir/"

// Options are what a Dashboard shows and does. A nil func means that there is no such thing to
// show; the page then says nothing of it.
type Options struct {
	Engine  *engine.Engine
	Catalog *store.Catalog
	Version string // of the server

	// Default is what is shown when there is no function yet.
	Default lambda.Scope

	// SignIn tells whether an access key and its secret belong together, and whose they are.
	// Nil: everybody on this machine may look and act.
	SignIn func(key, secret string) (account string, ok bool)

	// Reserve and Provision set or, where n is negative, take away a function's reserved and
	// provisioned concurrency. They refuse what the API refuses.
	Reserve   func(ctx context.Context, s lambda.Scope, function string, n int) error
	Provision func(ctx context.Context, s lambda.Scope, function, qualifier string, n int) error

	Queues     func(lambda.Scope) []Queue
	Alarms     func(lambda.Scope) []Alarm
	Changes    func(lambda.Scope) []AlarmChange // the last first
	Activities func(lambda.Scope) []Activity    // the last first
	Tail       func(s lambda.Scope, function string, lines int) ([]LogLine, error)

	Logger *slog.Logger
}

// A Queue is what waits in an SQS queue.
type Queue struct {
	Name                       string
	Visible, InFlight, Delayed int
	Oldest                     time.Duration // age of the oldest message
}

// An Alarm is a CloudWatch alarm as it is now.
type Alarm struct {
	Name   string
	State  string // OK, ALARM or INSUFFICIENT_DATA
	Since  time.Time
	Metric string // what it watches, in words
	Reason string
}

// An AlarmChange is something that happened to an alarm: a change of its state, an action.
type AlarmChange struct {
	At    time.Time
	Alarm string
	What  string
}

// An Activity is a change of a capacity by Application Auto Scaling.
type Activity struct {
	At          time.Time
	Resource    string // such as function:checkout:live
	Status      string
	Description string
	Cause       string
}

// A LogLine is one line of a function's log.
type LogLine struct {
	At   time.Time // zero: not known
	Text string
}

// A Dashboard serves the pages, the state and the metrics of a server.
type Dashboard struct {
	opt      Options
	pages    *template.Template
	sessions sessions
	site     http.Handler
}

//go:embed pages/*.html
var pages embed.FS

//go:embed assets
var assets embed.FS

// New returns a dashboard.
func New(opt Options) (*Dashboard, error) {
	if opt.Engine == nil || opt.Catalog == nil || opt.Reserve == nil || opt.Provision == nil || opt.Logger == nil {
		return nil, errors.New("dashboard: Options need Engine, Catalog, Reserve, Provision and Logger")
	}
	d := &Dashboard{opt: opt}
	var err error
	if d.pages, err = template.New("").Funcs(words).ParseFS(pages, "pages/*.html"); err != nil {
		return nil, err
	}
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	static := http.StripPrefix(Prefix+"assets/", http.FileServerFS(files))
	mux.HandleFunc("GET "+Prefix+"assets/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=300")
		static.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET "+Prefix+"login", d.loginPage)
	mux.HandleFunc("POST "+Prefix+"login", d.login)
	mux.HandleFunc("POST "+Prefix+"logout", d.logout)
	mux.Handle("GET "+Prefix+"{$}", d.asPerson(d.start))
	const scope = Prefix + "a/{account}/{region}"
	mux.Handle("GET "+scope, d.asPerson(d.overview))
	mux.Handle("GET "+scope+"/history", d.asProgram(d.history))
	mux.Handle("GET "+scope+"/f/{function}", d.asPerson(d.function))
	mux.Handle("POST "+scope+"/f/{function}", d.asPerson(d.control))
	mux.Handle("GET "+Prefix+"state", d.asProgram(d.state))
	mux.Handle("GET /metrics", d.asProgram(d.metrics))
	d.site = guard(http.NewCrossOriginProtection().Handler(mux))
	return d, nil
}

// ServeHTTP serves the paths below Prefix, and /metrics.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.opt.SignIn == nil && !isLoopback(r.Host) {
		http.Error(w, "This server checks no signatures. Open the dashboard by a loopback address, such as http://127.0.0.1 or http://localhost.", http.StatusForbidden)
		return
	}
	d.site.ServeHTTP(w, r)
}

// policy lets a page load what is our own, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// guard adds the headers that keep a browser from doing what no page of ours asks for.
func guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "same-origin")
		w.Header().Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

// scopes are the accounts and regions that a viewer may see; never none.
func (d *Dashboard) scopes(v viewer) []lambda.Scope {
	var all []lambda.Scope
	for _, s := range d.opt.Engine.Scopes() {
		if v.sees(s) {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		s := d.opt.Default
		if !v.sees(s) {
			s.Account = v.account
		}
		all = append(all, s)
	}
	return all
}

// scope is the account and region that a path names, if the viewer may see it.
func scope(r *http.Request, v viewer) (lambda.Scope, bool) {
	s := lambda.Scope{Account: r.PathValue("account"), Region: r.PathValue("region")}
	return s, lambda.IsAccount(s.Account) && v.sees(s)
}

// State is what weir top shows.
type State struct {
	Version string
	Views   []engine.View
}

func (d *Dashboard) state(w http.ResponseWriter, r *http.Request, v viewer) {
	s := State{Version: d.opt.Version}
	for _, scope := range d.scopes(v) {
		s.Views = append(s.Views, d.opt.Engine.View(scope))
	}
	answer(w, s)
}

// history answers the samples after a moment.
func (d *Dashboard) history(w http.ResponseWriter, r *http.Request, v viewer) {
	s, ok := scope(r, v)
	if !ok {
		http.NotFound(w, r)
		return
	}
	after, err := strconv.ParseInt(r.FormValue("after"), 10, 64)
	if err != nil {
		after = 0
	}
	answer(w, d.opt.Engine.History(s, after))
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	// An error means that the client is gone.
	_ = json.NewEncoder(w).Encode(v)
}
