// Payload is a function's program for tests and benchmarks: what it does is its arguments.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
)

func main() {
	switch os.Args[1] {
	case "next":
		next()
	}
}

// next asks the Runtime API for an invocation, and waits.
func next() {
	conn, err := net.Dial("tcp", os.Getenv("AWS_LAMBDA_RUNTIME_API"))
	if err != nil {
		fatal(err)
	}
	fmt.Fprint(conn, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
	bufio.NewReader(conn).ReadString('\n')
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
