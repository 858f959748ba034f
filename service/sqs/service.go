package sqs

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	api "github.com/weir-run/weir/aws/sqs"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// Options are what the service works with.
type Options struct {
	Queues *store.Queues

	// Recorder gathers the metrics of AWS/SQS. Nil: nothing is recorded.
	Recorder *store.Recorder

	Logger *slog.Logger
}

// A Service implements the operations of SQS.
type Service struct {
	api.Unimplemented
	opt Options

	stop    context.Context // done when the service is closed
	closing context.CancelFunc
	work    sync.WaitGroup // move tasks, gauge
	meters  sync.Map       // *meter by *store.Queue

	mu struct {
		sync.Mutex
		deleted map[queueID]time.Time // for the 60 seconds after DeleteQueue
		purged  map[queueID]time.Time // for the 60 seconds after PurgeQueue
		tasks   map[queueID][]*moveTask
	}
}

type queueID struct {
	scope lambda.Scope
	name  string
}

func idOf(q *store.Queue) queueID { return queueID{q.Scope, q.Name} }

// New returns the service.
func New(opt Options) *Service {
	s := &Service{opt: opt}
	s.stop, s.closing = context.WithCancel(context.Background())
	s.mu.deleted = make(map[queueID]time.Time)
	s.mu.purged = make(map[queueID]time.Time)
	s.mu.tasks = make(map[queueID][]*moveTask)
	if opt.Recorder != nil {
		s.work.Go(s.gauge)
	}
	return s
}

// Register makes a Mux serve SQS.
func (s *Service) Register(m *wire.Mux) { api.Register(m, s, nil) }

// Close ends the move tasks that are running and the receives that wait. It is idempotent.
func (s *Service) Close() {
	s.closing()
	s.work.Wait()
}

// Send sends a message to the queue of an ARN, as other services do, and returns when it is
// durable. It returns a *lambda.Error if the queue does not take it.
func (s *Service) Send(ctx context.Context, arn string, m store.Message) error {
	q, err := s.lookUp(arn)
	if err != nil {
		return noQueue()
	}
	config := q.Config()
	if config.FIFO && m.Group == "" {
		return lambda.Errorf("InvalidParameterValue", "Only messages with a message group can be sent to a FIFO queue: %s", arn)
	}
	if !config.FIFO {
		m.Dedup = "" // of a FIFO topic; the group goes on
	}
	m.Sender, m.Delay = q.Scope.Account, -1
	if size, limit := sizeOf(&m), maximumSize(config); size > limit {
		return tooLong(limit)
	}
	sent := []store.Message{m}
	if _, err = q.Send(ctx, sent); err == nil {
		s.sent(q, sent)
	}
	return err
}

// Attribute makes a message attribute; the value of a binary one is given as base64.
func Attribute(name, dataType, value string) (store.MessageAttribute, error) {
	if isBinary(dataType) {
		b, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return store.MessageAttribute{}, fmt.Errorf("message attribute %s: %w", name, err)
		}
		value = string(b)
	}
	return store.MessageAttribute{Name: name, Type: dataType, Value: value}, nil
}

const arnParts = 6

func parseARN(arn string) (lambda.Scope, string, bool) {
	part := strings.Split(arn, ":")
	if len(part) != arnParts || part[0] != "arn" || part[2] != "sqs" || part[3] == "" || part[4] == "" || part[5] == "" {
		return lambda.Scope{}, "", false
	}
	return lambda.Scope{Account: part[4], Region: part[3]}, part[5], true
}

// queue finds the queue that a request is about: by its URL, or by the path it is sent to.
func (s *Service) queue(c *wire.Call, url wire.Opt[string]) (*store.Queue, error) {
	path := c.HTTP.URL.Path
	if url.OK && url.V != "" {
		_, rest, ok := strings.Cut(url.V, "://")
		if !ok {
			rest = url.V
		}
		if _, path, ok = strings.Cut(rest, "/"); !ok {
			return nil, invalidAddress(url.V)
		}
	}
	account, name, ok := strings.Cut(strings.Trim(path, "/"), "/")
	if !ok || !lambda.IsAccount(account) || name == "" || strings.Contains(name, "/") {
		if !url.OK || url.V == "" {
			return nil, missing("QueueUrl")
		}
		return nil, invalidAddress(url.V)
	}
	if account != c.Scope.Account {
		return nil, denied(lambda.Scope{Account: account, Region: c.Scope.Region}.ARN("sqs", name))
	}
	q, ok := s.opt.Queues.Get(c.Scope, name)
	if !ok {
		return nil, noQueue()
	}
	return q, nil
}

// queueURL is the URL of a queue as the caller reaches weir.
func queueURL(c *wire.Call, q *store.Queue) string {
	scheme := "http"
	if c.HTTP.TLS != nil || c.HTTP.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + c.HTTP.Host + "/" + q.Scope.Account + "/" + q.Name
}

// checkKnown refuses what the model does not have: SQS does so too.
func checkKnown(c *wire.Call) error {
	for _, name := range c.Unknown {
		if !strings.HasPrefix(name, "?") && !strings.HasPrefix(name, "QueueUrl") {
			return lambda.Errorf("InvalidParameterValue", "weir does not know the parameter %s of %s.", name, c.Operation.Name)
		}
	}
	return nil
}

// find is queue for a request that must hold nothing unknown.
func (s *Service) find(c *wire.Call, url wire.Opt[string]) (*store.Queue, error) {
	if err := checkKnown(c); err != nil {
		return nil, err
	}
	return s.queue(c, url)
}

func noQueue() *lambda.Error {
	return lambda.Errorf("QueueDoesNotExist", "The specified queue does not exist.")
}

func missing(name string) *lambda.Error {
	return lambda.Errorf("MissingParameter", "The request must contain the parameter %s.", name)
}

func invalid(format string, args ...any) *lambda.Error {
	return lambda.Errorf("InvalidParameterValue", format, args...)
}

func invalidValue(value any, name, reason string) *lambda.Error {
	return invalid("Value %v for parameter %s is invalid. Reason: %s", value, name, reason)
}

func invalidAddress(url string) *lambda.Error {
	return lambda.Errorf("InvalidAddress", "The address %s is not valid for this endpoint.", url)
}

func denied(arn string) *lambda.Error {
	return lambda.Errorf("AccessDeniedException", "Access to the resource %s is denied: weir does not grant access to queues of other accounts.", arn)
}

// visible turns an error of a queue into the one a client sees.
func visible(err error) error {
	if errors.Is(err, store.ErrNoQueue) {
		return noQueue()
	}
	return err
}

// within tells whether something happened less than a minute before now.
func within(at, now time.Time) bool { return now.Sub(at) < time.Minute }

// forget drops what is over a minute old.
func forget(m map[queueID]time.Time, now time.Time) {
	for id, at := range m {
		if !within(at, now) {
			delete(m, id)
		}
	}
}
