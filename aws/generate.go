// Package aws holds the wire layer: package wire speaks the protocols, the packages of
// services hold their requests and answers. See README.md for how to add one.
package aws

//go:generate go run ./awsgen -dir .
