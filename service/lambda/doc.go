// Package lambda is the front door of AWS Lambda: it decodes and checks what clients ask,
// acts on the catalogue and the engine, and answers as AWS does.
//
// It decides nothing about concurrency. A configuration is judged by admission.Budget and
// stored; the engine hears of it from the catalogue. An invocation goes to the engine.
package lambda
