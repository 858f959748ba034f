package lambda

import (
	"strings"
	"time"

	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// PutFunctionEventInvokeConfig sets how asynchronous invocations by one qualifier are handled;
// what is not given is not set any more.
func (s *Service) PutFunctionEventInvokeConfig(c *wire.Call, in *api.PutFunctionEventInvokeConfigRequest) (*api.FunctionEventInvokeConfig, error) {
	return s.setEventInvoke(c, in.FunctionName, in.Qualifier, eventInvokeSettings{in.MaximumRetryAttempts, in.MaximumEventAgeInSeconds, in.DestinationConfig}, false)
}

// UpdateFunctionEventInvokeConfig changes what is given, and keeps the rest.
func (s *Service) UpdateFunctionEventInvokeConfig(c *wire.Call, in *api.UpdateFunctionEventInvokeConfigRequest) (*api.FunctionEventInvokeConfig, error) {
	return s.setEventInvoke(c, in.FunctionName, in.Qualifier, eventInvokeSettings{in.MaximumRetryAttempts, in.MaximumEventAgeInSeconds, in.DestinationConfig}, true)
}

// eventInvokeSettings is what both Put and Update set.
type eventInvokeSettings struct {
	retries, age wire.Opt[int32]
	destinations *api.DestinationConfig
}

func (s *Service) setEventInvoke(c *wire.Call, name, qualifier wire.Opt[string], set eventInvokeSettings, update bool) (*api.FunctionEventInvokeConfig, error) {
	t, err := s.eventTarget(c, name, qualifier)
	if err != nil {
		return nil, err
	}
	if !set.retries.OK && !set.age.OK && set.destinations == nil {
		return nil, invalid("You must specify at least one of error handling or destination setting.")
	}
	s.flag(c)
	var x lambda.EventInvoke
	err = s.update(func(tx *store.Tx) error {
		if _, err := t.version(tx); err != nil {
			return notFound("The function doesn't exist.")
		}
		x = lambda.EventInvoke{Function: t.name, Qualifier: t.qualifier, MaxRetries: lambda.NotSet, MaxAgeSec: lambda.NotSet}
		if update {
			old, ok := store.EventInvokes.Get(tx, t.scope, t.key())
			if !ok {
				return t.noEventInvoke()
			}
			x = *old
		}
		x.MaxRetries = int(set.retries.Or(int32(x.MaxRetries)))
		x.MaxAgeSec = int(set.age.Or(int32(x.MaxAgeSec)))
		x.LastModified = time.Now()
		if d := set.destinations; d != nil {
			if d.OnSuccess != nil {
				x.OnSuccess = d.OnSuccess.Destination.V
			}
			if d.OnFailure != nil {
				x.OnFailure = d.OnFailure.Destination.V
			}
			if err := s.checkDestinations(tx, t, d); err != nil {
				return err
			}
		}
		store.EventInvokes.Put(tx, t.scope, t.key(), &x)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return eventInvokeConfig(t.scope, &x), nil
}

// eventTarget is target for an operation whose qualifier is $LATEST unless it is given.
func (s *Service) eventTarget(c *wire.Call, name, qualifier wire.Opt[string]) (target, error) {
	t, err := s.target(c, name.V, qualifier)
	if err == nil && t.qualifier == "" {
		t.qualifier = lambda.Latest
	}
	return t, err
}

// key is the name of what the catalogue holds about a function by the qualifier.
func (t target) key() string { return store.QualifiedName(t.name, t.qualifier) }

func (t target) noEventInvoke() error {
	return notFound("The function %s doesn't have an EventInvokeConfig", t.arn())
}

// checkDestinations refuses destinations that do not exist or cannot be one.
func (s *Service) checkDestinations(r store.Reader, t target, d *api.DestinationConfig) error {
	for _, arn := range []string{onSuccess(d), onFailure(d)} {
		if arn == "" {
			continue
		}
		switch service := serviceOf(arn); {
		case service == "events", service == "s3":
			return invalid("weir does not deliver to destinations of the service %s yet: %s", service, arn)
		case service == "lambda":
			n, ok := lambda.ParseFunctionName(arn)
			if !ok {
				return invalid("The destination ARN %s is invalid.", arn)
			}
			if n.Name == t.name && n.Account == t.scope.Account && n.Region == t.scope.Region {
				return invalid("You can't specify the function as a destination for itself.")
			}
			to := target{lambda.Scope{Account: n.Account, Region: n.Region}, n.Name, n.Qualifier}
			if _, err := to.version(r); err != nil {
				return invalid("The destination ARN %s is invalid.", arn)
			}
		case s.opt.Targets[service] == nil, strings.HasSuffix(arn, ".fifo"):
			return invalid("The provided destination config DestinationConfig(onSuccess=%s, onFailure=%s) is invalid.",
				javaObject("OnSuccess", onSuccess(d)), javaObject("OnFailure", onFailure(d)))
		case !s.opt.Targets[service](arn):
			return invalid("The destination ARN %s is invalid.", arn)
		}
	}
	return nil
}

// serviceOf is the service in an ARN, or empty.
func serviceOf(arn string) string {
	if part := strings.SplitN(arn, ":", 6); len(part) == 6 {
		return part[2]
	}
	return ""
}

func onSuccess(d *api.DestinationConfig) string {
	if d == nil || d.OnSuccess == nil {
		return ""
	}
	return d.OnSuccess.Destination.V
}

func onFailure(d *api.DestinationConfig) string {
	if d == nil || d.OnFailure == nil {
		return ""
	}
	return d.OnFailure.Destination.V
}

// javaObject prints a destination as AWS's messages do.
func javaObject(class, destination string) string {
	if destination == "" {
		return "null"
	}
	return class + "(destination=" + destination + ")"
}

// eventInvokeConfig describes a configuration; unset halves of the destinations are empty.
func eventInvokeConfig(scope lambda.Scope, x *lambda.EventInvoke) *api.FunctionEventInvokeConfig {
	out := &api.FunctionEventInvokeConfig{
		LastModified: wire.Some(x.LastModified),
		FunctionArn:  wire.Some(scope.FunctionARN(x.Function, x.Qualifier)),
		DestinationConfig: &api.DestinationConfig{
			OnSuccess: &api.OnSuccess{Destination: optional(x.OnSuccess)},
			OnFailure: &api.OnFailure{Destination: optional(x.OnFailure)},
		},
	}
	if x.MaxRetries != lambda.NotSet {
		out.MaximumRetryAttempts = wire.Some(int32(x.MaxRetries))
	}
	if x.MaxAgeSec != lambda.NotSet {
		out.MaximumEventAgeInSeconds = wire.Some(int32(x.MaxAgeSec))
	}
	return out
}

// GetFunctionEventInvokeConfig describes the configuration of one qualifier.
func (s *Service) GetFunctionEventInvokeConfig(c *wire.Call, in *api.GetFunctionEventInvokeConfigRequest) (*api.FunctionEventInvokeConfig, error) {
	t, err := s.eventTarget(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	x, ok := store.EventInvokes.Get(s.snapshot(), t.scope, t.key())
	if !ok {
		return nil, t.noEventInvoke()
	}
	return eventInvokeConfig(t.scope, x), nil
}

// DeleteFunctionEventInvokeConfig returns a qualifier to the defaults.
func (s *Service) DeleteFunctionEventInvokeConfig(c *wire.Call, in *api.DeleteFunctionEventInvokeConfigRequest) error {
	t, err := s.eventTarget(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return err
	}
	return s.update(func(tx *store.Tx) error {
		if _, ok := store.EventInvokes.Get(tx, t.scope, t.key()); !ok {
			return t.noEventInvoke()
		}
		store.EventInvokes.Delete(tx, t.scope, t.key())
		return nil
	})
}

// ListFunctionEventInvokeConfigs lists the configurations of a function by qualifier.
func (s *Service) ListFunctionEventInvokeConfigs(c *wire.Call, in *api.ListFunctionEventInvokeConfigsRequest) (*api.ListFunctionEventInvokeConfigsResponse, error) {
	t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
	if err != nil {
		return nil, err
	}
	snapshot := s.snapshot()
	if _, err := t.function(snapshot); err != nil {
		return nil, notFound("The function doesn't exist.")
	}
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListFunctionEventInvokeConfigsResponse{FunctionEventInvokeConfigs: []api.FunctionEventInvokeConfig{}}
	store.EventInvokes.ScanPrefix(snapshot, t.scope, store.QualifiedPrefix(t.name), p.After, func(name string, x *lambda.EventInvoke) bool {
		if !p.Take(name) {
			return false
		}
		out.FunctionEventInvokeConfigs = append(out.FunctionEventInvokeConfigs, *eventInvokeConfig(t.scope, x))
		return true
	})
	out.NextMarker = p.Token()
	return out, nil
}
