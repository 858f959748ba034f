package engine

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/weir-run/weir/delivery"
)

// sqsRecord is a message as a function sees it. The order of its members is AWS's.
type sqsRecord struct {
	MessageID         string                  `json:"messageId"`
	ReceiptHandle     string                  `json:"receiptHandle"`
	Body              string                  `json:"body"`
	Attributes        map[string]string       `json:"attributes"`
	MessageAttributes map[string]sqsAttribute `json:"messageAttributes"`
	MD5OfAttributes   json.RawMessage         `json:"md5OfMessageAttributes,omitempty"`
	MD5OfBody         string                  `json:"md5OfBody"`
	EventSource       string                  `json:"eventSource"`
	EventSourceARN    string                  `json:"eventSourceARN"`
	Region            string                  `json:"awsRegion"`
}

type sqsAttribute struct {
	StringValue      string   `json:"stringValue,omitempty"`
	BinaryValue      []byte   `json:"binaryValue,omitempty"`
	StringListValues []string `json:"stringListValues"`
	BinaryListValues [][]byte `json:"binaryListValues"`
	DataType         string   `json:"dataType"`
}

// newRecordOf makes the record of a message. Without attributes their digest is null if the
// mapping has a batching window, and else missing, as recorded on AWS.
func newRecordOf(m *SourceMessage, source, region string, hasWindow bool) ([]byte, error) {
	r := sqsRecord{
		MessageID: m.ID, ReceiptHandle: m.Receipt, Body: string(m.Body), MD5OfBody: m.MD5,
		Attributes: make(map[string]string), MessageAttributes: make(map[string]sqsAttribute),
		EventSource: "aws:sqs", EventSourceARN: source, Region: region,
	}
	for _, a := range m.System {
		r.Attributes[a.Name] = a.Value
	}
	for name, a := range m.Attributes {
		r.MessageAttributes[name] = sqsAttribute{
			StringValue: a.Text, BinaryValue: a.Binary, StringListValues: []string{}, BinaryListValues: [][]byte{}, DataType: a.Type,
		}
	}
	switch {
	case m.MD5OfAttributes != "":
		r.MD5OfAttributes = json.RawMessage(`"` + m.MD5OfAttributes + `"`)
	case hasWindow:
		r.MD5OfAttributes = json.RawMessage("null")
	}
	return compactJSON(&r)
}

// compactJSON is v as JSON, without the escapes that are for HTML only.
func compactJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// batchEvent is the event of a batch: its records.
func batchEvent(records [][]byte) []byte {
	return slices.Concat([]byte(`{"Records":[`), bytes.Join(records, []byte(",")), []byte("]}"))
}

// batchResult reads the answer of a function that reports which messages of a batch failed.
// An answer that is not understood fails the whole batch (AWS: "Implementing partial batch
// responses").
func batchResult(answer []byte, ids map[string]delivery.MessageID) ([]delivery.MessageID, delivery.Result) {
	switch strings.TrimSpace(string(answer)) {
	case "", "null", `""`, "[]":
		return nil, delivery.Succeeded
	}
	var r struct {
		Failures []map[string]json.RawMessage `json:"batchItemFailures"`
	}
	if json.Unmarshal(answer, &r) != nil {
		return nil, delivery.FunctionFailed
	}
	var failed []delivery.MessageID
	for _, f := range r.Failures {
		var name string
		if json.Unmarshal(f["itemIdentifier"], &name) != nil {
			return nil, delivery.FunctionFailed
		}
		id, ok := ids[name]
		if !ok {
			return nil, delivery.FunctionFailed
		}
		failed = append(failed, id)
	}
	return failed, delivery.Succeeded
}
