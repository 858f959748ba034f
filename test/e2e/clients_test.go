//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A kit is a set of AWS's clients in Python, of one age.
type kit struct {
	name     string
	bin      string // directory of aws and python3
	attempts int    // that its boto3 makes of a call that is throttled, by default
}

// kits are Debian's clients and the newest, where .ci/clients puts them.
var kits = []kit{
	{"old", from("WEIR_E2E_OLD", "/usr/bin"), 5},
	{"new", from("WEIR_E2E_NEW", filepath.Join(cache(), "venv", "bin")), 3},
}

func from(variable, otherwise string) string {
	if v := os.Getenv(variable); v != "" {
		return v
	}
	return otherwise
}

// cache is the directory that .ci/clients fills.
func cache() string {
	if dir := os.Getenv("WEIR_E2E_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "weir-e2e")
}

const clientLimit = 3 * time.Minute // for one script, of which some make dozens of calls

// command returns a command of a client that calls a server in an account.
func command(ctx context.Context, url, key, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, name, args...)
	c.Env = []string{
		"URL=" + url, "AWS_ACCESS_KEY_ID=" + key, "AWS_SECRET_ACCESS_KEY=any", "AWS_DEFAULT_REGION=" + region, "AWS_REGION=" + region,
		"AWS_PAGER=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true",
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LANG=C.UTF-8", "PYTHONUNBUFFERED=1",
	}
	return c
}

// An output is what a client printed.
type output struct{ out, err string }

func (o output) String() string { return fmt.Sprintf("%s\n-- on stderr:\n%s", o.out, o.err) }

// runClient runs a client to its end, which must be a success.
func runClient(t testing.TB, c *exec.Cmd) output {
	t.Helper()
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	o := output{out.String(), errs.String()}
	if err != nil {
		t.Fatalf("%v: %v\n%v", c.Args, err, o)
	}
	return o
}

// prelude makes the AWS CLI of a shell talk to the server.
const prelude = `aws() { command aws --endpoint-url "$URL" "$@"; }` + "\n"

// shell returns a shell that runs a script of AWS CLI commands. Like a person at a prompt, it goes
// on after one that fails.
func (k kit) shell(t testing.TB, ctx context.Context, url, key, script string, variables ...string) *exec.Cmd {
	t.Helper()
	tool := filepath.Join(k.bin, "aws")
	_, err := os.Stat(tool)
	need(t, err == nil, "the %s AWS CLI is not there (.ci/clients installs it): %v", k.name, err)
	c := command(ctx, url, key, "bash", "-c", prelude+script)
	c.Env = append(c.Env, variables...)
	c.Env = append(c.Env, "PATH="+k.bin+":"+os.Getenv("PATH"))
	return c
}

// python returns a command of the kit's Python.
func (k kit) python(t testing.TB, ctx context.Context, url, key string, args ...string) *exec.Cmd {
	t.Helper()
	tool := filepath.Join(k.bin, "python3")
	need(t, boto3(tool), "%s has no boto3 (.ci/clients installs it)", tool)
	return command(ctx, url, key, tool, args...)
}

var boto3s sync.Map // of interpreter to func() bool

// boto3 reports whether an interpreter has boto3.
func boto3(tool string) bool {
	f, _ := boto3s.LoadOrStore(tool, sync.OnceValue(func() bool {
		c := exec.Command(tool, "-c", "import boto3; print(boto3.__version__)")
		out, err := c.Output()
		if err == nil {
			fmt.Printf("e2e: %s has boto3 %s\n", tool, strings.TrimSpace(string(out)))
		}
		return err == nil
	}))
	return f.(func() bool)()
}
