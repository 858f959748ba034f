// Package model reads the vendored botocore models and their overlays and turns them into
// the descriptions that package wire works with.
package model
