//go:build amd64 || arm64

package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/weir-run/weir/sandbox/cgroup"
)

const (
	// defaultEphemeralMB is the size of /tmp that every function has at least.
	defaultEphemeralMB = 512

	// userModeID is the user and group id inside the sandboxes of an unprivileged server.
	userModeID = 993

	// lastKnownCap is the last capability that every kernel this driver needs has.
	lastKnownCap = unix.CAP_CHECKPOINT_RESTORE
)

// namespaceDriver makes sandboxes of Linux namespaces.
type namespaceDriver struct {
	opts    Options
	user    bool // without root: a user namespace holds everything
	lock    *os.File
	groups  *cgroup.Host
	etc     sync.Mutex // held while a directory of ownEtc is made
	pools   *pools
	users   *users   // nil without root
	volumes *volumes // nil if /tmp is a plain directory
	name    string   // of groups and of the nat, for this Dir only
	report  Report

	watchers sync.WaitGroup // one for each spawner

	out struct {
		sync.Mutex
		nat *nat // nil until it is asked for
	}

	mu struct {
		sync.Mutex
		closed bool
		next   uint64
		link   *link
		live   map[*namespaceSandbox]struct{}
	}
}

func openNamespace(o Options, reason string) (Driver, error) {
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	d := &namespaceDriver{opts: o, user: os.Geteuid() != 0, lock: lock}
	d.mu.live = make(map[*namespaceSandbox]struct{})
	if err := d.open(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.report = d.describe(reason)
	return d, nil
}

// open removes what an earlier driver left, and tries everything out once.
func (d *namespaceDriver) open() error {
	sum := sha256.Sum256([]byte(d.opts.Dir))
	var err error
	d.name = "weir-" + hex.EncodeToString(sum[:4])
	if d.groups, err = cgroup.Open(d.name); err != nil {
		return err
	}
	for _, dir := range []string{"root", "etc", "tmp", "volumes"} {
		path := filepath.Join(d.opts.Dir, dir)
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("sandbox: empty scratch directory: %w", err)
		}
		if err := os.Mkdir(path, 0o755); err != nil {
			return fmt.Errorf("sandbox: prepare scratch directory: %w", err)
		}
	}
	if !d.user {
		if d.users, err = openUsers(binary.BigEndian.Uint32(sum[4:])); err != nil {
			return err
		}
		if d.volumes, err = openVolumes(filepath.Join(d.opts.Dir, "volumes")); err != nil {
			d.opts.Logger.Warn("sandbox: the size of /tmp cannot be enforced", "error", err)
		}
	}
	trial, err := d.make(Spec{Name: "trial", EphemeralMB: defaultEphemeralMB, Egress: EgressNone}, nil)
	if err != nil {
		return err
	}
	if err := trial.Close(); err != nil {
		return err
	}
	for _, b := range d.opts.Pool.Preboot {
		if err := b.check(); err != nil {
			return err
		}
	}
	if d.opts.Egress == EgressNAT {
		if _, err := d.nat(); err != nil {
			return err
		}
	}
	d.pools = openPools(d)
	return nil
}

// spawner returns the link to the running spawner, which it starts if there is none.
func (d *namespaceDriver) spawner() (*link, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.closed {
		return nil, ErrClosed
	}
	if l := d.mu.link; l != nil && !l.ended() {
		return l, nil
	}
	l, err := startSpawner(setupRequest{
		Root:     filepath.Join(d.opts.Dir, "root"),
		User:     d.user,
		Freezers: d.groups.Freezers(),
	}, d.opts.Logger)
	if err != nil {
		return nil, err
	}
	d.mu.link = l
	d.watchers.Go(func() { d.watch(l) })
	return l, nil
}

// watch ends the sandboxes of a spawner that has ended: their namespaces cannot be entered any
// more. The next sandbox is made by a new spawner.
func (d *namespaceDriver) watch(l *link) {
	<-l.gone
	var orphans []*namespaceSandbox
	d.mu.Lock()
	if !d.mu.closed {
		d.opts.Logger.Error("sandbox: the spawner has ended; its sandboxes are killed")
	}
	for s := range d.mu.live {
		if s.link == l {
			orphans = append(orphans, s)
		}
	}
	d.mu.Unlock()
	for _, s := range orphans {
		if err := s.killLost(); err != nil {
			d.opts.Logger.Error("sandbox: kill a lost sandbox", "error", err)
		}
	}
}

func (d *namespaceDriver) Report() Report { return d.report }

func (d *namespaceDriver) Start(ctx context.Context, spec Spec) (Sandbox, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := d.prepare(&spec); err != nil {
		return nil, err
	}
	s := d.pools.take(&spec)
	defer d.pools.started()
	if s != nil {
		err := s.assign(spec)
		if err == nil {
			return s, nil
		}
		// What is wrong with the Spec will show again.
		d.opts.Logger.Warn("sandbox: assign an idle sandbox", "error", errors.Join(err, s.Close()))
	}
	return d.make(spec, &order{command: spec.Command, env: spec.Env, dir: taskDir})
}

// make makes a sandbox that carries out the order, or awaits it if that is nil.
func (d *namespaceDriver) make(spec Spec, o *order) (*namespaceSandbox, error) {
	s, err := d.newSandbox(spec)
	if err != nil {
		return nil, err
	}
	if err := s.start(o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// makeIdle makes a sandbox to be assigned later, with a prebooted process if b is not nil.
func (d *namespaceDriver) makeIdle(b *Preboot) (*namespaceSandbox, error) {
	spec := Spec{Name: "idle", EphemeralMB: defaultEphemeralMB, Egress: d.opts.Egress}
	if b == nil {
		return d.make(spec, nil)
	}
	spec.Runtime, spec.Lang = b.Runtime, b.Lang
	pipe, assignment, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("sandbox: make assignment pipe: %w", err)
	}
	defer pipe.Close()
	s, err := d.make(spec, &order{command: b.Command, env: b.Env, dir: "/", pipe: pipe})
	if err != nil {
		assignment.Close()
		return nil, err
	}
	s.assignment = assignment
	return s, nil
}

// prepare checks a Spec against what this driver can do.
func (d *namespaceDriver) prepare(spec *Spec) error {
	if err := d.opts.prepare(spec); err != nil {
		return err
	}
	if d.volumes == nil && spec.EphemeralMB > defaultEphemeralMB {
		return fmt.Errorf("sandbox: /tmp of %d MB: more than %d MB needs loop devices and mkfs.ext4, which this host does not give",
			spec.EphemeralMB, defaultEphemeralMB)
	}
	if spec.Egress == EgressNAT {
		if _, err := d.nat(); err != nil {
			return err
		}
	}
	for _, dir := range []string{spec.Code, spec.Opt} {
		for _, system := range systemDirs {
			if dir == system || strings.HasPrefix(dir, system+"/") {
				return fmt.Errorf("sandbox: %s is inside %s, which every sandbox sees", dir, system)
			}
		}
	}
	o := order{command: spec.Command, env: spec.Env}
	if n := len(o.encode()); n > maxOrder-1024 { // the driver adds to it
		return fmt.Errorf("sandbox: command and environment of %d bytes, %d at most", n, maxOrder-1024)
	}
	return nil
}

// nat returns the way out, which the first that asks makes.
func (d *namespaceDriver) nat() (*nat, error) {
	if d.user {
		return nil, errors.New("sandbox: egress nat needs root, to make a bridge and rules of nftables")
	}
	d.out.Lock()
	defer d.out.Unlock()
	var err error
	if d.out.nat == nil {
		d.out.nat, err = openNAT(d.name)
	}
	return d.out.nat, err
}

// binds lists what a Spec shows.
func (s *Spec) binds() []bind {
	var binds []bind
	for _, b := range []bind{
		{From: s.Code, To: taskDir}, {From: s.Opt, To: "/opt"}, {From: s.Runtime, To: runtimeDir}, {From: s.Lang, To: langDir},
	} {
		if b.From != "" {
			binds = append(binds, b)
		}
	}
	return binds
}

// Close closes every sandbox, and the spawner.
func (d *namespaceDriver) Close() error {
	d.mu.Lock()
	if d.mu.closed {
		d.mu.Unlock()
		return nil
	}
	d.mu.closed = true
	l := d.mu.link
	live := make([]*namespaceSandbox, 0, len(d.mu.live))
	for s := range d.mu.live {
		live = append(live, s)
	}
	d.mu.Unlock()
	if d.pools != nil {
		d.pools.close()
	}
	var wg sync.WaitGroup
	errs := make([]error, len(live))
	for i, s := range live {
		wg.Go(func() { errs[i] = s.Close() })
	}
	wg.Wait()
	if l != nil {
		l.close()
	}
	d.watchers.Wait()
	if d.volumes != nil {
		d.volumes.close()
	}
	if d.groups != nil {
		errs = append(errs, d.groups.Close())
	}
	if d.out.nat != nil {
		errs = append(errs, d.out.nat.close())
	}
	if d.users != nil {
		errs = append(errs, d.users.close())
	}
	return errors.Join(append(errs, d.lock.Close())...)
}

// take enters a new sandbox and gives it a number and a user.
func (d *namespaceDriver) take(s *namespaceSandbox) error {
	s.uid = userModeID
	if d.users != nil {
		uid, err := d.users.take()
		if err != nil {
			return err
		}
		s.uid = uid
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.closed {
		return ErrClosed
	}
	d.mu.next++
	s.id = d.mu.next
	d.mu.live[s] = struct{}{}
	return nil
}

func (d *namespaceDriver) forget(s *namespaceSandbox) {
	d.mu.Lock()
	delete(d.mu.live, s)
	d.mu.Unlock()
	if d.users != nil {
		d.users.give(s.uid)
	}
}

// makeTmp makes the directory that is a sandbox's /tmp where there are no volumes.
func (d *namespaceDriver) makeTmp(id uint64) (string, error) {
	dir := d.tmpDir(id)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("sandbox: make /tmp: %w", err)
	}
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		return "", fmt.Errorf("sandbox: make /tmp: %w", err)
	}
	return dir, nil
}

func (d *namespaceDriver) tmpDir(id uint64) string {
	return filepath.Join(d.opts.Dir, "tmp", strconv.FormatUint(id, 10))
}
