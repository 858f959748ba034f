// Package e2e drives the real binary with real clients and real functions, from outside.
//
// The tests are behind the build tag e2e, so that "go test ./..." needs no more than Go. The
// README beside this file says how to run them and what they need.
package e2e
