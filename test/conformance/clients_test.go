package conformance

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	cloudwatchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	lambdaclient "github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"
	"github.com/aws/smithy-go/transport/http/protocol/rpcv2"

	weircloudwatch "github.com/weir-run/weir/aws/cloudwatch"
	weirlambda "github.com/weir-run/weir/aws/lambda"
	weirsns "github.com/weir-run/weir/aws/sns"
	weirsqs "github.com/weir-run/weir/aws/sqs"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
)

// cloud serves the generated services to real clients over loopback, with signatures
// checked, and returns the clients' configuration.
func cloud(t *testing.T, s *services) aws.Config {
	t.Helper()
	const key, secret = "123456789012", "secret"
	m := wire.NewMux(wire.Options{
		Auth:        wire.AuthSigV4,
		Credentials: map[string]wire.Credential{key: {Secret: secret}},
		Log:         slog.New(slog.DiscardHandler),
	})
	weirlambda.Register(m, functionService{s: s}, nil)
	weirsqs.Register(m, queueService{s: s}, nil)
	weirsns.Register(m, topicService{s: s}, nil)
	weircloudwatch.Register(m, metricService{s: s}, nil)
	srv := httptest.NewServer(m)
	t.Cleanup(srv.Close)
	return aws.Config{
		Region:       "eu-central-1",
		BaseEndpoint: aws.String(srv.URL),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}, nil
		}),
		RetryMaxAttempts: 1,
	}
}

// services remembers the last input of each service.
type services struct {
	in    any
	scope lambda.Scope
}

func (s *services) saw(c *wire.Call, in any) { s.in, s.scope = in, c.Scope }

type functionService struct {
	weirlambda.Unimplemented
	s *services
}

func (f functionService) CreateFunction(c *wire.Call, in *weirlambda.CreateFunctionRequest) (*weirlambda.FunctionConfiguration, error) {
	f.s.saw(c, in)
	return &weirlambda.FunctionConfiguration{
		FunctionName: in.FunctionName,
		FunctionArn:  wire.Some(c.Scope.FunctionARN(in.FunctionName.V, "")),
		Timeout:      wire.Some(in.Timeout.Or(3)),
		CodeSize:     wire.Some(int64(len(in.Code.ZipFile))),
		Environment:  &weirlambda.EnvironmentResponse{Variables: in.Environment.Variables},
		VpcConfig:    &weirlambda.VpcConfigResponse{SubnetIds: in.VpcConfig.SubnetIds},
		State:        wire.Some("Pending"),
	}, nil
}

func (f functionService) Invoke(c *wire.Call, in *weirlambda.InvocationRequest) (*weirlambda.InvocationResponse, error) {
	f.s.saw(c, in)
	if in.InvocationType.V == "Event" {
		return &weirlambda.InvocationResponse{StatusCode: wire.Some[int32](202)}, nil
	}
	if in.FunctionName.V == "throttled" {
		return nil, lambda.Errorf(lambda.CodeTooManyRequests, "Rate Exceeded.").With("Type", "User").
			With("Reason", "ReservedFunctionConcurrentInvocationLimitExceeded").With("Retry-After", "3")
	}
	return &weirlambda.InvocationResponse{
		Payload: in.Payload, ExecutedVersion: in.Qualifier, FunctionError: wire.Some("Unhandled"), LogResult: wire.Some("bG9n"),
	}, nil
}

func (f functionService) InvokeWithResponseStream(c *wire.Call, in *weirlambda.InvokeWithResponseStreamRequest) (*weirlambda.InvokeWithResponseStreamResponse, error) {
	f.s.saw(c, in)
	type event = weirlambda.InvokeWithResponseStreamResponseEvent
	return &weirlambda.InvokeWithResponseStreamResponse{
		ExecutedVersion: wire.Some(lambda.Latest),
		EventStream: func(send func(*event) error) error {
			for _, part := range bytes.Split(in.Payload, []byte(",")) {
				if string(part) == "fail" {
					return lambda.Errorf(lambda.CodeService, "the stream broke")
				}
				if err := send(&event{PayloadChunk: &weirlambda.InvokeResponseStreamUpdate{Payload: part}}); err != nil {
					return err
				}
			}
			return send(&event{InvokeComplete: &weirlambda.InvokeWithResponseStreamCompleteEvent{LogResult: wire.Some("bG9n")}})
		},
	}, nil
}

func (f functionService) PutFunctionConcurrency(c *wire.Call, in *weirlambda.PutFunctionConcurrencyRequest) (*weirlambda.Concurrency, error) {
	f.s.saw(c, in)
	return &weirlambda.Concurrency{ReservedConcurrentExecutions: in.ReservedConcurrentExecutions}, nil
}

func (f functionService) DeleteFunctionConcurrency(c *wire.Call, in *weirlambda.DeleteFunctionConcurrencyRequest) error {
	f.s.saw(c, in)
	return nil
}

func (f functionService) UntagResource(c *wire.Call, in *weirlambda.UntagResourceRequest) error {
	f.s.saw(c, in)
	return nil
}

func (f functionService) GetFunction(c *wire.Call, in *weirlambda.GetFunctionRequest) (*weirlambda.GetFunctionResponse, error) {
	f.s.saw(c, in)
	if in.FunctionName.V == "broken" {
		return nil, io.ErrUnexpectedEOF
	}
	return nil, lambda.Errorf(lambda.CodeResourceNotFound, "Function not found: %s", c.Scope.FunctionARN(in.FunctionName.V, "")).With("Type", "User")
}

func (f functionService) CreateEventSourceMapping(c *wire.Call, in *weirlambda.CreateEventSourceMappingRequest) (*weirlambda.EventSourceMappingConfiguration, error) {
	f.s.saw(c, in)
	return &weirlambda.EventSourceMappingConfiguration{
		UUID: wire.Some("1"), StartingPositionTimestamp: in.StartingPositionTimestamp, ScalingConfig: in.ScalingConfig,
		ProvisionedPollerConfig: in.ProvisionedPollerConfig, LastModified: wire.Some(time.Unix(1764000000, 123e6)),
	}, nil
}

// TestLambdaClient drives restJson1 and the event stream with the newest Go SDK.
func TestLambdaClient(t *testing.T) {
	ctx, s := context.Background(), &services{}
	client := lambdaclient.NewFromConfig(cloud(t, s))

	created, err := client.CreateFunction(ctx, &lambdaclient.CreateFunctionInput{
		FunctionName: aws.String("worker"), Role: aws.String("arn:aws:iam::123456789012:role/r"), Handler: aws.String("a.b"),
		Runtime: lambdatypes.RuntimePython313, Timeout: aws.Int32(7), Code: &lambdatypes.FunctionCode{ZipFile: []byte{0, 0xff, 'P', 'K'}},
		Environment:   &lambdatypes.Environment{Variables: map[string]string{"GREETING": "grüß <dich> & \"😀\"\n", "EMPTY": ""}},
		VpcConfig:     &lambdatypes.VpcConfig{SubnetIds: []string{"subnet-1", "subnet-2"}},
		Architectures: []lambdatypes.Architecture{lambdatypes.ArchitectureArm64}, Tags: map[string]string{"a": "b"},
	})
	if err != nil {
		t.Fatal(err)
	}
	in := s.in.(*weirlambda.CreateFunctionRequest)
	if !bytes.Equal(in.Code.ZipFile, []byte{0, 0xff, 'P', 'K'}) || in.Tags["a"] != "b" || !reflect.DeepEqual(in.Architectures, []string{"arm64"}) || in.Publish.OK {
		t.Errorf("the service got %+v", in)
	}
	if *created.Timeout != 7 || created.CodeSize != 4 || created.Environment.Variables["GREETING"] != "grüß <dich> & \"😀\"\n" ||
		*created.FunctionArn != "arn:aws:lambda:eu-central-1:123456789012:function:worker" || len(created.VpcConfig.SubnetIds) != 2 {
		t.Errorf("the client got %+v", created)
	}

	payload := []byte("{\"b\":\"\x00\xff\"}")
	out, err := client.Invoke(ctx, &lambdaclient.InvokeInput{
		FunctionName: aws.String("arn:aws:lambda:eu-central-1:123456789012:function:f"), Qualifier: aws.String("$LATEST"), Payload: payload, LogType: lambdatypes.LogTypeTail,
	})
	if err != nil || !bytes.Equal(out.Payload, payload) || *out.ExecutedVersion != "$LATEST" || *out.FunctionError != "Unhandled" || out.StatusCode != 200 {
		t.Errorf("Invoke: %+v, %v", out, err)
	}
	if in := s.in.(*weirlambda.InvocationRequest); in.LogType.V != "Tail" || in.FunctionName.V != "arn:aws:lambda:eu-central-1:123456789012:function:f" {
		t.Errorf("the service got %+v", in)
	}
	if out, err = client.Invoke(ctx, &lambdaclient.InvokeInput{FunctionName: aws.String("f"), InvocationType: lambdatypes.InvocationTypeEvent}); err != nil || out.StatusCode != 202 {
		t.Errorf("Invoke of type Event: %+v, %v", out, err)
	}

	put, err := client.PutFunctionConcurrency(ctx, &lambdaclient.PutFunctionConcurrencyInput{FunctionName: aws.String("f"), ReservedConcurrentExecutions: aws.Int32(0)})
	if err != nil || put.ReservedConcurrentExecutions == nil || *put.ReservedConcurrentExecutions != 0 {
		t.Errorf("PutFunctionConcurrency: %+v, %v", put, err)
	}
	if _, err := client.DeleteFunctionConcurrency(ctx, &lambdaclient.DeleteFunctionConcurrencyInput{FunctionName: aws.String("f")}); err != nil {
		t.Errorf("DeleteFunctionConcurrency: %v", err)
	}
	arn := "arn:aws:lambda:eu-central-1:123456789012:function:f"
	if _, err := client.UntagResource(ctx, &lambdaclient.UntagResourceInput{Resource: &arn, TagKeys: []string{"a", "b+c d", "é"}}); err != nil {
		t.Errorf("UntagResource: %v", err)
	}
	if in := s.in.(*weirlambda.UntagResourceRequest); in.Resource.V != arn || !reflect.DeepEqual(slices.Sorted(slices.Values(in.TagKeys)), []string{"a", "b+c d", "é"}) {
		t.Errorf("the service got %+v", in)
	}
	mapping, err := client.CreateEventSourceMapping(ctx, &lambdaclient.CreateEventSourceMappingInput{
		FunctionName: aws.String("f"), EventSourceArn: aws.String("arn:aws:sqs:eu-central-1:123456789012:q"), StartingPositionTimestamp: aws.Time(time.Unix(1764000000, 0)),
		ScalingConfig: &lambdatypes.ScalingConfig{MaximumConcurrency: aws.Int32(5)}, ProvisionedPollerConfig: &lambdatypes.ProvisionedPollerConfig{MinimumPollers: aws.Int32(2)},
	})
	if err != nil || *mapping.ScalingConfig.MaximumConcurrency != 5 || mapping.StartingPositionTimestamp.Unix() != 1764000000 ||
		mapping.LastModified.UnixMilli() != 1764000000123 || *mapping.ProvisionedPollerConfig.MinimumPollers != 2 {
		t.Errorf("CreateEventSourceMapping: %+v, %v", mapping, err)
	}
}

func TestLambdaClientErrors(t *testing.T) {
	ctx := context.Background()
	client := lambdaclient.NewFromConfig(cloud(t, &services{}))

	_, err := client.GetFunction(ctx, &lambdaclient.GetFunctionInput{FunctionName: aws.String("f")})
	var missing *lambdatypes.ResourceNotFoundException
	if !errors.As(err, &missing) || *missing.Type != "User" || !strings.HasSuffix(*missing.Message, ":function:f") {
		t.Errorf("GetFunction: %v", err)
	}
	_, err = client.Invoke(ctx, &lambdaclient.InvokeInput{FunctionName: aws.String("throttled")})
	var throttled *lambdatypes.TooManyRequestsException
	if !errors.As(err, &throttled) || throttled.Reason != lambdatypes.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded ||
		*throttled.RetryAfterSeconds != "3" || *throttled.Message != "Rate Exceeded." {
		t.Errorf("Invoke: %v", err)
	}
	_, err = client.GetFunction(ctx, &lambdaclient.GetFunctionInput{FunctionName: aws.String("broken")})
	var internal *lambdatypes.ServiceException
	if !errors.As(err, &internal) || *internal.Type != "Service" || strings.Contains(*internal.Message, "EOF") {
		t.Errorf("GetFunction: %v", err)
	}
	_, err = client.GetFunction(ctx, &lambdaclient.GetFunctionInput{FunctionName: aws.String("not a name")})
	var invalid smithy.APIError
	if !errors.As(err, &invalid) || invalid.ErrorCode() != "ValidationException" || !strings.HasPrefix(invalid.ErrorMessage(), "1 validation error detected: Value 'not a name'") {
		t.Errorf("GetFunction: %v", err)
	}
	_, err = client.CreateFunctionUrlConfig(ctx, &lambdaclient.CreateFunctionUrlConfigInput{FunctionName: aws.String("f"), AuthType: lambdatypes.FunctionUrlAuthTypeNone})
	if !errors.As(err, &invalid) || invalid.ErrorCode() != "UnknownOperationException" || !strings.Contains(invalid.ErrorMessage(), "CreateFunctionUrlConfig of lambda") {
		t.Errorf("CreateFunctionUrlConfig: %v", err)
	}
}

func TestResponseStreamClient(t *testing.T) {
	ctx := context.Background()
	client := lambdaclient.NewFromConfig(cloud(t, &services{}))
	for _, c := range []struct{ payload, want, fails string }{
		{"one,two,\x00\xff", "one|two|\x00\xff|complete bG9n", ""},
		{"one,fail", "one", "the stream broke"},
	} {
		out, err := client.InvokeWithResponseStream(ctx, &lambdaclient.InvokeWithResponseStreamInput{FunctionName: aws.String("f"), Payload: []byte(c.payload)})
		if err != nil {
			t.Fatal(err)
		}
		if *out.ExecutedVersion != lambda.Latest {
			t.Errorf("version %s", *out.ExecutedVersion)
		}
		var got []string
		for event := range out.GetStream().Events() {
			switch e := event.(type) {
			case *lambdatypes.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
				got = append(got, string(e.Value.Payload))
			case *lambdatypes.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
				got = append(got, "complete "+*e.Value.LogResult)
			}
		}
		err = out.GetStream().Err()
		if text := strings.Join(got, "|"); text != c.want {
			t.Errorf("%q: %q, want %q", c.payload, text, c.want)
		}
		if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%q: %v, want %q", c.payload, err, c.fails)
		}
		if err := out.GetStream().Close(); err != nil && c.fails == "" {
			t.Error(err)
		}
	}
}

type queueService struct {
	weirsqs.Unimplemented
	s *services
}

func (q queueService) SendMessageBatch(c *wire.Call, in *weirsqs.SendMessageBatchRequest) (*weirsqs.SendMessageBatchResult, error) {
	q.s.saw(c, in)
	out := &weirsqs.SendMessageBatchResult{}
	for i, e := range in.Entries {
		if i == 0 {
			out.Successful = append(out.Successful, weirsqs.SendMessageBatchResultEntry{Id: e.Id, MessageId: wire.Some("m")})
			continue
		}
		out.Failed = append(out.Failed, weirsqs.BatchResultErrorEntry{Id: e.Id, Code: wire.Some("X"), SenderFault: wire.Some(true)})
	}
	return out, nil
}

func (q queueService) ReceiveMessage(c *wire.Call, in *weirsqs.ReceiveMessageRequest) (*weirsqs.ReceiveMessageResult, error) {
	q.s.saw(c, in)
	return &weirsqs.ReceiveMessageResult{Messages: []weirsqs.Message{{
		Body: wire.Some("grüße\n"), Attributes: map[string]string{"SentTimestamp": "1"},
		MessageAttributes: map[string]*weirsqs.MessageAttributeValue{"b": {DataType: wire.Some("Binary"), BinaryValue: []byte{1, 2}}},
	}}}, nil
}

func (q queueService) GetQueueUrl(c *wire.Call, in *weirsqs.GetQueueUrlRequest) (*weirsqs.GetQueueUrlResult, error) {
	return nil, lambda.Errorf("QueueDoesNotExist", "The specified queue does not exist.")
}

// TestSQSClient drives awsJson1.0.
func TestSQSClient(t *testing.T) {
	ctx, s := context.Background(), &services{}
	client := sqs.NewFromConfig(cloud(t, s), func(o *sqs.Options) { o.DisableMessageChecksumValidation = true })
	out, err := client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{
		QueueUrl: aws.String("http://q/123456789012/q"),
		Entries: []sqstypes.SendMessageBatchRequestEntry{
			{Id: aws.String("1"), MessageBody: aws.String("x"), MessageAttributes: map[string]sqstypes.MessageAttributeValue{"k": {DataType: aws.String("String"), StringValue: aws.String("v")}}},
			{Id: aws.String("2"), MessageBody: aws.String("y")},
		},
	})
	if err != nil || len(out.Successful) != 1 || len(out.Failed) != 1 || *out.Failed[0].Id != "2" || !out.Failed[0].SenderFault {
		t.Errorf("SendMessageBatch: %+v, %v", out, err)
	}
	if in := s.in.(*weirsqs.SendMessageBatchRequest); in.Entries[0].MessageAttributes["k"].StringValue.V != "v" || s.scope.Region != "eu-central-1" {
		t.Errorf("the service got %+v for %v", in, s.scope)
	}
	received, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: aws.String("http://q/123456789012/q"), WaitTimeSeconds: 0, MaxNumberOfMessages: 10})
	if err != nil || *received.Messages[0].Body != "grüße\n" || !bytes.Equal(received.Messages[0].MessageAttributes["b"].BinaryValue, []byte{1, 2}) {
		t.Errorf("ReceiveMessage: %+v, %v", received, err)
	}
	_, err = client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("q")})
	var missing *sqstypes.QueueDoesNotExist
	if !errors.As(err, &missing) || missing.ErrorCode() != "AWS.SimpleQueueService.NonExistentQueue" {
		t.Errorf("GetQueueUrl: %v", err)
	}
}

type topicService struct {
	weirsns.Unimplemented
	s *services
}

func (s topicService) PublishBatch(c *wire.Call, in *weirsns.PublishBatchInput) (*weirsns.PublishBatchResponse, error) {
	s.s.saw(c, in)
	out := &weirsns.PublishBatchResponse{Failed: []weirsns.BatchResultErrorEntry{}}
	for _, e := range in.PublishBatchRequestEntries {
		out.Successful = append(out.Successful, weirsns.PublishBatchResultEntry{Id: e.Id, MessageId: wire.Some("m<" + e.Id.V + ">")})
	}
	return out, nil
}

func (s topicService) GetTopicAttributes(c *wire.Call, in *weirsns.GetTopicAttributesInput) (*weirsns.GetTopicAttributesResponse, error) {
	if in.TopicArn.V == "gone" {
		return nil, lambda.Errorf("NotFoundException", "Topic does not exist")
	}
	return &weirsns.GetTopicAttributesResponse{Attributes: map[string]string{"Policy": `{"a":["<&>"]}`, "Owner": "123456789012"}}, nil
}

func (s topicService) SetTopicAttributes(c *wire.Call, in *weirsns.SetTopicAttributesInput) error {
	s.s.saw(c, in)
	return nil
}

// TestSNSClient drives awsQuery.
func TestSNSClient(t *testing.T) {
	ctx, s := context.Background(), &services{}
	client := sns.NewFromConfig(cloud(t, s))
	out, err := client.PublishBatch(ctx, &sns.PublishBatchInput{TopicArn: aws.String("arn:aws:sns:eu-central-1:123456789012:t"), PublishBatchRequestEntries: []snstypes.PublishBatchRequestEntry{
		{Id: aws.String("1"), Message: aws.String("a&b=c +%\n")},
		{Id: aws.String("2"), Message: aws.String("y"), MessageAttributes: map[string]snstypes.MessageAttributeValue{"k": {DataType: aws.String("Binary"), BinaryValue: []byte{0, 255}}}},
	}})
	if err != nil || len(out.Successful) != 2 || *out.Successful[1].MessageId != "m<2>" || len(out.Failed) != 0 {
		t.Errorf("PublishBatch: %+v, %v", out, err)
	}
	in := s.in.(*weirsns.PublishBatchInput)
	if in.PublishBatchRequestEntries[0].Message.V != "a&b=c +%\n" || !bytes.Equal(in.PublishBatchRequestEntries[1].MessageAttributes["k"].BinaryValue, []byte{0, 255}) {
		t.Errorf("the service got %+v", in)
	}
	attributes, err := client.GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: aws.String("arn:aws:sns:eu-central-1:123456789012:t")})
	if err != nil || attributes.Attributes["Policy"] != `{"a":["<&>"]}` {
		t.Errorf("GetTopicAttributes: %+v, %v", attributes, err)
	}
	_, err = client.GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: aws.String("gone")})
	var missing *snstypes.NotFoundException
	if !errors.As(err, &missing) || *missing.Message != "Topic does not exist" {
		t.Errorf("GetTopicAttributes: %v", err)
	}
	if _, err := client.SetTopicAttributes(ctx, &sns.SetTopicAttributesInput{TopicArn: aws.String("t"), AttributeName: aws.String("DisplayName")}); err != nil {
		t.Errorf("SetTopicAttributes: %v", err)
	}
	_, err = client.ListTopics(ctx, &sns.ListTopicsInput{})
	var refused smithy.APIError
	if !errors.As(err, &refused) || refused.ErrorCode() != "InvalidAction" || refused.ErrorFault() != smithy.FaultUnknown && refused.ErrorFault() != smithy.FaultClient {
		t.Errorf("ListTopics: %v", err)
	}
}

type metricService struct {
	weircloudwatch.Unimplemented
	s *services
}

func (m metricService) PutMetricData(c *wire.Call, in *weircloudwatch.PutMetricDataInput) error {
	m.s.saw(c, in)
	return nil
}

func (m metricService) GetMetricStatistics(c *wire.Call, in *weircloudwatch.GetMetricStatisticsInput) (*weircloudwatch.GetMetricStatisticsOutput, error) {
	m.s.saw(c, in)
	return &weircloudwatch.GetMetricStatisticsOutput{Label: in.MetricName, Datapoints: []weircloudwatch.Datapoint{
		{Timestamp: in.StartTime, Sum: wire.Some(1.5), ExtendedStatistics: map[string]float64{"p99": 2}},
	}}, nil
}

func (m metricService) GetDashboard(*wire.Call, *weircloudwatch.GetDashboardInput) (*weircloudwatch.GetDashboardOutput, error) {
	return nil, lambda.Errorf("DashboardNotFoundError", "no such dashboard")
}

// TestCloudWatchClient drives one service in the three protocols that its clients speak.
// In rpc-v2-cbor the client compresses bodies.
func TestCloudWatchClient(t *testing.T) {
	service := schemas.GraniteServiceVersion20100801
	for _, p := range []smithyhttp.ClientProtocol{rpcv2.NewCBOR(service), awsjson.New10(service), awsquery.New(service)} {
		t.Run(p.ID().Name, func(t *testing.T) { driveCloudWatch(t, p) })
	}
}

func driveCloudWatch(t *testing.T, protocol smithyhttp.ClientProtocol) {
	ctx, s := context.Background(), &services{}
	client := cloudwatch.NewFromConfig(cloud(t, s), func(o *cloudwatch.Options) {
		o.RequestMinCompressSizeBytes, o.Protocol = 1, protocol
	})
	at := time.Unix(1764000000, 0)
	_, err := client.PutMetricData(ctx, &cloudwatch.PutMetricDataInput{Namespace: aws.String("N"), MetricData: []cloudwatchtypes.MetricDatum{
		{MetricName: aws.String("m"), Value: aws.Float64(0.1), Timestamp: &at, Unit: cloudwatchtypes.StandardUnitSeconds, Dimensions: []cloudwatchtypes.Dimension{{Name: aws.String("d"), Value: aws.String("v")}}},
		{MetricName: aws.String("m"), Values: []float64{1, 2}, Counts: []float64{3, 4}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	in := s.in.(*weircloudwatch.PutMetricDataInput)
	if in.MetricData[0].Value.V != 0.1 || !in.MetricData[0].Timestamp.V.Equal(at) || in.MetricData[1].Counts[1] != 4 || in.MetricData[0].Dimensions[0].Value.V != "v" {
		t.Errorf("the service got %+v", in)
	}
	out, err := client.GetMetricStatistics(ctx, &cloudwatch.GetMetricStatisticsInput{
		Namespace: aws.String("N"), MetricName: aws.String("m"), StartTime: &at, EndTime: &at, Period: aws.Int32(60), Statistics: []cloudwatchtypes.Statistic{cloudwatchtypes.StatisticSum},
	})
	if err != nil || *out.Label != "m" || *out.Datapoints[0].Sum != 1.5 || !out.Datapoints[0].Timestamp.Equal(at) || out.Datapoints[0].ExtendedStatistics["p99"] != 2 {
		t.Errorf("GetMetricStatistics: %+v, %v", out, err)
	}
	_, err = client.GetDashboard(ctx, &cloudwatch.GetDashboardInput{DashboardName: aws.String("d")})
	var failed smithy.APIError
	if !errors.As(err, &failed) || failed.ErrorMessage() != "no such dashboard" || !slices.Contains([]string{"DashboardNotFoundError", "ResourceNotFound"}, failed.ErrorCode()) {
		t.Errorf("GetDashboard: %v", err)
	}
	_, err = client.GetMetricStatistics(ctx, &cloudwatch.GetMetricStatisticsInput{
		Namespace: aws.String(""), MetricName: aws.String("m"), StartTime: &at, EndTime: &at, Period: aws.Int32(60),
	})
	if !errors.As(err, &failed) || !strings.Contains(failed.ErrorMessage(), "Value '' at 'namespace' failed to satisfy constraint: Member must have length greater than or equal to 1") {
		t.Errorf("GetMetricStatistics: %v", err)
	}
}
