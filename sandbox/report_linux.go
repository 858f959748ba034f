//go:build amd64 || arm64

package sandbox

import "path/filepath"

// memoryPerCPU is how many megabytes of memory buy one CPU, as on AWS.
const memoryPerCPU = 1769

// describe says what this driver isolates on this host.
func (d *namespaceDriver) describe(reason string) Report {
	return Report{Mechanism: Namespace, Reason: reason}
}

func (d *namespaceDriver) etcDir() string { return filepath.Join(d.opts.Dir, "etc") }
