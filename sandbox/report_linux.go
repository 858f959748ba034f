//go:build amd64 || arm64

package sandbox

import "fmt"

// describe says what this driver isolates on this host.
func (d *namespaceDriver) describe(reason string) Report {
	r := Report{Mechanism: Namespace, Reason: reason}
	isolated := func(what string, args ...any) { r.Isolated = append(r.Isolated, fmt.Sprintf(what, args...)) }
	exposed := func(what string, args ...any) { r.Exposed = append(r.Exposed, fmt.Sprintf(what, args...)) }
	either := func(has bool, yes, no string) {
		if has {
			isolated("%s", yes)
		} else {
			exposed("%s", no)
		}
	}
	isolated("files (read-only system directories, the function's own code and a private /tmp)")
	isolated("processes, IPC and host name")
	isolated("privileges (no capabilities, no_new_privs, a filter of system calls)")
	switch d.opts.Egress {
	case EgressNone:
		isolated("network (the server's endpoints only, unless a function is configured otherwise)")
	case EgressNAT:
		isolated("network (a private address, outbound connections by masquerading)")
	case EgressHost:
		exposed("network: functions share the host's and reach each other's Runtime API")
	}
	either(!d.user, "user (each sandbox has a user id of the host to itself)",
		"user: without root all sandboxes run as the server's own user, in a user namespace")
	either(d.groups.Has("memory"), "memory (a limit, swap included)", "memory is not limited: no memory controller can be used")
	either(d.groups.Has("cpu"), fmt.Sprintf("CPU (%d MB buy one)", memoryPerCPU), "CPU is not shared out: no cpu controller can be used")
	if d.groups.Has("pids") {
		isolated("number of processes (%d)", maxProcesses)
	} else if d.user {
		exposed("number of processes: all sandboxes together have %d", maxProcesses)
	}
	either(d.volumes != nil, "size of /tmp", fmt.Sprintf("size of /tmp is not enforced, and more than %d MB are refused", defaultEphemeralMB))
	if !d.groups.Has("freezer") {
		exposed("idle functions are stopped by signals, which they can notice")
	}
	exposed("the host's kernel, page cache and disk bandwidth are shared")
	return r
}
