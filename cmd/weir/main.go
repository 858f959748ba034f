// Command weir runs AWS Lambda functions on your own machines, with Lambda's concurrency and
// scaling model intact.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // schedules name time zones, and a machine may have none

	"github.com/weir-run/weir/sandbox"
)

func main() {
	sandbox.Reexec()
	if os.Getenv(demoVariable) != "" {
		fmt.Fprintln(os.Stderr, demoFunction())
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	m := Main{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	os.Exit(m.Run(ctx))
}

// Main is one run of the program. Its fields are all that the program takes from outside.
type Main struct {
	Args   []string
	Stdin  io.Reader // only weir top reads it
	Stdout io.Writer
	Stderr io.Writer
}

const usage = `weir runs AWS Lambda functions on your own machines, with Lambda's concurrency and
scaling model intact. Any AWS SDK, CLI or IaC tool talks to it.

Usage:

	weir demo       show what it does, in half a minute, without set-up
	weir serve      start a server
	weir top        show live what a server does
	weir version    print the version

"weir COMMAND -h" describes a command.
`

// Run runs the command that Args name until it ends or ctx does, and returns the exit code:
// 0 for success, 1 for a failure, 2 for a command line that makes no sense.
func (m *Main) Run(ctx context.Context) int {
	commands := map[string]func(context.Context, []string) error{
		"serve":   m.serve,
		"demo":    m.demo,
		"top":     m.top,
		"version": m.version,
	}
	if len(m.Args) == 0 {
		fmt.Fprint(m.Stderr, usage)
		return 2
	}
	name := m.Args[0]
	if name == "help" || name == "-h" || name == "-help" || name == "--help" {
		fmt.Fprint(m.Stdout, usage)
		return 0
	}
	command, ok := commands[name]
	if !ok {
		fmt.Fprintf(m.Stderr, "weir: there is no command %q\n\n%s", name, usage)
		return 2
	}
	var misuse usageError
	switch err := command(ctx, m.Args[1:]); {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &misuse):
		fmt.Fprintf(m.Stderr, "weir %s: %v\n", name, err)
		return 2
	default:
		fmt.Fprintf(m.Stderr, "weir %s: %v\n", name, err)
		return 1
	}
}

// A usageError is a command line that makes no sense.
type usageError struct{ error }

// flags returns the flag set of a command; about describes it.
func (m *Main) flags(name, about string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(m.Stderr)
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "Usage: weir %s [flags]\n\n%s\n", name, about)
		f.PrintDefaults()
	}
	return f
}

// parse parses a command's flags; there are no further arguments.
func parse(f *flag.FlagSet, args []string) error {
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usageError{err}
	}
	if f.NArg() > 0 {
		return usageError{fmt.Errorf("what is %q?", f.Arg(0))}
	}
	return nil
}
