package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

const maxForm = 16 << 10 // bytes

// control changes what a function may use. Whether it did is said on the page that follows.
func (d *Dashboard) control(w http.ResponseWriter, r *http.Request, v viewer) {
	s, ok := scope(r, v)
	if !ok {
		http.NotFound(w, r)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	name := r.PathValue("function")
	before := d.limits(s, name)
	said, err := d.change(r, s, name)
	if err != nil {
		text := err.Error()
		var known *lambda.Error
		if errors.As(err, &known) {
			text = known.Message
		}
		d.functionPage(w, r, v, http.StatusBadRequest, text)
		return
	}
	d.opt.Logger.Info("changed from the dashboard", "scope", s.String(), "function", name, "account", v.account, "from", r.RemoteAddr, "change", said, "before", before)
	http.Redirect(w, r, r.URL.Path+"?said="+url.QueryEscape(said+" Before: "+before+"."), http.StatusSeeOther)
}

// change does what a form asks for and says what it did.
func (d *Dashboard) change(r *http.Request, s lambda.Scope, name string) (string, error) {
	action, qualifier := r.PostFormValue("do"), r.PostFormValue("qualifier")
	n := 0
	if action == "reserve" || action == "provision" {
		x, err := strconv.ParseInt(strings.TrimSpace(r.PostFormValue("n")), 10, 32)
		if err != nil || x < 0 {
			return "", fmt.Errorf("%q is not a number of concurrent executions", r.PostFormValue("n"))
		}
		n = int(x)
	}
	switch action {
	case "stop":
		return "Stopped: reserved concurrency is 0, every invocation is throttled.", d.opt.Reserve(r.Context(), s, name, 0)
	case "reserve":
		return fmt.Sprintf("Reserved concurrency is %d.", n), d.opt.Reserve(r.Context(), s, name, n)
	case "unreserve":
		return "The reservation is gone; the function shares the unreserved concurrency.", d.opt.Reserve(r.Context(), s, name, -1)
	case "provision":
		if n == 0 {
			return "", errors.New("provisioned concurrency is at least 1; remove it instead")
		}
		return fmt.Sprintf("Asked for %d provisioned environments on %s.", n, qualifier), d.opt.Provision(r.Context(), s, name, qualifier, n)
	case "unprovision":
		return fmt.Sprintf("The provisioned concurrency of %s is gone.", qualifier), d.opt.Provision(r.Context(), s, name, qualifier, -1)
	}
	return "", fmt.Errorf("%q is no action", action)
}

// limits says what a function may use, so that a change can be undone.
func (d *Dashboard) limits(s lambda.Scope, name string) string {
	snapshot := d.opt.Catalog.Snapshot()
	text := "no reservation"
	if r, ok := store.Reserved.Get(snapshot, s, name); ok {
		text = fmt.Sprintf("%d reserved", r.Concurrency)
	}
	store.Provisioned.ScanPrefix(snapshot, s, store.QualifiedPrefix(name), "", func(_ string, p *lambda.Provisioned) bool {
		text += fmt.Sprintf(", %d provisioned on %s", p.Concurrency, p.Qualifier)
		return true
	})
	return text
}
