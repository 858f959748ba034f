package cloudwatch

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	api "github.com/weir-run/weir/aws/cloudwatch"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

// TestInThreeProtocols puts and gets a metric as an old CLI, a new one and the Go SDK do.
func TestInThreeProtocols(t *testing.T) {
	h := newHarness(t)
	now := time.Now().UTC()
	at := now.Truncate(time.Minute).Add(-2 * time.Minute)
	// The query protocol, and a gzip body as botocore sends it.
	if r := h.query("Action=PutMetricData&Namespace=app&MetricData.member.1.MetricName=q&MetricData.member.1.Value=5&MetricData.member.1.Timestamp=" + at.Format(time.RFC3339)); r.status != 200 {
		t.Fatalf("query: %d %s", r.status, r.body)
	}
	body := gzipped(t, "Action=PutMetricData&Version=2010-08-01&Namespace=app&MetricData.member.1.MetricName=q&MetricData.member.1.Value=7&MetricData.member.1.Timestamp="+at.Format(time.RFC3339))
	if r := h.send(body, "/", "Content-Type: application/x-www-form-urlencoded", "Content-Encoding: gzip", "Authorization: AWS4-HMAC-SHA256 Credential=111111111111/20261121/us-east-1/monitoring/aws4_request, SignedHeaders=host, Signature=00"); r.status != 200 {
		t.Fatalf("gzip: %d %s", r.status, r.body)
	}
	span := "&StartTime=" + at.Format(time.RFC3339) + "&EndTime=" + now.Format(time.RFC3339)
	r := h.query("Action=GetMetricStatistics&Namespace=app&MetricName=q&Period=60&Statistics.member.1=Sum&Statistics.member.2=Maximum" + span)
	const want = `<GetMetricStatisticsResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/"><GetMetricStatisticsResult><Label>q</Label><Datapoints><member><Timestamp><time></Timestamp><Sum>12.0</Sum><Maximum>7.0</Maximum><Unit>None</Unit></member></Datapoints></GetMetricStatisticsResult><ResponseMetadata><RequestId><uuid></RequestId></ResponseMetadata></GetMetricStatisticsResponse>`
	if got := strings.TrimPrefix(mask(r.body), `<?xml version="1.0" encoding="UTF-8"?>`); strings.TrimSpace(got) != want {
		t.Errorf("query:\n got %s\nwant %s", got, want)
	}
	// JSON 1.0.
	h.ok("PutMetricData", fmt.Sprintf(`{"Namespace":"app","MetricData":[{"MetricName":"j","Timestamp":%d,"Values":[1,2],"Counts":[3,1],"Unit":"Count"}]}`, at.Unix()))
	r = h.json("GetMetricStatistics", fmt.Sprintf(`{"Namespace":"app","MetricName":"j","Period":60,"Statistics":["SampleCount","Average"],"ExtendedStatistics":["p50"],"StartTime":%d,"EndTime":%d}`, at.Unix(), now.Unix()))
	if got := mask(r.body); got != `{"Label":"j","Datapoints":[{"Timestamp":<time>,"SampleCount":4.0,"Average":1.25,"Unit":"Count","ExtendedStatistics":{"p50":1.0}}]}` {
		t.Errorf("JSON: %s", got)
	}
	// The Go SDK: CBOR.
	client := h.sdk()
	ctx := context.Background()
	if _, err := client.PutMetricData(ctx, &sdk.PutMetricDataInput{Namespace: aws.String("app"), MetricData: []types.MetricDatum{{
		MetricName: aws.String("c"), Timestamp: &at, Unit: types.StandardUnitBytes,
		Dimensions:      []types.Dimension{{Name: aws.String("b"), Value: aws.String("2")}, {Name: aws.String("a"), Value: aws.String("1")}},
		StatisticValues: &types.StatisticSet{SampleCount: aws.Float64(4), Sum: aws.Float64(10), Minimum: aws.Float64(1), Maximum: aws.Float64(5)},
	}}}); err != nil {
		t.Fatal(err)
	}
	out, err := client.GetMetricStatistics(ctx, &sdk.GetMetricStatisticsInput{
		Namespace: aws.String("app"), MetricName: aws.String("c"), Period: aws.Int32(60), StartTime: &at, EndTime: &now,
		Dimensions: []types.Dimension{{Name: aws.String("a"), Value: aws.String("1")}, {Name: aws.String("b"), Value: aws.String("2")}},
		Statistics: []types.Statistic{types.StatisticAverage},
	})
	if err != nil || len(out.Datapoints) != 1 || *out.Datapoints[0].Average != 2.5 || !out.Datapoints[0].Timestamp.Equal(at) || out.Datapoints[0].Unit != types.StandardUnitBytes {
		t.Errorf("CBOR: %+v %v", out, err)
	}
	list, err := client.ListMetrics(ctx, &sdk.ListMetricsInput{Namespace: aws.String("app")})
	if err != nil || len(list.Metrics) != 3 || *list.Metrics[0].MetricName != "c" || *list.Metrics[0].Dimensions[0].Name != "a" {
		t.Errorf("ListMetrics: %+v %v", list, err)
	}
}

func (h *harness) sdk() *sdk.Client {
	server := httptest.NewServer(h.mux)
	h.Cleanup(server.Close)
	return sdk.New(sdk.Options{
		BaseEndpoint: aws.String(server.URL), Region: "us-east-1", HTTPClient: http.DefaultClient,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "111111111111", SecretAccessKey: "x"}, nil
		}),
	})
}

// TestGetMetricData evaluates expressions, searches, labels and pages.
func TestGetMetricData(t *testing.T) {
	h := newHarness(t)
	base := time.Now().UTC().Truncate(time.Hour).Add(-time.Hour)
	for i := range 4 {
		h.ok("PutMetricData", fmt.Sprintf(`{"Namespace":"app","MetricData":[
			{"MetricName":"errors","Dimensions":[{"Name":"f","Value":"a"}],"Timestamp":%[1]d,"Value":%[2]d},
			{"MetricName":"calls","Dimensions":[{"Name":"f","Value":"a"}],"Timestamp":%[1]d,"Value":10},
			{"MetricName":"errors","Dimensions":[{"Name":"f","Value":"b"}],"Timestamp":%[1]d,"Value":1}]}`, base.Unix()+int64(i)*60, i))
	}
	get := func(more string) map[string]any {
		t.Helper()
		return h.ok("GetMetricData", fmt.Sprintf(`{"StartTime":%d,"EndTime":%d,%s}`, base.Unix(), base.Unix()+300, more))
	}
	stat := func(id, name, f, more string) string {
		return fmt.Sprintf(`{"Id":%q,"MetricStat":{"Metric":{"Namespace":"app","MetricName":%q,"Dimensions":[{"Name":"f","Value":%q}]},"Period":60,"Stat":"Sum"}%s}`, id, name, f, more)
	}
	brief := func(out map[string]any) string {
		var parts []string
		for _, r := range out["MetricDataResults"].([]any) {
			m := r.(map[string]any)
			parts = append(parts, fmt.Sprint(m["Id"], " ", m["Label"], " ", m["Values"], " ", m["StatusCode"]))
		}
		return strings.Join(parts, "; ")
	}
	for _, row := range []struct{ name, request, want string }{
		{"plain", `"MetricDataQueries":[` + stat("m1", "errors", "a", "") + `]`, "m1 errors [3 2 1 0] Complete"},
		{"ascending", `"ScanBy":"TimestampAscending","MetricDataQueries":[` + stat("m1", "errors", "a", "") + `]`, "m1 errors [0 1 2 3] Complete"},
		{"math", `"ScanBy":"TimestampAscending","MetricDataQueries":[` + stat("m1", "errors", "a", `,"ReturnData":false`) + "," + stat("m2", "calls", "a", `,"ReturnData":false`) + `,{"Id":"rate","Expression":"100*m1/m2","Label":"errors in %, at most ${MAX}"}]`,
			"rate errors in %, at most 30 [0 10 20 30] Complete"},
		{"search", `"ScanBy":"TimestampAscending","MetricDataQueries":[{"Id":"s","Expression":"SEARCH('{app,f} MetricName=\"errors\"', 'Sum', 60)"}]`, "s a [0 1 2 3] Complete; s b [1 1 1 1] Complete"},
		{"sum of a search", `"ScanBy":"TimestampAscending","MetricDataQueries":[{"Id":"s","Expression":"SUM(SEARCH('{app,f} errors', 'Sum', 60))"}]`, "s s [1 2 3 4] Complete"},
		{"labels", `"MetricDataQueries":[` + stat("m1", "errors", "a", `,"Label":"${PROP('Dim.f')} ${LAST} ${SUM}"`) + `]`, "m1 a 3 6 [3 2 1 0] Complete"},
		{"nothing", `"MetricDataQueries":[` + stat("m1", "nope", "a", "") + `]`, "m1 nope [] Complete"},
	} {
		if got := brief(get(row.request)); got != row.want {
			t.Errorf("%s:\n got %s\nwant %s", row.name, got, row.want)
		}
	}
	// Pages of three datapoints.
	queries := `"ScanBy":"TimestampAscending","MaxDatapoints":3,"MetricDataQueries":[` + stat("m1", "errors", "a", "") + "," + stat("m2", "calls", "a", "") + `]`
	first := get(queries)
	second := get(queries + `,"NextToken":"` + first["NextToken"].(string) + `"`)
	third := get(queries + `,"NextToken":"` + second["NextToken"].(string) + `"`)
	got := brief(first) + " | " + brief(second) + " | " + brief(third)
	const want = "m1 errors [0 1 2] PartialData; m2 calls [] PartialData | m1 errors [3] Complete; m2 calls [10 10] PartialData | m2 calls [10 10] Complete"
	if _, more := third["NextToken"]; more || got != want {
		t.Errorf("pages:\n got %s\nwant %s", got, want)
	}
}

// TestRestart keeps what was measured and the states of alarms; what is open is stored by Close.
func TestRestart(t *testing.T) {
	h := newHarness(t)
	at := time.Now().UTC().Truncate(time.Minute)
	h.ok("PutMetricData", fmt.Sprintf(`{"Namespace":"app","MetricData":[{"MetricName":"m","Timestamp":%d,"Value":3}]}`, at.Unix()))
	h.ok("PutMetricAlarm", `{"AlarmName":"a","Namespace":"app","MetricName":"m","Statistic":"Sum","Period":60,"EvaluationPeriods":1,"Threshold":1,"ComparisonOperator":"GreaterThanThreshold","AlarmActions":["arn:aws:sns:us-east-1:111111111111:t"]}`)
	h.ok("PutCompositeAlarm", `{"AlarmName":"c","AlarmRule":"ALARM(a)"}`)
	h.ok("SetAlarmState", `{"AlarmName":"a","StateValue":"ALARM","StateReason":"by hand"}`)
	h.recorder.Record(testScope, metric.Metric{Namespace: "AWS/Lambda", Name: "Invocations"}, metric.Count, instant(at), 1)
	h.close()
	h.open()
	out := h.ok("DescribeAlarms", `{"AlarmTypes":["MetricAlarm","CompositeAlarm"]}`)
	a := out["MetricAlarms"].([]any)[0].(map[string]any)
	c := out["CompositeAlarms"].([]any)[0].(map[string]any)
	if a["StateValue"] != "ALARM" || a["StateReason"] != "by hand" || c["StateValue"] != "ALARM" {
		t.Errorf("after the restart: %v %v", a, c)
	}
	for _, name := range []string{"m", "Invocations"} {
		ns := map[string]string{"m": "app", "Invocations": "AWS/Lambda"}[name]
		r := h.ok("GetMetricStatistics", fmt.Sprintf(`{"Namespace":%q,"MetricName":%q,"Period":60,"Statistics":["Sum"],"StartTime":%d,"EndTime":%d}`, ns, name, at.Unix(), at.Unix()+60))
		if points := r["Datapoints"].([]any); len(points) != 1 {
			t.Errorf("%s after the restart: %v", name, points)
		}
	}
	if got := h.acts(); len(got) != 1 || !strings.HasPrefix(got[0], "publish arn:aws:sns:us-east-1:111111111111:t\nALARM: \"a\" in US East (N. Virginia)\n{\"AlarmName\":\"a\"") {
		t.Errorf("actions: %q", got)
	}
}

// TestOldPeriods reads what is rolled up; a period that stands beside its parts, since the
// server was killed in between, counts once.
func TestOldPeriods(t *testing.T) {
	h := newHarness(t)
	m := metric.Metric{Namespace: "app", Name: "old"}
	k := metric.KeyOf(testScope, m, metric.Count)
	at := metric.Floor(instant(time.Now()), time.Hour) - metric.Instant(20*24*time.Hour)
	period := func(start metric.Instant, length time.Duration, count float64) store.StoredPeriod {
		p := metric.Period{Unit: metric.Count, Start: start, Length: length}
		p.Set.Add(1, count)
		return store.StoredPeriod{Key: k, Period: p}
	}
	all := []store.StoredPeriod{
		period(at, time.Minute, 1), period(at+60e9, time.Minute, 2), period(at, 5*time.Minute, 3),
		period(at+300e9, 5*time.Minute, 4), period(at+3600e9, time.Hour, 5), period(at, time.Hour, 7),
	}
	if _, err := h.store.Metrics().Write(context.Background(), all); err != nil {
		t.Fatal(err)
	}
	found, err := h.service.driver.collect(h.service.driver.account(testScope), k, metric.AnyUnit, spanOf(at, at+7200e9, 5*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	var got []float64
	for _, s := range found[metric.Count] {
		got = append(got, s.Count)
	}
	want := make([]float64, 24)
	want[0], want[1], want[12] = 3, 4, 5
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// BenchmarkPutMetricData takes requests of 1,000 datapoints, of 10,000 metrics in turn, decoded
// already.
func BenchmarkPutMetricData(b *testing.B) {
	s, err := store.Open(store.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	service := Open(Options{Store: s, Recorder: new(store.Recorder), Logger: slog.New(slog.DiscardHandler)})
	defer service.Close()
	var requests []*api.PutMetricDataInput
	for r := range 10 {
		in := &api.PutMetricDataInput{Namespace: wire.Some("app")}
		for i := range 1000 {
			in.MetricData = append(in.MetricData, api.MetricDatum{
				MetricName: wire.Some("latency"), Value: wire.Some(float64(i)),
				Dimensions: []api.Dimension{{Name: wire.Some("id"), Value: wire.Some(fmt.Sprint(r, "-", i))}},
			})
		}
		requests = append(requests, in)
	}
	call := &wire.Call{Scope: testScope}
	n := 0
	for b.Loop() {
		if err := service.PutMetricData(call, requests[n%len(requests)]); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(n*1000)/b.Elapsed().Seconds(), "datapoints/s")
}
