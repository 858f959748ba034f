package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// A ledger is a file in which invocations write down what they are given, one line for each
// event, message of a queue or notification of a topic. The variables LEDGER, MS, TALLY and
// PARTIAL say where, how long to work, where to count, and to report single messages of a
// queue as failed.
type ledger struct {
	file    *os.File
	partial bool
	event   event // how to work
}

// A Line is one line of a ledger.
type Line struct {
	Kind     string // "event", "sqs" or "sns"
	Text     string // the event, or the body of the message
	ID       string // of the message
	Group    string // of the message
	Receives int    // of the message
	Request  string
	At       int64 // nanoseconds of Unix time
	Function string
}

// openLedger returns the ledger that the environment names, or nil.
func openLedger() (*ledger, error) {
	path, ok := strings.CutPrefix(os.Getenv("LEDGER"), "at=") // a bare path of /tmp would be the sandbox's own
	if !ok {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	l := &ledger{file: f, partial: os.Getenv("PARTIAL") != "", event: event{Tally: strings.TrimPrefix(os.Getenv("TALLY"), "at=")}}
	if ms := os.Getenv("MS"); ms != "" {
		if l.event.MS, err = strconv.Atoi(ms); err != nil {
			return nil, fmt.Errorf("MS: %w", err)
		}
	}
	return l, nil
}

// An order is what a message tells the function to do.
type order struct {
	Fail bool
	MS   int
}

// keep writes down an invocation, does what it is told, and returns the function's answer, or
// what it fails with.
func (l *ledger) keep(request string, body []byte) (answer []byte, failure string, err error) {
	lines := read(body)
	var text []byte
	var failed []map[string]string
	e := l.event
	for i := range lines {
		line := &lines[i]
		line.Request, line.At, line.Function = request, time.Now().UnixNano(), os.Getenv("AWS_LAMBDA_FUNCTION_NAME")
		one, err := json.Marshal(line)
		if err != nil {
			return nil, "", err
		}
		text = append(append(text, one...), '\n')
		var o order
		if json.Unmarshal([]byte(line.Text), &o) == nil && o.Fail {
			failed = append(failed, map[string]string{"itemIdentifier": line.ID})
		}
		e.MS += o.MS
	}
	if _, err := l.file.Write(text); err != nil {
		return nil, "", fmt.Errorf("write the ledger: %w", err)
	}
	if err := work(e); err != nil {
		return nil, "", err
	}
	switch {
	case l.partial && lines[0].Kind == "sqs":
		answer, err = json.Marshal(map[string]any{"batchItemFailures": failed})
	case len(failed) > 0:
		failure = fmt.Sprintf(`{"errorType": "Told", "errorMessage": "%d failed as told"}`, len(failed))
	default:
		answer = []byte(`{}`)
	}
	return answer, failure, err
}

// read finds in an event what it brings.
func read(body []byte) []Line {
	var batch struct {
		Records []struct {
			MessageID, Body string
			Attributes      struct{ ApproximateReceiveCount, MessageGroupID string }
			SNS             *struct{ MessageID, Message string }
		}
	}
	if err := json.Unmarshal(body, &batch); err != nil || len(batch.Records) == 0 {
		return []Line{{Kind: "event", Text: string(body)}}
	}
	var lines []Line
	for _, r := range batch.Records {
		if r.SNS != nil {
			lines = append(lines, Line{Kind: "sns", Text: r.SNS.Message, ID: r.SNS.MessageID})
			continue
		}
		n, _ := strconv.Atoi(r.Attributes.ApproximateReceiveCount)
		lines = append(lines, Line{Kind: "sqs", Text: r.Body, ID: r.MessageID, Group: r.Attributes.MessageGroupID, Receives: n})
	}
	return lines
}
