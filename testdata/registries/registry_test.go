// Package registries_test runs the library's /v2 side against registries that no one here wrote, as a second opinion on the
// emulator: distribution v3, and the older docker-registry of Debian where it is installed.
package registries_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dialer makes a client of its own for each call, all of one registry. A wrap, where given, comes between the client and the line.
type dialer func(t *testing.T, wrap func(policy.Transporter) policy.Transporter) *acr.Client

// startEmulator is the baseline: what passes elsewhere must pass here.
func startEmulator(t *testing.T) dialer {
	t.Helper()
	s := acrtest.New(t)
	user, password := s.Admin()
	return dial(s.Endpoint(), s.HTTPClient(), user, password)
}

// buildDistribution builds the registry that this module's go.mod pins, once.
var buildDistribution = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "acrkit-registry-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "registry")
	out, err := exec.Command("go", "build", "-o", program, "github.com/distribution/distribution/v3/cmd/registry").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build distribution: %w\n%s", err, out)
	}
	return program, nil
})

func startDistribution(t *testing.T) dialer {
	t.Helper()
	program, err := buildDistribution()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(program)) })
	return serve(t, program)
}

func startDebian(t *testing.T) dialer {
	t.Helper()
	program := os.Getenv("DOCKER_REGISTRY")
	if program == "" {
		var err error
		if program, err = exec.LookPath("docker-registry"); err != nil {
			t.Skip("docker-registry is not installed, and DOCKER_REGISTRY does not name it (make test-registries fetches it on Debian)")
		}
	}
	return serve(t, program)
}

// config is that of a registry which stores files, deletes, serves blobs itself and asks for no credential.
const config = `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %q}
  delete: {enabled: true}
  redirect: {disable: true}
http: {addr: %q, secret: "a secret of this test", relativeurls: true}
validation: {disabled: true}
`

// serve runs a distribution program on a port of its own.
func serve(t *testing.T, program string) dialer {
	t.Helper()
	dir := t.TempDir()
	address := freeAddress(t)
	name := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(name, fmt.Appendf(nil, config, filepath.Join(dir, "data"), address), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	registry := exec.CommandContext(ctx, program, "serve", name)
	registry.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	var log bytes.Buffer
	registry.Stderr = &log
	if err := registry.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = registry.Wait()
		if t.Failed() {
			t.Logf("%s said last:\n%s", program, log.Bytes()[max(0, log.Len()-4000):])
		}
	})
	await(t, address)
	return front(t, address)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// await returns once somebody listens at the address.
func await(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			_ = conn.Close()
			tick.Stop()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the registry does not listen: %v", err)
		}
	}
}

// front puts TLS and ACR's token endpoint before a registry that has neither.
func front(t *testing.T, address string) dialer {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: address})
			r.Out.Header.Del("Authorization")
		},
	}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth2/token" {
			_ = json.NewEncoder(w).Encode(map[string]string{"access_token": "anything"})
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { s.Close(); transport.CloseIdleConnections() })
	return dial(s.URL, s.Client(), "anyone", "anything")
}

func dial(endpoint string, client *http.Client, user, password string) dialer {
	return func(t *testing.T, wrap func(policy.Transporter) policy.Transporter) *acr.Client {
		t.Helper()
		transport := policy.Transporter(client)
		if wrap != nil {
			unredirected := *client
			unredirected.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			transport = wrap(&unredirected)
		}
		u, err := url.Parse(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		c, err := acr.NewClientWithPassword(endpoint, user, password, &acr.ClientOptions{
			ClientOptions: azcore.ClientOptions{Transport: transport},
			AllowedHosts:  []string{u.Host},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.CloseIdleConnections)
		return c
	}
}
