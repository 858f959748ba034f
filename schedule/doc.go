// Package schedule computes when AWS's schedule expressions fall due: cron(…), rate(…) and at(…).
//
// A cron expression has the fields minutes, hours, day of the month, month, day of the week and
// year, in Quartz's grammar with AWS's rules: Sunday is 1, exactly one of the two days is "?",
// L, W and # are understood. It is read in a time zone as a wall clock is: a time that a change
// to summer time leaves out does not happen, one that the change back repeats happens once, the
// first time (EventBridge Scheduler: "Daylight savings time").
//
// The package is pure: it knows no current time, and zones are given to it.
package schedule
