// Command app is the Go function of the suite, made as people make theirs: with AWS's own
// runtime client. It does what its event says; testdata/functions has its twins in Python and
// JavaScript.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/lambda"
)

type event struct {
	Do   string `json:"do"`
	Text string `json:"text"`
	MS   int    `json:"ms"`
	Name string `json:"name"`
}

var count int

func main() { lambda.Start(handle) }

func handle(ctx context.Context, e event) (any, error) {
	switch e.Do {
	case "who":
		return map[string]string{"language": "go", "version": lambdacontext.FunctionVersion}, nil
	case "context":
		return describe(ctx), nil
	case "environment":
		return environment(), nil
	case "count":
		count++
		return count, nil
	case "log":
		fmt.Println(e.Text)
		return nil, nil
	case "sleep":
		time.Sleep(time.Duration(e.MS) * time.Millisecond)
		return "awake", nil
	case "fail":
		return nil, errors.New(e.Text)
	case "exit":
		os.Exit(3)
	case "reserved":
		return reserved(ctx, e.Name)
	}
	return nil, fmt.Errorf("do what? %q", e.Do)
}

func describe(ctx context.Context) map[string]any {
	c, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	return map[string]any{
		"request": c.AwsRequestID, "arn": c.InvokedFunctionArn, "function": lambdacontext.FunctionName,
		"version": lambdacontext.FunctionVersion, "memory": fmt.Sprint(lambdacontext.MemoryLimitInMB),
		"group": lambdacontext.LogGroupName, "stream": lambdacontext.LogStreamName,
		"remaining": time.Until(deadline).Milliseconds(), "client": c.ClientContext.Custom,
	}
}

func environment() map[string]string {
	all := make(map[string]string)
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		all[name] = value
	}
	return all
}

// reserved asks weir itself, from inside, what is reserved for a function.
func reserved(ctx context.Context, name string) (any, error) {
	c := client.New(client.Options{
		Region:       os.Getenv("AWS_REGION"),
		BaseEndpoint: aws.String(os.Getenv("AWS_ENDPOINT_URL")),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{
				AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
			}, nil
		}),
	})
	out, err := c.GetFunctionConcurrency(ctx, &client.GetFunctionConcurrencyInput{FunctionName: &name})
	if err != nil {
		return nil, err
	}
	return out.ReservedConcurrentExecutions, nil
}
