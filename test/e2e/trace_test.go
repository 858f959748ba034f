//go:build e2e

package e2e

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

//go:embed testdata/segments.py
var segmentsProgram []byte

// TestDaemonEverywhere has a function in each kind of network reach X-Ray's daemon, and weir.
func TestDaemonEverywhere(t *testing.T) {
	t.Parallel()
	python.on(t)
	for _, flags := range []string{"-sandbox process", "-sandbox auto -egress none", "-sandbox auto -egress host"} {
		t.Run(flags, func(t *testing.T) {
			t.Parallel()
			s := start(t, strings.Fields(flags)...)
			a := newAccount(s.url)
			a.create(t, function{name: "f", language: python, code: zipped(t, map[string][]byte{"app.py": segmentsProgram})})
			if _, err := a.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
				FunctionName: aws.String("f"), TracingConfig: &types.TracingConfig{Mode: types.TracingModeActive},
			}); err != nil {
				t.Fatal(err)
			}
			a.active(t, "f")
			var got struct {
				Trace  string
				Health int
			}
			a.do(t, "f", struct{}{}, &got)
			if got.Health != http.StatusOK {
				t.Errorf("weir answers %d inside", got.Health)
			}
			eventually(t, patience, func() error { return a.hasSegment(t, s.url, got.Trace, "of my own") })
		})
	}
}

// hasSegment looks for a segment by its name.
func (a *account) hasSegment(t testing.TB, url, trace, name string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", url+"/Traces", bytes.NewBufferString(fmt.Sprintf(`{"TraceIds":[%q]}`, trace)))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+a.id+"/20260101/"+region+"/xray/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(name)) {
		return fmt.Errorf("the trace %s is %s: %s", trace, resp.Status, text)
	}
	return nil
}
