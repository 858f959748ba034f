package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// The credentials of servers that check signatures.
const (
	keyID  = "AKIABENCH"
	secret = "bench"
	region = "us-east-1"
)

// answerLimit bounds how long an answer may take.
const answerLimit = 30 * time.Second

// wireRequest returns a POST as it is on the wire, signed if asked for. It is made once and
// sent often: the server checks each as if it were new.
func wireRequest(addr, path string, body []byte, signed bool) ([]byte, error) {
	return wireRequestWith(http.Header{"Content-Type": {"application/json"}}, addr, path, body, signed)
}

// wireRequestWith is wireRequest with fields of its own.
func wireRequestWith(header http.Header, addr, path string, body []byte, signed bool) ([]byte, error) {
	req, err := http.NewRequest("POST", "http://"+addr+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = header.Clone()
	if signed {
		if err := sign(req, body); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	err = req.Write(&b)
	return b.Bytes(), err
}

func sign(req *http.Request, body []byte) error {
	sum := sha256.Sum256(body)
	c := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}
	return v4.NewSigner().SignHTTP(context.Background(), c, req, hex.EncodeToString(sum[:]), "lambda", region, time.Now())
}

// A conn is a client's connection that costs as little as possible, so that a measure shows
// the server.
type conn struct {
	net.Conn
	in *bufio.Reader
}

func dial(addr string) (*conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &conn{c, bufio.NewReaderSize(c, 16<<10)}, nil
}

// do sends a request and reads its answer.
func (c *conn) do(request []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	return c.answer()
}

// ask sends a request and decodes its answer.
func (c *conn) ask(request []byte, out any) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	length, err := c.head()
	if err != nil {
		return err
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(c.in, text); err != nil {
		return err
	}
	return json.Unmarshal(text, out)
}

// answer reads an answer and drops its body.
func (c *conn) answer() error {
	length, err := c.head()
	if err != nil {
		return err
	}
	_, err = c.in.Discard(length)
	return err
}

// head reads the head of an answer, which must be a success, and returns the length of its body.
func (c *conn) head() (length int, err error) {
	if err := c.SetReadDeadline(time.Now().Add(answerLimit)); err != nil {
		return 0, err
	}
	status, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	ok := bytes.HasPrefix(status, []byte("HTTP/1.1 200 "))
	first := ""
	if !ok {
		first = string(status)
	}
	length = -1
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, err
			}
		case bytes.EqualFold(name, []byte("X-Amz-Function-Error")):
			ok, first = false, "function error: "+string(value)
		}
	}
	if !ok {
		text := make([]byte, max(0, min(length, 1000)))
		_, _ = io.ReadFull(c.in, text) // for the message only
		return 0, fmt.Errorf("answered %s %s", first, text)
	}
	if length < 0 {
		return 0, fmt.Errorf("an answer without Content-Length")
	}
	return length, nil
}

// event is the 1 KB that functions are sent.
func event() []byte {
	text := append([]byte(`{"text": "`), bytes.Repeat([]byte("weir"), 253)...)
	return append(text, `"}`...)
}
