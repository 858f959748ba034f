package admission

import (
	"fmt"
	"strings"
)

// A Profile is a model of how fast Lambda lets concurrency grow. The zero Profile is
// PerFunction.
type Profile struct {
	region string // of the classic model; empty for the one of today
}

// PerFunction is the model of AWS since November 2023: each function may create 1,000
// environments every 10 seconds, refilled continuously and not accrued beyond 1,000.
// Provisioned environments come at up to 6,000 a minute.
var PerFunction = Profile{}

// Classic returns the model before: a burst of 3,000, 1,000 or 500 environments, by region,
// then 500 more every minute, shared by all functions of the region. Provisioned
// environments come 3,000 at once, then 500 a minute.
func Classic(region string) Profile { return Profile{region: region} }

// ParseProfile reads "per-function" or "classic:REGION".
func ParseProfile(s string) (Profile, error) {
	if s == "per-function" {
		return PerFunction, nil
	}
	region, ok := strings.CutPrefix(s, "classic:")
	if !ok || strings.Count(region, "-") < 2 {
		return Profile{}, fmt.Errorf("scaling profile %q is neither per-function nor classic:REGION, such as classic:us-east-1", s)
	}
	return Classic(region), nil
}

// String returns the form that ParseProfile reads.
func (p Profile) String() string {
	if p.region == "" {
		return "per-function"
	}
	return "classic:" + p.region
}

// IsClassic reports whether it is the model before November 2023.
func (p Profile) IsClassic() bool { return p.region != "" }

// Source: AWS Lambda Developer Guide, "Function scaling", June 2022 and 2026.
const (
	classicPerMinute = 500
	perFunctionBurst = 1000
	perFunctionRate  = 6000 // a minute; 1,000 in 10 seconds
)

func (p Profile) burst() int64 {
	switch p.region {
	case "us-west-2", "us-east-1", "eu-west-1":
		return 3000
	case "ap-northeast-1", "eu-central-1", "us-east-2":
		return 1000
	}
	return 500
}

// scaling is the rate at which one function may create environments in the model of today.
func (p Profile) scaling() rate { return rate{perFunctionBurst, perFunctionRate} }

// allocation is the rate at which provisioned environments of one function are started.
// AWS names no burst for today's model; one second's worth keeps a small request prompt.
func (p Profile) allocation() rate {
	if p.IsClassic() {
		return rate{3000, 500}
	}
	return rate{100, 6000}
}
