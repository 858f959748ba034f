package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/aws/catalog"
	"github.com/weir-run/weir/aws/cloudwatch"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/dashboard"
	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/environment"
	"github.com/weir-run/weir/front"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/sandbox"
	autoscalingservice "github.com/weir-run/weir/service/autoscaling"
	cloudwatchservice "github.com/weir-run/weir/service/cloudwatch"
	lambdaservice "github.com/weir-run/weir/service/lambda"
	logsservice "github.com/weir-run/weir/service/logs"
	quotasservice "github.com/weir-run/weir/service/quotas"
	snsservice "github.com/weir-run/weir/service/sns"
	sqsservice "github.com/weir-run/weir/service/sqs"
	xrayservice "github.com/weir-run/weir/service/xray"
	"github.com/weir-run/weir/store"
	"github.com/weir-run/weir/store/logs"
)

// serverOptions are what a server is made of.
type serverOptions struct {
	Data        string // directory
	Account     admission.Account
	Mechanism   sandbox.Mechanism
	Egress      sandbox.Egress
	Auth        wire.Auth
	Credentials map[string]wire.Credential
	MaxLogBytes int64  // of all log groups
	Source      string // endpoint of the queues that event source mappings poll; empty: weir's own
	OTLP        string // endpoint that gets traces by OTLP/HTTP; empty: none
	Logger      *slog.Logger
}

// A server is all parts of weir, wired together, in the order in which they were opened.
type server struct {
	opt       serverOptions
	url       string
	report    sandbox.Report
	store     *store.Store
	logs      *logsservice.Service
	driver    sandbox.Driver
	host      *environment.Host
	engine    *engine.Engine
	queues    *sqsservice.Service
	sns       *snsservice.Service
	metrics   *cloudwatchservice.Service
	traces    *xrayservice.Service
	functions *lambdaservice.Service
	scaling   *autoscalingservice.Service
	recorder  store.Recorder
	board     atomic.Pointer[dashboard.Dashboard] // nil until all it shows is open
	http      *front.Server
	failed    chan error // of http, at most one
	closers   []func(context.Context) error
}

const (
	defaultAccount = "000000000000"
	defaultRegion  = "us-east-1"
)

// sandboxPool is what waits for cold starts: sandboxes without a process, and as soon as a
// runtime was used its interpreters, started.
var sandboxPool = sandbox.Pool{ReadyMin: 4, ReadyMax: 32, PrebootMin: 2, PrebootMax: 16}

// openServer opens the parts and serves on a listener.
func openServer(opt serverOptions, l net.Listener) (_ *server, err error) {
	s := &server{opt: opt, failed: make(chan error, 1), url: "http://" + l.Addr().String()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(context.Background()))
		}
	}()
	s.store, err = store.Open(store.Options{Dir: opt.Data, Logger: opt.Logger})
	if errors.Is(err, store.ErrLocked) {
		return nil, fmt.Errorf("another server uses the data directory %s", opt.Data)
	}
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func(context.Context) error { return s.store.Close() })
	s.driver, err = sandbox.Open(sandbox.Options{Mechanism: opt.Mechanism, Dir: filepath.Join(opt.Data, "sandbox"), Egress: opt.Egress, Pool: sandboxPool, Logger: opt.Logger})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func(context.Context) error { return s.driver.Close() })
	s.report = s.driver.Report()
	opt.Logger.Info(s.report.String())

	keys, credentials := functionCredentials(opt)
	mux := wire.NewMux(wire.Options{
		Auth: opt.Auth, Credentials: credentials, Account: defaultAccount, Region: defaultRegion,
		Site: s.site(), Log: opt.Logger,
	})
	opened := make(chan struct{}) // closed when there is an engine, or will be none
	defer close(opened)
	if err := s.openLogs(opened); err != nil {
		return nil, err
	}
	s.traces, err = xrayservice.Open(xrayservice.Options{OTLP: opt.OTLP, Logger: opt.Logger})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func(context.Context) error { s.traces.Close(); return nil })
	if err := s.openHost(mux, keys); err != nil {
		return nil, err
	}
	s.queues = sqsservice.New(sqsservice.Options{Queues: s.store.Queues(), Recorder: &s.recorder, Logger: opt.Logger})
	s.closers = append(s.closers, func(context.Context) error { s.queues.Close(); return nil })
	ready := make(chan struct{}) // closed when there are topics
	if err := s.openEngine(ready); err != nil {
		return nil, err
	}
	s.sns, err = snsservice.Open(snsservice.Options{
		Store: s.store, URL: s.url, Recorder: &s.recorder, Logger: opt.Logger,
		Targets: snsservice.Targets{Queue: s.sendToQueue, Function: s.enqueue},
	})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func(context.Context) error { s.sns.Close(); return nil })
	close(ready)
	s.openScaling()
	s.register(mux)
	if err := s.openDashboard(); err != nil {
		return nil, err
	}
	s.serve(l, mux)
	return s, nil
}

// serve serves on a listener.
func (s *server) serve(l net.Listener, mux *wire.Mux) {
	h := &http.Server{
		Handler: s.front(mux), ReadHeaderTimeout: time.Minute, MaxHeaderBytes: 1 << 20,
		ErrorLog: slog.NewLogLogger(s.opt.Logger.Handler(), slog.LevelDebug),
	}
	h.RegisterOnShutdown(s.logs.EndTails)
	s.http = &front.Server{HTTP: h, Short: lambdaservice.IsInvoke}
	s.closers = append(s.closers, s.http.Shutdown, func(context.Context) error { s.queues.Close(); return nil })
	go func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("serve: %w", err)
		}
	}()
}

// openLogs opens the logs. The functions of subscription filters are invoked by the engine, which
// is opened later: what is logged before opened is closed waits. It is closed before the logs.
func (s *server) openLogs(opened <-chan struct{}) (err error) {
	s.logs, err = logsservice.Open(logsservice.Options{
		Store: s.store, Dir: filepath.Join(s.opt.Data, "logs"), MaxBytes: s.opt.MaxLogBytes, Logger: s.opt.Logger,
		Enqueue: func(ctx context.Context, arn string, payload []byte) error {
			<-opened
			if s.engine == nil {
				return errors.New("the server did not start")
			}
			return s.enqueue(ctx, arn, payload, "")
		},
		Emit: s.emit,
		OnEvent: func(scope lambda.Scope, _, _ string, e logs.Event) {
			select {
			case <-opened:
				s.embedded(scope, e)
			default: // no function has run yet
			}
		},
	})
	if err == nil {
		s.closers = append(s.closers, func(context.Context) error { return s.logs.Close() })
	}
	return err
}

// openHost opens what starts environments.
func (s *server) openHost(mux *wire.Mux, keys func(lambda.Scope) (string, string, string)) (err error) {
	s.host, err = environment.Open(environment.Options{
		Sandboxes: s.driver, Dir: filepath.Join(s.opt.Data, "runtime"), OpenLog: s.logs.OpenLog,
		Endpoint: mux, EndpointURL: s.endpointURL(), Credentials: keys, Tracing: s.tracing(), ServeTracing: s.traces.ServeDaemon, Egress: s.opt.Egress, Logger: s.opt.Logger,
	})
	return err
}

// openEngine opens what decides and runs. Events may be for topics, which are opened later.
func (s *server) openEngine(ready <-chan struct{}) (err error) {
	polling, stopPolling := context.WithCancel(context.Background())
	s.engine, err = engine.Open(engine.Options{
		Store: s.store, Account: s.opt.Account, Logger: s.opt.Logger,
		Start:    func(spec environment.Spec) engine.Environment { return s.host.Start(spec) },
		Targets:  s.destinations(ready),
		Recorder: &s.recorder,
		Trace:    s.traces.Trace,
		Source:   s.source(polling),
	})
	if err != nil {
		stopPolling()
		return err
	}
	s.closers = append(s.closers, func(ctx context.Context) error {
		s.engine.Drain(ctx)
		stopPolling()
		s.engine.Close()
		return nil
	})
	return nil
}

// openScaling opens what measures and what scales by it. Alarms act on policies, so scaling is
// opened before and closed after them; policies own alarms, but only requests change these.
func (s *server) openScaling() {
	s.functions = lambdaservice.New(lambdaservice.Options{
		Store: s.store, Engine: s.engine, Resolve: s.host.Resolve, Limit: s.opt.Account.Limit, CodeURL: codeURL, Logger: s.opt.Logger,
		Targets: map[string]func(string) bool{"sqs": s.queues.Exists, "sns": s.sns.Exists},
	})
	s.scaling = autoscalingservice.Open(autoscalingservice.Options{
		Store: s.store, SetProvisioned: s.functions.SetProvisioned, Logger: s.opt.Logger,
		Status: func(scope lambda.Scope, function, qualifier string) admission.Status {
			return s.engine.Provisioned(scope, function, qualifier).Status
		},
		PutAlarm: func(ctx context.Context, scope lambda.Scope, in *cloudwatch.PutMetricAlarmInput) error {
			return s.metrics.PutAlarm(ctx, scope, in)
		},
		DeleteAlarms: func(ctx context.Context, scope lambda.Scope, names []string) error {
			return s.metrics.RemoveAlarms(ctx, scope, names)
		},
	})
	s.closers = append(s.closers, func(context.Context) error { s.scaling.Close(); return nil })
	s.metrics = cloudwatchservice.Open(cloudwatchservice.Options{
		Store: s.store, Recorder: &s.recorder, Publish: s.notify, Invoke: s.alarm, Scale: s.scale, Logger: s.opt.Logger,
	})
	s.closers = append(s.closers, func(context.Context) error { s.metrics.Close(); return nil })
}

// apart reports whether functions have networks of their own.
func (s *server) apart() bool {
	return s.report.Mechanism != sandbox.Process && s.opt.Egress != sandbox.EgressHost
}

// endpointURL is where functions find weir: in a network of their own at the sandbox's
// endpoint, else at the server's address.
func (s *server) endpointURL() string {
	if s.apart() {
		return "http://" + sandbox.EndpointAddr
	}
	return s.url
}

// tracing returns where functions find X-Ray's daemon.
func (s *server) tracing() func(lambda.Scope) (string, error) {
	if s.apart() {
		return func(lambda.Scope) (string, error) { return sandbox.DaemonAddr, nil }
	}
	return s.traces.DaemonAddress
}

// register adds the services: those that weir implements, and the names of all others.
func (s *server) register(mux *wire.Mux) {
	s.functions.Register(mux)
	s.scaling.Register(mux)
	quotasservice.New(quotasservice.Options{Store: s.store, Concurrency: s.opt.Account.Limit, Logger: s.opt.Logger}).Register(mux)
	s.logs.Register(mux)
	s.queues.Register(mux)
	s.sns.Register(mux)
	s.metrics.Register(mux)
	s.traces.Register(mux)
	catalog.Register(mux)
}

// functionCredentials returns what functions sign their calls with, and all credentials that
// the server accepts.
func functionCredentials(opt serverOptions) (func(lambda.Scope) (string, string, string), map[string]wire.Credential) {
	if opt.Auth == wire.AuthNone {
		return func(s lambda.Scope) (string, string, string) { return s.Account, "weir", "weir" }, nil
	}
	all := make(map[string]wire.Credential)
	byAccount := make(map[string]string)
	for id, c := range opt.Credentials {
		all[id] = c
		account := accountOf(id, c)
		if _, ok := byAccount[account]; !ok {
			key := "ASIA" + rand.Text()[:16]
			byAccount[account] = key
			all[key] = wire.Credential{Secret: rand.Text(), Account: account}
		}
	}
	return func(s lambda.Scope) (string, string, string) {
		key := byAccount[s.Account]
		return key, all[key].Secret, "weir"
	}, all
}

func accountOf(id string, c wire.Credential) string {
	switch {
	case c.Account != "":
		return c.Account
	case lambda.IsAccount(id):
		return id
	}
	return defaultAccount
}

// close stops the parts in the reverse order of their opening.
func (s *server) close(ctx context.Context) error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i](ctx); err != nil {
			errs = append(errs, err)
		}
	}
	s.closers = nil
	return errors.Join(errs...)
}

// site serves what is weir's own.
func (s *server) site() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.SitePrefix+"health", s.health)
	mux.HandleFunc("GET "+wire.SitePrefix+"code/{digest}", s.code)
	mux.HandleFunc("GET "+snsservice.CertificatePath, func(w http.ResponseWriter, r *http.Request) { s.sns.Certificate(w, r) })
	mux.HandleFunc(wire.SitePrefix, s.dashboard)
	return mux
}

// health answers whether and how the server works.
func (s *server) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	// An error means that the client is gone.
	_ = json.NewEncoder(w).Encode(map[string]any{
		"status":       "ok",
		"version":      versionText(),
		"environments": s.engine.Environments(),
		"sandbox": map[string]any{
			"mechanism": s.report.Mechanism, "reason": s.report.Reason,
			"isolated": s.report.Isolated, "exposed": s.report.Exposed,
		},
	})
}

// codeURL is where GetFunction says that a deployment package can be fetched.
func codeURL(c *wire.Call, sha256 string) string {
	d, err := store.ParseDigest(sha256)
	if err != nil {
		return ""
	}
	return "http://" + c.HTTP.Host + wire.SitePrefix + "code/" + d.String()
}

// code serves a deployment package. Its digest is the secret that allows to read it, as the
// signature in AWS's presigned URL.
func (s *server) code(w http.ResponseWriter, r *http.Request) {
	d, err := hex.DecodeString(r.PathValue("digest"))
	if err != nil || len(d) != len(store.Digest{}) {
		http.NotFound(w, r)
		return
	}
	content, err := s.store.Blobs().Open(store.Digest(d))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer content.Close()
	w.Header().Set("Content-Type", "application/zip")
	http.ServeContent(w, r, "", time.Time{}, content)
}

// isReady reports whether a line of output is the one that serve prints when it is ready, and
// returns its endpoint.
func isReady(line string) (string, bool) {
	rest, ok := strings.CutPrefix(line, "weir is ready at ")
	url, _, _ := strings.Cut(rest, " ")
	return url, ok
}
