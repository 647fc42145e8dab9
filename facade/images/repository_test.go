package images_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/images"
)

func TestRepositoryReadsAndWrites(t *testing.T) {
	t.Parallel()
	srv, client := newRegistry(t)
	ctx := t.Context()
	r := images.Of(client.Repository("team/app"))
	s := newStock(t)
	image := s.image("amd64", "layer")
	signature := s.referrer(image, "application/vnd.example.signature", "signed")
	for _, d := range append(s.below(image), s.below(signature)...) {
		desc := s.describe(d)
		if there, err := r.Exists(ctx, desc); there && desc.MediaType == ocispec.MediaTypeImageManifest || err != nil {
			t.Errorf("%s: there %v, %v", d, there, err)
		}
		if desc.MediaType != ocispec.MediaTypeImageManifest {
			if err := r.Push(ctx, desc, bytes.NewReader(s.blobs[d])); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.PushReference(ctx, image, bytes.NewReader(s.blobs[image.Digest]), srv.Host()+"/team/app:v1"); err != nil {
		t.Fatal(err)
	}
	if err := r.Push(ctx, signature, bytes.NewReader(s.blobs[signature.Digest])); err != nil {
		t.Fatal(err)
	}
	for _, d := range append(s.below(image), s.below(signature)...) {
		got, err := readAll(r.Fetch(ctx, s.describe(d)))
		if err != nil || !bytes.Equal(got, s.blobs[d]) {
			t.Errorf("%s: %v", d, err)
		}
		if there, err := r.Exists(ctx, s.describe(d)); !there || err != nil {
			t.Errorf("%s: there %v, %v", d, there, err)
		}
	}
	for _, reference := range []string{
		"v1", string(image.Digest), "v1@" + string(image.Digest), "anything@" + string(image.Digest),
		srv.Host() + "/team/app:v1", srv.Host() + "/team/app@" + string(image.Digest), r.String() + ":v1",
	} {
		if d, err := r.Resolve(ctx, reference); err != nil || d.Digest != image.Digest || d.Size != image.Size {
			t.Errorf("%s: %v, %v", reference, d, err)
		}
		if d, content, err := r.FetchReference(ctx, reference); err != nil || d.Digest != image.Digest {
			t.Errorf("%s: %v, %v", reference, d, err)
		} else if got, err := readAll(content, nil); err != nil || !bytes.Equal(got, s.blobs[image.Digest]) {
			t.Errorf("%s: %q, %v", reference, got, err)
		}
	}
	if found, err := r.Predecessors(ctx, image); err != nil || len(found) != 1 || found[0].Digest != signature.Digest {
		t.Errorf("%v, %v", found, err)
	}
	if found, err := registry.Referrers(ctx, r, image, "application/vnd.other"); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
	if err := r.Tag(ctx, image, "v2"); err != nil {
		t.Fatal(err)
	}
	if tags, err := registry.Tags(ctx, r); err != nil || !slices.Equal(tags, []string{"v1", "v2"}) {
		t.Errorf("%q, %v", tags, err)
	}
	if names, err := registry.Repositories(ctx, images.OfClient(client)); err != nil || !slices.Equal(names, []string{"team/app"}) {
		t.Errorf("%q, %v", names, err)
	}
	if err := r.Untag(ctx, "v1"); err != nil {
		t.Fatal(err)
	}
	if tags := srv.Tags("team/app"); !slices.Equal(tags, []string{"v2"}) {
		t.Errorf("%q", tags)
	}
	layer := describe("layer")
	if d, err := r.Blobs().Resolve(ctx, string(layer.Digest)); err != nil || d.Size != layer.Size {
		t.Errorf("%v, %v", d, err)
	}
	if d, content, err := r.Blobs().FetchReference(ctx, string(layer.Digest)); err != nil || d.Size != layer.Size {
		t.Errorf("%v, %v", d, err)
	} else if got, err := readAll(content, nil); err != nil || string(got) != "layer" {
		t.Errorf("%q, %v", got, err)
	}
	if err := r.Delete(ctx, layer); err != nil {
		t.Fatal(err)
	}
	if err := r.Delete(ctx, image); err != nil {
		t.Fatal(err)
	}
	if there, err := r.Exists(ctx, image); there || err != nil {
		t.Errorf("%v, %v", there, err)
	}
	if other, err := images.OfClient(client).Repository(ctx, "team/app"); err != nil {
		t.Error(err)
	} else if _, err := other.Resolve(ctx, "v2"); !errors.Is(err, errdef.ErrNotFound) {
		t.Error(err)
	}
}

func TestRepositoryMount(t *testing.T) {
	t.Parallel()
	srv, client := newRegistry(t)
	ctx := t.Context()
	srv.SeedBlob(t, "source", []byte("layer"))
	d := describe("layer")
	for name, get := range map[string]func() (io.ReadCloser, error){
		"mounted": func() (io.ReadCloser, error) { t.Error("the content was asked for"); return nil, io.EOF },
		"nil":     nil,
	} {
		r := images.Of(client.Repository("target/" + name))
		if err := r.Mount(ctx, d, "source", get); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !srv.HasBlob("target/"+name, d.Digest) {
			t.Errorf("%s: the blob is not there", name)
		}
	}
	r := images.Of(client.Repository("target/uploaded"))
	content := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("layer")), nil }
	if err := r.Mount(ctx, d, "nowhere", content); err != nil || !srv.HasBlob("target/uploaded", d.Digest) {
		t.Errorf("%v", err)
	}
	skip := errors.New("skip")
	err := images.Of(client.Repository("target/skipped")).Mount(ctx, d, "nowhere", func() (io.ReadCloser, error) { return nil, skip })
	if !errors.Is(err, skip) || srv.Uploads("target/skipped") != 0 {
		t.Errorf("%v, %d open uploads", err, srv.Uploads("target/skipped"))
	}
	if err := images.Of(client.Repository("target/nil")).Mount(ctx, describe("other"), "source", nil); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("a blob that is nowhere: %v", err)
	}
}

// oras-go looks at nothing else than errdef's values and errcode's types.
func TestRepositoryErrors(t *testing.T) {
	t.Parallel()
	srv, client := newRegistry(t)
	ctx := t.Context()
	srv.SeedImage(t, "team/app:v1")
	r := images.Of(client.Repository("team/app"))
	s := newStock(t)
	image := s.image("amd64", "a layer that is not there", "another")

	err := r.Push(ctx, image, bytes.NewReader(s.blobs[image.Digest]))
	var one errcode.Error
	var all errcode.Errors
	if !errors.As(err, &one) || one.Code != errcode.ErrorCodeManifestBlobUnknown || !errors.As(err, &all) || len(all) == 0 {
		t.Errorf("a manifest whose blobs are missing: %v, %+v, %+v", err, one, all)
	}
	if !errors.Is(err, acr.ErrManifestBlobUnknown) {
		t.Error(err)
	}
	if _, err := r.Resolve(ctx, "v2"); !errors.Is(err, errdef.ErrNotFound) || !errors.Is(err, acr.ErrManifestUnknown) {
		t.Errorf("an unknown tag: %v", err)
	}
	if _, err := readAll(r.Fetch(ctx, describe("nowhere"))); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("an unknown blob: %v", err)
	}
	if _, err := readAll(r.Manifests().Fetch(ctx, image)); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("an unknown manifest: %v", err)
	}
	var response errcode.ErrorResponse
	if errors.As(err, new(*errcode.ErrorResponse)) {
		t.Errorf("an answer of another client: %v", response)
	}
	before := srv.Ledger().Count()
	for _, reference := range []string{"", "..", "-x", "other.example.com/team/app:v1", srv.Host() + "/team/other:v1", "a b", "x@sha256:12", "sha256:zz", srv.Host() + "/team/app"} {
		if _, err := r.Resolve(ctx, reference); !errors.Is(err, errdef.ErrInvalidReference) && !errors.Is(err, errdef.ErrMissingReference) {
			t.Errorf("%q: %v", reference, err)
		}
	}
	if _, err := r.Blobs().Resolve(ctx, "v1"); !errors.Is(err, errdef.ErrInvalidReference) {
		t.Error(err)
	}
	if _, err := images.Of(client.Repository("Bad/../Name")).Resolve(ctx, "v1"); !errors.Is(err, errdef.ErrInvalidReference) {
		t.Errorf("a bad name: %v", err)
	}
	if err := r.Push(ctx, ocispec.Descriptor{MediaType: "text/plain", Digest: "sha256:12", Size: 1}, strings.NewReader("x")); !errors.Is(err, errdef.ErrInvalidDigest) {
		t.Errorf("a bad digest: %v", err)
	}
	short := image
	short.Size--
	for _, wrong := range []ocispec.Descriptor{short, {MediaType: image.MediaType, Digest: describe("x").Digest, Size: image.Size}} {
		if err := r.Push(ctx, wrong, bytes.NewReader(s.blobs[image.Digest])); !errors.Is(err, acr.ErrSizeMismatch) && !errors.Is(err, acr.ErrDigestMismatch) {
			t.Errorf("other content than stated: %v", err)
		}
	}
	if err := r.Push(ctx, describe("text"), strings.NewReader("TEXT")); !errors.Is(err, acr.ErrDigestMismatch) {
		t.Errorf("other content than stated: %v", err)
	}
	if n := srv.Ledger().Count("PutManifest"); srv.Ledger().Count() < before || n != 1 {
		t.Errorf("%d manifests were sent", n)
	}
}
