package dashboard

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/engine"
)

// metrics answers in Prometheus' text format. The names that begin with aws_lambda_ are those
// of the CloudWatch exporters, with both their labels, so that dashboards made for these fit:
// gauges over the last minute. The others are counters and gauges of their own.
func (d *Dashboard) metrics(w http.ResponseWriter, r *http.Request, v viewer) {
	e := newExposition()
	for _, s := range d.scopes(v) {
		e.account(d.opt.Engine.View(s), d.opt.Engine.History(s, time.Now().Unix()-60))
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	// An error means that the client is gone.
	_ = e.writeTo(w)
}

// families are the metrics in the order in which they are written.
var families = []struct{ name, kind, help string }{
	{"aws_lambda_invocations_sum", "gauge", "Invocations that ran, in the last minute."},
	{"aws_lambda_errors_sum", "gauge", "Invocations that the function failed, in the last minute."},
	{"aws_lambda_throttles_sum", "gauge", "Invocations refused for want of concurrency, in the last minute."},
	{"aws_lambda_concurrent_executions_maximum", "gauge", "The most invocations that ran at a time, in the last minute."},
	{"aws_lambda_unreserved_concurrent_executions_maximum", "gauge", "Unreserved concurrency in use, the most in the last minute."},
	{"aws_lambda_claimed_account_concurrency_maximum", "gauge", "Concurrency in use, reserved or provisioned, the most in the last minute."},
	{"lambda_invocations_total", "counter", "Invocations that ran."},
	{"lambda_errors_total", "counter", "Invocations that the function failed."},
	{"lambda_throttles_total", "counter", "Invocations refused for want of concurrency, by reason."},
	{"lambda_cold_starts_total", "counter", "Invocations that waited for an environment to boot."},
	{"lambda_provisioned_concurrency_invocations_total", "counter", "Invocations that ran on provisioned concurrency."},
	{"lambda_provisioned_concurrency_spillover_invocations_total", "counter", "Invocations that provisioned concurrency could not serve."},
	{"lambda_concurrent_executions", "gauge", "Invocations running now."},
	{"lambda_environments", "gauge", "Execution environments, by version and state."},
	{"lambda_reserved_concurrency", "gauge", "Reserved concurrency of a function that has a reservation."},
	{"lambda_provisioned_concurrency", "gauge", "Provisioned concurrency, by qualifier; kind is requested, allocated or available."},
	{"lambda_async_events_queued", "gauge", "Asynchronous events that are not settled."},
	{"lambda_async_event_age_seconds", "gauge", "Age of the oldest event that is due next or being tried."},
	{"lambda_account_concurrency_limit", "gauge", "Concurrent executions allowed to the account and region."},
	{"lambda_unreserved_concurrency", "gauge", "Concurrency that functions without a reservation share."},
	{"lambda_unreserved_concurrent_executions", "gauge", "How much of the unreserved concurrency is in use."},
	{"lambda_duration_seconds", "histogram", "Durations of invocations, without initialisation."},
	{"lambda_init_duration_seconds", "histogram", "Durations of the initialisation of environments."},
}

// An exposition gathers samples by metric: the format wants those of one together.
type exposition struct{ lines map[string]*bytes.Buffer }

func newExposition() *exposition {
	e := &exposition{make(map[string]*bytes.Buffer)}
	for _, f := range families {
		e.lines[f.name] = new(bytes.Buffer)
	}
	return e
}

func (e *exposition) writeTo(w io.Writer) error {
	for _, f := range families {
		if e.lines[f.name].Len() == 0 {
			continue
		}
		if _, err := fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n%s", f.name, f.help, f.name, f.kind, e.lines[f.name]); err != nil {
			return err
		}
	}
	return nil
}

// add writes one sample. labels are pairs of a name and a value, without the braces.
func (e *exposition) add(family, labels string, value float64) {
	fmt.Fprintf(e.lines[family], "%s{%s} %s\n", family, labels, number(value))
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func label(name, value string) string { return name + `="` + escape.Replace(value) + `"` }

func (e *exposition) account(v engine.View, h engine.History) {
	labels := label("account_id", v.Scope.Account) + "," + label("region", v.Scope.Region)
	concurrency, inUse, claimed := 0, 0, 0
	for _, s := range h.Samples {
		concurrency, inUse = max(concurrency, s.Concurrency), max(inUse, s.InUse)
		claimed = max(claimed, s.InUse+s.Reserved+s.Provisioned)
	}
	e.add("aws_lambda_concurrent_executions_maximum", labels, float64(concurrency))
	e.add("aws_lambda_unreserved_concurrent_executions_maximum", labels, float64(inUse))
	e.add("aws_lambda_claimed_account_concurrency_maximum", labels, float64(claimed))
	e.add("lambda_account_concurrency_limit", labels, float64(v.Pool.Limit))
	e.add("lambda_unreserved_concurrency", labels, float64(v.Pool.Unreserved))
	e.add("lambda_unreserved_concurrent_executions", labels, float64(v.Pool.InUse))
	for i := range v.Functions {
		f := &v.Functions[i]
		name := label("function_name", f.Name) + "," + labels
		e.minute(name+","+label("dimension_FunctionName", f.Name), h.Functions[f.Name])
		e.function(name, f)
	}
}

// minute adds the exporters' metrics of a function.
func (e *exposition) minute(labels string, samples []engine.FunctionSample) {
	var sum engine.FunctionSample
	for _, s := range samples {
		sum.Invocations += s.Invocations
		sum.Errors += s.Errors
		sum.Throttles += s.Throttles
		sum.Concurrency = max(sum.Concurrency, s.Concurrency)
	}
	e.add("aws_lambda_invocations_sum", labels, float64(sum.Invocations))
	e.add("aws_lambda_errors_sum", labels, float64(sum.Errors))
	e.add("aws_lambda_throttles_sum", labels, float64(sum.Throttles))
	e.add("aws_lambda_concurrent_executions_maximum", labels, float64(sum.Concurrency))
}

// function adds the counters and gauges of a function.
func (e *exposition) function(name string, f *engine.FunctionView) {
	e.add("lambda_invocations_total", name, float64(f.Invocations))
	e.add("lambda_errors_total", name, float64(f.Errors))
	for reason := admission.ConcurrentInvocationLimitExceeded; int(reason) < len(f.Throttles); reason++ {
		e.add("lambda_throttles_total", name+","+label("reason", reason.String()), float64(f.Throttles[reason]))
	}
	e.add("lambda_cold_starts_total", name, float64(f.Cold))
	e.add("lambda_provisioned_concurrency_invocations_total", name, float64(f.OnProvisioned))
	e.add("lambda_provisioned_concurrency_spillover_invocations_total", name, float64(f.Spillover))
	e.add("lambda_concurrent_executions", name, float64(f.Concurrency))
	e.add("lambda_async_events_queued", name, float64(f.Async.Queued))
	e.add("lambda_async_event_age_seconds", name, f.Async.Oldest.Seconds())
	if f.Reserved != admission.Unreserved {
		e.add("lambda_reserved_concurrency", name, float64(f.Reserved))
	}
	for _, v := range f.Environments {
		for _, s := range []struct {
			state, provisioned string
			n                  int
		}{
			{"booting", "false", v.Booting}, {"idle", "false", v.Idle}, {"busy", "false", v.Busy},
			{"booting", "true", v.ProvisionedBooting}, {"idle", "true", v.ProvisionedIdle}, {"busy", "true", v.ProvisionedBusy},
		} {
			e.add("lambda_environments", name+","+label("version", v.Version)+","+label("state", s.state)+","+label("provisioned", s.provisioned), float64(s.n))
		}
	}
	for _, c := range f.Configs {
		of := name + "," + label("qualifier", c.Qualifier) + ","
		e.add("lambda_provisioned_concurrency", of+label("kind", "requested"), float64(c.Requested))
		e.add("lambda_provisioned_concurrency", of+label("kind", "allocated"), float64(c.Allocated))
		e.add("lambda_provisioned_concurrency", of+label("kind", "available"), float64(c.Available))
	}
	e.histogram("lambda_duration_seconds", name, &f.Durations)
	e.histogram("lambda_init_duration_seconds", name, &f.Inits)
}

func (e *exposition) histogram(family, labels string, h *engine.Histogram) {
	w, n := e.lines[family], uint64(0)
	for i, bound := range engine.DurationBounds {
		n += h.Counts[i]
		fmt.Fprintf(w, "%s_bucket{%s,le=\"%s\"} %d\n", family, labels, number(bound), n)
	}
	n += h.Counts[len(engine.DurationBounds)]
	fmt.Fprintf(w, "%s_bucket{%s,le=\"+Inf\"} %d\n%s_sum{%s} %s\n%s_count{%s} %d\n", family, labels, n, family, labels, number(h.Sum.Seconds()), family, labels, n)
}
