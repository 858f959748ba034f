package lambda

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/weir-run/weir/engine"
)

// A silent queue never has a message.
type silent struct{}

func openSilent(arn string) (engine.Source, error) {
	if arn != queueARN {
		return nil, engine.ErrNoSource
	}
	return silent{}, nil
}

func (silent) Describe(context.Context) (engine.SourceInfo, error) {
	return engine.SourceInfo{Visibility: 30 * time.Second}, nil
}

func (silent) Receive(_ int, deliver func([]engine.SourceMessage, error)) func() {
	return func() { go deliver(nil, nil) }
}

func (silent) Delete(context.Context, []engine.SourceMessage) error { return nil }

const mappingsPath = "/2015-03-31/event-source-mappings"

func (h *harness) mapTo(function, more string) string {
	h.Helper()
	return h.ok("POST", mappingsPath, `{"FunctionName":"`+function+`","EventSourceArn":"`+queueARN+`","Enabled":false`+more+`}`)["UUID"].(string)
}

// TestMappingDuplicate refuses a second mapping of a queue to a function, whether it is made
// or becomes one by an update.
func TestMappingDuplicate(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	h.create("g", "")
	first, second := h.mapTo("f", ""), h.mapTo("g", "")
	for _, r := range []reply{
		h.do("POST", mappingsPath, `{"FunctionName":"f","EventSourceArn":"`+queueARN+`"}`),
		h.do("PUT", mappingsPath+"/"+second, `{"FunctionName":"f"}`),
	} {
		want := `An event source mapping with SQS arn (\" ` + queueARN + ` \") and function (\" f \") already exists. Please update or delete the existing mapping with UUID ` + first
		if r.status != 409 || r.header.Get("X-Amzn-Errortype") != "ResourceConflictException" || !strings.Contains(r.body, want) {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
	if got := h.ok("GET", mappingsPath+"/"+second, "")["FunctionArn"]; got != "arn:aws:lambda:us-east-1:111111111111:function:g" {
		t.Errorf("the refused update made it %v", got)
	}
	h.ok("PUT", mappingsPath+"/"+second, `{"FunctionName":"g","BatchSize":5}`)
}

func TestMappingRefusals(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	make := func(more string) string {
		return `{"FunctionName":"f","EventSourceArn":"` + queueARN + `",` + more + `}`
	}
	h.refuses([]refusal{
		{"poller group", "POST", mappingsPath, make(`"ProvisionedPollerConfig":{"MinimumPollers":2,"PollerGroupName":"x"}`), 400, "InvalidParameterValueException",
			user("Unsupported PollerGroupName parameter for given event source mapping type.")},
		{"no window", "POST", mappingsPath, make(`"BatchSize":11`), 400, "InvalidParameterValueException",
			user("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10")},
		{"destination", "POST", mappingsPath, make(`"DestinationConfig":{}`), 400, "InvalidParameterValueException",
			user("Unsupported DestinationConfig parameter for given event source mapping type.")},
		{"filter", "POST", mappingsPath, make(`"FilterCriteria":{"Filters":[{"Pattern":"null"}]}`), 400, "InvalidParameterValueException", user("Invalid filter pattern definition.")},
	})
}

// TestMappingDisable disables a mapping whose function has become too slow for its queue.
func TestMappingDisable(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	path := mappingsPath + "/" + h.mapTo("f", "")
	settled := func(state string) {
		h.until("the mapping is "+state, func() bool { return h.ok("GET", path, "")["State"] == state })
	}
	h.ok("PUT", path, `{"Enabled":true}`)
	settled("Enabled")
	h.ok("PUT", "/2015-03-31/functions/f/configuration", `{"Timeout":60}`)
	h.settled("f")
	slow := user("Queue visibility timeout: 30 seconds is less than Function timeout: 60 seconds")
	h.refuses([]refusal{{"another change", "PUT", path, `{"BatchSize":5}`, 400, "InvalidParameterValueException", slow}})
	h.ok("PUT", path, `{"Enabled":false}`)
	settled("Disabled")
	h.refuses([]refusal{{"enable", "PUT", path, `{"Enabled":true}`, 400, "InvalidParameterValueException", slow}})
}
