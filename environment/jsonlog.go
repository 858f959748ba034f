package environment

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/weir-run/weir/lambda"
)

// A jsonLog is the log format JSON: Lambda's own lines are events as the Telemetry API has
// them, and both they and what the function prints are filtered by their level (AWS: "Working
// with Lambda function logs").
type jsonLog struct {
	app, system int // least levels that are logged
}

// logLevels are the levels from the least important on, each with its names in lower case.
var logLevels = [][]string{{"trace"}, {"debug"}, {"info", "information"}, {"warn", "warning"}, {"error"}, {"fatal", "critical"}}

// rank returns the place of a level among all; false if it is none.
func rank(level string) (int, bool) {
	i := slices.IndexFunc(logLevels, func(names []string) bool { return slices.Contains(names, strings.ToLower(level)) })
	return i, i >= 0
}

// newJSONLog returns the format of a version's log; nil is text.
func newJSONLog(v *lambda.Version) *jsonLog {
	if v.LogFormat != lambda.LogJSON {
		return nil
	}
	app, _ := rank(string(v.AppLogLevel))
	system, _ := rank(string(v.SysLogLevel))
	return &jsonLog{app, system}
}

const jsonTime = "2006-01-02T15:04:05.000Z"

// levelOf is the level of an event about something that ended.
func levelOf(status Status, success lambda.LogLevel) lambda.LogLevel {
	if status != Success {
		return lambda.LogWarn
	}
	return success
}

// appendEvent appends an event of the platform, if its level is logged.
func (j *jsonLog) appendEvent(b []byte, level lambda.LogLevel, kind string, record any) []byte {
	if at, _ := rank(string(level)); at < j.system {
		return b
	}
	text := mustJSON(struct {
		Time   string `json:"time"`
		Type   string `json:"type"`
		Record any    `json:"record"`
	}{time.Now().UTC().Format(jsonTime), kind, record})
	return append(append(b, text...), '\n')
}

// The records of the platform's events (AWS: "Lambda Telemetry API Event schema reference").
type (
	initStartRecord struct {
		InitializationType string `json:"initializationType"`
		Phase              string `json:"phase"`
		RuntimeVersion     string `json:"runtimeVersion"`
		RuntimeVersionARN  string `json:"runtimeVersionArn"`
		FunctionName       string `json:"functionName"`
		FunctionVersion    string `json:"functionVersion"`
	}
	initDoneRecord struct {
		InitializationType string `json:"initializationType"`
		Phase              string `json:"phase"`
		Status             Status `json:"status"`
		ErrorType          string `json:"errorType,omitempty"`
	}
	initReportRecord struct {
		initDoneRecord
		Metrics durationMetrics `json:"metrics"`
	}
	durationMetrics struct {
		DurationMs float64 `json:"durationMs"`
	}
	startRecord struct {
		RequestID string `json:"requestId"`
		Version   string `json:"version"`
	}
	runtimeDoneRecord struct {
		RequestID string          `json:"requestId"`
		Status    Status          `json:"status"`
		ErrorType string          `json:"errorType,omitempty"`
		Metrics   durationMetrics `json:"metrics"`
	}
	reportRecord struct {
		RequestID string        `json:"requestId"`
		Metrics   reportMetrics `json:"metrics"`
		Status    Status        `json:"status"`
		ErrorType string        `json:"errorType,omitempty"`
	}
	reportMetrics struct {
		DurationMs       float64 `json:"durationMs"`
		BilledDurationMs int64   `json:"billedDurationMs"`
		MemorySizeMB     int     `json:"memorySizeMB"`
		MaxMemoryUsedMB  int     `json:"maxMemoryUsedMB"`
		InitDurationMs   float64 `json:"initDurationMs,omitempty"`
	}
)

// milliseconds is a duration with three decimals.
func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}

// appendEnd appends the events of the end of an invocation.
func (j *jsonLog) appendEnd(b []byte, r *Report, memoryMB int) []byte {
	b = j.appendEvent(b, levelOf(r.Status, lambda.LogDebug), "platform.runtimeDone", runtimeDoneRecord{
		r.RequestID, r.Status, r.ErrorType, durationMetrics{milliseconds(r.Duration)},
	})
	return j.appendEvent(b, levelOf(r.Status, lambda.LogInfo), "platform.report", reportRecord{
		RequestID: r.RequestID, Status: r.Status, ErrorType: r.ErrorType,
		Metrics: reportMetrics{
			DurationMs: milliseconds(r.Duration), BilledDurationMs: r.Billed.Milliseconds(), MemorySizeMB: memoryMB,
			MaxMemoryUsedMB: r.MaxMemoryMB, InitDurationMs: milliseconds(r.InitDuration),
		},
	})
}

// appendInit appends the events of the end of INIT.
func (j *jsonLog) appendInit(b []byte, d initDoneRecord, took time.Duration) []byte {
	b = j.appendEvent(b, levelOf(d.Status, lambda.LogDebug), "platform.initRuntimeDone", d)
	level := lambda.LogInfo
	if d.InitializationType == onDemand {
		level = lambda.LogDebug
	}
	return j.appendEvent(b, levelOf(d.Status, level), "platform.initReport", initReportRecord{d, durationMetrics{milliseconds(took)}})
}

// appendOutput appends lines that the function printed. One that is a JSON object is dropped if
// its level is not logged; without a level, or without a time, it is INFO and gets what it
// lacks. Other lines stay as they are: AWS filters none of them.
func (j *jsonLog) appendOutput(b, lines []byte) []byte {
	for len(lines) > 0 {
		n := bytes.IndexByte(lines, '\n') + 1
		if n == 0 {
			n = len(lines)
		}
		b = j.appendLine(b, lines[:n])
		lines = lines[n:]
	}
	return b
}

func (j *jsonLog) appendLine(b, line []byte) []byte {
	text := bytes.TrimSpace(line)
	var entry map[string]json.RawMessage
	if len(text) == 0 || text[0] != '{' || json.Unmarshal(text, &entry) != nil {
		return append(b, line...)
	}
	var level string
	at, ok := 0, false
	if json.Unmarshal(entry["level"], &level) == nil {
		at, ok = rank(level)
	}
	timed := hasTime(entry)
	if !ok || !timed {
		at, _ = rank(string(lambda.LogInfo))
	}
	if at < j.app {
		return b
	}
	if ok && timed {
		return append(b, line...)
	}
	b = append(b, '{')
	if !timed && entry["timestamp"] == nil {
		b = time.Now().UTC().AppendFormat(b, `"timestamp":"`+jsonTime+`",`)
	}
	if entry["level"] == nil {
		b = append(b, `"level":"INFO",`...)
	}
	if len(entry) == 0 {
		b = bytes.TrimSuffix(b, []byte{','})
	}
	return append(append(b, text[1:]...), '\n')
}

// hasTime reports whether an entry says when it was written, under one of the names that the
// runtimes use.
func hasTime(entry map[string]json.RawMessage) bool {
	for _, name := range []string{"timestamp", "time", "@timestamp"} {
		var text string
		if json.Unmarshal(entry[name], &text) != nil {
			continue
		}
		if _, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return true
		}
	}
	return false
}
