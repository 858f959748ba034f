// Package sqs is the front door of Amazon SQS: it decodes and checks what clients ask, acts
// on the store's queues, and answers as AWS does, over awsJson1.0 and the query protocol.
//
// Queue policies are kept and returned, and not enforced; a queue belongs to the account
// that made it, and no other reaches it.
package sqs
