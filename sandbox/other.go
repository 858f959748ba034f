//go:build !linux

package sandbox

// killStrays finds processes by their environment, which only Linux shows.
func killStrays(string) {}

// treeUsage needs Linux's /proc: elsewhere, what a process has used is known when it has ended.
func treeUsage(int) Usage { return Usage{} }

// maxRSSUnit is what a Rusage counts memory in, in bytes.
const maxRSSUnit = 1
