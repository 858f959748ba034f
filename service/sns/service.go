package sns

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	api "github.com/weir-run/weir/aws/sns"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/filter"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// Targets take what SNS delivers: durably, when they return without an error. A *lambda.Error
// means that a repetition is of no use, unless its code tells of a conflict or a throttle. A nil target refuses its protocol.
type Targets struct {
	Queue    func(ctx context.Context, queueARN string, m *QueueMessage) error
	Function func(ctx context.Context, functionARN string, payload []byte, traceID string) error
}

// A QueueMessage is what a queue is sent.
type QueueMessage struct {
	Body       []byte
	Attributes map[string]Attribute
	GroupID    string // always of FIFO topics, perhaps of others
	DedupID    string // of FIFO topics
	TraceID    string // AWSTraceHeader
}

// An Attribute is a message attribute; the value of a binary one is base64.
type Attribute struct{ Type, Value string }

// Options are what the service works with.
type Options struct {
	Store   *store.Store
	Targets Targets

	// URL is where clients reach the server, without a slash at the end: the certificate of
	// the signatures and the links of messages are there.
	URL string

	// Recorder gathers the metrics of AWS/SNS. Nil: nothing is recorded.
	Recorder *store.Recorder

	Logger *slog.Logger
}

// A Service implements the operations of SNS.
type Service struct {
	api.Unimplemented
	opt     Options
	carrier *carrier
	signer  *signer
	meter   *meter

	mu struct {
		sync.Mutex
		filters map[filterKey]*filter.Pattern
	}
}

type filterKey struct {
	dialect filter.Dialect
	policy  string
}

// maxFilters bounds the filter policies that are kept compiled.
const maxFilters = 10_000

// Open returns the service and takes up the deliveries that an earlier one has left.
func Open(opt Options) (*Service, error) {
	s := &Service{opt: opt, signer: &signer{store: opt.Store}, meter: newMeter(opt.Recorder)}
	s.mu.filters = make(map[filterKey]*filter.Pattern)
	s.carrier = newCarrier(s.opt.Store.FanOut(), s.attempt, s.opt.Logger)
	var left []store.Delivery // none is attempted before all are counted
	if err := s.opt.Store.FanOut().Load(func(d store.Delivery) { left = append(left, d) }); err != nil {
		s.carrier.close()
		return nil, err
	}
	for _, d := range left {
		s.carrier.take(d)
	}
	return s, nil
}

// Close stops the deliveries; those that are under way end first.
func (s *Service) Close() { s.carrier.close() }

// Register makes a Mux serve SNS.
func (s *Service) Register(m *wire.Mux) { m.Handle(&api.Wire, s, nil) }

func (s *Service) snapshot() *store.Snapshot { return s.opt.Store.Catalog().Snapshot() }

// update changes the catalogue. As on AWS it happens even if the client goes away meanwhile.
func (s *Service) update(f func(tx *store.Tx) error) error {
	return s.opt.Store.Catalog().Update(context.Background(), f)
}

func invalid(format string, args ...any) *lambda.Error {
	return lambda.Errorf("InvalidParameterException", "Invalid parameter: "+format, args...)
}

func notFound(format string, args ...any) *lambda.Error {
	return lambda.Errorf("NotFoundException", format, args...)
}

// A topicName is a topic that a request names.
type topicName struct {
	scope lambda.Scope
	name  string
}

func (n topicName) arn() string  { return n.scope.ARN("sns", n.name) }
func (n topicName) isFIFO() bool { return strings.HasSuffix(n.name, ".fifo") }

// parseTopic reads the ARN of a topic.
func parseTopic(arn string) (topicName, bool) {
	parts := strings.Split(arn, ":")
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "sns" || !lambda.IsAccount(parts[4]) || parts[3] == "" || parts[5] == "" {
		return topicName{}, false
	}
	return topicName{lambda.Scope{Account: parts[4], Region: parts[3]}, parts[5]}, true
}

// topic finds the topic that a request names.
func topic(c *wire.Call, r store.Reader, arn string) (topicName, *store.Topic, error) {
	n, ok := parseTopic(arn)
	if !ok {
		return n, nil, invalid("TopicArn Reason: An ARN must have at least 6 elements, not %d", len(strings.Split(arn, ":")))
	}
	if n.scope != c.Scope {
		return n, nil, invalid("TopicArn")
	}
	t, ok := store.Topics.Get(r, n.scope, n.name)
	if !ok {
		return n, nil, notFound("Topic does not exist")
	}
	return n, t, nil
}

// pageItems are on each page of a list, as on AWS.
const pageItems = 100

func newPage(token wire.Opt[string]) (*wire.Page, error) {
	p, ok := wire.NewPage(token, pageItems)
	if !ok {
		return nil, invalid("NextToken")
	}
	return p, nil
}

// Certificate serves the certificate of the messages' signatures, below Path.
func (s *Service) Certificate(w http.ResponseWriter, r *http.Request) {
	text, err := s.signer.pem()
	if err != nil {
		s.opt.Logger.Error("the certificate of SNS", "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	// An error means that the client is gone.
	_, _ = w.Write(text)
}

// CertificatePath is where the server serves Certificate.
const CertificatePath = wire.SitePrefix + "sns/SimpleNotificationService.pem"

func (s *Service) certificateURL() string { return s.opt.URL + CertificatePath }

func timestamp(ns int64) string {
	return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000Z")
}

func parseFailed(what string, err error) error { return fmt.Errorf("decode %s: %w", what, err) }
