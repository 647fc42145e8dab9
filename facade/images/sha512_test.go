package images_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/images"
)

// An image whose manifests and layers go by sha512 is pushed, copied, mirrored, promoted, pulled and archived.
func TestCopySHA512(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	image := s.blobOf(digest.SHA512, ocispec.MediaTypeImageManifest, marshal(t, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: s.blobOf(digest.SHA512, ocispec.MediaTypeImageConfig, []byte("{}")),
		Layers: []ocispec.Descriptor{s.blobOf(digest.SHA512, ocispec.MediaTypeImageLayer, []byte("layer")), s.blob(ocispec.MediaTypeImageLayer, []byte("another"))},
	}))
	root := s.blobOf(digest.SHA512, ocispec.MediaTypeImageIndex, marshal(t, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{image},
	}))
	sbom := s.referrer(root, "application/vnd.example.sbom", "sbom")
	s.name(root, "v1")
	s.name(sbom, "")
	_, from := newRegistry(t)
	_, to := newRegistry(t)
	ctx := t.Context()
	everything := &images.CopyOptions{Referrers: true, IfAbsent: true}
	pushed := from.Repository("team/app")
	complete := func(r *acr.Repository) {
		t.Helper()
		for _, d := range s.below(root, sbom) {
			if got, err := readAll(images.Of(r).Fetch(ctx, s.describe(d))); err != nil || !bytes.Equal(got, s.blobs[d]) {
				t.Errorf("%s: %s: %v", r.Name(), d, err)
			}
		}
		if m, err := r.GetManifest(ctx, "v1"); err != nil || !bytes.Equal(m.Content, s.blobs[root.Digest]) {
			t.Errorf("%s: %v", r.Name(), err)
		}
	}
	for range 2 { // the tag is on the sha256 digest, and that is no move
		pushLayout(t, s.dir(), "v1", pushed, "v1", everything)
	}
	complete(pushed)
	byDigest := string(root.Digest)
	for range 2 {
		if _, err := images.Copy(ctx, images.Of(pushed), byDigest, images.Of(to.Repository("copied")), "v1", everything); err != nil {
			t.Fatal(err)
		}
		if _, err := images.Promote(ctx, pushed, byDigest, from.Repository("promoted"), "v1", nil); err != nil {
			t.Fatal(err)
		}
	}
	complete(to.Repository("copied"))
	complete(from.Repository("promoted"))
	dir := t.TempDir()
	if _, err := images.Pull(ctx, to.Repository("copied"), byDigest, dir, everything); err != nil {
		t.Fatal(err)
	}
	s.holds(dir, root, sbom)
	archive := filepath.Join(t.TempDir(), "image.tar")
	var b bytes.Buffer
	if err := images.WriteArchive(ctx, &b, openLayout(t, dir, nil), []string{byDigest}, &images.CopyOptions{Referrers: true}); err != nil {
		t.Fatal(err)
	}
	writeFile(t, archive, b.Bytes())
	pushLayout(t, archive, byDigest, to.Repository("unpacked"), "v1", everything)
	complete(to.Repository("unpacked"))
	rules := []images.MirrorRule{{From: "team/app", To: "mirrored", Tags: []string{"v1"}}}
	for i, want := range []images.MirrorState{images.Mirrored, images.UpToDate} {
		for m, err := range images.Mirror(ctx, images.OfClient(from), to, rules, &images.MirrorOptions{Copy: images.CopyOptions{Referrers: true}}) {
			if err != nil || m.Err != nil || m.State != want {
				t.Errorf("run %d: %+v, %v", i, m, err)
			}
		}
	}
	if m, err := to.Repository("mirrored").GetManifest(ctx, "v1"); err != nil || !bytes.Equal(m.Content, s.blobs[root.Digest]) {
		t.Error(err)
	}
}
