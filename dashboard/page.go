package dashboard

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// frame is what every page has.
type frame struct {
	Title    string
	Scope    lambda.Scope
	Scopes   []lambda.Scope
	SignedIn bool
	Version  string
	At       time.Time
}

// overviewPage is an account and region.
type overviewPage struct {
	frame
	View       engine.View
	Parts      []part
	InUse      int // over all functions
	Starvings  []starving
	Queues     []Queue
	Alarms     []Alarm
	Changes    []AlarmChange
	Activities []Activity
	Has        struct{ Queues, Alarms, Activities bool }
}

// A starving with what to do about it.
type starving struct {
	engine.Starving
	Going  bool
	Advice []advice
}

// goesOn is how long after its last throttle a starving is taken to go on.
const goesOn = 5 * time.Second

// Bounds of the lists of a page.
const (
	maxStarvings  = 20
	maxChanges    = 30
	maxActivities = 30
	tailLines     = 200
)

// start goes to an account and region: the one with the most functions.
func (d *Dashboard) start(w http.ResponseWriter, r *http.Request, v viewer) {
	scopes := d.scopes(v)
	most := slices.MaxFunc(scopes, func(a, b lambda.Scope) int {
		return cmp.Compare(len(d.opt.Engine.View(a).Functions), len(d.opt.Engine.View(b).Functions))
	})
	http.Redirect(w, r, scopePath(most), http.StatusSeeOther)
}

func (d *Dashboard) frame(s lambda.Scope, v viewer, title string) frame {
	return frame{Title: title, Scope: s, Scopes: d.scopes(v), SignedIn: v.signedIn, Version: d.opt.Version, At: time.Now()}
}

func (d *Dashboard) overview(w http.ResponseWriter, r *http.Request, v viewer) {
	s, ok := scope(r, v)
	if !ok {
		http.NotFound(w, r)
		return
	}
	p := overviewPage{frame: d.frame(s, v, "Concurrency"), View: d.opt.Engine.View(s)}
	p.Parts = budget(&p.View)
	for i := range p.View.Functions {
		p.InUse += p.View.Functions[i].Concurrency
	}
	p.Starvings = starvings(&p.View, "")
	if p.Has.Queues = d.opt.Queues != nil; p.Has.Queues {
		p.Queues = d.opt.Queues(s)
	}
	if p.Has.Alarms = d.opt.Alarms != nil; p.Has.Alarms {
		p.Alarms = d.opt.Alarms(s)
	}
	if d.opt.Changes != nil {
		p.Changes = first(d.opt.Changes(s), maxChanges)
	}
	if p.Has.Activities = d.opt.Activities != nil; p.Has.Activities {
		p.Activities = first(d.opt.Activities(s), maxActivities)
	}
	d.render(w, http.StatusOK, "overview", p)
}

// starvings are the last ones; of one function, as victim or holder, if it is named.
func starvings(v *engine.View, function string) []starving {
	var all []starving
	for _, s := range v.Starvings {
		if function == "" || function == s.Victim || function == s.Holder {
			all = append(all, starving{s, v.At.Sub(s.At) < goesOn, advise(&s, room(v.Pool))})
		}
	}
	return first(all, maxStarvings)
}

func first[T any](list []T, n int) []T { return list[:min(len(list), n)] }

// functionPage is one function.
type functionPage struct {
	frame
	Name      string
	F         engine.FunctionView
	Limit     int
	Starvings []starving
	Versions  []*lambda.Version // $LATEST first, then the newest
	Aliases   []*lambda.Alias
	Targets   []string // that can have provisioned concurrency
	HasTail   bool
	Tail      []LogLine
	TailError string
	Said      string // what the last change did
	Refused   string // why it did nothing
}

func (d *Dashboard) function(w http.ResponseWriter, r *http.Request, v viewer) {
	d.functionPage(w, r, v, http.StatusOK, "")
}

func (d *Dashboard) functionPage(w http.ResponseWriter, r *http.Request, v viewer, status int, refused string) {
	s, ok := scope(r, v)
	name := r.PathValue("function")
	if _, exists := store.Functions.Get(d.opt.Catalog.Snapshot(), s, name); !ok || !exists {
		http.NotFound(w, r)
		return
	}
	view := d.opt.Engine.View(s)
	p := functionPage{frame: d.frame(s, v, name), Name: name, Limit: view.Pool.Limit, Refused: refused, Said: r.URL.Query().Get("said")}
	p.F = engine.FunctionView{Name: name, Reserved: admission.Unreserved}
	for i := range view.Functions {
		if view.Functions[i].Name == name {
			p.F = view.Functions[i]
		}
	}
	p.Starvings = starvings(&view, name)
	d.parts(&p, s)
	if p.HasTail = d.opt.Tail != nil; p.HasTail {
		var err error
		if p.Tail, err = d.opt.Tail(s, name, tailLines); err != nil {
			p.TailError = err.Error()
		}
	}
	d.render(w, status, "function", p)
}

// parts reads what the catalogue holds of a function.
func (d *Dashboard) parts(p *functionPage, s lambda.Scope) {
	snapshot, prefix := d.opt.Catalog.Snapshot(), store.QualifiedPrefix(p.Name)
	store.Versions.ScanPrefix(snapshot, s, prefix, "", func(_ string, v *lambda.Version) bool {
		p.Versions = append(p.Versions, v)
		return true
	})
	if len(p.Versions) > 1 {
		slices.Reverse(p.Versions[1:])
	}
	store.Aliases.ScanPrefix(snapshot, s, prefix, "", func(_ string, a *lambda.Alias) bool {
		p.Aliases = append(p.Aliases, a)
		p.Targets = append(p.Targets, a.Name)
		return true
	})
	for _, v := range p.Versions {
		if v.Number != lambda.Latest {
			p.Targets = append(p.Targets, v.Number)
		}
	}
}

// render answers a page. One that cannot be made is our mistake.
func (d *Dashboard) render(w http.ResponseWriter, status int, page string, data any) {
	var b bytes.Buffer
	if err := d.pages.ExecuteTemplate(&b, page, data); err != nil {
		d.opt.Logger.Error("make a page", "page", page, "error", err)
		http.Error(w, "The page could not be made; the log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	// An error means that the client is gone.
	_, _ = b.WriteTo(w)
}

func scopePath(s lambda.Scope) string {
	return Prefix + "a/" + url.PathEscape(s.Account) + "/" + url.PathEscape(s.Region)
}

// minLabel is how wide a part of the picture must be to have its name in it, in percent. The
// table beside it names all.
const minLabel = 12

// words are what the templates call.
var words = template.FuncMap{
	"scopePath":    scopePath,
	"functionPath": func(s lambda.Scope, name string) string { return scopePath(s) + "/f/" + url.PathEscape(name) },
	"n":            thousands,
	"clock":        func(t time.Time) string { return t.UTC().Format("15:04:05") },
	"iso":          func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"day":          func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") },
	"age":          age,
	"reserved": func(n int) string {
		if n == admission.Unreserved {
			return "–"
		}
		return thousands(n)
	},
	"environments": func(of []engine.Environments) engine.Environments {
		sum := engine.Environments{}
		for _, e := range of {
			sum.Booting += e.Booting
			sum.Idle += e.Idle
			sum.Busy += e.Busy
			sum.ProvisionedBooting += e.ProvisionedBooting
			sum.ProvisionedIdle += e.ProvisionedIdle
			sum.ProvisionedBusy += e.ProvisionedBusy
		}
		return sum
	},
	"reasons":   reasons,
	"throttled": func(c engine.Counters) uint64 { return c.Throttled() },
	"percent":   func(x float64) string { return fmt.Sprintf("%.3f%%", x) },
	"share":     func(x float64) string { return fmt.Sprintf("%g %%", 100*x) },
	"kind": func(k string) string {
		return map[string]string{"reserved": "reserved for", "provisioned": "provisioned for", "pool": "unreserved, in use by", "free": "unreserved,"}[k]
	},
	"unreserved": func(n int) bool { return n == admission.Unreserved },
	"wide":       func(p part) bool { return p.Width >= minLabel },
}

// A count of throttles by reason.
type reasonCount struct {
	Reason, Short string
	Count         uint64
}

var shortReasons = map[admission.Reason]string{
	admission.ConcurrentInvocationLimitExceeded:                 "no unreserved concurrency or scaling rate left",
	admission.ReservedFunctionConcurrentInvocationLimitExceeded: "reservation used up",
	admission.FunctionInvocationRateLimitExceeded:               "requests per second of the account",
	admission.ReservedFunctionInvocationRateLimitExceeded:       "requests per second of the reservation",
}

// reasons lists the throttles of a function by reason, without those that there are none of.
func reasons(c engine.Counters) []reasonCount {
	var all []reasonCount
	for r, n := range c.Throttles {
		if n > 0 {
			all = append(all, reasonCount{admission.Reason(r).String(), shortReasons[admission.Reason(r)], n})
		}
	}
	return all
}

// thousands prints a whole number with commas.
func thousands(x any) string {
	s := fmt.Sprint(x)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// age prints a duration to the precision that matters.
func age(d time.Duration) string {
	switch {
	case d <= 0:
		return "–"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
