package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/environment"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// Options are what an Engine works with.
type Options struct {
	Store *store.Store
	Start Starter

	// Account is what applies to every account and region; a limit in the catalogue goes before
	// Account.Limit.
	Account admission.Account

	// Boots is how many environments boot at a time; more wait. A boot has the whole
	// machine to itself until its function has initialised, so too many at once would each
	// take longer than the time AWS gives them. Zero means four for each processor.
	Boots int

	// Targets deliver to the destinations of asynchronous invocations, by the service in
	// their ARN, such as "sqs". Functions are the engine's own.
	Targets map[string]Target

	// Source opens the queue that an event source mapping names by its ARN. It does not block.
	// Nil: there are no queues.
	Source func(arn string) (Source, error)

	// Trace is told of every sampled invocation when it has ended, before its caller is. Nil:
	// no invocation is sampled here.
	Trace func(*Traced)

	// Recorder gathers the metrics of AWS/Lambda. Nil: nothing is recorded.
	Recorder *store.Recorder

	Logger *slog.Logger
}

// A Starter starts an environment and returns at once; see environment.Host.Start.
type Starter func(environment.Spec) Environment

// An Environment is what the engine needs of one; see environment.Environment.
type Environment interface {
	Invoke(*lambda.Invocation) lambda.Outcome
	InvokeStream(*lambda.Invocation, lambda.Response) lambda.Outcome
	Close()
}

// An Engine decides about and runs the invocations of one server.
type Engine struct {
	opt   Options
	began time.Time
	boots chan struct{}
	async *async

	mappings *mappings

	ctx    context.Context // ends when the engine closes
	cancel context.CancelFunc
	work   sync.WaitGroup // goroutines of the engine

	mu struct {
		sync.RWMutex
		pools map[lambda.Scope]*pool
	}
	closing sync.Once
}

// Open starts an engine on what the store's catalogue holds: functions become known,
// provisioned environments are booted, and unfinished deployments are resumed.
func Open(opt Options) (*Engine, error) {
	if opt.Store == nil || opt.Start == nil || opt.Logger == nil {
		return nil, errors.New("engine: Options need Store, Start and Logger")
	}
	if opt.Boots == 0 {
		opt.Boots = 4 * runtime.GOMAXPROCS(0)
	}
	e := &Engine{opt: opt, began: time.Now(), boots: make(chan struct{}, opt.Boots)}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.mu.pools = make(map[lambda.Scope]*pool)
	e.async, e.mappings = newAsync(e), newMappings(e)
	e.feedAll(opt.Store.Catalog().Subscribe(e.feed))
	e.work.Go(e.collect)
	e.work.Go(e.sample)
	e.mappings.resume()
	if err := e.async.resume(); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// now returns the moment on the machines' clock: nanoseconds since 1970 at the start, and from
// there on monotonic. Events keep such moments over a restart.
func (e *Engine) now() lambda.Instant {
	return lambda.Instant(e.began.UnixNano()).Add(time.Since(e.began))
}

// roll draws what decides the version of a weighted alias.
func (e *Engine) roll() float64 { return rand.Float64() }

// pool returns the pool of a scope, making it if it is new.
func (e *Engine) pool(s lambda.Scope) *pool {
	e.mu.RLock()
	p := e.mu.pools[s]
	e.mu.RUnlock()
	if p != nil {
		return p
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if p := e.mu.pools[s]; p != nil {
		return p
	}
	p = newPool(e, s)
	e.mu.pools[s] = p
	return p
}

func (e *Engine) pools() []*pool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	all := make([]*pool, 0, len(e.mu.pools))
	for _, p := range e.mu.pools {
		all = append(all, p)
	}
	return all
}

// Environments returns how many environments exist, over all accounts.
func (e *Engine) Environments() int {
	n := 0
	for _, p := range e.pools() {
		n += p.environments()
	}
	return n
}

// Drain stops taking events from the queue and waits, as long as the context allows, until
// those being run have ended and what came of them is durable.
func (e *Engine) Drain(ctx context.Context) {
	e.mappings.stop()
	e.async.drain(ctx)
	e.mappings.drain(ctx)
}

// Close ends every environment and waits for the engine's goroutines. Invocations in
// progress end with their environments, so a server stops taking requests before and waits
// for those it has. Close is idempotent.
func (e *Engine) Close() {
	e.closing.Do(func() {
		e.async.stop()
		e.mappings.stop()
		e.cancel()
		for _, p := range e.pools() {
			p.close()
		}
	})
	e.work.Wait()
	e.async.work.Wait()
	e.mappings.wait()
}

// errClosing is what an invocation gets that still waits when the engine closes.
var errClosing = fmt.Errorf("engine: closing")
