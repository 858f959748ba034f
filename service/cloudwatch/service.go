package cloudwatch

import (
	"context"
	"encoding/base64"
	"log/slog"
	"strings"
	"sync"

	api "github.com/weir-run/weir/aws/cloudwatch"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// Options are what the service works with.
type Options struct {
	Store    *store.Store
	Recorder *store.Recorder

	// What the actions of alarms do. An alarm with an action whose function is nil is refused.
	Publish func(ctx context.Context, s lambda.Scope, topicARN, subject, message string) error
	Invoke  func(ctx context.Context, s lambda.Scope, functionARN string, event []byte) error
	Scale   func(ctx context.Context, s lambda.Scope, policyARN string, x Scaling) error

	Logger *slog.Logger
}

// A Service implements the operations of CloudWatch.
type Service struct {
	api.Unimplemented
	opt    Options
	driver *driver
	closed sync.Once
}

// Open returns the service, with the machines at work on the alarms of the catalogue.
func Open(opt Options) *Service {
	return &Service{opt: opt, driver: newDriver(opt)}
}

// Close stores all that is open and ends the actions under way. It is idempotent.
func (s *Service) Close() { s.closed.Do(s.driver.close) }

// Register makes a Mux serve CloudWatch.
func (s *Service) Register(m *wire.Mux) { m.Handle(&api.Wire, s, nil) }

func (s *Service) snapshot() *store.Snapshot { return s.opt.Store.Catalog().Snapshot() }

// update changes the catalogue. As on AWS it happens even if the client goes away meanwhile.
func (s *Service) update(f func(tx *store.Tx) error) error {
	return s.opt.Store.Catalog().Update(context.Background(), f)
}

func invalid(format string, args ...any) *lambda.Error {
	return lambda.Errorf(lambda.CodeInvalidParameterValue, format, args...)
}

func combination(format string, args ...any) *lambda.Error {
	return lambda.Errorf("InvalidParameterCombinationException", format, args...)
}

func missing(format string, args ...any) *lambda.Error {
	return lambda.Errorf("MissingRequiredParameterException", format, args...)
}

func validation(format string, args ...any) *lambda.Error {
	return lambda.Errorf(lambda.CodeValidation, format, args...)
}

// supported refuses a request that sets a member weir does nothing with, and one that sets
// members the model does not have.
func (s *Service) supported(c *wire.Call, in wire.Struct, members ...string) error {
	for _, name := range wire.Given(in) {
		for _, m := range members {
			if name == m {
				return validation("weir does not support the parameter %s of %s.", name, c.Operation.Name)
			}
		}
	}
	if len(c.Unknown) > 0 {
		list := strings.Join(c.Unknown, ", ")
		c.Header().Set("X-Weir-Ignored", list)
		s.opt.Logger.Warn("unknown parameters were ignored", "operation", c.Operation.Name, "parameters", list, "requestId", c.RequestID)
	}
	return nil
}

// token makes an opaque token of where a list goes on.
func token(mark string) wire.Opt[string] {
	return wire.Some(base64.RawURLEncoding.EncodeToString([]byte(mark)))
}

// mark reads a token.
func mark(t wire.Opt[string]) (string, error) {
	if t.V == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(t.V)
	if err != nil {
		return "", lambda.Errorf("InvalidNextToken", "Invalid nextToken")
	}
	return string(b), nil
}
