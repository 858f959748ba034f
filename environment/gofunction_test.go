package environment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

// An order tells the function on AWS's Go client what to do.
type order struct {
	Do   string `json:"do"`
	Size int    `json:"size"`
}

func handleOrder(ctx context.Context, o order) (any, error) {
	switch o.Do {
	case "error":
		return nil, errors.New("as ordered")
	case "panic":
		panic("as ordered")
	case "exit":
		os.Exit(3)
	case "print":
		fmt.Println("printed")
		fmt.Fprint(os.Stderr, "no line end")
	case "sleep":
		time.Sleep(time.Minute)
	case "large":
		return strings.Repeat("x", o.Size), nil
	case "context":
		c, _ := lambdacontext.FromContext(ctx)
		deadline, _ := ctx.Deadline()
		left := time.Until(deadline)
		return []any{c.AwsRequestID, c.InvokedFunctionArn, c.ClientContext.Custom, left > 0 && left <= 10*time.Second,
			lambdacontext.FunctionName, lambdacontext.MemoryLimitInMB, os.Getenv("_X_AMZN_TRACE_ID")}, nil
	case "leave":
		return nil, os.WriteFile(os.TempDir()+"/left", []byte("behind"), 0o600)
	case "find":
		b, err := os.ReadFile(os.TempDir() + "/left")
		return string(b), err
	}
	return o, nil
}

func streamOrder(o order) (*events.LambdaFunctionURLStreamingResponse, error) {
	var body io.Reader = strings.NewReader("streamed")
	if o.Do == "error" {
		body = io.MultiReader(body, failingReader{})
	}
	return &events.LambdaFunctionURLStreamingResponse{StatusCode: 200, Body: body}, nil
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("mid stream") }

// goFunction is the function: the test binary is its own bootstrap.
func goFunction() {
	if os.Getenv("_HANDLER") == "stream" {
		awslambda.Start(streamOrder)
	}
	awslambda.Start(handleOrder)
}
