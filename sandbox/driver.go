package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// A Mechanism is a way to isolate a process tree.
type Mechanism string

// Mechanisms, and the choice among them.
const (
	Auto      Mechanism = "auto"      // the strongest that works here
	Namespace Mechanism = "namespace" // Linux namespaces, control groups and seccomp
	Process   Mechanism = "process"   // plain processes: nothing is isolated
)

// Options say how a Driver works. The zero value of each field but Dir is usable.
type Options struct {
	Mechanism Mechanism // default Auto

	// Dir is where the driver keeps what must be on disk, such as each sandbox's /tmp. It
	// is made if missing and belongs to one driver at a time.
	Dir string

	Egress Egress       // for a Spec that names none; default EgressNone
	Pool   Pool         // default: nothing is made in advance
	Logger *slog.Logger // default: discard
}

// A Pool says how many sandboxes are made in advance. Between its bounds the number follows
// the demand of the last seconds. Only the namespace driver has a pool, and only for Specs of
// the default Egress.
type Pool struct {
	// ReadyMin to ReadyMax sandboxes wait for any command, at 0.5 MB each.
	ReadyMin, ReadyMax int

	// PrebootMin to PrebootMax sandboxes of each Preboot.Key wait with their process started.
	PrebootMin, PrebootMax int

	// Preboot lists what is known before the first Start asks for it.
	Preboot []Preboot
}

// A Driver makes sandboxes by one mechanism.
type Driver interface {
	// Start makes a sandbox and starts its command. A command that cannot be run at all is
	// not an error of Start: it is the first Exit.
	Start(context.Context, Spec) (Sandbox, error)

	Report() Report

	// Close closes every sandbox and waits for the last. It is idempotent.
	Close() error
}

// A Report says in plain words what a Driver isolates.
type Report struct {
	Mechanism Mechanism
	Reason    string   // why this mechanism
	Isolated  []string // what a sandbox cannot see, reach or exhaust
	Exposed   []string // what it can
}

// String returns the report as one line.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "isolation by %s (%s)", r.Mechanism, r.Reason)
	if len(r.Isolated) > 0 {
		fmt.Fprintf(&b, "; isolated: %s", strings.Join(r.Isolated, ", "))
	}
	if len(r.Exposed) > 0 {
		fmt.Fprintf(&b, "; NOT isolated: %s", strings.Join(r.Exposed, ", "))
	}
	return b.String()
}

// ErrClosed is what a closed sandbox or driver answers.
var ErrClosed = errors.New("sandbox: closed")

// Open returns a driver of the mechanism asked for, after removing what an earlier one left
// in o.Dir.
func Open(o Options) (Driver, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Egress == "" {
		o.Egress = EgressNone
	}
	if err := o.Egress.valid(); err != nil {
		return nil, err
	}
	if o.Dir == "" {
		return nil, errors.New("sandbox: no scratch directory given")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("sandbox: resolve scratch directory: %w", err)
	}
	o.Dir = dir
	switch o.Mechanism {
	case Process:
		return openProcess(o, "asked for")
	case Namespace:
		return openNamespace(o, "asked for")
	case Auto, "":
		d, err := openNamespace(o, "the strongest that works here")
		if err == nil {
			return d, nil
		}
		return openProcess(o, fmt.Sprintf("namespaces do not work here: %v", err))
	}
	return nil, fmt.Errorf("sandbox: unknown mechanism %q (auto, namespace or process)", o.Mechanism)
}

func (e Egress) valid() error {
	switch e {
	case EgressNone, EgressNAT, EgressHost:
		return nil
	}
	return fmt.Errorf("sandbox: unknown egress %q (none, nat or host)", e)
}

// prepare checks a Spec and fills in its defaults.
func (o *Options) prepare(s *Spec) error {
	if s.Egress == "" {
		s.Egress = o.Egress
	}
	if err := s.Egress.valid(); err != nil {
		return err
	}
	if s.MemoryMB <= 0 || s.EphemeralMB <= 0 {
		return fmt.Errorf("sandbox: memory of %d MB, /tmp of %d MB: both must be positive", s.MemoryMB, s.EphemeralMB)
	}
	if err := checkCommand(s.Command, s.Env); err != nil {
		return err
	}
	if err := checkDirs(s.Code, s.Opt, s.Runtime, s.Lang); err != nil {
		return err
	}
	if s.Preboot == nil {
		return nil
	}
	return s.Preboot.check()
}

func (b *Preboot) check() error {
	if b.Key == "" {
		return errors.New("sandbox: preboot without a key")
	}
	if err := checkCommand(b.Command, b.Env); err != nil {
		return fmt.Errorf("preboot: %w", err)
	}
	return checkDirs(b.Runtime, b.Lang)
}

func checkCommand(command, env []string) error {
	if len(command) == 0 || !filepath.IsAbs(command[0]) {
		return fmt.Errorf("sandbox: command %q is not an absolute path", command)
	}
	for _, arg := range command {
		if strings.IndexByte(arg, 0) >= 0 {
			return fmt.Errorf("sandbox: NUL byte in command %q", command)
		}
	}
	for _, kv := range env {
		if strings.IndexByte(kv, '=') < 1 || strings.IndexByte(kv, 0) >= 0 {
			return fmt.Errorf("sandbox: environment variable %q is not KEY=VALUE", kv)
		}
	}
	return nil
}

func checkDirs(dirs ...string) error {
	for _, d := range dirs {
		if d != "" && !filepath.IsAbs(d) {
			return fmt.Errorf("sandbox: directory %q is not an absolute path", d)
		}
	}
	return nil
}

// lockDir makes dir and takes it for this process: two drivers would remove each other's
// sandboxes. The lock ends with the returned file.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("sandbox: make scratch directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sandbox: lock scratch directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("sandbox: scratch directory %s is used by another driver: %w", dir, err)
	}
	return f, nil
}
