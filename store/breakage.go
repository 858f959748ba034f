package store

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
)

// A breakage is the first failure after which nothing more may be acknowledged.
type breakage struct {
	fatal func(error)
	once  sync.Once // guards the call of fatal
	first atomic.Pointer[error]
}

func (b *breakage) err() error {
	if p := b.first.Load(); p != nil {
		return *p
	}
	return nil
}

// stop ends commits until the next start; reads go on.
func (b *breakage) stop(err error) { b.first.CompareAndSwap(nil, &err) }

// fail ends commits, and the process too: it cannot vouch for its data any longer.
func (b *breakage) fail(err error) {
	b.stop(err)
	b.once.Do(func() { b.fatal(err) })
}

// An engineLogger keeps Pebble quiet: what fails is logged, the rest is not.
type engineLogger struct {
	log    *slog.Logger
	broken *breakage
}

func (l engineLogger) Infof(string, ...any) {}

func (l engineLogger) Errorf(format string, args ...any) {
	l.log.Error("store: " + fmt.Sprintf(format, args...))
}

// Fatalf receives what Pebble cannot go on from. A log that could not grow on a full disk
// is the harmless one: what was durable stays so, and what was not was not acknowledged.
func (l engineLogger) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, a := range args {
		if err, ok := a.(error); ok && errors.Is(err, syscall.ENOSPC) {
			l.log.Error("store: no commits until the next start: " + text)
			l.broken.stop(fmt.Errorf("%s: restart when there is room: %w", text, ErrFull))
			return
		}
	}
	l.broken.fail(errors.New(text))
}
