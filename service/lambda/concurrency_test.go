package lambda

import (
	"fmt"
	"testing"
)

const functionARN = "arn:aws:lambda:us-east-1:111111111111:function:"

func TestReservedConcurrency(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	const path = "/2017-10-31/functions/f/concurrency"
	if r := h.do("GET", "/2019-09-30/functions/f/concurrency", ""); r.status != 200 || r.body != "{}" {
		t.Errorf("unset: %+v", r)
	}
	if r := h.do("PUT", path, `{"ReservedConcurrentExecutions":100}`); r.status != 200 || r.body != `{"ReservedConcurrentExecutions":100}` {
		t.Errorf("put: %+v", r)
	}
	if r := h.do("GET", "/2019-09-30/functions/f/concurrency", ""); r.body != `{"ReservedConcurrentExecutions":100}` {
		t.Errorf("get: %+v", r)
	}
	if c := h.ok("GET", "/2015-03-31/functions/f", "")["Concurrency"]; fmt.Sprint(c) != "map[ReservedConcurrentExecutions:100]" {
		t.Errorf("GetFunction: %v", c)
	}
	if a := h.ok("GET", "/2016-08-19/account-settings", "")["AccountLimit"].(map[string]any); a["UnreservedConcurrentExecutions"] != 900.0 || a["ConcurrentExecutions"] != 1000.0 {
		t.Errorf("GetAccountSettings: %v", a)
	}
	for range 2 {
		if r := h.do("DELETE", path, ""); r.status != 204 || r.body != "" {
			t.Errorf("delete: %+v", r)
		}
	}
	if c, ok := h.ok("GET", "/2015-03-31/functions/f", "")["Concurrency"]; ok {
		t.Errorf("GetFunction after the delete: %v", c)
	}
}

// TestReservedConcurrencyRefusals holds the texts recorded on AWS on 25 November 2025.
func TestReservedConcurrencyRefusals(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	h.create("other", "")
	h.ok("PUT", "/2017-10-31/functions/other/concurrency", `{"ReservedConcurrentExecutions":500}`)
	version := h.publish("f")
	h.ok("PUT", "/2019-09-30/functions/f/provisioned-concurrency?Qualifier="+version, `{"ProvisionedConcurrentExecutions":2}`)
	const floor = `{"message":"Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100]."}`
	const qualified = "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN."
	h.refuses([]refusal{
		{"function missing, before the value", "PUT", "/2017-10-31/functions/nope/concurrency", `{"ReservedConcurrentExecutions":5000}`,
			404, "ResourceNotFoundException", userCapital("Function not found: " + functionARN + "nope:$LATEST")},
		{"function missing, get", "GET", "/2019-09-30/functions/nope/concurrency", "",
			404, "ResourceNotFoundException", userCapital("Function not found: " + functionARN + "nope")},
		{"qualified", "PUT", "/2017-10-31/functions/" + functionARN + "f:1/concurrency", `{"ReservedConcurrentExecutions":1}`,
			400, "InvalidParameterValueException", user(qualified)},
		{"more than the account has", "PUT", "/2017-10-31/functions/f/concurrency", `{"ReservedConcurrentExecutions":1001}`,
			400, "InvalidParameterValueException", floor},
		{"less than 100 left", "PUT", "/2017-10-31/functions/f/concurrency", `{"ReservedConcurrentExecutions":401}`,
			400, "InvalidParameterValueException", floor},
		{"less than is provisioned", "PUT", "/2017-10-31/functions/f/concurrency", `{"ReservedConcurrentExecutions":1}`,
			400, "InvalidParameterValueException", `{"message":" ReservedConcurrentExecutions  1 should not be lower than function's total provisioned concurrency [2]."}`},
		{"negative", "PUT", "/2017-10-31/functions/f/concurrency", `{"ReservedConcurrentExecutions":-1}`,
			400, "ValidationException", plain("1 validation error detected: Value '-1' at 'reservedConcurrentExecutions' failed to satisfy constraint: Member must have value greater than or equal to 0")},
		{"no value", "PUT", "/2017-10-31/functions/f/concurrency", `{}`,
			400, "ValidationException", plain("1 validation error detected: Value null at 'reservedConcurrentExecutions' failed to satisfy constraint: Member must not be null")},
	})
	if r := h.do("GET", "/2019-09-30/functions/f/concurrency", ""); r.body != "{}" {
		t.Errorf("a refused request changed something: %s", r.body)
	}
	h.ok("PUT", "/2017-10-31/functions/f/concurrency", `{"ReservedConcurrentExecutions":400}`)
	h.ok("PUT", "/2017-10-31/functions/f/concurrency", `{"ReservedConcurrentExecutions":0}`)
}

func TestProvisionedConcurrency(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	h.publish("f")
	h.ok("POST", "/2015-03-31/functions/f/aliases", `{"Name":"prod","FunctionVersion":"1"}`)
	const path = "/2019-09-30/functions/f/provisioned-concurrency?Qualifier=prod"
	r := h.do("PUT", path, `{"ProvisionedConcurrentExecutions":5}`)
	const want = `{"RequestedProvisionedConcurrentExecutions":5,"AllocatedProvisionedConcurrentExecutions":0,"AvailableProvisionedConcurrentExecutions":0,"Status":"IN_PROGRESS","LastModified":"<time>"}`
	if r.status != 202 || mask(r.body) != want {
		t.Errorf("put: %d %s", r.status, r.body)
	}
	h.until("it is ready", func() bool { return h.ok("GET", path, "")["Status"] == "READY" })
	const ready = `{"RequestedProvisionedConcurrentExecutions":5,"AvailableProvisionedConcurrentExecutions":5,"AllocatedProvisionedConcurrentExecutions":5,"Status":"READY","LastModified":"<time>"}`
	if r := h.do("GET", path, ""); r.status != 200 || mask(r.body) != ready {
		t.Errorf("get: %d %s", r.status, r.body)
	}
	list := h.ok("GET", "/2019-09-30/functions/f/provisioned-concurrency?List=ALL", "")["ProvisionedConcurrencyConfigs"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["FunctionArn"] != functionARN+"f:prod" {
		t.Errorf("list: %v", list)
	}
	for range 2 {
		if r := h.do("DELETE", path, ""); r.status != 204 {
			t.Errorf("delete: %+v", r)
		}
	}
	h.refuses([]refusal{{"gone", "GET", path, "", 404, "ProvisionedConcurrencyConfigNotFoundException", user("No Provisioned Concurrency Config found for this function")}})
}

// TestProvisionedConcurrencyRefusals holds the texts recorded on AWS.
func TestProvisionedConcurrencyRefusals(t *testing.T) {
	h := newHarness(t)
	for _, f := range []string{"f", "g", "r"} {
		h.create(f, "")
		h.publish(f)
		h.ok("POST", "/2015-03-31/functions/"+f+"/aliases", `{"Name":"prod","FunctionVersion":"1"}`)
	}
	h.ok("POST", "/2015-03-31/functions/f/aliases", `{"Name":"dev","FunctionVersion":"$LATEST"}`)
	h.ok("PUT", "/2019-09-30/functions/f/provisioned-concurrency?Qualifier=1", `{"ProvisionedConcurrentExecutions":2}`)
	h.ok("PUT", "/2019-09-30/functions/g/provisioned-concurrency?Qualifier=prod", `{"ProvisionedConcurrentExecutions":3}`)
	h.ok("PUT", "/2017-10-31/functions/r/concurrency", `{"ReservedConcurrentExecutions":4}`)
	put := func(name, function, qualifier string, n, status int, code, text string) refusal {
		return refusal{name, "PUT", "/2019-09-30/functions/" + function + "/provisioned-concurrency?Qualifier=" + qualifier,
			fmt.Sprintf(`{"ProvisionedConcurrentExecutions":%d}`, n), status, code, text}
	}
	const invalidCode, notFoundCode = "InvalidParameterValueException", "ResourceNotFoundException"
	h.refuses([]refusal{
		{"no config", "GET", "/2019-09-30/functions/r/provisioned-concurrency?Qualifier=1", "", 404, "ProvisionedConcurrencyConfigNotFoundException", user("No Provisioned Concurrency Config found for this function")},
		put("$LATEST", "f", "$LATEST", 1, 400, invalidCode, user("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")),
		put("alias of $LATEST", "f", "dev", 1, 400, invalidCode, user("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")),
		{"get of $LATEST", "GET", "/2019-09-30/functions/f/provisioned-concurrency?Qualifier=$LATEST", "", 400, invalidCode, user("The function resource provided must be an alias or a published version.")},
		{"delete of $LATEST", "DELETE", "/2019-09-30/functions/f/provisioned-concurrency?Qualifier=$LATEST", "", 400, invalidCode, user("The function resource provided must be an alias or a published version.")},
		put("zero", "f", "1", 0, 400, "ValidationException", plain("1 validation error detected: Value '0' at 'provisionedConcurrentExecutions' failed to satisfy constraint: Member must have value greater than or equal to 1")),
		put("no such alias", "f", "nope", 1, 404, notFoundCode, userCapital("Cannot find alias arn: "+functionARN+"f:nope")),
		put("no such version", "f", "10", 1, 404, notFoundCode, userCapital("Function not found: "+functionARN+"f:10")),
		put("alias of no function", "nope", "prod", 1, 404, notFoundCode, userCapital("Cannot find alias arn: "+functionARN+"nope:prod")),
		put("version of no function", "nope", "1", 1, 404, notFoundCode, userCapital("Function not found: "+functionARN+"nope:1")),
		put("alias of a provisioned version", "f", "prod", 1, 409, "ResourceConflictException", user("Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version")),
		put("version of a provisioned alias", "g", "1", 1, 409, "ResourceConflictException", user("Version is pointed by a Provisioned Concurrency alias")),
		put("more than reserved", "r", "1", 5, 400, invalidCode, user("Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function")),
		put("more than unreserved", "f", "1", 994, 400, invalidCode, plain("Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [993].")),
		put("less than 100 left", "f", "1", 894, 400, invalidCode, plain("Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100].")),
	})
}
