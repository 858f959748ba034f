// Package logs keeps log events as text: groups of streams in append-only segment files.
//
// A group is a directory, and its events stand in its segments in the order in which they
// arrived, whatever their stream, one line each:
//
//	weir-logs 1                                                    the format
//	= 3 2026-11-21T05:03:28.100Z 2026/11/21/[$LATEST]8f3c…         stream 3 of this segment
//	2026-11-21T05:03:28.123Z +4 3 START RequestId: …               time, delay in ms, stream
//	2026-11-21T05:03:28.123Z +4 3 a PutLogEvents message\c         no line feed at its end
//	x 2026/11/21/[$LATEST]8f3c…                                    the stream was deleted
//
// Backslashes, line feeds and carriage returns of a message are written as \\, \n and \r, so
// a person reads a segment with cat and grep, and a line that a crash cut off is known by its
// missing end. It is removed when the group is first used again.
//
// What is known of a segment in memory is an index: for every 64 KiB the first and last time,
// and for every stream the part of the segment that holds it. A read sorts by time; the files
// need not.
//
// A function's output goes through a Writer, which takes it without waiting; one goroutine
// brings it to the files soon after, and every read first does so for its group. That output
// is not synced: a crash of the process loses what was not yet written (at most FlushDelay),
// one of the machine what the kernel still held. What Put and CreateStream take is synced
// before they return.
//
// The directory:
//
//	ACCOUNT/REGION/GROUP/NNNNNNNN.log
//
// where GROUP is the group's name with + for / and a comma for a dot at its beginning.
package logs
