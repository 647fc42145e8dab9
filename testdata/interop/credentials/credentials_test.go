// Package credentials_test runs the docker credential helper as the clients of others run it: as a program on the PATH that signs in
// with azidentity's environment credential.
package credentials_test

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker-credential-helpers/client"
	helpers "github.com/docker/docker-credential-helpers/credentials"
	"go.uber.org/goleak"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/acrkit/acrkit/facade/acrtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// install builds the helper and puts it on the PATH, in the environment of a service principal of the registry.
func install(t *testing.T, s *acrtest.Server) {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "docker-credential-acrkit"), "github.com/acrkit/acrkit/facade/cmd/docker-credential-acrkit")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, s.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	tenant, id, secret := s.ServicePrincipal()
	for key, value := range map[string]string{
		"PATH":                    dir + string(os.PathListSeparator) + os.Getenv("PATH"),
		"ACRKIT_ALLOWED_HOSTS":    s.Host(),
		"ACRKIT_CA_FILE":          ca,
		"AZURE_AUTHORITY_HOST":    s.Authority() + "/",
		"AZURE_TENANT_ID":         tenant,
		"AZURE_CLIENT_ID":         id,
		"AZURE_CLIENT_SECRET":     secret,
		"AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
	} {
		t.Setenv(key, value)
	}
}

// TestHelper is one test, for all of it runs in one environment.
func TestHelper(t *testing.T) {
	s := acrtest.New(t, acrtest.WithoutAnonymousPull())
	s.SeedImage(t, "library/hello:v1")
	install(t, s)
	ctx := t.Context()

	t.Run("docker", func(t *testing.T) {
		program := client.NewShellProgramFunc("docker-credential-acrkit")
		for _, server := range []string{s.Host(), s.Endpoint()} {
			got, err := client.Get(program, server)
			if err != nil {
				t.Fatal(err)
			}
			if got.ServerURL != server || got.Username != "00000000-0000-0000-0000-000000000000" || got.Secret == "" {
				t.Errorf("%s: %q, %q", server, got.ServerURL, got.Username)
			}
		}
		if _, err := client.Get(program, "https://index.docker.io/v1/"); !helpers.IsErrCredentialsNotFound(err) {
			t.Errorf("of another registry: %v", err)
		}
		if _, err := client.Get(program, ""); err == nil || !strings.Contains(err.Error(), "no credentials server URL") {
			t.Errorf("of no registry: %v", err)
		}
		if all, err := client.List(program); err != nil || len(all) != 1 || all[s.Host()] == "" {
			t.Errorf("list: %v, %v", all, err)
		}
		if err := client.Store(program, &helpers.Credentials{ServerURL: s.Host(), Username: "u", Secret: "s"}); err == nil || !strings.Contains(err.Error(), "store is not supported") {
			t.Errorf("store: %v", err)
		}
		if err := client.Erase(program, s.Host()); err == nil || !strings.Contains(err.Error(), "erase is not supported") {
			t.Errorf("erase: %v", err)
		}
	})

	t.Run("oras-go", func(t *testing.T) {
		store := credentials.NewNativeStore("acrkit")
		repository, err := remote.NewRepository(s.Host() + "/library/hello")
		if err != nil {
			t.Fatal(err)
		}
		repository.Client = &auth.Client{
			Client:               s.HTTPClient(),
			Cache:                auth.NewCache(),
			Credential:           func(ctx context.Context, host string) (auth.Credential, error) { return store.Get(ctx, host) },
			BlockedRealmPrefixes: []netip.Prefix{}, // the emulator is on a loopback address
		}
		if _, err := repository.Resolve(ctx, "v1"); err != nil {
			t.Error(err)
		}
		if got, err := store.Get(ctx, "ghcr.io"); err != nil || got != auth.EmptyCredential {
			t.Errorf("of another registry: %v", err)
		}
	})

	t.Run("a docker configuration", func(t *testing.T) {
		config := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(config, []byte(`{"credHelpers":{"`+s.Host()+`":"acrkit"}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		store, err := credentials.NewStore(config, credentials.StoreOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := credentials.Credential(store)(ctx, s.Host())
		if err != nil || got.Username == "" || got.Password == "" {
			t.Errorf("%q, %v", got.Username, err)
		}
	})

	t.Run("a wrong secret", func(t *testing.T) {
		t.Setenv("AZURE_CLIENT_SECRET", "wrong-secret-wrong-secret")
		_, err := client.Get(client.NewShellProgramFunc("docker-credential-acrkit"), s.Host())
		if err == nil || helpers.IsErrCredentialsNotFound(err) || !strings.Contains(err.Error(), "AADSTS7000215") || strings.Contains(err.Error(), "wrong-secret") {
			t.Errorf("got %v", err)
		}
	})
}
