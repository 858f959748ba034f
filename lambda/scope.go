package lambda

// A Scope is the account and region that own a resource. Every resource and every
// limit belongs to exactly one scope; nothing is shared between two.
type Scope struct {
	Account string // twelve digits
	Region  string // such as "us-east-1"
}

// String returns "account/region", the form used in logs and store keys.
func (s Scope) String() string { return s.Account + "/" + s.Region }

// Partition returns the ARN partition of the scope's region: "aws", "aws-cn" or
// "aws-us-gov".
func (s Scope) Partition() string {
	switch {
	case len(s.Region) > 3 && s.Region[:3] == "cn-":
		return "aws-cn"
	case len(s.Region) > 7 && s.Region[:7] == "us-gov-":
		return "aws-us-gov"
	}
	return "aws"
}

// ARN returns the ARN of a resource of a service in this scope.
func (s Scope) ARN(service, resource string) string {
	return "arn:" + s.Partition() + ":" + service + ":" + s.Region + ":" + s.Account + ":" + resource
}

// FunctionARN returns the ARN of a function, qualified if qualifier is not empty.
func (s Scope) FunctionARN(name, qualifier string) string {
	resource := "function:" + name
	if qualifier != "" {
		resource += ":" + qualifier
	}
	return s.ARN("lambda", resource)
}
