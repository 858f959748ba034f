// Function is a function in Go with AWS's own library: it answers the event it is given.
package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(_ context.Context, event json.RawMessage) (json.RawMessage, error) {
		var order struct {
			Sleep float64 `json:"sleep"` // seconds
		}
		if err := json.Unmarshal(event, &order); err != nil {
			return nil, err
		}
		time.Sleep(time.Duration(order.Sleep * float64(time.Second)))
		return event, nil
	})
}
