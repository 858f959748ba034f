package lambda

import (
	"strings"
	"time"

	api "github.com/weir-run/weir/aws/lambda"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// CreateFunction stores a function, which becomes Active when its code is unpacked.
func (s *Service) CreateFunction(c *wire.Call, in *api.CreateFunctionRequest) (*api.FunctionConfiguration, error) {
	t, err := s.target(c, in.FunctionName.V, wire.Opt[string]{})
	if err != nil {
		return nil, err
	}
	if err := s.creatable(c, in); err != nil {
		return nil, err
	}
	now := time.Now()
	v, err := s.applied(newVersion(t.name, now), settings{
		runtime: in.Runtime, handler: in.Handler, role: in.Role, description: in.Description,
		timeout: in.Timeout, memory: in.MemorySize,
		environment: in.Environment, ephemeral: in.EphemeralStorage, logging: in.LoggingConfig, deadLetter: in.DeadLetterConfig, tracing: in.TracingConfig,
	})
	if err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	if len(in.Architectures) > 0 {
		v.Architecture = in.Architectures[0]
	}
	code, err := s.upload(in.Code.ZipFile)
	if err != nil {
		return nil, err
	}
	defer code.release()
	v.Code = code.code
	answer := v
	err = s.update(func(tx *store.Tx) error {
		if _, ok := store.Functions.Get(tx, t.scope, t.name); ok {
			return conflict("Function already exist: %s", t.name)
		}
		more := v.Code.Size
		if in.Publish.V {
			more *= 2 // $LATEST and the version
		}
		if err := s.storage.add(tx, t.scope, more); err != nil {
			return err
		}
		f := lambda.Function{Name: t.name, CreatedAt: now, Tags: in.Tags}
		store.Versions.Put(tx, t.scope, store.QualifiedName(t.name, lambda.Latest), &v)
		if in.Publish.V {
			answer = publication(&f, &v, v.Description)
			store.Versions.Put(tx, t.scope, store.QualifiedName(t.name, answer.Number), &answer)
		}
		store.Functions.Put(tx, t.scope, t.name, &f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.configuration(t.scope, &answer, t.scope.FunctionARN(t.name, "")), nil
}

// newVersion returns $LATEST of a new function with AWS's defaults.
func newVersion(function string, now time.Time) lambda.Version {
	return lambda.Version{
		Function:        function,
		Number:          lambda.Latest,
		Architecture:    "x86_64",
		TimeoutSec:      lambda.DefaultTimeoutSec,
		MemoryMB:        lambda.MinMemoryMB,
		EphemeralMB:     lambda.MinEphemeralMB,
		LogGroup:        "/aws/lambda/" + function,
		Generation:      1,
		RevisionID:      newRevision(),
		LastModified:    now,
		State:           lambda.Pending,
		StateReason:     "The function is being created.",
		StateReasonCode: "Creating",
	}
}

// creatable refuses what CreateFunction cannot do here, and what AWS would refuse.
func (s *Service) creatable(c *wire.Call, in *api.CreateFunctionRequest) error {
	dropDefaultVPC(&in.VpcConfig)
	dropDefaultSnapStart(&in.SnapStart)
	dropEmpty(&in.KMSKeyArn)
	dropEmpty(&in.CodeSigningConfigArn)
	dropEmptyList(&in.Layers)
	dropEmptyList(&in.FileSystemConfigs)
	if in.PackageType.Or("Zip") != "Zip" || in.Code.ImageUri.OK {
		return invalid("weir does not support container images; create the function from a zip.")
	}
	if err := s.supported(c, in, "FunctionName", "Runtime", "Role", "Handler", "Code", "Description", "Timeout", "MemorySize", "Publish",
		"PackageType", "Environment", "Tags", "Architectures", "EphemeralStorage", "LoggingConfig", "DeadLetterConfig", "TracingConfig"); err != nil {
		return err
	}
	if err := s.supportedCode(c, in.Code); err != nil {
		return err
	}
	if !in.Runtime.OK || !in.Handler.OK {
		return invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	}
	return nil
}

// supportedCode refuses code that is not sent with the request.
func (s *Service) supportedCode(c *wire.Call, code *api.FunctionCode) error {
	if code.S3Bucket.OK || code.S3Key.OK {
		return invalid("weir does not fetch code from S3 yet; send it with the request, as ZipFile.")
	}
	return s.supported(c, code, "ZipFile")
}

// publication makes the next version of a function out of $LATEST.
func publication(f *lambda.Function, latest *lambda.Version, description string) lambda.Version {
	f.LastVersion++
	v := *latest
	v.Number = versionNumber(f.LastVersion)
	v.Description = description
	v.Fingerprint = fingerprint(latest)
	v.Generation = 1
	v.RevisionID = newRevision()
	return v
}

// The limits on tags (AWS: "Using tags on Lambda functions").
const maxTags = 50

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return invalid("Number of tags exceeds resource tag limit.")
	}
	for key := range tags {
		if strings.HasPrefix(key, "aws:") {
			return invalid("The tag key %s is reserved: it begins with aws:.", key)
		}
	}
	return nil
}
