// Package cgroup limits, measures, freezes and kills groups of processes with Linux control
// groups.
//
// A controller may live in a version 1 hierarchy of its own or in the unified hierarchy of
// version 2, and one host may have both: each is looked for by itself, there is no mode.
// Freezing and killing prefer the unified hierarchy even if it has no controller: there a
// frozen process can be killed.
//
// Processes are never moved into a group by writing cgroup.procs, which waits for an RCU
// grace period (7 ms, 27 ms at worst): they are created in the unified group, and in the
// groups of version 1 a single thread that moves only itself does not wait (Group.Seats).
package cgroup
