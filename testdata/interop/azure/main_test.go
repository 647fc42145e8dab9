// Package azure_test runs the official Azure SDK for Go, unmodified, against the emulator.
package azure_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/containers/azcontainerregistry"
	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/acrtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clients are the SDK's three, signed in to one emulator.
type clients struct {
	server   *acrtest.Server
	registry *azcontainerregistry.Client
	blobs    *azcontainerregistry.BlobClient
	auth     *azcontainerregistry.AuthenticationClient
}

func connect(t *testing.T, opts ...acrtest.Option) clients {
	t.Helper()
	s := acrtest.New(t, opts...)
	return clients{
		server:   s,
		registry: must(azcontainerregistry.NewClient(s.Endpoint(), s.Credential(), &azcontainerregistry.ClientOptions{ClientOptions: s.ClientOptions()}))(t),
		blobs:    must(azcontainerregistry.NewBlobClient(s.Endpoint(), s.Credential(), &azcontainerregistry.BlobClientOptions{ClientOptions: s.ClientOptions()}))(t),
		auth:     must(azcontainerregistry.NewAuthenticationClient(s.Endpoint(), &azcontainerregistry.AuthenticationClientOptions{ClientOptions: s.ClientOptions()}))(t),
	}
}

// must unwraps a result whose error ends the test.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t *testing.T, _ any, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused demands an error of the registry with this status and code.
func refused(t *testing.T, err error, status int, code string) {
	t.Helper()
	var respErr *azcore.ResponseError
	if !errors.As(err, &respErr) {
		t.Fatalf("got %v, want a response error %d %s", err, status, code)
	}
	if respErr.StatusCode != status {
		t.Errorf("status %d, want %d", respErr.StatusCode, status)
	}
	if code == "" {
		return
	}
	var body struct {
		Errors []struct{ Code string }
	}
	raw, _ := io.ReadAll(respErr.RawResponse.Body)
	if err := json.Unmarshal(raw, &body); err != nil || len(body.Errors) == 0 || body.Errors[0].Code != code {
		t.Errorf("error body %q, want code %s", raw, code)
	}
}

func sha(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// noise is reproducible bytes.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// upload sends a blob in chunks of the given size, as the SDK's sample does, and returns its digest.
func (c clients) upload(ctx context.Context, t *testing.T, repository string, content []byte, chunk int) string {
	t.Helper()
	start := must(c.blobs.StartUpload(ctx, repository, nil))(t)
	location := *start.Location
	calculator := azcontainerregistry.NewBlobDigestCalculator()
	for from := 0; from < len(content); from += chunk {
		to := min(from+chunk, len(content))
		first, last := int32(from), int32(to-1)
		resp := must(c.blobs.UploadChunk(ctx, location, bytes.NewReader(content[from:to]), calculator,
			&azcontainerregistry.BlobClientUploadChunkOptions{RangeStart: &first, RangeEnd: &last}))(t)
		if want := fmt.Sprintf("0-%d", last); *resp.Range != want {
			t.Errorf("Range %q after a chunk, want %q", *resp.Range, want)
		}
		location = *resp.Location
	}
	done := must(c.blobs.CompleteUpload(ctx, location, calculator, nil))(t)
	if *done.DockerContentDigest != sha(content) {
		t.Errorf("the registry computed %s, want %s", *done.DockerContentDigest, sha(content))
	}
	return *done.DockerContentDigest
}

type descriptor struct {
	MediaType string            `json:"mediaType"`
	Digest    string            `json:"digest"`
	Size      int               `json:"size"`
	Platform  map[string]string `json:"platform,omitempty"`
}

const ociManifest = string(azcontainerregistry.ContentTypeApplicationVndOciImageManifestV1JSON)

// pushImage uploads a config and a layer and puts a manifest of both under the reference.
func (c clients) pushImage(ctx context.Context, t *testing.T, repository, reference string, layer []byte) (digest string, manifest []byte) {
	t.Helper()
	config := []byte(`{"architecture":"amd64","os":"linux"}`)
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2,
		"mediaType":     ociManifest,
		"config":        descriptor{"application/vnd.oci.image.config.v1+json", c.upload(ctx, t, repository, config, 1<<20), len(config), nil},
		"layers":        []descriptor{{"application/vnd.oci.image.layer.v1.tar", c.upload(ctx, t, repository, layer, (len(layer)+1)/2), len(layer), nil}},
	})
	if err != nil {
		t.Fatal(err)
	}
	resp := must(c.registry.UploadManifest(ctx, repository, reference, azcontainerregistry.ContentTypeApplicationVndOciImageManifestV1JSON,
		streaming.NopCloser(bytes.NewReader(manifest)), nil))(t)
	if *resp.DockerContentDigest != sha(manifest) {
		t.Errorf("manifest digest %s, want %s", *resp.DockerContentDigest, sha(manifest))
	}
	return *resp.DockerContentDigest, manifest
}

// verified reads a body through the SDK's own check of its digest.
func verified(t *testing.T, digest string, body io.ReadCloser) []byte {
	t.Helper()
	defer func() { _ = body.Close() }()
	r := must(azcontainerregistry.NewDigestValidationReader(digest, body))(t)
	return must(io.ReadAll(r))(t)
}

func readAndClose(body io.ReadCloser) ([]byte, error) {
	b, err := io.ReadAll(body)
	return b, errors.Join(err, body.Close())
}

const notFound = http.StatusNotFound
