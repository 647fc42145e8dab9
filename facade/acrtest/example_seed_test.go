package acrtest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// A line for each kind of thing that a registry holds; none of them is a request.
func Example_seed() {
	s := start()
	defer s.Close()
	index := s.SeedIndex(nil, "samples/app:v1", "amd64", "arm64")
	s.SeedReferrer(nil, "samples/app", index, "application/vnd.example.sbom")
	s.SeedBlob(nil, "samples/data", []byte("no manifest names this one"))
	s.SeedManifests(nil, "samples/many", 1000)
	fmt.Println(s.Repositories())
	fmt.Println(len(s.Manifests("samples/app")), "manifests:", "the index, its two images and the referrer")
	fmt.Println(len(s.Manifests("samples/many")), "manifests,", s.Ledger().Count(), "requests")

	s.Advance(time.Hour)
	freed, err := s.Collect(time.Minute)
	fmt.Println("freed:", freed, err)
	// Output:
	// [samples/app samples/many]
	// 4 manifests: the index, its two images and the referrer
	// 1000 manifests, 0 requests
	// freed: 1 <nil>
}

// Everything that an OCI layout holds, with its tags.
func ExampleServer_SeedLayout() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	const manifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	d := digest.FromString(manifest)
	for name, text := range map[string]string{
		"oci-layout":                  `{"imageLayoutVersion":"1.0.0"}`,
		"blobs/sha256/" + d.Encoded(): manifest,
		"index.json": fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":%q,"size":%d,`+
			`"annotations":{"org.opencontainers.image.ref.name":"v1"}}]}`, d, len(manifest)),
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			log.Fatal(err)
		}
	}
	s := start()
	defer s.Close()
	s.SeedLayout(nil, "samples/app", dir)
	fmt.Println(s.Tags("samples/app"), s.Manifests("samples/app")[0] == d)
	// Output: [v1] true
}

// A client made by hand: it trusts the emulator's authority and finds a registry that goes by a name of Azure's.
func ExampleServer_DialContext() {
	s := start(acrtest.WithLoginServer("example.azurecr.io"))
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.CA())
	transport := &http.Transport{DialContext: s.DialContext, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://"+s.Host()+"/v2/", nil)
	if err != nil {
		log.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		log.Fatal(err)
	}
	_ = resp.Body.Close()
	fmt.Println(resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
	// Output: 401 Bearer realm="https://example.azurecr.io/oauth2/token",service="example.azurecr.io"
}

// Azure clients find the emulator through its cloud.
func ExampleServer_Cloud() {
	s := start()
	defer s.Close()
	fmt.Println(s.Cloud().ActiveDirectoryAuthorityHost == s.Authority()+"/")
	for _, service := range s.Cloud().Services {
		fmt.Println(service.Audience)
	}
	// Output:
	// true
	// https://containerregistry.azure.net
}
