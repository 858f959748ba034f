package filter

import (
	"strings"
	"testing"
)

// TestMatch has a line for each rule of AWS's "Amazon EventBridge: comparison operators" and
// of "Lambda event filtering".
func TestMatch(t *testing.T) {
	for _, x := range []struct {
		pattern, event string
		want           bool
	}{
		{`{"a":["x"]}`, `{"a":"x"}`, true},
		{`{"a":["x"]}`, `{"a":"X"}`, false},
		{`{"a":["x","y"]}`, ` {"b":1, "a" : "y"} `, true},
		{`{"a":["x"]}`, `{"a":"x","a":"y"}`, false}, // the last wins
		{`{"a":["x"],"a":["y"]}`, `{"a":"y"}`, true},
		{`{"a":["x"],"b":["y"]}`, `{"a":"x"}`, false},
		{`{"a":[""]}`, `{"a":""}`, true},
		{`{"a":[null]}`, `{"a":null}`, true},
		{`{"a":[null]}`, `{}`, false},
		{`{"a":[true]}`, `{"a":true}`, true},
		{`{"a":["true"]}`, `{"a":true}`, false},
		{`{"a":["é\n"]}`, `{"a":"é\n"}`, true},
		{`{"a":[300]}`, `{"a":300}`, true},
		{`{"a":[300]}`, `{"a":300.0}`, false}, // numbers by their text
		{`{"a":[300]}`, `{"a":3.0e2}`, false},
		{`{"a":["x"]}`, `{"a":["z","x"]}`, true},
		{`{"a":["x"]}`, `{"a":[["x"]]}`, true},
		{`{"a":{"b":["x"]}}`, `{"a":{"b":"x"}}`, true},
		{`{"a":{"b":["x"]}}`, `{"a":"x"}`, false},
		{`{"a":{"b":["x"],"c":[1]}}`, `{"a":[{"b":"x","c":1}]}`, true},
		{`{"a":{"b":["x"],"c":[1]}}`, `{"a":[{"b":"x","c":2},{"b":"y","c":1}]}`, false},
		{`{"a":[{"prefix":"us-"}]}`, `{"a":"us-east-1"}`, true},
		{`{"a":[{"prefix":"us-"}]}`, `{"a":"us"}`, false},
		{`{"a":[{"prefix":"1"}]}`, `{"a":12}`, false},
		{`{"a":[{"prefix":{"equals-ignore-case":"EventB"}}]}`, `{"a":"eventbridge"}`, true},
		{`{"a":[{"suffix":".png"}]}`, `{"a":"x.png"}`, true},
		{`{"a":[{"suffix":".png"}]}`, `{"a":"x.PNG"}`, false},
		{`{"a":[{"suffix":{"equals-ignore-case":".png"}}]}`, `{"a":"x.PNG"}`, true},
		{`{"a":[{"equals-ignore-case":"AlIcE"}]}`, `{"a":"aLiCe"}`, true},
		{`{"a":[{"anything-but":"x"}]}`, `{"a":"y"}`, true},
		{`{"a":[{"anything-but":"x"}]}`, `{"a":"x"}`, false},
		{`{"a":[{"anything-but":"x"}]}`, `{}`, false},
		{`{"a":[{"anything-but":["x","y"]}]}`, `{"a":["x","z"]}`, true},
		{`{"a":[{"anything-but":[1,2]}]}`, `{"a":2}`, false},
		{`{"a":[{"anything-but":{"prefix":"x"}}]}`, `{"a":"xy"}`, false},
		{`{"a":[{"anything-but":{"prefix":["x","z"]}}]}`, `{"a":"yx"}`, true},
		{`{"a":[{"anything-but":{"suffix":"x"}}]}`, `{"a":"yx"}`, false},
		{`{"a":[{"anything-but":{"wildcard":"*/lib/*"}}]}`, `{"a":"a/lib/b"}`, false},
		{`{"a":[{"anything-but":{"equals-ignore-case":["x","Y"]}}]}`, `{"a":"y"}`, false},
		{`{"a":[{"numeric":["=",100]}]}`, `{"a":1e2}`, true},
		{`{"a":[{"numeric":["=",100]}]}`, `{"a":"100"}`, false},
		{`{"a":[{"numeric":[">",10,"<=",20]}]}`, `{"a":10}`, false},
		{`{"a":[{"numeric":[">",10,"<=",20]}]}`, `{"a":20}`, true},
		{`{"a":[{"numeric":["<",-1.5]}]}`, `{"a":-2}`, true},
		{`{"a":[{"exists":true}]}`, `{"a":null}`, true},
		{`{"a":[{"exists":true}]}`, `{"b":1}`, false},
		{`{"a":[{"exists":false}]}`, `{"b":1}`, true},
		{`{"a":[{"exists":false}]}`, `{"a":1}`, false},
		{`{"a":{"b":[{"exists":false}]}}`, `{}`, true},
		{`{"a":[{"exists":true}]}`, `{"a":{"b":1}}`, false}, // leaves only
		{`{"a":[{"exists":false}]}`, `{"a":{"b":1}}`, false},
		{`{"a":[{"exists":false},"x"]}`, `{"a":"x"}`, true},
		{`{"a":[{"exists":false}]}`, `{"a":[]}`, true},
		{`{"a":[{"wildcard":"dir/*/x*.png"}]}`, `{"a":"dir/a/b/xy.png"}`, true},
		{`{"a":[{"wildcard":"a*a"}]}`, `{"a":"a"}`, false},
		{`{"a":[{"wildcard":"*"}]}`, `{"a":""}`, true},
		{`{"a":[{"wildcard":"a\\*b"}]}`, `{"a":"a*b"}`, true},
		{`{"a":[{"wildcard":"a\\*b"}]}`, `{"a":"axb"}`, false},
		{`{"a":[{"wildcard":"*aab"}]}`, `{"a":"aaab"}`, true},
		{`{"a":[{"cidr":"10.0.0.0/24"}]}`, `{"a":"10.0.0.255"}`, true},
		{`{"a":[{"cidr":"10.0.0.0/24"}]}`, `{"a":"10.0.1.0"}`, false},
		{`{"a":[{"cidr":"2001:db8::/32"}]}`, `{"a":"2001:db8::1"}`, true},
		{`{"$or":[{"a":[1]},{"b":[2]}]}`, `{"b":2}`, true},
		{`{"$or":[{"a":[1]},{"b":[2]}]}`, `{"b":1}`, false},
		{`{"c":["x"],"$or":[{"a":[1]},{"b":[2],"$or":[{"d":[1]},{"d":[2]}]}]}`, `{"c":"x","b":2,"d":2}`, true},
		{`{"c":["x"],"$or":[{"a":[1]},{"b":[2],"$or":[{"d":[1]},{"d":[2]}]}]}`, `{"c":"x","b":2,"d":3}`, false},
		{`{"x":{"$or":[{"a":[1]},{"b":[2]}]}}`, `{"x":{"a":1}}`, true},
		{`{"$or":["x"]}`, `{"$or":"x"}`, true}, // no operator
		{`{"a":["x"]}`, `[{"a":"x"}]`, false},
		{`{"a":["x"]}`, `{"a":"x"`, false},
		{`{"a":["x"]}`, ``, false},
		{` { "a" : [ "x" , { "prefix" : "y" } , 1 ] } `, `{"a":1}`, true},
	} {
		p, err := Compile(EventBridge, x.pattern)
		if err != nil {
			t.Errorf("%s: %v", x.pattern, err)
			continue
		}
		if got := p.Match([]byte(x.event)); got != x.want {
			t.Errorf("%s with %s: %t", x.pattern, x.event, got)
		}
	}
}

func TestRefusedPatterns(t *testing.T) {
	for _, x := range []struct {
		pattern, reason string
		dialect         Dialect
	}{
		{`null`, "Failed to parse JSON.", EventBridge},
		{`simple string`, "Failed to parse JSON.", EventBridge},
		{`{}`, "Empty objects are not allowed", EventBridge},
		{`{"a":{}}`, "Empty objects are not allowed", EventBridge},
		{`{"a":"x"}`, `"a" must be an object or an array`, EventBridge},
		{`{"a":[]}`, "Empty arrays are not allowed", EventBridge},
		{`{"a":[["x"]]}`, "Match value must be String, number, true, false, or null", EventBridge},
		{`{"a":[{"prefix":"x","suffix":"y"}]}`, "Only one key allowed in match expression", EventBridge},
		{`{"a":[{"regex":"x"}]}`, "Unrecognized match type regex", EventBridge},
		{`{"a":[{"prefix":1}]}`, "prefix match pattern must be a string", EventBridge},
		{`{"a":[{"exists":"yes"}]}`, "exists match pattern must be either true or false.", EventBridge},
		{`{"a":[{"numeric":5}]}`, "Value of numeric must be an array.", EventBridge},
		{`{"a":[{"numeric":["<","5"]}]}`, "Value of < must be numeric", EventBridge},
		{`{"a":[{"numeric":["~",5]}]}`, "Unrecognized numeric range operator: ~", EventBridge},
		{`{"a":[{"numeric":[">",5,"<",3]}]}`, "Bottom must be less than top", EventBridge},
		{`{"a":[{"anything-but":["x",1]}]}`, "Inside anything but list, either all values are number or string, mixed type is not supported", EventBridge},
		{`{"a":[{"anything-but":[null]}]}`, "Inside anything but list, start|null|boolean is not supported.", EventBridge},
		{`{"a":[{"wildcard":"a**b"}]}`, "Consecutive wildcard characters at pos 1", EventBridge},
		{`{"a":[{"cidr":"10.0.0.0/99"}]}`, "Malformed CIDR: 10.0.0.0/99", EventBridge},
		{strings.Repeat(`{"a":`, 100) + `["x"]` + strings.Repeat(`}`, 100), "weir supports patterns of at most 64 nested objects", EventBridge},

		{`null`, "Invalid filter pattern definition.", Lambda},
		{`simple string`, "Invalid filter pattern definition.", Lambda},
		{`{"eventSource":"aws:sqs"}`, "Invalid filter pattern definition.", Lambda},
		{`{"eventSource":[]}`, "Invalid filter pattern definition.", Lambda},
		{`{"eventSource":["` + strings.Repeat("x", MaxLambda) + `"]}`, "Invalid filter pattern definition.", Lambda},

		{`{"a":{"b":["x"]}}`, "Filter policy scope MessageAttributes does not support nested filter policy", SNSAttributes},
		{`{"a":[1],"b":[1],"c":[1],"d":[1],"e":[1],"f":[1]}`, "Filter policy can not have more than 5 keys", SNSAttributes},
		{`{"a":{"b":["1","2","3","4","5"]},"b":["1","2","3","4","5"],"c":["1","2","3","4"]}`, "Filter policy is too complex", SNSBody},
		{`{"a":[1000000001]}`, "Value must be between -1e+09 and 1e+09, inclusive", SNSAttributes},
	} {
		_, err := Compile(x.dialect, x.pattern)
		if err == nil || err.Error() != x.reason {
			t.Errorf("%.80s: %v, want %s", x.pattern, err, x.reason)
		}
	}
}

func TestPolicies(t *testing.T) {
	attributes := Attributes(map[string]Attribute{
		"store":     {"String", "example_corp"},
		"price":     {"Number", "210.75"},
		"round":     {"Number", "300.0"},
		"interests": {"String.Array", `["rugby","tennis", 7, null]`},
		"broken":    {"String.Array", `rugby`},
		"binary":    {"Binary", "eA=="},
		"custom":    {"Number.int", "5"},
	})
	for policy, want := range map[string]bool{
		`{}`:                         true,
		`{"store":["example_corp"]}`: true,
		`{"store":[{"anything-but":"example_corp"}]}`: false,
		`{"price":[{"numeric":[">=",100]}]}`:          true,
		`{"price":["210.75"]}`:                        false,
		`{"round":[300]}`:                             true, // numbers by their value
		`{"interests":["tennis","golf"]}`:             true,
		`{"interests":[7]}`:                           true,
		`{"interests":[{"anything-but":["rugby"]}]}`:  true,
		`{"interests":["golf"]}`:                      false,
		`{"broken":["rugby"]}`:                        false,
		`{"binary":[{"exists":true}]}`:                false,
		`{"custom":[5]}`:                              true,
		`{"other":[{"exists":false}]}`:                true,
	} {
		p, err := Compile(SNSAttributes, policy)
		if err != nil {
			t.Errorf("%s: %v", policy, err)
		} else if p.Match(attributes) != want {
			t.Errorf("%s: %t", policy, !want)
		}
	}
}

// TestCriteria has the table of data and pattern formats of "Lambda event filtering".
func TestCriteria(t *testing.T) {
	const metadata = `{"messageId":"1","body":"not looked at","data":"nor this","value":0,"attributes":{"SentTimestamp":"5"}}`
	for _, x := range []struct {
		name     string
		source   Source
		patterns []string
		data     string
		want     bool
	}{
		{"no pattern", SQS, nil, "x", true},
		{"metadata", SQS, []string{`{"messageId":["1"]}`}, "x", true},
		{"metadata fails", SQS, []string{`{"messageId":["2"]}`}, "x", false},
		{"any", SQS, []string{`{"messageId":["2"]}`, `{"attributes":{"SentTimestamp":["5"]}}`}, "x", true},
		{"JSON, JSON", SQS, []string{`{"body":{"k":["v"]}}`}, `{"k":"v"}`, true},
		{"JSON differs", SQS, []string{`{"body":{"k":["v"]}}`}, `{"k":"w"}`, false},
		{"text, text", SQS, []string{`{"body":["he said \"x\""]}`}, `he said "x"`, true},
		{"a number is text", SQS, []string{`{"body":["300"]}`}, `300`, true},
		{"text, JSON", SQS, []string{`{"body":{"k":["v"]}}`}, `my-value`, false},
		{"JSON, text", SQS, []string{`{"body":[{"prefix":"{"}]}`}, `{"k":"v"}`, false},
		{"in an alternative", SQS, []string{`{"$or":[{"messageId":["2"]},{"body":{"k":["v"]}}]}`}, `{"k":"v"}`, true},
		{"Kinesis", Kinesis, []string{`{"messageId":["1"],"data":{"k":[{"numeric":[">",1]}]}}`}, `{"k":2}`, true},
		{"Kinesis text", Kinesis, []string{`{"data":{"k":["v"]}}`}, `v`, false},
		{"typed", DynamoDB, []string{`{"dynamodb":{"NewImage":{"k":{"S":["v"]}}}}`}, `{"NewImage":{"k":{"S":"v"}}}`, true},
		{"typed numbers are texts", DynamoDB, []string{`{"dynamodb":{"NewImage":{"k":{"N":[{"numeric":["=",101]}]}}}}`}, `{"NewImage":{"k":{"N":"101"}}}`, false},
		{"Kafka", Kafka, []string{`{"value":["x"]}`}, `x`, true},
		{"Kafka text, JSON", Kafka, []string{`{"messageId":["1"],"value":{"k":["v"]}}`}, `x`, true},
		{"Kafka JSON, text", Kafka, []string{`{"messageId":["1"],"value":["x"]}`}, `{"k":"v"}`, true},
		{"Kafka metadata fails", Kafka, []string{`{"messageId":["2"],"value":["x"]}`}, `{"k":"v"}`, false},
		{"Kafka bytes", Kafka, []string{`{"messageId":["1"],"value":["x"]}`}, "\xff", true},
	} {
		c, err := NewCriteria(x.source, x.patterns)
		if err != nil {
			t.Errorf("%s: %v", x.name, err)
		} else if c.Match([]byte(metadata), []byte(x.data)) != x.want {
			t.Errorf("%s: %t", x.name, !x.want)
		}
	}
	if _, err := NewCriteria(Kinesis, []string{`{"data":["text"]}`}); err != ErrLambda {
		t.Errorf("a text pattern for Kinesis: %v", err)
	}
	if _, err := NewCriteria(SQS, make([]string, MaxFilters+1)); err != ErrLambda {
		t.Errorf("too many patterns: %v", err)
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	p, err := Compile(EventBridge, `{"source":["a"],"detail":{"n":[{"numeric":[">",1]}],"s":[{"wildcard":"a*c"}],"l":["q"],"m":{"z":[{"exists":false}]}}}`)
	if err != nil {
		t.Fatal(err)
	}
	event := []byte(`{"source":"a","detail":{"n":5,"s":"abc","l":["p","q"]}}`)
	if !p.Match(event) {
		t.Fatal("no match")
	}
	if n := testing.AllocsPerRun(10000, func() { p.Match(event) }); n > 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	p, err := Compile(EventBridge, `{"source":["aws.ec2"],"detail":{"state":["terminated",{"prefix":"stop"}],"n":[{"numeric":[">",1]}]}}`)
	if err != nil {
		b.Fatal(err)
	}
	event := []byte(`{"version":"0","id":"6a7e8feb","detail-type":"EC2 Instance State-change Notification","source":"aws.ec2","account":"111122223333","time":"2017-12-22T18:43:48Z","region":"us-west-1","resources":["arn:aws:ec2:us-west-1:123456789012:instance/i-1234567890abcdef0"],"detail":{"instance-id":"i-1234567890abcdef0","state":"stopping","n":3}}`)
	b.ReportAllocs()
	for b.Loop() {
		p.Match(event)
	}
}
