// Package regclient_test runs regclient, unmodified, against the emulator.
package regclient_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/regclient/regclient"
	"github.com/regclient/regclient/config"
	"github.com/regclient/regclient/scheme"
	"github.com/regclient/regclient/types/descriptor"
	"github.com/regclient/regclient/types/errs"
	"github.com/regclient/regclient/types/manifest"
	"github.com/regclient/regclient/types/ref"
	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/testdata/interop/internal/fixture"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPushListCopyPullDelete(t *testing.T) {
	t.Parallel()
	ctx, s, l := t.Context(), acrtest.New(t), fixture.New(t)
	user, password := s.Admin()
	// Blobs above 64 KiB go in chunks of 50,000 bytes: the fixture's layers take four and five.
	rc := regclient.New(regclient.WithConfigHost(config.Host{
		Name: s.Host(), RegCert: string(s.CA()), User: user, Pass: password, BlobChunk: 50_000, BlobMax: 64 << 10,
	}))
	app, mirror, source := reference(t, s.Host()+"/team/app:v1"), reference(t, s.Host()+"/mirror/app:v1"), reference(t, "ocidir://"+l.Dir+":v1")

	if err := rc.ImageCopy(ctx, source, app); err != nil {
		t.Fatalf("push: %v", err)
	}
	if got, want := s.Ledger().Count("UploadChunk"), 9; got < want {
		t.Errorf("%d chunks were sent, want at least %d", got, want)
	}
	layer := descriptor.Descriptor{MediaType: l.ReferrerLayer.MediaType, Digest: l.ReferrerLayer.Digest, Size: l.ReferrerLayer.Size}
	if _, err := rc.BlobPut(ctx, app, layer, bytes.NewReader(l.ReferrerLayerBytes)); err != nil {
		t.Fatalf("push of the referrer's layer: %v", err)
	}
	if _, err := rc.BlobPut(ctx, app, descriptor.Descriptor{}, bytes.NewReader([]byte("{}"))); err != nil {
		t.Fatalf("push of the referrer's config: %v", err)
	}
	m, err := manifest.New(manifest.WithRaw(l.ReferrerManifest))
	if err != nil {
		t.Fatal(err)
	}
	referrer := app.SetDigest(l.Referrer.Digest.String())
	if err := rc.ManifestPut(ctx, referrer, m); err != nil {
		t.Fatalf("push of the referrer: %v", err)
	}

	if names, err := rc.RepoList(ctx, s.Host()); err != nil || !slices.Equal(names.Repositories, []string{"team/app"}) {
		t.Errorf("repositories %v, %v", names, err)
	}
	if tags, err := rc.TagList(ctx, app); err != nil || !slices.Equal(tags.Tags, []string{"v1"}) {
		t.Errorf("tags %v, %v", tags, err)
	}
	found, err := rc.ReferrerList(ctx, app, scheme.WithReferrerMatchOpt(descriptor.MatchOpt{ArtifactType: fixture.ReferrerType}))
	if err != nil || len(found.Descriptors) != 1 || found.Descriptors[0].Digest != l.Referrer.Digest {
		t.Errorf("referrers %v, %v", found.Descriptors, err)
	}

	if err := rc.ImageCopy(ctx, app, mirror, regclient.ImageWithReferrers()); err != nil {
		t.Fatalf("copy: %v", err)
	}
	fresh := t.TempDir()
	target := reference(t, "ocidir://"+fresh+":v1")
	if err := rc.ImageCopy(ctx, mirror, target, regclient.ImageWithReferrers()); err != nil {
		t.Fatalf("pull: %v", err)
	}
	if err := rc.Close(ctx, target); err != nil {
		t.Fatal(err)
	}
	l.Pulled(t, fresh, true)

	for _, d := range []string{l.Referrer.Digest.String(), l.Index.Digest.String(), l.Platforms[0].Digest.String(), l.Platforms[1].Digest.String()} {
		if err := rc.ManifestDelete(ctx, app.SetDigest(d)); err != nil {
			t.Errorf("delete %s: %v", d, err)
		}
	}
	if _, err := rc.ManifestHead(ctx, app); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("after the delete: %v", err)
	}
	if _, err := rc.ManifestGet(ctx, mirror); err != nil {
		t.Errorf("the copy is gone: %v", err)
	}
}

func reference(t *testing.T, s string) ref.Ref {
	t.Helper()
	r, err := ref.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
