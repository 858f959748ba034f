//go:build linux

package sandbox

// threadPointer returns the address of what the calling thread has to itself.
func threadPointer() uintptr
