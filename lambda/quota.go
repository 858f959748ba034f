package lambda

import "time"

// Quotas of Lambda, as of 2026 (AWS: "Lambda quotas"). Bytes unless the name says otherwise.
const (
	DefaultAccountConcurrency = 1000 // per account and region
	UnreservedFloor           = 100  // what reservations and provisioned concurrency must leave
	RequestsPerConcurrency    = 10   // synchronous requests per second for each unit of concurrency

	MaxSyncRequest   = 6 << 20     // 6,291,456
	MaxSyncResponse  = 6<<20 + 100 // 6,291,556
	MaxEventRequest  = 1 << 20     // since October 2025; 256 KB before
	MaxZip           = 50 << 20    // in a request
	MaxUnzipped      = 262_144_000 // layers included
	MaxTotalCode     = 300 << 30   // of all versions in an account and region
	MaxEnvironment   = 4 << 10     // as compact JSON
	MaxClientContext = 3583        // of base64 text
	MaxCreateRequest = 70_167_211

	DefaultTimeoutSec = 3
	MaxTimeoutSec     = 900
	MinMemoryMB       = 128
	MaxMemoryMB       = 10_240
	MemoryPerVCPU     = 1769 // MB
	MinEphemeralMB    = 512
	MaxEphemeralMB    = 10_240

	InitLimit            = 10 * time.Second
	ProvisionedInitLimit = 130 * time.Second // or the function's timeout, if longer
	ProvisionedAttempts  = 6                 // failing inits before a provisioned configuration is FAILED
)
