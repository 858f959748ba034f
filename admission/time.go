package admission

import "github.com/weir-run/weir/lambda"

// An Instant is a moment on the clock of whoever drives the machine.
type Instant = lambda.Instant

// Never is later than every moment.
const Never = lambda.Never
