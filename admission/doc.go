// Package admission is the machine that decides whether an invocation may run now, on
// which execution environment, or is throttled, and why.
//
// A Machine holds the concurrency of one account and region: the limit, the unreserved
// pool, reserved and provisioned concurrency, the scaling rate, and every execution
// environment by its state. Inputs go into Step with the time at which they happen; what
// must be done comes out as effects. The same machine decides in the live server, in the
// scripts under testdata and in simulation.
//
// # Promises
//
//  1. Total: any input in any state is legal. A stale one (Finished of an environment that
//     is gone) changes only the counter Stale.
//  2. Deterministic: the same inputs at the same times give the same effects.
//  3. Once: each arrival gets exactly one of Grant, Throttle, Fail or its own Cancel; each
//     Grant is ended by one Finished or Lost of its environment.
//  4. Conserving: the permits in use (environments booting or busy) never exceed a limit
//     because of an effect. A limit that is lowered below its use drains: nothing is
//     killed, and nothing new is granted until it fits. An environment is in one state.
//  5. Idle-free: no invocation waits for a boot while an idle on-demand environment of its
//     version exists, and none goes on demand while a provisioned one could take it. (Who
//     spilled over from provisioned concurrency stays on demand, as on AWS.)
//  6. Tick-tolerant: a Tick that is late, merged or split changes no decision, since every
//     Step first does what had fallen due. Time never runs backward.
//
// # Permits
//
// A permit is the right to hold one unit of concurrency. An on-demand environment holds
// one while it boots and while it is busy, an idle one holds none. The permits come from
// the function's reservation if it has one, else from the unreserved pool. Provisioned
// concurrency is charged as a whole, idle or not, to the same place; its environments
// need no permit of their own.
//
// # Waiting
//
// An invocation waits for a boot that was made for it or that nobody else waits for. It may
// also wait, for a few milliseconds, for an environment that has answered but has not asked
// for more: without that, calls one after the other would each find the one before still
// finishing.
package admission
