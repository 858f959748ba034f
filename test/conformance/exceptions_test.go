package conformance

import "strings"

// reasons turns a list of tests per reason into a reason per test.
func reasons(groups map[string]string) map[string]string {
	out := map[string]string{}
	for why, names := range groups {
		for _, name := range strings.Fields(names) {
			out[name] = why
		}
	}
	return out
}

// inputExceptions are the protocol tests whose request a server cannot read as the client
// meant it, or that test the client.
var inputExceptions = reasons(map[string]string{
	"the request has no body: it tests that the client sets Content-Encoding": `
		json/SDKAppliedContentEncoding_awsJson1_1 json/SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1
		json_1_0/SDKAppliedContentEncoding_awsJson1_0 json_1_0/SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_0
		query/SDKAppliedContentEncoding_awsQuery query/SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsQuery
		rest-json/SDKAppliedContentEncoding_restJson1 rest-json/SDKAppendedGzipAfterProvidedEncoding_restJson1`,
	"the client fills in an idempotency token that the test does not list": `
		query/QueryProtocolIdempotencyTokenAutoFill rest-json/RestJsonQueryIdempotencyTokenAutoFill`,
	"an empty map, list or structure leaves no trace in the request": `
		query/QueryEmptyQueryMaps rest-json/RestJsonHttpPrefixHeadersAreNotPresent rest-json/RestJsonNullAndEmptyHeaders
		rest-json/RestJsonOmitsEmptyListQueryValues`,
	"an absent structure that is the whole body is sent like an empty one": `
		rest-json/RestJsonHttpWithEmptyStructurePayload rest-json/RestJsonHttpWithHeadersButNoPayload`,
	"a map of query parameters holds all of them on a server; the test is for clients": `
		rest-json/RestJsonQueryParamsStringListMap rest-json/RestJsonQueryPrecedence`,
	"no vendored model has a document": `
		json/PutAndGetInlineDocumentsInput rest-json/DocumentTypeInputWithObject rest-json/DocumentInputWithString
		rest-json/DocumentInputWithNumber rest-json/DocumentInputWithBoolean rest-json/DocumentInputWithList
		rest-json/DocumentTypeAsMapValueInput rest-json/DocumentTypeAsPayloadInput rest-json/DocumentTypeAsPayloadInputString`,
	"no vendored model has a JSON value in a header":   `rest-json/MediaTypeHeaderInputBase64`,
	"of AWS's services only S3 has greedy labels":      `rest-json/RestJsonHttpRequestWithGreedyLabelInPath`,
	"the path begins with that of a client's endpoint": `rest-json/RestJsonHostWithPath`,
})

// outputExceptions are the protocol tests whose answer weir does not write. A client has
// to understand more forms of an answer than a server writes.
var outputExceptions = reasons(map[string]string{
	"a server writes times in UTC": `
		json/AwsJson11DateTimeWithNegativeOffset json/AwsJson11DateTimeWithPositiveOffset
		rest-json/RestJsonDateTimeWithNegativeOffset rest-json/RestJsonDateTimeWithPositiveOffset`,
	"another of the forms that a client has to read: {} or nothing in a body without members": `
		json/handles_empty_output_shape json_1_0/AwsJson10HandlesEmptyOutputShape
		rest-json/RestJsonEmptyInputAndEmptyOutputJsonObjectOutput rest-json/RestJsonGreetingWithErrors
		rest-json/RestJsonHttpResponseCode rest-json/RestJsonIgnoreQueryParamsInResponse
		rest-json/RestJsonNoInputAndOutputNoPayload
		smithy-rpc-v2-cbor/empty_output_no_body smithy-rpc-v2-cbor/NoOutputClientAllowsEmptyCbor`,
	"another of the places and spellings in which a client has to find the type of an error": `
		json/AwsJson11FooErrorUsingXAmznErrorType json/AwsJson11FooErrorUsingXAmznErrorTypeWithUri
		json/AwsJson11FooErrorUsingXAmznErrorTypeWithUriAndNamespace json/AwsJson11FooErrorUsingCode
		json/AwsJson11FooErrorUsingCodeAndNamespace json/AwsJson11FooErrorUsingCodeUriAndNamespace
		json/AwsJson11FooErrorWithDunderTypeUriAndNamespace
		json_1_0/AwsJson10FooErrorUsingXAmznErrorType json_1_0/AwsJson10FooErrorUsingXAmznErrorTypeWithUri
		json_1_0/AwsJson10FooErrorUsingXAmznErrorTypeWithUriAndNamespace json_1_0/AwsJson10FooErrorUsingCode
		json_1_0/AwsJson10FooErrorUsingCodeAndNamespace json_1_0/AwsJson10FooErrorUsingCodeUriAndNamespace
		json_1_0/AwsJson10FooErrorWithDunderTypeUriAndNamespace
		rest-json/RestJsonFooErrorUsingXAmznErrorType rest-json/RestJsonFooErrorUsingXAmznErrorTypeWithUri
		rest-json/RestJsonFooErrorUsingXAmznErrorTypeWithUriAndNamespace rest-json/RestJsonFooErrorUsingCode
		rest-json/RestJsonFooErrorUsingCodeAndNamespace rest-json/RestJsonFooErrorUsingCodeUriAndNamespace
		rest-json/RestJsonFooErrorWithDunderType rest-json/RestJsonFooErrorWithDunderTypeAndNamespace
		rest-json/RestJsonFooErrorWithDunderTypeUriAndNamespace`,
	"members that a client has to ignore: nulls, unknown ones, __type": `
		json/handles_unexpected_json_output json_1_0/AwsJson10HandlesUnexpectedJsonOutput
		json/AwsJson11DeserializeIgnoreType json_1_0/AwsJson10DeserializeIgnoreType rest-json/RestJsonDeserializeIgnoreType
		json/AwsJson11StructuresDontDeserializeNullValues json_1_0/AwsJson10DeserializeAllowNulls
		rest-json/RestJsonDoesntDeserializeNullStructureValues rest-json/RestJsonDeserializesDenseSetMapAndSkipsNull
		smithy-rpc-v2-cbor/RpcV2CborExtraFieldsInTheBodyShouldBeSkippedByClients`,
	"the test's answer has headers or a body that belong to another message": `
		json/AwsJson11IntEnums json/parses_the_request_id_from_the_response smithy-rpc-v2-cbor/RpcV2CborPayloadWithUnsetUnion`,
	"botocore's model has one status for two traits; AWS's SDKs expect SQS's 403 and 404 in awsJson, too": `
		json_1_0-query-compatible/QueryCompatibleAwsJson10CustomCodeError
		smithy-rpc-v2-cbor-query-compatible/QueryCompatibleRpcV2CborCustomCodeError`,
	"members of a lambda.Error are text; a structure among them is JSON in the handler's spelling": `
		query/QueryComplexError rest-json/RestJsonComplexErrorWithNoMessage smithy-rpc-v2-cbor/RpcV2CborComplexError`,
	"no vendored model has a document": `
		json/PutAndGetInlineDocumentsInput rest-json/DocumentOutput rest-json/DocumentOutputString
		rest-json/DocumentOutputNumber rest-json/DocumentOutputBoolean rest-json/DocumentOutputArray
		rest-json/DocumentTypeAsMapValueOutput rest-json/DocumentTypeAsPayloadOutput
		rest-json/DocumentTypeAsPayloadOutputString`,
	"no vendored model has a JSON value in a header": `rest-json/MediaTypeHeaderOutputBase64`,
})

// requestDrift, responseDrift and errorDrift are the snapshots that do not pass, each with
// its reason. Most show what an SDK and the models do not both know yet.
var (
	requestDrift = reasons(map[string]string{})

	responseDrift = reasons(map[string]string{
		"the SDK writes a status into the body that AWS and the model have in the status line": `
			lambda/DeleteFunction lambda/InvokeAsync`,
	})

	errorDrift = reasons(map[string]string{
		"botocore has no status for exceptions of this service, and awsJson1.1 does not need one: it is 400": `
			service-quotas/AWSServiceAccessNotEnabledException service-quotas/AccessDeniedException
			service-quotas/DependencyAccessDeniedException service-quotas/InvalidResourceStateException
			service-quotas/NoAvailableOrganizationException service-quotas/NoSuchResourceException
			service-quotas/QuotaExceededException service-quotas/TagPolicyViolationException
			service-quotas/TemplatesNotAvailableInRegionException service-quotas/TooManyRequestsException`,
		"members of a lambda.Error are text, and this one is a list": `cloudwatch/DashboardInvalidInputError`,
		"an exception that the SDK adds for its endpoint discovery":  `dynamodb/InvalidEndpointException`,
	})
)
