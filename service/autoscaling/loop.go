package autoscaling

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

// Bounds of the loop.
const (
	maxJobs    = 64               // that wait
	pollEvery  = 2 * time.Second  // while a change of capacity is in progress
	setTimeout = 30 * time.Second // of one change
	freshFor   = 90 * time.Second // what a policy wanted counts as long as this
	longSleep  = time.Hour        // without anything to do
)

func itoa(n int) string { return strconv.Itoa(n) }

// A loop is the one goroutine that changes capacities.
type loop struct {
	opt  Options
	jobs chan job
	wake chan struct{}
	stop chan struct{}
	work sync.WaitGroup

	// The goroutine's own.
	pending map[place]string      // by target: the activity in progress
	wants   map[string]want       // by the ARN of a policy: how far it would scale in
	quiet   map[string]metric.Why // by the ARN of a policy: why nothing was scaled, told once
	latest  time.Time             // start of the last activity
}

type job struct {
	do   func() error
	done chan error // takes one
}

type place struct {
	scope    lambda.Scope
	resource resource
}

type want struct {
	at       time.Time
	decision metric.Decision
}

func startLoop(opt Options) *loop {
	l := &loop{
		opt: opt, jobs: make(chan job, maxJobs), wake: make(chan struct{}, 1), stop: make(chan struct{}),
		pending: make(map[place]string), wants: make(map[string]want), quiet: make(map[string]metric.Why),
	}
	activityKind.ScanAll(l.snapshot(), func(s lambda.Scope, name string, a *activity) bool {
		if a.Status == inProgress {
			l.pending[place{s, ownerOf(name)}] = name
		}
		return true
	})
	l.work.Go(l.run)
	return l
}

func (l *loop) close() {
	close(l.stop)
	l.work.Wait()
}

func (l *loop) snapshot() *store.Snapshot { return l.opt.Store.Catalog().Snapshot() }

var errClosed = errors.New("auto scaling is closed")

// do has the loop do something, and waits for it.
func (l *loop) do(ctx context.Context, f func() error) error {
	j := job{f, make(chan error, 1)}
	select {
	case l.jobs <- j:
	case <-l.stop:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-j.done:
		return err
	case <-l.stop:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rouse makes the loop look at the schedules anew.
func (l *loop) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *loop) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.stop:
			return
		case j := <-l.jobs:
			j.done <- j.do()
		case <-l.wake:
		case <-timer.C:
		}
		timer.Reset(time.Until(l.pass(time.Now())))
	}
}

// A duty is a scheduled action that fell due.
type duty struct {
	place
	name string
	at   time.Time
}

// pass fires what is due, in the order of time, and returns when to look again.
func (l *loop) pass(now time.Time) time.Time {
	l.settle()
	maps.DeleteFunc(l.wants, func(_ string, w want) bool { return now.Sub(w.at) > freshFor })
	var duties []duty
	actionKind.ScanAll(l.snapshot(), func(s lambda.Scope, name string, a *action) bool {
		if at, ok := a.due(now); ok {
			duties = append(duties, duty{place{s, ownerOf(name)}, name, at})
		}
		return true
	})
	slices.SortStableFunc(duties, func(a, b duty) int { return a.at.Compare(b.at) })
	for _, d := range duties {
		l.fire(d, now)
	}
	until := now.Add(longSleep)
	if len(l.pending) > 0 {
		until = now.Add(pollEvery)
	}
	actionKind.ScanAll(l.snapshot(), func(_ lambda.Scope, _ string, a *action) bool {
		if at, ok := a.next(now); ok && at.Before(until) {
			until = at
		}
		return true
	})
	return until
}

// fire gives a target the bounds of a scheduled action.
func (l *loop) fire(d duty, now time.Time) {
	var t target
	var told *activity
	err := l.update(func(tx *store.Tx) error {
		told = nil
		a, ok := actionKind.Get(tx, d.scope, d.name)
		old, registered := targetKind.Get(tx, d.scope, d.resource.String())
		if !ok || !registered {
			return nil
		}
		done := *a
		done.Done = now.UTC()
		actionKind.Put(tx, d.scope, d.name, &done)
		if old.ScheduledSuspended {
			return nil
		}
		t = *old
		told = l.newActivity(boundsText("Setting", a.Min, a.Max), "scheduled action name "+a.Name+" was triggered")
		told.Status, told.End = successful, told.Start
		told.Message = boundsText("Successfully set", a.Min, a.Max)
		if a.Min != nil {
			t.Min = *a.Min
		}
		if a.Max != nil {
			t.Max = *a.Max
		}
		if err := checkBounds(t.Min, t.Max); err != nil {
			told.Status, told.Message = failed, boundsText("Failed to set", a.Min, a.Max)+". Reason: "+message(err)
			t = *old
		} else {
			targetKind.Put(tx, d.scope, d.resource.String(), &t)
		}
		keep(tx, d.place, told)
		return nil
	})
	if err != nil {
		l.opt.Logger.Error("a scheduled action was not carried out", "action", d.name, "error", err)
		return
	}
	if told == nil {
		return
	}
	l.opt.Logger.Info("scheduled action", "target", d.resource.String(), "what", told.Message)
	if told.Status == successful {
		l.bound(d.scope, d.resource, t.Min, t.Max)
	}
}

// bound brings the capacity of a target into its bounds, whatever cooldowns say.
func (l *loop) bound(s lambda.Scope, r resource, least, most int) {
	current := l.capacity(s, r)
	n := metric.Bound(current, least, most)
	if n == current {
		return
	}
	cause := "minimum capacity was set to " + itoa(least)
	if n < current {
		cause = "maximum capacity was set to " + itoa(most)
	}
	l.set(place{s, r}, n, cause, nil)
}

// capacity is the provisioned concurrency that is asked for.
func (l *loop) capacity(s lambda.Scope, r resource) int {
	if p, ok := store.Provisioned.Get(l.snapshot(), s, store.QualifiedName(r.function, r.qualifier)); ok {
		return p.Concurrency
	}
	return 0
}

// alarm answers an alarm of a policy.
func (l *loop) alarm(s lambda.Scope, arn string, a Alarm) error {
	r, name, id, ok := parsePolicy(arn)
	if !ok {
		return fmt.Errorf("%s names no scaling policy", arn)
	}
	snapshot := l.snapshot()
	p, ok := policyKind.Get(snapshot, s, partName(r, name))
	t, registered := targetKind.Get(snapshot, s, r.String())
	if !ok || !registered || p.ID != id {
		return fmt.Errorf("the scaling policy %s does not exist", arn)
	}
	if a.State == metric.InsufficientData {
		l.opt.Logger.Info("nothing is scaled: the metric of the policy has no data, as of a function that is idle", "target", r.String(), "policy", name, "provisioned", l.capacity(s, r))
		return nil
	}
	if a.State != metric.InAlarm || !a.HasValue {
		return nil
	}
	here := place{s, r}
	l.settle()
	if l.pending[here] != "" {
		l.opt.Logger.Debug("the change before is in progress", "target", r.String(), "policy", name)
		return nil
	}
	c := metric.Capacity{Current: l.capacity(s, r), Min: t.Min, Max: t.Max, InSuspended: t.InSuspended, OutSuspended: t.OutSuspended}
	decision := p.tracking().Decide(a.Value, c, p.Last, instant(time.Now()))
	if decision.Desired < c.Current {
		l.wants[arn] = want{time.Now(), decision}
		decision = l.agreed(snapshot, here, decision, c.Current)
	}
	cause := "monitor alarm " + a.Name + " in state ALARM triggered policy " + name
	if decision.Desired == c.Current {
		l.notScaled(here, arn, c, decision.Why, cause)
		return nil
	}
	delete(l.quiet, arn)
	l.set(here, decision.Desired, cause, p)
	return nil
}

// agreed is how far all policies of a target want to scale in: the largest capacity wins, and a
// policy that does not want to keeps it.
func (l *loop) agreed(r store.Reader, here place, own metric.Decision, current int) metric.Decision {
	all := []metric.Decision{own}
	policyKind.ScanPrefix(r, here.scope, partPrefix(here.resource), "", func(_ string, p *policy) bool {
		if p.tracking().DisableScaleIn {
			return true
		}
		w, ok := l.wants[p.arn(here.scope, here.resource)]
		if !ok || time.Since(w.at) > freshFor {
			w.decision = metric.Decision{Desired: current, Why: metric.AtDesired}
		}
		all = append(all, w.decision)
		return true
	})
	return metric.Combine(all)
}

// set changes a capacity and writes down what came of it.
func (l *loop) set(here place, n int, cause string, by *policy) {
	r := here.resource
	before := l.capacity(here.scope, r)
	a := l.newActivity("Setting provisioned concurrency to "+itoa(n)+".", cause)
	a.Wanted = n
	ctx, cancel := context.WithTimeout(context.Background(), setTimeout)
	defer cancel()
	if err := l.opt.SetProvisioned(ctx, here.scope, r.function, r.qualifier, n); err != nil {
		a.Status, a.End = failed, time.Now().UTC()
		a.Message = "Failed to set provisioned concurrency to " + itoa(n) + ". Reason: " + message(err)
		l.opt.Logger.Warn("provisioned concurrency was not scaled", "target", r.String(), "to", n, "cause", cause, "error", err)
	} else {
		a.Status = inProgress
		a.Message = "Successfully set provisioned concurrency to " + itoa(n) + ". Waiting for change to be fulfilled by lambda."
		l.opt.Logger.Info("provisioned concurrency was scaled", "target", r.String(), "from", before, "to", n, "cause", cause)
	}
	err := l.update(func(tx *store.Tx) error {
		if old, ok := activityKind.Get(tx, here.scope, l.pending[here]); ok && l.pending[here] != "" && a.Status == inProgress {
			over := *old
			over.Status, over.End = overridden, a.Start
			activityKind.Put(tx, here.scope, l.pending[here], &over)
		}
		keep(tx, here, a)
		if by == nil || a.Status == failed {
			return nil
		}
		if p, ok := policyKind.Get(tx, here.scope, partName(r, by.Name)); ok {
			acted := *p
			acted.Last = metric.Activity{At: instant(a.Start), Out: n > before, In: n < before, By: max(n-before, before-n)}
			policyKind.Put(tx, here.scope, partName(r, by.Name), &acted)
		}
		return nil
	})
	if err != nil {
		l.opt.Logger.Error("a scaling activity was not written", "target", r.String(), "error", err)
		return
	}
	if a.Status == inProgress {
		l.pending[here] = a.name(r)
		l.settle()
	}
}

// settle ends the activities whose change is fulfilled.
func (l *loop) settle() {
	for here, name := range l.pending {
		r := here.resource
		a, ok := activityKind.Get(l.snapshot(), here.scope, name)
		if !ok {
			delete(l.pending, here)
			continue
		}
		ended := *a
		switch status := l.opt.Status(here.scope, r.function, r.qualifier); {
		case status == admission.InProgress || status == admission.NotProvisioned && l.capacity(here.scope, r) > 0:
			continue
		case l.capacity(here.scope, r) != a.Wanted:
			ended.Status = overridden
		case status == admission.StatusFailed:
			ended.Status, ended.Message = failed, "Failed to set provisioned concurrency to "+itoa(a.Wanted)+". Reason: FUNCTION_ERROR_INIT_FAILURE"
		default:
			ended.Status, ended.Message = successful, "Successfully set provisioned concurrency to "+itoa(a.Wanted)+". Change successfully fulfilled by lambda."
		}
		ended.End = time.Now().UTC()
		if err := l.update(func(tx *store.Tx) error { activityKind.Put(tx, here.scope, name, &ended); return nil }); err != nil {
			l.opt.Logger.Error("a scaling activity was not written", "target", r.String(), "error", err)
			return // it is tried again
		}
		delete(l.pending, here)
	}
}

func (l *loop) update(f func(tx *store.Tx) error) error {
	return l.opt.Store.Catalog().Update(context.Background(), f)
}

func instant(t time.Time) metric.Instant { return metric.Instant(t.UnixNano()) }

// message is what a person reads of an error.
func message(err error) string {
	var known *lambda.Error
	if errors.As(err, &known) {
		return strings.TrimSpace(known.Message)
	}
	return err.Error()
}
