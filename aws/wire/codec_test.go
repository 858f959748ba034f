package wire

import (
	"encoding/hex"
	"math"
	"reflect"
	"strings"
	"testing"
)

// TestRoundTrip writes and reads a structure with every kind of member.
func TestRoundTrip(t *testing.T) {
	for _, c := range []struct {
		name   string
		encode func([]byte, Struct) []byte
		decode func([]byte, Struct) ([]string, error)
	}{
		{"JSON", appendJSON, decodeJSON},
		{"CBOR", appendCBOR, decodeCBOR},
	} {
		want, got := fullSample(), new(sample)
		body := c.encode(nil, want)
		unknown, err := c.decode(body, got)
		if err != nil || len(unknown) > 0 {
			t.Errorf("%s: %v, unknown %v: %q", c.name, err, unknown, body)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, got, want)
		}
	}
}

func TestJSONText(t *testing.T) {
	got := string(appendJSON(nil, fullSample()))
	want := `{"Name":"naïve \"quoted\" \\ \n\t\u0001 <tag> & 😀","On":true,"Small":-7,"Big":1152921504606846976,"Single":1.5,` +
		`"Double":-2.25e-09,"Data":"AP8Q","At":1795257000.25,"day":"2026-11-21T10:30:00.250Z","Nested":{"Name":"inner"},` +
		`"Texts":["a",""],"Numbers":[3,1,2],"Lists":[["x"],[]],"Items":[{"Small":1},{}],"Tags":{"":"empty key","k":"v"},` +
		`"Weights":{"2":0.5},"Parts":{"p":{"On":false}},"Choice":{"b":4}}`
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// TestWholeNumbers writes floats without a fraction so that they are read as floats.
func TestWholeNumbers(t *testing.T) {
	for want, v := range map[string]float64{"3.0": 3, "0.0": 0, "-1500.0": -1500, "1e+21": 1e21, "100000000000000000000.0": 1e20, "0.5": 0.5} {
		s := &sample{Double: Some(v), Single: Some(float32(v))}
		if got := string(appendJSON(nil, s)); got != `{"Single":`+want+`,"Double":`+want+`}` {
			t.Errorf("JSON of %v is %s", v, got)
		}
		if got := string(appendXML(nil, s)); got != "<Single>"+want+"</Single><Double>"+want+"</Double>" {
			t.Errorf("XML of %v is %s", v, got)
		}
	}
}

func TestXMLText(t *testing.T) {
	got := string(appendXML(nil, fullSample()))
	want := "<Name>naïve &quot;quoted&quot; \\ \n\t\uFFFD &lt;tag&gt; &amp; 😀</Name><On>true</On><Small>-7</Small>" +
		"<Big>1152921504606846976</Big><Single>1.5</Single><Double>-2.25e-09</Double><Data>AP8Q</Data>" +
		"<At>2026-11-21T10:30:00.250Z</At><day>2026-11-21T10:30:00.250Z</day><Nested><Name>inner</Name></Nested>" +
		"<Texts><member>a</member><member></member></Texts><Numbers>3</Numbers><Numbers>1</Numbers><Numbers>2</Numbers>" +
		"<Lists><member><member>x</member></member><member></member></Lists>" +
		"<Items><Item><Small>1</Small></Item><Item></Item></Items>" +
		"<Tags><entry><key></key><value>empty key</value></entry><entry><key>k</key><value>v</value></entry></Tags>" +
		"<Weight><Key>2</Key><Value>0.5</Value></Weight>" +
		"<Parts><entry><key>p</key><value><On>false</On></value></entry></Parts><Choice><b>4</b></Choice>"
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestQuery(t *testing.T) {
	form := "Action=Do&Version=1&Name=a+b%26c&On=true&Small=-7&Data=AP8Q&day=2026-11-21T10:30:00Z&Nested.Name=inner" +
		"&Texts.member.10=j&Texts.member.2=b&Texts.member.1=a&Numbers.1=3&Numbers.2=1&Lists.member.1.member.1=x" +
		"&Items.Item.1.Small=1&Items.Item.2.Nested.Small=2&Tags.entry.1.key=k&Tags.entry.1.value=v" +
		"&Weight.1.Key=2&Weight.1.Value=0.5&Parts.entry.1.key=p&Parts.entry.1.value.On=false&Choice.b=4" +
		"&Unknown=1&Nested.Odd.Deep=2&Texts.member.x=3"
	pairs, ok := parseForm(nil, form)
	if !ok {
		t.Fatal("the form is broken")
	}
	got := new(sample)
	unknown, err := decodeQuery(pairs, got)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"Name":"a b&c","On":true,"Small":-7,"Data":"AP8Q","day":"2026-11-21T10:30:00Z","Nested":{"Name":"inner"},` +
		`"Texts":["a","b","j"],"Numbers":[3,1],"Lists":[["x"]],"Items":[{"Small":1},{"Nested":{"Small":2}}],` +
		`"Tags":{"k":"v"},"Weights":{"2":0.5},"Parts":{"p":{"On":false}},"Choice":{"b":4}}`
	if text := string(appendJSON(nil, got)); text != want {
		t.Errorf("\n got %s\nwant %s", text, want)
	}
	if want := []string{"Nested.Odd", "Texts.x", "Unknown"}; !reflect.DeepEqual(unknown, want) {
		t.Errorf("unknown members %v, want %v", unknown, want)
	}
}

func TestUnknownMembers(t *testing.T) {
	body := `{"Odd":{"deep":[1,{"x":null}]},"Nested":{"Name":"n","Odd":1},"Items":[{"Odd":2}],"Parts":{"p":{"Odd":3}},"name":"wrong case"}`
	want := []string{"Odd", "Nested.Odd", "Items.Odd", "Parts.p.Odd", "name"}
	got, err := decodeJSON([]byte(body), new(sample))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v (%v)", got, want, err)
	}
	many := `{"A0":1` + strings.Repeat(`,"A":1`, 2*maxUnknown) + `}`
	if got, err = decodeJSON([]byte(many), new(sample)); err != nil || len(got) != maxUnknown {
		t.Errorf("%d unknown members are remembered (%v)", len(got), err)
	}
}

// TestMismatchTexts has the messages that AWS gives for values of a wrong type. Source: the
// tests of dynalite, which ran against DynamoDB.
func TestMismatchTexts(t *testing.T) {
	const structure = "Start of structure or map found where not expected"
	for _, c := range []struct{ body, want string }{
		{`{"On":"23"}`, "Unexpected token received from parser"},
		{`{"On":23}`, "NUMBER_VALUE cannot be converted to Boolean"},
		{`{"On":34.56}`, "DECIMAL_VALUE cannot be converted to Boolean"},
		{`{"On":{}}`, structure},
		{`{"Name":true}`, "TRUE_VALUE cannot be converted to String"},
		{`{"Name":false}`, "FALSE_VALUE cannot be converted to String"},
		{`{"Name":23}`, "NUMBER_VALUE cannot be converted to String"},
		{`{"Name":-2147483648}`, "NUMBER_VALUE cannot be converted to String"},
		{`{"Name":34.56}`, "DECIMAL_VALUE cannot be converted to String"},
		{`{"Name":{}}`, structure},
		{`{"Small":"23"}`, "STRING_VALUE cannot be converted to Integer"},
		{`{"Small":true}`, "TRUE_VALUE cannot be converted to Integer"},
		{`{"Small":{}}`, structure},
		{`{"Big":"23"}`, "STRING_VALUE cannot be converted to Long"},
		{`{"Big":false}`, "FALSE_VALUE cannot be converted to Long"},
		{`{"Data":true}`, "only base-64-encoded strings are convertible to bytes"},
		{`{"Data":23}`, "only base-64-encoded strings are convertible to bytes"},
		{`{"Data":"23456"}`, "Base64 encoded length is expected a multiple of 4 bytes but found: 5"},
		{`{"Texts":"23"}`, "Unexpected field type"},
		{`{"Texts":true}`, "Unexpected field type"},
		{`{"Texts":{}}`, structure},
		{`{"Tags":"23"}`, "Unexpected field type"},
		{`{"Nested":34.56}`, "Unexpected field type"},
	} {
		_, err := decodeJSON([]byte(c.body), new(sample))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.body, err, c.want)
		}
	}
}

// TestMalformedJSON has the bodies that the malformed-request tests of Smithy's restJson1
// suite want refused, by type of member.
func TestMalformedJSON(t *testing.T) {
	values := map[string]string{
		"On": `"true" "false" "TRUE" 1 0 "1" TRUE True FALSE tRUE yes YES on t T 0x00 [] {}`,
		"Small": `"123" true 1.001 2ABC 0x42 Infinity "Infinity" -Infinity "-Infinity" NaN "NaN" 2147483648 -2147483649
			-9223372000000000000 9223372000000000000 123000000000000000000000 00 -01 +1 .5 1. 1e 1e+ - [] {}`,
		"Big":    `"123" true 1.001 2ABC 0x42 Infinity "Infinity" NaN -184467440737095500000 184467440737095500000 [] {}`,
		"Single": `"123" true 2ABC 0x42 Infinity -Infinity NaN "Infinity2" [] {}`,
		"Double": `"123" true 2ABC 0x42 Infinity -Infinity NaN nan [] {}`,
		"Name":   `true 1 1.5 [] {} tru nul 'a' "\x" "\u12" "\u12G4" "` + "\x01" + `" "` + "\xff" + `" "unterminated`,
		"Data":   `true 1 "xyz" "AP8Q=" "====" [] {}`,
		"At":     `"2026-11-21T10:30:00Z" "1515531081.1234" true 1515531081.123.4 0x42 NaN Infinity 1e400 253402300800 [] {}`,
		"day":    `1515531081 true "1996-12-19T16:39:57" "1996-12-19" "1996-12-19T16:39:57+" "1996-12-1916:39:57Z" "x" ""`,
		"Texts":  `["a",,"b"] ["a",] [,"a"] [1] [null] ["a" "a {"a"} "a" true ["a"]]`,
		"Tags":   `{"a":1} {"a":null} {"a"} {"a":} {a:"b"} {"a":"b",} {,"a":"b"} {"a":"b" "c"} ["a"]`,
		"Nested": `{"Name":1} {"Name" "x"} {"Name":"x"]`,
		"Choice": `{} {"a":"x","b":1} {"a":null} {"c":1}`,
	}
	for member, list := range values {
		for value := range strings.FieldsSeq(list) {
			body := `{"` + member + `":` + value + `}`
			if _, err := decodeJSON([]byte(body), new(sample)); err == nil {
				t.Errorf("accepted: %s", body)
			}
		}
	}
	for _, body := range []string{`{`, `{"Name":"x"`, `{"Name"`, `{"Name":"x"}}`, `{"Name":"x"} x`, `[]`, `"x"`, `null`, `x`, ` `, "\xef\xbb\xbf{}", `{{}}`} {
		if _, err := decodeJSON([]byte(body), new(sample)); err == nil {
			t.Errorf("accepted: %q", body)
		}
	}
}

func TestJSONLeniency(t *testing.T) {
	body := ` {"Name" : "\u00e9\ud83d\ude00\ud83d\/" , "Small":1.0,"Big":1e3,"Double":"NaN","Single":"-Infinity","At":1.5e9,` +
		`"day":"2026-11-21T10:30:00.123456+02:00","Nested":null,"Tags":{"a":"1"},"Texts":["a"],"Tags":{"b":"2"},"Texts":[ ] }` + "\n"
	got := new(sample)
	if _, err := decodeJSON([]byte(body), got); err != nil {
		t.Fatal(err)
	}
	if got.Name.V != "é😀\uFFFD/" || got.Small.V != 1 || got.Big.V != 1000 || !math.IsNaN(got.Double.V) ||
		!math.IsInf(float64(got.Single.V), -1) || got.At.V.Unix() != 1500000000 || got.Day.V.Hour() != 8 ||
		got.Nested != nil || got.Texts == nil || len(got.Texts) != 0 || len(got.Tags) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestDepthIsBounded(t *testing.T) {
	deep := func(n int) []byte {
		return []byte(strings.Repeat(`{"Nested":`, n) + `{}` + strings.Repeat(`}`, n))
	}
	if _, err := decodeJSON(deep(maxDepth-1), new(sample)); err != nil {
		t.Errorf("%d levels are refused: %v", maxDepth, err)
	}
	if _, err := decodeJSON(deep(maxDepth), new(sample)); err == nil {
		t.Errorf("%d levels are accepted", maxDepth+1)
	}
	unknown := `{"Odd":` + strings.Repeat(`[`, 1<<20)
	if _, err := decodeJSON([]byte(unknown), new(sample)); err == nil {
		t.Error("a million open brackets are accepted")
	}
	for _, open := range []string{"\x81", "\x9f", "\xa1\x61x", "\xc1"} {
		body := "\xa1\x63Odd" + strings.Repeat(open, 1<<20)
		if _, err := decodeCBOR([]byte(body), new(sample)); err == nil {
			t.Errorf("a million times %x is accepted", open)
		}
	}
	pairs, _ := parseForm(nil, strings.Repeat("Nested.", 1<<16)+"Name=x")
	if _, err := decodeQuery(pairs, new(sample)); err == nil {
		t.Error("65,536 levels of a form are accepted")
	}
}

// TestCBORForms has spellings of values that a server must understand.
func TestCBORForms(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"nothing", "", `{}`},
		{"an indefinite map", "bf 65536d616c6c 01 ff", `{"Small":1}`},
		{"an indefinite list", "a1 674e756d62657273 9f 01 20 ff", `{"Numbers":[1,-1]}`},
		{"text in chunks", "a1 644e616d65 7f 6161 6162 ff", `{"Name":"ab"}`},
		{"bytes in chunks", "a1 6444617461 5f 4100 41ff ff", `{"Data":"AP8="}`},
		{"a long integer for a short one", "a1 65536d616c6c 1b0000000000000007", `{"Small":7}`},
		{"the smallest Long", "a1 63426967 3b7fffffffffffffff", `{"Big":-9223372036854775808}`},
		{"a float for an integer", "a1 65536d616c6c fb4010000000000000", `{"Small":4}`},
		{"an integer for a float", "a1 66446f75626c65 05", `{"Double":5.0}`},
		{"half precision", "a1 66446f75626c65 f93e00", `{"Double":1.5}`},
		{"half infinity", "a1 66446f75626c65 f9fc00", `{"Double":"-Infinity"}`},
		{"half not a number", "a1 66446f75626c65 f97e00", `{"Double":"NaN"}`},
		{"half, the smallest", "a1 66446f75626c65 f90001", `{"Double":5.960464477539063e-08}`},
		{"single precision", "a1 66446f75626c65 fa3fc00000", `{"Double":1.5}`},
		{"a time of whole seconds", "a1 624174 c11a386d4380", `{"At":946684800}`},
		{"a time with a fraction", "a1 624174 c1fb41cc36a1c0100000", `{"At":946684800.125}`},
		{"null and undefined", "a2 644e616d65 f6 65536d616c6c f7", `{}`},
	} {
		got := new(sample)
		if _, err := decodeCBOR(unhex(t, c.body), got); err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if text := string(appendJSON(nil, got)); text != c.want {
			t.Errorf("%s: %s, want %s", c.name, text, c.want)
		}
	}
}

func TestMalformedCBOR(t *testing.T) {
	for _, c := range []struct{ name, body string }{
		{"no map", "80"},
		{"text for a number", "a1 65536d616c6c 6131"},
		{"a number for text", "a1 644e616d65 01"},
		{"bytes for text", "a1 644e616d65 4161"},
		{"an integer out of range", "a1 65536d616c6c 1a80000000"},
		{"a Long out of range", "a1 63426967 1b8000000000000000"},
		{"a fraction for an integer", "a1 65536d616c6c fb3ff8000000000000"},
		{"a time without its tag", "a1 624174 1a386d4380"},
		{"a time with another tag", "a1 624174 c21a386d4380"},
		{"a time beyond the year 9999", "a1 624174 c1fb7fe0000000000000"},
		{"null in a list", "a1 655465787473 81 f6"},
		{"null in a map", "a1 6454616773 a1 616b f6"},
		{"text that is not UTF-8", "a1 644e616d65 61ff"},
		{"a chunk of another type", "a1 644e616d65 7f 4161 ff"},
		{"a chunk in a chunk", "a1 644e616d65 7f 7f ff ff"},
		{"a length beyond the end", "a1 644e616d65 7b7fffffffffffffff"},
		{"more elements than bytes", "a1 655465787473 9b7fffffffffffffff"},
		{"an end in the middle", "a1 644e616d65"},
		{"a break alone", "a1 644e616d65 ff"},
		{"an indefinite integer", "a1 65536d616c6c 1f"},
		{"a reserved length", "a1 65536d616c6c 1c"},
		{"something behind the end", "a0 a0"},
		{"a union of two", "a1 6643686f696365 a2 6161 6178 6162 01"},
		{"a key that is no text", "a1 01 01"},
	} {
		if _, err := decodeCBOR(unhex(t, c.body), new(sample)); err == nil {
			t.Errorf("%s is accepted: %s", c.name, c.body)
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return b
}

func TestMalformedForm(t *testing.T) {
	if _, ok := parseForm(nil, strings.Repeat("a&", maxPairs)); !ok {
		t.Errorf("%d parameters are refused", maxPairs)
	}
	if _, ok := parseForm(nil, strings.Repeat("a&", maxPairs+1)); ok {
		t.Errorf("%d parameters are accepted", maxPairs+1)
	}
	for _, form := range []string{"Name=%zz", "Name=%4", "%=x", "Name=%ff"} {
		if _, ok := parseForm(nil, form); ok {
			t.Errorf("the form %s is accepted", form)
		}
	}
	for _, form := range []string{
		"Small=x", "Small=1.5", "Small=2147483648", "On=TRUE", "On=1", "Data=%3D%3D", "At=yesterday", "Double=1e400", "Double=0x1",
		"Texts=a", "Tags.entry.1.value=v", "Choice.a=x&Choice.b=1", "Choice=",
	} {
		pairs, ok := parseForm(nil, form)
		if !ok {
			t.Fatal(form)
		}
		if _, err := decodeQuery(pairs, new(sample)); err == nil {
			t.Errorf("the parameter %s is accepted", form)
		}
	}
}
