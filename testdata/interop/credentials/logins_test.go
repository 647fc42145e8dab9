package credentials_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	helm "helm.sh/helm/v3/pkg/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	orascredentials "oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/credentials"
)

// TestLogins signs in with the tools of the field, and a client with what they have stored: with a password, and with a refresh token as
// `az acr login` does. A program that is not installed is skipped. It is one test, because the programs run in one environment.
func TestLogins(t *testing.T) {
	s := acrtest.New(t, acrtest.WithoutAnonymousPull())
	s.SeedImage(t, "library/hello:v1")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, s.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", ca)
	user, password := s.Admin()
	azure, err := acr.NewClient(s.Endpoint(), s.Credential(), &acr.ClientOptions{ClientOptions: s.ClientOptions(), AllowedHosts: []string{s.Host()}})
	if err != nil {
		t.Fatal(err)
	}
	defer azure.CloseIdleConnections()
	token, err := azure.Login(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []struct {
		name  string
		login func(t *testing.T, s *acrtest.Server, file, user, password string)
	}{
		{"docker", func(t *testing.T, s *acrtest.Server, file, user, password string) {
			t.Helper()
			t.Setenv("DOCKER_HOST", "unix:///nowhere/docker.sock") // without a daemon the client signs in by itself
			program(t, password, "docker", "--config", filepath.Dir(file), "login", "--username", user, "--password-stdin", s.Host())
		}},
		{"podman", storing("podman")},
		{"buildah", storing("buildah")},
		{"skopeo", storing("skopeo")},
		{"helm", func(t *testing.T, s *acrtest.Server, file, user, password string) {
			t.Helper()
			program(t, password, "helm", "registry", "login", "--registry-config", file, "--username", user, "--password-stdin", s.Host())
		}},
		{"oras", func(t *testing.T, s *acrtest.Server, file, user, password string) {
			t.Helper()
			program(t, password, "oras", "login", "--registry-config", file, "--username", user, "--password-stdin", s.Host())
		}},
		{"helm, as a library", helmLogin},
		{"oras-go", orasLogin},
	} {
		for kind, given := range map[string][2]string{"a password": {user, password}, "a refresh token": {token.Username, token.Password()}} {
			t.Run(tool.name+" with "+kind, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "config.json")
				tool.login(t, s, file, given[0], given[1])
				opts := &credentials.Options{
					Files:  []string{file},
					Client: &acr.ClientOptions{ClientOptions: s.ClientOptions(), AllowedHosts: []string{s.Host()}},
				}
				found, err := credentials.Find(t.Context(), s.Endpoint(), opts)
				if err != nil || found.IsAnonymous() || found.Secret() != given[1] {
					t.Fatalf("%v, %v: not what was stored", found, err)
				}
				client, err := credentials.NewClient(t.Context(), s.Endpoint(), opts)
				if err != nil {
					t.Fatal(err)
				}
				defer client.CloseIdleConnections()
				if _, err := client.Repository("library/hello").HeadManifest(t.Context(), "v1"); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// program runs a program with a password on its standard input, or skips the test where it is not installed.
func program(t *testing.T, password, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = strings.NewReader(password)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// storing is the login of the programs that share podman's auth file.
func storing(name string) func(t *testing.T, s *acrtest.Server, file, user, password string) {
	return func(t *testing.T, s *acrtest.Server, file, user, password string) {
		t.Helper()
		program(t, password, name, "login", "--authfile", file, "--cert-dir", filepath.Dir(os.Getenv("SSL_CERT_FILE")), "--username", user, "--password-stdin", s.Host())
	}
}

func helmLogin(t *testing.T, s *acrtest.Server, file, user, password string) {
	t.Helper()
	client, err := helm.NewClient(helm.ClientOptCredentialsFile(file), helm.ClientOptHTTPClient(s.HTTPClient()), helm.ClientOptAuthorizer(auth.Client{
		Client: s.HTTPClient(), BlockedRealmPrefixes: []netip.Prefix{}, // the emulator is on a loopback address
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Login(s.Host(), helm.LoginOptBasicAuth(user, password)); err != nil {
		t.Fatal(err)
	}
}

func orasLogin(t *testing.T, s *acrtest.Server, file, user, password string) {
	t.Helper()
	store, err := orascredentials.NewStore(file, orascredentials.StoreOptions{AllowPlaintextPut: true})
	if err != nil {
		t.Fatal(err)
	}
	registry, err := remote.NewRegistry(s.Host())
	if err != nil {
		t.Fatal(err)
	}
	registry.Client = &auth.Client{Client: s.HTTPClient(), BlockedRealmPrefixes: []netip.Prefix{}}
	if err := orascredentials.Login(context.WithoutCancel(t.Context()), store, registry, auth.Credential{Username: user, Password: password}); err != nil {
		t.Fatal(fmt.Errorf("oras-go: %w", err))
	}
}
