package lambda

import (
	"time"

	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// UpdateFunctionCode replaces the code of $LATEST. Invocations run on the old code until
// LastUpdateStatus is Successful.
func (s *Service) UpdateFunctionCode(c *wire.Call, in *api.UpdateFunctionCodeRequest) (*api.FunctionConfiguration, error) {
	t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
	if err != nil {
		return nil, err
	}
	switch {
	case in.ImageUri.OK:
		return nil, invalid("Please don't provide ImageUri when updating a function with packageType Zip.")
	case in.S3Bucket.OK || in.S3Key.OK:
		return nil, invalid("weir does not fetch code from S3 yet; send it with the request, as ZipFile.")
	}
	if err := s.supported(c, in, "FunctionName", "ZipFile", "Architectures", "Publish", "DryRun", "RevisionId"); err != nil {
		return nil, err
	}
	if _, err := t.version(s.snapshot()); err != nil {
		return nil, err
	}
	code, err := s.upload(in.ZipFile)
	if err != nil {
		return nil, err
	}
	defer code.release()
	return s.change(t, in.RevisionId, in.DryRun.V, in.Publish.V, func(v lambda.Version) (lambda.Version, error) {
		v.Code = code.code
		if len(in.Architectures) > 0 {
			v.Architecture = in.Architectures[0]
		}
		return v, nil
	})
}

// UpdateFunctionConfiguration changes the configuration of $LATEST, as UpdateFunctionCode its
// code.
func (s *Service) UpdateFunctionConfiguration(c *wire.Call, in *api.UpdateFunctionConfigurationRequest) (*api.FunctionConfiguration, error) {
	t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
	if err != nil {
		return nil, err
	}
	dropDefaultVPC(&in.VpcConfig)
	dropDefaultSnapStart(&in.SnapStart)
	dropEmpty(&in.KMSKeyArn)
	dropEmptyList(&in.Layers)
	dropEmptyList(&in.FileSystemConfigs)
	if err := s.supported(c, in, "FunctionName", "Role", "Handler", "Description", "Timeout", "MemorySize", "Environment", "Runtime",
		"RevisionId", "EphemeralStorage", "LoggingConfig", "DeadLetterConfig", "TracingConfig"); err != nil {
		return nil, err
	}
	return s.change(t, in.RevisionId, false, false, func(v lambda.Version) (lambda.Version, error) {
		return s.applied(v, settings{
			runtime: in.Runtime, handler: in.Handler, role: in.Role, description: in.Description,
			timeout: in.Timeout, memory: in.MemorySize,
			environment: in.Environment, ephemeral: in.EphemeralStorage, logging: in.LoggingConfig, deadLetter: in.DeadLetterConfig, tracing: in.TracingConfig,
		})
	})
}

// change updates $LATEST by f, and publishes it too if asked. With dryRun it only checks.
func (s *Service) change(t target, revision wire.Opt[string], dryRun, publish bool, f func(lambda.Version) (lambda.Version, error)) (*api.FunctionConfiguration, error) {
	if t.qualifier != "" && t.qualifier != lambda.Latest {
		return nil, t.missing()
	}
	var answer lambda.Version
	err := s.update(func(tx *store.Tx) error {
		old, err := t.latest(tx)
		if err != nil {
			return err
		}
		if err := checkRevision(revision, old.RevisionID); err != nil {
			return err
		}
		v, err := f(*old)
		if err != nil {
			return err
		}
		more := v.Code.Size - old.Code.Size
		if publish {
			more += v.Code.Size
		}
		if err := s.storage.add(tx, t.scope, more); err != nil {
			return err
		}
		v.RevisionID, v.LastModified = newRevision(), time.Now()
		answer = v
		if dryRun {
			return nil
		}
		// The text that AWS gives to updates, too.
		v.UpdateStatus, v.UpdateReason, v.UpdateReasonCode = lambda.UpdateInProgress, "The function is being created.", "Creating"
		answer = v
		if publish {
			answer = s.publishTx(tx, t, &v)
		}
		store.Versions.Put(tx, t.scope, store.QualifiedName(t.name, lambda.Latest), &v)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if answer.Number != lambda.Latest {
		return s.configuration(t.scope, &answer, t.scope.FunctionARN(t.name, answer.Number)), nil
	}
	return s.configuration(t.scope, &answer, t.scope.FunctionARN(t.name, "")), nil
}

// publishTx publishes code that is being updated: the version is Pending until the code is
// unpacked.
func (s *Service) publishTx(tx *store.Tx, t target, v *lambda.Version) lambda.Version {
	f, _ := store.Functions.Get(tx, t.scope, t.name)
	next := *f
	made := publication(&next, v, v.Description)
	made.State, made.StateReason, made.StateReasonCode = lambda.Pending, "The function is being created.", "Creating"
	made.UpdateStatus, made.UpdateReason, made.UpdateReasonCode = "", "", ""
	store.Functions.Put(tx, t.scope, t.name, &next)
	store.Versions.Put(tx, t.scope, store.QualifiedName(t.name, made.Number), &made)
	return made
}
