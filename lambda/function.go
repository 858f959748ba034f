package lambda

import "time"

// A Function is what all versions of one function share.
type Function struct {
	Name        string
	CreatedAt   time.Time
	LastVersion int               // highest version number ever published; numbers are never reused
	Tags        map[string]string // at most 50
}

// A Version is one configuration and code of a function: $LATEST, which changes, or a
// published number, which does not.
type Version struct {
	Function string
	Number   string // "$LATEST" or a decimal number

	Runtime      string // such as "python3.13" or "provided.al2023"
	Handler      string
	Role         string // ARN; stored and echoed, not assumed
	Description  string
	Architecture string // x86_64 or arm64
	TimeoutSec   int    // 1..900
	MemoryMB     int    // 128..10240; 1769 MB buys one vCPU
	EphemeralMB  int    // size of /tmp, 512..10240
	Environment  map[string]string
	HasEnv       bool // an empty Environment was set, which AWS echoes; false: never set
	LogGroup     string
	Code         Code

	// Generation counts the changes of code or configuration of $LATEST. Execution
	// environments belong to one generation; a new one drains the old.
	Generation int64

	RevisionID   string
	LastModified time.Time

	State            State
	StateReason      string
	StateReasonCode  string
	UpdateStatus     UpdateStatus
	UpdateReason     string
	UpdateReasonCode string
}

// Code names a function's deployment package in the store of blobs.
type Code struct {
	SHA256 string // base64 of the zip's digest, as AWS prints it
	Size   int64  // bytes of the zip
}

// State is where a version stands between its creation and its use (AWS: function states).
type State string

// The states of a version. Only an Active one can be invoked.
const (
	Pending  State = "Pending"
	Active   State = "Active"
	Inactive State = "Inactive"
	Failed   State = "Failed"
)

// UpdateStatus is the outcome of the last update of $LATEST.
type UpdateStatus string

// While an update is InProgress invocations run on the old code and configuration.
const (
	UpdateInProgress UpdateStatus = "InProgress"
	UpdateSuccessful UpdateStatus = "Successful"
	UpdateFailed     UpdateStatus = "Failed"
)

// An Alias names a version of a function; with an additional version it splits the
// invocations between the two.
type Alias struct {
	Function    string
	Name        string
	Version     string // the version it points to
	Description string
	RevisionID  string

	Additional string  // second version, or empty
	Weight     float64 // share of invocations that go to Additional, 0..1
}

// A Reserved is the reserved concurrency of a function: guarantee and ceiling. Zero
// turns the function off.
type Reserved struct {
	Concurrency int
}

// A Provisioned is the provisioned concurrency asked for on an alias or a published version.
type Provisioned struct {
	Function     string
	Qualifier    string
	Concurrency  int // ≥ 1
	LastModified time.Time
}
