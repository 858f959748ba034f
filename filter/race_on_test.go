//go:build race

package filter

// raceEnabled: the race detector makes encoding/json forget its scanners, so allocations do not count.
const raceEnabled = true
