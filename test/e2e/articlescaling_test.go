//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
)

// TestArticleTargetTracking types the commands that scale provisioned concurrency by its use.
func TestArticleTargetTracking(t *testing.T) {
	for _, k := range kits {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := shared(t)
			a := newAccount(s.url)
			a.create(t, function{name: "api-handler", language: golang, code: program(t, "light")})
			a.prod(t, "api-handler")
			all := documents(t, k.typed(t, s.url, a.id, article(t, "autoscaling.sh")).out)
			if k.name == "new" { // old clients do not print what a target is called
				if arn, _ := all[0]["ScalableTargetARN"].(string); !strings.HasPrefix(arn, "arn:aws:application-autoscaling:us-east-1:"+a.id+":scalable-target/") {
					t.Errorf("the target is %v", all[0])
				}
			}
			policy := all[len(all)-1]
			if arn, _ := policy["PolicyARN"].(string); !strings.HasSuffix(arn, ":resource/lambda/function:api-handler:prod:policyName/pc-utilisation-policy") {
				t.Errorf("the policy is %v", policy)
			}
			if alarms, _ := policy["Alarms"].([]any); len(alarms) != 2 {
				t.Errorf("the policy is %v", policy)
			}
			a.ready(t, "api-handler", "prod", 2) // as a new target it is brought into its bounds
			a.provisioned(t, "api-handler", "prod")
			trackedBy(t, a, policy["PolicyARN"].(string))
		})
	}
}

// trackedBy checks the two alarms of the articles' policy.
func trackedBy(t *testing.T, a *account, policy string) {
	t.Helper()
	out, err := newMeter(a).DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{})
	if err != nil || len(out.MetricAlarms) != 2 {
		t.Fatalf("the alarms are %v, %v", out, err)
	}
	wants := []struct {
		name, operator string
		threshold      float64
		periods        int32
	}{{"AlarmHigh", "GreaterThanThreshold", 0.7, 3}, {"AlarmLow", "LessThanThreshold", 0.63, 15}}
	for i, want := range wants {
		got := out.MetricAlarms[i]
		if !strings.HasPrefix(*got.AlarmName, "TargetTracking-function:api-handler:prod-"+want.name+"-") || string(got.ComparisonOperator) != want.operator ||
			*got.Threshold != want.threshold || *got.EvaluationPeriods != want.periods || *got.Period != 60 ||
			*got.MetricName != "ProvisionedConcurrencyUtilization" || got.AlarmActions[0] != policy {
			t.Errorf("an alarm is %+v, want %+v with the policy as its action", got, want)
		}
	}
}

// TestArticleSchedule runs the Python that scales by the time of day, twice: it may.
func TestArticleSchedule(t *testing.T) {
	for _, k := range kits {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := shared(t)
			a := newAccount(s.url)
			a.create(t, function{name: "brand-api", language: golang, code: program(t, "light")})
			a.prod(t, "brand-api")
			for range 2 {
				runClient(t, k.article(t, t.Context(), s.url, a.id, "scale_provisioned.py"))
			}
			a.ready(t, "brand-api", "prod", 2)
			out := k.typed(t, s.url, a.id, `
				aws application-autoscaling describe-scalable-targets --service-namespace lambda \
					--query 'ScalableTargets[].[ResourceId,MinCapacity,MaxCapacity]' --output text
				aws application-autoscaling describe-scheduled-actions --service-namespace lambda --resource-id function:brand-api:prod \
					--query 'sort_by(ScheduledActions, &ScheduledActionName)[].[ScheduledActionName,Schedule,ScalableTargetAction.MinCapacity,ScalableTargetAction.MaxCapacity]' --output text
				`)
			wantLines(t, strings.Split(strings.TrimSpace(out.out), "\n"),
				"function:brand-api:prod\t2\t100",
				"scale-down-evening\tcron(0 20 * * ? *)\t5\t5",
				"scale-up-morning\tcron(0 8 * * ? *)\t50\t50")
		})
	}
}
