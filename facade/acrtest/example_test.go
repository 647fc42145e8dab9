package acrtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// start is what New(t) is in a test.
func start(opts ...acrtest.Option) *acrtest.Server {
	s, err := acrtest.Start(opts...)
	if err != nil {
		log.Fatal(err)
	}
	return s
}

// get calls the registry as its admin user.
func get(s *acrtest.Server, path string) (status int, body string) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.Endpoint()+path, nil)
	if err != nil {
		log.Fatal(err)
	}
	req.SetBasicAuth(s.Admin())
	resp, err := s.HTTPClient().Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(raw))
}

func Example() {
	s := start() // in a test: acrtest.New(t)
	defer s.Close()

	s.SeedImage(nil, "samples/app:v1") // in a test: t
	s.SeedImage(nil, "samples/app:v2")

	fmt.Println(get(s, "/acr/v1/_catalog"))
	fmt.Println(s.Tags("samples/app"))
	// Output:
	// 200 {"repositories":["samples/app"]}
	// [v1 v2]
}

// retain is the job under test: it deletes the manifests of a repository that are older than thirty days, save those tagged
// "release". It takes the time from the registry.
func retain(client *http.Client, endpoint, user, password, repository string) error {
	call := func(method, path string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(context.Background(), method, endpoint+path, nil)
		if err != nil {
			return nil, err
		}
		req.SetBasicAuth(user, password)
		return client.Do(req)
	}
	resp, err := call(http.MethodGet, "/acr/v1/"+url.PathEscape(repository)+"/_manifests")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	now, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return err
	}
	var page struct {
		Manifests []struct {
			Digest         string
			LastUpdateTime time.Time
			Tags           []string
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil {
		return err
	}
	for _, m := range page.Manifests {
		old := now.Sub(m.LastUpdateTime) > 30*24*time.Hour
		if !old || slices.Contains(m.Tags, "release") {
			continue
		}
		resp, err := call(http.MethodDelete, "/v2/"+repository+"/manifests/"+m.Digest)
		if err != nil {
			return err
		}
		resp.Body.Close()
	}
	return nil
}

// The tutorial of the package: a test of a retention job, ninety days in a moment.
func Example_testYourRetentionJob() {
	registry := start()
	defer registry.Close()
	registry.SeedImage(nil, "shop/web:release")
	registry.SeedImage(nil, "shop/web:build-1")
	registry.Advance(90 * 24 * time.Hour)
	registry.SeedImage(nil, "shop/web:build-2")

	user, password := registry.Admin()
	if err := retain(registry.HTTPClient(), registry.Endpoint(), user, password, "shop/web"); err != nil {
		log.Fatal(err)
	}

	fmt.Println("left:", registry.Tags("shop/web"))
	fmt.Println("deletes:", registry.Ledger().Count("DeleteManifest"))
	// Output:
	// left: [build-2 release]
	// deletes: 1
}

func ExampleServer_On() {
	s := start(acrtest.WithLoginServer("example.azurecr.io"))
	defer s.Close()
	s.SeedImage(nil, "samples/app:v1")

	s.On("ListTags").First(2).Status(http.StatusServiceUnavailable, time.Second)
	s.On("ListTags").Nth(3).ReplyBody(`{"tags":`)

	for range 4 {
		status, body := get(s, "/acr/v1/samples%2Fapp/_tags?n=1")
		fmt.Println(status, body[:min(len(body), 41)])
	}
	// Output:
	// 503 {"errors":[{"code":"UNAVAILABLE","message
	// 503 {"errors":[{"code":"UNAVAILABLE","message
	// 200 {"tags":
	// 200 {"registry":"example.azurecr.io","imageNa
}

func ExampleLedger() {
	s := start()
	defer s.Close()
	get(s, "/acr/v1/_catalog")
	get(s, "/acr/v1/nothing/_tags")

	for _, r := range s.Ledger().Requests() {
		fmt.Println(r.Operation, r.Repository, r.Status, r.Credential, r.Caller)
	}
	fmt.Println(s.Ledger().Count("ListTags"))
	// In a test: s.Ledger().AtMost(t, 1, "ListTags"), s.Ledger().NoCredentialLeaked(t), and for all that a client did:
	s.Ledger().Exactly(nil, map[string]int{"ListRepositories": 1, "ListTags": 1})

	// Output:
	// ListRepositories  200 basic admin
	// ListTags nothing 404 basic admin
	// 1
}

func ExampleServer_Canary() {
	s := start()
	defer s.Close()
	canary, err := s.Canary(nil)
	if err != nil {
		log.Fatal(err)
	}
	s.On("ListRepositories").Redirect(http.StatusTemporaryRedirect, canary+"/acr/v1/_catalog")

	get(s, "/acr/v1/_catalog") // net/http follows, without the credential, for the host is another

	for _, r := range s.Ledger().Requests("Canary") {
		fmt.Println(r.Origin, r.Path, r.Credential)
	}
	// Output: canary /acr/v1/_catalog none
}

func ExampleServer_Advance() {
	s := start(acrtest.WithSoftDelete(7))
	defer s.Close()
	before := s.Now()
	s.Advance(8 * 24 * time.Hour)
	fmt.Println(s.Now().Sub(before).Round(time.Hour))
	// Output: 192h0m0s
}

func ExampleServer_SeedImage() {
	s := start()
	defer s.Close()
	d := s.SeedImage(nil, "samples/app:v1", []byte("a layer"), []byte("another"))
	status, manifest := getManifest(s, "/v2/samples/app/manifests/v1")
	fmt.Println(status, digest.FromString(manifest) == d)
	// Output: 200 true
}

func getManifest(s *acrtest.Server, path string) (status int, body string) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.Endpoint()+path, nil)
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
	req.SetBasicAuth(s.Admin())
	resp, err := s.HTTPClient().Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

func ExampleServer_SeedTags() {
	s := start()
	defer s.Close()
	s.SeedTags(nil, "library/big", 3)
	fmt.Println(s.Tags("library/big"))
	// Output: [t000000 t000001 t000002]
}

func ExampleWithRepositoryToken() {
	s := start(acrtest.WithoutAnonymousPull(), acrtest.WithRepositoryToken("ci", "secret", "samples/* content/read,metadata/read"))
	defer s.Close()
	s.SeedImage(nil, "samples/app:v1")
	s.SeedImage(nil, "private/app:v1")
	for _, path := range []string{"/acr/v1/samples/app/_tags/v1", "/acr/v1/private/app/_tags/v1"} {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.Endpoint()+path, nil)
		if err != nil {
			log.Fatal(err)
		}
		req.SetBasicAuth("ci", "secret")
		resp, err := s.HTTPClient().Do(req)
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
		fmt.Println(path, resp.StatusCode)
	}
	// Output:
	// /acr/v1/samples/app/_tags/v1 200
	// /acr/v1/private/app/_tags/v1 401
}

// An Azure client signs in at the emulator's own authority.
func ExampleServer_ClientOptions() {
	s := start()
	defer s.Close()
	tenant, id, secret := s.ServicePrincipal()
	credential, err := azidentity.NewClientSecretCredential(tenant, id, secret, &azidentity.ClientSecretCredentialOptions{
		ClientOptions:            s.ClientOptions(),
		DisableInstanceDiscovery: true, // the authority is none of Microsoft's
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = credential.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{"https://containerregistry.azure.net/.default"}})
	fmt.Println(err, s.Ledger().Count("EntraToken"))
	// Output: <nil> 1
}

// A transcript of real traffic, without its secrets, is played back to the same client later.
func ExampleNewRecorder() {
	s := start(acrtest.WithLoginServer("example.azurecr.io"))
	defer s.Close()
	recorder := acrtest.NewRecorder(s.HTTPClient().Transport)
	ask := func(client *http.Client) {
		resp, err := client.Get("https://example.azurecr.io/v2/")
		if err != nil {
			log.Fatal(err)
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(resp.StatusCode, len(raw) > 0)
	}
	ask(&http.Client{Transport: recorder})

	replay, err := acrtest.StartReplay(recorder.Transcript()) // in a test: NewReplay(t, file)
	if err != nil {
		log.Fatal(err)
	}
	defer replay.Close()
	ask(replay.HTTPClient())
	fmt.Println(replay.Mistakes(), replay.Unasked())
	// Output:
	// 401 true
	// 401 true
	// [] []
}

// Inside a bubble of testing/synctest the registry, its network and its clients share one clock that runs as fast as they wait.
func ExampleWithMemoryNetwork() {
	s := start(acrtest.WithMemoryNetwork())
	defer s.Close()
	fmt.Println(get(s, "/v2/"))
	// Output: 200 {}
}
