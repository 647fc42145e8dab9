package images_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/testdata/interop/internal/fixture"
)

// reply200 says that a manifest is there.
func reply200(d ocispec.Descriptor) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", d.MediaType)
		w.Header().Set("Docker-Content-Digest", string(d.Digest))
		w.Header().Set("Content-Length", strconv.FormatInt(d.Size, 10))
		w.WriteHeader(http.StatusOK)
	}
}

// below lists the blobs of an image of a fixture.
func below(t *testing.T, l fixture.Layout, image ocispec.Descriptor) []ocispec.Descriptor {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(l.Dir, "blobs", "sha256", image.Digest.Encoded()))
	if err != nil {
		t.Fatal(err)
	}
	var m ocispec.Manifest
	unmarshal(t, b, &m)
	return append(m.Layers, m.Config)
}
