//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// browser returns a Chromium and the directory with the modules that drive it.
func browser(t testing.TB) (program, modules string) {
	t.Helper()
	program = os.Getenv("WEIR_E2E_BROWSER")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); program == "" && err == nil {
			program = found
		}
	}
	need(t, program != "", "there is no Chromium (.ci/clients installs Debian's)")
	modules = from("WEIR_E2E_JS", filepath.Join(cache(), "js"))
	for _, name := range []string{"playwright-core", "axe-core"} {
		_, err := os.Stat(filepath.Join(modules, "node_modules", name))
		need(t, err == nil, "%s is not there (.ci/clients installs it): %v", name, err)
	}
	return program, modules
}

// shots is where the browser's pictures go: with WEIR_E2E_SHOTS, the documentation's directory.
func shots(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("WEIR_E2E_SHOTS"); dir != "" {
		dir, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	return t.TempDir()
}

// maxShot is how large a picture may be, in bytes.
const maxShot = 200 << 10

// TestDashboard starves a function and looks whether the dashboard tells: which function did it,
// when, and what limit to change. The account has 132: 8 reserved for payments, 4 provisioned for
// search, 120 unreserved.
func TestDashboard(t *testing.T) {
	program, modules := browser(t)
	s := start(t, "-sandbox", "process", "-account-concurrency", "132", "-log-level", "error")
	a := newAccount(s.url)
	crisis(t, s, a)
	dir := shots(t)
	ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
	defer cancel()
	c := command(ctx, s.url, a.id, "node", clientFile(t, "dashboard.cjs"))
	c.Env = append(c.Env, "MODULES="+modules, "BROWSER="+program, "SHOTS="+dir, "ACCOUNT="+a.id)
	out := runClient(t, c)
	for _, want := range []string{"refused:", "stopped: batch", "released: batch", "accessible"} {
		if !strings.Contains(out.out, want) {
			t.Errorf("the browser did not get to %q:\n%v", want, out)
		}
	}
	for _, name := range []string{"dashboard-1280", "dashboard-400", "function-1280", "function-400"} {
		info, err := os.Stat(filepath.Join(dir, name+".png"))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() < 10_000 || info.Size() > maxShot {
			t.Errorf("%s has %d bytes", name, info.Size())
		}
	}
}

// crisis makes batch take all unreserved concurrency for as long as the test lasts, and calls
// checkout all the time, in vain.
func crisis(t testing.TB, s *server, a *account) {
	t.Helper()
	code := program(t, "light")
	for _, name := range []string{"batch", "checkout", "payments", "search"} {
		a.create(t, function{name: name, language: golang, code: code, timeout: 120})
	}
	reserve := &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("payments"), ReservedConcurrentExecutions: aws.Int32(8)}
	if _, err := a.PutFunctionConcurrency(t.Context(), reserve); err != nil {
		t.Fatal(err)
	}
	if _, err := a.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: aws.String("search")}); err != nil {
		t.Fatal(err)
	}
	provision := &lambda.PutProvisionedConcurrencyConfigInput{FunctionName: aws.String("search"), Qualifier: aws.String("1"), ProvisionedConcurrentExecutions: aws.Int32(4)}
	if _, err := a.PutProvisionedConcurrencyConfig(t.Context(), provision); err != nil {
		t.Fatal(err)
	}
	a.ready(t, "search", "1", 4)
	ctx, cancel := context.WithCancel(context.Background())
	var calls sync.WaitGroup
	t.Cleanup(func() { cancel(); calls.Wait() })
	busy := func(name string) {
		for ctx.Err() == nil {
			// It is refused while batch is stopped, and cut off when the test ends.
			if _, err := a.call(ctx, name, map[string]int{"ms": 5_000}, nil); err != nil {
				select {
				case <-time.After(100 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		}
	}
	calls.Go(func() { busy("payments") })
	for range 120 {
		calls.Go(func() { busy("batch") })
	}
	eventually(t, time.Minute, func() error {
		if n, err := running(s, a, "batch"); err != nil || n != 120 {
			return fmt.Errorf("%d of batch run: %w", n, err)
		}
		return nil
	})
	calls.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			_, _ = a.call(ctx, "checkout", struct{}{}, nil)
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
}

// running asks the server how many invocations of a function run.
func running(s *server, a *account, name string) (int, error) {
	resp, err := http.Get(s.url + "/_weir/state")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var state struct {
		Views []struct {
			Scope     struct{ Account string }
			Functions []struct {
				Name        string
				Concurrency int
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&state); err != nil {
		return 0, err
	}
	for _, v := range state.Views {
		for _, f := range v.Functions {
			if v.Scope.Account == a.id && f.Name == name {
				return f.Concurrency, nil
			}
		}
	}
	return 0, fmt.Errorf("%s is not there", name)
}

// TestDashboardSignIn looks at what a server that checks signatures shows to whom.
func TestDashboardSignIn(t *testing.T) {
	t.Parallel()
	s := start(t, "-auth", "sigv4", "-credentials", writeKeys(t, keys))
	jar := map[string]string{}
	do := func(method, path, key, secret, form string) (int, string, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		if form != "" {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if key != "" {
			req.SetBasicAuth(key, secret)
		}
		for name, value := range jar {
			req.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for _, c := range resp.Cookies() {
			jar[c.Name] = c.Value
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Header.Get("Location"), string(body)
	}
	const own, foreign = "/_weir/a/111122223333/us-east-1", "/_weir/a/000000000000/us-east-1"
	for _, path := range []string{"/_weir/state", "/metrics", own + "/history"} {
		if status, _, _ := do("GET", path, "", "", ""); status != http.StatusUnauthorized {
			t.Errorf("%s without a key: %d", path, status)
		}
		if status, _, _ := do("GET", path, "111122223333", "open-sesame", ""); status != http.StatusUnauthorized {
			t.Errorf("%s with a wrong secret: %d", path, status)
		}
		if status, _, _ := do("GET", path, "111122223333", "another", ""); status != http.StatusOK {
			t.Errorf("%s with a key: %d", path, status)
		}
	}
	if status, to, _ := do("GET", own, "", "", ""); status != http.StatusSeeOther || !strings.HasPrefix(to, "/_weir/login?to=") {
		t.Errorf("a page: %d to %s", status, to)
	}
	form := func(secret string) string {
		return url.Values{"key": {"111122223333"}, "secret": {secret}, "to": {own}}.Encode()
	}
	if status, _, _ := do("POST", "/_weir/login", "", "", form("wrong")); status != http.StatusForbidden || len(jar) != 0 {
		t.Errorf("a wrong secret: %d, cookies %v", status, jar)
	}
	if status, to, _ := do("POST", "/_weir/login", "", "", form("another")); status != http.StatusSeeOther || to != own || len(jar) != 1 {
		t.Errorf("signing in: %d to %s, cookies %v", status, to, jar)
	}
	if status, _, body := do("GET", own, "", "", ""); status != http.StatusOK || !strings.Contains(body, "Concurrency of 111122223333") {
		t.Errorf("the page: %d %s", status, body)
	}
	if status, _, _ := do("GET", foreign, "", "", ""); status != http.StatusNotFound {
		t.Errorf("another account's page: %d", status)
	}
}
