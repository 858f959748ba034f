package cloudwatch

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

const putHigh = `{"AlarmName":"TargetTracking-function:f:prod-AlarmHigh","AlarmDescription":"DO NOT EDIT OR DELETE.","Namespace":"AWS/Lambda","MetricName":"ProvisionedConcurrencyUtilization",
	"Dimensions":[{"Name":"FunctionName","Value":"f"},{"Name":"Resource","Value":"f:prod"}],"Statistic":"Average","Period":60,"EvaluationPeriods":3,"Threshold":0.7,"ComparisonOperator":"GreaterThanThreshold",
	"AlarmActions":["arn:aws:sns:us-east-1:111111111111:t","arn:aws:lambda:us-east-1:111111111111:function:g","arn:aws:autoscaling:us-east-1:111111111111:scalingPolicy:x:resource/lambda/function:f:prod:policyName/p"]}`

var rewrite = flag.Bool("rewrite", false, "write what the ramp says into its file")

// TestUtilisationRamp drives a load that uses 0.5 and then 0.9 of the provisioned concurrency:
// the alarm goes off after three minutes above 0.7, tells a topic, a function and a scaling
// policy, and tells the policy again each minute. The clock is virtual, so each run says the
// same, byte for byte.
func TestUtilisationRamp(t *testing.T) {
	var first string
	for range 2 {
		got := ramp(t)
		if first == "" {
			first = got
		}
		if got != first {
			t.Fatalf("two runs differ:\n%s\n----\n%s", first, got)
		}
	}
	const file = "testdata/ramp.txt"
	want, err := os.ReadFile(file)
	if *rewrite {
		want, err = []byte(first), os.WriteFile(file, []byte(first), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if first != string(want) {
		t.Errorf("got\n%s\nwant\n%s", first, want)
	}
}

func ramp(t *testing.T) (text string) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		m := metric.Metric{Namespace: "AWS/Lambda", Name: "ProvisionedConcurrencyUtilization", Dimensions: []metric.Dimension{{Name: "FunctionName", Value: "f"}, {Name: "Resource", Value: "f:prod"}}}
		g := h.recorder.Group(store.NewSeries(testScope, m, metric.None))
		h.ok("PutMetricAlarm", putHigh)
		time.Sleep(500 * time.Millisecond) // never at the moment of an evaluation: the order would be open
		for minute := range 8 {
			load := 0.5
			if minute >= 2 && minute < 7 {
				load = 0.9
			}
			for range 60 {
				g.Add(metric.Instant(time.Now().UnixNano()), load)
				time.Sleep(time.Second)
			}
			r := h.ok("DescribeAlarms", `{}`)["MetricAlarms"].([]any)[0].(map[string]any)
			text += fmt.Sprintf("after minute %d at %.1f: %v\n", minute, load, r["StateValue"])
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for _, act := range h.acts() {
			text += act + "\n"
		}
		history := h.ok("DescribeAlarmHistory", `{"ScanBy":"TimestampAscending"}`)["AlarmHistoryItems"].([]any)
		for _, x := range history {
			item := x.(map[string]any)
			text += fmt.Sprint(item["Timestamp"], " ", item["HistoryItemType"], ": ", item["HistorySummary"], "\n")
			if item["HistoryItemType"] == "StateUpdate" {
				text += fmt.Sprint(item["HistoryData"], "\n")
			}
		}
	})
	return text
}

// TestThrottleAlarm is the alarm of the articles: more than ten throttles in a minute.
func TestThrottleAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		form := "Action=PutMetricAlarm&AlarmName=brand-api-throttles&AlarmDescription=Lambda+throttling+detected&MetricName=Throttles&Namespace=AWS%2FLambda&Dimensions.member.1.Name=FunctionName&Dimensions.member.1.Value=brand-api&Statistic=Sum&Period=60&EvaluationPeriods=1&Threshold=10&ComparisonOperator=GreaterThanThreshold&AlarmActions.member.1=arn%3Aaws%3Asns%3Aus-east-1%3A111111111111%3AAlertSNSTopic"
		if r := h.query(form); r.status != 200 {
			t.Fatalf("PutMetricAlarm: %d %s", r.status, r.body)
		}
		m := metric.Metric{Namespace: "AWS/Lambda", Name: "Throttles", Dimensions: []metric.Dimension{{Name: "FunctionName", Value: "brand-api"}}}
		for range 11 {
			h.recorder.Record(testScope, m, metric.Count, metric.Instant(time.Now().UnixNano()), 1)
		}
		time.Sleep(65 * time.Second)
		synctest.Wait()
		acts := h.acts()
		if len(acts) != 1 {
			t.Fatalf("actions: %q", acts)
		}
		parts := strings.SplitN(acts[0], "\n", 3)
		const subject = `ALARM: "brand-api-throttles" in US East (N. Virginia)`
		const want = `{"AlarmName":"brand-api-throttles","AlarmDescription":"Lambda throttling detected","AWSAccountId":"111111111111","AlarmConfigurationUpdatedTimestamp":"2000-01-01T00:00:00.000+0000","NewStateValue":"ALARM",` +
			`"NewStateReason":"Threshold Crossed: 1 out of the last 1 datapoints [11.0 (01/01/00 00:00:00)] was greater than the threshold (10.0) (minimum 1 datapoint for OK -> ALARM transition).",` +
			`"StateChangeTime":"2000-01-01T00:01:02.000+0000","Region":"US East (N. Virginia)","AlarmArn":"arn:aws:cloudwatch:us-east-1:111111111111:alarm:brand-api-throttles","OldStateValue":"INSUFFICIENT_DATA",` +
			`"OKActions":[],"AlarmActions":["arn:aws:sns:us-east-1:111111111111:AlertSNSTopic"],"InsufficientDataActions":[],` +
			`"Trigger":{"MetricName":"Throttles","Namespace":"AWS/Lambda","StatisticType":"Statistic","Statistic":"SUM","Unit":null,"Dimensions":[{"value":"brand-api","name":"FunctionName"}],"Period":60,"EvaluationPeriods":1,"ComparisonOperator":"GreaterThanThreshold","Threshold":10.0,"TreatMissingData":"","EvaluateLowSampleCountPercentile":""}}`
		if parts[1] != subject || parts[2] != want {
			t.Errorf("got\n%s\n%s\nwant\n%s\n%s", parts[1], parts[2], subject, want)
		}
		// Without further throttles the data runs out.
		time.Sleep(4 * time.Minute)
		r := h.query("Action=DescribeAlarms&AlarmNames.member.1=brand-api-throttles")
		if !strings.Contains(r.body, "<StateValue>INSUFFICIENT_DATA</StateValue>") {
			t.Errorf("four minutes later: %s", r.body)
		}
	})
}

// TestRefusals holds what is refused, and how.
func TestRefusals(t *testing.T) {
	h := newHarness(t)
	alarm := func(more string) string {
		return `{"AlarmName":"a","Namespace":"n","MetricName":"m","Statistic":"Sum","Period":60,"EvaluationPeriods":1,"Threshold":1,"ComparisonOperator":"GreaterThanThreshold"` + more + `}`
	}
	replaced := func(old, with string) string { return strings.Replace(alarm(""), old, with, 1) }
	for _, row := range []struct {
		name, operation, body string
		status                int
		code, message         string
	}{
		{"namespace of AWS", "PutMetricData", `{"Namespace":"AWS/x","MetricData":[{"MetricName":"m","Value":1}]}`, 400, "InvalidParameterValueException", "The value AWS/ for parameter Namespace is invalid."},
		{"no value", "PutMetricData", `{"Namespace":"n","MetricData":[{"MetricName":"m"}]}`, 400, "MissingRequiredParameterException", "At least one of the parameters must be specified"},
		{"two values", "PutMetricData", `{"Namespace":"n","MetricData":[{"MetricName":"m","Value":1,"StatisticValues":{"SampleCount":1,"Sum":1,"Minimum":1,"Maximum":1}}]}`, 400, "InvalidParameterCombinationException", "The parameters MetricData.member.1.Value and MetricData.member.1.StatisticValues are mutually exclusive and you have specified both."},
		{"no number", "PutMetricData", `{"Namespace":"n","MetricData":[{"MetricName":"m","Value":"NaN"}]}`, 400, "InvalidParameterValueException", "The value NaN for parameter MetricData.member.1.Value is invalid."},
		{"too old", "PutMetricData", `{"Namespace":"n","MetricData":[{"MetricName":"m","Value":1,"Timestamp":` + seconds(-15*24*time.Hour) + `}]}`, 400, "InvalidParameterValueException", "two weeks"},
		{"sizes", "PutMetricData", `{"Namespace":"n","MetricData":[{"MetricName":"m","Values":[1,2],"Counts":[1]}]}`, 400, "InvalidParameterValueException", "same size"},
		{"entities", "PutMetricData", `{"Namespace":"n","EntityMetricData":[{"MetricData":[{"MetricName":"m","Value":1}]}]}`, 400, "ValidationException", "weir does not support the parameter EntityMetricData"},
		{"backwards", "GetMetricStatistics", `{"Namespace":"n","MetricName":"m","Period":60,"Statistics":["Sum"],"StartTime":100,"EndTime":100}`, 400, "InvalidParameterCombinationException", "The parameter StartTime must be less than the parameter EndTime."},
		{"too many", "GetMetricStatistics", `{"Namespace":"n","MetricName":"m","Period":60,"Statistics":["Sum"],"StartTime":0,"EndTime":6048000}`, 400, "InvalidParameterCombinationException", "You have requested up to 100,800 datapoints, which exceeds the limit of 1,440. You may reduce the datapoints requested by increasing Period, or decreasing the time range."},
		{"no statistic", "GetMetricStatistics", `{"Namespace":"n","MetricName":"m","Period":60,"StartTime":0,"EndTime":60}`, 400, "InvalidParameterCombinationException", "Must specify either Statistics or ExtendedStatistics"},
		{"M over N", "PutMetricAlarm", alarm(`,"DatapointsToAlarm":2`), 400, "ValidationException", "DatapointsToAlarm must be less than or equal to EvaluationPeriods"},
		{"over a day", "PutMetricAlarm", replaced(`"EvaluationPeriods":1`, `"EvaluationPeriods":1441`), 400, "ValidationException", "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400)."},
		{"anomaly", "PutMetricAlarm", replaced("GreaterThanThreshold", "GreaterThanUpperThreshold"), 400, "ValidationException", "weir does not support the comparison operator GreaterThanUpperThreshold."},
		{"statistic", "PutMetricAlarm", alarm(`,"ExtendedStatistic":"p90"`), 400, "ValidationException", "Either Statistic or ExtendedStatistic has to be set"},
		{"action", "PutMetricAlarm", alarm(`,"AlarmActions":["arn:aws:automate:us-east-1:ec2:stop"]`), 400, "ValidationException", "Invalid arn syntax: arn:aws:automate:us-east-1:ec2:stop"},
		{"unknown variable", "PutMetricAlarm", `{"AlarmName":"a","EvaluationPeriods":1,"Threshold":1,"ComparisonOperator":"GreaterThanThreshold","Metrics":[{"Id":"e","Expression":"x+1"}]}`, 400, "ValidationException", "Error in expression 'e': Undefined variable x"},
		{"rule", "PutCompositeAlarm", `{"AlarmName":"c","AlarmRule":"ALARM(a"}`, 400, "ValidationException", "AlarmRule must not contain a syntax error"},
		{"children", "PutCompositeAlarm", `{"AlarmName":"c","AlarmRule":"ALARM(nope)"}`, 400, "ValidationException", "[nope] in the alarm rule do not exist"},
		{"no such alarm", "SetAlarmState", `{"AlarmName":"nope","StateValue":"OK","StateReason":"r"}`, 404, "ResourceNotFound", "nope"},
		{"dashboard", "PutDashboard", `{"DashboardName":"d","DashboardBody":"[]"}`, 400, "DashboardInvalidInputError", "valid JSON object"},
		{"no dashboard", "GetDashboard", `{"DashboardName":"d"}`, 404, "DashboardNotFoundError", "Dashboard d does not exist"},
		{"not built", "PutAnomalyDetector", `{}`, 400, "UnknownOperationException", "weir does not implement the operation PutAnomalyDetector"},
	} {
		r := h.json(row.operation, row.body)
		var e struct {
			Type    string `json:"__type"`
			Message string
		}
		if err := json.Unmarshal([]byte(r.body), &e); err != nil {
			t.Errorf("%s: %v: %s", row.name, err, r.body)
		}
		if r.status != row.status || !strings.HasSuffix(e.Type, row.code) || !strings.Contains(e.Message, row.message) {
			t.Errorf("%s:\n got %d %s\nwant %d %s %s", row.name, r.status, r.body, row.status, row.code, row.message)
		}
	}
	if got := h.ok("DescribeAlarms", `{}`)["MetricAlarms"].([]any); len(got) != 0 {
		t.Errorf("a refused request changed something: %v", got)
	}
	r := h.query("Action=SetAlarmState&AlarmName=x&StateValue=OK&StateReason=r")
	if r.status != 404 || !strings.Contains(r.body, "<Code>ResourceNotFound</Code>") {
		t.Errorf("the query protocol: %d %s", r.status, r.body)
	}
}

// TestAlarmLife makes, lists, tags, disables, replaces and deletes alarms.
func TestAlarmLife(t *testing.T) {
	h := newHarness(t)
	for i := range 3 {
		h.ok("PutMetricAlarm", fmt.Sprintf(`{"AlarmName":"a%d","Namespace":"n","MetricName":"m","ExtendedStatistic":"p90","Period":60,"EvaluationPeriods":3,"DatapointsToAlarm":2,"Threshold":1,"ComparisonOperator":"GreaterThanThreshold","TreatMissingData":"notBreaching","Tags":[{"Key":"team","Value":"x"}]}`, i))
	}
	h.ok("PutCompositeAlarm", `{"AlarmName":"c","AlarmRule":"ALARM(a0) OR OK(a1)"}`)
	if r := h.json("PutCompositeAlarm", `{"AlarmName":"c","AlarmRule":"ALARM(c)"}`); r.status != 400 || !strings.Contains(r.body, "cycle") {
		t.Errorf("a cycle: %s", r.body)
	}
	names := func(out map[string]any, list string) string {
		var all []string
		for _, a := range out[list].([]any) {
			all = append(all, a.(map[string]any)["AlarmName"].(string))
		}
		return strings.Join(all, " ")
	}
	one := h.ok("DescribeAlarms", `{"MaxRecords":2}`)
	two := h.ok("DescribeAlarms", `{"MaxRecords":2,"NextToken":"`+one["NextToken"].(string)+`"}`)
	if got := names(one, "MetricAlarms") + "|" + names(two, "MetricAlarms"); got != "a0 a1|a2" {
		t.Errorf("pages: %s", got)
	}
	if got := names(h.ok("DescribeAlarms", `{"ChildrenOfAlarmName":"c"}`), "MetricAlarms"); got != "a0 a1" {
		t.Errorf("children: %s", got)
	}
	if got := names(h.ok("DescribeAlarms", `{"ParentsOfAlarmName":"a0"}`), "CompositeAlarms"); got != "c" {
		t.Errorf("parents: %s", got)
	}
	if got := names(h.ok("DescribeAlarmsForMetric", `{"Namespace":"n","MetricName":"m"}`), "MetricAlarms"); got != "a0 a1 a2" {
		t.Errorf("for the metric: %s", got)
	}
	r := h.json("DescribeAlarms", `{"AlarmNames":["a0"]}`)
	const want = `{"CompositeAlarms":[],"MetricAlarms":[{"AlarmName":"a0","AlarmArn":"arn:aws:cloudwatch:us-east-1:111111111111:alarm:a0","AlarmConfigurationUpdatedTimestamp":<time>,"ActionsEnabled":true,"OKActions":[],"AlarmActions":[],"InsufficientDataActions":[],"StateValue":"INSUFFICIENT_DATA","StateReason":"Unchecked: Initial alarm creation","StateUpdatedTimestamp":<time>,"MetricName":"m","Namespace":"n","ExtendedStatistic":"p90","Dimensions":[],"Period":60,"EvaluationPeriods":3,"DatapointsToAlarm":2,"Threshold":1.0,"ComparisonOperator":"GreaterThanThreshold","TreatMissingData":"notBreaching","StateTransitionedTimestamp":<time>}]}`
	if got := mask(r.body); got != want {
		t.Errorf("an alarm:\n got %s\nwant %s", got, want)
	}
	const arn = `"ResourceARN":"arn:aws:cloudwatch:us-east-1:111111111111:alarm:a0"`
	h.ok("TagResource", `{`+arn+`,"Tags":[{"Key":"a","Value":"1"}]}`)
	h.ok("UntagResource", `{`+arn+`,"TagKeys":["team"]}`)
	if got := h.json("ListTagsForResource", `{`+arn+`}`).body; got != `{"Tags":[{"Key":"a","Value":"1"}]}` {
		t.Errorf("tags: %s", got)
	}
	h.ok("DisableAlarmActions", `{"AlarmNames":["a0"]}`)
	if got := h.json("DescribeAlarms", `{"AlarmNames":["a0"]}`).body; !strings.Contains(got, `"ActionsEnabled":false`) {
		t.Errorf("disabled: %s", got)
	}
	h.ok("SetAlarmState", `{"AlarmName":"a0","StateValue":"ALARM","StateReason":"one"}`)
	h.ok("SetAlarmState", `{"AlarmName":"a0","StateValue":"ALARM","StateReason":"two"}`)
	out := h.ok("DescribeAlarms", `{"AlarmTypes":["CompositeAlarm","MetricAlarm"],"StateValue":"ALARM"}`)
	composite := out["CompositeAlarms"].([]any)[0].(map[string]any)
	reason := regexp.MustCompile(` at .* UTC`).ReplaceAllString(composite["StateReason"].(string), "")
	if names(out, "MetricAlarms") != "a0" || out["MetricAlarms"].([]any)[0].(map[string]any)["StateReason"] != "two" || reason != "arn:aws:cloudwatch:us-east-1:111111111111:alarm:a0 transitioned to ALARM" {
		t.Errorf("in ALARM: %v, %s", out, reason)
	}
	h.ok("DeleteAlarms", `{"AlarmNames":["c"]}`)
	h.ok("DeleteAlarms", `{"AlarmNames":["a0","a1","a2","gone"]}`)
	if got := names(h.ok("DescribeAlarms", `{"AlarmTypes":["CompositeAlarm","MetricAlarm"]}`), "MetricAlarms"); got != "" {
		t.Errorf("deleted: %s", got)
	}
	items := h.ok("DescribeAlarmHistory", `{"AlarmName":"a0","HistoryItemType":"ConfigurationUpdate"}`)["AlarmHistoryItems"].([]any)
	if len(items) != 2 || items[0].(map[string]any)["HistorySummary"] != `Alarm "a0" deleted` {
		t.Errorf("history: %v", items)
	}
}

func TestDashboards(t *testing.T) {
	h := newHarness(t)
	if got := h.json("PutDashboard", `{"DashboardName":"d1","DashboardBody":"{\"widgets\":[]}"}`).body; got != `{"DashboardValidationMessages":[]}` {
		t.Errorf("put: %s", got)
	}
	h.ok("PutDashboard", `{"DashboardName":"e","DashboardBody":"{\"widgets\":[{}]}"}`)
	if got := h.json("GetDashboard", `{"DashboardName":"d1"}`).body; got != `{"DashboardArn":"arn:aws:cloudwatch::111111111111:dashboard/d1","DashboardBody":"{\"widgets\":[]}","DashboardName":"d1"}` {
		t.Errorf("get: %s", got)
	}
	if got := h.ok("ListDashboards", `{"DashboardNamePrefix":"d"}`)["DashboardEntries"].([]any); len(got) != 1 || got[0].(map[string]any)["Size"] != 14.0 {
		t.Errorf("list: %v", got)
	}
	if r := h.json("DeleteDashboards", `{"DashboardNames":["d1","nope"]}`); r.status != 404 {
		t.Errorf("delete of one that is not: %s", r.body)
	}
	h.ok("DeleteDashboards", `{"DashboardNames":["d1","e"]}`)
	if got := h.ok("ListDashboards", `{}`)["DashboardEntries"].([]any); len(got) != 0 {
		t.Errorf("after the delete: %v", got)
	}
}

func TestEMF(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	line := `{"_aws":{"Timestamp":1699999999000,"CloudWatchMetrics":[{"Namespace":"app","Dimensions":[["f"],["f","v"],[]],"Metrics":[{"Name":"time","Unit":"Milliseconds","StorageResolution":1},{"Name":"n"},{"Name":"absent"}]}]},"f":"x","v":"1","time":[1,2.5],"n":3}`
	points, err := EMF([]byte(line), now)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range points {
		got = append(got, fmt.Sprint(p.Metric, " ", p.Unit, " ", p.Values, " ", p.High, " ", int64(p.At)/1e9))
	}
	want := []string{
		"{app time [{f x}]} Milliseconds [1 2.5] true 1699999999", "{app time [{f x} {v 1}]} Milliseconds [1 2.5] true 1699999999", "{app time []} Milliseconds [1 2.5] true 1699999999",
		"{app n [{f x}]} None [3] false 1699999999", "{app n [{f x} {v 1}]} None [3] false 1699999999", "{app n []} None [3] false 1699999999",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, plain := range []string{"", "hello", `{"a":1}`, `{"x":"\"CloudWatchMetrics\""}`} {
		if points, err := EMF([]byte(plain), now); points != nil || err != nil {
			t.Errorf("%q: %v %v", plain, points, err)
		}
	}
	for _, bad := range []string{
		strings.Replace(line, `"n":3`, `"n":"3"`, 1), strings.Replace(line, `"f":"x"`, `"f":7`, 1), strings.Replace(line, "Milliseconds", "Hours", 1),
		strings.Replace(line, "1699999999000", "5", 1), strings.Replace(line, `"n":3`, `"n":null`, 1), line[:len(line)-1],
	} {
		if points, err := EMF([]byte(bad), now); err == nil {
			t.Errorf("%s: %v", bad, points)
		}
	}
}

// What no request can name is refused: a control character would also make one metric of two.
func TestEMFNames(t *testing.T) {
	long := strings.Repeat("x", 1025)
	for _, x := range []struct{ namespace, name, dimension, value string }{
		{`n\u0000`, "m", "D", "v"}, {"n", `m\u0001`, "D", "v"}, {"n", "m", `D\n`, "v"}, {"n", "m", "D", `v\u0000w`},
		{long, "m", "D", "v"}, {"n", long, "D", "v"}, {"n", "m", long, "v"}, {"n", "m", "D", long}, {"n", "", "D", "v"},
	} {
		line := fmt.Sprintf(`{"_aws":{"CloudWatchMetrics":[{"Namespace":"%s","Dimensions":[["%s"]],"Metrics":[{"Name":"%s"}]}]},"%s":"%s","%s":1}`,
			x.namespace, x.dimension, x.name, x.dimension, x.value, x.name)
		if points, err := EMF([]byte(line), time.Now()); err == nil {
			t.Errorf("%.200s: %v", line, points)
		}
	}
}

func FuzzEMF(f *testing.F) {
	f.Add([]byte(`{"_aws":{"CloudWatchMetrics":[{"Namespace":"a","Dimensions":[["f"]],"Metrics":[{"Name":"t"}]}]},"f":"x","t":1}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		points, err := EMF(line, time.Unix(1_700_000_000, 0))
		if err != nil && points != nil {
			t.Error("both points and an error")
		}
	})
}

// An alarm that could never have a datapoint, or whose actions nobody would get, is refused
// instead of staying in INSUFFICIENT_DATA for ever.
func TestAlarmWithoutEffect(t *testing.T) {
	h := newHarness(t)
	const (
		tail = `"EvaluationPeriods":1,"Threshold":1,"ComparisonOperator":"GreaterThanThreshold"`
		m    = `{"Id":"m","ReturnData":false,"MetricStat":{"Metric":{"Namespace":"n","MetricName":"x"},"Period":60,"Stat":"Sum"}},{"Id":"k","ReturnData":false,"MetricStat":{"Metric":{"Namespace":"n","MetricName":"y"},"Period":60,"Stat":"Sum"}}`
	)
	plain := func(period, actions string) string {
		return `{"AlarmName":"a","Namespace":"n","MetricName":"x","Statistic":"Sum","Period":` + period + `,` + tail + actions + `}`
	}
	lines := func(more string) string { return `{"AlarmName":"a","Metrics":[` + m + `,` + more + `],` + tail + `}` }
	for body, want := range map[string]string{
		plain("1", ""):  "Period must be 10, 20, 30 or a multiple of 60",
		plain("5", ""):  "Period must be 10, 20, 30 or a multiple of 60",
		plain("90", ""): "Period must be 10, 20, 30 or a multiple of 60",
		plain("60", `,"AlarmActions":["arn:aws:sns:eu-west-1:111111111111:t"]`): "Invalid region eu-west-1 specified. Only us-east-1 is supported.",
		lines(`{"Id":"e","Expression":"SUM(m)"}`):                               "Error in expression e: the expression must return a time series",
		lines(`{"Id":"e","Expression":"METRICS()"}`):                            "Error in expression e: an alarm needs a single time series",
		lines(`{"Id":"e","Expression":"e+1"}`):                                  "Error in expression e: the expression refers to itself by e",
		lines(`{"Id":"e","Expression":"m","Period":300}`):                       "Period must be consistent across metrics of an alarm",
		plain("30", ""): "",
		lines(`{"Id":"s","Expression":"MAX(m)","ReturnData":false},{"Id":"e","Expression":"k/s"}`): "",
		lines(`{"Id":"e","Expression":"IF(m>1,m,k)","Period":60}`):                                 "",
	} {
		r := h.json("PutMetricAlarm", body)
		if want == "" && r.status != 200 || want != "" && (r.status != 400 || !strings.Contains(r.body, want)) {
			t.Errorf("%s: %d %s, want %q", body, r.status, r.body, want)
		}
	}
}

// TestHiddenNumber alarms on an expression that uses a number which another line has worked out.
func TestHiddenNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.ok("PutMetricAlarm", `{"AlarmName":"a","EvaluationPeriods":1,"Threshold":1,"ComparisonOperator":"GreaterThanOrEqualToThreshold","Metrics":[
			{"Id":"m","ReturnData":false,"MetricStat":{"Metric":{"Namespace":"n","MetricName":"x"},"Period":60,"Stat":"Sum"}},
			{"Id":"s","Expression":"MAX(m)","ReturnData":false},{"Id":"e","Expression":"m/s"}]}`)
		h.ok("PutMetricData", `{"Namespace":"n","MetricData":[{"MetricName":"x","Value":7}]}`)
		time.Sleep(65 * time.Second)
		synctest.Wait()
		r := h.ok("DescribeAlarms", `{}`)["MetricAlarms"].([]any)[0].(map[string]any)
		if r["StateValue"] != "ALARM" {
			t.Error(r["StateValue"], r["StateReason"])
		}
	})
}
