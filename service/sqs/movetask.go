package sqs

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	api "github.com/weir-run/weir/aws/sqs"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// A moveTask moves the messages of a dead-letter queue. A restart forgets it; what it has
// moved by then stays moved, and nothing is lost. Its state is guarded by Service.mu.
type moveTask struct {
	id      string
	source  *store.Queue
	to      *store.Queue // nil: each message to where it came from
	rate    int          // messages a second; 0: as fast as it goes
	cancel  context.CancelFunc
	started time.Time

	status string
	reason string // of a failure
	moved  int
	toMove int
}

// Bounds of move tasks.
const (
	maxMoveRate   = 500 // messages a second
	maxTasks      = 10  // that a queue remembers
	moveAtOnce    = 500 // messages
	statusRuns    = "RUNNING"
	statusDone    = "COMPLETED"
	statusStops   = "CANCELLING"
	statusStopped = "CANCELLED"
	statusFailed  = "FAILED"
)

// A taskHandle names a task; AWS's has the same form.
type taskHandle struct {
	TaskID    string `json:"taskId"`
	SourceArn string `json:"sourceArn"`
}

func (t *moveTask) handle() string {
	text, err := json.Marshal(taskHandle{t.id, t.source.ARN()})
	if err != nil {
		panic(err) // two strings
	}
	return base64.StdEncoding.EncodeToString(text)
}

func resourceMissing(parameter string) *lambda.Error {
	return lambda.Errorf("ResourceNotFoundException", "The resource that you specified for the %s parameter doesn't exist.", parameter)
}

func (s *Service) queueOfARN(c *wire.Call, arn, parameter string) (*store.Queue, error) {
	scope, name, ok := parseARN(arn)
	if !ok {
		return nil, invalid("You must use this format to specify the %s: arn:<<partition>>:<<service>>:<<region>>:<<account-id>>:<<resource-id>>", parameter)
	}
	q, ok := s.opt.Queues.Get(scope, name)
	if !ok || scope != c.Scope {
		return nil, resourceMissing(parameter)
	}
	return q, nil
}

// StartMessageMoveTask begins to move the messages of a dead-letter queue.
func (s *Service) StartMessageMoveTask(c *wire.Call, in *api.StartMessageMoveTaskRequest) (*api.StartMessageMoveTaskResult, error) {
	if err := checkKnown(c); err != nil {
		return nil, err
	}
	t := &moveTask{id: uuid.NewString(), started: time.Now(), status: statusRuns, rate: int(in.MaxNumberOfMessagesPerSecond.V)}
	var err error
	if t.source, err = s.queueOfARN(c, in.SourceArn.V, "SourceArn"); err != nil {
		return nil, err
	}
	isDead := false
	s.opt.Queues.List(c.Scope, "", "", func(q *store.Queue) bool {
		isDead = q.Config().DeadLetter == t.source.Name
		return !isDead
	})
	if !isDead {
		return nil, invalid("Source queue must be configured as a Dead Letter Queue.")
	}
	if in.DestinationArn.OK {
		if t.to, err = s.queueOfARN(c, in.DestinationArn.V, "DestinationArn"); err != nil {
			return nil, err
		}
		if t.to == t.source {
			return nil, invalid("The source and the destination of a message move task must not be the same queue.")
		}
		if t.to.Config().FIFO != t.source.Config().FIFO {
			return nil, invalid("The source and the destination of a message move task must be of the same queue type.")
		}
	}
	if r := in.MaxNumberOfMessagesPerSecond; r.OK && (r.V < 1 || r.V > maxMoveRate) {
		return nil, invalidValue(r.V, "MaxNumberOfMessagesPerSecond", "Must be between 1 and 500, if provided.")
	}
	if err := s.startTask(t); err != nil {
		return nil, err
	}
	return &api.StartMessageMoveTaskResult{TaskHandle: wire.Some(t.handle())}, nil
}

func (s *Service) startTask(t *moveTask) error {
	t.toMove = t.source.Counts().Visible
	s.mu.Lock()
	defer s.mu.Unlock()
	id := idOf(t.source)
	tasks := s.mu.tasks[id]
	if slices.ContainsFunc(tasks, func(t *moveTask) bool { return t.status == statusRuns || t.status == statusStops }) {
		return invalid("There is already a task running. Only one active task is allowed for a source queue arn at a given time.")
	}
	var ctx context.Context
	ctx, t.cancel = context.WithCancel(s.stop)
	s.mu.tasks[id] = append([]*moveTask{t}, tasks[:min(len(tasks), maxTasks-1)]...)
	s.work.Go(func() { s.run(ctx, t) })
	return nil
}

// run moves messages until the queue has no visible ones.
func (s *Service) run(ctx context.Context, t *moveTask) {
	defer t.cancel()
	pause, atOnce := time.Duration(0), moveAtOnce
	if t.rate > 0 {
		pause, atOnce = time.Second/time.Duration(t.rate), 1
	}
	for {
		select {
		case <-ctx.Done():
			s.end(t, statusStopped, "")
			return
		case <-time.After(pause):
		}
		n, err := t.source.Move(t.to, atOnce)
		s.mu.Lock()
		t.moved += n
		s.mu.Unlock()
		switch {
		case errors.Is(err, store.ErrNoQueue):
			s.end(t, statusFailed, "AWS.SimpleQueueService.NonExistentQueue")
			return
		case errors.Is(err, store.ErrNoSource):
			s.end(t, statusFailed, "CouldNotDetermineMessageSource")
			return
		case err != nil:
			s.opt.Logger.Error("a message move task failed", "source", t.source.ARN(), "error", err)
			s.end(t, statusFailed, "InternalError")
			return
		case n == 0:
			s.end(t, statusDone, "")
			return
		}
	}
}

func (s *Service) end(t *moveTask, status, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.status, t.reason = status, reason
}

// CancelMessageMoveTask ends a task; what it has moved stays moved.
func (s *Service) CancelMessageMoveTask(c *wire.Call, in *api.CancelMessageMoveTaskRequest) (*api.CancelMessageMoveTaskResult, error) {
	if err := checkKnown(c); err != nil {
		return nil, err
	}
	var h taskHandle
	text, err := base64.StdEncoding.DecodeString(in.TaskHandle.V)
	if err != nil || json.Unmarshal(text, &h) != nil || h.TaskID == "" {
		return nil, invalid("Value for parameter TaskHandle is invalid.")
	}
	q, err := s.queueOfARN(c, h.SourceArn, "SourceArn")
	if err != nil {
		return nil, resourceMissing("SourceArn")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.mu.tasks[idOf(q)] {
		if t.id != h.TaskID {
			continue
		}
		if t.status != statusRuns {
			return nil, invalid("Only active tasks can be cancelled.")
		}
		t.status = statusStops
		t.cancel()
		return &api.CancelMessageMoveTaskResult{ApproximateNumberOfMessagesMoved: wire.Some(int64(t.moved))}, nil
	}
	return nil, lambda.Errorf("ResourceNotFoundException", "Task does not exist.")
}

// ListMessageMoveTasks answers the latest tasks of a queue.
func (s *Service) ListMessageMoveTasks(c *wire.Call, in *api.ListMessageMoveTasksRequest) (*api.ListMessageMoveTasksResult, error) {
	if err := checkKnown(c); err != nil {
		return nil, err
	}
	q, err := s.queueOfARN(c, in.SourceArn.V, "SourceArn")
	if err != nil {
		return nil, err
	}
	limit := in.MaxResults.Or(1)
	if limit < 1 || limit > maxTasks {
		return nil, invalidValue(limit, "MaxResults", "Must be between 1 and 10, if provided.")
	}
	out := &api.ListMessageMoveTasksResult{Results: []api.ListMessageMoveTasksResultEntry{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.mu.tasks[idOf(q)] {
		if len(out.Results) < int(limit) {
			out.Results = append(out.Results, t.entry())
		}
	}
	return out, nil
}

func (t *moveTask) entry() api.ListMessageMoveTasksResultEntry {
	e := api.ListMessageMoveTasksResultEntry{
		Status: wire.Some(t.status), SourceArn: wire.Some(t.source.ARN()), StartedTimestamp: wire.Some(t.started.UnixMilli()),
		ApproximateNumberOfMessagesMoved: wire.Some(int64(t.moved)), ApproximateNumberOfMessagesToMove: wire.Some(int64(t.toMove)),
	}
	if t.status == statusRuns {
		e.TaskHandle = wire.Some(t.handle())
	}
	if t.to != nil {
		e.DestinationArn = wire.Some(t.to.ARN())
	}
	if t.rate > 0 {
		e.MaxNumberOfMessagesPerSecond = wire.Some(int32(t.rate))
	}
	if t.reason != "" {
		e.FailureReason = wire.Some(t.reason)
	}
	return e
}
