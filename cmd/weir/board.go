package main

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	autoscalingapi "github.com/weir-run/weir/aws/applicationautoscaling"
	cloudwatchapi "github.com/weir-run/weir/aws/cloudwatch"
	api "github.com/weir-run/weir/aws/lambda"
	logsapi "github.com/weir-run/weir/aws/logs"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/dashboard"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// openDashboard wires what people look at to what it shows.
func (s *server) openDashboard() error {
	opt := dashboard.Options{
		Engine: s.engine, Catalog: s.store.Catalog(), Version: versionText(),
		Default: lambda.Scope{Account: defaultAccount, Region: defaultRegion},
		Reserve: s.reserve, Provision: s.provision,
		Queues: s.listQueues, Alarms: s.listAlarms, Changes: s.listChanges, Activities: s.listActivities, Tail: s.tail,
		Logger: s.opt.Logger,
	}
	if s.opt.Auth != wire.AuthNone {
		opt.SignIn = s.signIn
	}
	d, err := dashboard.New(opt)
	if err != nil {
		return err
	}
	s.board.Store(d)
	return nil
}

// front serves /metrics, which is below no prefix because it never is, and AWS's services. A
// signed request is meant for a service, such as a bucket of that name. Where signatures are not
// checked, a page in a browser must not be able to call the services.
func (s *server) front(services http.Handler) http.Handler {
	if s.opt.Auth == wire.AuthNone {
		services = http.NewCrossOriginProtection().Handler(services)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" && r.Method == http.MethodGet && !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-") {
			s.dashboard(w, r)
			return
		}
		services.ServeHTTP(w, r)
	})
}

func (s *server) dashboard(w http.ResponseWriter, r *http.Request) {
	d := s.board.Load()
	if d == nil {
		http.Error(w, "The server is starting.", http.StatusServiceUnavailable)
		return
	}
	d.ServeHTTP(w, r)
}

// signIn checks an access key and its secret. Those of functions are not among them.
func (s *server) signIn(key, secret string) (account string, ok bool) {
	c, known := s.opt.Credentials[key]
	if same := subtle.ConstantTimeCompare([]byte(c.Secret), []byte(secret)); !known || c.Secret == "" || same != 1 {
		return "", false
	}
	return accountOf(key, c), true
}

// reserve and provision do what the API does, by the same way and with the same checks.
func (s *server) reserve(_ context.Context, scope lambda.Scope, function string, n int) error {
	c, name := &wire.Call{Scope: scope}, wire.Some(function)
	if n < 0 {
		return s.functions.DeleteFunctionConcurrency(c, &api.DeleteFunctionConcurrencyRequest{FunctionName: name})
	}
	_, err := s.functions.PutFunctionConcurrency(c, &api.PutFunctionConcurrencyRequest{FunctionName: name, ReservedConcurrentExecutions: wire.Some(int32(n))})
	return err
}

func (s *server) provision(_ context.Context, scope lambda.Scope, function, qualifier string, n int) error {
	c, name, on := &wire.Call{Scope: scope}, wire.Some(function), wire.Some(qualifier)
	if n < 0 {
		return s.functions.DeleteProvisionedConcurrencyConfig(c, &api.DeleteProvisionedConcurrencyConfigRequest{FunctionName: name, Qualifier: on})
	}
	_, err := s.functions.PutProvisionedConcurrencyConfig(c, &api.PutProvisionedConcurrencyConfigRequest{
		FunctionName: name, Qualifier: on, ProvisionedConcurrentExecutions: wire.Some(int32(n)),
	})
	return err
}

func (s *server) listQueues(scope lambda.Scope) []dashboard.Queue {
	var all []dashboard.Queue
	s.store.Queues().List(scope, "", "", func(q *store.Queue) bool {
		c := q.Counts()
		all = append(all, dashboard.Queue{Name: q.Name, Visible: c.Visible, InFlight: c.InFlight, Delayed: c.Delayed, Oldest: c.Oldest})
		return true
	})
	return all
}

// boardRecords is how many alarms, and changes of them, are shown.
const boardRecords = 100

var alarmTypes = []string{"MetricAlarm", "CompositeAlarm"}

func (s *server) listAlarms(scope lambda.Scope) []dashboard.Alarm {
	out, err := s.metrics.DescribeAlarms(&wire.Call{Scope: scope}, &cloudwatchapi.DescribeAlarmsInput{AlarmTypes: alarmTypes, MaxRecords: wire.Some(int32(boardRecords))})
	if err != nil {
		s.opt.Logger.Error("list the alarms for the dashboard", "error", err)
		return nil
	}
	var all []dashboard.Alarm
	for _, a := range out.MetricAlarms {
		watches := strings.TrimSpace(cmp.Or(a.Statistic.V, a.ExtendedStatistic.V) + " " + a.MetricName.V)
		for _, d := range a.Dimensions {
			watches += " " + d.Name.V + "=" + d.Value.V
		}
		all = append(all, dashboard.Alarm{Name: a.AlarmName.V, State: a.StateValue.V, Since: a.StateUpdatedTimestamp.V, Metric: watches, Reason: a.StateReason.V})
	}
	for _, a := range out.CompositeAlarms {
		all = append(all, dashboard.Alarm{Name: a.AlarmName.V, State: a.StateValue.V, Since: a.StateUpdatedTimestamp.V, Metric: a.AlarmRule.V, Reason: a.StateReason.V})
	}
	return all
}

func (s *server) listChanges(scope lambda.Scope) []dashboard.AlarmChange {
	out, err := s.metrics.DescribeAlarmHistory(&wire.Call{Scope: scope}, &cloudwatchapi.DescribeAlarmHistoryInput{AlarmTypes: alarmTypes, MaxRecords: wire.Some(int32(boardRecords))})
	if err != nil {
		s.opt.Logger.Error("read the alarms' history for the dashboard", "error", err)
		return nil
	}
	var all []dashboard.AlarmChange
	for _, h := range out.AlarmHistoryItems {
		all = append(all, dashboard.AlarmChange{At: h.Timestamp.V, Alarm: h.AlarmName.V, What: h.HistorySummary.V})
	}
	return all
}

// listActivities reads what Application Auto Scaling did. It answers a page at a time, ordered by
// target, so all of it is read, at most activityPages, and then ordered by time.
func (s *server) listActivities(scope lambda.Scope) []dashboard.Activity {
	var all []dashboard.Activity
	in := &autoscalingapi.DescribeScalingActivitiesRequest{ServiceNamespace: wire.Some("lambda")}
	for range activityPages {
		out, err := s.scaling.DescribeScalingActivities(&wire.Call{Scope: scope}, in)
		if err != nil {
			s.opt.Logger.Error("list the scaling activities for the dashboard", "error", err)
			return nil
		}
		for _, a := range out.ScalingActivities {
			all = append(all, dashboard.Activity{At: a.StartTime.V, Resource: a.ResourceId.V, Status: a.StatusCode.V, Description: a.Description.V, Cause: a.Cause.V})
		}
		if in.NextToken = out.NextToken; !in.NextToken.OK {
			break
		}
	}
	slices.SortStableFunc(all, func(a, b dashboard.Activity) int { return b.At.Compare(a.At) })
	return all
}

// activityPages bounds how much is read of the activities.
const activityPages = 20

// tailStreams is how many of a function's log streams are read for its last lines: those of the
// environments that wrote last.
const tailStreams = 4

// tail reads the last lines of a function's log.
func (s *server) tail(scope lambda.Scope, function string, lines int) ([]dashboard.LogLine, error) {
	c, group := &wire.Call{Scope: scope}, "/aws/lambda/"+function
	v, ok := store.Versions.Get(s.store.Catalog().Snapshot(), scope, store.QualifiedName(function, lambda.Latest))
	if ok && v.LogGroup != "" {
		group = v.LogGroup
	}
	streams, err := s.logs.DescribeLogStreams(c, &logsapi.DescribeLogStreamsRequest{
		LogGroupName: wire.Some(group), OrderBy: wire.Some("LastEventTime"), Descending: wire.Some(true), Limit: wire.Some(int32(tailStreams)),
	})
	var known *lambda.Error
	if errors.As(err, &known) && known.Code == lambda.CodeResourceNotFound {
		return nil, nil // it has not run yet
	}
	if err != nil {
		return nil, err
	}
	var all []dashboard.LogLine
	for _, x := range streams.LogStreams {
		out, err := s.logs.GetLogEvents(c, &logsapi.GetLogEventsRequest{LogGroupName: wire.Some(group), LogStreamName: x.LogStreamName, Limit: wire.Some(int32(lines))})
		if err != nil {
			return nil, err
		}
		for _, e := range out.Events {
			all = append(all, dashboard.LogLine{At: time.UnixMilli(e.Timestamp.V), Text: strings.TrimRight(e.Message.V, "\n")})
		}
	}
	slices.SortStableFunc(all, func(a, b dashboard.LogLine) int { return a.At.Compare(b.At) })
	return all[max(0, len(all)-lines):], nil
}
