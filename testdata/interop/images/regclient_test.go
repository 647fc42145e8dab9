package images_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/regclient/regclient"
	"github.com/regclient/regclient/config"
	"github.com/regclient/regclient/types/ref"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
	"github.com/acrkit/acrkit/testdata/interop/internal/fixture"
)

// What regclient exports is pushed by ours, what ours writes is imported by regclient; referrers by the referrers tag in a layout.
func TestRegclient(t *testing.T) {
	t.Parallel()
	ctx, srv, l := t.Context(), acrtest.New(t), fixture.New(t)
	user, password := srv.Admin()
	rc := regclient.New(regclient.WithConfigHost(config.Host{Name: srv.Host(), RegCert: string(srv.CA()), User: user, Pass: password}))
	reference := func(s string) ref.Ref { return must[ref.Ref](t)(ref.New(s)) }
	client := newClient(t, srv)

	if _, err := images.Push(ctx, l.Dir, "v1", client.Repository("team/app"), "v1", &images.CopyOptions{Referrers: true}); err != nil {
		t.Fatal(err)
	}
	ocidir := filepath.Join(t.TempDir(), "ocidir")
	if err := rc.ImageCopy(ctx, reference(srv.Host()+"/team/app:v1"), reference("ocidir://"+ocidir+":v1"), regclient.ImageWithReferrers()); err != nil {
		t.Fatal(err)
	}
	dir, archive := around(t, open(t, ocidir), "v1")
	l.Pulled(t, dir, true)

	var exported bytes.Buffer
	if err := rc.ImageExport(ctx, reference(srv.Host()+"/team/app:v1"), &exported); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "exported.tar")
	if err := os.WriteFile(file, exported.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := images.Push(ctx, file, "", client.Repository("from/export"), "v1", nil)
	if err != nil || report.Root.Digest != l.Index.Digest {
		t.Errorf("%v, %v", report, err)
	}
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := rc.ImageImport(ctx, reference(srv.Host()+"/from/import:v1"), f); err != nil {
		t.Errorf("it does not import what ours wrote: %v", err)
	}
	if d, err := client.Repository("from/import").HeadManifest(ctx, "v1"); err != nil || d.Digest != l.Index.Digest {
		t.Errorf("%v, %v", d, err)
	}
	if tags := srv.Tags("from/import"); !slices.Equal(tags, []string{"v1"}) {
		t.Errorf("%q", tags)
	}
}
