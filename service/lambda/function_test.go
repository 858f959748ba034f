package lambda

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// TestCreateFunction compares the answer with the one recorded on AWS.
func TestCreateFunction(t *testing.T) {
	h := newHarness(t)
	r := h.do("POST", "/2015-03-31/functions/", createBody("f", `,"Tags":{"a":"b"}`))
	const want = `{"FunctionName":"f","FunctionArn":"arn:aws:lambda:us-east-1:111111111111:function:f","Runtime":"python3.13","Role":"arn:aws:iam::111111111111:role/r","Handler":"a.b","CodeSize":0,"Description":"","Timeout":3,"MemorySize":128,"LastModified":"<time>","CodeSha256":"<digest>","Version":"$LATEST","TracingConfig":{"Mode":"PassThrough"},"RevisionId":"<uuid>","State":"Pending","StateReason":"The function is being created.","StateReasonCode":"Creating","PackageType":"Zip","Architectures":["x86_64"],"EphemeralStorage":{"Size":512},"SnapStart":{"ApplyOn":"None","OptimizationStatus":"Off"},"RuntimeVersionConfig":{"RuntimeVersionArn":"arn:aws:lambda:us-east-1::runtime:<digest>"},"LoggingConfig":{"LogFormat":"Text","LogGroup":"/aws/lambda/f"}}`
	if r.status != 201 || mask(r.body) != want {
		t.Errorf("create: %d\n got %s\nwant %s", r.status, mask(r.body), want)
	}
	h.settled("f")
	f := h.ok("GET", "/2015-03-31/functions/f", "")
	if c := f["Code"].(map[string]any); c["RepositoryType"] != "S3" || c["Location"] != "http://code" {
		t.Errorf("code: %v", c)
	}
	if fmt.Sprint(f["Tags"]) != "map[a:b]" {
		t.Errorf("tags: %v", f["Tags"])
	}
	c := f["Configuration"].(map[string]any)
	for name, want := range map[string]any{"State": "Active", "LastUpdateStatus": "Successful", "StateReason": nil, "LastUpdateStatusReason": nil} {
		if c[name] != want {
			t.Errorf("%s is %v, want %v", name, c[name], want)
		}
	}
}

func TestCreateFunctionSettings(t *testing.T) {
	h := newHarness(t)
	h.create("f", `,"Description":"d","Timeout":60,"MemorySize":256,"EphemeralStorage":{"Size":1024},"Environment":{"Variables":{"AB":"c"}},"Architectures":["arm64"],"LoggingConfig":{"LogGroup":"mine"},"VpcConfig":{"SubnetIds":[],"SecurityGroupIds":[]},"TracingConfig":{"Mode":"PassThrough"},"Layers":[],"Publish":true`)
	c := h.ok("GET", "/2015-03-31/functions/f/configuration", "")
	got := fmt.Sprint(c["Description"], c["Timeout"], c["MemorySize"], c["EphemeralStorage"], c["Environment"], c["Architectures"], c["LoggingConfig"])
	if want := "d60256map[Size:1024] map[Variables:map[AB:c]] [arm64] map[LogFormat:Text LogGroup:mine]"; strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got %s, want %s", got, want)
	}
	if v := h.ok("GET", "/2015-03-31/functions/f/configuration?Qualifier=1", ""); v["Version"] != "1" || v["FunctionArn"] != functionARN+"f:1" {
		t.Errorf("published at once: %v", v)
	}
	h.create("empty", `,"Environment":{"Variables":{}}`)
	if c := h.ok("GET", "/2015-03-31/functions/empty/configuration", ""); fmt.Sprint(c["Environment"]) != "map[Variables:map[]]" {
		t.Errorf("an empty environment is echoed as %v", c["Environment"])
	}
}

// A function traces actively when it is told so, until it is told otherwise.
func TestTracingConfig(t *testing.T) {
	h := newHarness(t)
	h.create("f", `,"TracingConfig":{"Mode":"Active"}`)
	for _, row := range []struct{ given, want string }{
		{`{}`, "map[Mode:Active]"}, {`{"TracingConfig":{}}`, "map[Mode:Active]"}, {`{"TracingConfig":{"Mode":"PassThrough"}}`, "map[Mode:PassThrough]"},
		{`{"Description":"d"}`, "map[Mode:PassThrough]"}, {`{"TracingConfig":{"Mode":"Active"}}`, "map[Mode:Active]"},
	} {
		h.settled("f")
		h.ok("PUT", "/2015-03-31/functions/f/configuration", row.given)
		if got := fmt.Sprint(h.ok("GET", "/2015-03-31/functions/f/configuration", "")["TracingConfig"]); got != row.want {
			t.Errorf("after %s: %s, want %s", row.given, got, row.want)
		}
	}
	if r := h.do("PUT", "/2015-03-31/functions/f/configuration", `{"TracingConfig":{"Mode":"Sometimes"}}`); r.status != 400 {
		t.Errorf("an unknown mode: %d", r.status)
	}
}

// The levels belong to the format JSON and go with it; what is not given stays.
func TestLoggingConfig(t *testing.T) {
	h := newHarness(t)
	h.create("f", `,"LoggingConfig":{"LogFormat":"JSON"}`)
	for _, row := range []struct{ given, want string }{
		{`{}`, "map[ApplicationLogLevel:INFO LogFormat:JSON LogGroup:/aws/lambda/f SystemLogLevel:INFO]"},
		{`{"ApplicationLogLevel":"WARN"}`, "map[ApplicationLogLevel:WARN LogFormat:JSON LogGroup:/aws/lambda/f SystemLogLevel:INFO]"},
		{`{"SystemLogLevel":"DEBUG","LogGroup":"mine"}`, "map[ApplicationLogLevel:WARN LogFormat:JSON LogGroup:mine SystemLogLevel:DEBUG]"},
		{`{"LogFormat":"Text"}`, "map[LogFormat:Text LogGroup:mine]"},
		{`{"LogFormat":"JSON"}`, "map[ApplicationLogLevel:INFO LogFormat:JSON LogGroup:mine SystemLogLevel:INFO]"},
	} {
		h.ok("PUT", "/2015-03-31/functions/f/configuration", `{"LoggingConfig":`+row.given+`}`)
		h.settled("f")
		if got := fmt.Sprint(h.ok("GET", "/2015-03-31/functions/f/configuration", "")["LoggingConfig"]); got != row.want {
			t.Errorf("%s: %s, want %s", row.given, got, row.want)
		}
	}
}

func TestCreateFunctionRefusals(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	create := func(name, body string, status int, code, text string) refusal {
		return refusal{name, "POST", "/2015-03-31/functions", body, status, code, text}
	}
	changed := func(old, with string) string { return strings.Replace(createBody("g", ""), old, with, 1) }
	more := func(members string) string { return createBody("g", members) }
	const parameter = "InvalidParameterValueException"
	big := strings.Repeat("x", 4096)
	h.refuses([]refusal{
		create("exists", createBody("f", ""), 409, "ResourceConflictException", user("Function already exist: f")),
		create("no such runtime", changed("python3.13", "cobol85"), 400, parameter, user("Value cobol85 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: ["+strings.Join(runtimes, ", ")+"] or be a valid ARN")),
		create("retired runtime", changed("python3.13", "nodejs14.x"), 400, parameter, user("The runtime parameter of nodejs14.x is no longer supported for creating or updating AWS Lambda functions. We recommend you use a supported runtime while creating or updating functions.")),
		create("no handler", changed(`"Handler":"a.b",`, ""), 400, parameter, user("Runtime and Handler are mandatory parameters for functions created with deployment packages.")),
		create("not a zip", changed(zipText("g"), "AAAA"), 400, parameter, user("Could not unzip uploaded file. Please check your file, then try to upload again.")),
		create("no role", changed(`"Role":"arn:aws:iam::111111111111:role/r",`, ""), 400, "ValidationException", plain("1 validation error detected: Value null at 'role' failed to satisfy constraint: Member must not be null")),
		create("too long a timeout", more(`,"Timeout":901`), 400, "ValidationException", plain("1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900")),
		create("too large a /tmp", more(`,"EphemeralStorage":{"Size":10241}`), 400, "ValidationException", plain("1 validation error detected: Value '10241' at 'ephemeralStorage.size' failed to satisfy constraint: Member must have value less than or equal to 10240")),
		create("null character in a variable", more(`,"Environment":{"Variables":{"KEY":"x\u0000OTHER=y"}}`), 400, parameter, user("Lambda was unable to configure your environment variables because the value of KEY contains a null character.")),
		create("too large an environment, with an ampersand", more(`,"Environment":{"Variables":{"KEY":"<&>`+big+`"}}`), 400, parameter, user(`Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: {"KEY":"<&>`+big+`"}`)),
		create("reserved variable", more(`,"Environment":{"Variables":{"AWS_REGION":"x","LAMBDA_TASK_ROOT":"y","MINE":"z"}}`), 400, parameter, user("Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: AWS_REGION, LAMBDA_TASK_ROOT")),
		create("too large an environment", more(`,"Environment":{"Variables":{"KEY":"`+big+`"}}`), 400, parameter, user(`Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: {"KEY":"`+big+`"}`)),
		create("code in S3", changed(`"ZipFile":"`+zipText("g")+`"`, `"S3Bucket":"bucket","S3Key":"k"`), 400, parameter, user("weir does not fetch code from S3 yet; send it with the request, as ZipFile.")),
		create("image", more(`,"PackageType":"Image"`), 400, parameter, user("weir does not support container images; create the function from a zip.")),
		create("VPC", more(`,"VpcConfig":{"SubnetIds":["subnet-1"]}`), 400, parameter, user("weir does not support the parameter VpcConfig of CreateFunction.")),
		create("layers", more(`,"Layers":["arn:aws:lambda:us-east-1:111111111111:layer:l:1"]`), 400, parameter, user("weir does not support the parameter Layers of CreateFunction.")),
		create("log level without JSON", more(`,"LoggingConfig":{"ApplicationLogLevel":"WARN"}`), 400, parameter, user("Log Level is not supported when Log Format is set to \"Text\". Remove log level from your request or change the LogFormat to \"JSON\" and try again.")),
		create("long name", strings.Replace(createBody("g", ""), `"g"`, `"`+strings.Repeat("n", 65)+`"`, 1), 400, parameter, plain("1 validation error detected: Value '"+strings.Repeat("n", 65)+"' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64")),
	}[:])
	if r := h.do("GET", "/2015-03-31/functions/g", ""); r.status != 404 {
		t.Errorf("a refused create made a function: %+v", r)
	}
}

// TestEnvironmentOf4KB holds an environment of 4,096 bytes, whatever characters are in it.
func TestEnvironmentOf4KB(t *testing.T) {
	h := newHarness(t)
	value := strings.Repeat("&", 4096-len(`{"KEY":""}`))
	h.create("f", `,"Environment":{"Variables":{"KEY":"`+value+`"}}`)
	got := h.ok("GET", "/2015-03-31/functions/f/configuration", "")["Environment"].(map[string]any)["Variables"].(map[string]any)["KEY"]
	if got != value {
		t.Errorf("got back %v", got)
	}
}

// TestCodeStorage fills the code storage of the account: nothing that adds code is accepted, what
// adds none is.
func TestCodeStorage(t *testing.T) {
	h := newHarness(t)
	code, err := base64.StdEncoding.DecodeString(zipText("f"))
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(code))
	const functions = "/2015-03-31/functions"
	hoard := lambda.Version{Function: "hoard", Number: lambda.Latest, State: lambda.Active, Code: lambda.Code{Size: lambda.MaxTotalCode - 2*size}}
	err = h.store.Catalog().Update(t.Context(), func(tx *store.Tx) error {
		store.Versions.Put(tx, lambda.Scope{Account: "111111111111", Region: "us-east-1"}, store.QualifiedName("hoard", lambda.Latest), &hoard)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h.create("f", "")
	full := user("Code storage limit exceeded.")
	longer := `{"ZipFile":"` + zipText("longer than before, and more than fits") + `"}`
	h.publish("f") // fills it to the last byte
	used := h.ok("GET", "/2016-08-19/account-settings", "")["AccountUsage"].(map[string]any)["TotalCodeSize"]
	if used != float64(lambda.MaxTotalCode) {
		t.Fatalf("%v bytes are used", used)
	}
	h.ok("PUT", functions+"/f/configuration", `{"Timeout":9}`)
	h.settled("f")
	h.ok("PUT", functions+"/f/code", `{"ZipFile":"`+zipText("f")+`"}`)
	h.settled("f")
	h.refuses([]refusal{
		{"create", "POST", functions, createBody("g", ""), 400, "CodeStorageExceededException", full},
		{"publish", "POST", functions + "/f/versions", "{}", 400, "CodeStorageExceededException", full},
		{"larger code", "PUT", functions + "/f/code", longer, 400, "CodeStorageExceededException", full},
		{"code and publication", "PUT", functions + "/f/code", `{"Publish":true,"ZipFile":"` + zipText("f") + `"}`, 400, "CodeStorageExceededException", full},
	})
	h.ok("DELETE", functions+"/f?Qualifier=1", "")
	h.publish("f")
}

// TestFunctionNames calls a function by every form of its name.
func TestFunctionNames(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	for _, name := range []string{"f", "f:$LATEST", "111111111111:function:f", functionARN + "f", functionARN + "f:$LATEST", "111111111111:f"} {
		if c := h.ok("GET", "/2015-03-31/functions/"+name+"/configuration", ""); c["FunctionName"] != "f" {
			t.Errorf("%s: %v", name, c)
		}
		if r := h.do("POST", "/2015-03-31/functions/"+name+"/invocations", "1"); r.status != 200 {
			t.Errorf("invoke %s: %+v", name, r)
		}
	}
	h.refuses([]refusal{
		{"other region", "GET", "/2015-03-31/functions/arn:aws:lambda:us-west-2:111111111111:function:f", "", 404, "ResourceNotFoundException", userCapital("Functions from 'us-west-2' are not reachable in this region ('us-east-1')")},
		{"qualifier missing", "GET", "/2015-03-31/functions/f:", "", 400, "ValidationException", plain(`1 validation error detected: Value 'f:' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_\\.]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?`)},
		{"two qualifiers", "GET", "/2015-03-31/functions/f:1?Qualifier=2", "", 400, "InvalidParameterValueException", user("The derived qualifier from the function name does not match the specified qualifier.")},
		{"missing", "GET", "/2015-03-31/functions/nope", "", 404, "ResourceNotFoundException", userCapital("Function not found: " + functionARN + "nope")},
		{"missing $LATEST", "GET", "/2015-03-31/functions/nope?Qualifier=$LATEST", "", 404, "ResourceNotFoundException", userCapital("Function not found: " + functionARN + "nope:$LATEST")},
		{"missing version", "GET", "/2015-03-31/functions/f?Qualifier=1221", "", 404, "ResourceNotFoundException", userCapital("Function not found: " + functionARN + "f:1221")},
		{"missing alias", "GET", "/2015-03-31/functions/f?Qualifier=prod", "", 404, "ResourceNotFoundException", userCapital("Function not found: " + functionARN + "f:prod")},
		{"delete missing", "DELETE", "/2015-03-31/functions/nope?Qualifier=1", "", 404, "ResourceNotFoundException", userCapital("Function not found: " + functionARN + "nope")},
	})
	if r := h.do("GET", "/2015-03-31/functions/arn:aws:lambda:us-east-1:222222222222:function:f", ""); r.status != 403 || r.header.Get("X-Amzn-Errortype") != "AccessDeniedException" {
		t.Errorf("other account: %+v", r)
	}
}

func TestUpdateFunction(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	before := h.ok("GET", "/2015-03-31/functions/f/configuration", "")
	u := h.ok("PUT", "/2015-03-31/functions/f/configuration", `{"MemorySize":512,"Description":"new"}`)
	if u["MemorySize"] != 512.0 || u["LastUpdateStatus"] != "InProgress" || u["State"] != "Active" || u["LastUpdateStatusReasonCode"] != "Creating" {
		t.Errorf("update: %v", u)
	}
	h.settled("f")
	after := h.ok("GET", "/2015-03-31/functions/f/configuration", "")
	if after["Handler"] != "a.b" || after["MemorySize"] != 512.0 || after["RevisionId"] == u["RevisionId"] || u["RevisionId"] == before["RevisionId"] {
		t.Errorf("after: %v", after)
	}
	code := `{"ZipFile":"` + zipText("other") + `"%s}`
	if d := h.ok("PUT", "/2015-03-31/functions/f/code", fmt.Sprintf(code, `,"DryRun":true`)); d["CodeSha256"] == after["CodeSha256"] {
		t.Errorf("a dry run answers with the old code: %v", d)
	}
	if now := h.ok("GET", "/2015-03-31/functions/f/configuration", ""); now["CodeSha256"] != after["CodeSha256"] {
		t.Error("a dry run changed the code")
	}
	p := h.ok("PUT", "/2015-03-31/functions/f/code", fmt.Sprintf(code, `,"Publish":true`))
	if p["Version"] != "1" || p["State"] != "Pending" || p["FunctionArn"] != functionARN+"f:1" || p["CodeSha256"] == after["CodeSha256"] {
		t.Errorf("update and publish: %v", p)
	}
	h.settled("f")
	h.until("version 1 is active", func() bool {
		return h.ok("GET", "/2015-03-31/functions/f/configuration?Qualifier=1", "")["State"] == "Active"
	})
	h.refuses([]refusal{
		{"old revision", "PUT", "/2015-03-31/functions/f/configuration", `{"RevisionId":"` + before["RevisionId"].(string) + `"}`, 412, "PreconditionFailedException",
			user("The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")},
		{"image", "PUT", "/2015-03-31/functions/f/code", `{"ImageUri":"x"}`, 400, "InvalidParameterValueException", user("Please don't provide ImageUri when updating a function with packageType Zip.")},
		{"missing", "PUT", "/2015-03-31/functions/nope/configuration", `{}`, 404, "ResourceNotFoundException", userCapital("Function not found: " + functionARN + "nope")},
	})
}

func TestListFunctions(t *testing.T) {
	h := newHarness(t)
	for i := range 7 {
		h.create(fmt.Sprintf("f%d", i), "")
	}
	h.publish("f3")
	var names []string
	marker := ""
	for {
		page := h.ok("GET", "/2015-03-31/functions?MaxItems=3&Marker="+marker, "")
		for _, f := range page["Functions"].([]any) {
			c := f.(map[string]any)
			names = append(names, c["FunctionName"].(string))
			if c["State"] != nil || c["Version"] != "$LATEST" {
				t.Errorf("listed: %v", c)
			}
		}
		if page["NextMarker"] == nil {
			break
		}
		marker = page["NextMarker"].(string)
	}
	if got := strings.Join(names, " "); got != "f0 f1 f2 f3 f4 f5 f6" {
		t.Errorf("in pages: %s", got)
	}
	if all := h.ok("GET", "/2015-03-31/functions?FunctionVersion=ALL", "")["Functions"].([]any); len(all) != 8 || all[4].(map[string]any)["FunctionArn"] != functionARN+"f3:1" {
		t.Errorf("all versions: %v", all)
	}
}

func TestDeleteFunction(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	h.publish("f")
	h.ok("POST", "/2015-03-31/functions/f/aliases", `{"Name":"prod","FunctionVersion":"1"}`)
	h.refuses([]refusal{
		{"$LATEST", "DELETE", "/2015-03-31/functions/f?Qualifier=$LATEST", "", 400, "InvalidParameterValueException", user("$LATEST version cannot be deleted without deleting the function.")},
		{"referenced", "DELETE", "/2015-03-31/functions/f?Qualifier=1", "", 409, "ResourceConflictException", user("Unable to delete version because the following aliases reference it: [prod]")},
	})
	if r := h.do("DELETE", "/2015-03-31/functions/f", ""); r.status != 204 || r.body != "" {
		t.Errorf("delete: %+v", r)
	}
	for _, path := range []string{"/2015-03-31/functions/f", "/2015-03-31/functions/f?Qualifier=1", "/2015-03-31/functions/f/aliases/prod"} {
		if r := h.do("GET", path, ""); r.status != 404 {
			t.Errorf("%s after the delete: %+v", path, r)
		}
	}
	h.create("f", "")
	if v := h.publish("f"); v != "1" {
		t.Errorf("a function created anew publishes version %s first", v)
	}
}

func TestTags(t *testing.T) {
	h := newHarness(t)
	h.create("f", "")
	path := "/2017-03-31/tags/" + functionARN + "f"
	h.ok("POST", path, `{"Tags":{"a":"1","b":"2"}}`)
	h.ok("DELETE", path+"?tagKeys=a&tagKeys=c", "")
	if tags := h.ok("GET", path, "")["Tags"]; fmt.Sprint(tags) != "map[b:2]" {
		t.Errorf("tags: %v", tags)
	}
}

// TestOtherOperations are refused by name.
func TestOtherOperations(t *testing.T) {
	h := newHarness(t)
	for _, c := range []struct{ method, path, body, operation string }{
		{"GET", "/2018-10-31/layers", "", "ListLayers"},
		{"POST", "/2021-10-31/functions/f/url", "{}", "CreateFunctionUrlConfig"},
	} {
		r := h.do(c.method, c.path, c.body)
		if r.status/100 != 4 || !strings.Contains(r.body, "does not implement the operation "+c.operation) {
			t.Errorf("%s: %+v", c.operation, r)
		}
	}
}
