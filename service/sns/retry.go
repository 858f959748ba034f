package sns

import (
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/weir-run/weir/filter"
	"github.com/weir-run/weir/store"
)

// A retryPolicy is how often and when a delivery is repeated, in the four phases of AWS's
// "Amazon SNS message delivery retries". Delays are seconds.
type retryPolicy struct {
	MinDelay        int    `json:"minDelayTarget"`
	MaxDelay        int    `json:"maxDelayTarget"`
	Retries         int    `json:"numRetries"`
	MaxDelayRetries int    `json:"numMaxDelayRetries"`
	NoDelayRetries  int    `json:"numNoDelayRetries"`
	MinDelayRetries int    `json:"numMinDelayRetries"`
	Backoff         string `json:"backoffFunction"`
}

// httpRetries is the default for http and https. managedRetries is for functions and queues:
// 100,015 attempts over 23 days.
var (
	httpRetries    = retryPolicy{MinDelay: 20, MaxDelay: 20, Retries: 3, Backoff: "linear"}
	managedRetries = retryPolicy{
		NoDelayRetries: 3, MinDelay: 1, MinDelayRetries: 2, MaxDelay: 20, MaxDelayRetries: 100_000,
		Retries: 100_015, Backoff: "exponential",
	}
)

// delay returns how long to wait before a retry, counted from 1, or false if there is none.
func (p *retryPolicy) delay(retry int) (time.Duration, bool) {
	if retry > p.Retries {
		return 0, false
	}
	backoff := p.Retries - p.NoDelayRetries - p.MinDelayRetries - p.MaxDelayRetries
	low, high := float64(p.MinDelay), float64(p.MaxDelay)
	seconds := high
	switch n := retry - p.NoDelayRetries - p.MinDelayRetries; {
	case retry <= p.NoDelayRetries:
		seconds = 0
	case n <= 0:
		seconds = low
	case n <= backoff && backoff > 1:
		seconds = curve(p.Backoff, low, high, float64(n-1)/float64(backoff-1))
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// curve goes from low to high while x goes from 0 to 1.
func curve(backoff string, low, high, x float64) float64 {
	switch backoff {
	case "arithmetic":
		return low + (high-low)*x*x
	case "geometric", "exponential":
		if low > 0 {
			return low * math.Pow(high/low, x)
		}
	}
	return low + (high-low)*x
}

// maxRetryTime bounds a customer's policy, as on AWS.
const maxRetryTime = time.Hour

func (p *retryPolicy) check() error {
	switch {
	case p.Retries < 0 || p.Retries > 100:
		return filter.Reason("numRetries must be between 0 and 100")
	case p.MinDelay < 1 || p.MaxDelay < p.MinDelay || p.MaxDelay > 3600:
		return filter.Reason("minDelayTarget and maxDelayTarget must be between 1 and 3600, and the former not larger")
	case p.NoDelayRetries < 0 || p.MinDelayRetries < 0 || p.MaxDelayRetries < 0:
		return filter.Reason("numbers of retries must not be negative")
	case p.NoDelayRetries+p.MinDelayRetries+p.MaxDelayRetries > p.Retries:
		return filter.Reason("numRetries must be greater than or equal to the sum of numMinDelayRetries, numNoDelayRetries and numMaxDelayRetries")
	case !strings.Contains(" linear arithmetic geometric exponential ", " "+p.Backoff+" "):
		return filter.Reason("backoffFunction must be arithmetic, exponential, geometric or linear")
	}
	var total time.Duration
	for i := range p.Retries {
		d, _ := p.delay(i + 1)
		total += d
	}
	if total > maxRetryTime {
		return filter.Reason("the retries must end within 3600 seconds")
	}
	return nil
}

// A delivery policy: of a topic in HTTP, of a subscription outside of it.
type deliveryPolicy struct {
	HTTP *struct {
		Retry           *retryPolicy   `json:"defaultHealthyRetryPolicy,omitempty"`
		DisableOverride bool           `json:"disableSubscriptionOverrides"`
		Request         *requestPolicy `json:"defaultRequestPolicy,omitempty"`
	} `json:"http,omitempty"`
	Retry      *retryPolicy   `json:"healthyRetryPolicy,omitempty"`
	Request    *requestPolicy `json:"requestPolicy,omitempty"`
	Sickly     *struct{}      `json:"sicklyRetryPolicy,omitempty"`
	Throttle   *struct{}      `json:"throttlePolicy,omitempty"`
	Guaranteed bool           `json:"guaranteed,omitempty"`
}

type requestPolicy struct {
	ContentType string `json:"headerContentType"`
}

const plainText = "text/plain; charset=UTF-8"

// parseDelivery reads a delivery policy, and refuses what weir would not do.
func parseDelivery(text string) (*deliveryPolicy, error) {
	p := new(deliveryPolicy)
	if text == "" {
		return p, nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(p); err != nil {
		return nil, filter.Reason("weir cannot read the policy: " + err.Error())
	}
	if p.Sickly != nil || p.Throttle != nil || p.Guaranteed {
		return nil, filter.Reason("weir does not support sicklyRetryPolicy, throttlePolicy and guaranteed")
	}
	retries := []*retryPolicy{p.Retry}
	if p.HTTP != nil {
		retries = append(retries, p.HTTP.Retry)
	}
	for _, r := range retries {
		if r == nil {
			continue
		}
		if r.Backoff == "" {
			r.Backoff = "linear"
		}
		if err := r.check(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// resolve returns what applies to an http subscription: its own policy, the topic's, the
// default.
func (p *deliveryPolicy) resolve() (retryPolicy, requestPolicy) {
	retry, request := httpRetries, requestPolicy{plainText}
	if p.HTTP != nil && p.HTTP.Retry != nil {
		retry = *p.HTTP.Retry
	}
	if p.HTTP != nil && p.HTTP.Request != nil {
		request = *p.HTTP.Request
	}
	if p.Retry != nil {
		retry = *p.Retry
	}
	if p.Request != nil {
		request = *p.Request
	}
	return retry, request
}

// deliveryPolicyOf is the policy that counts for a subscription.
func deliveryPolicyOf(t *store.Topic, sub *store.Subscription) string {
	var ofTopic string
	if t != nil {
		ofTopic = t.Attributes["DeliveryPolicy"]
	}
	own := sub.Attributes["DeliveryPolicy"]
	if p, err := parseDelivery(ofTopic); own == "" || err == nil && p.HTTP != nil && p.HTTP.DisableOverride {
		return ofTopic
	}
	return own
}

// effectivePolicy is the policy as it is applied, as AWS prints a topic's.
func effectivePolicy(text string) (string, error) {
	p, err := parseDelivery(text)
	if err != nil {
		return "", parseFailed("a delivery policy", err)
	}
	retry, request := p.resolve()
	effective, err := json.Marshal(map[string]any{"http": map[string]any{
		"defaultHealthyRetryPolicy": retry, "defaultRequestPolicy": request,
		"disableSubscriptionOverrides": p.HTTP != nil && p.HTTP.DisableOverride,
	}})
	return string(effective), err
}
