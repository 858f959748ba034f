package engine

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// A body fails to be read once it is closed.
type body struct {
	io.Reader
	closed bool
}

func (b *body) Read(p []byte) (int, error) {
	if b.closed {
		return 0, os.ErrClosed
	}
	return b.Reader.Read(p)
}

func (b *body) Close() error {
	b.closed = true
	return nil
}

// A trip is what becomes of a request.
type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestRequestKeepsBody closes the body of a request while it is under way, as the SDK does when
// the answer begins.
func TestRequestKeepsBody(t *testing.T) {
	original := &body{Reader: strings.NewReader("text")}
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://localhost/", original)
	if err != nil {
		t.Fatal(err)
	}
	var sent []byte
	answer, err := ownBody{trip(func(r *http.Request) (*http.Response, error) {
		if err := original.Close(); err != nil {
			return nil, err
		}
		sent, err = io.ReadAll(r.Body)
		return &http.Response{StatusCode: 200}, err
	})}.RoundTrip(r)
	if err != nil || answer.StatusCode != 200 || string(sent) != "text" {
		t.Errorf("%q was sent, %v", sent, err)
	}
	source, err := RemoteQueue(t.Context(), "http://localhost/", "arn:aws:sqs:us-east-1:000000000000:q")
	if err != nil {
		t.Fatal(err)
	}
	if client := source.(*remoteQueue).client.Options().HTTPClient; client != remoteClient {
		t.Errorf("the queue is called by %v", client)
	}
}

// TestRemoteGroups keeps the order of groups for FIFO queues only: those of others are for
// fairness.
func TestRemoteGroups(t *testing.T) {
	x := &types.Message{Attributes: map[string]string{"MessageGroupId": "g"}}
	for arn, want := range map[string]string{"arn:aws:sqs:us-east-1:000000000000:q": "", "arn:aws:sqs:us-east-1:000000000000:q.fifo": "g"} {
		if got := (&remoteQueue{arn: arn}).message(x, time.Second); got.Group != want || got.system("MessageGroupId") != "g" {
			t.Errorf("%s: %+v", arn, got)
		}
	}
}
