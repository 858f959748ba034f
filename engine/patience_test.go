package engine

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/lambda"
)

// TestThrottledAfterWaiting invokes a function whose only environment has answered, but does not
// become free: the invocation waits for it a moment and is then throttled.
func TestThrottledAfterWaiting(t *testing.T) {
	held := make(chan struct{})
	var answered atomic.Bool
	h := &house{
		handler: func(*fake, *lambda.Invocation) lambda.Outcome { answered.Store(true); return lambda.Outcome{} },
		idle:    func(f *fake) { <-held; f.finished() },
	}
	e, s := setUp(t, h, 1)
	defer close(held)
	create(t, s, "f")
	if _, err := e.Invoke(t.Context(), call("f", "")); err != nil {
		t.Fatal(err)
	}
	if !answered.Load() {
		t.Fatal("the function did not run")
	}
	_, err := e.Invoke(t.Context(), call("f", ""))
	var throttle *Throttle
	if !errors.As(err, &throttle) || throttle.Reason != admission.ConcurrentInvocationLimitExceeded {
		t.Fatalf("the second invocation: %v, want a throttle", err)
	}
}
