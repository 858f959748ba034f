//go:build e2e

package e2e

import (
	"os"
	"testing"
)

// alarmByCLI makes an alarm of ten seconds on a metric of high resolution.
const alarmByCLI = `
aws cloudwatch put-metric-alarm --alarm-name backlog --namespace shop --metric-name Backlog --dimensions Name=Service,Value=checkout \
	--statistic Maximum --period 10 --evaluation-periods 1 --threshold 50 --comparison-operator GreaterThanThreshold \
	--treat-missing-data notBreaching --alarm-actions "$TOPIC" --ok-actions "$TOPIC"
aws cloudwatch put-metric-data --namespace shop --metric-name Backlog --dimensions Service=checkout --unit Count --storage-resolution 1 --value 90
`

// alarmByPython makes the same alarm.
const alarmByPython = `
import boto3, os
topic = os.environ["TOPIC"]
boto3.client("cloudwatch", endpoint_url=os.environ["URL"]).put_metric_alarm(
    AlarmName="backlog", Namespace="shop", MetricName="Backlog", Dimensions=[{"Name": "Service", "Value": "checkout"}],
    Statistic="Maximum", Period=10, EvaluationPeriods=1, Threshold=50, ComparisonOperator="GreaterThanThreshold",
    TreatMissingData="notBreaching", AlarmActions=[topic], OKActions=[topic])
`

// TestAlarm has a metric of high resolution, put or printed by a function, drive an alarm of ten
// seconds there and back; it tells a topic, which tells a queue.
func TestAlarm(t *testing.T) {
	t.Parallel()
	for _, k := range kits {
		t.Run(k.name+" put", func(t *testing.T) {
			t.Parallel()
			a := newTenant(shared(t).url)
			k.typed(t, shared(t).url, a.id, alarmByCLI, "TOPIC="+a.alerts(t))
			backAndForth(t, a)
		})
		t.Run(k.name+" printed", func(t *testing.T) {
			t.Parallel()
			python.on(t)
			a := newTenant(shared(t).url)
			code, err := os.ReadFile("testdata/functions/beat.py")
			if err != nil {
				t.Fatal(err)
			}
			a.create(t, function{name: "beat", language: python, code: zipped(t, map[string][]byte{"app.py": code})})
			c := k.python(t, t.Context(), shared(t).url, a.id, "-c", alarmByPython)
			c.Env = append(c.Env, "TOPIC="+a.alerts(t))
			runClient(t, c)
			a.do(t, "beat", map[string]int{"backlog": 90}, new(any))
			backAndForth(t, a)
		})
	}
}

// backAndForth waits until the alarm has gone off and ended.
func backAndForth(t *testing.T, a *tenant) {
	t.Helper()
	got := a.alerted(t, "ALARM", "OK")
	on, off := got[0], got[1]
	if on.AlarmName != "backlog" || on.Trigger.MetricName != "Backlog" || on.Trigger.Period != 10 || on.Trigger.Threshold != 50 || off.OldStateValue != "ALARM" {
		t.Errorf("the topic was told %+v, then %+v", on, off)
	}
}
