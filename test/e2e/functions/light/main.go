// Command light is a function that weighs little: it speaks HTTP over one socket to the Runtime
// API by hand. It counts in a page of memory that all its environments share how many of them
// run at the same time, so that a test need not believe what the server says. With a variable
// LEDGER it writes down what it is given.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/weir-run/weir/test/e2e/tally"
)

func main() {
	fmt.Fprintln(os.Stderr, serve(os.Getenv("AWS_LAMBDA_RUNTIME_API")))
	os.Exit(1)
}

// An event says how long to work, and the tally to count in, if any. The work begins once so
// many have been in the tally at the same time.
type event struct {
	MS    int
	Tally string
	After int64
}

// The wait for the others: how often it is looked whether they are there, and how long at most.
const (
	glance    = 100 * time.Millisecond
	gathering = 30 * time.Second
)

// serve takes invocations for as long as there is a Runtime API.
func serve(api string) error {
	c, err := dial(api)
	if err != nil {
		return err
	}
	marker, _ := os.ReadFile(os.Getenv("LAMBDA_TASK_ROOT") + "/marker")
	l, err := openLedger()
	if err != nil {
		return err
	}
	for {
		id, body, err := c.do("GET", "/2018-06-01/runtime/invocation/next", "")
		if err != nil {
			return err
		}
		if l != nil {
			if err := record(c, l, id, body); err != nil {
				return err
			}
			continue
		}
		var e event
		if err := json.Unmarshal(body, &e); err != nil {
			return fmt.Errorf("decode the event: %w", err)
		}
		if err := work(e); err != nil {
			return err
		}
		answer, err := json.Marshal(map[string]string{
			"stream": os.Getenv("AWS_LAMBDA_LOG_STREAM_NAME"), "version": os.Getenv("AWS_LAMBDA_FUNCTION_VERSION"),
			"init": os.Getenv("AWS_LAMBDA_INITIALIZATION_TYPE"), "marker": string(marker), "note": os.Getenv("NOTE"),
		})
		if err != nil {
			return err
		}
		if _, _, err := c.do("POST", "/2018-06-01/runtime/invocation/"+id+"/response", string(answer)); err != nil {
			return err
		}
	}
}

// record answers an invocation as the ledger says.
func record(c *conn, l *ledger, id string, body []byte) error {
	answer, failure, err := l.keep(id, body)
	if err != nil {
		return err
	}
	path := "/2018-06-01/runtime/invocation/" + id
	if failure != "" {
		_, _, err = c.do("POST", path+"/error", failure)
	} else {
		_, _, err = c.do("POST", path+"/response", string(answer))
	}
	return err
}

func work(e event) error {
	d := time.Duration(e.MS) * time.Millisecond
	if e.Tally == "" {
		time.Sleep(d)
		return nil
	}
	t, err := tally.Open(e.Tally)
	if err != nil {
		return err
	}
	defer t.Close()
	t.Begin()
	defer t.End()
	for end := time.Now().Add(gathering); e.After > t.Count().Peak && time.Now().Before(end); {
		time.Sleep(glance)
	}
	time.Sleep(d)
	return nil
}

// A conn is a connection to the Runtime API that blocks its thread: it costs no poller and no
// further threads, of which a thousand environments would have thousands.
type conn struct {
	host string
	file *os.File
	in   *bufio.Reader
}

func dial(address string) (*conn, error) {
	host, portText, _ := strings.Cut(address, ":")
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("address %q of the Runtime API: %w", address, err)
	}
	to := &syscall.SockaddrInet4{Port: port}
	if _, err := fmt.Sscanf(host, "%d.%d.%d.%d", &to.Addr[0], &to.Addr[1], &to.Addr[2], &to.Addr[3]); err != nil {
		return nil, fmt.Errorf("address %q of the Runtime API: %w", address, err)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket: %w", err)
	}
	if err := syscall.Connect(fd, to); err != nil {
		return nil, fmt.Errorf("connect to the Runtime API: %w", err)
	}
	f := os.NewFile(uintptr(fd), address)
	return &conn{address, f, bufio.NewReader(f)}, nil
}

// do sends a request and returns the id of the invocation and the body that it is answered.
func (c *conn) do(method, path, body string) (string, []byte, error) {
	if _, err := fmt.Fprintf(c.file, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", method, path, c.host, len(body), body); err != nil {
		return "", nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	status, header, err := c.head()
	if err != nil {
		return "", nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	length, err := strconv.Atoi(header["content-length"])
	if err != nil {
		return "", nil, fmt.Errorf("%s %s: %s without a length", method, path, status)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(c.in, text); err != nil {
		return "", nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if !strings.HasPrefix(status, "HTTP/1.1 20") {
		return "", nil, fmt.Errorf("%s %s: %s: %s", method, path, status, text)
	}
	return header["lambda-runtime-aws-request-id"], text, nil
}

// head reads the status line and the header fields, their names in lower case.
func (c *conn) head() (status string, header map[string]string, err error) {
	header = make(map[string]string)
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return "", nil, err
		}
		line = strings.TrimSpace(line)
		name, value, _ := strings.Cut(line, ":")
		switch {
		case status == "":
			status = line
		case line == "":
			return status, header, nil
		default:
			header[strings.ToLower(name)] = strings.TrimSpace(value)
		}
	}
}
