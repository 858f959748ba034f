// Package cloudwatch is the front door of CloudWatch: it takes datapoints and alarms, answers
// statistics, and drives the metric machine of each account and region.
//
// The decisions are package metric's. A machine is stepped under its account's lock; what it
// wants done waits in a queue that one goroutine works off: closed periods go to the store once
// a minute in one commit, transitions of alarms to the catalogue, to the history and to the
// actions. The server's own datapoints come in by store.Recorder.
package cloudwatch
