package model

import (
	"strings"
	"testing"
)

const dir = "../.."

// TestEnumOrder holds the order of enum values against lists that AWS printed: they are
// recorded in the tests of emulators that were checked against AWS.
func TestEnumOrder(t *testing.T) {
	for _, c := range []struct{ service, shape, printed string }{
		{"lambda", "LogType", "Tail, None"},
		{"lambda", "Architecture", "x86_64, arm64"},
		{"lambda", "EventSourcePosition", "LATEST, AT_TIMESTAMP, TRIM_HORIZON"},
		{"lambda", "SnapStartApplyOn", "PublishedVersions, None"},
		{"dynamodb", "ReturnConsumedCapacity", "INDEXES, TOTAL, NONE"},
		{"dynamodb", "ReturnItemCollectionMetrics", "SIZE, NONE"},
		{"dynamodb", "ReturnValue", "ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW"},
		{"dynamodb", "ScalarAttributeType", "B, N, S"},
		{"dynamodb", "KeyType", "HASH, RANGE"},
		{"dynamodb", "ProjectionType", "ALL, INCLUDE, KEYS_ONLY"},
		{"dynamodb", "ConditionalOperator", "OR, AND"},
		{"dynamodb", "Select", "SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES"},
		{"dynamodb", "ComparisonOperator", "IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS"},
		{"kinesis", "ShardIteratorType", "AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON"},
	} {
		s, err := Load(dir, c.service)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(hashOrder(s.shapes.obj(c.shape).strings("enum")), ", ")
		if got != c.printed {
			t.Errorf("%s.%s: [%s], AWS prints [%s]", c.service, c.shape, got, c.printed)
		}
	}
}

// TestEveryShape converts all shapes of all models: every pattern compiles, every type is
// known.
func TestEveryShape(t *testing.T) {
	ids, err := IDs(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		s, err := Load(dir, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range s.shapes.keys {
			if s.shapes.obj(name).str("type") != "structure" {
				continue
			}
			shape, err := s.Shape(name)
			if err != nil {
				t.Errorf("%s: %v", id, err)
				continue
			}
			if len(shape.Members) > 255 {
				t.Errorf("%s.%s has too many members for its index", id, name)
			}
		}
	}
}

func TestMerge(t *testing.T) {
	for _, c := range []struct{ name, base, patch, want string }{
		{"replaces", `{"a":1,"b":2}`, `{"a":3}`, `{"a":3,"b":2}`},
		{"adds at the end", `{"b":2}`, `{"a":1}`, `{"b":2,"a":1}`},
		{"removes", `{"a":1,"b":2}`, `{"a":null}`, `{"b":2}`},
		{"goes into objects", `{"a":{"x":1,"y":2}}`, `{"a":{"y":null,"z":3}}`, `{"a":{"x":1,"z":3}}`},
		{"replaces lists whole", `{"a":[1,2]}`, `{"a":[3]}`, `{"a":[3]}`},
		{"replaces what is no object", `{"a":1}`, `{"a":{"x":1}}`, `{"a":{"x":1}}`},
	} {
		base, err := parse([]byte(c.base))
		if err != nil {
			t.Fatal(err)
		}
		patch, err := parse([]byte(c.patch))
		if err != nil {
			t.Fatal(err)
		}
		base.merge(patch)
		got, err := base.MarshalJSON()
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, want %s (%v)", c.name, got, c.want, err)
		}
	}
}

func TestOverlayMistakes(t *testing.T) {
	model := `{"metadata":{"protocol":"json","jsonVersion":"1.0"},"operations":{"A":{"name":"A","http":{}}},"shapes":{}}`
	for _, c := range []struct{ overlay, want string }{
		{`{"operation": ["A"]}`, "unknown setting"},
		{`{"operations": ["B"]}`, "unknown operation B"},
		{`{"patch": {"metadata": {"protocol": "ec2"}}}`, "no protocol"},
		{`{"patch": {"shapes": {"E": {"type":"structure","exception":true}}}, "errors": {"E": {"status":400}}}`, "in the model and in the overlay"},
	} {
		_, err := New("test", []byte(model), []byte(c.overlay))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.overlay, err, c.want)
		}
	}
}

func TestStrip(t *testing.T) {
	text, err := Strip([]byte(`{"version":"2.0","shapes":{"S":{"type":"structure","documentation":"d","members":{"documentation":{"shape":"T","documentation":"d"}}}}}`))
	if want := `{"shapes":{"S":{"type":"structure","members":{"documentation":{"shape":"T"}}}}}`; err != nil || string(text) != want {
		t.Errorf("%s, want %s (%v)", text, want, err)
	}
}
