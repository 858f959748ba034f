package cloudwatch

import (
	"encoding/json"
	"strings"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

// A message is what a transition of an alarm says to the world.
type message struct {
	scope         lambda.Scope
	name          string
	record        *alarmRecord
	before, after stateRecord
	at            metric.Instant
}

// text is the JSON of a value of this package, which cannot fail: numbers are finite.
func text(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "{}"
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// A number is written with a decimal point, as AWS's are.
type number float64

func (x number) MarshalJSON() ([]byte, error) { return []byte(metric.JavaDouble(float64(x))), nil }

// subject is that of the notification, at most 100 characters as SNS demands.
func (m *message) subject() string {
	s := m.after.State + `: "` + m.name + `" in ` + regionName(m.scope.Region)
	if runes := []rune(s); len(runes) > 100 {
		s = string(runes[:97]) + "..."
	}
	return s
}

type notification struct {
	AlarmName               string   `json:"AlarmName"`
	AlarmDescription        *string  `json:"AlarmDescription"`
	AWSAccountID            string   `json:"AWSAccountId"`
	Updated                 string   `json:"AlarmConfigurationUpdatedTimestamp"`
	AlarmRule               string   `json:"AlarmRule,omitempty"`
	NewStateValue           string   `json:"NewStateValue"`
	NewStateReason          string   `json:"NewStateReason"`
	StateChangeTime         string   `json:"StateChangeTime"`
	Region                  string   `json:"Region"`
	AlarmARN                string   `json:"AlarmArn"`
	OldStateValue           string   `json:"OldStateValue"`
	OKActions               []string `json:"OKActions"`
	AlarmActions            []string `json:"AlarmActions"`
	InsufficientDataActions []string `json:"InsufficientDataActions"`
	Trigger                 *trigger `json:"Trigger,omitempty"`
}

type trigger struct {
	MetricName         string             `json:"MetricName,omitempty"`
	Namespace          string             `json:"Namespace,omitempty"`
	StatisticType      string             `json:"StatisticType,omitempty"`
	Statistic          string             `json:"Statistic,omitempty"`
	ExtendedStatistic  string             `json:"ExtendedStatistic,omitempty"`
	Unit               any                `json:"Unit,omitempty"` // *string; null is written, absence not
	Dimensions         []triggerDimension `json:"Dimensions,omitempty"`
	Period             int                `json:"Period"`
	EvaluationPeriods  int                `json:"EvaluationPeriods"`
	DatapointsToAlarm  int                `json:"DatapointsToAlarm,omitempty"`
	ComparisonOperator string             `json:"ComparisonOperator"`
	Threshold          number             `json:"Threshold"`
	TreatMissingData   string             `json:"TreatMissingData"`
	LowSamples         string             `json:"EvaluateLowSampleCountPercentile"`
	Metrics            []triggerMetric    `json:"Metrics,omitempty"`
}

type triggerDimension struct {
	Value string `json:"value"`
	Name  string `json:"name"`
}

type triggerMetric struct {
	Expression string       `json:"Expression,omitempty"`
	ID         string       `json:"Id"`
	Label      string       `json:"Label,omitempty"`
	MetricStat *triggerStat `json:"MetricStat,omitempty"`
	ReturnData bool         `json:"ReturnData"`
}

type triggerStat struct {
	Metric struct {
		Dimensions []triggerDimension `json:"Dimensions"`
		MetricName string             `json:"MetricName"`
		Namespace  string             `json:"Namespace"`
	} `json:"Metric"`
	Period int    `json:"Period"`
	Stat   string `json:"Stat"`
	Unit   string `json:"Unit,omitempty"`
}

// statistics are the names of the plain statistics in a notification.
var statistics = map[string]string{"Average": "AVERAGE", "Sum": "SUM", "SampleCount": "SAMPLE_COUNT", "Minimum": "MINIMUM", "Maximum": "MAXIMUM"}

// notification is the message that an alarm publishes.
func (m *message) notification() string {
	r := m.record
	n := notification{
		AlarmName: m.name, AlarmDescription: r.Description, AWSAccountID: m.scope.Account,
		Updated: metric.ISO(metric.Instant(r.Updated)), AlarmRule: r.Rule,
		NewStateValue: m.after.State, NewStateReason: m.after.Reason, StateChangeTime: metric.ISO(m.at),
		Region: regionName(m.scope.Region), AlarmARN: alarmARN(m.scope, m.name), OldStateValue: m.before.State,
		OKActions: list(r.OKActions), AlarmActions: list(r.AlarmActions), InsufficientDataActions: list(r.MissingActions),
	}
	if !r.isComposite() {
		n.Trigger = r.trigger()
	}
	return text(n)
}

func (r *alarmRecord) trigger() *trigger {
	t := &trigger{
		Period: r.period(), EvaluationPeriods: r.Periods, DatapointsToAlarm: r.Datapoints,
		ComparisonOperator: r.Operator, Threshold: number(r.Threshold), TreatMissingData: r.Missing, LowSamples: r.LowSamples,
	}
	if len(r.Queries) == 0 {
		t.MetricName, t.Namespace, t.Dimensions = r.Metric.Name, r.Metric.Namespace, triggerDimensions(r.Metric)
		t.StatisticType, t.Statistic = "Statistic", statistics[r.Stat]
		if t.Statistic == "" {
			t.StatisticType, t.ExtendedStatistic = "ExtendedStatistic", r.Stat
		}
		t.Unit = (*string)(nil)
		if r.Unit != "" {
			t.Unit = &r.Unit
		}
	}
	for _, q := range r.Queries {
		x := triggerMetric{Expression: q.Expression, ID: q.ID, Label: q.Label, ReturnData: q.Return}
		if q.Expression == "" {
			x.MetricStat = &triggerStat{Period: q.Period, Stat: q.Stat, Unit: q.Unit}
			x.MetricStat.Metric.Dimensions = triggerDimensions(q.Metric)
			x.MetricStat.Metric.MetricName, x.MetricStat.Metric.Namespace = q.Metric.Name, q.Metric.Namespace
		}
		t.Metrics = append(t.Metrics, x)
	}
	return t
}

func triggerDimensions(m metricRecord) []triggerDimension {
	all := []triggerDimension{}
	for _, d := range m.Dimensions {
		all = append(all, triggerDimension{d.Value, d.Name})
	}
	return all
}

// list makes an empty list of none.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

type event struct {
	Source    string    `json:"source"`
	AlarmARN  string    `json:"alarmArn"`
	AccountID string    `json:"accountId"`
	Time      string    `json:"time"`
	Region    string    `json:"region"`
	Data      eventData `json:"alarmData"`
}

type eventData struct {
	AlarmName     string             `json:"alarmName"`
	State         eventState         `json:"state"`
	PreviousState eventState         `json:"previousState"`
	Configuration eventConfiguration `json:"configuration"`
}

type eventState struct {
	Value      string `json:"value"`
	Reason     string `json:"reason"`
	ReasonData string `json:"reasonData,omitempty"`
	Timestamp  string `json:"timestamp"`
}

type eventConfiguration struct {
	Description *string       `json:"description,omitempty"`
	AlarmRule   string        `json:"alarmRule,omitempty"`
	Metrics     []eventMetric `json:"metrics,omitempty"`
}

type eventMetric struct {
	ID         string     `json:"id"`
	Expression string     `json:"expression,omitempty"`
	Label      string     `json:"label,omitempty"`
	MetricStat *eventStat `json:"metricStat,omitempty"`
	ReturnData bool       `json:"returnData"`
}

type eventStat struct {
	Metric struct {
		Namespace  string            `json:"namespace"`
		Name       string            `json:"name"`
		Dimensions map[string]string `json:"dimensions"`
	} `json:"metric"`
	Period int    `json:"period"`
	Stat   string `json:"stat"`
	Unit   string `json:"unit,omitempty"`
}

// event is what an alarm invokes a function with.
func (m *message) event() []byte {
	r := m.record
	e := event{
		Source: "aws.cloudwatch", AlarmARN: alarmARN(m.scope, m.name), AccountID: m.scope.Account,
		Time: metric.ISO(m.at), Region: m.scope.Region,
		Data: eventData{
			AlarmName: m.name, State: m.after.event(), PreviousState: m.before.event(),
			Configuration: eventConfiguration{Description: r.Description, AlarmRule: r.Rule},
		},
	}
	queries := r.Queries
	if len(queries) == 0 && !r.isComposite() {
		queries = []queryRecord{{ID: "m1", Metric: r.Metric, Stat: r.Stat, Unit: r.Unit, Period: r.Period, Return: true}}
	}
	for _, q := range queries {
		x := eventMetric{ID: q.ID, Expression: q.Expression, Label: q.Label, ReturnData: q.Return}
		if q.Expression == "" {
			x.MetricStat = &eventStat{Period: q.Period, Stat: q.Stat, Unit: q.Unit}
			x.MetricStat.Metric.Namespace, x.MetricStat.Metric.Name = q.Metric.Namespace, q.Metric.Name
			x.MetricStat.Metric.Dimensions = make(map[string]string)
			for _, d := range q.Metric.Dimensions {
				x.MetricStat.Metric.Dimensions[d.Name] = d.Value
			}
		}
		e.Data.Configuration.Metrics = append(e.Data.Configuration.Metrics, x)
	}
	return []byte(text(e))
}

func (s *stateRecord) event() eventState {
	return eventState{s.State, s.Reason, s.Data, metric.ISO(metric.Instant(s.Updated))}
}

// A historyItem is stored as JSON.
type historyItem struct {
	Alarm     string
	Composite bool `json:",omitempty"`
	Type      string
	Summary   string
	Data      string
}

func (h historyItem) stored(s lambda.Scope, at metric.Instant) store.HistoryItem {
	return store.HistoryItem{Scope: s, At: at, Text: []byte(text(h))}
}

type stateHistory struct {
	Version  string          `json:"version"`
	OldState historicalState `json:"oldState"`
	NewState historicalState `json:"newState"`
}

type historicalState struct {
	Value  string          `json:"stateValue"`
	Reason string          `json:"stateReason"`
	Data   json.RawMessage `json:"stateReasonData,omitempty"`
}

type actionHistory struct {
	ActionState          string `json:"actionState"`
	NotificationResource string `json:"notificationResource"`
	StateUpdateTimestamp int64  `json:"stateUpdateTimestamp"`
	Error                string `json:"error,omitempty"`
}

func (m *message) history() historyItem {
	return historyItem{
		Alarm: m.name, Composite: m.record.isComposite(), Type: "StateUpdate",
		Summary: "Alarm updated from " + m.before.State + " to " + m.after.State,
		Data:    text(stateHistory{"1.0", m.before.historical(), m.after.historical()}),
	}
}

func (s *stateRecord) historical() historicalState {
	h := historicalState{Value: s.State, Reason: s.Reason}
	if json.Valid([]byte(s.Data)) {
		h.Data = json.RawMessage(s.Data)
	}
	return h
}

// regionNames are the regions as a notification names them. One that is not here stands for
// itself.
var regionNames = map[string]string{
	"us-east-1": "US East (N. Virginia)", "us-east-2": "US East (Ohio)",
	"us-west-1": "US West (N. California)", "us-west-2": "US West (Oregon)",
	"ca-central-1": "Canada (Central)", "sa-east-1": "South America (Sao Paulo)",
	"eu-west-1": "EU (Ireland)", "eu-west-2": "EU (London)", "eu-west-3": "EU (Paris)",
	"eu-central-1": "EU (Frankfurt)", "eu-north-1": "EU (Stockholm)", "eu-south-1": "EU (Milan)",
	"ap-south-1": "Asia Pacific (Mumbai)", "ap-southeast-1": "Asia Pacific (Singapore)", "ap-southeast-2": "Asia Pacific (Sydney)",
	"ap-northeast-1": "Asia Pacific (Tokyo)", "ap-northeast-2": "Asia Pacific (Seoul)", "ap-northeast-3": "Asia Pacific (Osaka)",
}

func regionName(region string) string {
	if name, ok := regionNames[region]; ok {
		return name
	}
	return region
}
