//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// lifecycle is what every client must see of the life of three functions: testdata/clients has
// it in their languages, and goLifecycle is the one in Go.
const lifecycle = `
python is created Pending
python answers $LATEST {"language": "python", "version": "$LATEST"}
python is published as 1
node is created Pending
node answers $LATEST {"language":"node","version":"$LATEST"}
node is published as 1
go is created Pending
go answers $LATEST {"language":"go","version":"$LATEST"}
go is published as 1
python is published as 2
alias of 1 0.5
alias runs 1 2
alias runs 2
reserved 7
reserved 7
reserved 7
unreserved 993
turned off: TooManyRequestsException
on again: $LATEST
too much: InvalidParameterValueException
provisioned IN_PROGRESS
provisioned READY 2
provisioned in all 1
provisioned: ProvisionedConcurrencyConfigNotFoundException
functions go node python
versions $LATEST 1 2
deleted: ResourceNotFoundException
`

// A stage is where a client acts: its account, the functions in its working directory.
type stage struct {
	url, account, dir string
	runtimes          string
}

func newStage(t testing.TB) stage {
	t.Helper()
	s := stage{url: shared(t).url, account: newAccount("").id, dir: t.TempDir()}
	for _, l := range languages {
		l.on(t)
		if err := os.WriteFile(filepath.Join(s.dir, l.name+".zip"), l.code(t), 0o644); err != nil {
			t.Fatal(err)
		}
		s.runtimes += " " + l.name + "=" + l.runtime
	}
	s.runtimes = strings.TrimSpace(s.runtimes)
	return s
}

// run runs a client on the stage and compares what it prints.
func (s stage) run(t testing.TB, c *exec.Cmd) {
	t.Helper()
	c.Dir = s.dir
	c.Env = append(c.Env, "RUNTIMES="+s.runtimes)
	began := time.Now()
	s.compare(t, runClient(t, c))
	t.Logf("took %.1f s", time.Since(began).Seconds())
}

func (s stage) compare(t testing.TB, out output) {
	t.Helper()
	if strings.TrimSpace(out.out) != strings.TrimSpace(lifecycle) {
		t.Errorf("got\n%v\nwant\n%s", out, lifecycle)
	}
}

// clientFile returns the absolute path of a file of testdata/clients.
func clientFile(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", "clients", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLifecycleCLI(t *testing.T) {
	for _, k := range kits {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			script, err := os.ReadFile(clientFile(t, "lifecycle.sh"))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
			defer cancel()
			s.run(t, k.shell(t, ctx, s.url, s.account, string(script)))
		})
	}
}

func TestLifecycleBoto3(t *testing.T) {
	for _, k := range kits {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
			defer cancel()
			s.run(t, k.python(t, ctx, s.url, s.account, clientFile(t, "lifecycle.py")))
		})
	}
}

func TestLifecycleJavaScript(t *testing.T) {
	t.Parallel()
	modules := from("WEIR_E2E_JS", filepath.Join(cache(), "js"))
	_, err := os.Stat(filepath.Join(modules, "node_modules", "@aws-sdk", "client-lambda"))
	need(t, err == nil, "the AWS SDK for JavaScript is not there (.ci/clients installs it): %v", err)
	s := newStage(t)
	ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
	defer cancel()
	c := command(ctx, s.url, s.account, "node", clientFile(t, "lifecycle.cjs"))
	c.Env = append(c.Env, "AWS_ENDPOINT_URL="+s.url, "MODULES="+modules)
	s.run(t, c)
}

func TestLifecycleGo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var out strings.Builder
	c := &goClient{client(s.url, s.account, "any"), t.Context(), &out}
	for _, part := range []func(stage) error{c.functions, c.alias, c.reserved, c.provisioned, c.end} {
		if err := part(s); err != nil {
			t.Fatalf("%v, after\n%s", err, out.String())
		}
	}
	s.compare(t, output{out: out.String()})
}

// A goClient lives the life of functions by aws-sdk-go-v2, with its default retries and waiters.
type goClient struct {
	*lambda.Client
	ctx context.Context
	out io.Writer
}

func (c *goClient) say(words ...any) { fmt.Fprintln(c.out, words...) }

func (c *goClient) invoke(name string) (version, answer string, err error) {
	out, err := c.Invoke(c.ctx, &lambda.InvokeInput{FunctionName: &name, Payload: []byte(`{"do": "who"}`)})
	if err != nil {
		return "", "", err
	}
	return *out.ExecutedVersion, string(out.Payload), nil
}

func (c *goClient) publish(name string) error {
	out, err := c.PublishVersion(c.ctx, &lambda.PublishVersionInput{FunctionName: &name})
	if err != nil {
		return err
	}
	c.say(name, "is published as", *out.Version)
	return nil
}

func (c *goClient) functions(s stage) error {
	active := lambda.NewFunctionActiveV2Waiter(c.Client, func(o *lambda.FunctionActiveV2WaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, time.Second
	})
	for pair := range strings.FieldsSeq(s.runtimes) {
		f, runtime, _ := strings.Cut(pair, "=")
		zip, err := os.ReadFile(filepath.Join(s.dir, f+".zip"))
		if err != nil {
			return err
		}
		made, err := c.CreateFunction(c.ctx, &lambda.CreateFunctionInput{
			FunctionName: &f, Runtime: types.Runtime(runtime), Handler: aws.String("app.handler"), Timeout: aws.Int32(10),
			Role: aws.String("arn:aws:iam::000000000000:role/e2e"), Code: &types.FunctionCode{ZipFile: zip},
		})
		if err != nil {
			return err
		}
		c.say(f, "is created", made.State)
		if err := active.Wait(c.ctx, &lambda.GetFunctionInput{FunctionName: &f}, patience); err != nil {
			return err
		}
		version, answer, err := c.invoke(f)
		if err != nil {
			return err
		}
		c.say(f, "answers", version, answer)
		if err := c.publish(f); err != nil {
			return err
		}
	}
	return nil
}

func (c *goClient) alias(stage) error {
	name, live := aws.String("python"), aws.String("live")
	if _, err := c.UpdateFunctionConfiguration(c.ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: name, Description: aws.String("second")}); err != nil {
		return err
	}
	updated := lambda.NewFunctionUpdatedV2Waiter(c.Client, func(o *lambda.FunctionUpdatedV2WaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, time.Second
	})
	if err := updated.Wait(c.ctx, &lambda.GetFunctionInput{FunctionName: name}, patience); err != nil {
		return err
	}
	if err := c.publish("python"); err != nil {
		return err
	}
	made, err := c.CreateAlias(c.ctx, &lambda.CreateAliasInput{
		FunctionName: name, Name: live, FunctionVersion: aws.String("1"),
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": 0.5}},
	})
	if err != nil {
		return err
	}
	c.say("alias of", *made.FunctionVersion, made.RoutingConfig.AdditionalVersionWeights["2"])
	var seen []string
	for range 40 {
		version, _, err := c.invoke("python:live")
		if err != nil {
			return err
		}
		if !slices.Contains(seen, version) {
			seen = append(seen, version)
		}
		if len(seen) == 2 {
			break
		}
	}
	slices.Sort(seen)
	c.say("alias runs", strings.Join(seen, " "))
	_, err = c.UpdateAlias(c.ctx, &lambda.UpdateAliasInput{
		FunctionName: name, Name: live, FunctionVersion: aws.String("2"),
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{}},
	})
	if err != nil {
		return err
	}
	version, _, err := c.invoke("python:live")
	c.say("alias runs", version)
	return err
}

func (c *goClient) reserved(stage) error {
	name := aws.String("go")
	put := func(n int32) (*int32, error) {
		out, err := c.PutFunctionConcurrency(c.ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: name, ReservedConcurrentExecutions: &n})
		if err != nil {
			return nil, err
		}
		return out.ReservedConcurrentExecutions, nil
	}
	n, err := put(7)
	if err != nil {
		return err
	}
	got, err := c.GetFunctionConcurrency(c.ctx, &lambda.GetFunctionConcurrencyInput{FunctionName: name})
	if err != nil {
		return err
	}
	f, err := c.GetFunction(c.ctx, &lambda.GetFunctionInput{FunctionName: name})
	if err != nil {
		return err
	}
	settings, err := c.GetAccountSettings(c.ctx, &lambda.GetAccountSettingsInput{})
	if err != nil {
		return err
	}
	for _, r := range []*int32{n, got.ReservedConcurrentExecutions, f.Concurrency.ReservedConcurrentExecutions} {
		c.say("reserved", aws.ToInt32(r))
	}
	c.say("unreserved", *settings.AccountLimit.UnreservedConcurrentExecutions)
	if _, err := put(0); err != nil {
		return err
	}
	_, _, err = c.invoke("go")
	c.say("turned off:", code(err))
	if _, err := c.DeleteFunctionConcurrency(c.ctx, &lambda.DeleteFunctionConcurrencyInput{FunctionName: name}); err != nil {
		return err
	}
	version, _, err := c.invoke("go")
	if err != nil {
		return err
	}
	c.say("on again:", version)
	_, err = put(901)
	c.say("too much:", code(err))
	return nil
}

func (c *goClient) provisioned(stage) error {
	name, version := aws.String("node"), aws.String("1")
	put, err := c.PutProvisionedConcurrencyConfig(c.ctx, &lambda.PutProvisionedConcurrencyConfigInput{
		FunctionName: name, Qualifier: version, ProvisionedConcurrentExecutions: aws.Int32(2),
	})
	if err != nil {
		return err
	}
	c.say("provisioned", put.Status)
	get := &lambda.GetProvisionedConcurrencyConfigInput{FunctionName: name, Qualifier: version}
	err = poll(patience, func() error {
		p, err := c.GetProvisionedConcurrencyConfig(c.ctx, get)
		if err == nil && p.Status == types.ProvisionedConcurrencyStatusEnumInProgress {
			err = fmt.Errorf("provisioned concurrency is %s", p.Status)
		}
		if err == nil {
			c.say("provisioned", p.Status, *p.AvailableProvisionedConcurrentExecutions)
		}
		return err
	})
	if err != nil {
		return err
	}
	list, err := c.ListProvisionedConcurrencyConfigs(c.ctx, &lambda.ListProvisionedConcurrencyConfigsInput{FunctionName: name})
	if err != nil {
		return err
	}
	c.say("provisioned in all", len(list.ProvisionedConcurrencyConfigs))
	if _, err := c.DeleteProvisionedConcurrencyConfig(c.ctx, &lambda.DeleteProvisionedConcurrencyConfigInput{FunctionName: name, Qualifier: version}); err != nil {
		return err
	}
	_, err = c.GetProvisionedConcurrencyConfig(c.ctx, get)
	c.say("provisioned:", code(err))
	return nil
}

func (c *goClient) end(stage) error {
	all, err := c.ListFunctions(c.ctx, &lambda.ListFunctionsInput{})
	if err != nil {
		return err
	}
	var names, versions []string
	for _, f := range all.Functions {
		names = append(names, *f.FunctionName)
	}
	slices.Sort(names)
	c.say("functions", strings.Join(names, " "))
	name := aws.String("python")
	list, err := c.ListVersionsByFunction(c.ctx, &lambda.ListVersionsByFunctionInput{FunctionName: name})
	if err != nil {
		return err
	}
	for _, v := range list.Versions {
		versions = append(versions, *v.Version)
	}
	c.say("versions", strings.Join(versions, " "))
	if _, err := c.DeleteFunction(c.ctx, &lambda.DeleteFunctionInput{FunctionName: name}); err != nil {
		return err
	}
	_, err = c.GetFunction(c.ctx, &lambda.GetFunctionInput{FunctionName: name})
	c.say("deleted:", code(err))
	return nil
}
