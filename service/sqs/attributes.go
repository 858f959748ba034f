package sqs

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// MaxMessage is the most bytes of a message with its attributes, and of a batch (AWS: 1 MiB
// since August 2025).
const MaxMessage = 1 << 20

// An attribute is what can be set of a queue.
type attribute struct {
	name     string
	min, max int      // of a number, if max > 0
	values   []string // else one of these; none: any text
	initial  string   // empty: not returned until it is set
	fifo     bool     // of FIFO queues only
}

var booleans = []string{"true", "false"}

var settable = []attribute{
	{name: "DelaySeconds", max: 900, initial: "0"},
	{name: "MaximumMessageSize", min: 1024, max: MaxMessage, initial: strconv.Itoa(MaxMessage)},
	{name: "MessageRetentionPeriod", min: 60, max: 1_209_600, initial: "345600"},
	{name: "ReceiveMessageWaitTimeSeconds", max: 20, initial: "0"},
	{name: "VisibilityTimeout", max: 43_200, initial: "30"},
	{name: "Policy"},
	{name: "RedrivePolicy"},
	{name: "RedriveAllowPolicy"},
	{name: "KmsMasterKeyId"},
	{name: "KmsDataKeyReusePeriodSeconds", min: 60, max: 86_400},
	{name: "SqsManagedSseEnabled", values: booleans, initial: "true"},
	{name: "FifoQueue", values: booleans, fifo: true},
	{name: "ContentBasedDeduplication", values: booleans, initial: "false", fifo: true},
	{name: "DeduplicationScope", values: []string{"queue", "messageGroup"}, initial: "queue", fifo: true},
	{name: "FifoThroughputLimit", values: []string{"perQueue", "perMessageGroupId"}, initial: "perQueue", fifo: true},
}

// measured are the attributes that can only be read.
var measured = []string{
	"QueueArn", "CreatedTimestamp", "LastModifiedTimestamp", "ApproximateNumberOfMessages",
	"ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed",
}

func settableNamed(name string) (attribute, bool) {
	i := slices.IndexFunc(settable, func(a attribute) bool { return a.name == name })
	if i < 0 {
		return attribute{}, false
	}
	return settable[i], true
}

func unknownAttribute(name string) *lambda.Error {
	return lambda.Errorf("InvalidAttributeName", "Unknown Attribute %s.", name)
}

func badAttribute(name string) *lambda.Error {
	return lambda.Errorf("InvalidAttributeValue", "Invalid value for the parameter %s.", name)
}

// checkAttributes checks attributes one by one. An empty text takes a policy back.
func checkAttributes(attributes map[string]string, fifo bool) error {
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		value := attributes[name]
		a, ok := settableNamed(name)
		switch {
		case !ok, a.fifo && !fifo:
			return unknownAttribute(name)
		case a.max > 0:
			n, err := strconv.Atoi(value)
			if err != nil || n < a.min || n > a.max {
				return badAttribute(name)
			}
		case a.values != nil:
			if !slices.Contains(a.values, value) {
				return badAttribute(name)
			}
		case name == "Policy" && value != "" && !json.Valid([]byte(value)):
			return lambda.Errorf("InvalidAttributeValue", "Invalid value for the parameter Policy.")
		}
	}
	return nil
}

// configure puts attributes, which are checked, into a queue's record and derives from all
// of them what the store acts on.
func configure(c *store.QueueConfig, attributes map[string]string) error {
	all := maps.Clone(c.Attributes)
	if all == nil {
		all = make(map[string]string)
	}
	for name, value := range attributes {
		if value == "" {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
	if attributes["KmsMasterKeyId"] != "" && attributes["SqsManagedSseEnabled"] == "true" {
		return lambda.Errorf("InvalidAttributeName", "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.")
	}
	switch {
	case attributes["KmsMasterKeyId"] != "":
		all["SqsManagedSseEnabled"] = "false"
	case attributes["SqsManagedSseEnabled"] == "true":
		delete(all, "KmsMasterKeyId")
		delete(all, "KmsDataKeyReusePeriodSeconds")
	}
	c.Attributes = all
	if effective(c, "FifoThroughputLimit") == "perMessageGroupId" && effective(c, "DeduplicationScope") != "messageGroup" {
		return badAttribute("FifoThroughputLimit")
	}
	c.ContentDedup = effective(c, "ContentBasedDeduplication") == "true"
	c.DedupPerGroup = effective(c, "DeduplicationScope") == "messageGroup"
	c.Delay = seconds(c, "DelaySeconds")
	c.Visibility = seconds(c, "VisibilityTimeout")
	c.Retention = seconds(c, "MessageRetentionPeriod")
	return nil
}

// effective returns an attribute as it is set, or else its initial value.
func effective(c *store.QueueConfig, name string) string {
	if value, ok := c.Attributes[name]; ok {
		return value
	}
	a, _ := settableNamed(name)
	if a.fifo && !c.FIFO {
		return ""
	}
	if name == "KmsDataKeyReusePeriodSeconds" && c.Attributes["KmsMasterKeyId"] != "" {
		return "300"
	}
	return a.initial
}

// number returns an attribute that was checked to be a number.
func number(c *store.QueueConfig, name string) int {
	n, err := strconv.Atoi(effective(c, name))
	if err != nil {
		panic("sqs: the attribute " + name + " is no number")
	}
	return n
}

func seconds(c *store.QueueConfig, name string) time.Duration {
	return time.Duration(number(c, name)) * time.Second
}

func maximumSize(c *store.QueueConfig) int { return number(c, "MaximumMessageSize") }

// read returns the attributes of a queue that are asked for by name.
func read(q *store.Queue, names []string) (map[string]string, error) {
	c := q.Config()
	all := slices.Contains(names, "All")
	for _, name := range names {
		if _, ok := settableNamed(name); name != "All" && !ok && !slices.Contains(measured, name) {
			return nil, unknownAttribute(name)
		}
	}
	out := make(map[string]string)
	for _, a := range settable {
		if value := effective(c, a.name); value != "" && (all || slices.Contains(names, a.name)) {
			out[a.name] = value
		}
	}
	counts := q.Counts()
	for name, value := range map[string]string{
		"QueueArn":                              q.ARN(),
		"CreatedTimestamp":                      strconv.FormatInt(c.Created.Unix(), 10),
		"LastModifiedTimestamp":                 strconv.FormatInt(c.Modified.Unix(), 10),
		"ApproximateNumberOfMessages":           strconv.Itoa(counts.Visible),
		"ApproximateNumberOfMessagesNotVisible": strconv.Itoa(counts.InFlight),
		"ApproximateNumberOfMessagesDelayed":    strconv.Itoa(counts.Delayed),
	} {
		if all || slices.Contains(names, name) {
			out[name] = value
		}
	}
	return out, nil
}

// isQueueName tells whether a name is one of a queue, and of which kind.
func isQueueName(name string) (ok, fifo bool) {
	base, fifo := strings.CutSuffix(name, ".fifo")
	const max = 80 // characters
	return base != "" && len(name) <= max && isWord(base), fifo
}

// isWord tells whether a text has only letters, digits, hyphens and underscores.
func isWord(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == "" && !strings.ContainsAny(s, ". ")
}
