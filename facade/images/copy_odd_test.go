package images_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// manifestOf adds an image manifest with the layers.
func (s *stock) manifestOf(config ocispec.Descriptor, layers ...ocispec.Descriptor) ocispec.Descriptor {
	s.t.Helper()
	return s.json(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: layers,
	})
}

// around pushes an image, copies it to another registry, pulls it, and writes it to an archive. It returns the errors of those
// that could begin.
func (s *stock) around(opts *images.CopyOptions, root ocispec.Descriptor) map[string]error {
	s.t.Helper()
	s.name(root, "v1")
	from := openLayout(s.t, s.dir(), nil)
	ctx := s.t.Context()
	seeded, client := newRegistry(s.t, acrtest.WithoutBlobCheck())
	_, other := newRegistry(s.t)
	seeded.SeedLayout(s.t, "seeded/app", from.Path())
	source := images.Of(client.Repository("seeded/app"))
	dir := s.t.TempDir()
	layout := openLayout(s.t, dir, &images.LayoutOptions{Create: true})
	errs := map[string]error{}
	_, errs["layout to registry"] = images.Copy(ctx, from, "v1", images.Of(other.Repository("pushed/app")), "v1", opts)
	_, errs["registry to registry"] = images.Copy(ctx, source, "v1", images.Of(other.Repository("copied/app")), "v1", opts)
	_, errs["registry to layout"] = images.Copy(ctx, source, "v1", layout, "v1", opts)
	_, errs["layout to layout"] = images.Copy(ctx, from, "v1", openLayout(s.t, s.t.TempDir(), &images.LayoutOptions{Create: true}), "v1", opts)
	errs["layout to archive"] = images.WriteArchive(ctx, io.Discard, from, []string{"v1"}, opts)
	errs["registry to archive"] = images.WriteArchive(ctx, io.Discard, source, []string{"v1"}, opts)
	if errs["registry to layout"] == nil {
		s.noHalfLayout(dir, "around")
	}
	return errs
}

// Odd images that are right: one blob as config, layer and image; empty layers; a layer that is an image of the same index; a
// manifest of the largest size.
func TestCopyOddImages(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func(s *stock) ocispec.Descriptor{
		"config and layer are one blob": func(s *stock) ocispec.Descriptor {
			b := s.blob(ocispec.MediaTypeImageConfig, []byte("{}"))
			return s.manifestOf(b, b, b)
		},
		"empty layers": func(s *stock) ocispec.Descriptor {
			empty := s.blob(ocispec.MediaTypeImageLayer, nil)
			return s.manifestOf(s.blob(ocispec.MediaTypeImageConfig, []byte("{}")), empty, empty)
		},
		"an empty config": func(s *stock) ocispec.Descriptor { return s.manifestOf(s.blob(ocispec.MediaTypeImageConfig, nil)) },
		"a layer that is an image": func(s *stock) ocispec.Descriptor {
			image := s.image("amd64", "layer")
			layer := image
			layer.MediaType, layer.Platform = ocispec.MediaTypeImageLayer, nil
			return s.index(image, s.manifestOf(s.blob(ocispec.MediaTypeImageConfig, []byte("{}")), layer))
		},
		"an image whose size the index leaves out": func(s *stock) ocispec.Descriptor {
			d := s.image("amd64", "layer")
			d.Size = 0
			return s.index(d)
		},
		"a large manifest": func(s *stock) ocispec.Descriptor {
			m := ocispec.Manifest{
				Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
				Config: s.blob(ocispec.MediaTypeImageConfig, []byte("{}")), Annotations: map[string]string{"a": ""},
			}
			m.Annotations["a"] = strings.Repeat("x", acrsuite.UnderRace(1<<20, 4<<20)-len(marshal(s.t, m)))
			return s.json(m.MediaType, m)
		},
		"annotations with control characters": func(s *stock) ocispec.Descriptor {
			d := s.image("amd64", "layer")
			d.Annotations = map[string]string{"a\x00\x1b[31m\n": "\u202e\x07"}
			return s.index(d)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStock(t)
			for what, err := range s.around(nil, build(s)) {
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// A descriptor that says 0 bytes of something does not get around the limits on memory and size, wherever it is read.
func TestCopySizeOfNothing(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	layer := s.blob(ocispec.MediaTypeImageLayer, []byte("not empty"))
	layer.Size = 0
	for what, err := range s.around(nil, s.manifestOf(s.blob(ocispec.MediaTypeImageConfig, []byte("{}")), layer)) {
		if e, ok := errors.AsType[*images.CopyError](err); !ok || e.Side != images.FromSource || e.Descriptor.Digest != layer.Digest || !errors.Is(err, acr.ErrSizeMismatch) {
			t.Errorf("%s: %v", what, err)
		}
	}
	srv, client := newRegistry(t)
	srv.SeedBlob(t, "team/app", []byte("not empty"))
	r := images.Of(client.Repository("team/app"))
	if _, err := readAll(r.Fetch(t.Context(), layer)); !errors.Is(err, acr.ErrSizeMismatch) {
		t.Errorf("fetched: %v", err)
	}
	if err := images.Of(client.Repository("team/other")).Push(t.Context(), layer, strings.NewReader("not empty")); !errors.Is(err, acr.ErrSizeMismatch) {
		t.Errorf("pushed: %v", err)
	}
}

// A manifest is put under a tag only if its content can be verified.
func TestPushReferenceDigest(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	d := s.index()
	_, client := newRegistry(t)
	r := images.Of(client.Repository("team/app"))
	for _, wrong := range []digest.Digest{"", "sha256:00", digest.SHA384.FromBytes(s.blobs[d.Digest]), "md5:d41d8cd98f00b204e9800998ecf8427e"} {
		e := d
		e.Digest = wrong
		if err := r.PushReference(t.Context(), e, bytes.NewReader(s.blobs[d.Digest]), "v1"); !errors.Is(err, errdef.ErrInvalidDigest) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if err := r.PushReference(t.Context(), d, bytes.NewReader(s.blobs[d.Digest]), "v1"); err != nil {
		t.Error(err)
	}
}

// Layers that are not to be distributed are copied if the source has them, and left out if not.
func TestCopyForeignIfThere(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	const foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	there, absent := s.blob(foreign, []byte("windows base")), describe("windows update")
	absent.MediaType, absent.URLs = foreign, []string{"https://example.com/update"}
	there.URLs = absent.URLs
	root := s.manifestOf(s.blob(ocispec.MediaTypeImageConfig, []byte("{}")), there, absent, s.blob(ocispec.MediaTypeImageLayer, []byte("layer")))
	opts := &images.CopyOptions{Foreign: true}
	s.name(root, "v1")
	from := openLayout(t, s.dir(), nil)
	_, client := newRegistry(t, acrtest.WithoutBlobCheck())
	r := images.Of(client.Repository("team/app"))
	for range 2 {
		plan, err := images.Plan(t.Context(), from, "v1", r, "v1", opts)
		if err != nil {
			t.Fatal(err)
		}
		report, err := images.Copy(t.Context(), from, "v1", r, "v1", opts)
		if err != nil || report.Bytes.Done() != report.Bytes.Total || !bytes.Equal(marshal(t, plan), marshal(t, report)) {
			t.Errorf("%+v, %+v, %v", plan, report, err)
		}
	}
	dir := t.TempDir()
	report, err := images.Pull(t.Context(), client.Repository("team/app"), "v1", dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	left := slices.DeleteFunc(slices.Clone(report.Nodes), func(n images.Node) bool { return n.Action != images.Leave })
	if len(left) != 1 || left[0].Descriptor.Digest != absent.Digest {
		t.Errorf("%+v", left)
	}
	if err := images.WriteArchive(t.Context(), io.Discard, r, []string{"v1"}, opts); err != nil {
		t.Error(err)
	}
}

// An index whose media type the source does not know is one all the same.
func TestCopyWithoutMediaType(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, platforms := s.multi()
	s.entries[0].MediaType = ""
	from := openLayout(t, s.dir(), nil)
	srv, client := newRegistry(t)
	r := images.Of(client.Repository("team/app"))
	report, err := images.Copy(t.Context(), from, "v1", r, "arm64", &images.CopyOptions{Platforms: linux("arm64")})
	if err != nil || report.Root.Digest != platforms[1].Digest {
		t.Errorf("%+v, %v", report.Root, err)
	}
	for range 2 {
		srv.Ledger().Reset()
		if report, err = images.Copy(t.Context(), from, "v1", r, "v1", nil); err != nil || report.Root.MediaType != root.MediaType {
			t.Errorf("%+v, %v", report.Root, err)
		}
	}
	if n := srv.Ledger().Count("PutManifest", "HeadBlob"); n != 0 {
		t.Errorf("%d requests for what is there", n)
	}
}

// A tree whose indexes lack manifests is read by many goroutines at once.
func TestTreeLacksMuch(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	var indexes []ocispec.Descriptor
	for i := range 16 {
		children := []ocispec.Descriptor{s.image("amd64", fmt.Sprint("layer ", i))}
		for k := range 16 {
			lacking := describe(fmt.Sprint(i, k))
			lacking.MediaType = ocispec.MediaTypeImageManifest
			children = append(children, lacking)
		}
		indexes = append(indexes, s.index(children...))
	}
	s.name(s.index(indexes...), "v1")
	from := openLayout(t, s.dir(), nil)
	for range 10 {
		tree, err := images.Tree(t.Context(), from, "v1")
		if err != nil || strings.Count(tree.String(), " missing") != 256 {
			t.Fatalf("%v, %s", err, tree)
		}
	}
}
