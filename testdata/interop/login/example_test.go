// Package login_test shows how one sign-in of acr serves the clients of others.
package login_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/v1/remote"
	"go.uber.org/goleak"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

// oras-go fetches access tokens for each scope with it.
func Example_orasGo() {
	ctx := context.Background()
	server, client := registry()
	defer server.Close()

	login, err := client.Login(ctx)
	if err != nil {
		log.Fatal(err)
	}
	repository, err := remote.NewRepository(server.Host() + "/library/hello")
	if err != nil {
		log.Fatal(err)
	}
	repository.Client = &auth.Client{
		Client:               server.HTTPClient(), // for a real registry: retry.DefaultClient
		Cache:                auth.NewCache(),
		Credential:           auth.StaticCredential(server.Host(), auth.Credential{Username: login.Username, Password: login.Password()}),
		BlockedRealmPrefixes: []netip.Prefix{}, // the emulator is on a loopback address; leave it out for a real registry
	}
	descriptor, err := repository.Resolve(ctx, "v1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(descriptor.MediaType)
	// Output: application/vnd.oci.image.manifest.v1+json
}

// go-containerregistry takes it for any of its options' WithAuth.
func Example_goContainerRegistry() {
	ctx := context.Background()
	server, client := registry()
	defer server.Close()

	login, err := client.Login(ctx)
	if err != nil {
		log.Fatal(err)
	}
	tag, err := name.NewTag(server.Host() + "/library/hello:v1")
	if err != nil {
		log.Fatal(err)
	}
	descriptor, err := ggcr.Head(tag,
		ggcr.WithContext(ctx),
		ggcr.WithTransport(server.HTTPClient().Transport), // leave it out for a real registry
		ggcr.WithAuth(&authn.Basic{Username: login.Username, Password: login.Password()}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(descriptor.MediaType)
	// Output: application/vnd.oci.image.manifest.v1+json
}
