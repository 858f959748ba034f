package dashboard

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/engine"
)

func TestBudget(t *testing.T) {
	v := engine.View{
		Pool: admission.Pool{Limit: 200, Reserved: 50, Provisioned: 30, Unreserved: 120, InUse: 20},
		Functions: []engine.FunctionView{
			{Name: "reserved", Reserved: 50, Running: 10, Provisioned: 5, Environments: []engine.Environments{{ProvisionedBusy: 2}}},
			{Name: "off", Reserved: 0},
			{Name: "warm", Reserved: admission.Unreserved, Provisioned: 30, Running: 4, Environments: []engine.Environments{{ProvisionedBusy: 30}}},
			{Name: "busy", Reserved: admission.Unreserved, Running: 16},
			{Name: "quiet", Reserved: admission.Unreserved},
		},
	}
	var got []string
	for _, p := range budget(&v) {
		got = append(got, fmt.Sprintf("%s %s %d/%d at %g width %g filled %g", p.Kind, p.Label, p.Used, p.Size, p.Start, p.Width, p.Filled))
	}
	want := []string{
		"reserved reserved 12/50 at 0 width 25 filled 24",
		"provisioned warm 30/30 at 25 width 15 filled 100",
		"pool busy 16/16 at 40 width 8 filled 100",
		"pool warm 4/4 at 48 width 2 filled 100",
		"free free 0/100 at 50 width 50 filled 0",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestBudgetOfMany merges the small ones and never grows wider than the picture.
func TestBudgetOfMany(t *testing.T) {
	v := engine.View{Pool: admission.Pool{Limit: 100, Unreserved: 100, InUse: 465}} // a limit that was lowered
	for i := range 30 {
		v.Functions = append(v.Functions, engine.FunctionView{Name: fmt.Sprintf("f%02d", i), Reserved: admission.Unreserved, Running: i + 1})
	}
	parts := budget(&v)
	sum, size := 0.0, 0
	for _, p := range parts {
		sum += p.Width
		size += p.Size
	}
	if last := parts[len(parts)-1]; len(parts) != maxParts || last.Label != "19 others" || last.Function != "" || size != 465 || math.Abs(sum-100) > 0.001 {
		t.Errorf("%d parts, %d wide %g, the last %+v", len(parts), size, sum, parts[len(parts)-1])
	}
}

func TestAdvice(t *testing.T) {
	for limit := admission.AccountConcurrency; limit <= admission.RegionScaling; limit++ {
		for _, holder := range []string{"", "victim", "holder"} {
			s := engine.Starving{Incident: engine.Incident{Limit: limit.String(), Holder: holder}, Victim: "victim", Value: 7, Held: 5}
			for _, a := range advise(&s, 3) {
				if a.Text == "" || a.Function != "" && a.Function != "victim" && a.Function != holder {
					t.Errorf("%v by %q: %+v", limit, holder, a)
				}
			}
		}
	}
	s := engine.Starving{Incident: engine.Incident{Limit: "AccountConcurrency", Holder: "holder"}, Victim: "victim", Value: 10, Held: 9}
	if a := advise(&s, 3); len(a) != 3 || a[0].Function != "victim" || a[1].Function != "holder" || a[1].Text != "cap holder, which held 9, by reserving up to 3 for it" {
		t.Errorf("%+v", a)
	}
	if a := advise(&s, 0); len(a) != 2 || a[0].Text != "raise the account's limit, which leaves 10 unreserved" || a[1].Function != "holder" {
		t.Errorf("where nothing can be reserved: %+v", a)
	}
	for _, c := range []struct {
		pool admission.Pool
		want int
	}{{admission.Pool{Limit: 1000}, 900}, {admission.Pool{Limit: 1000, Reserved: 300, Provisioned: 600}, 0}, {admission.Pool{Limit: 10}, 0}} {
		if got := room(c.pool); got != c.want {
			t.Errorf("room in %+v: %d", c.pool, got)
		}
	}
}

const wantMetrics = `lambda_invocations_total{function_name="a\"b",account_id="111111111111",region="us-east-1"} 1200
lambda_throttles_total{function_name="a\"b",account_id="111111111111",region="us-east-1",reason="ReservedFunctionConcurrentInvocationLimitExceeded"} 3
aws_lambda_invocations_sum{function_name="a\"b",account_id="111111111111",region="us-east-1",dimension_FunctionName="a\"b"} 11
aws_lambda_throttles_sum{function_name="a\"b",account_id="111111111111",region="us-east-1",dimension_FunctionName="a\"b"} 2
aws_lambda_concurrent_executions_maximum{function_name="a\"b",account_id="111111111111",region="us-east-1",dimension_FunctionName="a\"b"} 9
aws_lambda_concurrent_executions_maximum{account_id="111111111111",region="us-east-1"} 9
aws_lambda_claimed_account_concurrency_maximum{account_id="111111111111",region="us-east-1"} 47
lambda_environments{function_name="a\"b",account_id="111111111111",region="us-east-1",version="$LATEST",state="busy",provisioned="false"} 4
lambda_reserved_concurrency{function_name="a\"b",account_id="111111111111",region="us-east-1"} 40
lambda_provisioned_concurrency{function_name="a\"b",account_id="111111111111",region="us-east-1",qualifier="live",kind="available"} 2
lambda_async_event_age_seconds{function_name="a\"b",account_id="111111111111",region="us-east-1"} 1.5
lambda_duration_seconds_bucket{function_name="a\"b",account_id="111111111111",region="us-east-1",le="0.01"} 5
lambda_duration_seconds_bucket{function_name="a\"b",account_id="111111111111",region="us-east-1",le="+Inf"} 6
lambda_duration_seconds_sum{function_name="a\"b",account_id="111111111111",region="us-east-1"} 2.5
lambda_duration_seconds_count{function_name="a\"b",account_id="111111111111",region="us-east-1"} 6`

func TestMetrics(t *testing.T) {
	f := engine.FunctionView{Name: `a"b`, Reserved: 40, Concurrency: 4, Async: engine.Async{Oldest: 1500 * time.Millisecond},
		Environments: []engine.Environments{{Version: "$LATEST", Busy: 4}}, Configs: []engine.Provision{{Qualifier: "live", Requested: 3, Available: 2}}}
	f.Invocations, f.Throttles[admission.ReservedFunctionConcurrentInvocationLimitExceeded] = 1200, 3
	f.Durations.Counts[0], f.Durations.Counts[1], f.Durations.Counts[8], f.Durations.Sum = 2, 3, 1, 2500*time.Millisecond
	e := newExposition()
	e.account(engine.View{Scope: testScope, Pool: admission.Pool{Limit: 1000}, Functions: []engine.FunctionView{f}}, engine.History{
		Samples:   []engine.Sample{{Concurrency: 9, InUse: 7, Reserved: 40}, {Concurrency: 4}},
		Functions: map[string][]engine.FunctionSample{`a"b`: {{Concurrency: 9, Invocations: 10, Throttles: 2}, {Concurrency: 4, Invocations: 1}}},
	})
	var b bytes.Buffer
	if err := e.writeTo(&b); err != nil {
		t.Fatal(err)
	}
	for want := range strings.Lines(wantMetrics) {
		if want = strings.TrimSuffix(want, "\n"); !strings.Contains(b.String(), "\n"+want+"\n") {
			t.Errorf("lacks %s", want)
		}
	}
	if t.Failed() {
		t.Log(b.String())
	}
	family := ""
	for line := range strings.Lines(b.String()) {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			family, _, _ = strings.Cut(name, " ")
		} else if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, family) {
			t.Errorf("%s stands among %s", line, family)
		}
	}
}
