//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

const (
	region   = "us-east-1"
	patience = 30 * time.Second // for what takes much less
)

var accounts atomic.Int64

// An account is a client of a server, by aws-sdk-go-v2 and without its retries.
type account struct {
	*lambda.Client
	id string
}

// newAccount returns an account that nobody else uses: an access key id of twelve digits names
// its account.
func newAccount(url string) *account {
	return accountOf(url, fmt.Sprintf("%012d", 100_000_000_000+accounts.Add(1)))
}

func accountOf(url, id string) *account {
	return &account{client(url, id, "any", func(o *lambda.Options) { o.Retryer = aws.NopRetryer{} }), id}
}

func client(url, key, secret string, options ...func(*lambda.Options)) *lambda.Client {
	return lambda.New(lambda.Options{
		Region: region, BaseEndpoint: &url,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}, nil
		}),
	}, options...)
}

// A function is what CreateFunction needs to know.
type function struct {
	name      string
	language  language
	code      []byte // a zip, if not the language's own
	variables map[string]string
	timeout   int32
	memory    int32
	reserved  *int32
}

// create makes a function and waits until it is active.
func (a *account) create(t testing.TB, f function) {
	t.Helper()
	in := &lambda.CreateFunctionInput{
		FunctionName: &f.name, Runtime: types.Runtime(f.language.runtime), Handler: aws.String("app.handler"),
		Role: aws.String("arn:aws:iam::" + a.id + ":role/e2e"), Code: &types.FunctionCode{ZipFile: f.code},
		Timeout: aws.Int32(10), MemorySize: aws.Int32(256),
	}
	if f.code == nil {
		in.Code.ZipFile = f.language.code(t)
	}
	if f.timeout != 0 {
		in.Timeout = &f.timeout
	}
	if f.memory != 0 {
		in.MemorySize = &f.memory
	}
	if f.variables != nil {
		in.Environment = &types.Environment{Variables: f.variables}
	}
	if _, err := a.CreateFunction(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	a.active(t, f.name)
	if f.reserved != nil {
		if _, err := a.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: &f.name, ReservedConcurrentExecutions: f.reserved}); err != nil {
			t.Fatal(err)
		}
	}
}

// active waits until a function is active and no update of it is in progress.
func (a *account) active(t testing.TB, name string) {
	t.Helper()
	eventually(t, patience, func() error {
		c, err := a.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &name})
		if err != nil {
			return err
		}
		if c.State != types.StateActive || c.LastUpdateStatus != types.LastUpdateStatusSuccessful && c.LastUpdateStatus != "" {
			return fmt.Errorf("%s is %s, its update %s", name, c.State, c.LastUpdateStatus)
		}
		return nil
	})
}

// ready waits until provisioned concurrency is.
func (a *account) ready(t testing.TB, name, qualifier string, n int32) {
	t.Helper()
	eventually(t, patience, func() error {
		p, err := a.GetProvisionedConcurrencyConfig(t.Context(), &lambda.GetProvisionedConcurrencyConfigInput{FunctionName: &name, Qualifier: &qualifier})
		if err != nil {
			return err
		}
		if p.Status != "READY" || *p.AllocatedProvisionedConcurrentExecutions != n || *p.AvailableProvisionedConcurrentExecutions != n {
			return fmt.Errorf("provisioned concurrency of %s:%s is %s, %d of %d", name, qualifier, p.Status, *p.AvailableProvisionedConcurrentExecutions, n)
		}
		return nil
	})
}

// provisioned checks that an invocation gets an environment that was provisioned.
func (a *account) provisioned(t testing.TB, name, qualifier string) {
	t.Helper()
	var got struct{ Init string }
	a.do(t, name+":"+qualifier, struct{}{}, &got)
	if got.Init != "provisioned-concurrency" {
		t.Errorf("%s:%s ran in an environment of type %s", name, qualifier, got.Init)
	}
}

// call invokes a function with an event; with a result, what it returns is decoded there and
// must not be an error.
func (a *account) call(ctx context.Context, name string, event, result any) (*lambda.InvokeOutput, error) {
	payload, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	out, err := a.Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, Payload: payload, LogType: types.LogTypeTail})
	if err != nil || result == nil {
		return out, err
	}
	if out.FunctionError != nil {
		return out, fmt.Errorf("%s failed: %s: %s", name, *out.FunctionError, out.Payload)
	}
	return out, json.Unmarshal(out.Payload, result)
}

// do is call for what must work.
func (a *account) do(t testing.TB, name string, event, result any) *lambda.InvokeOutput {
	t.Helper()
	out, err := a.call(t.Context(), name, event, result)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// code returns the code of an AWS error, or "".
func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}
