// Package environment runs one live execution environment of a function: a sandbox, the
// runtime in it and the Runtime API that the runtime talks to.
//
// A Host starts environments. An Environment boots in the background, says so (Ready), takes
// one invocation at a time (Invoke, then Idle) until it is closed or dies (Gone). Invoke never
// fails: a crash, a timeout, a missing bootstrap or an oversized response has an Outcome, with
// the payload and the log lines AWS gives it. A runtime that failed is started again inside the
// next invocation, in the same sandbox, so /tmp is kept (AWS: "suppressed init").
//
// The Runtime API is served by a small HTTP/1.1 server made for one client at a time. The
// goroutine inside Invoke writes the invocation straight to the connection that waits in
// GET …/invocation/next; the connection's own goroutine only reads. So an invocation costs one
// hand-over between goroutines, back with the response. weir's own bootstraps (runtimes/) send
// their response and the next GET in one write; the 202 for the response is then held back and
// sent together with the next invocation.
package environment
