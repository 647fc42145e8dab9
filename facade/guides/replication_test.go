package guides_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
)

func pushPinned(ctx context.Context, client *acr.Client, layer, manifest []byte) error {
	ctx, release := client.PinAddress(ctx) // every request with this context goes to one address
	defer release()
	repository := client.Repository("shop/web")
	if _, err := repository.UploadBlob(ctx, bytes.NewReader(layer), nil); err != nil {
		return err
	}
	_, err := repository.PutManifest(ctx, "v2", manifest, nil)
	return err
}

func withFallback(endpoint string, cred azcore.TokenCredential, opts acr.ClientOptions, regions ...string) (*acr.Client, error) {
	opts.FallbackEndpoints = regions // "myregistry.westeurope.geo.azurecr.io"
	return acr.NewClient(endpoint, cred, &opts)
}

func waitForRegions(ctx context.Context, cred azcore.TokenCredential, opts *acr.ClientOptions, dgst digest.Digest, endpoints ...string) error {
	var replicas []*acr.Repository
	for _, endpoint := range endpoints {
		client, err := acr.NewClient(endpoint, cred, opts)
		if err != nil {
			return err
		}
		defer client.CloseIdleConnections()
		replicas = append(replicas, client.Repository("shop/web"))
	}
	return images.WaitReadable(ctx, dgst, 10*time.Minute, replicas...) // says what is missing, and where
}

func waitForTag(ctx context.Context, repository *acr.Repository, tag string, dgst digest.Digest) error {
	_, err := repository.WaitForTag(ctx, tag, dgst, &acr.WaitForTagOptions{Timeout: time.Minute})
	return err // the text of acr.ErrWaitTimeout says what the tag last pointed to
}

func TestReadsFromAnotherRegion(t *testing.T) {
	t.Parallel()
	registry := acrtest.New(t, acrtest.WithReplicas("eastus", "westeurope"))
	registry.SeedImage(t, "shop/web:v1")
	east, west := registry.RegionalEndpoint("eastus"), registry.RegionalEndpoint("westeurope")
	client, err := acr.NewClient(east, registry.Credential(), &acr.ClientOptions{
		ClientOptions:     registry.ClientOptions(),
		AllowedHosts:      []string{east, west},
		FallbackEndpoints: []string{west},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	inEast := func(r *http.Request) bool { return "https://"+r.Host == east }
	registry.On().When(inEast).Always().Status(503) // the region is down

	if _, err := client.Repository("shop/web").GetManifest(t.Context(), "v1"); err != nil {
		t.Error(err)
	}
	requests := registry.Ledger().Requests("GetManifest")
	if last := requests[len(requests)-1]; last.Replica != "westeurope" {
		t.Errorf("read in %s", last.Replica)
	}
}

// Push to one replica, and wait until both serve the image.
func Example_replication() {
	ctx := context.Background()
	srv, client, done := start(acrtest.WithReplicas("eastus", "westeurope"), acrtest.WithReplicaLag(50*time.Millisecond))
	defer done()
	layer := []byte("{}")
	manifest := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
		"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + digest.FromBytes(layer).String() + `","size":2},"layers":[]}`)

	check(pushPinned(ctx, client, layer, manifest))
	dgst := digest.FromBytes(manifest)
	check(waitForTag(ctx, client.Repository("shop/web"), "v2", dgst))
	east, west := srv.RegionalEndpoint("eastus"), srv.RegionalEndpoint("westeurope")
	opts := reach(srv)
	opts.AllowedHosts = append(opts.AllowedHosts, east, west)
	fmt.Println(waitForRegions(ctx, srv.Credential(), opts, dgst, east, west))

	second, err := withFallback(east, srv.Credential(), *opts, west)
	check(err)
	defer second.CloseIdleConnections()
	srv.On("ListTags").When(func(r *http.Request) bool { return "https://"+r.Host == east }).Always().Status(503)
	tag, err := latest(ctx, second.Repository("shop/web"))
	fmt.Println(tag.Name, err)
	// Output:
	// <nil>
	// v2 <nil>
}
