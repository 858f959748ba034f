package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version prints the program's version.
func (m *Main) version(_ context.Context, args []string) error {
	f := m.flags("version", "Prints the version of weir and of the Go that built it.\n")
	if err := parse(f, args); err != nil {
		return err
	}
	_, err := fmt.Fprintf(m.Stdout, "weir %s, %s %s/%s\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// versionText is the module's version, or the commit it was built from.
func versionText() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && info.Main.Version == "(devel)" {
			return "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	return info.Main.Version
}
