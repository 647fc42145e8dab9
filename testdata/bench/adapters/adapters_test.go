package adapters

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/testdata/bench/adapter"
	"github.com/acrkit/acrkit/testdata/bench/content"
	"github.com/acrkit/acrkit/testdata/bench/fakeacr"
)

// server is shared: trust in its certificate is set up once per process.
var server *fakeacr.Server

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "adapters")
	if err != nil {
		panic(err)
	}
	cert := filepath.Join(dir, "cert.pem")
	if server, err = fakeacr.Start(fakeacr.Options{CertFile: cert}); err != nil {
		panic(err)
	}
	os.Setenv("SSL_CERT_FILE", cert)
	os.Setenv("SSL_CERT_DIR", dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// TestAdapters runs every operation of every adapter against the fake registry,
// which checks digests and scopes.
func TestAdapters(t *testing.T) { //nolint:paralleltest // the registry has one scenario at a time
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) { testAdapter(t, name) })
	}
}

func testAdapter(t *testing.T, name string) {
	ctx := context.Background()
	big := content.Blob{Seed: 1, Size: 21<<20 + 3}
	layers := []content.Blob{{Seed: 2, Size: 1000}, {Seed: 3, Size: 64 << 10}, {Seed: 4, Size: 3 << 20}}
	cfg := fakeacr.Config{Verify: true, Tags: 250, Manifests: 250, Blobs: []fakeacr.Blob{{Blob: big, Exists: true}}}
	for _, l := range layers {
		cfg.Blobs = append(cfg.Blobs, fakeacr.Blob{Blob: l})
	}
	info := server.Configure(cfg)
	f, _ := Lookup(name)
	open := func(chunk int64) adapter.Client {
		c, err := f(adapter.Target{Endpoint: "https://" + info.Registry, Host: info.Registry, TempDir: t.TempDir(), Chunk: chunk,
			EntraToken: info.EntraToken, RefreshToken: info.RefreshToken, AccessToken: info.AccessToken})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c, chunked := open(0), open(1<<20)
	desc := adapter.Descriptor{Digest: info.Digests[0], Size: big.Size}
	file := filepath.Join(t.TempDir(), "big")
	if err := big.WriteFile(file); err != nil {
		t.Fatal(err)
	}
	step := func(what string, err error) bool {
		t.Helper()
		if errors.Is(err, adapter.ErrUnsupported) {
			t.Logf("%s: %v", what, err)
			return false
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return err == nil
	}
	step("upload", c.UploadFile(ctx, "t/a", file, adapter.Descriptor{}))
	step("upload of a known digest", c.UploadFile(ctx, "t/b", file, desc))
	step("chunked upload", chunked.UploadFile(ctx, "t/c", file, adapter.Descriptor{}))
	step("stream", c.UploadStream(ctx, "t/d", big.Stream()))
	step("chunked stream", chunked.UploadStream(ctx, "t/e", big.Stream()))
	if st := server.Stats(); st.BadDigests > 0 {
		t.Errorf("%d wrong digests", st.BadDigests)
	}
	out := filepath.Join(t.TempDir(), "out")
	if step("download", c.DownloadFile(ctx, "t/a", desc, out)) {
		step("downloaded file", big.CheckFile(out))
	}
	for _, page := range []int{0, 77} {
		if n, _, err := c.ListTags(ctx, "t/a", page); step("tags", err) && n != 250 {
			t.Errorf("%d tags", n)
		}
		if n, _, err := c.ListManifests(ctx, "t/a", page); step("manifests", err) && n != 250 {
			t.Errorf("%d manifests", n)
		}
	}
	src, dst := t.TempDir(), filepath.Join(t.TempDir(), "dst")
	if err := content.WriteLayout(src, "v1", layers); err != nil {
		t.Fatal(err)
	}
	if step("push", c.PushImage(ctx, "t/image", "v1", src)) && step("pull", c.PullImage(ctx, "t/image", "v1", dst)) {
		for _, l := range layers {
			step("layer", l.CheckFile(blobPath(dst, l.Digest())))
		}
	}
	if d, err := c.HeadManifest(ctx, "canned/x", "latest"); step("head", err) && !strings.HasPrefix(d, "sha256:") {
		t.Errorf("head: %q", d)
	}
	info = server.Configure(fakeacr.Config{Tags: 20, Manifests: 20, Images: true})
	c = open(0)
	if n, err := c.MirrorTags(ctx, "t/from", "t/to"); step("mirror", err) && n != 20 {
		t.Errorf("mirror: %d tags", n)
	}
	if st := server.Stats(); st.Kinds["put_manifest"]+st.Kinds["post_upload"] > 0 {
		t.Errorf("mirror: %+v", st)
	}
	if n, err := c.PlanDeletions(ctx, "t/plan"); step("plan", err) && n != 20 {
		t.Errorf("plan: %d manifests", n)
	}
	step("properties", c.ManifestProperties(ctx, "canned/x", "sha256:"+strings.Repeat("0", 64)))
}

// TestIdealResumes breaks transfers of the prototype client in the middle.
func TestIdealResumes(t *testing.T) { //nolint:paralleltest // the registry has one scenario at a time
	ctx := context.Background()
	big := content.Blob{Seed: 1, Size: 41<<20 + 3}
	for _, partial := range []fakeacr.Partial{fakeacr.Cancel, fakeacr.Forget, fakeacr.Keep} {
		info := server.Configure(fakeacr.Config{Verify: true, Partial: partial, MaxBody: 20e6, Blobs: []fakeacr.Blob{{Blob: big, Exists: true}},
			DropGet: fakeacr.Drop{After: 9 << 20, Times: 2}, DropPatch: fakeacr.Drop{After: 12 << 20, Times: 1}})
		c, err := newIdeal(adapter.Target{Endpoint: "https://" + info.Registry, Host: info.Registry, EntraToken: info.EntraToken})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "file")
		if err := c.DownloadFile(ctx, "t/a", adapter.Descriptor{Digest: info.Digests[0], Size: big.Size}, file); err != nil {
			t.Errorf("%q: download: %v", partial, err)
		} else if err := big.CheckFile(file); err != nil {
			t.Error(err)
		} else if err := c.UploadFile(ctx, "t/a", file, adapter.Descriptor{}); err != nil {
			t.Errorf("%q: upload: %v", partial, err)
		}
		if st := server.Stats(); st.Drops < 2 || st.BadDigests > 0 || st.Completed != 1 {
			t.Errorf("%q: %+v", partial, st)
		}
	}
}
