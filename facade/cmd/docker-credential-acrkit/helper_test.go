package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/cmd/internal/azure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type credentialFunc func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error)

func (f credentialFunc) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return f(ctx, o)
}

// newHelper knows the emulator, and signs in there as cred.
func newHelper(t *testing.T, srv *acrtest.Server, cred azcore.TokenCredential) helper {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, srv.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{azure.EnvAllowedHosts: srv.Host() + ", registry.example.com", azure.EnvCAFile: ca}
	return helper{
		getenv:     func(key string) string { return env[key] },
		credential: func(*acr.ClientOptions, func(string) string) (azcore.TokenCredential, error) { return cred, nil },
	}
}

func (h helper) say(t *testing.T, input string, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	code := h.run(t.Context(), args, strings.NewReader(input), &out)
	if strings.Count(out.String(), "\n") != 1 {
		t.Errorf("%q is not one line", out.String())
	}
	return strings.TrimSpace(out.String()), code
}

func TestGet(t *testing.T) {
	t.Parallel()
	srv := acrtest.New(t, acrtest.WithoutAnonymousPull())
	srv.SeedImage(t, "samples/app:v1")
	h := newHelper(t, srv, srv.Credential())
	for _, server := range []string{srv.Host(), srv.Endpoint(), srv.Endpoint() + "/v2/", srv.Host() + "/samples/app", srv.Host() + "\n"} {
		out, code := h.say(t, server, "get")
		var got credentials
		if err := json.Unmarshal([]byte(out), &got); code != 0 || err != nil {
			t.Fatalf("%q: %d, %v: %s", server, code, err, out)
		}
		if got.ServerURL != strings.TrimSpace(server) || got.Username != tokenUser || got.Secret == "" {
			t.Errorf("%q: %q, %q", server, got.ServerURL, got.Username)
		}
		// What it gives is good for signing in.
		c, err := acr.NewClientWithPassword(srv.Endpoint(), got.Username, got.Secret, &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Repository("samples/app").GetManifest(t.Context(), "v1"); err != nil {
			t.Errorf("%q: %v", server, err)
		}
		c.CloseIdleConnections()
	}
}

// Whatever is not a registry that the credential may go to is not known, in the words that callers act upon, and no token is asked for.
func TestGetUnknown(t *testing.T) {
	t.Parallel()
	srv := acrtest.New(t)
	h := newHelper(t, srv, credentialFunc(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
		t.Error("a token was asked for")
		return azcore.AccessToken{}, errors.New("no")
	}))
	for _, server := range []string{
		"https://index.docker.io/v1/", "ghcr.io", "localhost:5000", "http://" + srv.Host(), "http://myregistry.azurecr.io", "https://user:password@" + srv.Host(),
		"https://myregistry.azurecr.io.example.com", "https://myregistry.azurecr.io@example.com", "https://myregistry.azurecr.io:8443", "azurecr.io", "127.0.0.1", "https://",
		"ftp://myregistry.azurecr.io", "a\x00b.azurecr.io", "my registry.azurecr.io", "https://myregistry.azurecr.io\nhttps://other.azurecr.io", strings.Repeat("a", 100_000),
	} {
		if out, code := h.say(t, server, "get"); code != 1 || out != "credentials not found in native keychain" {
			t.Errorf("%.80q: %d, %q", server, code, out)
		}
	}
	if out, code := h.say(t, " \n", "get"); code != 1 || out != "no credentials server URL" {
		t.Errorf("%d, %q", code, out)
	}
	srv.Ledger().AtMost(t, 0)
}

func TestGetFails(t *testing.T) {
	t.Parallel()
	srv := acrtest.New(t, acrtest.WithEntraActions())
	failing := credentialFunc(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
		return azcore.AccessToken{}, errors.New("DefaultAzureCredential: failed to acquire a token.\nAttempted credentials:\n\tAzureCLICredential: not signed in")
	})
	for _, tt := range []struct {
		name   string
		change func(*helper)
		cred   azcore.TokenCredential
		want   string
	}{
		{"no role", nil, srv.Credential(), "no role"},
		{"not signed in", nil, failing, "AzureCLICredential: not signed in"},
		{"no credential", func(h *helper) {
			h.credential = func(*acr.ClientOptions, func(string) string) (azcore.TokenCredential, error) {
				return nil, errors.New("AZURE_TOKEN_CREDENTIALS is not set")
			}
		}, nil, "AZURE_TOKEN_CREDENTIALS"},
		{"no CA file", func(h *helper) {
			known := h.getenv
			h.getenv = func(key string) string {
				if key == azure.EnvCAFile {
					return filepath.Join(t.TempDir(), "missing.pem")
				}
				return known(key)
			}
		}, srv.Credential(), azure.EnvCAFile},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHelper(t, srv, tt.cred)
			if tt.change != nil {
				tt.change(&h)
			}
			out, code := h.say(t, srv.Host(), "get")
			if code != 1 || !strings.HasPrefix(out, "docker-credential-acrkit: ") || !strings.Contains(out, tt.want) {
				t.Errorf("%d, %q", code, out)
			}
		})
	}
}

func TestOtherActions(t *testing.T) {
	t.Parallel()
	srv := acrtest.New(t)
	h := newHelper(t, srv, srv.Credential())
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"list"}, 0, `{"` + srv.Host() + `":"` + tokenUser + `","registry.example.com":"` + tokenUser + `"}`},
		{[]string{"version"}, 0, "docker-credential-acrkit (github.com/acrkit/acrkit) "},
		{[]string{"-version"}, 0, "docker-credential-acrkit (github.com/acrkit/acrkit) "},
		{[]string{"store"}, 1, "docker-credential-acrkit: store is not supported"},
		{[]string{"erase"}, 1, "docker-credential-acrkit: erase is not supported"},
		{[]string{"steal"}, 1, "docker-credential-acrkit: unknown action"},
		{nil, 1, "usage: "},
		{[]string{"get", "more"}, 1, "usage: "},
	} {
		if out, code := h.say(t, `{"ServerURL":"x","Username":"u","Secret":"s"}`, tt.args...); code != tt.code || !strings.HasPrefix(out, tt.want) {
			t.Errorf("%q: %d, %q", tt.args, code, out)
		}
	}
	srv.Ledger().AtMost(t, 0)
	if code := h.run(t.Context(), []string{"list"}, strings.NewReader(""), brokenPipe{}); code != 1 {
		t.Error("an answer that could not be written is no success")
	}
}

func TestHelpNamesTheEnvironment(t *testing.T) {
	t.Parallel()
	for _, arg := range []string{"help", "-h", "-help", "--help"} {
		var out strings.Builder
		code := helper{}.run(t.Context(), []string{arg}, strings.NewReader(""), &out)
		if code != 0 || !strings.HasPrefix(out.String(), "usage: ") || !strings.Contains(out.String(), azure.EnvAllowedHosts) || !strings.Contains(out.String(), azure.EnvCAFile) {
			t.Errorf("%s: status %d, %q", arg, code, out.String())
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// The time limit includes the input: a caller that neither writes nor closes its end is not waited for.
func TestSilentInput(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("no input in time"))
	defer cancel()
	in, stop := io.Pipe()
	defer func() { _ = stop.Close() }()
	var out strings.Builder
	if code := (helper{}).run(ctx, []string{"get"}, in, &out); code != 1 || !strings.Contains(out.String(), "no input in time") {
		t.Errorf("%d %q", code, out.String())
	}
}
