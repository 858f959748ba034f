package environment

import (
	"fmt"
	"os"
	"testing"
)

// buildDir is where tests build functions.
var buildDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "environment-test-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}
