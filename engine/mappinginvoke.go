package engine

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/weir-run/weir/delivery"
	"github.com/weir-run/weir/environment"
	"github.com/weir-run/weir/lambda"
)

// A mappingBatch is what one invocation of a mapping needs.
type mappingBatch struct {
	id      delivery.BatchID
	inv     lambda.Invocation
	ids     map[string]delivery.MessageID
	reports bool // the function reports which messages failed
}

// batchLocked puts a batch together.
func (m *mapping) batchLocked(x delivery.MappingEffect) *mappingBatch {
	r := m.mu.record
	b := &mappingBatch{id: x.Batch, ids: make(map[string]delivery.MessageID, len(x.Messages)), reports: r.ReportsFailures}
	records := make([][]byte, len(x.Messages))
	trace := ""
	for i, id := range x.Messages {
		h := m.mu.held[id]
		records[i] = h.record
		b.ids[h.message.ID] = id
		if t := h.message.system(traceHeader); trace == "" {
			trace = t
		}
	}
	if trace == "" {
		trace = NewTrace(time.Now())
	}
	b.inv = lambda.Invocation{
		Scope: m.scope, Function: r.Function, Qualifier: r.Qualifier, Type: lambda.RequestResponse,
		RequestID: uuid.NewString(), TraceID: trace, Payload: batchEvent(records), Roll: m.engine.roll(),
	}
	return b
}

// invoke runs the function on a batch and tells the machine what came of it.
func (m *mapping) invoke(b *mappingBatch) {
	out, err := m.engine.Invoke(m.engine.ctx, &b.inv)
	var failed []delivery.MessageID
	result := delivery.FunctionFailed
	switch {
	case isCode(err, codeRecursion):
	case err != nil:
		result = delivery.Refused
	case out.FunctionError != "":
	case b.reports:
		failed, result = batchResult(out.Payload, b.ids)
	default:
		result = delivery.Succeeded
	}
	environment.Recycle(out.Payload)
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(failed); result != delivery.Succeeded || n > 0 {
		if result != delivery.Succeeded {
			n = len(b.ids)
		}
		m.countLocked("FailedInvokeEventCount", n)
	}
	m.stepLocked(delivery.Answered(b.id, result, failed))
}

// The deletion of messages is tried so often, with so much time in between; messages that
// could not be deleted come again.
const (
	deleteTries = 5
	deleteEvery = time.Second
	maxDelete   = 10 // messages at a time, SQS's bound
)

// remove deletes messages from the queue.
func (m *mapping) remove(messages []SourceMessage) {
	for len(messages) > 0 {
		n := min(len(messages), maxDelete)
		m.removeSome(messages[:n])
		messages = messages[n:]
	}
}

func (m *mapping) removeSome(messages []SourceMessage) {
	// What was processed is deleted even while the engine closes.
	ctx := context.WithoutCancel(m.engine.ctx)
	err := m.source.Delete(ctx, messages)
	for try := 1; err != nil && try < deleteTries && m.engine.ctx.Err() == nil; try++ {
		select {
		case <-time.After(deleteEvery):
		case <-m.engine.ctx.Done():
		}
		err = m.source.Delete(ctx, messages)
	}
	if err == nil {
		return
	}
	m.engine.opt.Logger.Error("delete processed messages; they will come again", "messages", len(messages), "error", err)
}
