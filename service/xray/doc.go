// Package xray is the front door of AWS X-Ray: it takes, keeps and answers the segments of
// traces. What functions send comes over HTTP or by the protocol of X-Ray's daemon, what weir
// knows of their invocations from the engine. Everything is in memory: a restart forgets it.
package xray
