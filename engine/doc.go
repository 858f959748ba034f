// Package engine is the shell around the machines: it feeds them what happens and performs
// what they decide.
//
// An Engine has one pool for each account and region. A pool owns an admission.Machine
// behind its mutex; under it a step is taken and its effects are handed on (a buffered
// send, a new goroutine), nothing else. The pool learns functions, versions, aliases and
// limits from the catalogue, in the order of its commits; it boots, invokes and closes
// execution environments.
package engine
