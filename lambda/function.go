package lambda

import "time"

// A Function is what all versions of one function share.
type Function struct {
	Name        string            `json:",omitzero"`
	CreatedAt   time.Time         `json:",omitzero"`
	LastVersion int               `json:",omitzero"` // highest version number ever published; numbers are never reused
	Tags        map[string]string `json:",omitzero"` // at most 50
	AllowsLoop  bool              `json:",omitzero"` // recursion detection does not stop it
}

// A Version is one configuration and code of a function: $LATEST, which changes, or a
// published number, which does not.
type Version struct {
	Function string `json:",omitzero"`
	Number   string `json:",omitzero"` // "$LATEST" or a decimal number

	Runtime      string            `json:",omitzero"` // such as "python3.13" or "provided.al2023"
	Handler      string            `json:",omitzero"`
	Role         string            `json:",omitzero"` // ARN; stored and echoed, not assumed
	Description  string            `json:",omitzero"`
	Architecture string            `json:",omitzero"` // x86_64 or arm64
	TimeoutSec   int               `json:",omitzero"` // 1..900
	MemoryMB     int               `json:",omitzero"` // 128..10240; 1769 MB buys one vCPU
	EphemeralMB  int               `json:",omitzero"` // size of /tmp, 512..10240
	Environment  map[string]string `json:",omitzero"`
	HasEnv       bool              `json:",omitzero"` // an empty Environment was set, which AWS echoes; false: never set
	LogGroup     string            `json:",omitzero"`
	LogFormat    LogFormat         `json:",omitzero"`
	AppLogLevel  LogLevel          `json:",omitzero"` // least level of what the function logs; with LogJSON only
	SysLogLevel  LogLevel          `json:",omitzero"` // of what Lambda logs; with LogJSON only
	DeadLetter   string            `json:",omitzero"` // ARN of the queue or topic for events that failed, or empty
	TracesActive bool              `json:",omitzero"` // TracingConfig.Mode is Active: it decides whether a new trace is sampled
	Code         Code              `json:",omitzero"`

	// Generation counts the changes of code or configuration of $LATEST. Execution
	// environments belong to one generation; a new one drains the old.
	Generation int64 `json:",omitzero"`

	// Fingerprint tells the code and configuration of $LATEST from which a version was
	// published; publishing again from the same makes no new version.
	Fingerprint string `json:",omitzero"`

	RevisionID   string    `json:",omitzero"`
	LastModified time.Time `json:",omitzero"`

	State            State        `json:",omitzero"`
	StateReason      string       `json:",omitzero"`
	StateReasonCode  string       `json:",omitzero"`
	UpdateStatus     UpdateStatus `json:",omitzero"`
	UpdateReason     string       `json:",omitzero"`
	UpdateReasonCode string       `json:",omitzero"`
}

// LogFormat is the format of a function's log.
type LogFormat string

// The log formats. Without one it is text.
const (
	LogText LogFormat = "Text"
	LogJSON LogFormat = "JSON"
)

// LogLevel is how important a line of a log is.
type LogLevel string

// The log levels, from the least important to the most. Lambda's own lines have DEBUG, INFO and
// WARN.
const (
	LogTrace LogLevel = "TRACE"
	LogDebug LogLevel = "DEBUG"
	LogInfo  LogLevel = "INFO"
	LogWarn  LogLevel = "WARN"
	LogError LogLevel = "ERROR"
	LogFatal LogLevel = "FATAL"
)

// Code names a function's deployment package in the store of blobs.
type Code struct {
	SHA256 string `json:",omitzero"` // base64 of the zip's digest, as AWS prints it
	Size   int64  `json:",omitzero"` // bytes of the zip
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
	Function    string `json:",omitzero"`
	Name        string `json:",omitzero"`
	Version     string `json:",omitzero"` // the version it points to
	Description string `json:",omitzero"`
	RevisionID  string `json:",omitzero"`

	Additional string  `json:",omitzero"` // second version, or empty
	Weight     float64 `json:",omitzero"` // share of invocations that go to Additional, 0..1
}

// A Reserved is the reserved concurrency of a function: guarantee and ceiling. Zero
// turns the function off.
type Reserved struct {
	Concurrency int `json:",omitzero"`
}

// A Provisioned is the provisioned concurrency asked for on an alias or a published version.
type Provisioned struct {
	Function     string    `json:",omitzero"`
	Qualifier    string    `json:",omitzero"`
	Concurrency  int       `json:",omitzero"` // ≥ 1
	LastModified time.Time `json:",omitzero"`
}
