//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// messaging is what every client must see of each operation on queues, topics, event source
// mappings and asynchronous invocation: testdata/clients has it in their languages, and
// messagingGo is the one in Go.
const messaging = `
queues work dead
url is the same
listed 2
visibility 45
source work
tag blue
tag None
policy "Sid":"all"
sent f97c5d29941bfb1b2fdab0874906ab82 20ca9041878c8c65d5a4bf6eaf446c21
sent 2
received 3
visible 2
received 3
deleted 2
moved 1
tasks 1
cancel: ResourceNotFoundException
purged 0
topic orders, listed 1
name Orders
raw true
subscriptions 1 1
confirm: InvalidParameter
published 1
published 2
arrived 3
tags 1
tags 0
policy "Sid":"all"
subscriptions 0
topics 0
retries 1
age 120
both 1 120
configurations 1
configuration: ResourceNotFoundException
event 202
mapping Creating Enabled
drained 0
mappings 1
updated Updating 5 Enabled
deleted Deleting
mapping: ResourceNotFoundException
gone: AWS.SimpleQueueService.NonExistentQueue
`

// moving are the lines of operations that clients older than 2023 do not have.
const moving = `moved 1
tasks 1
cancel: ResourceNotFoundException
`

// runMessaging runs a client and compares what it prints.
func runMessaging(t *testing.T, a *tenant, c *exec.Cmd, want string) {
	t.Helper()
	c.Dir = t.TempDir()
	c.Env = append(c.Env, "ACCOUNT="+a.id)
	began := time.Now()
	out := runClient(t, c)
	if strings.TrimSpace(out.out) != strings.TrimSpace(want) {
		t.Errorf("got\n%v\nwant\n%s", out, want)
	}
	t.Logf("took %.1f s", time.Since(began).Seconds())
}

// newMessaging returns a tenant with the function that the clients expect.
func newMessaging(t *testing.T) *tenant {
	t.Helper()
	a := newTenant(shared(t).url)
	a.create(t, function{name: "worker", language: golang, code: program(t, "light")})
	return a
}

func TestMessagingCLI(t *testing.T) {
	for i, k := range kits {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			a := newMessaging(t)
			script, err := os.ReadFile(clientFile(t, "messaging.sh"))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
			defer cancel()
			c, want := k.shell(t, ctx, shared(t).url, a.id, string(script)), messaging
			if i == 0 {
				c.Env, want = append(c.Env, "OLD=1"), strings.Replace(messaging, moving, "", 1)
			}
			runMessaging(t, a, c, want)
		})
	}
}

func TestMessagingBoto3(t *testing.T) {
	t.Parallel()
	a := newMessaging(t)
	ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
	defer cancel()
	runMessaging(t, a, kits[1].python(t, ctx, shared(t).url, a.id, clientFile(t, "messaging.py")), messaging)
}
