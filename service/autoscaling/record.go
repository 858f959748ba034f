package autoscaling

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

// What weir scales.
const (
	namespace = "lambda"
	dimension = "lambda:function:ProvisionedConcurrency"
)

// The kinds of records. A target is named by its resource id, all others by it and, after a
// separator, what stands among those of the target.
var (
	targetKind   = store.Kind[target]{Name: "scalabletarget"}
	policyKind   = store.Kind[policy]{Name: "scalingpolicy"}
	actionKind   = store.Kind[action]{Name: "scheduledaction"}
	activityKind = store.Kind[activity]{Name: "scalingactivity"} // the newest first
)

// A resource is an alias or a version, as "function:NAME:QUALIFIER" names it.
type resource struct{ function, qualifier string }

func (r resource) String() string { return "function:" + r.function + ":" + r.qualifier }

// parseResource reads a resource id of a namespace and dimension.
func parseResource(ns, id, dim string) (resource, error) {
	parts := strings.Split(id, ":")
	switch {
	case ns != namespace || dim != dimension:
		return resource{}, invalid("Unsupported service namespace, resource type or scalable dimension. weir scales %s of the namespace %s.", dimension, namespace)
	case len(parts) != 3 || parts[0] != "function" || parts[1] == "" || parts[2] == "" || parts[2] == lambda.Latest || strings.ContainsRune(id, 0):
		return resource{}, invalid("Unsupported service namespace, resource type or scalable dimension. A resource id is function:NAME:QUALIFIER, where the qualifier is an alias or a version number: %s", id)
	}
	return resource{parts[1], parts[2]}, nil
}

// partName names a record that belongs to a target, partPrefix begins all of one target's.
func partName(r resource, name string) string { return partPrefix(r) + name }

func partPrefix(r resource) string { return r.String() + "\x00" }

// A target is a scalable target.
type target struct {
	ID       string // the last part of its ARN
	Min, Max int
	Role     string            `json:",omitzero"`
	Tags     map[string]string `json:",omitzero"`
	Created  time.Time

	InSuspended, OutSuspended, ScheduledSuspended bool `json:",omitzero"`
}

func newID() string { return "0" + strings.ReplaceAll(uuid.NewString(), "-", "")[:24] }

func (t *target) arn(s lambda.Scope) string {
	return s.ARN("application-autoscaling", "scalable-target/"+t.ID)
}

// A policy is a target tracking policy.
type policy struct {
	ID        string // UUID
	Name      string
	High, Low string // its alarms
	Target    float64
	Custom    *custom `json:",omitzero"` // nil: LambdaProvisionedConcurrencyUtilization
	Created   time.Time
	Last      metric.Activity `json:",omitzero"` // what it did last

	// As they were given; nil: not.
	ScaleOutSec, ScaleInSec *int  `json:",omitzero"`
	DisableScaleIn          *bool `json:",omitzero"`
}

// custom is a metric of one's own, by its name or by lines of metric math.
type custom struct {
	Namespace, Name, Stat, Unit string
	Dimensions                  []metric.Dimension
	Lines                       []line `json:",omitzero"`
}

type line struct {
	ID, Expression, Label       string
	Namespace, Name, Stat, Unit string
	Dimensions                  []metric.Dimension
	Return                      *bool
}

func (p *policy) arn(s lambda.Scope, r resource) string {
	return s.ARN("autoscaling", "scalingPolicy:"+p.ID+":resource/"+namespace+"/"+r.String()+":policyName/"+p.Name)
}

// parsePolicy reads the target, the name and the id out of a policy's ARN.
func parsePolicy(arn string) (r resource, name, id string, ok bool) {
	_, rest, ok1 := strings.Cut(arn, ":scalingPolicy:")
	id, rest, ok2 := strings.Cut(rest, ":resource/"+namespace+"/")
	res, name, ok3 := strings.Cut(rest, ":policyName/")
	r, err := parseResource(namespace, res, dimension)
	return r, name, id, ok1 && ok2 && ok3 && err == nil
}

// tracking is the policy as the decisions see it.
func (p *policy) tracking() metric.TargetTracking {
	t := metric.TargetTracking{Target: p.Target, DisableScaleIn: p.DisableScaleIn != nil && *p.DisableScaleIn}
	if p.ScaleOutSec != nil {
		t.ScaleOutCooldown = time.Duration(*p.ScaleOutSec) * time.Second
	}
	if p.ScaleInSec != nil {
		t.ScaleInCooldown = time.Duration(*p.ScaleInSec) * time.Second
	}
	return t
}

// An action is a scheduled action.
type action struct {
	ID       string // UUID
	Name     string
	Schedule string
	Timezone string    `json:",omitzero"`
	Start    time.Time `json:",omitzero"`
	End      time.Time `json:",omitzero"`
	Min, Max *int      `json:",omitzero"`
	Created  time.Time
	Done     time.Time // what fell due until then is done
}

func (a *action) arn(s lambda.Scope, r resource) string {
	return s.ARN("autoscaling", "scheduledAction:"+a.ID+":resource/"+namespace+"/"+r.String()+":scheduledActionName/"+a.Name)
}

// An activity is something that was done to a target, or for a reason not.
type activity struct {
	ID          string // UUID
	Description string
	Cause       string
	Status      string
	Message     string
	Start       time.Time
	End         time.Time `json:",omitzero"`
	Wanted      int       `json:",omitzero"` // capacity, while in progress

	// Why nothing was scaled, if so.
	NotScaled         metric.Why `json:",omitzero"`
	Current, Min, Max int        `json:",omitzero"`
}

func (a *activity) name(r resource) string {
	return partName(r, fmt.Sprintf("%019d %s", math.MaxInt64-a.Start.UnixNano(), a.ID))
}

// The states of an activity.
const (
	inProgress  = "InProgress"
	successful  = "Successful"
	failed      = "Failed"
	overridden  = "Overridden"
	unfulfilled = "Unfulfilled"
)
