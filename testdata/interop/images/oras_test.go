package images_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
	"github.com/acrkit/acrkit/testdata/interop/internal/fixture"
)

// oras.Copy and oras.ExtendedCopy with a repository and a layout of ours on either side.
func TestORASCopies(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	l := fixture.New(t)
	store, err := oci.New(l.Dir)
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(t, acrtest.New(t))
	dir := filepath.Join(t.TempDir(), "ours")
	ours, err := images.OpenLayout(dir, &images.LayoutOptions{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ours.Close() }()
	one, two := images.Of(client.Repository("one")), images.Of(client.Repository("two"))
	last := memory.New()
	for i, c := range []struct {
		from oras.ReadOnlyGraphTarget
		to   oras.Target
	}{{store, one}, {one, two}, {two, ours}, {open(t, dir), last}} {
		if i == 3 {
			c.from = open(t, dir) // what is on disk by now
		}
		d, err := oras.ExtendedCopy(ctx, c.from, "v1", c.to, "v1", oras.DefaultExtendedCopyOptions)
		if err != nil || d.Digest != l.Index.Digest {
			t.Fatalf("copy %d: %v, %v", i, d.Digest, err)
		}
	}
	l.Pulled(t, dir, true)
	for name, g := range map[string]oras.ReadOnlyGraphTarget{"repository": two, "layout": open(t, dir), "memory": last} {
		found, err := registry.Referrers(ctx, g, l.Index, fixture.ReferrerType)
		if err != nil || len(found) != 1 || found[0].Digest != l.Referrer.Digest {
			t.Errorf("%s: referrers %v, %v", name, found, err)
		}
	}
	if _, err := oras.TagN(ctx, two, "v1", []string{"a", "b"}, oras.DefaultTagNOptions); err != nil {
		t.Error(err)
	}
	if tags, err := registry.Tags(ctx, two); err != nil || !slices.Equal(tags, []string{"a", "b", "v1"}) {
		t.Errorf("%q, %v", tags, err)
	}
	if _, err := oras.Tag(ctx, two, "v1", two.String()+":c"); err != nil {
		t.Errorf("a full reference: %v", err)
	}
	amd := &oras.ResolveOptions{TargetPlatform: &ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	for name, from := range map[string]oras.ReadOnlyTarget{"repository": two, "layout": ours} {
		if d, err := oras.Resolve(ctx, from, "v1", *amd); err != nil || d.Digest != l.Platforms[0].Digest {
			t.Errorf("%s: %v, %v", name, d, err)
		}
		if _, b, err := oras.FetchBytes(ctx, from, "v1", oras.DefaultFetchBytesOptions); err != nil || int64(len(b)) != l.Index.Size {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := oras.Resolve(ctx, from, "nowhere", oras.DefaultResolveOptions); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Packed by oras-go into ours, and taken around.
	for name, to := range map[string]oras.Target{"repository": two, "layout": ours} {
		opts := oras.PackManifestOptions{Subject: &l.Index}
		d, err := oras.PackManifest(ctx, to, oras.PackManifestVersion1_1, "application/vnd.example", opts)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := to.Tag(ctx, d, "packed"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	around(t, store, "v1")
}

// oras-go mends an index whose image is missing: it recognizes that by our errors.
func TestORASHeals(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	l := fixture.New(t)
	store, err := oci.New(l.Dir)
	if err != nil {
		t.Fatal(err)
	}
	srv := acrtest.New(t)
	client := newClient(t, srv)
	r := images.Of(client.Repository("team/app"))
	// The first image is said to be there, but the registry refuses the index.
	if err := oras.CopyGraph(ctx, store, r, l.Platforms[1], oras.DefaultCopyGraphOptions); err != nil {
		t.Fatal(err)
	}
	srv.On("HeadManifest").Path(string(l.Platforms[0].Digest)).Do(reply200(l.Platforms[0]))
	for _, d := range below(t, l, l.Platforms[0]) {
		if err := r.Push(ctx, d, bytes.NewReader(read(t, store, d))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := oras.Copy(ctx, store, "v1", r, "v1", oras.DefaultCopyOptions); err != nil {
		t.Errorf("not mended: %v", err)
	}
	if n := srv.Ledger().Count("PutManifest"); n != 5 {
		t.Errorf("%d manifests were put, want one image, the index refused, both images and the index", n)
	}
}
