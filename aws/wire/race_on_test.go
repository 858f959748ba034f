//go:build race

package wire_test

// raceEnabled: the race detector makes sync.Pool forget, so allocations do not count.
const raceEnabled = true
