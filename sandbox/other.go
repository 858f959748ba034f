//go:build !linux

package sandbox

import "time"

// killStrays finds processes by their environment, which only Linux shows.
func killStrays(string) {}

func peakMemory(int) int64 { return 0 }

func cpuTime(int) time.Duration { return 0 }

// maxRSSUnit is what a Rusage counts memory in, in bytes.
const maxRSSUnit = 1
