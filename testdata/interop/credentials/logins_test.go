package credentials_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/helmpath"
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
			args := []string{"login", "--username", user, "--password-stdin", s.Host()}
			if file != "" {
				args = append([]string{"--config", filepath.Dir(file)}, args...)
			}
			program(t, password, "docker", args...)
		}},
		{"podman", storing("podman")},
		{"buildah", storing("buildah")},
		{"skopeo", storing("skopeo")},
		{"helm", func(t *testing.T, s *acrtest.Server, file, user, password string) {
			t.Helper()
			program(t, password, "helm", option("--registry-config", file, "registry", "login", "--username", user, "--password-stdin", s.Host())...)
		}},
		{"oras", func(t *testing.T, s *acrtest.Server, file, user, password string) {
			t.Helper()
			program(t, password, "oras", option("--registry-config", file, "login", "--username", user, "--password-stdin", s.Host())...)
		}},
		{"helm, as a library", helmLogin},
		{"oras-go", orasLogin},
	} {
		for kind, given := range map[string][2]string{
			"a password": {user, password}, "a refresh token": {token.Username, token.Password()}, "a password, in its usual place": {user, password},
		} {
			t.Run(tool.name+" with "+kind, func(t *testing.T) {
				opts := &credentials.Options{Client: &acr.ClientOptions{ClientOptions: s.ClientOptions(), AllowedHosts: []string{s.Host()}}}
				file := ""
				if strings.HasSuffix(kind, "usual place") {
					newHome(t)
				} else {
					file = filepath.Join(t.TempDir(), "config.json")
					opts.Files = []string{file}
				}
				tool.login(t, s, file, given[0], given[1])
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
		program(t, password, name, option("--authfile", file, "login", "--cert-dir", filepath.Dir(os.Getenv("SSL_CERT_FILE")), "--username", user, "--password-stdin", s.Host())...)
	}
}

// option adds an option with a file, unless that is to be in its usual place.
func option(name, file string, args ...string) []string {
	if file == "" {
		return args
	}
	return slices.Insert(args, len(args)-1, name, file) // before the registry: buildah takes none behind it
}

// newHome gives the programs a home directory of their own.
func newHome(t *testing.T) {
	t.Helper()
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME", "HELM_REGISTRY_CONFIG", "HELM_CONFIG_HOME"} {
		t.Setenv(name, "")
		_ = os.Unsetenv(name) // docker takes an empty DOCKER_CONFIG for the working directory
	}
	t.Setenv("HOME", home)
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(home, "run"))
}

func helmLogin(t *testing.T, s *acrtest.Server, file, user, password string) {
	t.Helper()
	if file == "" {
		file = helmpath.ConfigPath("registry/config.json") // the default of the program
	}
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
	options := orascredentials.StoreOptions{AllowPlaintextPut: true}
	store, err := orascredentials.NewStore(file, options)
	if file == "" {
		store, err = orascredentials.NewStoreFromDocker(options)
	}
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
