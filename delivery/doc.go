// Package delivery holds the machines that decide what happens to an event until it is
// settled.
//
// Async is the asynchronous life of an event: when it is tried, what a failure or a throttle
// means, when it is given up and why. Mapping is an event source mapping: how many pollers
// read a queue, how messages become batches, and what becomes of a batch.
//
// Both are pure, as admission is: inputs go into Step with the time at which they happen,
// effects come out. Neither knows an event's payload.
//
// # Promises
//
//  1. Total: any input in any state is legal; a stale one changes only the counter Stale.
//  2. Deterministic: the same inputs at the same times give the same effects.
//  3. Once: an event that the durable queue holds is in exactly one state (waiting, being
//     delivered, being disposed of, being moved, being settled), and ends by one Settle.
//  4. Patient: no event is tried before it is due, and none is given up but for one of the
//     conditions that its configuration names.
//  5. Fair: queues that have something due take turns; the length of one delays no other.
//  6. Tick-tolerant: a Tick that is late, merged or split changes no decision. Time never
//     runs backward.
//
// Memory is bounded: Async holds a window of each queue's earliest events and asks for more.
package delivery
