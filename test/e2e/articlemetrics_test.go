//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
)

// around replaces the moments between which an article asks by a half hour around now.
func around(text string) string {
	moment := regexp.MustCompile(`2024-01-\d\dT\d\d:\d\d:\d\dZ`)
	minutes := []time.Duration{-20, 10}
	return moment.ReplaceAllStringFunc(text, func(string) string {
		at := time.Now().Add(minutes[0] * time.Minute).Truncate(time.Minute)
		minutes = minutes[1:]
		return at.UTC().Format(time.RFC3339)
	})
}

// TestArticleMetrics asks for concurrency as the articles do, in 2024 and now: of all functions
// by the command, of one in Python.
func TestArticleMetrics(t *testing.T) {
	t.Parallel()
	for _, k := range kits {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := shared(t)
			a := newAccount(s.url)
			a.create(t, function{name: "brand-api", language: golang, code: program(t, "light")})
			if seen := outcomes(volley(t, s.url, a.id, "brand-api", `{"ms": 3000}`, 3)); seen["200"] != 3 {
				t.Fatalf("of 3 calls: %v", seen)
			}
			empty := map[string]any{"Label": "ConcurrentExecutions", "Datapoints": []any{}}
			wantDocuments(t, k.typed(t, s.url, a.id, article(t, "metrics.sh")).out, empty)
			meter := newMeter(a)
			meter.since = meter.since.Add(-5 * time.Minute)
			reads(t, patience,
				reading{"ConcurrentExecutions", meter.maximum, 3, nil},
				reading{"ConcurrentExecutions", meter.maximum, 3, []string{"FunctionName", "brand-api"}})
			out := k.typed(t, s.url, a.id, around(article(t, "metrics.sh"))).out
			if !strings.Contains(out, `"Maximum": 3.0`) || !strings.Contains(out, `"Unit": "Count"`) {
				t.Errorf("the concurrency of the account now:\n%s", out)
			}

			if o := runClient(t, k.article(t, t.Context(), s.url, a.id, "metrics.py")); o.out != "" {
				t.Errorf("the concurrency in 2024: %s", o.out)
			}
			now := filepath.Join(t.TempDir(), "metrics.py")
			if err := os.WriteFile(now, []byte(around(article(t, "metrics.py"))), 0o644); err != nil {
				t.Fatal(err)
			}
			o := runClient(t, k.python(t, t.Context(), s.url, a.id, filepath.Join("testdata", "articles", "run.py"), now))
			if !regexp.MustCompile(`(?m)^Max concurrency at 20\d\d-\d\d-\d\d \d\d:\d\d:00\+00:00: 3\.0$`).MatchString(o.out) {
				t.Errorf("the concurrency of the function now: %v", o)
			}
		})
	}
}

// TestArticleThrottleAlarm makes the articles' alarm and throttles a function, which is turned
// off, until the alarm tells a topic.
func TestArticleThrottleAlarm(t *testing.T) {
	t.Parallel()
	for _, k := range kits {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := shared(t)
			a := newTenant(s.url)
			a.create(t, function{name: "brand-api", language: golang, code: program(t, "light"), reserved: aws.Int32(0)})
			topic := a.alerts(t)
			k.typed(t, s.url, a.id, article(t, "throttle_alarm.sh"), "AlertSNSTopic="+topic)
			alarms, err := newMeter(a.account).DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"brand-api-throttles"}})
			if err != nil || len(alarms.MetricAlarms) != 1 {
				t.Fatalf("%v, %v", alarms, err)
			}
			if m := alarms.MetricAlarms[0]; *m.Threshold != 10 || *m.Period != 60 || *m.EvaluationPeriods != 1 || m.Statistic != "Sum" ||
				m.ComparisonOperator != "GreaterThanThreshold" || *m.AlarmDescription != "Lambda throttling detected" || m.AlarmActions[0] != topic {
				t.Errorf("the alarm is %+v", m)
			}
			const calls = 30 // the end of a minute may fall among them
			if seen := outcomes(volley(t, s.url, a.id, "brand-api", "{}", calls)); seen[overReserved] != calls {
				t.Fatalf("of %d calls: %v", calls, seen)
			}
			got := a.alerted(t, "ALARM")[0]
			if got.AlarmName != "brand-api-throttles" || got.AlarmDescription != "Lambda throttling detected" || got.subject != `ALARM: "brand-api-throttles" in US East (N. Virginia)` ||
				got.Trigger.MetricName != "Throttles" || got.Trigger.Namespace != "AWS/Lambda" || got.Trigger.Statistic != "SUM" || got.Trigger.Period != 60 || got.Trigger.Threshold != 10 {
				t.Errorf("the topic was told %+v", got)
			}
		})
	}
}
