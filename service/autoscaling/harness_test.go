package autoscaling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
	cloudwatchservice "github.com/weir-run/weir/service/cloudwatch"
	"github.com/weir-run/weir/store"
)

// A harness is the service with a real CloudWatch, on one alias whose environments are up at once.
type harness struct {
	*testing.T
	dir      string
	store    *store.Store
	recorder *store.Recorder
	metrics  *cloudwatchservice.Service
	service  *Service
	mux      *wire.Mux
	log      *strings.Builder // written by the loop and read when it is quiet
	refuse   atomic.Bool      // SetProvisioned fails
	booting  atomic.Bool      // changes are in progress
}

var scope = lambda.Scope{Account: "111111111111", Region: "us-east-1"}

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{T: t, dir: t.TempDir(), log: new(strings.Builder)}
	h.open()
	t.Cleanup(h.close)
	h.update(func(tx *store.Tx) {
		store.Aliases.Put(tx, scope, store.QualifiedName("f", "prod"), &lambda.Alias{Function: "f", Name: "prod", Version: "1"})
	})
	return h
}

func (h *harness) open() {
	h.Helper()
	var err error
	quiet := slog.New(slog.DiscardHandler)
	if h.store, err = store.Open(store.Options{Dir: h.dir, Logger: quiet}); err != nil {
		h.Fatal(err)
	}
	h.recorder = new(store.Recorder)
	ready := make(chan struct{})
	h.metrics = cloudwatchservice.Open(cloudwatchservice.Options{
		Store: h.store, Recorder: h.recorder, Logger: quiet,
		Scale: func(ctx context.Context, s lambda.Scope, policyARN string, x cloudwatchservice.Scaling) error {
			<-ready
			return h.service.Scale(ctx, s, policyARN, Alarm{Name: x.Alarm, State: x.State, Value: x.Value, HasValue: x.HasValue})
		},
	})
	h.service = Open(Options{
		Store: h.store, PutAlarm: h.metrics.PutAlarm, DeleteAlarms: h.metrics.RemoveAlarms,
		SetProvisioned: h.set, Status: h.status,
		Logger: slog.New(slog.NewTextHandler(h.log, nil)),
	})
	close(ready)
	h.mux = wire.NewMux(wire.Options{Account: scope.Account, Region: scope.Region, Log: quiet})
	h.service.Register(h.mux)
	h.metrics.Register(h.mux)
}

func (h *harness) set(ctx context.Context, s lambda.Scope, function, qualifier string, n int) error {
	if h.refuse.Load() {
		return errors.New("no room")
	}
	return h.store.Catalog().Update(ctx, func(tx *store.Tx) error {
		name := store.QualifiedName(function, qualifier)
		if n == 0 {
			store.Provisioned.Delete(tx, s, name)
			return nil
		}
		store.Provisioned.Put(tx, s, name, &lambda.Provisioned{Function: function, Qualifier: qualifier, Concurrency: n})
		return nil
	})
}

func (h *harness) status(lambda.Scope, string, string) admission.Status {
	if h.booting.Load() {
		return admission.InProgress
	}
	return admission.Ready
}

func (h *harness) update(f func(tx *store.Tx)) {
	h.Helper()
	if err := h.store.Catalog().Update(context.Background(), func(tx *store.Tx) error { f(tx); return nil }); err != nil {
		h.Fatal(err)
	}
}

// close ends everything; it may be called again.
func (h *harness) close() {
	h.metrics.Close()
	h.service.Close()
	if err := h.store.Close(); err != nil {
		h.Error(err)
	}
}

// capacity is what is provisioned.
func (h *harness) capacity() int {
	if p, ok := store.Provisioned.Get(h.store.Catalog().Snapshot(), scope, store.QualifiedName("f", "prod")); ok {
		return p.Concurrency
	}
	return 0
}

// of adds what every request has.
func of(more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"ServiceNamespace":"lambda","ResourceId":"function:f:prod","ScalableDimension":"lambda:function:ProvisionedConcurrency"` + more + `}`
}

func (h *harness) call(target, body string) (int, map[string]any) {
	h.Helper()
	req := httptest.NewRequest("POST", "/", strings.NewReader(body))
	version := "1.1"
	if strings.HasPrefix(target, "Granite") {
		version = "1.0"
	}
	req.Header.Set("Content-Type", "application/x-amz-json-"+version)
	req.Header.Set("X-Amz-Target", target)
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, req)
	var m map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil && w.Body.Len() > 0 {
		h.Fatalf("%s: %v: %s", target, err, w.Body)
	}
	return w.Code, m
}

// ok calls an operation that must succeed.
func (h *harness) ok(operation, body string) map[string]any {
	h.Helper()
	status, m := h.call("AnyScaleFrontendService."+operation, body)
	if status != 200 {
		h.Fatalf("%s %s: %d %v", operation, body, status, m)
	}
	return m
}

func (h *harness) alarms() []map[string]any {
	h.Helper()
	_, m := h.call("GraniteServiceVersion20100801.DescribeAlarms", `{}`)
	var list []map[string]any
	for _, a := range m["MetricAlarms"].([]any) {
		list = append(list, a.(map[string]any))
	}
	return list
}

// activities lists what was done, the oldest first.
func (h *harness) activities(more string) []string {
	h.Helper()
	var lines []string
	for _, x := range h.ok("DescribeScalingActivities", of(more))["ScalingActivities"].([]any) {
		a := x.(map[string]any)
		at := time.Unix(int64(a["StartTime"].(float64)), 0).UTC()
		lines = append([]string{fmt.Sprintf("%s %s (%s) %s: %v", at.Format("02 15:04"), a["Description"], a["Cause"], a["StatusCode"], a["StatusMessage"])}, lines...)
	}
	return lines
}

// load has the function use so much of its provisioned concurrency for some minutes.
func (h *harness) load(utilisation float64, minutes int) {
	m := metric.Metric{Namespace: "AWS/Lambda", Name: "ProvisionedConcurrencyUtilization", Dimensions: []metric.Dimension{{Name: "FunctionName", Value: "f"}, {Name: "Resource", Value: "f:prod"}}}
	for range minutes * 6 {
		h.recorder.Record(scope, m, metric.None, metric.Instant(time.Now().UnixNano()), utilisation)
		time.Sleep(10 * time.Second)
	}
}
