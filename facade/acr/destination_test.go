package acr_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// writerAt is a destination in memory that cannot be truncated.
type writerAt struct{ sink *acrsuite.Sink }

func (w writerAt) WriteAt(p []byte, off int64) (int, error) { return w.sink.WriteAt(p, off) }

// wrongAnswer is longer than the blobs of these tests, and another one's content.
var wrongAnswer = strings.Repeat("not the blob ", 20_000)

// A first answer that is longer and wrong leaves nothing behind the blob that the second one brings: the
// destination is truncated or, if it cannot be, the call fails.
func TestDownloadLeavesNothingBehindTheBlob(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]acr.DownloadOptions{"stream": {Concurrency: 1}, "ranges": {Concurrency: 4, PartSize: 64 << 10}} {
		synctest.Test(t, func(t *testing.T) {
			srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
			r := acrsuite.NewClient(t, srv).Repository("samples/app")
			want := acrsuite.Content(200_000)
			dgst := srv.SeedBlob(t, "samples/app", want)
			wrong := func() { srv.On("GetBlobContent").Nth(1).IgnoreRange().ReplyBody(wrongAnswer) }

			path := filepath.Join(t.TempDir(), "file")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			wrong()
			desc, err := r.DownloadBlob(t.Context(), dgst, f, &o)
			if got, _ := os.ReadFile(path); err != nil || desc.Size != int64(len(want)) || !bytes.Equal(got, want) {
				t.Errorf("%s, to a file: %d bytes, want %d; %v", name, len(got), len(want), err)
			}

			wrong()
			dst := &acrsuite.Sink{}
			if _, err = r.DownloadBlob(t.Context(), dgst, writerAt{dst}, &o); err == nil && !bytes.Equal(dst.B, want) {
				t.Errorf("%s, to memory: success with %d bytes, want %d", name, len(dst.B), len(want))
			} else if err != nil && !errors.Is(err, acr.ErrSizeMismatch) {
				t.Errorf("%s, to memory: %v", name, err)
			}

			wrong()
			if _, err := r.DownloadBlobFile(t.Context(), dgst, path, &acr.DownloadFileOptions{Size: o.Size, Concurrency: o.Concurrency, PartSize: o.PartSize}); err != nil {
				t.Errorf("%s, by name: %v", name, err)
			}
			if got, _ := os.ReadFile(path); !bytes.Equal(got, want) {
				t.Errorf("%s, by name: %d bytes, want %d", name, len(got), len(want))
			}
		})
	}
}

// A file that was longer before ends where the blob ends; a device that cannot be truncated is written to.
func TestDownloadBlobIntoALongerFile(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	r := acrsuite.NewClient(t, srv).Repository("samples/app")
	want := acrsuite.Content(1000)
	dgst := srv.SeedBlob(t, "samples/app", want)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, acrsuite.Content(5000), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := r.DownloadBlob(t.Context(), dgst, f, nil); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, want) {
		t.Errorf("the file has %d bytes, the blob %d", len(got), len(want))
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, err := r.DownloadBlob(t.Context(), dgst, null, nil); err != nil {
		t.Errorf("to %s: %v", os.DevNull, err)
	}
}

// A view of a blob refuses an answer from a blob of another size than the registry stated.
func TestBlobReaderAtRefusesAnotherSize(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	r := acrsuite.NewClient(t, srv).Repository("samples/app")
	dgst := srv.SeedBlob(t, "samples/app", acrsuite.Content(1000))
	view, err := r.BlobReaderAt(t.Context(), dgst)
	if err != nil {
		t.Fatal(err)
	}
	srv.On("GetBlobContent").Always().RewriteHeader("Content-Range", func(string) string { return "bytes 0-999/5000" })
	if n, err := io.ReadFull(io.NewSectionReader(view, 0, 1000), make([]byte, 1000)); !errors.Is(err, acr.ErrSizeMismatch) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}
