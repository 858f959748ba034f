//go:build linux

package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// controllers are what a Host looks for.
var controllers = []string{"memory", "cpu", "cpuacct", "pids", "freezer"}

// A hierarchy is a mounted tree of groups.
type hierarchy struct {
	mount       string   // where it is mounted
	own         string   // directory of this process's group
	controllers []string // of version 1; empty for the unified one
}

// find reads the hierarchies from the texts of /proc/self/mountinfo and /proc/self/cgroup.
// The unified one is nil if it is not mounted.
func find(mountinfo, self string) (unified *hierarchy, v1 []hierarchy) {
	paths := ownPaths(self)
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		fields, super := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(super) < 3 {
			continue
		}
		root, mount := fields[3], unescape(fields[4])
		switch super[0] {
		case "cgroup2":
			if unified == nil {
				unified = &hierarchy{mount: mount, own: below(mount, root, paths[""])}
			}
		case "cgroup":
			var found []string
			for option := range strings.SplitSeq(super[2], ",") {
				if slices.Contains(controllers, option) {
					found = append(found, option)
				}
			}
			if len(found) > 0 {
				v1 = append(v1, hierarchy{mount, below(mount, root, paths[found[0]]), found})
			}
		}
	}
	return unified, v1
}

// ownPaths maps each controller to this process's group in its hierarchy; "" is the unified.
func ownPaths(self string) map[string]string {
	paths := make(map[string]string)
	for line := range strings.Lines(self) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for c := range strings.SplitSeq(parts[1], ",") {
			paths[c] = parts[2]
		}
	}
	return paths
}

// below returns where the group at path is found when the group at root is what is mounted.
func below(mount, root, path string) string {
	rest, ok := strings.CutPrefix(path, root)
	if root != "/" && (!ok || rest != "" && rest[0] != '/') {
		return mount
	}
	if root == "/" {
		rest = path
	}
	return filepath.Join(mount, rest)
}

// unescape undoes mountinfo's octal escapes of blanks.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

func readHost() (unified *hierarchy, v1 []hierarchy, err error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, nil, fmt.Errorf("cgroup: find hierarchies: %w", err)
	}
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, nil, fmt.Errorf("cgroup: find own groups: %w", err)
	}
	unified, v1 = find(string(mounts), string(self))
	return unified, v1, nil
}
