package quotas

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

var scope = lambda.Scope{Account: "111111111111", Region: "us-east-1"}

func open(t *testing.T, dir string) (*store.Store, *wire.Mux) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := store.Open(store.Options{Dir: dir, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	mux := wire.NewMux(wire.Options{Account: scope.Account, Region: scope.Region, Log: log})
	New(Options{Store: s, Concurrency: 1000, Logger: log}).Register(mux)
	return s, mux
}

func call(t *testing.T, mux *wire.Mux, operation, body string) (int, map[string]any) {
	t.Helper()
	req := httptest.NewRequest("POST", "/", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "ServiceQuotasV20190624."+operation)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, req)
	var m map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
		t.Fatalf("%s: %v: %s", operation, err, w.Body)
	}
	return w.Code, m
}

// value reads a path such as "Quota.Value" of an answer, which must be a success.
func value(t *testing.T, mux *wire.Mux, operation, body, path string) string {
	t.Helper()
	status, m := call(t, mux, operation, body)
	if status != 200 {
		t.Fatalf("%s %s: %d %v", operation, body, status, m)
	}
	var v any = m
	for part := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			var i int
			if _, err := fmt.Sscan(part, &i); err != nil || i >= len(x) {
				t.Fatalf("%s: no %s in %v", operation, path, m)
			}
			v = x[i]
		}
	}
	return fmt.Sprint(v)
}

const concurrency = `{"ServiceCode":"lambda","QuotaCode":"L-B99A9384"}`

// TestRaise raises the concurrency of one account and region: it is what the catalogue says, and
// is still after a restart.
func TestRaise(t *testing.T) {
	dir := t.TempDir()
	s, mux := open(t, dir)
	if got := value(t, mux, "GetServiceQuota", concurrency, "Quota.Value"); got != "1000" {
		t.Errorf("at first %s", got)
	}
	for i, want := range []string{"1500", "2000"} {
		if got := value(t, mux, "RequestServiceQuotaIncrease", `{"ServiceCode":"lambda","QuotaCode":"L-B99A9384","DesiredValue":`+want+`}`, "RequestedQuota.Status"); got != "APPROVED" {
			t.Errorf("%d: %s", i, got)
		}
		if got := fmt.Sprint(store.ConcurrencyLimit(s.Catalog().Snapshot(), scope, 1000)); got != want {
			t.Errorf("the catalogue has %s, want %s", got, want)
		}
	}
	if got := store.ConcurrencyLimit(s.Catalog().Snapshot(), lambda.Scope{Account: scope.Account, Region: "eu-west-1"}, 1000); got != 1000 {
		t.Errorf("another region has %d", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, mux = open(t, dir)
	for _, c := range []struct{ operation, body, path, want string }{
		{"GetServiceQuota", concurrency, "Quota.Value", "2000"},
		{"GetServiceQuota", concurrency, "Quota.QuotaArn", "arn:aws:servicequotas:us-east-1:111111111111:lambda/L-B99A9384"},
		{"GetAWSDefaultServiceQuota", concurrency, "Quota.Value", "1000"},
		{"ListServices", `{}`, "Services.0.ServiceCode", "lambda"},
		{"ListServiceQuotas", `{"ServiceCode":"lambda"}`, "Quotas.1.Value", "2000"},
		{"ListServiceQuotas", `{"ServiceCode":"lambda","QuotaCode":"L-2ACBD22F"}`, "Quotas.0.Value", "300"},
		{"ListAWSDefaultServiceQuotas", `{"ServiceCode":"lambda"}`, "Quotas.1.Value", "1000"},
		{"ListRequestedServiceQuotaChangeHistory", `{}`, "RequestedQuotas.0.DesiredValue", "2000"},
		{"ListRequestedServiceQuotaChangeHistoryByQuota", concurrency, "RequestedQuotas.1.DesiredValue", "1500"},
		{"ListRequestedServiceQuotaChangeHistory", `{"Status":"DENIED"}`, "RequestedQuotas", "[]"},
	} {
		if got := value(t, mux, c.operation, c.body, c.path); got != c.want {
			t.Errorf("%s %s: %s is %s, want %s", c.operation, c.body, c.path, got, c.want)
		}
	}
	id := value(t, mux, "ListRequestedServiceQuotaChangeHistory", `{}`, "RequestedQuotas.1.Id")
	if got := value(t, mux, "GetRequestedServiceQuotaChange", `{"RequestId":"`+id+`"}`, "RequestedQuota.DesiredValue"); got != "1500" {
		t.Errorf("request %s desires %s", id, got)
	}
	next := value(t, mux, "ListRequestedServiceQuotaChangeHistory", `{"MaxResults":1}`, "NextToken")
	if got := value(t, mux, "ListRequestedServiceQuotaChangeHistory", `{"MaxResults":1,"NextToken":"`+next+`"}`, "RequestedQuotas.0.DesiredValue"); got != "1500" {
		t.Errorf("the second page has %s", got)
	}
}

func TestRefused(t *testing.T) {
	s, mux := open(t, t.TempDir())
	for _, c := range []struct{ operation, body, code string }{
		{"GetServiceQuota", `{"ServiceCode":"ec2","QuotaCode":"L-1216C47A"}`, "NoSuchResourceException"},
		{"GetServiceQuota", `{"ServiceCode":"lambda","QuotaCode":"L-1216C47A"}`, "NoSuchResourceException"},
		{"ListServiceQuotas", `{"ServiceCode":"ec2"}`, "NoSuchResourceException"},
		{"GetRequestedServiceQuotaChange", `{"RequestId":"abc"}`, "NoSuchResourceException"},
		{"RequestServiceQuotaIncrease", `{"ServiceCode":"lambda","QuotaCode":"L-2ACBD22F","DesiredValue":400}`, "IllegalArgumentException"},
		{"RequestServiceQuotaIncrease", `{"ServiceCode":"lambda","QuotaCode":"L-B99A9384","DesiredValue":1000}`, "IllegalArgumentException"},
		{"RequestServiceQuotaIncrease", `{"ServiceCode":"lambda","QuotaCode":"L-B99A9384","DesiredValue":1000.5}`, "IllegalArgumentException"},
		{"RequestServiceQuotaIncrease", `{"ServiceCode":"lambda","QuotaCode":"L-B99A9384","DesiredValue":1e10}`, "IllegalArgumentException"},
		{"RequestServiceQuotaIncrease", `{"ServiceCode":"lambda","QuotaCode":"L-B99A9384","DesiredValue":2000,"ContextId":"x"}`, "IllegalArgumentException"},
		{"ListServices", `{"NextToken":"a==="}`, "IllegalArgumentException"},
	} {
		status, m := call(t, mux, c.operation, c.body)
		if code, _ := m["__type"].(string); status != 400 || !strings.HasSuffix(code, c.code) {
			t.Errorf("%s %s: %d %v, want %s", c.operation, c.body, status, m, c.code)
		}
	}
	if got := store.ConcurrencyLimit(s.Catalog().Snapshot(), scope, 1000); got != 1000 {
		t.Errorf("a refused request changed the limit to %d", got)
	}
}
