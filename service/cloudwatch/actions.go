package cloudwatch

import (
	"context"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

// Scaling is what an alarm tells a scaling policy, at the transition and at every evaluation
// while it stays in ALARM.
type Scaling struct {
	Alarm     string
	State     metric.State
	Threshold float64
	Value     float64 // the newest datapoint
	HasValue  bool
	At        metric.Instant
}

// An act is a sort of action.
type act uint8

const (
	actNone act = iota
	actPublish
	actInvoke
	actScale
)

// actionOf tells what the ARN of an action asks for.
func actionOf(arn string) act {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" {
		return actNone
	}
	switch parts[2] {
	case "sns":
		return actPublish
	case "lambda":
		return actInvoke
	case "autoscaling", "application-autoscaling":
		if strings.HasPrefix(parts[5], "scalingPolicy:") {
			return actScale
		}
	}
	return actNone
}

// can reports whether somebody performs an action.
func (o *Options) can(arn string) bool {
	switch actionOf(arn) {
	case actPublish:
		return o.Publish != nil
	case actInvoke:
		return o.Invoke != nil
	case actScale:
		return o.Scale != nil
	}
	return false
}

// Bounds of the actions.
const (
	maxActions    = 256              // that wait for a worker
	actionWorkers = 4                // that run at once
	actionTimeout = 30 * time.Second // of one
)

// actions performs the actions of alarms beside the loop, so that a slow one delays no alarm.
// Those of one alarm have one worker, and so their order.
type actions struct {
	opt    Options
	now    func() metric.Instant
	queues [actionWorkers]chan action
	wg     sync.WaitGroup
}

type action struct {
	scope   lambda.Scope
	arn     string
	alarm   string
	message *message // nil: an evaluation that changed nothing
	scaling Scaling
}

func newActions(opt Options, now func() metric.Instant) *actions {
	a := &actions{opt: opt, now: now}
	for i := range a.queues {
		a.queues[i] = make(chan action, maxActions)
		a.wg.Go(func() { a.work(a.queues[i]) })
	}
	return a
}

// close waits for the actions that were queued.
func (a *actions) close() {
	for _, q := range a.queues {
		close(q)
	}
	a.wg.Wait()
}

// add queues an action; with the queue full it is dropped, and the history tells.
func (a *actions) add(x action) {
	worker := maphash.String(hashSeed, x.scope.String()+x.alarm) % actionWorkers
	select {
	case a.queues[worker] <- x:
	default:
		a.report(x, fmt.Errorf("%d actions wait already", maxActions))
	}
}

var hashSeed = maphash.MakeSeed()

func (a *actions) work(queue chan action) {
	for x := range queue {
		a.report(x, a.perform(x))
	}
}

func (a *actions) perform(x action) error {
	ctx, cancel := context.WithTimeout(context.Background(), actionTimeout)
	defer cancel()
	switch actionOf(x.arn) {
	case actPublish:
		if a.opt.Publish != nil {
			return a.opt.Publish(ctx, x.scope, x.arn, x.message.subject(), x.message.notification())
		}
	case actInvoke:
		if a.opt.Invoke != nil {
			return a.opt.Invoke(ctx, x.scope, x.arn, x.message.event())
		}
	case actScale:
		if a.opt.Scale != nil {
			return a.opt.Scale(ctx, x.scope, x.arn, x.scaling)
		}
	}
	return fmt.Errorf("weir does not perform %s", x.arn)
}

// report writes an action into the history. What is repeated at every evaluation is not.
func (a *actions) report(x action, err error) {
	if err != nil {
		a.opt.Logger.Warn("the action of an alarm failed", "alarm", x.alarm, "action", x.arn, "error", err)
	}
	if x.message == nil {
		return
	}
	h := historyItem{Alarm: x.alarm, Composite: x.message.record.isComposite(), Type: "Action", Summary: "Successfully executed action " + x.arn}
	data := actionHistory{ActionState: "Succeeded", NotificationResource: x.arn, StateUpdateTimestamp: int64(x.message.at) / 1e6}
	if err != nil {
		h.Summary, data.ActionState, data.Error = "Failed to execute action "+x.arn, "Failed", err.Error()
	}
	h.Data = text(data)
	if err := a.opt.Store.Metrics().AddHistory(context.Background(), []store.HistoryItem{h.stored(x.scope, a.now())}); err != nil {
		a.opt.Logger.Error("the history of an alarm was not written", "alarm", x.alarm, "error", err)
	}
}

// transition makes a new state durable, then tells the history and the actions.
func (d *driver) transition(a *account, e metric.Effect) {
	ctx := context.Background()
	var record *alarmRecord
	var before stateRecord
	after := stateRecord{State: e.New.String(), Reason: completeReason(a.scope, e.Reason), Data: e.Data, Updated: int64(e.At), Changed: int64(e.At)}
	err := d.opt.Store.Catalog().Update(ctx, func(tx *store.Tx) error {
		record = nil
		r, ok := alarmKind.Get(tx, a.scope, e.Alarm)
		if !ok {
			return nil // deleted meanwhile
		}
		record, before = r, stateRecord{State: metric.InsufficientData.String(), Reason: unchecked, Updated: r.Updated}
		if s, ok := stateKind.Get(tx, a.scope, e.Alarm); ok {
			before = *s
		}
		stateKind.Put(tx, a.scope, e.Alarm, &after)
		return nil
	})
	if err != nil {
		d.opt.Logger.Error("the state of an alarm was not stored", "alarm", e.Alarm, "state", after.State, "error", err)
	}
	if record == nil {
		return
	}
	m := &message{scope: a.scope, name: e.Alarm, record: record, before: before, after: after, at: e.At}
	if err := d.opt.Store.Metrics().AddHistory(ctx, []store.HistoryItem{m.history().stored(a.scope, e.At)}); err != nil {
		d.opt.Logger.Error("the history of an alarm was not written", "alarm", e.Alarm, "error", err)
	}
	if !record.ActionsEnabled {
		return
	}
	for _, arn := range record.actionsOf(e.New) {
		d.actions.add(action{a.scope, arn, e.Alarm, m, scalingOf(record, e)})
	}
}

// persist tells scaling policies that their alarm is still in ALARM.
func (d *driver) persist(a *account, e metric.Effect) {
	r, ok := alarmKind.Get(d.opt.Store.Catalog().Snapshot(), a.scope, e.Alarm)
	if !ok || !r.ActionsEnabled {
		return
	}
	for _, arn := range r.AlarmActions {
		if actionOf(arn) == actScale {
			d.actions.add(action{scope: a.scope, arn: arn, alarm: e.Alarm, scaling: scalingOf(r, e)})
		}
	}
}

func scalingOf(r *alarmRecord, e metric.Effect) Scaling {
	return Scaling{Alarm: e.Alarm, State: e.New, Threshold: r.Threshold, Value: e.Value, HasValue: e.HasValue, At: e.At}
}

// actionsOf returns the actions of a state.
func (r *alarmRecord) actionsOf(s metric.State) []string {
	switch s {
	case metric.InAlarm:
		return r.AlarmActions
	case metric.OK:
		return r.OKActions
	}
	return r.MissingActions
}

// completeReason makes ARNs of the names of alarms that the machine marked.
func completeReason(s lambda.Scope, reason string) string {
	before, rest, found := strings.Cut(reason, metric.ARNMark)
	if !found {
		return reason
	}
	name, after, _ := strings.Cut(rest, metric.ARNMark)
	return before + alarmARN(s, name) + after
}

func alarmARN(s lambda.Scope, name string) string { return s.ARN("cloudwatch", "alarm:"+name) }

// unchecked is the reason of the state of a new alarm.
const unchecked = "Unchecked: Initial alarm creation"
