// Package metric is the machine that turns datapoints into statistics, statistics into alarms
// and alarms into scaling decisions.
//
// A Machine holds one account and region: the periods that are not yet handed to the store,
// what the alarms look back on, and the alarms. Datapoints go into Step, as values or as sets
// of them; once a minute closed periods and the transitions of alarms come out. Beside it
// stand pure functions: the statistics of a set (Stat), metric math and SEARCH (Expression),
// target tracking and step scaling (scaling.go).
//
// Times are nanoseconds since 1970, since periods are aligned to the calendar.
//
// # Promises
//
//  1. Total: any input in any state is legal. A stale one (the state of an alarm that is gone)
//     changes only the counter Stale.
//  2. Deterministic: the same inputs at the same times give the same effects, byte for byte.
//  3. Conserving: every datapoint is in exactly one closed period per resolution, or open.
//  4. Once: an alarm makes one Transition per change of its state, and none else.
//  5. Bounded: memory is one statistic set per metric and period that is open, plus what
//     alarms look back on. A metric that is silent and not watched costs nothing.
//  6. Tick-tolerant: a Tick that is late, merged or split changes no decision: every minute
//     boundary passed is evaluated as of itself. Time never runs backward.
//
// # Periods
//
// A standard metric is kept by the minute, one of high resolution by the second as well. An
// alarm looks at a window that slides by its evaluation: each minute, for periods under a
// minute every ten seconds, for windows over a day each hour. A boundary is evaluated Lag
// after it, so that what was measured just before is counted.
package metric
