package acr_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestDownloads: every way to read a blob, with and without storage, over slow connections and fast ones.
func TestDownloads(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]acrtest.Option{
		"storage": nil, "inline": {acrtest.WithInlineBlobs()}, "slow": {acrtest.WithBandwidth(40 << 20)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := acrsuite.NewServer(t, opts...)
			r := acrsuite.NewClient(t, srv).Repository("a/b")
			for _, size := range []int{1, 70_000, 3<<20 + 11} {
				want := acrsuite.Content(size)
				dgst := srv.SeedBlob(t, "a/b", want)
				if got := acrsuite.Download(t, r, dgst); !bytes.Equal(got, want) {
					t.Errorf("GetBlob: %d bytes, another content", len(got))
				}
				m := &acrsuite.Memory{B: make([]byte, size)}
				desc, err := r.DownloadBlob(t.Context(), dgst, m, &acr.DownloadOptions{PartSize: 128 << 10, Size: int64(size)})
				if err != nil || desc.Size != int64(size) || !bytes.Equal(m.B, want) {
					t.Errorf("DownloadBlob: %+v %v", desc, err)
				}
				path := filepath.Join(t.TempDir(), "blob")
				if _, err := r.DownloadBlobFile(t.Context(), dgst, path, &acr.DownloadFileOptions{PartSize: 256 << 10}); err != nil {
					t.Error(err)
				}
				if got, _ := os.ReadFile(path); !bytes.Equal(got, want) {
					t.Error("DownloadBlobFile: another content")
				}
				acrsuite.Alone(t, filepath.Dir(path), "blob")
				part, err := r.GetBlobRange(t.Context(), dgst, int64(size/3), int64(size/2))
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(part)
				if err != nil || !bytes.Equal(got, want[size/3:size/3+size/2]) {
					t.Errorf("GetBlobRange: %d bytes, %v", len(got), err)
				}
				part.Close()
				view, err := r.BlobReaderAt(t.Context(), dgst)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(io.NewSectionReader(view, 0, view.Size())); err != nil || !bytes.Equal(got, want) {
					t.Errorf("BlobReaderAt: %d bytes, %v", len(got), err)
				}
			}
			srv.Ledger().NoCredentialLeaked(t)
		})
	}
}

// TestLinkIsShared: the registry is asked once for the link, whatever the number of ranges, and once more when storage says it has expired.
// Each range in flight has a connection of its own.
func TestLinkIsShared(t *testing.T) {
	t.Parallel()
	acrsuite.Deliveries(t, []acrsuite.Form{acrsuite.ToWriterInN}, func(d *acrsuite.Delivery) {
		d.Srv.On("GetBlobContent").Nth(3).Status(http.StatusForbidden)
		d.Arrives()
		d.Linked(2)
		connections := map[int64]bool{}
		for _, q := range d.Srv.Ledger().Requests("GetBlobContent") {
			connections[q.Connection] = true
		}
		if len(connections) < acrsuite.RangeWorkers {
			d.Errorf("%d connections for ranges in parallel", len(connections))
		}
	})
}

// TestEmptyBlobCostsNothing: it is known without asking.
func TestEmptyBlobCostsNothing(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	r := acrsuite.NewClient(t, srv).Repository("a/b")
	empty := digest.FromBytes(nil)
	if got := acrsuite.Download(t, r, empty); len(got) != 0 {
		t.Error(got)
	}
	path := filepath.Join(t.TempDir(), "empty")
	if _, err := r.DownloadBlobFile(t.Context(), empty, path, nil); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 0 {
		t.Error(err)
	}
	if n := len(srv.Ledger().Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// TestDownloadContinues: a broken-off download to a file is continued by the next call, and what was tampered with meanwhile is found out.
func TestDownloadContinues(t *testing.T) {
	t.Parallel()
	for _, tamper := range []bool{false, true} {
		srv := acrsuite.NewServer(t)
		r := acrsuite.NewClient(t, srv).Repository("a/b")
		want := acrsuite.Content(4 << 20)
		dgst := srv.SeedBlob(t, "a/b", want)
		dir := t.TempDir()
		path := filepath.Join(dir, "layer.tar")
		opts := &acr.DownloadFileOptions{Concurrency: 1}
		fault := srv.On("GetBlobContent").First(100).ResetAfter(300_000)
		if _, err := r.DownloadBlobFile(t.Context(), dgst, path, opts); err != nil {
			t.Fatalf("300 kB at a time: %v", err)
		}
		fault.Remove()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		breaks := srv.On("GetBlobContent").Nth(1).Truncate(3 << 20)
		gone := srv.On("GetBlobContent").From(2).Status(404)
		if _, err := r.DownloadBlobFile(t.Context(), dgst, path, opts); err == nil {
			t.Fatal("no error")
		}
		breaks.Remove()
		gone.Remove()
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("an incomplete file has its name: %v", err)
		}
		partials, _ := filepath.Glob(filepath.Join(dir, ".layer.tar.*.partial"))
		if len(partials) != 1 {
			t.Fatalf("%q", partials)
		}
		if info, err := os.Stat(partials[0]); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info.Mode(), err)
		}
		if tamper {
			f, err := os.OpenFile(partials[0], os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = f.WriteAt([]byte("tampered"), 100)
			f.Close()
		}
		srv.Ledger().Reset()
		var last acr.Progress
		opts.Progress = func(p acr.Progress) { last = p }
		if _, err := r.DownloadBlobFile(t.Context(), dgst, path, opts); err != nil {
			t.Fatal(err)
		}
		opts.Progress = nil
		if got, _ := os.ReadFile(path); !bytes.Equal(got, want) {
			t.Error("another content")
		}
		acrsuite.Alone(t, dir, "layer.tar")
		if limit := int64(len(want)) - 2<<20; !tamper && last.Sent > limit {
			t.Errorf("%d bytes were fetched, at most %d were missing", last.Sent, limit)
		}
		if tamper && last.Restarts != 1 {
			t.Errorf("%+v", last)
		}
	}
}

// TestDownloadRefusals: what is not the blob that was asked for is never called good.
func TestDownloadRefusals(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	r := acrsuite.NewClient(t, srv).Repository("a/b")
	want := acrsuite.Content(300_000)
	dgst := srv.SeedBlob(t, "a/b", want)
	ctx := t.Context()
	if _, err := r.GetBlob(ctx, digest.FromString("absent"), nil); !errors.Is(err, acr.ErrBlobUnknown) {
		t.Errorf("absent: %v", err)
	}
	if _, err := r.GetBlob(ctx, "sha256:abc", nil); !errors.Is(err, acr.ErrInvalidArgument) {
		t.Errorf("no digest: %v", err)
	}
	if _, err := r.GetBlob(ctx, dgst, &acr.GetBlobOptions{Size: 5}); !errors.Is(err, acr.ErrSizeMismatch) {
		t.Errorf("another size: %v", err)
	}
	flips := srv.On("GetBlobContent").Always().FlipByte(1234)
	b, err := r.GetBlob(ctx, dgst, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(b); !errors.Is(err, acr.ErrDigestMismatch) {
		t.Errorf("a wrong byte: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "blob")
	if _, err := r.DownloadBlobFile(ctx, dgst, path, nil); !errors.Is(err, acr.ErrDigestMismatch) {
		t.Errorf("a wrong byte: %v", err)
	}
	acrsuite.Alone(t, filepath.Dir(path))
	flips.Remove()
	srv.On("GetBlobContent").Nth(1).FlipByte(1234)
	if _, err := r.DownloadBlobFile(ctx, dgst, path, nil); err != nil {
		t.Errorf("a byte that was wrong once: %v", err)
	}
}

// TestDownloadFileRoot: within a root no link leads out, neither of the file nor of what lies beside it, and a broken download is
// continued there.
func TestDownloadFileRoot(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	r := acrsuite.NewClient(t, srv).Repository("a/b")
	want := acrsuite.Content(300_000)
	dgst := srv.SeedBlob(t, "a/b", want)
	dir, outside := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	hidden := "." + "blob" + "." + dgst.Encoded()[:12] + ".partial"
	err := errors.Join(
		os.WriteFile(secret, []byte("secret"), 0o600), os.Mkdir(filepath.Join(dir, "in"), 0o700),
		os.Symlink(outside, filepath.Join(dir, "out")), os.Symlink(secret, filepath.Join(dir, "link")),
		os.Symlink(filepath.Join(outside, "new"), filepath.Join(dir, "in", hidden)),
		os.Symlink("made", filepath.Join(dir, "in", hidden+".json")),
	)
	if err != nil {
		t.Skipf("no symbolic link can be made: %v", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	o := &acr.DownloadFileOptions{Root: root, PartSize: 64 << 10, NoSync: true}
	for _, path := range []string{"out/blob", "../blob", filepath.Join(outside, "blob"), "in/../../blob", ""} {
		var pathError *os.PathError
		if _, err := r.DownloadBlobFile(t.Context(), dgst, path, o); !errors.As(err, &pathError) {
			t.Errorf("%q: %v", path, err)
		}
	}
	acrsuite.Alone(t, outside, "secret")
	for _, path := range []string{filepath.Join("in", "blob"), "link"} { // the link is replaced, not followed
		if _, err := r.DownloadBlobFile(t.Context(), dgst, path, o); err != nil {
			t.Fatal(err)
		}
		if got, err := root.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", path, len(got), err)
		}
	}
	acrsuite.Alone(t, outside, "secret")
	if got, err := os.ReadFile(secret); err != nil || string(got) != "secret" {
		t.Errorf("%q, %v", got, err)
	}
	// One that breaks off is continued, by its name in the root.
	o.Concurrency = 1
	other := acrsuite.Content(300_001)
	dgst = srv.SeedBlob(t, "a/b", other)
	srv.On("GetBlobContent").Nth(1).Truncate(200_000)
	srv.On("GetBlobContent").From(2).Status(404)
	if _, err := r.DownloadBlobFile(t.Context(), dgst, "continued", o); err == nil {
		t.Fatal("the download did not break off")
	}
	srv.ClearFaults()
	srv.Ledger().Reset()
	if _, err := r.DownloadBlobFile(t.Context(), dgst, "continued", o); err != nil {
		t.Fatal(err)
	}
	if got, err := root.ReadFile("continued"); err != nil || !bytes.Equal(got, other) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	for _, q := range srv.Ledger().Requests("GetBlobContent") {
		if q.BytesOut >= 200_000 {
			t.Errorf("%d bytes were downloaded again", q.BytesOut)
		}
	}
}
