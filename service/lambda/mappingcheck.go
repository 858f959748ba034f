package lambda

import (
	"errors"
	"time"

	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/filter"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// Defaults and bounds of event source mappings of SQS (AWS: "Using Lambda with Amazon SQS").
const (
	defaultBatch      = 10
	maxFIFOBatch      = 10
	maxPlainBatch     = 10 // without a batching window
	defaultMinPollers = 2
	defaultMaxPollers = 200
	leastPollers      = 2
	eventCount        = "EventCount" // the group of metrics that mappings of queues have
)

// streamParameters are those of mappings of other sources than queues.
var streamParameters = []string{
	"DestinationConfig", "StartingPosition", "StartingPositionTimestamp", "ParallelizationFactor", "MaximumRecordAgeInSeconds",
	"BisectBatchOnFunctionError", "MaximumRetryAttempts", "TumblingWindowInSeconds", "Topics", "Queues",
}

// mappable refuses sources and parameters that a mapping cannot have here.
func (s *Service) mappable(c *wire.Call, in wire.Struct, source string, metrics *api.EventSourceMappingMetricsConfig, pollers *api.ProvisionedPollerConfig) error {
	switch service := serviceOf(source); service {
	case "sqs":
	case "":
		return invalid("Unrecognized event source.")
	case "kinesis", "dynamodb", "kafka", "mq", "rds":
		return invalid("weir does not support event source mappings of the service %s yet.", service)
	default:
		return invalid("Unrecognized event source.")
	}
	for _, name := range wire.Given(in) {
		if contains(streamParameters, name) {
			return invalid("Unsupported %s parameter for given event source mapping type.", name)
		}
	}
	if pollers != nil && pollers.PollerGroupName.OK {
		return invalid("Unsupported PollerGroupName parameter for given event source mapping type.")
	}
	if metrics != nil {
		for _, group := range metrics.Metrics {
			if group != eventCount {
				return invalid("Unsupported MetricsConfig parameter for given event source mapping type.")
			}
		}
	}
	return s.supported(c, in, "UUID", "MetricsConfig", "EventSourceArn", "FunctionName", "Enabled", "BatchSize", "FilterCriteria", "ScalingConfig",
		"MaximumBatchingWindowInSeconds", "FunctionResponseTypes", "ProvisionedPollerConfig")
}

// checkMapping holds a mapping against its function and its queue.
func (s *Service) checkMapping(c *wire.Call, m *lambda.EventSourceMapping) error {
	v, err := target{c.Scope, m.Function, m.Qualifier}.version(s.snapshot())
	if err != nil {
		return invalid("Function does not exist")
	}
	_, queue, err := s.opt.Engine.Source(c.Context(), m.Source)
	switch {
	case errors.Is(err, engine.ErrNoSource):
		return invalid("Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does not exist.")
	case err != nil:
		return invalid("Error occurred while ReceiveMessage. %v", err)
	}
	if _, err := filter.NewCriteria(filter.SQS, m.Filters); err != nil {
		return invalid("%v", err)
	}
	timeout := time.Duration(v.TimeoutSec) * time.Second
	switch {
	case queue.FIFO && m.WindowSec > 0:
		return invalid("Batching window is not supported for FIFO queues")
	case queue.FIFO && m.BatchSize > maxFIFOBatch:
		return invalid("Maximum batch size must be between 1 and %d inclusive", maxFIFOBatch)
	case m.BatchSize > maxPlainBatch && m.WindowSec == 0:
		return invalid("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than %d", maxPlainBatch)
	case queue.Visibility < timeout:
		return invalid("Queue visibility timeout: %d seconds is less than Function timeout: %d seconds", int(queue.Visibility.Seconds()), v.TimeoutSec)
	}
	return s.checkMappingScale(c.Scope, m)
}

// checkMappingScale checks what a mapping says about its concurrency.
func (s *Service) checkMappingScale(scope lambda.Scope, m *lambda.EventSourceMapping) error {
	reserved, isReserved := store.Reserved.Get(s.snapshot(), scope, m.Function)
	switch {
	case m.MaxConcurrency > 0 && m.MaxPollers > 0:
		return invalid("ScalingConfig and ProvisionedPollerConfig cannot be used together.")
	case isReserved && m.MaxConcurrency > reserved.Concurrency:
		return invalid("The maximum concurrency of the event source mapping (%d) must not exceed the reserved concurrency of the function (%d).", m.MaxConcurrency, reserved.Concurrency)
	case m.MaxPollers > 0 && (m.MinPollers < leastPollers || m.MaxPollers < leastPollers):
		return invalid("The pollers of an event source mapping of SQS must be at least %d.", leastPollers)
	case m.MinPollers > m.MaxPollers:
		return invalid("MinimumPollers must not be greater than MaximumPollers.")
	}
	return nil
}

// checkDuplicate refuses a second mapping of a queue to a function.
func checkDuplicate(tx *store.Tx, scope lambda.Scope, m *lambda.EventSourceMapping) error {
	var other string
	store.EventSourceMappings.Scan(tx, scope, "", func(id string, x *lambda.EventSourceMapping) bool {
		if id != m.ID && x.Source == m.Source && x.Function == m.Function && x.Qualifier == m.Qualifier && x.State != lambda.MappingDeleting {
			other = id
		}
		return other == ""
	})
	if other == "" {
		return nil
	}
	return conflict(`An event source mapping with SQS arn (" %s ") and function (" %s ") already exists. Please update or delete the existing mapping with UUID %s`, m.Source, m.Function, other)
}
