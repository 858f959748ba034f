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

// demoPython is the demo's function: it works for as long as the event says and returns when
// it began and ended.
const demoPython = `import time

def handler(event, context):
    began = time.time()
    time.sleep(event.get("ms", 0) / 1000)
    return {"from": began, "to": time.time()}
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
		var event struct{ MS int }
		err = json.NewDecoder(next.Body).Decode(&event)
		next.Body.Close()
		if err != nil {
			return err
		}
		began := time.Now()
		time.Sleep(time.Duration(event.MS) * time.Millisecond)
		result := fmt.Sprintf(`{"from": %f, "to": %f}`, seconds(began), seconds(time.Now()))
		done, err := http.Post(api+next.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json", strings.NewReader(result))
		if err != nil {
			return err
		}
		done.Body.Close()
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
