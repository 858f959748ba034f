package logs

import (
	"maps"
	"strings"
	"testing"
)

const (
	apache = `127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534`
	trail  = `{"eventType":"UpdateTrail","sourceIPAddress":"111.111.111.111","arrayKey":["value","another value"],"objectList":[{"name":"a","id":1},{"name":"b","id":2}],
	"SomeObject":null,"SomeOtherObject":1,"ThisFlag":true,"errorCode":404,"bandwidth":75.5,"code":"400","user":{"id":1,"name":"John Stiles"},"cluster.name":"c",
	"detail-type":"x","users":[{"id":2,"email":"John.Doe@example.com"}],"actions":["GET","PUT","DELETE"],"latency":1e2}`
)

// The examples of AWS's page about filter patterns, and the rules between them.
func TestPattern(t *testing.T) {
	for _, row := range []struct {
		pattern, message string
		want             bool
	}{
		{"", "anything", true},
		{"ERROR", "[ERROR 400] BAD REQUEST", true},
		{"ERROR", "[ERROR 401] UNAUTHORIZED REQUEST", true},
		{"ERROR", "[error 400]", false},
		{"ERROR ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", true},
		{"ERROR ARGUMENTS", "[ERROR 401] UNAUTHORIZED REQUEST", false},
		{"?ERROR ?ARGUMENTS", "[ERROR 401] UNAUTHORIZED REQUEST", true},
		{"?ERROR ?ARGUMENTS", "INVALID ARGUMENTS", true},
		{"?ERROR ?ARGUMENTS", "fine", false},
		{"?ERROR ?ARGUMENTS 400", "BAD REQUEST 400", true},
		{"?ERROR ?ARGUMENTS 400", "ERROR", false},
		{"ERROR -ARGUMENTS", "[ERROR 400] BAD REQUEST", true},
		{"ERROR -ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", false},
		{"-ERROR", "fine", true},
		{`"INTERNAL SERVER ERROR"`, "[ERROR 500] INTERNAL SERVER ERROR", true},
		{`"INTERNAL SERVER ERROR"`, "INTERNAL  SERVER ERROR", false},
		{`ERROR -"BAD REQUEST"`, "ERROR BAD REQUEST", false},
		{`"a \"b\" \\"`, `a "b" \ c`, true},
		{"%AUTHORIZED%", "[ERROR 401] UNAUTHORIZED REQUEST", true},
		{"%AUTHORIZED%", "[SUCCESS 200] AUTHORIZED REQUEST", true},
		{`%^ERROR\s[0-9]{3}$%`, "ERROR 500", true},
		{`%^ERROR\s[0-9]{3}$%`, "ERROR 5000", false},
		{`%10\.10\.0\.1%`, "10010,051", false},
		{"%colou?r%", "color", true},
		{"%gray|grey%", "grey", true},

		{`{ $.eventType = "UpdateTrail" }`, trail, true},
		{`{ $.eventType = UpdateTrail }`, trail, true},
		{`{ $.eventType = "Update*" }`, trail, true},
		{`{ $.eventType = *Trail }`, trail, true},
		{`{ $.eventType = Trail }`, trail, false},
		{`{ $.eventType = %Trail% }`, trail, true},
		{`{ $.sourceIPAddress != 123.123.* }`, trail, true},
		{`{ $.sourceIPAddress != 111.111.* }`, trail, false},
		{`{ $.arrayKey[0] = "value" }`, trail, true},
		{`{ $.arrayKey[1] = "value" }`, trail, false},
		{`{ $.arrayKey[9] = "value" }`, trail, false},
		{`{ $.objectList[1].id = 2 }`, trail, true},
		{`{ $.objectList[*].id = 2 }`, trail, true},
		{`{ $.objectList[*].id = 3 }`, trail, false},
		{`{ $.SomeObject IS NULL }`, trail, true},
		{`{ $.SomeOtherObject IS NULL }`, trail, false},
		{`{ $.Nothing IS NULL }`, trail, false},
		{`{ $.Nothing NOT EXISTS }`, trail, true},
		{`{ $.SomeObject NOT EXISTS }`, trail, false},
		{`{ $.ThisFlag IS TRUE }`, trail, true},
		{`{ $.ThisFlag IS FALSE }`, trail, false},
		{`{ $.bandwidth > 75 }`, trail, true},
		{`{ $.bandwidth < 75.5 }`, trail, false},
		{`{ $.bandwidth <= 75.5 }`, trail, true},
		{`{ $.latency = 100 }`, trail, true},
		{`{ $.errorCode = 4* }`, trail, true},
		{`{ $.errorCode = 404 }`, trail, true},
		{`{ $.errorCode != 404 }`, trail, false},
		{`{ $.errorCode >= 4.04e2 }`, trail, true},
		{`{ $.code = 400 }`, trail, true},
		{`{ $.Nothing != 1 }`, trail, false},
		{`{ $.['cluster.name'] = "c" }`, trail, true},
		{`{ $.detail-type = x }`, trail, true},
		{`{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }`, trail, true},
		{`{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }`, trail, false},
		{`{ $.user.id = 2 && $.users[0].email = "x" || $.actions[0] = "GET" }`, trail, true},
		{`{ $.actions[0] = "GET" || $.user.id = 2 && $.users[0].email = "x" }`, trail, true},
		{`{ $.v = 1 }`, `not JSON`, false},
		{`{ $.v = 1 }`, `[{"v":1}]`, false},
		{`{ $.v = 1 }`, `{"v":1} {"v":1}`, false},
		{`{$.v=1}`, "{\"v\":1}\n", true},

		{`[ip, user, username, timestamp, request =*.html*, status_code = 4*, bytes]`, apache, true},
		{`[ip, user, username, timestamp, request =*.html*, status_code = 5*, bytes]`, apache, false},
		{`[ip, user, username, timestamp, request, status_code = 404 || status_code = 410, bytes]`, apache, true},
		{`[..., request =*.html*, status_code = 4*, bytes]`, apache, true},
		{`[..., status_code = 4*]`, apache, false},
		{`[..., status_code = 4*, bytes > 1000]`, apache, true},
		{`[ip = 127.0.0.1, ...]`, apache, true},
		{`[ip, ..., bytes = 1534]`, apache, true},
		{`[ip = %127\.0\.0\.[1-9]%, ...]`, apache, true},
		{`[ip, bytes = 1534]`, apache, false},
		{`[w1=ERROR, w2]`, "ERROR 09/25/2014 something went wrong", true},
		{`[w1=ERROR, w2]`, "INFO 09/25/2014", false},
		{`[w1=ERROR, w2]`, "ERROR", false},
		{`[w1=ERROR || W1=WARNING, w2]`, "WARNING x", true},
		{`[w1!=ERROR && w1!=WARNING, w2]`, "WARNING x", false},
		{`[w1!=ERROR && w1!=WARNING, w2]`, "INFO x", true},
		{`[a, b, c, d]`, "one two three", false},
		{`[,b=2]`, "1 2", true},
		{`[]`, "anything at all", true},
	} {
		p, err := parsePattern(row.pattern)
		if err != nil {
			t.Errorf("%s: %v", row.pattern, err)
		} else if got := p.match([]byte(row.message)); got != row.want {
			t.Errorf("%s matches %s: %v", row.pattern, row.message, got)
		}
	}
}

func TestInvalidPatterns(t *testing.T) {
	for pattern, want := range map[string]string{
		"?Status: timeout":        "Invalid character(s) in term ':'",
		"a(b":                     "Invalid character(s) in term '('",
		"%hello!%":                "Invalid character(s) in term '!'",
		"%^(ERROR|WARN)%":         "Invalid character(s) in term '('",
		"%café%":                  "Invalid character(s) in term 'é'",
		"%[abc%":                  "Invalid filter pattern",
		`"ERROR`:                  "Invalid filter pattern",
		`{ $."sc-status" = 5* }`:  `Invalid character(s) in term '"'`,
		`{ $.v EXISTS }`:          "Invalid character(s) in term 'E'",
		`{ $.v IS NOT NULL }`:     "Invalid character(s) in term 'I'",
		`{ $.v == 1 }`:            "Invalid character(s) in term '='",
		`{ !($.v = 1) }`:          "Invalid character(s) in term '!'",
		`{ $.v > 0 AND $.v < 2 }`: "Invalid character(s) in term 'A'",
		`{ $.v > "Alpha" }`:       "Invalid filter pattern",
		`{ $.items[*].* = 1 }`:    "Invalid filter pattern",
		`{ $..value = "hit" }`:    "Invalid character(s) in term '.'",
		`{ $.arr[-1] = "hit" }`:   "Invalid filter pattern",
		`{ $.v = %a% || $.v = %b% || $.v = %c% }`:                                   "Invalid filter pattern",
		`{ $.a[*] = 1 || $.b[*].a = 1 || $.c[*] = 1 || $.m[*][0] = 0 }`:             "Invalid filter pattern",
		`{ $.m = "a", $.p = "b" }`:                                                  "Invalid character(s) in term ','",
		`{ ` + strings.Repeat("(", 99) + `$.a = 1` + strings.Repeat(")", 99) + ` }`: "Invalid filter pattern",
		`{ }`:                 "Invalid character(s) in term '}'",
		`{ $.a = 1`:           "Invalid filter pattern",
		"[..., status, ...]":  "Invalid filter pattern",
		"[word, word]":        "Invalid filter pattern",
		"[a = 1 || b = 2, c]": "Invalid filter pattern",
		"[a":                  "Invalid filter pattern",
	} {
		_, err := parsePattern(pattern)
		if err == nil || err.Error() != "InvalidParameterException: "+want {
			t.Errorf("%s: %v, want %s", pattern, err, want)
		}
	}
}

// The example of AWS's page, and a JSON one.
func TestExtract(t *testing.T) {
	for _, row := range []struct {
		pattern, message string
		want             map[string]string
	}{
		{"[ip, user, username, timestamp, request, status_code, bytes]", apache, map[string]string{
			"$status_code": "404", "$request": "GET /index.html HTTP/1.0", "$timestamp": "10/Oct/2000:13:25:15 -0700",
			"$username": "frank", "$user": "Prod", "$ip": "127.0.0.1", "$bytes": "1534",
		}},
		{`{ $.eventType = "UpdateTrail" && $.objectList[*].id > 0 && $.Nothing NOT EXISTS }`, trail, map[string]string{
			"$.eventType": "UpdateTrail", "$.objectList[*].id": "1",
		}},
		{"ERROR", "ERROR", map[string]string{}},
	} {
		p, err := parsePattern(row.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.extract([]byte(row.message)); !maps.Equal(got, row.want) {
			t.Errorf("%s: %v", row.pattern, got)
		}
	}
}

// Any pattern is read or refused, and matches or not, without a panic.
func FuzzPattern(f *testing.F) {
	for _, p := range []string{"?a -b \"c\" %d%", `{ ($.a[0].b = 1*) && $.['x'] IS NULL || $.* NOT EXISTS }`, "[a, b=1 || b>2 && b != %x%, ..., c]"} {
		f.Add(p, apache)
		f.Add(p, trail)
	}
	f.Fuzz(func(t *testing.T, text, message string) {
		p, err := parsePattern(text)
		if err != nil {
			return
		}
		p.match([]byte(message))
		p.extract([]byte(message))
		p.value([]byte(message), "$.a")
	})
}
