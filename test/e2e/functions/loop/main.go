// Command loop is a function that sends itself what it is given, by way of a queue or a topic:
// the mistake that recursion detection is for. Each run leaves a line in a ledger. It is made as
// people make theirs, with AWS's runtime client and SDK, which hand on the trace.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

func main() { lambda.Start(handle) }

func handle(ctx context.Context, event json.RawMessage) error {
	if err := note(); err != nil {
		return err
	}
	endpoint := aws.String(os.Getenv("AWS_ENDPOINT_URL"))
	keys := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{
			AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
		}, nil
	})
	if topic := os.Getenv("TOPIC"); topic != "" {
		c := sns.New(sns.Options{Region: os.Getenv("AWS_REGION"), BaseEndpoint: endpoint, Credentials: keys})
		_, err := c.Publish(ctx, &sns.PublishInput{TopicArn: &topic, Message: aws.String("again")})
		return err
	}
	c := sqs.New(sqs.Options{Region: os.Getenv("AWS_REGION"), BaseEndpoint: endpoint, Credentials: keys})
	_, err := c.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(os.Getenv("QUEUE")), MessageBody: aws.String("again")})
	return err
}

// note leaves a line in the ledger.
func note() error {
	path, _ := strings.CutPrefix(os.Getenv("LEDGER"), "at=")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintln(f, `{"Kind": "event", "Text": "again"}`)
	return err
}
