package images_test

import (
	"bytes"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/images"
)

// An image whose manifest and layers go by sha512.
func TestCopySHA512(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: s.blobOf(digest.SHA512, ocispec.MediaTypeImageConfig, []byte("{}")),
		Layers: []ocispec.Descriptor{s.blobOf(digest.SHA512, ocispec.MediaTypeImageLayer, []byte("layer")), s.blob(ocispec.MediaTypeImageLayer, []byte("another"))},
	}
	root := s.blobOf(digest.SHA512, m.MediaType, marshal(t, m))
	s.name(root, "v1")
	_, client := newRegistry(t)
	ctx := t.Context()
	for range 2 { // the tag is on the sha256 digest, and that is no move
		if _, err := images.Push(ctx, s.dir(), "v1", client.Repository("team/app"), "v1", &images.CopyOptions{IfAbsent: true}); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	if _, err := images.Pull(ctx, client.Repository("team/app"), string(root.Digest), dir, nil); err != nil {
		t.Fatal(err)
	}
	s.holds(dir, root)
	var b bytes.Buffer
	if err := images.WriteArchive(ctx, &b, openLayout(t, dir, nil), []string{string(root.Digest)}, nil); err != nil {
		t.Error(err)
	}
}
