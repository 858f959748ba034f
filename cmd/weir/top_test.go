package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/dashboard"
	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/lambda"
)

// topState is an account in which batch starves checkout, and one that is quiet.
func topState() dashboard.State {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	v := engine.View{
		Scope: lambda.Scope{Account: "111111111111", Region: "us-east-1"}, At: at,
		Pool: admission.Pool{Limit: 200, Reserved: 50, Provisioned: 50, Unreserved: 100, InUse: 100},
		Functions: []engine.FunctionView{
			{Name: "batch", Reserved: admission.Unreserved, Running: 100, Concurrency: 100,
				Counters: engine.Counters{Invocations: 100, Cold: 100}, Environments: []engine.Environments{{Version: "$LATEST", Busy: 100}}},
			{Name: "checkout", Reserved: admission.Unreserved, Counters: engine.Counters{Throttles: [5]uint64{0, 7}}},
			{Name: "a-function-with-a-long-name", Reserved: 50, Running: 25, Concurrency: 25, Environments: []engine.Environments{{Version: "1", Busy: 25}},
				Async: engine.Async{Queued: 3, Oldest: 90 * time.Second}},
		},
		Starvings: []engine.Starving{{
			Incident: engine.Incident{At: at.Add(-time.Minute), Reason: "ConcurrentInvocationLimitExceeded", Why: "100 of 100 unreserved concurrency in use, 100 by batch", Holder: "batch"},
			Victim:   "checkout", First: at.Add(-2 * time.Minute), Count: 7, Held: 100, Value: 100,
		}},
	}
	return dashboard.State{Views: []engine.View{{Scope: lambda.Scope{Account: "000000000000", Region: "us-east-1"}, At: at}, v}}
}

const topWant = `weir top   111111111111 us-east-1   05:06:07 UTC   q quits, n: next of 2 account

125 of 200 running   unreserved 100 of 100 in use   reserved 50   provisioned 50
reserved    [######-------                                       ] 25/50
provisioned [-------------                                       ] 0/50
unreserved  [##########################                          ] 100/100

FUNCTION              RES PROV  RUN BOOT BUSY IDLE  P-BUSY P-IDLE  INVOKED ERROR
batch                   -    0  100    0  100    0       0      0      100     0
a-function-with-a-l…   50    0   25    0   25    0       0      0        0     0
checkout                -    0    0    0    0    0       0      0        0     0

THROTTLES, AND WHY
batch starved checkout  7x  05:04:07-05:05:07 (1m0s ago)  ConcurrentInvocationLi
  100 of 100 unreserved concurrency in use, 100 by batch
`

func TestTopFrame(t *testing.T) {
	state := topState()
	if got := (&top{}).frame(state, 80, 0); got != topWant {
		t.Errorf("got:\n%s", got)
	}
	if got := (&top{}).frame(state, 80, 5); strings.Count(got, "\n") != 5 || !strings.HasSuffix(got, "… 11 lines more\n") {
		t.Errorf("five lines high:\n%s", got)
	}
	if got := (&top{account: "222222222222"}).frame(state, 80, 0); got != "There is no such account.\n" {
		t.Errorf("an account that is not there: %s", got)
	}
	if got := (&top{shown: 2}).frame(state, 80, 0); !strings.HasPrefix(got, "weir top   000000000000") {
		t.Errorf("after n, n:\n%s", got)
	}
}

func TestTopOnce(t *testing.T) {
	r := serve(t, "-sandbox", "process")
	var out, errs bytes.Buffer
	m := Main{Args: []string{"top", "--endpoint", r.url, "--once"}, Stdout: &out, Stderr: &errs}
	if code := m.Run(t.Context()); code != 0 || !strings.HasPrefix(out.String(), "weir top   000000000000 us-east-1") || !strings.Contains(out.String(), "0 of 1000 running") {
		t.Errorf("%d\n%s%s", code, out.String(), errs.String())
	}
}

// TestTopRefused asks a server that wants a key.
func TestTopRefused(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, secret, ok := r.BasicAuth(); !ok || id != "AKIAFIRST" || secret != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"Views":[{"Scope":{"Account":"111111111111","Region":"eu-west-1"}}]}`))
	}))
	defer s.Close()
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte("AKIASECOND other\nAKIAFIRST secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (int, string) {
		var out bytes.Buffer
		m := Main{Args: append([]string{"top", "-once", "-endpoint", s.URL}, args...), Stdout: &out, Stderr: &out}
		return m.Run(t.Context()), out.String()
	}
	if code, out := run(); code != 1 || !strings.Contains(out, "give it -credentials") {
		t.Errorf("without a key: %d %s", code, out)
	}
	if code, out := run("-credentials", keys); code != 0 || !strings.Contains(out, "111111111111 eu-west-1") {
		t.Errorf("with a key: %d %s", code, out)
	}
	if code, out := run("-credentials", keys, "-account", "333333333333"); code != 2 {
		t.Errorf("a key of no such account: %d %s", code, out)
	}
}
