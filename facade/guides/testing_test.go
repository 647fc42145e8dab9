package guides_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

func newRegistry(t *testing.T, opts ...acrtest.Option) (*acrtest.Server, *acr.Client) {
	t.Helper()
	registry := acrtest.New(t, opts...) // ends with the test
	client, err := acr.NewClient(registry.Endpoint(), registry.Credential(), &acr.ClientOptions{
		ClientOptions: registry.ClientOptions(),
		AllowedHosts:  []string{registry.Host()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return registry, client
}

func TestNewestTag(t *testing.T) {
	t.Parallel() // each test has a registry of its own
	registry, client := newRegistry(t)
	registry.SeedImage(t, "shop/web:v1")
	registry.Advance(time.Hour)
	v2 := registry.SeedImage(t, "shop/web:v2")
	registry.Advance(time.Hour)
	registry.SeedImage(t, "shop/web:sha256-"+v2.Encoded()+".sig") // the tag that cosign gives to a signature of v2

	got, err := newestTag(t.Context(), client.Repository("shop/web")) // the code under test
	if err != nil || got != "v2" {
		t.Errorf("got %q, %v", got, err)
	}
	registry.Ledger().AtMost(t, 1, "ListTags") // what it may cost
}

func newestTag(ctx context.Context, repository *acr.Repository) (string, error) {
	for tag, err := range repository.Tags(ctx, &acr.ListTagsOptions{Order: acr.OrderByUpdateDescending, PageSize: 20}) {
		if err != nil || !strings.HasPrefix(tag.Name, "sha256-") { // cosign's signatures are tags too
			return tag.Name, err
		}
	}
	return "", acr.ErrNotFound
}

func TestWaitsForThrottling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		registry, client := newRegistry(t, acrtest.WithMemoryNetwork())
		registry.SeedImage(t, "shop/web:v1")
		registry.On("ListTags").Nth(1).Status(429, 20*time.Second)

		start := time.Now()
		if _, err := newestTag(t.Context(), client.Repository("shop/web")); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited < 20*time.Second { // takes no time outside the bubble
			t.Errorf("waited %v", waited)
		}
	})
}

func TestSurvivesLostReply(t *testing.T) {
	t.Parallel()
	registry, client := newRegistry(t)
	line := registry.On("PutManifest").Nth(1).DropReply() // executed, but nobody hears of it
	d := registry.SeedImage(t, "shop/web:v1")

	_, err := client.Repository("shop/web").Tag(t.Context(), d.String(), "stable", nil)
	if err != nil || line.Hits() != 1 {
		t.Errorf("%v, %d hits", err, line.Hits())
	}
	if !slices.Contains(registry.Tags("shop/web"), "stable") {
		t.Error("the tag is missing")
	}
}

func TestRequestsOfADeletion(t *testing.T) {
	t.Parallel()
	registry, client := newRegistry(t)
	d := registry.SeedImage(t, "shop/web:v1")
	if err := client.Repository("shop/web").DeleteManifest(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	registry.Ledger().Exactly(t, map[string]int{
		"ExchangeEntraToken": 1, "GetAccessToken": 2, // the sign-in: one token to read, one to delete
		"ListReferrers":  1, // the first deletion of a client asks whether the registry has a referrers API
		"DeleteManifest": 1,
	})
}

func withRegistry(use func(*acr.Client) error) error {
	registry, err := acrtest.Start()
	if err != nil {
		return err
	}
	defer registry.Close()
	registry.SeedImage(nil, "shop/web:v1")
	client, err := acr.NewClient(registry.Endpoint(), registry.Credential(), &acr.ClientOptions{
		ClientOptions: registry.ClientOptions(),
		AllowedHosts:  []string{registry.Host()},
	})
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	return use(client)
}

func TestRegistryOfAProgram(t *testing.T) {
	t.Parallel()
	if err := withRegistry(func(c *acr.Client) error { return c.Ping(t.Context()) }); err != nil {
		t.Error(err)
	}
}

type tagger interface {
	Tag(ctx context.Context, reference, tag string, opts *acr.TagOptions) (ocispec.Descriptor, error)
}

func release(ctx context.Context, images tagger, version string) error {
	_, err := images.Tag(ctx, version, "stable", nil)
	if errors.Is(err, acr.ErrNotFound) {
		return fmt.Errorf("%s was never built: %w", version, err)
	}
	return err
}

type noTags struct{}

func (noTags) Tag(context.Context, string, string, *acr.TagOptions) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, &acr.Error{Operation: "GetManifest", StatusCode: 404, Code: acr.ErrManifestUnknown}
}

// What the guide says of an acr.Error in a fake is so, and the client implements an interface of the caller's.
func TestFakeErrors(t *testing.T) {
	t.Parallel()
	var _ tagger = (*acr.Repository)(nil)
	if err := release(t.Context(), noTags{}, "v9"); !errors.Is(err, acr.ErrManifestUnknown) {
		t.Error(err)
	}
	for _, c := range []struct {
		err  *acr.Error
		want error
	}{
		{&acr.Error{StatusCode: 404}, acr.ErrNotFound},
		{&acr.Error{StatusCode: 404, Code: acr.ErrTagUnknown}, acr.ErrTagUnknown},
		{&acr.Error{StatusCode: 404, Code: acr.ErrTagUnknown}, acr.ErrNotFound},
		{&acr.Error{StatusCode: 429}, acr.ErrThrottled},
	} {
		if !errors.Is(c.err, c.want) || c.err.Error() == "" {
			t.Errorf("%v does not match %v", c.err, c.want)
		}
	}
}

// The lines of the guide's table of faults.
func TestFaultLines(t *testing.T) {
	t.Parallel()
	registry := acrtest.New(t, acrtest.WithEntraActions("shop/web content/read"), acrtest.WithABAC(), acrtest.WithLimits(), acrtest.WithReplicaLag(time.Second))
	lines := []*acrtest.Fault{
		registry.On("GetManifest").First(2).Status(429, time.Second),
		registry.On().Always().Status(503),
		registry.On("GetBlobContent").ResetAfter(1 << 20),
		registry.On("GetBlobContent").FlipByte(7),
		registry.On("GetManifest").Lag(),
	}
	registry.RevokeAccessTokens()
	for _, line := range lines {
		if line.Hits() != 0 {
			t.Error("hit before any request")
		}
	}
}

// ready is the line of JSON, as far as it is needed here.
type ready struct {
	Endpoint    string `json:"endpoint"`
	LoginServer string `json:"login_server"`
	CAFile      string `json:"ca_file"`
	Username    string `json:"username"`
	Password    string `json:"password"`
}

func (r ready) client() (*acr.Client, error) {
	pem, err := os.ReadFile(r.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	return acr.NewClientWithPassword(r.Endpoint, r.Username, r.Password, &acr.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: &http.Client{Transport: transport}},
		AllowedHosts:  []string{r.LoginServer},
	})
}

// A client of the emulator that was started as a program.
func Example_emulatorProgram() {
	srv, _, done := start(acrtest.WithoutAnonymousPull())
	defer done()
	dir, remove := tempDir()
	defer remove()
	ca := filepath.Join(dir, "ca.pem")
	check(os.WriteFile(ca, srv.CA(), 0o600))
	user, password := srv.Admin()

	client, err := ready{srv.Endpoint(), srv.Host(), ca, user, password}.client()
	check(err)
	defer func() { srv.Close() }() // the transport is the caller's, and so are its connections
	fmt.Println(client.Ping(context.Background()))
	// Output: <nil>
}
