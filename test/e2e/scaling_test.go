//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// targets is a prelude of scripts: the function that they scale.
const targets = `T="--service-namespace lambda --resource-id function:api-handler:prod --scalable-dimension lambda:function:ProvisionedConcurrency"
`

// TestScheduledScaling has a scheduled action raise provisioned concurrency in a few seconds, and
// puts a load on what it made: warm answers until all is busy, and spillover beyond.
func TestScheduledScaling(t *testing.T) {
	t.Parallel()
	s := start(t, "-sandbox", "process")
	for _, k := range kits {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(s.url)
			a.create(t, function{name: "api-handler", language: golang, code: program(t, "light"), timeout: 60})
			a.prod(t, "api-handler")
			m := newMeter(a)
			k.typed(t, s.url, a.id, targets+`
				aws application-autoscaling register-scalable-target $T --min-capacity 1 --max-capacity 20 >&2
				aws application-autoscaling put-scheduled-action $T --scheduled-action-name soon \
					--schedule "at($(date -u -d '+5 seconds' +%Y-%m-%dT%H:%M:%S))" --scalable-target-action MinCapacity=4 >&2
				`)
			a.ready(t, "api-handler", "prod", 4)

			event, _ := together(t, 6)
			kinds := make(map[string]int)
			for _, r := range volley(t, s.url, a.id, "api-handler:prod", event, 6) {
				kinds[r.outcome+" "+r.init]++
			}
			if kinds["200 provisioned-concurrency"] != 4 || kinds["200 on-demand"] != 2 {
				t.Errorf("of 6 calls: %v", kinds)
			}
			alias := []string{"FunctionName", "api-handler", "Resource", "api-handler:prod"}
			reads(t, patience,
				reading{"Invocations", m.sum, 6, alias},
				reading{"ProvisionedConcurrencyInvocations", m.sum, 4, alias},
				reading{"ProvisionedConcurrencySpilloverInvocations", m.sum, 2, alias},
				reading{"ProvisionedConcurrentExecutions", m.maximum, 4, alias},
				reading{"ProvisionedConcurrencyUtilization", m.maximum, 1, alias},
				reading{"ConcurrentExecutions", m.maximum, 6, nil},
				reading{"ClaimedAccountConcurrency", m.maximum, 6, nil})

			eventually(t, patience, func() error { return activities(t, k, s, a) })
		})
	}
}

// activities checks what a scheduled action left in the log of a target.
func activities(t *testing.T, k kit, s *server, a *account) error {
	out := k.typed(t, s.url, a.id, `aws application-autoscaling describe-scaling-activities --service-namespace lambda --query 'ScalingActivities[].[StatusCode,Cause]' --output text`)
	for _, want := range []string{
		"Successful\tminimum capacity was set to 4\n", "Successful\tscheduled action name soon was triggered\n", "Successful\tminimum capacity was set to 1\n",
	} {
		if !strings.Contains(out.out, want) {
			return fmt.Errorf("the activities are\n%swithout %q", out.out, want)
		}
	}
	return nil
}

// TestTargetTracking keeps two of two environments busy until a policy has made four of them:
// that takes three minutes and more, so it runs only with WEIR_E2E_LONG.
func TestTargetTracking(t *testing.T) {
	if os.Getenv("WEIR_E2E_LONG") == "" {
		t.Skip("it takes more than three minutes: set WEIR_E2E_LONG")
	}
	t.Parallel()
	s := start(t, "-sandbox", "process")
	a := newAccount(s.url)
	k := kits[0]
	a.create(t, function{name: "api-handler", language: golang, code: program(t, "light"), timeout: 60})
	a.prod(t, "api-handler")
	k.typed(t, s.url, a.id, targets+`
		aws application-autoscaling register-scalable-target $T --min-capacity 2 --max-capacity 4 >&2
		aws application-autoscaling put-scaling-policy $T --policy-name half --policy-type TargetTrackingScaling \
			--target-tracking-scaling-policy-configuration '{"TargetValue": 0.5, "PredefinedMetricSpecification": {"PredefinedMetricType": "LambdaProvisionedConcurrencyUtilization"}}' >&2
		`)
	a.ready(t, "api-handler", "prod", 2)
	began := time.Now()
	stop := a.load(t, "api-handler:prod", 2)
	eventually(t, 6*time.Minute, func() error {
		p, err := a.GetProvisionedConcurrencyConfig(t.Context(), &lambda.GetProvisionedConcurrencyConfigInput{FunctionName: aws.String("api-handler"), Qualifier: aws.String("prod")})
		if err == nil && (*p.RequestedProvisionedConcurrentExecutions != 4 || p.Status != "READY") {
			err = fmt.Errorf("provisioned concurrency is %d, %s", *p.RequestedProvisionedConcurrentExecutions, p.Status)
		}
		return err
	})
	took := time.Since(began)
	stop()
	if took < 2*time.Minute {
		t.Errorf("it scaled out after %v, before there were three datapoints", took)
	}
	t.Logf("scaled out after %v", took.Round(time.Second))
	event, _ := together(t, 4)
	kinds := make(map[string]int)
	for _, r := range volley(t, s.url, a.id, "api-handler:prod", event, 4) {
		kinds[r.outcome+" "+r.init]++
	}
	if kinds["200 provisioned-concurrency"] != 4 {
		t.Errorf("of 4 calls: %v", kinds)
	}
}

// load invokes a function again and again, n times at once, until the function it returns is
// called.
func (a *account) load(t *testing.T, name string, n int) (stop func()) {
	done := make(chan struct{})
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := a.call(t.Context(), name, map[string]int{"ms": 500}, new(any)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	return func() { close(done); all.Wait() }
}
