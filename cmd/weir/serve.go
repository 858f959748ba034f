package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/sandbox"
	"github.com/weir-run/weir/store/logs"
)

const serveAbout = `Starts a server. It prints one line with its endpoint when it is ready; give it to any AWS
client, for instance as AWS_ENDPOINT_URL. It runs until SIGTERM or SIGINT, then lets the
invocations in progress end.
`

// drainLimit bounds how long a server that stops waits for invocations in progress.
const drainLimit = 30 * time.Second

func (m *Main) serve(ctx context.Context, args []string) error {
	f := m.flags("serve", serveAbout)
	listen := f.String("listen", "127.0.0.1:4566", "`address` to listen on; beyond loopback only with -auth sigv4")
	data := f.String("data", "weir-data", "`directory` for everything that must survive; one server at a time")
	concurrency := f.Int("account-concurrency", lambda.DefaultAccountConcurrency, "concurrent executions of each account and region")
	profile := f.String("scaling-profile", "per-function", "how fast concurrency may grow: per-function (AWS since 2023) or classic:REGION (before)")
	mechanism := f.String("sandbox", "auto", "what isolates environments: auto, namespace or process")
	egress := f.String("egress", "none", "network of functions beside weir itself: none, nat or host")
	idle := f.Duration("idle-timeout", 10*time.Minute, "how long an environment stays idle before it is ended")
	source := f.String("source-endpoint", "", "`URL` of an SQS-compatible endpoint that event source mappings poll; default: weir's own queues")
	auth := f.String("auth", "none", "signatures of requests: none (any is accepted) or sigv4 (checked)")
	credentials := f.String("credentials", "", "`file` of access keys for -auth sigv4: a key id and a secret on each line")
	logLimit := f.Int("log-disk", defaultLogDisk, "`MiB` of disk space for what functions log; the oldest goes first")
	otlp := f.String("otlp-endpoint", "", "`URL` that gets sampled traces by OTLP/HTTP, such as http://localhost:4318; default: nobody")
	level := f.String("log-level", "info", "least level that is logged: debug, info, warn or error")
	if err := parse(f, args); err != nil {
		return err
	}
	opt, err := serveOptions(*data, *concurrency, *profile, *mechanism, *egress, *idle)
	if err != nil {
		return usageError{err}
	}
	if *logLimit < minLogDisk {
		return usageError{fmt.Errorf("log disk space of %d MiB is less than %d", *logLimit, minLogDisk)}
	}
	opt.MaxLogBytes = int64(*logLimit) << 20
	opt.Source, opt.OTLP = *source, *otlp
	var logLevel slog.Level
	if err := logLevel.UnmarshalText([]byte(*level)); err != nil {
		return usageError{fmt.Errorf("log level %q is none of debug, info, warn, error", *level)}
	}
	opt.Logger = slog.New(slog.NewTextHandler(m.Stderr, &slog.HandlerOptions{Level: logLevel}))
	if opt.Auth, opt.Credentials, err = authOptions(*auth, *credentials, *listen); err != nil {
		return usageError{err}
	}
	return m.runServer(ctx, opt, *listen)
}

// The disk space for logs, in MiB.
const (
	defaultLogDisk = logs.DefaultMaxBytes >> 20
	minLogDisk     = 64
)

// runServer serves until ctx ends, then drains.
func (m *Main) runServer(ctx context.Context, opt serverOptions, address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s, err := openServer(opt, l)
	if err != nil {
		l.Close()
		return err
	}
	fmt.Fprintf(m.Stdout, "weir is ready at %s (%s)\n", s.url, s.report.Mechanism)
	select {
	case <-ctx.Done():
	case err = <-s.failed:
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainLimit)
	defer cancel()
	if closeErr := s.close(limit); err == nil {
		err = closeErr
	}
	return err
}

func serveOptions(data string, concurrency int, profile, mechanism, egress string, idle time.Duration) (serverOptions, error) {
	p, err := admission.ParseProfile(profile)
	switch {
	case err != nil:
		return serverOptions{}, err
	case concurrency < 0:
		return serverOptions{}, fmt.Errorf("account concurrency %d is negative", concurrency)
	case idle <= 0:
		return serverOptions{}, fmt.Errorf("idle timeout %v is not positive", idle)
	}
	data, err = filepath.Abs(data)
	if err != nil {
		return serverOptions{}, fmt.Errorf("data directory: %w", err)
	}
	return serverOptions{
		Data:      data,
		Account:   admission.Account{Limit: concurrency, Profile: p, IdleTimeout: idle, MaxAge: maxAge},
		Mechanism: sandbox.Mechanism(mechanism),
		Egress:    sandbox.Egress(egress),
	}, nil
}

// maxAge is how old an environment may become before it is replaced; AWS recycles them every
// few hours.
const maxAge = 4 * time.Hour

// authOptions reads the policy for signatures. Without one the server must not be reachable
// by others.
func authOptions(auth, file, address string) (wire.Auth, map[string]wire.Credential, error) {
	switch auth {
	case "none":
		if !isLoopback(address) {
			return 0, nil, fmt.Errorf("-listen %s is reachable by others: that needs -auth sigv4 and -credentials", address)
		}
		return wire.AuthNone, nil, nil
	case "sigv4":
		keys, err := readCredentials(file)
		return wire.AuthSigV4, keys, err
	}
	return 0, nil, fmt.Errorf("-auth %q is neither none nor sigv4", auth)
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// readCredentials reads lines of an access key id and a secret; # begins a comment.
func readCredentials(file string) (map[string]wire.Credential, error) {
	if file == "" {
		return nil, fmt.Errorf("-auth sigv4 needs -credentials")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	defer f.Close()
	keys := make(map[string]wire.Credential)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		switch len(words) {
		case 0:
		case 2:
			keys[words[0]] = wire.Credential{Secret: words[1]}
		default:
			return nil, fmt.Errorf("%s: a line must hold a key id and a secret", file)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s holds no credentials", file)
	}
	return keys, nil
}
