//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// raiseByPython raises the quota on concurrency to 40 and is refused what is no raise.
const raiseByPython = `
import boto3, os
quotas, functions = (boto3.client(s, endpoint_url=os.environ["URL"]) for s in ("service-quotas", "lambda"))
which = dict(ServiceCode="lambda", QuotaCode="L-B99A9384")
got = quotas.request_service_quota_increase(DesiredValue=40, **which)["RequestedQuota"]
assert got["Status"] == "APPROVED" and got["DesiredValue"] == 40, got
assert quotas.get_service_quota(**which)["Quota"]["Value"] == 40
assert functions.get_account_settings()["AccountLimit"]["ConcurrentExecutions"] == 40
try:
    quotas.request_service_quota_increase(DesiredValue=10, **which)
    raise AssertionError("a quota was lowered")
except quotas.exceptions.IllegalArgumentException:
    pass
history = quotas.list_requested_service_quota_change_history(ServiceCode="lambda")["RequestedQuotas"]
assert [r["DesiredValue"] for r in history] == [40, 30], history
`

// TestQuota has clients ask for more concurrency, which is there at once, for their account only.
func TestQuota(t *testing.T) {
	t.Parallel()
	s := start(t, "-sandbox", "process", "-account-concurrency", "20", "-idle-timeout", "2s", "-log-level", "error")
	other := newAccount(s.url)
	other.create(t, function{name: "busy", language: golang, code: program(t, "light"), timeout: 60})
	for _, k := range kits {
		t.Run(k.name, func(t *testing.T) {
			a := newAccount(s.url)
			a.create(t, function{name: "busy", language: golang, code: program(t, "light"), timeout: 60})
			limited(t, s, a, 20)
			out := k.typed(t, s.url, a.id, `
				aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 --desired-value 30 \
					--query 'RequestedQuota.[Status,DesiredValue]' --output text
				aws lambda get-account-settings --query AccountLimit.ConcurrentExecutions
				`)
			wantLines(t, strings.Fields(out.out), "APPROVED", "30.0", "30")
			limited(t, s, a, 30)
			runClient(t, k.python(t, t.Context(), s.url, a.id, "-c", raiseByPython))
			limited(t, s, a, 40)
		})
	}
	limited(t, s, other, 20)
}

// limited checks that as many invocations run at once in an account, and not one more.
func limited(t *testing.T, s *server, a *account, n int) {
	t.Helper()
	event, count := together(t, n)
	seen := outcomes(volley(t, s.url, a.id, "busy", event, n+1))
	if c := count.Count(); seen["200"] != n || seen[overAccount] != 1 || c.Peak != int64(n) {
		t.Errorf("of %d calls under a limit of %d: %v; in the function: %+v", n+1, n, seen, c)
	}
}
