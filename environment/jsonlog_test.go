package environment

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-run/weir/lambda"
)

// jsonStream returns a stream with the format JSON.
func jsonStream(app, system lambda.LogLevel) (*stream, *logStream) {
	s, out := newTestStream()
	s.json = newJSONLog(&lambda.Version{LogFormat: lambda.LogJSON, AppLogLevel: app, SysLogLevel: system})
	return s, out
}

// The platform's events and their levels (AWS: "System log level event mapping").
func TestJSONEvents(t *testing.T) {
	const (
		stamp   = `{"time":"2000-01-01T00:00:00.000Z","type":"platform.`
		start   = stamp + `start","record":{"requestId":"r","version":"7"}}`
		done    = stamp + `runtimeDone","record":{"requestId":"r","status":"success","metrics":{"durationMs":3.01}}}`
		report  = stamp + `report","record":{"requestId":"r","metrics":{"durationMs":3.01,"billedDurationMs":114,"memorySizeMB":128,"maxMemoryUsedMB":36,"initDurationMs":110.1},"status":"success"}}`
		failed  = stamp + `runtimeDone","record":{"requestId":"r","status":"error","errorType":"Runtime.ExitError","metrics":{"durationMs":1}}}`
		failure = stamp + `report","record":{"requestId":"r","metrics":{"durationMs":1,"billedDurationMs":1,"memorySizeMB":128,"maxMemoryUsedMB":0},"status":"error","errorType":"Runtime.ExitError"}}`
		fault   = stamp + `fault","record":"RequestId: r Error: x\nRuntime.ExitError"}`
		initEnd = stamp + `initRuntimeDone","record":{"initializationType":"on-demand","phase":"init","status":"success"}}`
		initRep = stamp + `initReport","record":{"initializationType":"on-demand","phase":"init","status":"success","metrics":{"durationMs":5}}}`
	)
	ms := time.Millisecond
	for system, want := range map[lambda.LogLevel][]string{
		lambda.LogDebug: {initEnd, initRep, start, done, report, fault, failed, failure},
		lambda.LogInfo:  {start, report, fault, failed, failure},
		lambda.LogWarn:  {fault, failed, failure},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, out := jsonStream(lambda.LogInfo, system)
			s.initReport(5*ms, "init", Success, "")
			s.start("r", "7")
			s.end(&Report{RequestID: "r", Duration: 3010 * time.Microsecond, Billed: 114 * ms, MaxMemoryMB: 36, InitDuration: 110100 * time.Microsecond, Status: Success}, 128)
			s.fault([]string{"RequestId: r Error: x", "Runtime.ExitError"})
			s.end(&Report{RequestID: "r", Duration: ms, Billed: ms, Status: Failed, ErrorType: "Runtime.ExitError"}, 128)
			if got := out.b.String(); got != strings.Join(want, "\n")+"\n" {
				t.Errorf("%s:\n%s\nwant\n%s", system, got, strings.Join(want, "\n"))
			}
		})
	}
}

// What a function prints is filtered by the level in it; what is no JSON object is not.
func TestJSONOutput(t *testing.T) {
	const at = `"timestamp":"2026-11-21T05:00:00Z"`
	for _, row := range []struct {
		level      lambda.LogLevel
		line, want string
	}{
		{lambda.LogInfo, `{"level":"debug",` + at + `}`, ""},
		{lambda.LogDebug, `{"level":"debug",` + at + `}`, `{"level":"debug",` + at + `}`},
		{lambda.LogWarn, `{"level":"WARNING",` + at + `}`, `{"level":"WARNING",` + at + `}`},
		{lambda.LogError, `{"level":"WARN",` + at + `}`, ""},
		{lambda.LogFatal, `{"level":"critical",` + at + `}`, `{"level":"critical",` + at + `}`},
		{lambda.LogInfo, `{"level":"what",` + at + `}`, `{"level":"what",` + at + `}`},
		{lambda.LogWarn, `{"level":"what",` + at + `}`, ""},
		{lambda.LogInfo, `{` + at + `}`, `{"level":"INFO",` + at + `}`},
		{lambda.LogInfo, `{"level":"ERROR"}`, `{"timestamp":"2000-01-01T00:00:00.000Z","level":"ERROR"}`},
		{lambda.LogWarn, `{"level":"ERROR"}`, ""}, // without a time it is INFO
		{lambda.LogInfo, `{}`, `{"timestamp":"2000-01-01T00:00:00.000Z","level":"INFO"}`},
		{lambda.LogFatal, `plain text`, `plain text`},
		{lambda.LogFatal, `{not JSON}`, `{not JSON}`},
		{lambda.LogFatal, `[1]`, `[1]`},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, out := jsonStream(row.level, lambda.LogInfo)
			half := len(row.line) / 2
			s.output([]byte(row.line[:half]))
			s.output([]byte(row.line[half:] + "\n"))
			s.flush()
			if got := strings.TrimSuffix(out.b.String(), "\n"); got != row.want {
				t.Errorf("%s: %s is logged as %s, want %s", row.level, row.line, got, row.want)
			}
		})
	}
}

// Any output is taken over without a panic, and ends with a line end.
func FuzzJSONOutput(f *testing.F) {
	f.Add([]byte("{\"level\":\"INFO\"}\nplain\n{}"))
	f.Add([]byte("{ }\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, out := jsonStream(lambda.LogInfo, lambda.LogInfo)
		s.output(text)
		s.close()
		if got := out.b.Bytes(); len(got) > 0 && got[len(got)-1] != '\n' {
			t.Errorf("%q", got)
		}
	})
}
