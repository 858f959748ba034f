package sqs

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// TestSDK is a life of messages with AWS's own client, which checks every digest.
func TestSDK(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	client := sdk.New(sdk.Options{
		BaseEndpoint: aws.String(h.url), Region: scope.Region,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: account, SecretAccessKey: "secret"}, nil
		}),
	})
	created, err := client.CreateQueue(ctx, &sdk.CreateQueueInput{QueueName: aws.String("q")})
	if err != nil {
		t.Fatal(err)
	}
	attributes := map[string]types.MessageAttributeValue{
		"text":   {DataType: aws.String("String.label"), StringValue: aws.String("é\t")},
		"number": {DataType: aws.String("Number"), StringValue: aws.String("-1.5e3")},
		"bytes":  {DataType: aws.String("Binary"), BinaryValue: []byte{0, 255}},
	}
	if _, err := client.SendMessage(ctx, &sdk.SendMessageInput{QueueUrl: created.QueueUrl, MessageBody: aws.String("one"), MessageAttributes: attributes}); err != nil {
		t.Fatal(err)
	}
	batch, err := client.SendMessageBatch(ctx, &sdk.SendMessageBatchInput{QueueUrl: created.QueueUrl, Entries: []types.SendMessageBatchRequestEntry{
		{Id: aws.String("a"), MessageBody: aws.String("two"), MessageAttributes: attributes}, {Id: aws.String("b"), MessageBody: aws.String("\u0001")},
	}})
	if err != nil || len(batch.Successful) != 1 || len(batch.Failed) != 1 || *batch.Failed[0].Code != "InvalidMessageContents" {
		t.Fatal(batch, err)
	}
	got, err := client.ReceiveMessage(ctx, &sdk.ReceiveMessageInput{
		QueueUrl: created.QueueUrl, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"text", "by.*"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil || len(got.Messages) != 2 || len(got.Messages[0].MessageAttributes) != 2 || got.Messages[1].Attributes["SenderId"] != account {
		t.Fatal(got, err)
	}
	for _, m := range got.Messages {
		if _, err := client.DeleteMessage(ctx, &sdk.DeleteMessageInput{QueueUrl: created.QueueUrl, ReceiptHandle: m.ReceiptHandle}); err != nil {
			t.Error(err)
		}
	}
	_, err = client.GetQueueUrl(ctx, &sdk.GetQueueUrlInput{QueueName: aws.String("none")})
	var none *types.QueueDoesNotExist
	if !errors.As(err, &none) {
		t.Error(err)
	}
}
