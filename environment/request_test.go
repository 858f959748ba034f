package environment

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// A read is what came out of a stream of requests, for comparison.
type read struct {
	method, target string
	body           string
	close          bool
	trailerType    string
}

// readAllRequests reads requests until something is wrong or the stream ends.
func readAllRequests(r io.Reader) (all []read, err error) {
	d := &reader{src: r}
	var q request
	for {
		if err := d.next(&q); err != nil {
			return all, err
		}
		got := read{method: string(q.method), target: string(q.target), close: q.close}
		b := d.body(&q)
		p, err := b.readAll(1 << 20)
		if err != nil {
			return all, err
		}
		got.body, got.trailerType = string(p), q.trailerErrorType
		all = append(all, got)
	}
}

func TestReaderSplits(t *testing.T) {
	stream := "GET /a HTTP/1.1\r\nHost: x\r\n\r\n" +
		"POST /b HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello" +
		"POST /c HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0a\r\n0123456789\r\n0\r\nLambda-Runtime-Function-Error-Type: T\r\nOther: x\r\n\r\n" +
		"POST /d HTTP/1.1\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n"
	want := []read{
		{"GET", "/a", "", false, ""},
		{"POST", "/b", "hello", false, ""},
		{"POST", "/c", "abc0123456789", true, "T"},
		{"POST", "/d", "", true, ""},
	}
	for name, r := range map[string]io.Reader{
		"at once":      strings.NewReader(stream),
		"byte by byte": iotest.OneByteReader(strings.NewReader(stream)),
		"halves":       iotest.HalfReader(strings.NewReader(stream)),
		"with EOF":     iotest.DataErrReader(strings.NewReader(stream)),
	} {
		got, err := readAllRequests(r)
		if err != io.EOF {
			t.Errorf("%s: %v", name, err)
		}
		if len(got) != len(want) {
			t.Fatalf("%s: %d requests", name, len(got))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: %+v, want %+v", name, got[i], want[i])
			}
		}
	}
}

func TestReaderErrors(t *testing.T) {
	tests := []struct {
		stream string
		want   error
	}{
		{"", io.EOF},
		{"\r\n\r\n", io.EOF},
		{"GET / HTTP/1.1\r\nHost", io.ErrUnexpectedEOF},
		{"GET /\r\n\r\n", errMalformed},
		{"GET  / HTTP/1.1\r\n\r\n", errMalformed},
		{" / HTTP/1.1\r\n\r\n", errMalformed},
		{"GET / HTTP/1.1 \r\n\r\n", errMalformed},
		{"GET / HTTP/3\r\n\r\n", errVersion},
		{"GET / HTTP/1.1\r\n: x\r\n\r\n", errMalformed},
		{"GET / HTTP/1.1\r\nA : x\r\n\r\n", errMalformed},
		{"POST / HTTP/1.1\r\nContent-Length: \r\n\r\n", errMalformed},
		{"POST / HTTP/1.1\r\nContent-Length: 0x10\r\n\r\n", errMalformed},
		{"POST / HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n\r\n", errMalformed},
		{"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", io.ErrUnexpectedEOF},
		{"POST / HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", errBodyTooLarge},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", errEncoding},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", errEncoding},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", io.ErrUnexpectedEOF},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", errMalformed},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", errMalformed},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", errMalformed},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1000000000000000\r\n", errMalformed},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n", errBodyTooLarge},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n", errMalformed},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("0", maxChunkLine+bodyBuffer), errHeaderTooLarge},
	}
	for _, tt := range tests {
		if _, err := readAllRequests(strings.NewReader(tt.stream)); !errors.Is(err, tt.want) {
			t.Errorf("%.80q: %v, want %v", tt.stream, err, tt.want)
		}
	}
}

// FuzzReader checks that the reader never fails otherwise than by an error, holds no more than
// it may, and that what net/http takes for a request is the same request here.
func FuzzReader(f *testing.F) {
	f.Add([]byte("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Add([]byte("POST /r HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhelloGET / HTTP/1.0\n\n"))
	f.Add([]byte("POST /r HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"))
	f.Add([]byte("\r\nPOST http://h/p?q HTTP/1.1\nConnection: close, x\nA: b\n c\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		ours, _ := readAllRequests(bytes.NewReader(data))
		slowly, _ := readAllRequests(iotest.OneByteReader(bytes.NewReader(data)))
		if len(ours) != len(slowly) {
			t.Fatalf("%d requests at once, %d byte by byte", len(ours), len(slowly))
		}
		theirs := bufio.NewReader(bytes.NewReader(data))
		for i := range ours {
			if ours[i] != slowly[i] {
				t.Fatalf("%+v at once, %+v byte by byte", ours[i], slowly[i])
			}
			q, err := http.ReadRequest(theirs)
			if err != nil {
				return // net/http is stricter, about targets and names for instance
			}
			body, err := io.ReadAll(q.Body)
			if err != nil || q.Header.Get("Transfer-Encoding") != "" {
				return
			}
			if q.Method != ours[i].method || q.RequestURI != ours[i].target || string(body) != ours[i].body {
				t.Fatalf("%s %s %q, net/http: %s %s %q", ours[i].method, ours[i].target, ours[i].body, q.Method, q.RequestURI, body)
			}
		}
	})
}

func TestPayloadPool(t *testing.T) {
	for _, n := range []int{0, 1, 1<<16 - 1, 1 << 16, 1<<16 + 1, 6291556, 8 << 20, 8<<20 + 1} {
		p := makePayload(n)
		if len(p) != n {
			t.Errorf("%d bytes of %d", len(p), n)
		}
		for i := range p {
			p[i] = 'x'
		}
		Recycle(p)
		if again := makePayload(n); len(again) != n {
			t.Errorf("again %d bytes of %d", len(again), n)
		}
	}
	p := growPayload(growPayload([]byte{}, 3), 70000)
	if len(p) != 70003 || cap(p) < len(p) {
		t.Errorf("%d of %d", len(p), cap(p))
	}
}
