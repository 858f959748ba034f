package front

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// Bounds of what is served here, in bytes.
const (
	maxHead = 16 << 10
	maxBody = 1 << 20
)

// A head is what comes in front of a request's body.
type head struct {
	target, host string
	header       http.Header // without Host, as net/http has it
	length       int64       // of the body
	values       []string    // what header's entries point to
}

// parse takes the head of a short request apart; text ends with its empty line. It reports false
// if this is none, or one that differs in the least from what clients usually send.
func (h *head) parse(text string, short func(string) bool) bool {
	line, rest, _ := strings.Cut(text, "\r\n")
	line, ok1 := strings.CutPrefix(line, "POST /")
	path, ok2 := strings.CutSuffix(line, " HTTP/1.1")
	if !ok1 || !ok2 || !isPrintable(path) {
		return false
	}
	h.target = text[len("POST ") : len("POST /")+len(path)]
	if !short(h.target) {
		return false
	}
	clear(h.header)
	h.host, h.length = "", -1
	h.values = h.values[:0]
	for {
		line, rest, _ = strings.Cut(rest, "\r\n")
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) || !isText(value) || !h.take(textproto.CanonicalMIMEHeaderKey(name), strings.Trim(value, " \t")) {
			return false
		}
	}
	h.length = max(h.length, 0)
	return h.host != "" && h.length <= maxBody
}

// take notes a field. It reports false for one that changes how a request is read or answered.
func (h *head) take(name, value string) bool {
	switch name {
	case "Host":
		if h.host != "" || !isPrintable(value) || strings.ContainsAny(value, `/\@?#%<>"{}|^`) {
			return false
		}
		h.host = value
		return value != ""
	case "Content-Length":
		n, err := strconv.ParseUint(value, 10, 31)
		if err != nil || h.length >= 0 || value[0] == '+' {
			return false
		}
		h.length = int64(n)
	case "Connection":
		if !strings.EqualFold(value, "keep-alive") {
			return false
		}
	case "Transfer-Encoding", "Expect", "Upgrade", "Trailer", "Pragma", "Http2-Settings":
		return false
	}
	if old := h.header[name]; old != nil {
		h.header[name] = append(old, value)
		return true
	}
	// Growing leaves the entries made so far where they are.
	h.values = append(h.values, value)
	n := len(h.values)
	h.header[name] = h.values[n-1 : n : n]
	return true
}

// token are the bytes of a field's name (RFC 9110, 5.6.2).
var token = func() (t [256]bool) {
	for c := range 256 {
		b := byte(c)
		t[c] = '0' <= b && b <= '9' || 'a' <= b|0x20 && b|0x20 <= 'z' || strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0
	}
	return t
}()

func isToken(s string) bool {
	for i := range len(s) {
		if !token[s[i]] {
			return false
		}
	}
	return s != ""
}

// isText reports whether s can be a field's value.
func isText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isPrintable reports whether s is of ASCII without white space and control characters.
func isPrintable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}
