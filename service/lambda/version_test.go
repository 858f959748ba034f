package lambda

import (
	"fmt"
	"testing"
)

func TestPublishVersion(t *testing.T) {
	h := newHarness(t)
	h.create("f", `,"Description":"first"`)
	r := h.do("POST", "/2015-03-31/functions/f/versions", `{}`)
	if r.status != 201 {
		t.Fatalf("publish: %+v", r)
	}
	v1 := h.ok("GET", "/2015-03-31/functions/f/configuration?Qualifier=1", "")
	if v1["Version"] != "1" || v1["FunctionArn"] != functionARN+"f:1" || v1["State"] != "Active" || v1["Description"] != "first" {
		t.Errorf("version 1: %v", v1)
	}
	again := h.ok("POST", "/2015-03-31/functions/f/versions", `{"Description":"ignored"}`)
	if again["Version"] != "1" || again["Description"] != "first" || again["RevisionId"] != v1["RevisionId"] {
		t.Errorf("published again without a change: %v", again)
	}
	h.ok("PUT", "/2015-03-31/functions/f/configuration", `{"Timeout":9}`)
	h.settled("f")
	v2 := h.ok("POST", "/2015-03-31/functions/f/versions", `{"Description":"second"}`)
	if v2["Version"] != "2" || v2["Timeout"] != 9.0 || v2["Description"] != "second" {
		t.Errorf("version 2: %v", v2)
	}
	if v1 := h.ok("GET", "/2015-03-31/functions/f/configuration?Qualifier=1", ""); v1["Timeout"] != 3.0 {
		t.Errorf("version 1 changed: %v", v1)
	}
	h.ok("DELETE", "/2015-03-31/functions/f?Qualifier=2", "")
	h.ok("PUT", "/2015-03-31/functions/f/configuration", `{"Timeout":10}`)
	h.settled("f")
	if v := h.publish("f"); v != "3" {
		t.Errorf("after version 2 was deleted comes %s", v)
	}
	var numbers []any
	for _, v := range h.ok("GET", "/2015-03-31/functions/f/versions", "")["Versions"].([]any) {
		numbers = append(numbers, v.(map[string]any)["Version"])
	}
	if fmt.Sprint(numbers) != "[$LATEST 1 3]" {
		t.Errorf("versions: %v", numbers)
	}
	latest := h.ok("GET", "/2015-03-31/functions/f/configuration", "")
	h.refuses([]refusal{
		{"other code", "POST", "/2015-03-31/functions/f/versions", `{"CodeSha256":"x"}`, 400, "InvalidParameterValueException",
			user("CodeSHA256 (x) is different from current CodeSHA256 in $LATEST (" + latest["CodeSha256"].(string) + "). Please try again with the CodeSHA256 in $LATEST.")},
		{"missing", "POST", "/2015-03-31/functions/nope/versions", `{}`, 404, "ResourceNotFoundException", userCapital("Function not found: " + functionARN + "nope")},
	})
}

func TestAliases(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	h.publish("f")
	h.ok("PUT", "/2015-03-31/functions/f/configuration", `{"Timeout":9}`)
	h.settled("f")
	h.publish("f")
	r := h.do("POST", "/2015-03-31/functions/f/aliases", `{"Name":"prod","FunctionVersion":"1","Description":"d","RoutingConfig":{"AdditionalVersionWeights":{"2":0.25}}}`)
	const want = `{"AliasArn":"arn:aws:lambda:us-east-1:111111111111:function:f:prod","Name":"prod","FunctionVersion":"1","Description":"d","RoutingConfig":{"AdditionalVersionWeights":{"2":0.25}},"RevisionId":"<uuid>"}`
	if r.status != 201 || mask(r.body) != want {
		t.Errorf("create: %d %s", r.status, mask(r.body))
	}
	if c := h.ok("GET", "/2015-03-31/functions/f?Qualifier=prod", "")["Configuration"].(map[string]any); c["FunctionArn"] != functionARN+"f:prod" || c["Version"] != "1" {
		t.Errorf("GetFunction of the alias: %v", c)
	}
	u := h.ok("PUT", "/2015-03-31/functions/f/aliases/prod", `{"FunctionVersion":"2","RoutingConfig":{"AdditionalVersionWeights":{}}}`)
	if u["FunctionVersion"] != "2" || u["RoutingConfig"] != nil || u["Description"] != "d" {
		t.Errorf("update: %v", u)
	}
	h.ok("POST", "/2015-03-31/functions/f/aliases", `{"Name":"dev","FunctionVersion":"$LATEST"}`)
	if l := h.ok("GET", "/2015-03-31/functions/f/aliases?FunctionVersion=2", "")["Aliases"].([]any); len(l) != 1 || l[0].(map[string]any)["Name"] != "prod" {
		t.Errorf("aliases of version 2: %v", l)
	}
	for range 2 {
		if r := h.do("DELETE", "/2015-03-31/functions/f/aliases/dev", ""); r.status != 204 {
			t.Errorf("delete: %+v", r)
		}
	}
	create := func(name, body string, status int, code, text string) refusal {
		return refusal{name, "POST", "/2015-03-31/functions/f/aliases", body, status, code, text}
	}
	const parameter = "InvalidParameterValueException"
	weights := func(version, w string) string {
		return `{"Name":"x","FunctionVersion":"` + version + `","RoutingConfig":{"AdditionalVersionWeights":{` + w + `}}}`
	}
	h.refuses([]refusal{
		create("exists", `{"Name":"prod","FunctionVersion":"1"}`, 409, "ResourceConflictException", user("Alias already exists: "+functionARN+"f:prod")),
		create("no such version", `{"Name":"x","FunctionVersion":"10"}`, 404, "ResourceNotFoundException", userCapital("Function not found: "+functionARN+"f:10")),
		create("two weights", weights("1", `"2":0.1,"3":0.2`), 400, parameter, user("Number of items in AdditionalVersionWeights cannot be greater than 1")),
		create("same version", weights("1", `"1":0.1`), 400, parameter, user("Invalid function version 1. Function version 1 is already included in routing configuration.")),
		create("weighted $LATEST", weights("$LATEST", `"1":0.1`), 400, parameter, plain("$LATEST is not supported for an alias pointing to more than 1 version")),
		{"get missing", "GET", "/2015-03-31/functions/f/aliases/nope", "", 404, "ResourceNotFoundException", userCapital("Cannot find alias arn: " + functionARN + "f:nope")},
		{"update missing", "PUT", "/2015-03-31/functions/f/aliases/nope", "{}", 404, "ResourceNotFoundException", userCapital("Alias not found: " + functionARN + "f:nope")},
	})
}

// TestAliasMovesProvisioned points a provisioned alias elsewhere.
func TestAliasMovesProvisioned(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	h.publish("f")
	h.ok("PUT", "/2015-03-31/functions/f/configuration", `{"Timeout":9}`)
	h.settled("f")
	h.publish("f")
	h.ok("POST", "/2015-03-31/functions/f/aliases", `{"Name":"prod","FunctionVersion":"1"}`)
	const path = "/2019-09-30/functions/f/provisioned-concurrency?Qualifier="
	h.ok("PUT", path+"prod", `{"ProvisionedConcurrentExecutions":2}`)
	ready := func() bool { return h.ok("GET", path+"prod", "")["Status"] == "READY" }
	h.until("ready", ready)
	h.ok("PUT", "/2015-03-31/functions/f/aliases/prod", `{"FunctionVersion":"2"}`)
	h.until("ready again", ready)
	if r := h.do("GET", path+"2", ""); r.status != 404 {
		t.Errorf("the configuration belongs to the alias, not to version 2: %+v", r)
	}
	h.refuses([]refusal{{"onto $LATEST", "PUT", "/2015-03-31/functions/f/aliases/prod", `{"FunctionVersion":"$LATEST"}`, 400, "InvalidParameterValueException",
		user("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")}})
	h.ok("PUT", path+"1", `{"ProvisionedConcurrentExecutions":1}`)
	h.refuses([]refusal{{"onto a provisioned version", "PUT", "/2015-03-31/functions/f/aliases/prod", `{"FunctionVersion":"1"}`, 409, "ResourceConflictException",
		user("Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version")}})
	h.ok("DELETE", "/2015-03-31/functions/f/aliases/prod", "")
	h.refuses([]refusal{{"deleted with the alias", "GET", path + "prod", "", 404, "ResourceNotFoundException", userCapital("Cannot find alias arn: " + functionARN + "f:prod")}})
}
