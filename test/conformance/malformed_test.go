package conformance

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/weir-run/weir/aws/awsgen/model"
	"github.com/weir-run/weir/aws/wire"
)

// malformedModel is the operation of Smithy's malformed-request tests: one value in the
// path, the query string, a header and the body.
const malformedModel = `{
	"metadata": {"protocol": "rest-json", "endpointPrefix": "test"},
	"operations": {"Malformed": {"name": "Malformed", "http": {"method": "POST", "requestUri": "/Malformed/{inPath}"}, "input": {"shape": "Input"}}},
	"shapes": {
		"Input": {"type": "structure", "required": ["inPath"], "members": {
			"inPath": {"shape": "Value", "location": "uri", "locationName": "inPath"},
			"inQuery": {"shape": "Value", "location": "querystring", "locationName": "inQuery"},
			"inHeader": {"shape": "Value", "location": "header", "locationName": "inHeader"},
			"inBody": {"shape": "Value"}
		}},
		"Value": %s
	}
}`

// TestMalformedRequests has values that Smithy's tests of restJson1 want refused, wherever
// they stand, with a SerializationException of status 400. Left out are what botocore's
// models do not know (bytes, shorts) and what AWS takes (times of any offset and fraction).
func TestMalformedRequests(t *testing.T) {
	sent := 0
	for _, c := range []struct{ shape, good, bad string }{
		{`{"type": "boolean"}`, "true",
			`TRUE True tRUE FALSE False 1 0 yes no on off y t T f 0x00 0x01 "true"`},
		{`{"type": "integer"}`, "7",
			`true 1.001 2ABC 0x42 Infinity -Infinity NaN 2147483648 -2147483649 -9223372000000000000 9223372000000000000
			123000000000000000000000 +1 01 1_000 "123" 1e400`},
		{`{"type": "long"}`, "7",
			`true 1.001 2ABC 0x42 Infinity -Infinity NaN -184467440737095500000 184467440737095500000 123000000000000000000000 "123"`},
		{`{"type": "float"}`, "1.5", `true 2ABC 0x42 infinity -infinity nan 1e 1.2.3 "1.5" .5 1.`},
		{`{"type": "double"}`, "1.5", `true 2ABC 0x42 infinity -infinity nan 1e 1.2.3 "1.5" .5 1. 1e400`},
		{`{"type": "timestamp", "timestampFormat": "iso8601"}`, "1985-04-12T23:20:50Z",
			`1515531081 1996-12-19T16:39:57 1996-12-19T16:39 1996-12-19 1996-13-19T16:39:57Z true 0x42 NaN Infinity
			Tue,29Apr2014 1985-04-12T23:20:50Q "1985-04-12T23:20:50Z"x`},
		{`{"type": "timestamp", "timestampFormat": "unixTimestamp"}`, "1515531081.123",
			`1985-04-12T23:20:50Z true 0x42 NaN Infinity 1515531081.123.4 1e400 2ABC 999999999999`},
		{`{"type": "timestamp", "timestampFormat": "rfc822"}`, "Tue, 29 Apr 2014 18:30:38 GMT",
			`1985-04-12T23:20:50Z 1515531081 1515531081.123 true`},
		{`{"type": "blob"}`, "AP8Q", `xyz AP8Q= ==== AP8Q! A`},
	} {
		m, err := model.New("test", fmt.Appendf(nil, malformedModel, c.shape), []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		mux := newMux()
		mux.Handle(dynamic(m), handler(func(*wire.Call, string, wire.Struct) (wire.Struct, error) { return nil, nil }), nil)
		good := c.good
		if strings.Contains(c.shape, "iso8601") || strings.Contains(c.shape, "rfc822") || strings.Contains(c.shape, "blob") {
			good = `"` + good + `"`
		}
		if w := malformed(mux, c.good, c.good, c.good, good); w.Code != 200 {
			t.Errorf("%s: the good request: status %d: %s", c.shape, w.Code, w.Body)
		}
		for bad := range strings.FieldsSeq(c.bad) {
			body := bad
			if !json.Valid([]byte(body)) || strings.Contains(c.shape, "iso8601") || strings.Contains(c.shape, "rfc822") {
				body = `"` + strings.ReplaceAll(bad, `"`, `\"`) + `"`
			}
			for place, w := range map[string]*httptest.ResponseRecorder{
				"path":   malformed(mux, bad, c.good, c.good, good),
				"query":  malformed(mux, c.good, bad, c.good, good),
				"header": malformed(mux, c.good, c.good, bad, good),
				"body":   malformed(mux, c.good, c.good, c.good, body),
			} {
				sent++
				if w.Code != 400 || w.Header().Get("X-Amzn-ErrorType") != "SerializationException" {
					t.Errorf("%s: %s in the %s: status %d, %s", c.shape, bad, place, w.Code, w.Header().Get("X-Amzn-ErrorType"))
				}
			}
		}
	}
	t.Logf("%d requests are refused", sent)
}

func malformed(mux *wire.Mux, path, query, header, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "http://127.0.0.1/Malformed/"+url.PathEscape(path)+"?inQuery="+url.QueryEscape(query),
		strings.NewReader(`{"inBody":`+body+`}`))
	r.Header.Set("inHeader", header)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w
}
