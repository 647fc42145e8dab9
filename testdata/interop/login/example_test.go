// Package login_test shows how one client of acr signs in the clients of others, for as long as they run: each asks for the
// login when it needs a token, and gets one that has not expired. Copy the adapters from here.
package login_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/regclient/regclient"
	"github.com/regclient/regclient/config"
	"github.com/regclient/regclient/types/ref"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

// registry starts an emulator with one image. With a real registry there is only acr.NewClient to call.
func registry() (*acrtest.Server, *acr.Client) {
	s, err := acrtest.Start(acrtest.WithoutAnonymousPull())
	if err != nil {
		log.Fatal(err)
	}
	s.SeedImage(nil, "library/hello:v1")
	client, err := acr.NewClient(s.Endpoint(), s.Credential(), &acr.ClientOptions{ClientOptions: s.ClientOptions(), AllowedHosts: []string{s.Host()}})
	if err != nil {
		log.Fatal(err)
	}
	return s, client
}

// orasCredential is the credential function of oras-go for the client's registry. Client.Login is cached, and renews the login before
// it expires.
func orasCredential(client *acr.Client, host string) auth.CredentialFunc {
	return func(ctx context.Context, asked string) (auth.Credential, error) {
		if asked != host {
			return auth.EmptyCredential, nil
		}
		login, err := client.Login(ctx)
		if err != nil {
			return auth.EmptyCredential, err
		}
		return auth.Credential{Username: login.Username, Password: login.Password()}, nil
	}
}

// Sign in oras-go with its credential function.
func Example_orasGo() {
	ctx := context.Background()
	server, client := registry()
	defer server.Close()

	repository, err := remote.NewRepository(server.Host() + "/library/hello")
	if err != nil {
		log.Fatal(err)
	}
	repository.Client = &auth.Client{
		Client:               server.HTTPClient(), // for a real registry: retry.DefaultClient
		Cache:                auth.NewCache(),
		Credential:           orasCredential(client, server.Host()),
		BlockedRealmPrefixes: []netip.Prefix{}, // the emulator is on a loopback address; leave it out for a real registry
	}
	descriptor, err := repository.Resolve(ctx, "v1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(descriptor.MediaType)
	// Output: application/vnd.oci.image.manifest.v1+json
}

// keychain is a keychain of go-containerregistry for the client's registry; images of others are pulled anonymously.
// Combine it with others by authn.NewMultiKeychain.
type keychain struct {
	client *acr.Client
	host   string
}

// Resolve implements authn.Keychain.
func (k keychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if r.RegistryStr() != k.host {
		return authn.Anonymous, nil
	}
	return authenticator(k), nil
}

// authenticator asks for the login whenever a token is needed.
type authenticator keychain

// Authorization implements authn.Authenticator.
func (a authenticator) Authorization() (*authn.AuthConfig, error) {
	return a.AuthorizationContext(context.Background())
}

// AuthorizationContext implements authn.ContextAuthenticator.
func (a authenticator) AuthorizationContext(ctx context.Context) (*authn.AuthConfig, error) {
	login, err := a.client.Login(ctx)
	if err != nil {
		return nil, err
	}
	return &authn.AuthConfig{Username: login.Username, Password: login.Password()}, nil
}

// Sign in go-containerregistry with a keychain.
func Example_goContainerRegistry() {
	ctx := context.Background()
	server, client := registry()
	defer server.Close()

	tag, err := name.NewTag(server.Host() + "/library/hello:v1")
	if err != nil {
		log.Fatal(err)
	}
	descriptor, err := ggcr.Head(tag,
		ggcr.WithContext(ctx),
		ggcr.WithTransport(server.HTTPClient().Transport), // leave it out for a real registry
		ggcr.WithAuthFromKeychain(keychain{client, server.Host()}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(descriptor.MediaType)
	// Output: application/vnd.oci.image.manifest.v1+json
}

// Sign in regclient. It takes no function, but runs a credential helper again when CredExpire has passed: install
// docker-credential-acrkit, which signs in with DefaultAzureCredential.
func Example_regclient() {
	ctx := context.Background()
	server, _ := registry()
	defer server.Close()
	defer installHelper(server)()

	client := regclient.New(regclient.WithConfigHost(config.Host{
		Name:       server.Host(),
		CredHelper: "docker-credential-acrkit",
		CredExpire: 30 * 60 * 1_000_000_000, // 30 minutes in nanoseconds: the login lasts at least that long
		RegCert:    string(server.CA()),     // leave it out for a real registry
	}))
	image, err := ref.New(server.Host() + "/library/hello:v1")
	if err != nil {
		log.Fatal(err)
	}
	manifest, err := client.ManifestHead(ctx, image)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(manifest.GetDescriptor().MediaType)
	// Output: application/vnd.oci.image.manifest.v1+json
}

// installHelper builds docker-credential-acrkit and puts it on the PATH, in the environment of the emulator's service principal. With a
// real registry `go install` does. The function that it returns takes it back.
func installHelper(server *acrtest.Server) func() {
	dir, err := os.MkdirTemp("", "helper")
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "docker-credential-acrkit"), "github.com/acrkit/acrkit/facade/cmd/docker-credential-acrkit")
	if out, err := build.CombinedOutput(); err != nil {
		log.Fatalf("%v\n%s", err, out)
	}
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, server.CA(), 0o600); err != nil {
		log.Fatal(err)
	}
	tenant, id, secret := server.ServicePrincipal()
	before := map[string]string{}
	for key, value := range map[string]string{
		"PATH":                    dir + string(os.PathListSeparator) + os.Getenv("PATH"),
		"ACRKIT_ALLOWED_HOSTS":    server.Host(),
		"ACRKIT_CA_FILE":          ca,
		"AZURE_AUTHORITY_HOST":    server.Authority() + "/",
		"AZURE_TENANT_ID":         tenant,
		"AZURE_CLIENT_ID":         id,
		"AZURE_CLIENT_SECRET":     secret,
		"AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
	} {
		before[key] = os.Getenv(key)
		if err := os.Setenv(key, value); err != nil {
			log.Fatal(err)
		}
	}
	return func() {
		for key, value := range before {
			_ = os.Setenv(key, value)
		}
		_ = os.RemoveAll(dir)
	}
}
