package wire_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	awslambda "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
)

// namePattern is the text of the pattern that AWS prints for a malformed function name.
const namePattern = `(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?`

// TestValidationTexts holds messages against those recorded on AWS.
func TestValidationTexts(t *testing.T) {
	long := strings.Repeat("x", 257)
	for _, c := range []struct{ name, method, path, body, want string }{
		{
			"a number below its minimum", "PUT", "/2019-09-30/functions/f/provisioned-concurrency?Qualifier=1",
			`{"ProvisionedConcurrentExecutions":0}`,
			"1 validation error detected: Value '0' at 'provisionedConcurrentExecutions' failed to satisfy constraint: Member must have value greater than or equal to 1",
		}, {
			"a malformed function name", "POST", "/2015-03-31/functions/no%20name/invocations", `{}`,
			"1 validation error detected: Value 'no name' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: " + namePattern,
		}, {
			"a name longer than an ARN", "DELETE", "/2015-03-31/functions/" + long[:141], "",
			"1 validation error detected: Value '" + long[:141] + "' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 140",
		}, {
			"an alias that is a number", "POST", "/2015-03-31/functions/f/aliases", `{"Name":"123","FunctionVersion":"1"}`,
			"1 validation error detected: Value '123' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)",
		}, {
			"the value of a map", "PUT", "/2015-03-31/functions/f/aliases/a", `{"RoutingConfig":{"AdditionalVersionWeights":{"2":2}}}`,
			"1 validation error detected: Value '{2=2.0}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map value must satisfy constraint: " +
				"[Member must have value less than or equal to 1.0, Member must have value greater than or equal to 0.0, Member must not be null]",
		}, {
			"the key of a map", "PUT", "/2015-03-31/functions/f/aliases/a", `{"RoutingConfig":{"AdditionalVersionWeights":{"$LATEST":0.5}}}`,
			"1 validation error detected: Value '{$LATEST=0.5}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map keys must satisfy constraint: " +
				"[Member must have length less than or equal to 1024, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+, Member must not be null]",
		}, {
			"an enum", "POST", "/2015-03-31/event-source-mappings", `{"FunctionName":"f","StartingPosition":"invalid"}`,
			"1 validation error detected: Value 'invalid' at 'startingPosition' failed to satisfy constraint: Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]",
		}, {
			"an enum in a nested structure", "PUT", "/2015-03-31/functions/f/configuration", `{"SnapStart":{"ApplyOn":"x"}}`,
			"1 validation error detected: Value 'x' at 'snapStart.applyOn' failed to satisfy constraint: Member must satisfy enum value set: [PublishedVersions, None]",
		}, {
			"elements of a list are reported at the list", "PUT", "/2015-03-31/functions/f/code", `{"Architectures":["X86_64"]}`,
			"1 validation error detected: Value '[X86_64]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]",
		}, {
			"elements that may be null", "PUT", "/2015-03-31/functions/f/configuration", `{"VpcConfig":{"SubnetIds":["a","subnet-1"]}}`,
			"1 validation error detected: Value '[a, subnet-1]' at 'vpcConfig.subnetIds' failed to satisfy constraint: Member must satisfy constraint: " +
				"[Member must have length less than or equal to 1024, Member must have length greater than or equal to 0, Member must satisfy regular expression pattern: subnet-[0-9a-z]*]",
		}, {
			"what is missing, in the model's order", "POST", "/2015-03-31/functions", `{"FunctionName":"f"}`,
			"2 validation errors detected: Value null at 'role' failed to satisfy constraint: Member must not be null; Value null at 'code' failed to satisfy constraint: Member must not be null",
		}, {
			"a pattern comes before a length", "GET", "/2015-03-31/functions/f/aliases/%24" + long[:128], "",
			"2 validation errors detected: Value '$" + long[:128] + "' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+); " +
				"Value '$" + long[:128] + "' at 'name' failed to satisfy constraint: Member must have length less than or equal to 128",
		}, {
			"a header", "POST", "/2015-03-31/functions/f/invocations?log=x", "",
			"1 validation error detected: Value 'Head' at 'logType' failed to satisfy constraint: Member must satisfy enum value set: [Tail, None]",
		}, {
			"a sensitive value is not printed", "PUT", "/2015-03-31/functions/f/configuration", `{"Environment":{"Variables":{"1":"secret"}}}`,
			"1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: " +
				"[Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+, Member must not be null]",
		}, {
			"a first letter alone becomes small", "PUT", "/2015-03-31/functions/f/configuration", `{"KMSKeyArn":"x"}`,
			"1 validation error detected: Value 'x' at 'kMSKeyArn' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()",
		}, {
			"weir's own maxima", "PUT", "/2015-03-31/functions/f/configuration", `{"Timeout":901,"MemorySize":127}`,
			"2 validation errors detected: Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900; " +
				"Value '127' at 'memorySize' failed to satisfy constraint: Member must have value greater than or equal to 128",
		}, {
			"an element of a list of structures", "POST", "/2015-03-31/event-source-mappings",
			`{"FunctionName":"f","SourceAccessConfigurations":[{"Type":"BASIC_AUTH"},{"Type":"x"}]}`,
			"1 validation error detected: Value 'x' at 'sourceAccessConfigurations.2.member.type' failed to satisfy constraint: Member must satisfy enum value set: ",
		}, {
			"the length of a list", "PUT", "/2015-03-31/functions/f/code", `{"Architectures":[]}`,
			"1 validation error detected: Value '[]' at 'architectures' failed to satisfy constraint: Member must have length greater than or equal to 1",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := wire.NewMux(wire.Options{})
			awslambda.Register(m, awslambda.Unimplemented{}, nil)
			r := httptest.NewRequest(c.method, "http://127.0.0.1"+c.path, strings.NewReader(c.body))
			if strings.Contains(c.path, "log=x") {
				r.Header.Set("X-Amz-Log-Type", "Head")
			}
			w := httptest.NewRecorder()
			m.ServeHTTP(w, r)
			var answer map[string]string
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			if w.Code != 400 || w.Header().Get("X-Amzn-ErrorType") != "ValidationException" || len(answer) != 1 {
				t.Errorf("status %d, type %s: %s", w.Code, w.Header().Get("X-Amzn-ErrorType"), w.Body)
			}
			if got := answer["message"]; got != c.want && !(strings.HasSuffix(c.want, ": ") && strings.HasPrefix(got, c.want)) {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}
