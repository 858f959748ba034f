// Package lambda is weir's vocabulary: the nouns of AWS Lambda as plain values.
//
// A Function has versions ($LATEST is one of them); an Alias names a version, or
// splits its traffic over two. An Invocation is one attempt to run a version; an
// Outcome is how it ended. Names and ARNs are parsed and printed here, quotas have
// their numbers here, and an Error is the one kind of error a client may see.
//
// The package decides nothing, does no I/O and imports nothing of weir.
package lambda
