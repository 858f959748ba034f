// Package sns is the front door of AWS SNS, and carries what is published to the
// subscriptions.
//
// A Publish is answered when the message is durable together with one delivery for each
// subscription whose filter policy it passes. Deliveries are then attempted at least once,
// by a bounded number of workers, until they succeed, or the retry policy is exhausted and
// the subscription's dead-letter queue has them, also across restarts.
//
// The protocols are lambda, sqs, http and https. Policies of topics are stored and returned;
// they are not enforced.
package sns
