// Package quotas is the front door of Service Quotas: what weir's quotas are, and raising those
// that can be raised.
//
// A request is granted at once, if weir can keep it: the concurrency of an account and region is
// in the catalogue, where the engine and the checks of Lambda read it.
package quotas

import (
	"context"
	"encoding/base64"
	"log/slog"

	api "github.com/weir-run/weir/aws/servicequotas"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// Options are what the service works with.
type Options struct {
	Store       *store.Store
	Concurrency int // of an account and region that was granted no other
	Logger      *slog.Logger
}

// A Service implements the operations of Service Quotas.
type Service struct {
	api.Unimplemented
	opt Options
}

// New returns the service.
func New(opt Options) *Service { return &Service{opt: opt} }

// Register makes a Mux serve Service Quotas.
func (s *Service) Register(m *wire.Mux) { m.Handle(&api.Wire, s, nil) }

func (s *Service) snapshot() *store.Snapshot { return s.opt.Store.Catalog().Snapshot() }

// update changes the catalogue. As on AWS it happens even if the client goes away meanwhile.
func (s *Service) update(f func(tx *store.Tx) error) error {
	return s.opt.Store.Catalog().Update(context.Background(), f)
}

func illegal(format string, args ...any) *lambda.Error {
	return lambda.Errorf("IllegalArgumentException", format, args...)
}

func notFound(format string, args ...any) *lambda.Error {
	return lambda.Errorf("NoSuchResourceException", format, args...)
}

// supported refuses the members that weir does nothing with.
func supported(c *wire.Call, in wire.Struct, members ...string) error {
	for _, name := range wire.Given(in) {
		for _, m := range members {
			if name == m {
				return illegal("weir does not support the parameter %s of %s.", name, c.Operation.Name)
			}
		}
	}
	return nil
}

// A page is the part of a list that a request asks for.
type page struct {
	after string // name of the last item of the page before
	left  int
	next  string
}

const maxPage = 100

func newPage(token wire.Opt[string], items wire.Opt[int32]) (*page, error) {
	p := &page{left: min(int(items.Or(maxPage)), maxPage)}
	if token.V != "" {
		name, err := base64.StdEncoding.DecodeString(token.V)
		if err != nil {
			return nil, lambda.Errorf("InvalidPaginationTokenException", "Invalid input was provided.")
		}
		p.after = string(name)
	}
	return p, nil
}

// take reports whether an item is on the page, and whether later ones may be; name is what the
// items sort by.
func (p *page) take(name string) (on, more bool) {
	switch {
	case name <= p.after:
		return false, true
	case p.left == 0:
		p.next = base64.StdEncoding.EncodeToString([]byte(p.after))
		return false, false
	}
	p.left--
	p.after = name
	return true, true
}

func (p *page) token() wire.Opt[string] {
	if p.next == "" {
		return wire.Opt[string]{}
	}
	return wire.Some(p.next)
}
