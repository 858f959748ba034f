package store

import "github.com/weir-run/weir/lambda"

// An AccountLimit is the concurrency that an account and region was granted in place of the
// server's default.
type AccountLimit struct{ Concurrency int }

// AccountLimits has one record in a scope, if that was granted something, named "lambda".
var AccountLimits = Kind[AccountLimit]{"accountlimit"}

// accountLimit is the name of the record.
const accountLimit = "lambda"

// ConcurrencyLimit returns the concurrent executions of an account and region; one that was
// granted nothing has the default.
func ConcurrencyLimit(r Reader, s lambda.Scope, byDefault int) int {
	if l, ok := AccountLimits.Get(r, s, accountLimit); ok {
		return l.Concurrency
	}
	return byDefault
}

// GrantConcurrency gives an account and region a limit of its own.
func GrantConcurrency(tx *Tx, s lambda.Scope, n int) {
	AccountLimits.Put(tx, s, accountLimit, &AccountLimit{Concurrency: n})
}
