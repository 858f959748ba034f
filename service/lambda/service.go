package lambda

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/google/uuid"

	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/environment"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// Options are what the service works with.
type Options struct {
	Store  *store.Store
	Engine *engine.Engine

	// Resolve finds what runs a runtime, or says why nothing does.
	Resolve func(runtime string) (environment.Runtime, error)

	// Limit is the concurrent executions of an account and region that was granted no other.
	Limit int

	// Targets tell whether a destination of asynchronous invocations exists, by the service in
	// its ARN, such as "sqs".
	Targets map[string]func(arn string) bool

	// CodeURL returns where a client can fetch a deployment package.
	CodeURL func(c *wire.Call, sha256 string) string

	Logger *slog.Logger
}

// A Service implements the operations of Lambda.
type Service struct {
	api.Unimplemented
	opt     Options
	storage storage
}

// New returns the service.
func New(opt Options) *Service { return &Service{opt: opt} }

// Register makes a Mux serve Lambda.
func (s *Service) Register(m *wire.Mux) {
	m.Handle(&api.Wire, s, map[string]wire.RawFunc{"Invoke": s.invoke})
}

func (s *Service) snapshot() *store.Snapshot { return s.opt.Store.Catalog().Snapshot() }

// update changes the catalogue. As on AWS it happens even if the client goes away meanwhile.
func (s *Service) update(f func(tx *store.Tx) error) error {
	return s.opt.Store.Catalog().Update(context.Background(), f)
}

// userError is an exception that names the user as its cause.
func userError(code, format string, args ...any) *lambda.Error {
	return lambda.Errorf(code, format, args...).With("Type", "User")
}

func invalid(format string, args ...any) *lambda.Error {
	return userError(lambda.CodeInvalidParameterValue, format, args...)
}

func conflict(format string, args ...any) *lambda.Error {
	return userError(lambda.CodeResourceConflict, format, args...)
}

func notFound(format string, args ...any) *lambda.Error {
	return userError(lambda.CodeResourceNotFound, format, args...)
}

// supported refuses a request that sets a member weir does nothing with, and flags members
// that the model does not have.
func (s *Service) supported(c *wire.Call, in wire.Struct, members ...string) error {
	for _, name := range wire.Given(in) {
		if !contains(members, name) {
			return invalid("weir does not support the parameter %s of %s.", name, c.Operation.Name)
		}
	}
	s.flag(c)
	return nil
}

// flag tells the client and the log what of a request weir does not know.
func (s *Service) flag(c *wire.Call) {
	if len(c.Unknown) == 0 {
		return
	}
	list := strings.Join(c.Unknown, ", ")
	c.Header().Set("X-Weir-Ignored", list)
	s.opt.Logger.Warn("unknown parameters were ignored", "operation", c.Operation.Name, "parameters", list, "requestId", c.RequestID)
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// newRevision returns a RevisionId; AWS's are UUIDs too.
func newRevision() string { return uuid.NewString() }

// checkRevision refuses an update of something that changed since the client looked.
func checkRevision(given wire.Opt[string], now string) error {
	if given.OK && given.V != now {
		return userError("PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
	}
	return nil
}

// maxPage is the most items of one answer, and the default (AWS: ListFunctions returns a
// maximum of 50 items).
const maxPage = 50

func newPage(marker wire.Opt[string], items wire.Opt[int32]) (*wire.Page, error) {
	p, ok := wire.NewPage(marker, min(int(items.Or(maxPage)), maxPage))
	if !ok {
		return nil, invalid("Invalid marker")
	}
	return p, nil
}

// storeError turns what the store says of an upload into AWS's error.
func storeError(err error) error {
	switch {
	case errors.Is(err, store.ErrBadZip):
		return invalid("Could not unzip uploaded file. Please check your file, then try to upload again.")
	case errors.Is(err, store.ErrUnzippedTooLarge):
		return invalid("Unzipped size must be smaller than %d bytes", lambda.MaxUnzipped)
	}
	return fmt.Errorf("store the code: %w", err)
}
