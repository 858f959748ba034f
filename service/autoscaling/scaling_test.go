package autoscaling

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const tracking = `"PolicyName":"pc-utilisation-policy","PolicyType":"TargetTrackingScaling",
	"TargetTrackingScalingPolicyConfiguration":{"TargetValue":0.7,"PredefinedMetricSpecification":{"PredefinedMetricType":"LambdaProvisionedConcurrencyUtilization"}}`

// TestLoadRamp is the articles' policy through a ramp: the load rises over the target and after
// three minutes the capacity rises in proportion; it falls only after fifteen minutes below nine
// tenths of the target, a little at a time; and with nothing to measure it stays, and the log says why.
func TestLoadRamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.ok("RegisterScalableTarget", of(`"MinCapacity":10,"MaxCapacity":14`))
		if h.capacity() != 10 {
			t.Fatalf("registered: %d, want the minimum 10", h.capacity())
		}
		made := h.ok("PutScalingPolicy", of(tracking))
		if n := len(made["Alarms"].([]any)); n != 2 {
			t.Fatalf("%d alarms", n)
		}
		time.Sleep(5 * time.Second) // never at the moment of an evaluation
		expect := func(when string, want int) {
			t.Helper()
			if got := h.capacity(); got != want {
				t.Fatalf("%s: capacity %d, want %d; %q", when, got, want, h.activities(""))
			}
		}
		h.load(0.65, 5)
		expect("near the target", 10)
		h.load(0.9, 2)
		expect("above it for two minutes", 10)
		h.load(0.9, 1)
		expect("above it for three", 13) // 10 × 0.9 ÷ 0.7 = 12.86
		h.load(0.9, 2)
		expect("at the maximum", 14)
		h.load(0.3, 14)
		expect("low for less than fifteen minutes", 14)
		h.load(0.3, 2)
		if got := h.capacity(); got >= 14 || got < 12 {
			t.Fatalf("low for fifteen minutes: capacity %d", got)
		}
		before := h.capacity()
		h.load(0.66, 2)
		expect("between the thresholds", before)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		expect("idle", before)
		if !strings.Contains(h.log.String(), "no data, as of a function that is idle") {
			t.Errorf("the log does not say why nothing is scaled:\n%s", h.log)
		}
		list := h.activities("")
		first, second := list[0], list[1]
		if want := "Setting provisioned concurrency to 10. (minimum capacity was set to 10) Successful: Successfully set provisioned concurrency to 10. Change successfully fulfilled by lambda."; !strings.HasSuffix(first, want) {
			t.Errorf("first %q", first)
		}
		if !strings.Contains(second, "Setting provisioned concurrency to 13. (monitor alarm TargetTracking-function:f:prod-AlarmHigh-") || !strings.Contains(second, " in state ALARM triggered policy pc-utilisation-policy) Successful") {
			t.Errorf("second %q", second)
		}
		all := h.activities(`"IncludeNotScaledActivities":true`)
		if !slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, "Attempting to scale due to alarm triggered") }) {
			t.Errorf("no not-scaled activity: %q", all)
		}
	})
}

// TestScaleInNeedsAll: with a second policy that wants to keep the capacity nothing is taken away.
func TestScaleInNeedsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.ok("RegisterScalableTarget", of(`"MinCapacity":10,"MaxCapacity":20`))
		h.ok("RegisterScalableTarget", of(`"MinCapacity":1`))
		h.ok("PutScalingPolicy", of(tracking))
		h.ok("PutScalingPolicy", of(`"PolicyName":"other","PolicyType":"TargetTrackingScaling","TargetTrackingScalingPolicyConfiguration":{"TargetValue":50,
			"CustomizedMetricSpecification":{"Namespace":"Mine","MetricName":"Depth","Statistic":"Average","Dimensions":[{"Name":"Q","Value":"q"}]}}`))
		if n := len(h.alarms()); n != 4 {
			t.Fatalf("%d alarms, want 4", n)
		}
		time.Sleep(5 * time.Second)
		h.load(0.2, 20)
		if h.capacity() != 10 {
			t.Fatalf("capacity %d although one policy has no data", h.capacity())
		}
		h.ok("DeleteScalingPolicy", of(`"PolicyName":"other"`))
		h.load(0.2, 3)
		if h.capacity() >= 10 {
			t.Errorf("capacity %d although the only policy wants less", h.capacity())
		}
		h.ok("DeregisterScalableTarget", of(""))
		if n := len(h.alarms()); n != 0 {
			t.Errorf("%d alarms are left", n)
		}
	})
}

// TestBusinessHours is a day of the articles' schedule, with a restart over the evening.
func TestBusinessHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t) // at midnight, UTC
		h.ok("RegisterScalableTarget", of(`"MinCapacity":2,"MaxCapacity":100`))
		h.ok("PutScheduledAction", of(`"ScheduledActionName":"scale-up-morning","Schedule":"cron(0 8 * * ? *)","ScalableTargetAction":{"MinCapacity":50,"MaxCapacity":50}`))
		h.ok("PutScheduledAction", of(`"ScheduledActionName":"scale-down-evening","Schedule":"cron(0 20 * * ? *)","ScalableTargetAction":{"MinCapacity":5,"MaxCapacity":5}`))
		time.Sleep(30 * time.Second)
		var text []string
		for hour := range 24 {
			if hour == 19 {
				h.close()
			}
			if hour == 22 {
				h.open() // made up for at once
				synctest.Wait()
			}
			if hour < 19 || hour >= 22 {
				text = append(text, itoa(h.capacity()))
			}
			time.Sleep(time.Hour)
		}
		want := strings.Repeat("2 ", 8) + strings.Repeat("50 ", 11) + "5 5"
		if got := strings.Join(text, " "); got != want {
			t.Errorf("by the hour\n%s, want\n%s", got, want)
		}
		list := h.activities("")
		for i, want := range []string{
			"01 00:00 Setting provisioned concurrency to 2. (minimum capacity was set to 2) Successful: Successfully set provisioned concurrency to 2. Change successfully fulfilled by lambda.",
			"01 08:00 Setting min capacity to 50 and max capacity to 50 (scheduled action name scale-up-morning was triggered) Successful: Successfully set min capacity to 50 and max capacity to 50",
			"01 08:00 Setting provisioned concurrency to 50. (minimum capacity was set to 50) Successful: Successfully set provisioned concurrency to 50. Change successfully fulfilled by lambda.",
			"01 22:00 Setting min capacity to 5 and max capacity to 5 (scheduled action name scale-down-evening was triggered) Successful: Successfully set min capacity to 5 and max capacity to 5",
			"01 22:00 Setting provisioned concurrency to 5. (maximum capacity was set to 5) Successful: Successfully set provisioned concurrency to 5. Change successfully fulfilled by lambda.",
		} {
			if i >= len(list) || list[i] != want {
				t.Errorf("activity %d of\n%s\nwant\n%s", i, strings.Join(list, "\n"), want)
				break
			}
		}
	})
}

// TestActivityStates: a change that is under way, one that is overtaken, and one that fails.
func TestActivityStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.booting.Store(true)
		h.ok("RegisterScalableTarget", of(`"MinCapacity":2,"MaxCapacity":5`))
		h.ok("RegisterScalableTarget", of(`"MinCapacity":3`))
		h.refuse.Store(true)
		h.ok("RegisterScalableTarget", of(`"MinCapacity":4`))
		h.booting.Store(false)
		time.Sleep(2 * pollEvery)
		synctest.Wait()
		var states []string
		for _, s := range h.activities("") {
			_, state, _ := strings.Cut(s, ") ")
			states = append(states, state)
		}
		want := []string{
			"Overridden: Successfully set provisioned concurrency to 2. Waiting for change to be fulfilled by lambda.",
			"Successful: Successfully set provisioned concurrency to 3. Change successfully fulfilled by lambda.",
			"Failed: Failed to set provisioned concurrency to 4. Reason: no room",
		}
		slices.Sort(states) // two may be of one moment
		slices.Sort(want)
		if !slices.Equal(states, want) {
			t.Errorf("%q, want %q", states, want)
		}
	})
}
