package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// demoPython is the demo's function: it works for as long as the event says, or each message
// of its event, and returns when it began and ended. It also sends that to the queue REPORT, if
// there is one: nobody hears what a function returns to an event source mapping.
const demoPython = `import json, os, time, urllib.request

def handler(event, context):
    began = time.time()
    records = event.get("Records", [event])
    for r in records:
        time.sleep((json.loads(r["body"]) if "body" in r else r).get("ms", 0) / 1000)
    result = {"from": began, "to": time.time()}
    if "REPORT" in os.environ:
        message = {"QueueUrl": os.environ["REPORT"], "MessageBody": json.dumps(result)}
        urllib.request.urlopen(urllib.request.Request(
            os.environ["AWS_ENDPOINT_URL"], json.dumps(message).encode(),
            {"X-Amz-Target": "AmazonSQS.SendMessage", "Content-Type": "application/x-amz-json-1.0"}))
    return result
`

// demoVariable tells a weir that it is the demo's function, where there is no Python.
const demoVariable = "WEIR_DEMO_FUNCTION"

// demoCode returns the deployment package of the demo's function for a runtime, and its
// variables.
func demoCode(runtime string) ([]byte, map[string]string, error) {
	if strings.HasPrefix(runtime, "python") {
		code, err := zipped("demo.py", strings.NewReader(demoPython))
		return code, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	f, err := os.Open(self)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	code, err := zipped("bootstrap", f)
	return code, map[string]string{demoVariable: "1"}, err
}

// zipped returns a zip of one executable file.
func zipped(name string, r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	h := &zip.FileHeader{Name: name, Method: zip.Deflate}
	h.SetMode(0o755)
	w, err := z.CreateHeader(h)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(w, r); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// demoFunction is the function in Go: a runtime and its handler in one.
func demoFunction() error {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		next, err := http.Get(api + "next")
		if err != nil {
			return err
		}
		var event struct {
			MS      int
			Records []struct{ Body string }
		}
		err = json.NewDecoder(next.Body).Decode(&event)
		next.Body.Close()
		if err != nil {
			return err
		}
		began := time.Now()
		time.Sleep(time.Duration(event.MS) * time.Millisecond)
		for _, r := range event.Records {
			if err := json.Unmarshal([]byte(r.Body), &event); err != nil {
				return err
			}
			time.Sleep(time.Duration(event.MS) * time.Millisecond)
		}
		result := fmt.Sprintf(`{"from": %f, "to": %f}`, seconds(began), seconds(time.Now()))
		if err := demoReport(result); err != nil {
			return err
		}
		done, err := http.Post(api+next.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json", strings.NewReader(result))
		if err != nil {
			return err
		}
		done.Body.Close()
	}
}

// demoReport sends a result to the queue REPORT, if there is one.
func demoReport(result string) error {
	queue := os.Getenv("REPORT")
	if queue == "" {
		return nil
	}
	body, err := json.Marshal(map[string]string{"QueueUrl": queue, "MessageBody": result})
	if err != nil {
		return err
	}
	req, err := http.NewRequest("POST", os.Getenv("AWS_ENDPOINT_URL"), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-Amz-Target", "AmazonSQS.SendMessage")
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
