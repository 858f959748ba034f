// Package filter decides which events AWS's event patterns match.
//
// A pattern is compiled once, in the dialect of the service that it was given to, and
// matched often, without allocating in the usual case. The time of a match is bounded by
// the product of the event's size and the pattern's; no pattern makes it exponential.
package filter
