// Package ggcr_test runs go-containerregistry, unmodified, against the emulator.
package ggcr_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/testdata/interop/internal/fixture"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPushListCopyPullDelete(t *testing.T) {
	t.Parallel()
	ctx, s, l := t.Context(), acrtest.New(t), fixture.New(t)
	user, password := s.Admin()
	opts := []remote.Option{
		remote.WithContext(ctx),
		remote.WithTransport(s.HTTPClient().Transport),
		remote.WithAuth(&authn.Basic{Username: user, Password: password}),
	}
	path, err := layout.FromPath(l.Dir)
	if err != nil {
		t.Fatal(err)
	}
	local, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	index, err := local.ImageIndex(v1.Hash{Algorithm: "sha256", Hex: l.Index.Digest.Encoded()})
	if err != nil {
		t.Fatal(err)
	}
	referrer, err := local.Image(v1.Hash{Algorithm: "sha256", Hex: l.Referrer.Digest.Encoded()})
	if err != nil {
		t.Fatal(err)
	}

	app := reference(t, s.Host()+"/team/app:v1")
	byDigest := func(d string) name.Digest { return app.Context().Digest(d) }
	if err := remote.WriteIndex(app, index, opts...); err != nil {
		t.Fatalf("push: %v", err)
	}
	if err := remote.Write(byDigest(l.Referrer.Digest.String()), referrer, opts...); err != nil {
		t.Fatalf("push of the referrer: %v", err)
	}

	if names, err := remote.Catalog(ctx, app.Context().Registry, opts...); err != nil || !slices.Equal(names, []string{"team/app"}) {
		t.Errorf("catalog %q, %v", names, err)
	}
	if tags, err := remote.List(app.Context(), opts...); err != nil || !slices.Equal(tags, []string{"v1"}) {
		t.Errorf("tags %q, %v", tags, err)
	}
	found, err := remote.Referrers(byDigest(l.Index.Digest.String()), opts...)
	if err != nil {
		t.Fatalf("referrers: %v", err)
	}
	if m, err := found.IndexManifest(); err != nil || len(m.Manifests) != 1 || m.Manifests[0].ArtifactType != fixture.ReferrerType {
		t.Errorf("referrers %+v, %v", m, err)
	}

	mirror := reference(t, s.Host()+"/mirror/app:v1")
	remoteIndex, err := remote.Index(app, opts...)
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	if err := remote.WriteIndex(mirror, remoteIndex, opts...); err != nil {
		t.Fatalf("copy: %v", err)
	}
	if s.Ledger().Count("UploadChunk") > 7 { // two layers, two configs, and the referrer's two blobs; the copy mounts
		t.Errorf("%d chunks were sent: the copy did not mount", s.Ledger().Count("UploadChunk"))
	}

	fresh := t.TempDir()
	target, err := layout.Write(fresh, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := remote.Index(mirror, opts...)
	if err != nil {
		t.Fatalf("get of the copy: %v", err)
	}
	if err := target.AppendIndex(copied); err != nil {
		t.Fatalf("pull: %v", err)
	}
	l.Pulled(t, fresh, false)
	if image, err := remote.Image(mirror, append(opts, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "arm64"}))...); err != nil {
		t.Errorf("image of a platform: %v", err)
	} else if d, err := image.Digest(); err != nil || d.String() != l.Platforms[1].Digest.String() {
		t.Errorf("image of a platform: %s, %v", d, err)
	}
	if err := remote.Tag(mirror.Context().Tag("latest"), copied, opts...); err != nil {
		t.Errorf("tag: %v", err)
	}

	for _, d := range []string{l.Referrer.Digest.String(), l.Index.Digest.String(), l.Platforms[0].Digest.String(), l.Platforms[1].Digest.String()} {
		if err := remote.Delete(byDigest(d), opts...); err != nil {
			t.Errorf("delete %s: %v", d, err)
		}
	}
	var terr *transport.Error
	if _, err := remote.Head(app, opts...); !errors.As(err, &terr) || terr.StatusCode != http.StatusNotFound {
		t.Errorf("after the delete: %v", err)
	}
	if _, err := remote.Get(app, opts...); !errors.As(err, &terr) || terr.StatusCode != http.StatusNotFound || terr.Errors[0].Code != transport.ManifestUnknownErrorCode {
		t.Errorf("after the delete: %v", err)
	}
	if _, err := remote.Head(mirror.Context().Tag("latest"), opts...); err != nil {
		t.Errorf("the copy is gone: %v", err)
	}
}

func TestAnonymousPull(t *testing.T) {
	t.Parallel()
	s := acrtest.New(t)
	d := s.SeedImage(t, "public/hello:v1")
	image, err := remote.Image(reference(t, s.Host()+"/public/hello:v1"), remote.WithContext(t.Context()), remote.WithTransport(s.HTTPClient().Transport))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := image.Digest(); err != nil || got.String() != d.String() {
		t.Errorf("%s, %v, want %s", got, err, d)
	}
}

func reference(t *testing.T, s string) name.Reference {
	t.Helper()
	r, err := name.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
