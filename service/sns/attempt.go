package sns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// Bounds of an attempt.
const (
	attemptTimeout = 15 * time.Second // AWS's for http
	maxAnswer      = 64 << 10         // bytes of an endpoint's answer that are read
	deadLetterTry  = 10               // attempts to reach a dead-letter queue
	deadLetterWait = time.Minute      // between them
)

// A final error is one that a repetition does not cure.
type final struct{ error }

func isFinal(err error) bool {
	var known *lambda.Error
	if errors.As(err, &known) {
		return known.Code != lambda.CodeResourceConflict && known.Code != lambda.CodeTooManyRequests && known.Code != lambda.CodeService
	}
	return errors.As(err, new(final))
}

// client does not follow redirects: as on AWS they are failures.
var client = &http.Client{
	Timeout:       attemptTimeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// parseTarget reads message.target.
func parseTarget(target string) (scope lambda.Scope, name, group string, ok bool) {
	target, group, _ = strings.Cut(target, "\n")
	parts := strings.SplitN(target, "/", 3)
	if len(parts) != 3 {
		return scope, "", "", false
	}
	return lambda.Scope{Account: parts[0], Region: parts[1]}, parts[2], group, true
}

// laneOf keeps the order of the groups of FIFO topics.
func laneOf(target string) (string, int) {
	if strings.Contains(target, "\n") {
		return target, 1
	}
	return target, maxPerLane
}

// attempt tries to deliver, and says when to try again, if at all.
func (s *Service) attempt(ctx context.Context, d store.Delivery) (time.Duration, bool) {
	scope, name, _, ok := parseTarget(d.Target)
	text, kept, err := s.opt.Store.FanOut().Read(d.Message)
	if err != nil {
		s.opt.Logger.Error("a message of SNS", "message", d.Message, "error", err)
		return deadLetterWait, true
	}
	r := s.snapshot()
	sub, subscribed := store.Subscriptions.Get(r, scope, name)
	if !kept || !ok || !subscribed {
		return 0, false // delivered before a crash, or nobody wants it any more
	}
	m := new(message)
	if err := json.Unmarshal(text, m); err != nil {
		s.opt.Logger.Error("a message of SNS was dropped", "message", d.Message, "error", parseFailed("a message", err))
		return 0, false
	}
	t, _ := store.Topics.Get(r, scope, sub.Topic)
	retries, request := managedRetries, requestPolicy{}
	if sub.Protocol == "http" || sub.Protocol == "https" {
		p, err := parseDelivery(deliveryPolicyOf(t, sub))
		if err != nil {
			p = new(deliveryPolicy) // it was checked when it was set
		}
		retries, request = p.resolve()
	}
	if int(d.Attempts) > retries.Retries {
		return s.deadLetter(ctx, m, t, sub, d, errors.New("the retries are exhausted"), int(d.Attempts)-retries.Retries)
	}
	err = s.deliver(ctx, m, t, sub, d, request)
	if ctx.Err() != nil && err != nil {
		return 0, true // the server stops
	}
	delay, more := retries.delay(int(d.Attempts) + 1)
	more = more && !isFinal(err)
	s.measure(m, sub, err, more)
	if err == nil {
		return 0, false
	}
	s.opt.Logger.Debug("a delivery of SNS failed", "subscription", subscriptionName{m.topic(), sub.ID}.arn(), "messageId", m.ID, "attempt", d.Attempts+1, "error", err)
	if more {
		return delay, true
	}
	return s.deadLetter(ctx, m, t, sub, d, err, 1)
}

// measure counts an attempt. AWS counts every attempt that fails by http, and by all others
// the message that is given up.
func (s *Service) measure(m *message, sub *store.Subscription, err error, more bool) {
	switch {
	case m.Confirm != "":
	case err == nil:
		s.meter.one(m.topic(), delivered)
	case !more || strings.HasPrefix(sub.Protocol, "http"):
		s.meter.one(m.topic(), failed)
	}
}

// deadLetter sends what could not be delivered to the subscription's dead-letter queue, if it
// has one. try counts from 1.
func (s *Service) deadLetter(ctx context.Context, m *message, t *store.Topic, sub *store.Subscription, d store.Delivery, cause error, try int) (time.Duration, bool) {
	log := s.opt.Logger.With("subscription", subscriptionName{m.topic(), sub.ID}.arn(), "messageId", m.ID)
	policy := sub.Attributes["RedrivePolicy"]
	if policy == "" || m.Confirm != "" {
		log.Warn("a message of SNS was dropped", "attempts", d.Attempts+1, "error", cause)
		return 0, false
	}
	arn, err := deadLetterTarget(policy)
	if err == nil && s.opt.Targets.Queue == nil {
		err = errors.New("this server has no queues")
	}
	var q *QueueMessage
	if err == nil {
		q, err = s.queueMessage(m, t, sub, d)
	}
	if err == nil {
		err = s.opt.Targets.Queue(ctx, arn, q)
	}
	switch {
	case err == nil:
		s.meter.one(m.topic(), redriven)
		log.Info("a message of SNS went to the dead-letter queue", "queue", arn, "attempts", d.Attempts+1, "error", cause)
		return 0, false
	case try >= deadLetterTry || isFinal(err):
		s.meter.one(m.topic(), notRedriven)
		log.Warn("a message of SNS was dropped", "queue", arn, "attempts", d.Attempts+1, "error", errors.Join(cause, err))
		return 0, false
	}
	return deadLetterWait, true
}

// deliver makes one attempt by the subscription's protocol.
func (s *Service) deliver(ctx context.Context, m *message, t *store.Topic, sub *store.Subscription, d store.Delivery, request requestPolicy) error {
	switch sub.Protocol {
	case "lambda":
		if s.opt.Targets.Function == nil {
			return errors.New("this server has no functions")
		}
		payload, err := s.functionEvent(m, t, sub)
		if err != nil {
			return err
		}
		return s.opt.Targets.Function(ctx, sub.Endpoint, payload, m.Trace)
	case "sqs":
		if s.opt.Targets.Queue == nil {
			return errors.New("this server has no queues")
		}
		q, err := s.queueMessage(m, t, sub, d)
		if err != nil {
			return err
		}
		return s.opt.Targets.Queue(ctx, sub.Endpoint, q)
	}
	return s.post(ctx, m, t, sub, d, request)
}

// queueMessage is what a queue gets: the notification, or with RawMessageDelivery the text
// with the message's attributes.
func (s *Service) queueMessage(m *message, t *store.Topic, sub *store.Subscription, d store.Delivery) (*QueueMessage, error) {
	q := &QueueMessage{TraceID: m.Trace, GroupID: m.Group, DedupID: m.Dedup}
	if sub.Attributes["RawMessageDelivery"] == "true" {
		q.Body, q.Attributes = []byte(m.text(sub.Protocol)), m.Attributes
		return q, nil
	}
	body, err := s.notification(m, t, sub, d)
	q.Body = body
	return q, err
}

// post sends a message to an http or https endpoint, with AWS's headers.
func (s *Service) post(ctx context.Context, m *message, t *store.Topic, sub *store.Subscription, d store.Delivery, policy requestPolicy) error {
	raw := sub.Attributes["RawMessageDelivery"] == "true" && m.Confirm == ""
	body := []byte(m.text(sub.Protocol))
	if !raw {
		var err error
		if body, err = s.notification(m, t, sub, d); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, sub.Endpoint, strings.NewReader(string(body)))
	if err != nil {
		return final{err}
	}
	h := request.Header
	h.Set("X-Amz-Sns-Message-Type", m.kind())
	h.Set("X-Amz-Sns-Message-Id", m.ID)
	h.Set("X-Amz-Sns-Topic-Arn", m.topic().arn())
	if m.Confirm == "" {
		h.Set("X-Amz-Sns-Subscription-Arn", subscriptionName{m.topic(), sub.ID}.arn())
	}
	if raw {
		h.Set("X-Amz-Sns-Rawdelivery", "true")
	}
	h.Set("Content-Type", policy.ContentType)
	h.Set("User-Agent", "Amazon Simple Notification Service Agent")
	h.Set("X-Amzn-Trace-Id", m.Trace)
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("post to %s: %w", sub.Endpoint, err)
	}
	defer answer.Body.Close()
	// The answer's body says nothing; reading it lets the connection be used again.
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer)
	switch code := answer.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code >= 500 || code == http.StatusTooManyRequests:
		return fmt.Errorf("%s answers %s", sub.Endpoint, answer.Status)
	default:
		return final{fmt.Errorf("%s answers %s", sub.Endpoint, answer.Status)}
	}
}
