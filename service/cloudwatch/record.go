package cloudwatch

import (
	"fmt"
	"time"

	api "github.com/weir-run/weir/aws/cloudwatch"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

// The kinds of CloudWatch in the catalogue. An alarm's state is a record of its own, since it
// changes by itself.
var (
	alarmKind     = store.Kind[alarmRecord]{Name: "alarm"}
	stateKind     = store.Kind[stateRecord]{Name: "alarmstate"}
	dashboardKind = store.Kind[dashboardRecord]{Name: "dashboard"}
)

// An alarmRecord is an alarm as it was put. Nil and empty members were not given.
type alarmRecord struct {
	Description    *string `json:",omitempty"`
	ActionsEnabled bool
	OKActions      []string          `json:",omitempty"`
	AlarmActions   []string          `json:",omitempty"`
	MissingActions []string          `json:",omitempty"` // on INSUFFICIENT_DATA
	Updated        int64             // nanoseconds since 1970
	Tags           map[string]string `json:",omitempty"`

	Rule string `json:",omitempty"` // composite

	Metric     metricRecord  `json:",omitzero"`
	Stat       string        `json:",omitempty"`
	Unit       string        `json:",omitempty"`
	Period     int           `json:",omitempty"` // seconds
	Queries    []queryRecord `json:",omitempty"`
	Periods    int           `json:",omitempty"`
	Datapoints int           `json:",omitempty"` // 0: not given
	Threshold  float64
	Operator   string `json:",omitempty"`
	Missing    string `json:",omitempty"`
	LowSamples string `json:",omitempty"`
}

type metricRecord struct {
	Namespace  string
	Name       string
	Dimensions []metric.Dimension `json:",omitempty"` // in the order given
}

type queryRecord struct {
	ID         string
	Metric     metricRecord `json:",omitzero"`
	Stat       string       `json:",omitempty"`
	Unit       string       `json:",omitempty"`
	Period     int          `json:",omitempty"`
	Expression string       `json:",omitempty"`
	Label      string       `json:",omitempty"`
	Return     bool
	ReturnSet  bool
}

// A stateRecord is what an alarm says, and since when.
type stateRecord struct {
	State   string
	Reason  string
	Data    string `json:",omitempty"`
	Updated int64  // nanoseconds since 1970
	Changed int64  // when State was another
}

func (m metricRecord) sorted() metric.Metric {
	return metric.Metric{Namespace: m.Namespace, Name: m.Name, Dimensions: m.Dimensions}.Sorted()
}

func (m metricRecord) dimensions() []api.Dimension {
	list := make([]api.Dimension, len(m.Dimensions))
	for i, d := range m.Dimensions {
		list[i] = api.Dimension{Name: wire.Some(d.Name), Value: wire.Some(d.Value)}
	}
	return list
}

// isComposite tells the two sorts of alarms apart.
func (r *alarmRecord) isComposite() bool { return r.Rule != "" }

// scales reports whether an action is a scaling policy, which is told at every evaluation.
func (r *alarmRecord) scales() bool {
	for _, list := range [][]string{r.AlarmActions, r.OKActions, r.MissingActions} {
		for _, arn := range list {
			if actionOf(arn) == actScale {
				return true
			}
		}
	}
	return false
}

// alarm returns what the machine must know.
func (r *alarmRecord) alarm(s lambda.Scope, name string) (metric.Alarm, error) {
	a := metric.Alarm{Name: name, Repeat: r.scales()}
	if r.isComposite() {
		var err error
		a.Rule, err = metric.ParseRule(r.Rule)
		return a, err
	}
	a.Periods, a.Datapoints, a.Threshold = r.Periods, r.Datapoints, r.Threshold
	a.Operator, _ = metric.ParseOperator(r.Operator)
	a.Missing, _ = metric.ParseMissing(r.Missing)
	a.KeepOnLowSamples = r.LowSamples == "ignore"
	a.Period = time.Duration(r.period()) * time.Second
	queries := r.Queries
	if len(queries) == 0 {
		queries = []queryRecord{{ID: "m1", Metric: r.Metric, Stat: r.Stat, Unit: r.Unit, Return: true}}
	}
	for _, q := range queries {
		x, err := q.query(s)
		if err != nil {
			return a, err
		}
		a.Queries = append(a.Queries, x)
		if x.Expression == nil && x.Metric.Namespace == "AWS/DynamoDB" {
			a.Missing = metric.TreatIgnore
		}
	}
	return a, nil
}

// period is that of the datapoints, in seconds.
func (r *alarmRecord) period() int {
	p := r.Period
	for _, q := range r.Queries {
		p = max(p, q.Period)
	}
	return p
}

func (q *queryRecord) query(s lambda.Scope) (metric.Query, error) {
	x := metric.Query{ID: q.ID, Label: q.Label, Return: q.Return}
	if q.Expression != "" {
		var err error
		x.Expression, err = metric.ParseExpression(q.Expression)
		return x, err
	}
	x.Metric = q.Metric.sorted()
	x.Key = metric.KeyOf(s, x.Metric, metric.AnyUnit)
	x.Unit, _ = metric.ParseUnit(q.Unit)
	var ok bool
	if x.Stat, ok = metric.ParseStat(q.Stat); !ok {
		return x, fmt.Errorf("%q is no statistic", q.Stat)
	}
	return x, nil
}

// A dashboardRecord is a dashboard.
type dashboardRecord struct {
	Body     string
	Modified int64 // nanoseconds since 1970
}

func instant(t time.Time) metric.Instant { return metric.Instant(t.UnixNano()) }

func timeOf(at int64) wire.Opt[time.Time] { return wire.Some(time.Unix(0, at).UTC()) }

func some(s string) wire.Opt[string] { return wire.Opt[string]{V: s, OK: s != ""} }
