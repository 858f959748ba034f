package admission

import "github.com/weir-run/weir/lambda"

// A Budget is what an account may still reserve or provision for one function. It judges a
// configuration before it is stored; the Machine takes what was stored as it is.
type Budget struct {
	Limit             int // of the account
	OthersReserved    int // Σ reserved concurrency of the other functions
	OthersProvisioned int // Σ provisioned concurrency of other functions without a reservation
	Reserved          int // of this function, or Unreserved
	Provisioned       int // Σ of this function, without the configuration asked for
}

// A Breach is the rule that a configuration would break.
type Breach uint8

// The rules of reserved and provisioned concurrency.
const (
	Fits                 Breach = iota
	BelowUnreservedFloor        // less than Floor would stay unreserved
	BelowProvisioned            // the reservation would not hold the function's provisioned concurrency
	AboveReserved               // the provisioned concurrency would not fit into the reservation
	AboveUnreserved             // nor into the unreserved pool
)

// Floor is the least concurrency that must stay unreserved. An account with a smaller limit
// than UnreservedFloor can reserve nothing.
func (b Budget) Floor() int { return min(lambda.UnreservedFloor, b.Limit) }

// Unreserved is the concurrency that no other function has reserved or provisioned.
func (b Budget) Unreserved() int { return b.Limit - b.OthersReserved - b.OthersProvisioned }

// Reserve judges a reservation of n for the function. Zero, which turns a function off,
// always fits.
func (b Budget) Reserve(n int) Breach {
	switch {
	case n == 0:
		return Fits
	case b.Unreserved()-n < b.Floor():
		return BelowUnreservedFloor
	case n < b.Provisioned:
		return BelowProvisioned
	}
	return Fits
}

// Provision judges a provisioned configuration of n for the function.
func (b Budget) Provision(n int) Breach {
	if b.Reserved != Unreserved {
		if b.Provisioned+n > b.Reserved {
			return AboveReserved
		}
		return Fits
	}
	left := b.Unreserved() - b.Provisioned
	switch {
	case n > left:
		return AboveUnreserved
	case left-n < b.Floor():
		return BelowUnreservedFloor
	}
	return Fits
}
