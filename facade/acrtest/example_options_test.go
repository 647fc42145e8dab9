package acrtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// call calls the registry as its admin user, with the header in pairs.
func call(s *acrtest.Server, method, path, body string, header ...string) (status int, reply string) {
	req, err := http.NewRequestWithContext(context.Background(), method, s.Endpoint()+path, strings.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	req.SetBasicAuth(s.Admin())
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
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

// code is the code of the registry's error.
func code(_ int, body string) string {
	_, rest, _ := strings.Cut(body, `"code":"`)
	c, _, _ := strings.Cut(rest, `"`)
	return c
}

// exchange sends an Entra token to the registry and gives the status.
func exchange(s *acrtest.Server, entraToken string) int {
	form := url.Values{"grant_type": {"access_token"}, "service": {s.Host()}, "access_token": {entraToken}}
	resp, err := s.HTTPClient().PostForm(s.Endpoint()+"/oauth2/exchange", form)
	if err != nil {
		log.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// Who may sign in, and with what.
func Example_identities() {
	open := start(acrtest.WithAdmin("me", "secret"))
	defer open.Close()
	fmt.Println(open.Admin())
	fmt.Println("any audience:", exchange(open, open.EntraToken()), exchange(open, open.EntraTokenFor("https://management.azure.com")))

	closed := start(acrtest.WithoutAnonymousPull(), acrtest.WithoutARMAudience(), acrtest.WithABAC())
	defer closed.Close()
	fmt.Println("anonymous pull:", open.AllowsAnonymousPull(), closed.AllowsAnonymousPull())
	fmt.Println("the registry's audience only:", exchange(closed, closed.EntraToken()), exchange(closed, closed.EntraTokenFor("https://management.azure.com")))

	reader := start(acrtest.WithEntraActions("samples/* content/read"))
	defer reader.Close()
	nobody := start(acrtest.WithEntraActions())
	defer nobody.Close()
	fmt.Println("with a role, without:", exchange(reader, reader.EntraToken()), exchange(nobody, nobody.EntraToken()))
	// Output:
	// me secret
	// any audience: 200 200
	// anonymous pull: true false
	// the registry's audience only: 200 401
	// with a role, without: 200 403
}

// What the registry allows.
func Example_limits() {
	s := start(acrtest.WithSKU(acrtest.Basic), acrtest.WithLimits(), acrtest.WithBudget(acrtest.DeleteBudget, 1), acrtest.WithMaxBody(1<<10))
	defer s.Close()
	s.SeedImage(nil, "samples/app:v1")
	for range 2 {
		status, body := call(s, "DELETE", "/acr/v1/samples/app/_tags/v1", "")
		fmt.Printf("%d %q\n", status, code(status, body))
	}
	fmt.Println(call(s, "PUT", "/v2/samples/app/manifests/v2", strings.Repeat(" ", 2<<10)))
	// Output:
	// 202 ""
	// 429 "TOOMANYREQUESTS"
	// 413 413 Request Entity Too Large - AzureContainerRegistry
}

// How the registry is set up.
func Example_policies() {
	s := start(acrtest.WithImmutableTags(), acrtest.WithSoftDelete(7), acrtest.WithoutBlobCheck())
	defer s.Close()
	put := func(tag, text string) (int, string) {
		return call(s, "PUT", "/v2/samples/app/manifests/"+tag, text, "Content-Type", "application/vnd.oci.image.index.v1+json")
	}
	const index = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}`
	missing := `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:` + strings.Repeat("0", 64) + `","size":2}`
	status, _ := put("v1", fmt.Sprintf(index, missing)) // what it names is not there
	fmt.Println(status)
	fmt.Println(code(put("v1", fmt.Sprintf(index, ""))))

	d := s.Manifests("samples/app")[0]
	call(s, "DELETE", "/v2/samples/app/manifests/"+d.String(), "")
	deleted := func() bool {
		_, body := call(s, "GET", "/acr/v1/_deleted/samples/app/_manifests", "")
		return strings.Contains(body, d.String())
	}
	fmt.Println("kept:", deleted())
	s.Advance(8 * 24 * time.Hour)
	fmt.Println("kept after eight days:", deleted())
	// Output:
	// 201
	// REGISTRY_DISALLOWED_OPERATION
	// kept: true
	// kept after eight days: false
}

// How blobs are served: by a redirect to another origin, with a link that expires, or by the registry itself.
func ExampleWithInlineBlobs() {
	blob := func(opts ...acrtest.Option) string {
		s := start(opts...)
		defer s.Close()
		d := s.SeedBlob(nil, "samples/app", []byte("hello"))
		call(s, "GET", "/v2/samples/app/blobs/"+d.String(), "")
		return fmt.Sprint(s.HasBlob("samples/app", d), " ", s.StorageHost() != s.Host(), " ", s.Ledger().Count("GetBlobContent"))
	}
	fmt.Println(blob(acrtest.WithBlobLinkLife(time.Minute)))
	fmt.Println(blob(acrtest.WithInlineBlobs()))
	// Output:
	// true true 1
	// true true 0
}

// What of lists and replicas surprises clients.
func Example_quirks() {
	s := start(acrtest.WithTrailingEmptyPage(), acrtest.WithReplicaLag(time.Minute))
	defer s.Close()
	s.SeedTags(nil, "samples/app", 2)
	fmt.Println("at once:", s.Tags("samples/app"))
	s.Advance(2 * time.Minute)
	fmt.Println("later:", s.Tags("samples/app"))
	call(s, "GET", "/acr/v1/samples/app/_tags?n=2", "") // the last page is full: there is a Link all the same
	_, body := call(s, "GET", "/acr/v1/samples/app/_tags?n=2&last=t000001", "")
	fmt.Println("the page after the last:", strings.Contains(body, `"tags":null`) || !strings.Contains(body, "t0"))
	// Output:
	// at once: []
	// later: [t000000 t000001]
	// the page after the last: true
}

// A network that is slow, and the protocol it speaks.
func ExampleWithLatency() {
	s := start(acrtest.WithLatency(20*time.Millisecond), acrtest.WithBandwidth(1<<20), acrtest.WithHTTP2())
	defer s.Close()
	began := time.Now()
	resp, err := s.HTTPClient().Get(s.Endpoint() + "/v2/")
	if err != nil {
		log.Fatal(err)
	}
	_ = resp.Body.Close()
	fmt.Println(resp.Proto, time.Since(began) >= 20*time.Millisecond)
	// Output: HTTP/2.0 true
}

// A registry whose content outlives it, and the loss of power.
func ExampleWithDirectory() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	first := start(acrtest.WithDirectory(dir), acrtest.WithSessionLife(time.Hour))
	first.SeedImage(nil, "samples/app:v1")
	call(first, "POST", "/v2/samples/app/blobs/uploads/", "")
	first.Close()

	second := start(acrtest.WithDirectory(dir), acrtest.WithSessionLife(time.Hour), acrtest.WithSync())
	defer second.Close()
	fmt.Println(second.Repositories(), second.Tags("samples/app"), "uploads:", second.Uploads("samples/app"))
	second.Advance(2 * time.Hour)
	fmt.Println("two hours later:", second.Uploads("samples/app"))
	// Output:
	// [samples/app] [v1] uploads: 1
	// two hours later: 0
}

// Where the registry listens. Addresses that other machines reach have to be allowed.
func ExampleWithListen() {
	_, err := acrtest.Start(acrtest.WithListen("0.0.0.0:0"))
	fmt.Println(errors.Is(err, acrtest.ErrRemoteAccess))
	s, err := acrtest.Start(acrtest.WithListen("0.0.0.0:0"), acrtest.WithRemoteAccess())
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	fmt.Println(strings.HasPrefix(s.Host(), "localhost:"))
	// Output:
	// true
	// true
}

// The registry warns of a credential that looks real; its ledger keeps the last requests only.
func ExampleWithLogger() {
	var warnings bytes.Buffer
	s := start(acrtest.WithLogger(slog.New(slog.NewTextHandler(&warnings, nil))), acrtest.WithLedgerSize(1))
	defer s.Close()
	exchange(s, strings.Repeat("eyJhbGciOiJSUzI1NiJ9.", 2)+"a") // no token of the emulator
	get(s, "/v2/")
	fmt.Println(len(s.Ledger().Requests()), strings.Contains(warnings.String(), "eyJ"))
	// Output: 1 false
}

// A registry with two replicas: what is written at one appears at the other later.
func ExampleWithReplicas() {
	s := start(acrtest.WithReplicas("eastus", "westeurope"), acrtest.WithReplicaLag(time.Minute))
	defer s.Close()
	user, password := s.Admin()
	status := func(method, url, body string) int {
		req, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
		if err != nil {
			log.Fatal(err)
		}
		req.SetBasicAuth(user, password)
		req.Header.Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		req.Header.Set("Accept", "*/*")
		resp, err := s.HTTPClient().Do(req)
		if err != nil {
			log.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	const path = "/v2/samples/app/manifests/v1"
	index := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	fmt.Println("push: ", status("PUT", s.RegionalEndpoint("eastus")+path, index))
	fmt.Println("pull: ", status("GET", s.RegionalEndpoint("eastus")+path, ""))
	fmt.Println("elsewhere:", status("GET", s.RegionalEndpoint("westeurope")+path, ""))
	s.Advance(time.Minute)
	fmt.Println("later:", status("GET", s.RegionalEndpoint("westeurope")+path, ""))
	for _, r := range s.Ledger().Requests() {
		fmt.Println(r.Operation, r.Replica)
	}
	// Output:
	// push:  201
	// pull:  200
	// elsewhere: 404
	// later: 200
	// PutManifest eastus
	// GetManifest eastus
	// GetManifest westeurope
	// GetManifest westeurope
}

// The strictest reading of the published budgets: a second's worth at once, and no more.
func ExampleWithTokenBuckets() {
	s := start(acrtest.WithTokenBuckets())
	defer s.Close()
	statuses := map[int]bool{}
	for range 100 { // in much less than the 12 seconds that the budget of deletes has for them
		status, _ := call(s, "DELETE", "/acr/v1/samples/app/_tags/v1", "")
		statuses[status] = true
	}
	fmt.Println(statuses)
	// Output: map[404:true 429:true]
}

// A registry whose manifests keep the time of their first push.
func ExampleWithManifestTimes() {
	s := start(acrtest.WithManifestTimes(acrtest.ManifestTimesFixed))
	defer s.Close()
	s.SeedImage(nil, "samples/app:v1")
	manifest := "/acr/v1/samples/app/_manifests/" + s.Manifests("samples/app")[0].String()
	_, before := call(s, "GET", manifest, "")
	s.Advance(time.Hour)
	s.SeedTags(nil, "samples/app", 1)
	_, after := call(s, "GET", manifest, "")
	fmt.Println(before == after)
	// Output: true
}

// A registry that keeps repositories without manifests.
func ExampleWithEmptyRepositories() {
	s := start(acrtest.WithEmptyRepositories())
	defer s.Close()
	s.SeedImage(nil, "samples/app:v1")
	call(s, "DELETE", "/v2/samples/app/manifests/"+s.Manifests("samples/app")[0].String(), "")
	fmt.Println(s.Repositories(), s.Manifests("samples/app"))
	// Output: [samples/app] []
}
