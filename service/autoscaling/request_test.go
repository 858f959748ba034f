package autoscaling

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weir-run/weir/store"
)

// TestRefused holds what is refused against its code and a part of its text; none of it changes
// anything.
func TestRefused(t *testing.T) {
	h := newHarness(t)
	const unsupported = "Unsupported service namespace, resource type or scalable dimension."
	other := strings.ReplaceAll(of(`"MinCapacity":1,"MaxCapacity":2`), "f:prod", "f:$LATEST")
	for _, c := range []struct{ operation, body, code, text string }{
		{"PutScalingPolicy", of(tracking), "ObjectNotFoundException", "No scalable target registered for service namespace: lambda, resource ID: function:f:prod, scalable dimension: lambda:function:ProvisionedConcurrency"},
		{"PutScheduledAction", of(`"ScheduledActionName":"a","Schedule":"rate(1 minute)","ScalableTargetAction":{"MinCapacity":1}`), "ObjectNotFoundException", "No scalable target registered"},
		{"DeregisterScalableTarget", of(""), "ObjectNotFoundException", "No scalable target found"},
		{"RegisterScalableTarget", of(`"MinCapacity":1`), "ValidationException", "Both the minimum and the maximum"},
		{"RegisterScalableTarget", of(`"MinCapacity":3,"MaxCapacity":2`), "ValidationException", "Maximum capacity cannot be less"},
		{"RegisterScalableTarget", of(`"MinCapacity":-1,"MaxCapacity":2`), "ValidationException", "negative"},
		{"RegisterScalableTarget", other, "ValidationException", unsupported},
		{"RegisterScalableTarget", strings.ReplaceAll(of(`"MinCapacity":1,"MaxCapacity":2`), "f:prod", "g:prod"), "ValidationException", "does not exist"},
		{"RegisterScalableTarget", `{"ServiceNamespace":"ecs","ResourceId":"service/c/s","ScalableDimension":"ecs:service:DesiredCount","MinCapacity":1,"MaxCapacity":2}`, "ValidationException", unsupported},
		{"ListTagsForResource", `{"ResourceARN":"arn:aws:application-autoscaling:us-east-1:111111111111:scalable-target/0"}`, "ResourceNotFoundException", "does not exist"},
	} {
		h.refused(c.operation, c.body, c.code, c.text)
	}
	if n := len(h.ok("DescribeScalableTargets", of(""))["ScalableTargets"].([]any)); n != 0 {
		t.Fatalf("a refused request registered %d targets", n)
	}
	h.ok("RegisterScalableTarget", of(`"MinCapacity":0,"MaxCapacity":2`))
	policy := func(config string) string {
		return of(`"PolicyName":"p","PolicyType":"TargetTrackingScaling","TargetTrackingScalingPolicyConfiguration":{` + config + `}`)
	}
	action := func(more string) string { return of(`"ScheduledActionName":"a",` + more) }
	const predefined = `"PredefinedMetricSpecification":{"PredefinedMetricType":"LambdaProvisionedConcurrencyUtilization"}`
	const least = `"ScalableTargetAction":{"MinCapacity":1}`
	for _, c := range []struct{ operation, body, text string }{
		{"PutScalingPolicy", of(`"PolicyName":"p","PolicyType":"StepScaling","StepScalingPolicyConfiguration":{"AdjustmentType":"ChangeInCapacity"}`), "StepScaling is not supported"},
		{"PutScalingPolicy", of(`"PolicyName":"p","PolicyType":"PredictiveScaling"`), "PredictiveScaling is not supported"},
		{"PutScalingPolicy", of(`"PolicyName":"p","PolicyType":"TargetTrackingScaling"`), "needs TargetTrackingScalingPolicyConfiguration"},
		{"PutScalingPolicy", policy(`"TargetValue":0.95,` + predefined), "between 0.1 and 0.9"},
		{"PutScalingPolicy", policy(`"TargetValue":0.7`), "Exactly one of PredefinedMetricSpecification"},
		{"PutScalingPolicy", policy(`"TargetValue":0.7,"ScaleInCooldown":-1,` + predefined), "ScaleInCooldown cannot be negative"},
		{"PutScalingPolicy", policy(`"TargetValue":0.7,"PredefinedMetricSpecification":{"PredefinedMetricType":"ECSServiceAverageCPUUtilization"}`), "is not supported"},
		{"PutScalingPolicy", policy(`"TargetValue":7,"CustomizedMetricSpecification":{"Namespace":"N","MetricName":"M","Statistic":"Average","Metrics":[{"Id":"a"}]}`), "Exactly one of a metric"},
		{"PutScalingPolicy", policy(`"TargetValue":7,"CustomizedMetricSpecification":{"Namespace":"N","MetricName":"M"}`), "Statistic"},
		{"PutScheduledAction", action(`"Schedule":"cron(0 8 * * * *)",` + least), "Invalid schedule expression. Details: one of the day"},
		{"PutScheduledAction", action(`"Schedule":"at(2000-01-01T00:00:00)",` + least), "never falls due"},
		{"PutScheduledAction", action(`"Schedule":"rate(1 minute)","Timezone":"Mars/Olympus",` + least), "Invalid time zone"},
		{"PutScheduledAction", action(`"Schedule":"rate(1 minute)"`), "needs a minimum or a maximum"},
		{"PutScheduledAction", action(least), "needs a Schedule"},
		{"DescribeScalableTargets", of(`"MaxResults":0`), "MaxResults"},
	} {
		h.refused(c.operation, c.body, "ValidationException", c.text)
	}
	h.refused("DeleteScalingPolicy", of(`"PolicyName":"p"`), "ObjectNotFoundException", "No scaling policy found")
	h.refused("DeleteScheduledAction", of(`"ScheduledActionName":"a"`), "ObjectNotFoundException", "No scheduled action found")
	if n := len(h.alarms()); n != 0 {
		t.Errorf("a refused policy left %d alarms", n)
	}
}

func (h *harness) refused(operation, body, code, text string) {
	h.Helper()
	status, m := h.call("AnyScaleFrontendService."+operation, body)
	got, _ := m["__type"].(string)
	said, _ := m["Message"].(string)
	if said == "" {
		said, _ = m["message"].(string)
	}
	if status != 400 || !strings.HasSuffix(got, code) || !strings.Contains(said, text) {
		h.Errorf("%s %s: %d %v, want %s: %s", operation, body, status, m, code, text)
	}
}

// TestTargets goes through what a target has: bounds, suspended state, tags, pages.
func TestTargets(t *testing.T) {
	h := newHarness(t)
	h.update(func(tx *store.Tx) {
		a, _ := store.Aliases.Get(tx, scope, store.QualifiedName("f", "prod"))
		store.Aliases.Put(tx, scope, store.QualifiedName("f", "beta"), a)
	})
	arn := h.ok("RegisterScalableTarget", of(`"MinCapacity":1,"MaxCapacity":20,"Tags":{"team":"a"}`))["ScalableTargetARN"].(string)
	if again := h.ok("RegisterScalableTarget", of(`"MaxCapacity":30,"SuspendedState":{"DynamicScalingInSuspended":true}`)); again["ScalableTargetARN"] != arn {
		t.Errorf("another ARN: %v", again)
	}
	h.ok("RegisterScalableTarget", strings.ReplaceAll(of(`"MinCapacity":0,"MaxCapacity":2`), "prod", "beta"))
	list := h.ok("DescribeScalableTargets", `{"ServiceNamespace":"lambda","ResourceIds":["function:f:prod"]}`)["ScalableTargets"].([]any)
	if len(list) != 1 {
		t.Fatalf("%d targets", len(list))
	}
	x := list[0].(map[string]any)
	if got := fmt.Sprint(x["MinCapacity"], x["MaxCapacity"], x["SuspendedState"]); got != "1 30 map[DynamicScalingInSuspended:true DynamicScalingOutSuspended:false ScheduledScalingSuspended:false]" {
		t.Error(got)
	}
	h.ok("TagResource", `{"ResourceARN":"`+arn+`","Tags":{"env":"b"}}`)
	h.ok("UntagResource", `{"ResourceARN":"`+arn+`","TagKeys":["team"]}`)
	if got := fmt.Sprint(h.ok("ListTagsForResource", `{"ResourceARN":"`+arn+`"}`)["Tags"]); got != "map[env:b]" {
		t.Errorf("tags %s", got)
	}
	first := h.ok("DescribeScalableTargets", `{"ServiceNamespace":"lambda","MaxResults":1}`)
	second := h.ok("DescribeScalableTargets", `{"ServiceNamespace":"lambda","MaxResults":1,"NextToken":"`+first["NextToken"].(string)+`"}`)
	if n := len(second["ScalableTargets"].([]any)); n != 1 || second["NextToken"] != nil {
		t.Errorf("the second page: %v", second)
	}
	if n := len(h.ok("DescribeScalableTargets", `{"ServiceNamespace":"ecs"}`)["ScalableTargets"].([]any)); n != 0 {
		t.Errorf("%d targets of ecs", n)
	}
}
