package lambda

import (
	"testing"
)

func TestPolicy(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	const path = "/2015-03-31/functions/f/policy"
	const arn = "arn:aws:lambda:us-east-1:111111111111:function:f"
	add := `{"StatementId":"s3","Action":"lambda:InvokeFunction","Principal":"s3.amazonaws.com","SourceArn":"arn:aws:s3:::b","SourceAccount":"111111111111"}`
	const statement = `{"Sid":"s3","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"` + arn +
		`","Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::b"},"StringEquals":{"AWS:SourceAccount":"111111111111"}}}`
	if got := h.ok("POST", path, add)["Statement"]; got != statement {
		t.Errorf("statement: %v", got)
	}
	if got := h.ok("GET", path, "")["Policy"]; got != `{"Version":"2012-10-17","Id":"default","Statement":[`+statement+`]}` {
		t.Errorf("policy: %v", got)
	}
	h.refuses([]refusal{
		{"again", "POST", path, add, 409, "ResourceConflictException", user("The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing statement.")},
		{"of $LATEST", "POST", path + "?Qualifier=$LATEST", add, 400, "InvalidParameterValueException", user("We currently do not support adding policies for $LATEST.")},
		{"remove another", "DELETE", path + "/none", "", 404, "ResourceNotFoundException", userCapital("Statement none is not found in resource policy.")},
	})
	h.ok("DELETE", path+"/s3", "")
	h.refuses([]refusal{
		{"remove of none", "DELETE", path + "/s3", "", 404, "ResourceNotFoundException", userCapital("No policy is associated with the given resource.")},
		{"get of none", "GET", path, "", 404, "ResourceNotFoundException", userCapital("The resource you requested does not exist.")},
	})
}
