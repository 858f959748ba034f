package admission

// Do tells what the driver must do.
type Do uint8

// The effects of the machine.
const (
	// Grant runs Invocation on Environment, now. Cold says that it waited for a boot and Why
	// tells what for; Provisioned that the environment is a provisioned one; Spillover that
	// its version has provisioned concurrency which could not serve it.
	Grant Do = iota + 1

	// Throttle refuses Invocation with Reason; Why tells which limit and who held it.
	Throttle

	// Fail ends Invocation because there is nothing to run it: Why.Limit is Unknown if its
	// target does not exist, BootLost if the environment it waited for could not be made.
	Fail

	// Boot makes Environment for Version in its current generation and initialises it.
	// Provisioned tells for whom; Why tells what for.
	Boot

	// Retire ends Environment, which is idle or booting; nothing runs on it.
	Retire

	// Provisioned reports that the configuration of Target has reached Status.
	Provisioned
)

// An Effect is one thing to do. Fields that Do does not name are zero.
type Effect struct {
	Do            Do
	Invocation    InvocationID
	Environment   EnvironmentID
	Version       VersionID
	Generation    uint32
	IsProvisioned bool
	Cold          bool
	Spillover     bool
	Reason        Reason
	Why           Why
	Target        Target
	Status        Status
}

// Reason is the cause of a throttle as the Invoke API names it.
type Reason uint8

// The reasons of a TooManyRequestsException that a concurrency decision can have.
const (
	ConcurrentInvocationLimitExceeded Reason = iota + 1
	ReservedFunctionConcurrentInvocationLimitExceeded
	FunctionInvocationRateLimitExceeded
	ReservedFunctionInvocationRateLimitExceeded
)

var reasons = [...]string{
	ConcurrentInvocationLimitExceeded:                 "ConcurrentInvocationLimitExceeded",
	ReservedFunctionConcurrentInvocationLimitExceeded: "ReservedFunctionConcurrentInvocationLimitExceeded",
	FunctionInvocationRateLimitExceeded:               "FunctionInvocationRateLimitExceeded",
	ReservedFunctionInvocationRateLimitExceeded:       "ReservedFunctionInvocationRateLimitExceeded",
}

// String returns the reason's name in the Invoke API.
func (r Reason) String() string { return reasons[r] }

// Status is the state of a provisioned concurrency configuration.
type Status uint8

// The states of a provisioned concurrency configuration.
const (
	NotProvisioned Status = iota
	InProgress            // some of the environments asked for are not up
	Ready                 // all of them have been up
	StatusFailed          // the function's initialisation failed ProvisionedAttempts times in a row
)

var statuses = [...]string{"NONE", "IN_PROGRESS", "READY", "FAILED"}

// String returns the status's name in the Lambda API.
func (s Status) String() string { return statuses[s] }
