// Package logs is the front door of CloudWatch Logs: log groups, streams and events, filter
// patterns, subscription and metric filters, and live tail.
//
// The settings of a log group are records of the catalogue; its streams and events are in
// store/logs. What functions print comes in by OpenLog and never waits here. Every batch of
// events, from a function or from PutLogEvents, passes tell: it offers the events to the live
// tails and to the hook at once, and hands those of groups with filters to a goroutine.
package logs
