package lambda

import (
	"strings"
	"testing"
)

const eventConfig = "/2019-09-25/functions/f/event-invoke-config"

func TestInvokeEvent(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	r := h.do("POST", "/2015-03-31/functions/f/invocations", `{"n":1}`, "X-Amz-Invocation-Type: Event")
	if r.status != 202 || r.body != "" || r.header.Get("X-Amzn-Requestid") == "" || r.header.Get("X-Amz-Executed-Version") != "" {
		t.Errorf("Invoke: %d %q %v", r.status, r.body, r.header)
	}
	if r := h.do("POST", "/2014-11-13/functions/f/invoke-async/", `{"n":2}`); r.status != 202 {
		t.Errorf("InvokeAsync: %d %s", r.status, r.body)
	}
	if r := h.do("POST", "/2014-11-13/functions/f/invoke-async", `{"n`); r.status != 400 || r.header.Get("X-Amzn-Errortype") != "InvalidRequestContentException" {
		t.Errorf("InvokeAsync of no JSON: %d %s", r.status, r.body)
	}
	if r := h.do("POST", "/2015-03-31/functions/none/invocations", `{}`, "X-Amz-Invocation-Type: Event"); r.status != 404 {
		t.Errorf("an unknown function: %d %s", r.status, r.body)
	}
	big := `"` + strings.Repeat("x", 1<<20) + `"`
	r = h.do("POST", "/2015-03-31/functions/f/invocations", big, "X-Amz-Invocation-Type: Event")
	if want := `{"Message":"Request must be smaller than 1048576 bytes for the InvokeFunction operation"}`; r.status != 413 || r.body != want {
		t.Errorf("a big event: %d %s", r.status, r.body)
	}
}

func TestEventInvokeConfig(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	h.create("g", "")
	put := h.ok("PUT", eventConfig, `{"MaximumRetryAttempts":0,"DestinationConfig":{"OnFailure":{"Destination":"`+queueARN+`"}}}`)
	if put["FunctionArn"] != "arn:aws:lambda:us-east-1:111111111111:function:f:$LATEST" || put["MaximumRetryAttempts"] != 0.0 || put["MaximumEventAgeInSeconds"] != nil {
		t.Errorf("put: %v", put)
	}
	r := h.do("GET", eventConfig, "")
	if want := `"DestinationConfig":{"OnSuccess":{},"OnFailure":{"Destination":"` + queueARN + `"}}`; !strings.Contains(r.body, want) {
		t.Errorf("get: %s", r.body)
	}
	up := h.ok("POST", eventConfig, `{"MaximumEventAgeInSeconds":90}`)
	if up["MaximumRetryAttempts"] != 0.0 || up["MaximumEventAgeInSeconds"] != 90.0 {
		t.Errorf("update: %v", up)
	}
	if put = h.ok("PUT", eventConfig, `{"MaximumRetryAttempts":2}`); put["MaximumEventAgeInSeconds"] != nil {
		t.Errorf("put again: %v", put)
	}
	h.publish("f")
	h.ok("PUT", eventConfig+"?Qualifier=1", `{"DestinationConfig":{"OnSuccess":{"Destination":"arn:aws:lambda:us-east-1:111111111111:function:g"}}}`)
	list := h.ok("GET", eventConfig+"/list", "")["FunctionEventInvokeConfigs"].([]any)
	if len(list) != 2 {
		t.Errorf("list: %v", list)
	}
	h.ok("DELETE", eventConfig, "")
	h.ok("DELETE", "/2015-03-31/functions/f", "")
	h.create("f", "")
	if list := h.ok("GET", eventConfig+"/list", "")["FunctionEventInvokeConfigs"].([]any); len(list) != 0 {
		t.Errorf("a deleted function leaves %v", list)
	}
}

func TestEventInvokeConfigRefusals(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	const arn = "arn:aws:lambda:us-east-1:111111111111:function:f"
	to := func(half, arn string) string {
		return `{"DestinationConfig":{"` + half + `":{"Destination":"` + arn + `"}}}`
	}
	h.refuses([]refusal{
		{"put on no function", "PUT", strings.Replace(eventConfig, "/f/", "/none/", 1), `{"MaximumRetryAttempts":1}`, 404, "ResourceNotFoundException", userCapital("The function doesn't exist.")},
		{"put on no alias", "PUT", eventConfig + "?Qualifier=none", `{"MaximumRetryAttempts":1}`, 404, "ResourceNotFoundException", userCapital("The function doesn't exist.")},
		{"list of no function", "GET", strings.Replace(eventConfig, "/f/", "/none/", 1) + "/list", "", 404, "ResourceNotFoundException", userCapital("The function doesn't exist.")},
		{"get of none", "GET", eventConfig, "", 404, "ResourceNotFoundException", userCapital("The function " + arn + ":$LATEST doesn't have an EventInvokeConfig")},
		{"delete of none", "DELETE", eventConfig, "", 404, "ResourceNotFoundException", userCapital("The function " + arn + ":$LATEST doesn't have an EventInvokeConfig")},
		{"update of none", "POST", eventConfig, `{"MaximumRetryAttempts":1}`, 404, "ResourceNotFoundException", userCapital("The function " + arn + ":$LATEST doesn't have an EventInvokeConfig")},
		{"nothing set", "PUT", eventConfig, `{}`, 400, "InvalidParameterValueException", user("You must specify at least one of error handling or destination setting.")},
		{"no such queue", "PUT", eventConfig, to("OnFailure", queueARN+"2"), 400, "InvalidParameterValueException", user("The destination ARN " + queueARN + "2 is invalid.")},
		{"no such function", "PUT", eventConfig, to("OnFailure", arn+"2"), 400, "InvalidParameterValueException", user("The destination ARN " + arn + "2 is invalid.")},
		{"itself", "PUT", eventConfig, to("OnSuccess", arn), 400, "InvalidParameterValueException", user("You can't specify the function as a destination for itself.")},
		{"another service", "PUT", eventConfig, to("OnSuccess", "arn:aws:ec2:us-east-1:111111111111:x"), 400, "InvalidParameterValueException",
			user("The provided destination config DestinationConfig(onSuccess=OnSuccess(destination=arn:aws:ec2:us-east-1:111111111111:x), onFailure=null) is invalid.")},
		{"kafka", "PUT", eventConfig, to("OnFailure", "kafka://topic"), 400, "InvalidParameterValueException",
			user("The provided destination config DestinationConfig(onSuccess=null, onFailure=OnFailure(destination=kafka://topic)) is invalid.")},
		{"two qualifiers", "PUT", strings.Replace(eventConfig, "/f/", "/f:1/", 1) + "?Qualifier=2", `{"MaximumRetryAttempts":1}`, 400, "InvalidParameterValueException",
			user("The derived qualifier from the function name does not match the specified qualifier.")},
		{"three retries", "PUT", eventConfig, `{"MaximumRetryAttempts":3}`, 400, "ValidationException",
			plain("1 validation error detected: Value '3' at 'maximumRetryAttempts' failed to satisfy constraint: Member must have value less than or equal to 2")},
		{"no recursion setting", "PUT", "/2024-08-31/functions/f/recursion-config", `{"RecursiveLoop":"InvalidValue"}`, 400, "ValidationException",
			plain("1 validation error detected: Value 'InvalidValue' at 'recursiveLoop' failed to satisfy constraint: Member must satisfy enum value set: [Terminate, Allow]")},
	})
}

func TestRecursionConfig(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	const path = "/2024-08-31/functions/f/recursion-config"
	for _, want := range []string{"Terminate", "Allow", "Terminate"} {
		if want == "Allow" || h.ok("GET", path, "")["RecursiveLoop"] == "Allow" {
			h.ok("PUT", path, `{"RecursiveLoop":"`+want+`"}`)
		}
		if got := h.ok("GET", path, "")["RecursiveLoop"]; got != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}

func TestDeadLetterConfig(t *testing.T) {
	h := newHarness(t)
	created := h.create("f", `,"DeadLetterConfig":{"TargetArn":"`+queueARN+`"}`)
	if d, _ := created["DeadLetterConfig"].(map[string]any); d["TargetArn"] != queueARN {
		t.Errorf("created: %v", created)
	}
	const path = "/2015-03-31/functions/f/configuration"
	h.ok("PUT", path, `{"DeadLetterConfig":{"TargetArn":""}}`)
	h.settled("f")
	if now := h.ok("GET", path, ""); now["DeadLetterConfig"] != nil {
		t.Errorf("removed: %v", now)
	}
	h.refuses([]refusal{{"no such queue", "PUT", path, `{"DeadLetterConfig":{"TargetArn":"` + queueARN + `2"}}`, 400, "InvalidParameterValueException",
		user("The provided execution role does not have permissions to call SendMessage on SQS")}})
}
