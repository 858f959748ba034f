//go:build !linux || (!amd64 && !arm64)

package sandbox

import "errors"

// Reexec takes the process over, and does not return, if it was started as a driver's helper.
// No driver has one here.
func Reexec() {}

func openNamespace(Options, string) (Driver, error) {
	return nil, errors.New("sandbox: namespaces need Linux on amd64 or arm64")
}
