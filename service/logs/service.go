package logs

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	api "github.com/weir-run/weir/aws/logs"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
	"github.com/weir-run/weir/store/logs"
)

// Options are what the service works with.
type Options struct {
	Store    *store.Store
	Dir      string // of the events
	MaxBytes int64  // of the events on the disk; 0: logs.DefaultMaxBytes

	// Enqueue invokes the function of an ARN asynchronously, for subscription filters.
	Enqueue func(ctx context.Context, arn string, payload []byte) error

	// Emit takes the datapoints of metric filters. It must be quick. Without it
	// PutMetricFilter is refused.
	Emit func(Datapoint)

	// OnEvent sees every event that was written; nil: nobody does. It must be quick, and the
	// message is its only during the call.
	OnEvent func(scope lambda.Scope, group, stream string, e logs.Event)

	Logger *slog.Logger
}

// A Service implements the operations of CloudWatch Logs.
type Service struct {
	api.Unimplemented
	opt   Options
	logs  *logs.Store
	jobs  chan logs.Batch
	stop  chan struct{}
	work  sync.WaitGroup
	cache patterns
	tails tails
}

// maxJobs is how many batches of events wait for the filters of their groups. Batches beyond
// are not filtered; the log tells how many.
const maxJobs = 1024

// Open opens the events and returns the service.
func Open(opt Options) (*Service, error) {
	s := &Service{opt: opt, jobs: make(chan logs.Batch, maxJobs), stop: make(chan struct{})}
	s.cache.mu.parsed = make(map[string]*pattern)
	s.tails.mu.sessions = make(map[*session]bool)
	var err error
	s.logs, err = logs.Open(logs.Options{Dir: opt.Dir, MaxBytes: opt.MaxBytes, Tell: s.tell, Logger: opt.Logger})
	if err != nil {
		return nil, err
	}
	groups.ScanAll(s.snapshot(), func(scope lambda.Scope, name string, g *logGroup) bool {
		s.logs.SetRetention(logs.GroupID{Scope: scope, Name: name}, g.retention())
		return true
	})
	s.work.Go(s.filter)
	return s, nil
}

// Register makes a Mux serve CloudWatch Logs.
func (s *Service) Register(m *wire.Mux) { m.Handle(&api.Wire, s, nil) }

// Close writes what the functions logged and ends the service. No environment may write any
// more.
func (s *Service) Close() error {
	err := s.logs.Close() // it tells of the last events
	close(s.stop)
	s.work.Wait()
	return err
}

// OpenLog returns what writes the events of one environment: lines of one moment, each ended by
// a line feed. It makes the group on its first use.
func (s *Service) OpenLog(scope lambda.Scope, group, stream string) (func(at time.Time, lines []byte), error) {
	if err := s.ensure(scope, group); err != nil {
		return nil, err
	}
	return s.logs.Writer(logs.GroupID{Scope: scope, Name: group}, stream).Append, nil
}

// ensure makes a group that a function writes to, if it is missing.
func (s *Service) ensure(scope lambda.Scope, name string) error {
	if _, ok := groups.Get(s.snapshot(), scope, name); ok {
		return nil
	}
	err := s.update(func(tx *store.Tx) error {
		if _, ok := groups.Get(tx, scope, name); !ok {
			groups.Put(tx, scope, name, &logGroup{Name: name, CreatedAt: time.Now().UnixMilli()})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("make a log group: %w", err)
	}
	return nil
}

func (s *Service) snapshot() *store.Snapshot { return s.opt.Store.Catalog().Snapshot() }

// update changes the catalogue, even if the client goes away meanwhile.
func (s *Service) update(f func(tx *store.Tx) error) error {
	return s.opt.Store.Catalog().Update(context.Background(), f)
}

// groups are the log groups, by name.
var groups = store.Kind[logGroup]{Name: "loggroup"}

// A logGroup is the settings of a log group. Times are milliseconds since 1970.
type logGroup struct {
	Name          string            `json:",omitzero"`
	CreatedAt     int64             `json:",omitzero"`
	RetentionDays int32             `json:",omitzero"` // 0: for ever
	Tags          map[string]string `json:",omitzero"`
	Metrics       []metricFilter    `json:",omitzero"` // by name
	Subscriptions []subscription    `json:",omitzero"` // by name
}

func (g *logGroup) retention() time.Duration {
	return time.Duration(g.RetentionDays) * 24 * time.Hour
}

// change replaces a group by what f makes of a copy, whose tags are its own.
func (s *Service) change(scope lambda.Scope, name string, f func(g *logGroup) error) error {
	return s.update(func(tx *store.Tx) error {
		old, ok := groups.Get(tx, scope, name)
		if !ok {
			return errNoGroup
		}
		g := *old
		if g.Tags = maps.Clone(old.Tags); g.Tags == nil {
			g.Tags = make(map[string]string)
		}
		if err := f(&g); err != nil {
			return err
		}
		groups.Put(tx, scope, name, &g)
		return nil
	})
}

// Errors in AWS's words.
var (
	errNoGroup      = lambda.Errorf(lambda.CodeResourceNotFound, "The specified log group does not exist.")
	errNoStream     = lambda.Errorf(lambda.CodeResourceNotFound, "The specified log stream does not exist.")
	errGroupExists  = lambda.Errorf("ResourceAlreadyExistsException", "The specified log group already exists")
	errStreamExists = lambda.Errorf("ResourceAlreadyExistsException", "The specified log stream already exists")
	errLimit        = lambda.Errorf("LimitExceededException", "Resource limit exceeded.")
	errToken        = invalid("The specified nextToken is invalid.")
)

// unsupported refuses a member that weir does nothing with.
func unsupported(c *wire.Call, member string) error {
	return invalid("weir does not support the parameter %s of %s.", member, c.Operation.Name)
}

// group finds the group that a request names or identifies.
func (s *Service) group(c *wire.Call, name, identifier wire.Opt[string]) (logs.GroupID, *logGroup, error) {
	switch {
	case name.OK && identifier.OK:
		return logs.GroupID{}, nil, invalid("LogGroupName and LogGroupIdentifier are mutually exclusive parameters.")
	case identifier.OK:
		return s.identified(c, identifier.V)
	case !name.OK:
		return logs.GroupID{}, nil, invalid("1 validation error detected: Value null at 'logGroupName' failed to satisfy constraint: Member must not be null")
	}
	g, ok := groups.Get(s.snapshot(), c.Scope, name.V)
	if !ok {
		return logs.GroupID{}, nil, errNoGroup
	}
	return logs.GroupID{Scope: c.Scope, Name: name.V}, g, nil
}

// identified finds a group by its name or ARN.
func (s *Service) identified(c *wire.Call, identifier string) (logs.GroupID, *logGroup, error) {
	name := identifier
	if strings.HasPrefix(identifier, "arn:") {
		var ok bool
		name, ok = strings.CutPrefix(identifier, c.Scope.ARN("logs", "log-group:"))
		if !ok {
			return logs.GroupID{}, nil, errNoGroup
		}
		name = strings.TrimSuffix(name, ":*")
	}
	g, ok := groups.Get(s.snapshot(), c.Scope, name)
	if !ok {
		return logs.GroupID{}, nil, errNoGroup
	}
	return logs.GroupID{Scope: c.Scope, Name: name}, g, nil
}

// encodeToken makes a token of what the last item of a page is sorted by.
func encodeToken(after string) wire.Opt[string] {
	if after == "" {
		return wire.Opt[string]{}
	}
	return wire.Some(base64.RawURLEncoding.EncodeToString([]byte(after)))
}

func decodeToken(token wire.Opt[string]) (string, error) {
	after, err := base64.RawURLEncoding.DecodeString(token.V)
	if err != nil {
		return "", errToken
	}
	return string(after), nil
}

// maxPage is the most items of a list in one answer, and the default (AWS: DescribeLimit).
const maxPage = 50

// page returns the part of a list, sorted by key, that a request asks for, and the token of the
// next part.
func page[T any](list []T, key func(T) string, token wire.Opt[string], limit wire.Opt[int32]) ([]T, wire.Opt[string], error) {
	after, err := decodeToken(token)
	if err != nil {
		return nil, wire.Opt[string]{}, err
	}
	for len(list) > 0 && after != "" && key(list[0]) <= after {
		list = list[1:]
	}
	n := int(limit.Or(maxPage))
	if len(list) <= n {
		return list, wire.Opt[string]{}, nil
	}
	return list[:n], encodeToken(key(list[n-1])), nil
}
