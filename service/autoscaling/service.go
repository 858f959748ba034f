// Package autoscaling is the front door of Application Auto Scaling: it changes the provisioned
// concurrency of aliases and versions by schedules and by what CloudWatch measures.
//
// The decisions are those of packages metric (target tracking) and schedule. One goroutine, the
// loop, changes capacities: it fires scheduled actions by one timer, answers the alarms of
// policies, and brings targets into their bounds, one after the other. What it needs over a
// restart is in the catalogue.
package autoscaling

import (
	"context"
	"encoding/base64"
	"log/slog"
	"sync"

	"github.com/weir-run/weir/admission"
	api "github.com/weir-run/weir/aws/applicationautoscaling"
	cloudwatch "github.com/weir-run/weir/aws/cloudwatch"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

// Options are what the service works with.
type Options struct {
	Store *store.Store

	// SetProvisioned does what PutProvisionedConcurrencyConfig does, or for 0 what
	// DeleteProvisionedConcurrencyConfig does.
	SetProvisioned func(ctx context.Context, s lambda.Scope, function, qualifier string, n int) error

	// Status tells how far the last change is.
	Status func(s lambda.Scope, function, qualifier string) admission.Status

	// PutAlarm and DeleteAlarms change the alarms that policies own.
	PutAlarm     func(ctx context.Context, s lambda.Scope, in *cloudwatch.PutMetricAlarmInput) error
	DeleteAlarms func(ctx context.Context, s lambda.Scope, names []string) error

	Logger *slog.Logger
}

// An Alarm is what an alarm says to a policy.
type Alarm struct {
	Name     string
	State    metric.State
	Value    float64 // the newest datapoint
	HasValue bool
}

// A Service implements the operations of Application Auto Scaling.
type Service struct {
	api.Unimplemented
	opt    Options
	loop   *loop
	closed sync.Once
}

// Open returns the service with its schedules at work. What fell due while nobody ran is made up
// for, once per scheduled action.
func Open(opt Options) *Service {
	return &Service{opt: opt, loop: startLoop(opt)}
}

// Close ends the schedules. It is idempotent.
func (s *Service) Close() { s.closed.Do(s.loop.close) }

// Register makes a Mux serve Application Auto Scaling.
func (s *Service) Register(m *wire.Mux) { m.Handle(&api.Wire, s, nil) }

// Scale answers an alarm of a policy. CloudWatch calls it at every evaluation that finds the
// alarm in ALARM.
func (s *Service) Scale(ctx context.Context, scope lambda.Scope, policyARN string, a Alarm) error {
	return s.loop.do(ctx, func() error { return s.loop.alarm(scope, policyARN, a) })
}

func (s *Service) snapshot() *store.Snapshot { return s.opt.Store.Catalog().Snapshot() }

// update changes the catalogue. As on AWS it happens even if the client goes away meanwhile.
func (s *Service) update(f func(tx *store.Tx) error) error {
	return s.opt.Store.Catalog().Update(context.Background(), f)
}

func invalid(format string, args ...any) *lambda.Error {
	return lambda.Errorf(lambda.CodeValidation, format, args...)
}

func notFound(format string, args ...any) *lambda.Error {
	return lambda.Errorf("ObjectNotFoundException", format, args...)
}

// A page is the part of a list that a request asks for.
type page struct {
	after string // name of the last item of the page before
	left  int
	next  string
}

const maxPage = 50

func newPage(token wire.Opt[string], items wire.Opt[int32]) (*page, error) {
	if items.OK && items.V < 1 {
		return nil, invalid("MaxResults must be at least 1.")
	}
	p := &page{left: min(int(items.Or(maxPage)), maxPage)}
	if token.V != "" {
		name, err := base64.RawURLEncoding.DecodeString(token.V)
		if err != nil {
			return nil, lambda.Errorf("InvalidNextTokenException", "The next token supplied is invalid.")
		}
		p.after = string(name)
	}
	return p, nil
}

// take reports whether another item fits on the page; name is what it sorts by.
func (p *page) take(name string) bool {
	if p.left == 0 {
		p.next = base64.RawURLEncoding.EncodeToString([]byte(p.after))
		return false
	}
	p.left--
	p.after = name
	return true
}

func (p *page) token() wire.Opt[string] {
	if p.next == "" {
		return wire.Opt[string]{}
	}
	return wire.Some(p.next)
}
