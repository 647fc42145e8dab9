// Package images_test takes images of other programs through package images, and lets them read what it wrote.
package images_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newClient(t *testing.T, s *acrtest.Server) *acr.Client {
	t.Helper()
	c, err := acr.NewClient(s.Endpoint(), s.Credential(), &acr.ClientOptions{ClientOptions: s.ClientOptions(), AllowedHosts: []string{s.Host()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// around takes an image from a source through a registry, another registry, a directory and an archive, and demands the same bytes
// at the end. It returns the directory and the archive.
func around(t *testing.T, from images.Source, reference string) (dir, archive string) {
	t.Helper()
	ctx := t.Context()
	one, two := newClient(t, acrtest.New(t)), newClient(t, acrtest.New(t))
	opts := &images.CopyOptions{Referrers: true}
	first, err := images.Copy(ctx, from, reference, images.Of(one.Repository("team/app")), "v1", opts)
	if err != nil {
		t.Fatalf("into a registry: %v", err)
	}
	if _, err := images.Copy(ctx, images.Of(one.Repository("team/app")), "v1", images.Of(two.Repository("mirror/app")), "v1", opts); err != nil {
		t.Fatalf("into another one: %v", err)
	}
	dir = filepath.Join(t.TempDir(), "layout")
	last, err := images.Pull(ctx, two.Repository("mirror/app"), "v1", dir, opts)
	if err != nil {
		t.Fatalf("into a directory: %v", err)
	}
	if first.Root.Digest != last.Root.Digest || len(first.Nodes) != len(last.Nodes) {
		t.Errorf("%s with %d nodes became %s with %d", first.Root.Digest, len(first.Nodes), last.Root.Digest, len(last.Nodes))
	}
	archive = filepath.Join(t.TempDir(), "image.tar")
	f, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, dir)
	if err := images.WriteArchive(ctx, f, l, []string{"v1"}, opts); err != nil {
		t.Fatalf("into an archive: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	packed, err := images.OpenArchive(archive)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = packed.Close() })
	for _, n := range first.Nodes {
		if n.Action == images.Leave {
			continue
		}
		want := read(t, from, n.Descriptor)
		for _, at := range []images.Source{l, packed, images.Of(two.Repository("mirror/app"))} {
			if !bytes.Equal(want, read(t, at, n.Descriptor)) {
				t.Errorf("%s is not the same", n.Descriptor.Digest)
			}
		}
	}
	return dir, archive
}

// back pushes a layout's v1 with what belongs to it to a repository, and demands that it is there under its old digest.
func back(t *testing.T, dir string, to *acr.Repository, root ocispec.Descriptor) {
	t.Helper()
	report, err := images.Push(t.Context(), dir, "v1", to, "v1", &images.CopyOptions{Referrers: true})
	if err != nil {
		t.Fatalf("back into a registry: %v", err)
	}
	if d, err := to.HeadManifest(t.Context(), "v1"); err != nil || d.Digest != root.Digest || report.Root.Digest != root.Digest {
		t.Errorf("%s came back as %s, %v", root.Digest, d.Digest, err)
	}
}

func read(t *testing.T, from images.Source, d ocispec.Descriptor) []byte {
	t.Helper()
	r, err := from.Fetch(t.Context(), d)
	if err != nil {
		t.Errorf("%s: %v", d.Digest, err)
		return nil
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Errorf("%s: %v", d.Digest, err)
	}
	return b
}

func open(t *testing.T, dir string) *images.Layout {
	t.Helper()
	l, err := images.OpenLayout(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// blobs lists the blobs of a layout directory, and demands that each is what it is called.
func blobs(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", e.Name()))
		if err != nil || digest.FromBytes(b).Encoded() != e.Name() {
			t.Errorf("%s holds other bytes: %v", e.Name(), err)
		}
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names
}

func unmarshal(t *testing.T, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}
